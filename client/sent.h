/* SPDX-License-Identifier: MIT
 *
 * The arguments that a client sent and may still be asked for: to say with which argument a
 * job failed, or to hand it out with the result. Kept encoded, as they were sent, until all
 * jobs of a block have been delivered. One thread.
 */
#ifndef MUSTER_CLIENT_SENT_H
#define MUSTER_CLIENT_SENT_H

#include "base/blob.h"
#include "proto/shared.h"

#include <msgpack.h>

struct sent_block {
    struct blob *blob;       /* a reference; NULL once all its jobs were delivered */
    struct shared_uses uses; /* what it refers to in `heap`; owned */
    uint64_t first;
    uint32_t count, undelivered;
    uint64_t asked_ns, sent_ns; /* when the first of them was asked for, and when they were sent */
    uint64_t cursor;            /* the job whose argument starts at `offset` */
    size_t offset;
    uint32_t *marks; /* where every SENT_MARK_JOBS-th argument starts, as far as was looked; owned */
    uint32_t marked;
};

/* Reports of several workers ask for arguments here and there in a block: at most so many less one are
 * passed over for each, some 30 ns an argument, at 4 bytes for so many. */
enum { SENT_MARK_JOBS = 16 };

struct sent {
    struct sent_block *blocks; /* ordered by `first`; the live ones are [head, tail) */
    size_t head, tail, capacity;
    size_t bytes;      /* of all blobs held, and of what was copied into the heap for them */
    struct heap *heap; /* borrowed, as `mappings`, which leads to it; NULL: there is none */
    struct mappings *mappings;
};

/* Remembers a block of arguments that is sent now; takes a reference, and *uses, which is empty then.
 * Blocks come in order. 0 or MUSTER_ENOMEM. */
int sent_add(struct sent *sent, struct blob *blob, struct shared_uses *uses, uint64_t first, uint32_t count,
             uint64_t asked_ns);

/* The block of a job that was not delivered yet, until the next call; NULL when there is none. */
const struct sent_block *sent_find(struct sent *sent, uint64_t index);

/* The argument of a job that was not delivered yet, its containers in `zone`, its strings in
 * the block or the heap. 0, MUSTER_ENOTFOUND or MUSTER_ENOMEM. */
int sent_argument(struct sent *sent, uint64_t index, msgpack_zone *zone, msgpack_object *ret_argument);

/* Jobs first .. first + count - 1, of one block, need their arguments no longer. */
void sent_delivered(struct sent *sent, uint64_t first, uint32_t count);

void sent_fini(struct sent *sent);

#endif
