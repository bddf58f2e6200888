/* SPDX-License-Identifier: MIT
 *
 * The chunks that a worker holds, found by their jobs: both the coordinator and the worker look
 * them up when single jobs are cancelled, of which there may be thousands. An array in order of
 * batch and first job, searched by bisection. Pure.
 */
#ifndef MUSTER_PROTO_HOLDINGS_H
#define MUSTER_PROTO_HOLDINGS_H

#include <stddef.h>
#include <stdint.h>

struct holding {
    uint64_t batch, first;
    uint32_t count; /* jobs */
    void *chunk;    /* borrowed: whatever the user knows the chunk by */
};

/* Zeroed it is empty. */
struct holdings {
    struct holding *list; /* owned; those from `start` on are used */
    size_t start, count, capacity;
    uint32_t longest; /* of those that were held since it was empty */
};

void holdings_fini(struct holdings *holdings);

/* Chunks may have jobs in common, where one is tried again. 0 or MUSTER_ENOMEM. */
int holdings_add(struct holdings *holdings, const struct holding *holding);

/* Takes out the holding of this batch, first job and chunk, which must be there. */
void holdings_remove(struct holdings *holdings, const struct holding *holding);

/* Where to begin with holdings_next to find those with jobs of the batch from `first` on. */
size_t holdings_find(const struct holdings *holdings, uint64_t batch, uint64_t first);

/* The next chunk at or behind *place with jobs of first .. end - 1, and moves on. NULL: there is
 * none. */
void *holdings_next(const struct holdings *holdings, uint64_t batch, uint64_t first, uint64_t end,
                    size_t *place);

#endif
