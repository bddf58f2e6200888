/* SPDX-License-Identifier: MIT
 *
 * Shared memory in a worker: results that it lends to clients, arguments that it was lent. Of the
 * thread that executes.
 */
#ifndef MUSTER_WORKER_LENT_H
#define MUSTER_WORKER_LENT_H

#include "base/error.h"
#include "jobs/call.h"
#include "proto/messages.h"
#include "proto/shared.h"

struct lent {
    struct call_memory memory; /* first; of the calls whose chunk `reader` was set for */
    struct heap *heap;         /* owned */
    struct mappings *mappings; /* owned */
    struct shared_uses uses;   /* of the result that is being packed */
    uint32_t reader;           /* of the results of calls from now on; 0: they are not shared */
};

/* `bytes` at most are lent; 0: as many as fit this machine. 0 or MUSTER_ENOMEM. */
int lent_init(struct lent *lent, size_t bytes);
void lent_fini(struct lent *lent);

/* The chunk's jobs are called from now on. */
static inline void lent_begin(struct lent *lent, const struct proto_chunk *chunk)
{
    lent->reader = (uint32_t)chunk->reader;
}

/* An argument that was unpacked: what is in shared memory is read in place, and held by the zone. 0,
 * or the reason for which it cannot be had. */
int lent_argument(struct lent *lent, const struct proto_chunk *chunk, msgpack_zone *zone,
                  msgpack_object *argument);

/* As value_pack; large bytes are lent to the chunk's reader. *shared_bytes grows by them. */
int lent_pack(struct lent *lent, const struct proto_chunk *chunk, const msgpack_object *value,
              msgpack_sbuffer *buffer, uint64_t *shared_bytes, struct muster_error *ret_error);

/* Before a job runs that may end this process: makes sure that the results of jobs before it can be
 * read without it. Waits only where the reader has not mapped the heap yet. */
void lent_settle(struct lent *lent);

#endif
