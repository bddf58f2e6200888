/* SPDX-License-Identifier: MIT
 *
 * Lending results, and reading what was lent. See lent.h.
 */
#include "worker/lent.h"

#include "proto/value.h"

/* A block that a function writes its result into. */
struct written {
    struct heap *heap;
    uint32_t block;
};

static void drop(void *context)
{
    const struct written *written = context;

    heap_drop(written->heap, written->block);
}

static void *alloc(struct call_memory *memory, msgpack_zone *zone, size_t bytes)
{
    struct lent *lent = (struct lent *)memory;
    struct written *written;
    void *block_bytes;
    uint32_t block;

    if (!lent->reader || !lent->heap || bytes < heap_threshold(lent->heap))
        return NULL;
    block = heap_alloc(lent->heap, bytes, &block_bytes);
    if (!block)
        return NULL;
    written = msgpack_zone_malloc(zone, sizeof *written);
    if (written)
        *written = (struct written){.heap = lent->heap, .block = block};
    if (written && msgpack_zone_push_finalizer(zone, drop, written))
        return block_bytes;
    heap_drop(lent->heap, block);
    return NULL;
}

int lent_init(struct lent *lent, int heap_fd)
{
    *lent = (struct lent){.memory.alloc = alloc};
    if (heap_fd >= 0 && heap_adopt(heap_fd, &lent->heap) != 0)
        return MUSTER_ENOMEM;
    if (mappings_create(NULL, false, &lent->mappings) != 0) {
        heap_destroy(lent->heap);
        return MUSTER_ENOMEM;
    }
    return 0;
}

void lent_fini(struct lent *lent)
{
    shared_uses_fini(&lent->uses);
    mappings_destroy(lent->mappings);
    heap_destroy(lent->heap);
}

int lent_argument(struct lent *lent, const struct proto_chunk *chunk, msgpack_zone *zone,
                  msgpack_object *argument)
{
    return chunk->shared_bytes ? shared_hold(lent->mappings, argument, zone) : 0;
}

int lent_pack(struct lent *lent, const struct proto_chunk *chunk, const msgpack_object *value,
              msgpack_sbuffer *buffer, uint64_t *shared_bytes, struct muster_error *ret_error)
{
    struct shared_packing packing = {
        .heap = lent->heap, .copies = true, .reader = (uint32_t)chunk->reader, .uses = &lent->uses};
    int code = value_pack_shared(value, lent->heap && chunk->reader ? &packing : NULL, buffer, ret_error);

    if (code != 0 || lent->uses.count == 0)
        return code;
    *shared_bytes += lent->uses.bytes;
    shared_send(lent->heap, &lent->uses, packing.reader);
    lent->uses.bytes = lent->uses.copied = 0;
    return 0;
}
