/* SPDX-License-Identifier: MIT
 *
 * The memory that a process lends to others: blocks for the bytes of large arguments or results,
 * written once and read in place by whoever gets a reference (reference.h, mappings.h). Only the
 * owner allocates and frees.
 *
 * A block has users in this process, who keep and drop it, and references that were sent to a
 * reader, who releases each by a store into the heap's table, without a message. It is free when it
 * has neither. Freed blocks are used again first, lowest address first, since their pages are there;
 * of those that idle, HEAP_IDLE_BYTES stay. It is a memfd: whatever crashes, nothing is left behind.
 *
 * One thread. Nothing is made before the first block is asked for.
 */
#ifndef MUSTER_PROTO_HEAP_H
#define MUSTER_PROTO_HEAP_H

#include "proto/reference.h"

struct heap;

enum {
    /* The least unit of blocks, a page. Smaller bytes are not worth a block: in a message that fits a
     * slot (slots.h) they cost little more than a reference. */
    HEAP_UNIT_BYTES = 4 << 10,

    /* Idle memory that is kept, since to give it back and get it again costs more than the bytes'
     * copy: one value of the largest size. */
    HEAP_IDLE_BYTES = PROTO_VALUE_BYTES_MAX,
};

enum heap_kind {
    HEAP_SHARED,  /* others can read it */
    HEAP_PRIVATE, /* memory of this process alone, which is used in the same way */
};

/* `bytes` is the most that it ever takes, HEAP_BYTES_MAX at most; 0: a fit part of this machine's
 * memory. 0 or MUSTER_ENOMEM. */
int heap_create(enum heap_kind kind, size_t bytes, struct heap **ret_heap);

/* A shared one in a file that its keeper made (heapfile.h) and handed over; `fd` is the heap's from
 * then on. */
int heap_adopt(int fd, struct heap **ret_heap);

/* Nothing is allocated or sent any more. Blocks stay as long as they have users, and others' mappings
 * of them. Takes NULL. */
void heap_destroy(struct heap *heap);

/* Bytes that are at least so many are better off in a block than in a message: calibrated on this
 * machine by the first call, in a millisecond at most. None are (SIZE_MAX) where memory is private. */
size_t heap_threshold(struct heap *heap);

/* A block of at least `size` bytes, aligned to a page, with one user, the caller; its contents are
 * anything. Returns its number in this heap, 0 when there is no room. */
uint32_t heap_alloc(struct heap *heap, size_t size, void **ret_bytes);

/* The block in which all of these bytes lie; 0: none. `heap` may be NULL. */
uint32_t heap_find(const struct heap *heap, const void *bytes, size_t size);

void heap_keep(struct heap *heap, uint32_t block);
void heap_drop(struct heap *heap, uint32_t number);

/* A reference to bytes in one of its blocks. */
struct reference heap_refer(const struct heap *heap, uint32_t block, uint8_t kind, const void *bytes,
                            size_t size);

/* One reference to the block goes to the process `reader`, which will release it, or die. A block
 * has one reader at a time. */
void heap_send(struct heap *heap, uint32_t number, uint32_t reader);

/* Whether the block may be sent to this reader. */
bool heap_may_send(const struct heap *heap, uint32_t block, uint32_t reader);

/* Counts what was sent since the last time, for the keeper of the file: to be called before the
 * messages leave. On any thread, while the owner's does not call heap_send. */
void heap_publish(struct heap *heap);

/* What it holds now, once what readers released is free. */
struct heap_stats {
    size_t used_bytes, idle_bytes; /* of blocks; of free memory that has pages */
    uint32_t blocks, sent;         /* in use; of them those that a reader has */
};

struct heap_stats heap_stats(struct heap *heap);

/* The bytes of a reference to this heap itself. 0; MUSTER_ENOTFOUND when it is to another one;
 * MUSTER_EPROTOCOL when it is out of range. */
int heap_resolve(const struct heap *heap, const struct reference *reference, const void **ret_bytes);

#endif
