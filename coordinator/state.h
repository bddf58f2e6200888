/* SPDX-License-Identifier: MIT
 *
 * What the core is made of; for core.c, dispatch.c and settle.c only, and for the tests of
 * its invariants.
 */
#ifndef MUSTER_COORDINATOR_STATE_H
#define MUSTER_COORDINATOR_STATE_H

#include "coordinator/batch.h"
#include "coordinator/core.h"

/* Out of memory, an element is not added, and its hh.tbl is NULL; the default is to exit. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* Jobs that were assigned together, and have not all been reported. */
struct chunk {
    uint64_t id;
    struct batch *batch;
    struct job_run run;        /* what is not reported yet, in state JOB_ASSIGNED */
    struct chunk *prev, *next; /* of the worker's list, oldest first */
};

enum worker_state {
    WORKER_ABSENT,   /* no process */
    WORKER_STARTING, /* spawned, has not said HELLO */
    WORKER_READY,
    WORKER_DOOMED, /* killed; its exit will be reported */
};

/* Why the core killed a worker: what its running job is told. */
enum doom { DOOM_NONE, DOOM_SILENT, DOOM_CANCELLED, DOOM_MALFORMED, DOOM_VERSION };

struct worker {
    unsigned slot; /* from 1 */
    char name[PROTO_PEER_NAME_MAX + 1];
    enum worker_state state;
    enum doom doom;
    uint32_t incarnation;
    unsigned credit;      /* chunks it takes; 0 until it said HELLO */
    unsigned holds;       /* chunks it has */
    struct chunk *chunks; /* owned */
    uint64_t heard_ns;    /* last sign of life, or when it was spawned or got work after having none */
    uint64_t pinged_ns;   /* 0: not since it was last heard */
    uint64_t respawn_ns;  /* ABSENT: not before */
    uint64_t process_cpu_ns, voluntary, involuntary; /* as it last reported */
    UT_hash_handle hh;                               /* by name, while STARTING or READY or DOOMED */
};

struct client {
    char name[PROTO_PEER_NAME_MAX + 1];
    bool welcomed;
    UT_hash_handle hh; /* by name */
};

struct core {
    struct core_options options;
    struct worker *workers; /* options.workers of them; owned */
    struct worker *workers_by_name;
    struct client *clients; /* owned */
    struct batch *batches;  /* in order of submission; owned */
    uint64_t last_batch, last_chunk;
    uint64_t late;
    unsigned failed_starts; /* workers that died or could not be spawned since one was ready */
    char start_error[MUSTER_ERROR_TEXT_BYTES]; /* of the last of them */
    bool stopped;
};

/* --- dispatch.c: who gets what, and how many workers there are */

/* Assigns what can be assigned, and spawns workers that are needed for the rest. */
void dispatch(struct core *core, uint64_t now_ns, struct outbox *outbox);

/* Kills a worker; its exit is reported later. */
void dispatch_doom(struct core *core, struct worker *worker, enum doom why, struct outbox *outbox);

/* Tells workers that hold jobs of the batch. */
void dispatch_cancel(struct core *core, const struct batch *batch, enum proto_cancel_mode mode,
                     struct outbox *outbox);

/* --- settle.c: what became of jobs */

/* A worker reported on a chunk. Returns false when the report is not possible: the worker
 * cannot be trusted. */
bool settle_result(struct core *core, struct worker *worker, const struct proto_message *message,
                   struct outbox *outbox);

/* A result of a chunk that nobody holds any more. */
void settle_late(struct core *core, const struct proto_result *result);

/* A worker is gone, with all it held. */
void settle_exit(struct core *core, struct worker *worker, const struct worker_exit *exit,
                 struct outbox *outbox);

/* Ends batches that are over: tells their clients and forgets them. */
void settle_ended(struct core *core, struct outbox *outbox);

#endif
