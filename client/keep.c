/* SPDX-License-Identifier: MIT
 *
 * Zones without memory and deep copies. See keep.h.
 */
#include "client/keep.h"

#include "client/measure.h"

#include <stdlib.h>
#include <string.h>

/* The first piece of memory: a failure's text, a short string, an array of a few numbers. With
 * the link before it and malloc's own it fills 256 bytes. */
enum { FIRST_BYTES = 240 };

/* msgpack-c gets a first piece at once; a zone whose piece is full takes one when it is asked,
 * which is all that is needed. `ptr` is not NULL since offsets are added to it. */
void keep_init(msgpack_zone *zone)
{
    *zone = (msgpack_zone){.chunk_size = FIRST_BYTES, .chunk_list = {.ptr = (char *)zone}};
}

void keep_fini(msgpack_zone *zone)
{
    msgpack_zone_finalizer_array *last = &zone->finalizer_array;

    if (zone->chunk_list.head) {
        msgpack_zone_destroy(zone);
        return;
    }
    for (; last->tail != last->array; last->tail--)
        last->tail[-1].func(last->tail[-1].data);
    free(last->array);
}

/* Where copies go. */
struct keeping {
    msgpack_zone *zone;
    struct heap *heap; /* NULL: there is none */
    bool shares;       /* all large bytes belong into it */
};

/* A zone as the user of a block. */
struct user {
    struct heap *heap;
    uint32_t block;
};

static void drop_block(void *context)
{
    const struct user *user = context;

    heap_drop(user->heap, user->block);
}

/* Makes the zone a user of the block, instead of the caller. */
static bool give_block(msgpack_zone *zone, struct heap *heap, uint32_t block)
{
    struct user *user = msgpack_zone_malloc(zone, sizeof *user);

    if (user)
        *user = (struct user){.heap = heap, .block = block};
    if (user && msgpack_zone_push_finalizer(zone, drop_block, user))
        return true;
    heap_drop(heap, block);
    return false;
}

/* Bytes that are in the heap, or better off there; NULL: they are not, or there is no room. */
static const void *keep_in_heap(const struct keeping *k, const void *bytes, size_t size)
{
    uint32_t block = heap_find(k->heap, bytes, size);
    void *copy;

    if (block) {
        heap_keep(k->heap, block);
        return give_block(k->zone, k->heap, block) ? bytes : NULL;
    }
    if (!k->shares && size < heap_threshold(k->heap))
        return NULL;
    block = heap_alloc(k->heap, size, &copy);
    if (!block)
        return NULL;
    memcpy(copy, bytes, size);
    return give_block(k->zone, k->heap, block) ? copy : NULL;
}

/* NULL when out of memory; `bytes` may be NULL when there are none. */
static const void *copy_bytes(const struct keeping *k, const void *bytes, size_t size)
{
    const void *kept = NULL;
    void *copy;

    if (size == 0)
        return "";
    if (k->heap && size >= HEAP_UNIT_BYTES)
        kept = keep_in_heap(k, bytes, size);
    if (kept)
        return kept;
    copy = msgpack_zone_malloc_no_align(k->zone, size);
    return copy ? memcpy(copy, bytes, size) : NULL;
}

static int copy_value(const struct keeping *k, msgpack_object *value);

/* Copies `count` values of a container; *values points to the copy then. */
static int copy_values(const struct keeping *k, msgpack_object **values, size_t count)
{
    msgpack_object *copies;

    if (count == 0) {
        *values = NULL;
        return 0;
    }
    if (!(copies = msgpack_zone_malloc(k->zone, count * sizeof *copies)))
        return MUSTER_ENOMEM;
    memcpy(copies, *values, count * sizeof *copies);
    for (size_t i = 0; i < count; i++)
        if (copy_value(k, &copies[i]) != 0)
            return MUSTER_ENOMEM;
    *values = copies;
    return 0;
}

/* Replaces what `value` points to by copies. It was measured: it recurses PROTO_DEPTH_MAX deep
 * at most, and a map is an array of pairs. */
static int copy_value(const struct keeping *k, msgpack_object *value)
{
    switch (value->type) {
    case MSGPACK_OBJECT_NIL:
    case MSGPACK_OBJECT_BOOLEAN:
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        return 0;
    case MSGPACK_OBJECT_STR:
        value->via.str.ptr = copy_bytes(k, value->via.str.ptr, value->via.str.size);
        return value->via.str.ptr ? 0 : MUSTER_ENOMEM;
    case MSGPACK_OBJECT_BIN:
        value->via.bin.ptr = copy_bytes(k, value->via.bin.ptr, value->via.bin.size);
        return value->via.bin.ptr ? 0 : MUSTER_ENOMEM;
    case MSGPACK_OBJECT_EXT:
        value->via.ext.ptr = copy_bytes(k, value->via.ext.ptr, value->via.ext.size);
        return value->via.ext.ptr ? 0 : MUSTER_ENOMEM;
    case MSGPACK_OBJECT_ARRAY:
        return copy_values(k, &value->via.array.ptr, value->via.array.size);
    case MSGPACK_OBJECT_MAP:
        return copy_values(k, (msgpack_object **)&value->via.map.ptr, 2 * (size_t)value->via.map.size);
    }
    return MUSTER_EINVALID;
}

static int keep(const struct keeping *k, const msgpack_object *value, msgpack_object *ret_copy)
{
    msgpack_object copy = {.type = MSGPACK_OBJECT_NIL};
    size_t bytes;
    int code;

    if (value) {
        if ((code = measure_value(value, &bytes)) != 0)
            return code;
        copy = *value;
        if ((code = copy_value(k, &copy)) != 0)
            return code;
    }
    *ret_copy = copy;
    return 0;
}

int keep_value(msgpack_zone *zone, struct heap *heap, const msgpack_object *value, msgpack_object *ret_copy)
{
    return keep(&(struct keeping){.zone = zone, .heap = heap}, value, ret_copy);
}

int keep_shared(msgpack_zone *zone, struct heap *heap, const msgpack_object *value, msgpack_object *ret_copy)
{
    return keep(&(struct keeping){.zone = zone, .heap = heap, .shares = true}, value, ret_copy);
}

const char *keep_text(msgpack_zone *zone, const char *text)
{
    return copy_bytes(&(struct keeping){.zone = zone}, text, strlen(text) + 1);
}
