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
    free(block->marks);
    block->marks = NULL;
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

/* Moves the cursor to the last known start of an argument that is not behind the job's. */
static int rewind_cursor(struct sent_block *block, uint64_t index)
{
    uint64_t mark = (index - block->first) / SENT_MARK_JOBS;

    if (!block->marks) {
        block->marks = calloc(block->count / SENT_MARK_JOBS + 1, sizeof *block->marks);
        if (!block->marks)
            return MUSTER_ENOMEM;
        block->marked = 1; /* the first starts at 0 */
    }
    if (mark >= block->marked)
        mark = block->marked - 1;
    if (index < block->cursor || block->cursor < block->first + mark * SENT_MARK_JOBS) {
        block->cursor = block->first + mark * SENT_MARK_JOBS;
        block->offset = block->marks[mark];
    }
    return 0;
}

/* The cursor has moved on, past no start that is to be known. */
static void note_mark(struct sent_block *block)
{
    if (block->cursor == block->first + (uint64_t)block->marked * SENT_MARK_JOBS)
        block->marks[block->marked++] = (uint32_t)block->offset;
}

/* Passes over `count` arguments. */
static int skip(struct sent_block *block, uint64_t count)
{
    size_t skipped;
    int result = scan_values(&scan_value_limits, block->blob->bytes + block->offset,
                             block->blob->size - block->offset, count, &skipped);

    if (result != 0)
        return result;
    block->offset += skipped;
    block->cursor += count;
    note_mark(block);
    return 0;
}

int sent_argument(struct sent *sent, uint64_t index, msgpack_zone *zone, msgpack_object *ret_argument)
{
    struct sent_block *block = find(sent, index);
    int result = block ? rewind_cursor(block, index) : MUSTER_ENOTFOUND;

    while (result == 0 && block->cursor < index) {
        uint64_t left = SENT_MARK_JOBS - (block->cursor - block->first) % SENT_MARK_JOBS;

        result = skip(block, left < index - block->cursor ? left : index - block->cursor);
    }
    if (result != 0)
        return result;
    result = value_unpack(block->blob->bytes, block->blob->size, &block->offset, zone, ret_argument);
    if (result != 0)
        return result; /* the cursor stays */
    block->cursor++;
    note_mark(block);
    return result == 0 && block->uses.count > 0 ? shared_resolve(sent->mappings, 0, ret_argument) : result;
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
