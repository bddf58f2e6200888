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
    struct heap *heap;         /* owned; NULL: nothing is lent */
    struct mappings *mappings; /* owned */
    struct shared_uses uses;   /* of the result that is being packed */
    uint32_t reader;           /* of the results of calls from now on; 0: they are not shared */
};

/* Lends from the heap's file that the coordinator keeps (proto/heapfile.h), which is the lent's from
 * then on; -1: lends nothing. 0 or MUSTER_ENOMEM. */
int lent_init(struct lent *lent, int heap_fd);
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

/* Before a report leaves that has lent results: tells the coordinator of them, who keeps them when this
 * process dies. On any thread, while nothing is packed. */
static inline void lent_publish(struct lent *lent)
{
    if (lent->heap)
        heap_publish(lent->heap);
}

#endif
