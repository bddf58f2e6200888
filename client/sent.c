/* SPDX-License-Identifier: MIT
 *
 * Arguments that were sent. See sent.h.
 */
#include "client/sent.h"

#include "base/clock.h"
#include "base/error.h"
#include "proto/scan.h"
#include "proto/value.h"

#include <stdlib.h>
#include <string.h>

/* Room for one more block at the tail: what was freed at the head is used first. */
static int make_room(struct sent *sent)
{
    size_t live = sent->tail - sent->head, capacity = sent->capacity;
    struct sent_block *blocks = sent->blocks;

    if (sent->tail < sent->capacity)
        return 0;
    if (live > capacity / 2 || capacity == 0) {
        capacity = capacity ? 2 * capacity : 16;
        blocks = reallocarray(blocks, capacity, sizeof *blocks);
        if (!blocks)
            return MUSTER_ENOMEM;
    }
    memmove(blocks, blocks + sent->head, live * sizeof *blocks);
    sent->blocks = blocks;
    sent->capacity = capacity;
    sent->head = 0;
    sent->tail = live;
    return 0;
}

/* Nobody needs the arguments any more. */
static void drop(struct sent *sent, struct sent_block *block)
{
    if (!block->blob)
        return;
    sent->bytes -= block->blob->size + block->uses.copied;
    blob_unref(block->blob);
    block->blob = NULL;
    shared_drop(sent->heap, &block->uses, 0);
    shared_uses_fini(&block->uses);
}

int sent_add(struct sent *sent, struct blob *blob, struct shared_uses *uses, uint64_t first, uint32_t count,
             uint64_t asked_ns)
{
    if (make_room(sent) != 0)
        return MUSTER_ENOMEM;
    sent->blocks[sent->tail++] = (struct sent_block){.blob = blob_ref(blob),
                                                     .uses = *uses,
                                                     .first = first,
                                                     .count = count,
                                                     .undelivered = count,
                                                     .asked_ns = asked_ns,
                                                     .sent_ns = clock_now_ns(),
                                                     .cursor = first};
    sent->bytes += blob->size + uses->copied;
    *uses = (struct shared_uses){0};
    return 0;
}

/* The block that holds the job, or NULL. */
static struct sent_block *find(struct sent *sent, uint64_t index)
{
    size_t low = sent->head, high = sent->tail;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct sent_block *block = &sent->blocks[middle];

        if (index < block->first)
            high = middle;
        else if (index - block->first >= block->count)
            low = middle + 1;
        else
            return block->blob ? block : NULL;
    }
    return NULL;
}

const struct sent_block *sent_find(struct sent *sent, uint64_t index)
{
    return find(sent, index);
}

int sent_argument(struct sent *sent, uint64_t index, msgpack_zone *zone, msgpack_object *ret_argument)
{
    struct sent_block *block = find(sent, index);
    size_t skipped;
    int result;

    if (!block)
        return MUSTER_ENOTFOUND;
    if (index < block->cursor) {
        block->cursor = block->first;
        block->offset = 0;
    }
    result = scan_values(&scan_value_limits, block->blob->bytes + block->offset,
                         block->blob->size - block->offset, index - block->cursor, &skipped);
    if (result != 0)
        return result;
    block->offset += skipped;
    block->cursor = index + 1;
    result = value_unpack(block->blob->bytes, block->blob->size, &block->offset, zone, ret_argument);
    return result == 0 && block->uses.count > 0 ? shared_resolve(sent->mappings, ret_argument) : result;
}

void sent_delivered(struct sent *sent, uint64_t first, uint32_t count)
{
    struct sent_block *block = find(sent, first);

    if (!block || count > block->undelivered)
        return;
    block->undelivered -= count;
    if (block->undelivered > 0)
        return;
    drop(sent, block);
    while (sent->head < sent->tail && !sent->blocks[sent->head].blob)
        sent->head++;
}

void sent_fini(struct sent *sent)
{
    for (size_t i = sent->head; i < sent->tail; i++)
        drop(sent, &sent->blocks[i]);
    free(sent->blocks);
}
