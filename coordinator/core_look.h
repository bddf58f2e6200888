/* SPDX-License-Identifier: MIT
 *
 * What the core says of itself, for tests, reports and those who ask. Nothing here changes it.
 */
#ifndef MUSTER_COORDINATOR_CORE_LOOK_H
#define MUSTER_COORDINATOR_CORE_LOOK_H

#include "coordinator/core.h"

/* Batches not yet ended, chunks assigned, and results that were dropped as late; for tests
 * and reports. */
struct core_counts {
    unsigned batches, workers_ready;
    unsigned workers; /* that shall run */
    bool draining;
    bool busy; /* workers hold jobs, or may, of whom that is not known yet */
    uint64_t jobs_queued, jobs_assigned, chunks_assigned, late;
    uint64_t unkept_bytes; /* that clients may have on their way, of batches that are not the ledger's */
};
struct core_counts core_count(const struct core *core);

enum core_worker_state {
    CORE_WORKER_STARTING,
    CORE_WORKER_IDLE,
    CORE_WORKER_BUSY,
    CORE_WORKER_AWAY,     /* its host cannot be reached, or it is adopted and was not heard of yet */
    CORE_WORKER_STOPPING, /* it has no further job, or was killed */
};

struct core_worker {
    unsigned slot;
    enum core_worker_state state;
    const char *host;      /* "" of the coordinator's; valid until the core changes */
    uint64_t pid;          /* as it said; 0: it has not yet */
    uint64_t chunks, jobs; /* that it holds */
    uint64_t batch;        /* of the first of them; 0: none */
    uint64_t since_ns;     /* it last reported jobs, or was given some after it had none, or was started */
};

/* The next worker that has a process behind this slot; false: there is none. */
bool core_next_worker(const struct core *core, unsigned slot, struct core_worker *ret_worker);

/* Where the slot is: the host, as in core_join, 0 being the coordinator's, and the place there. */
struct core_whereabouts {
    unsigned host, place;
};
struct core_whereabouts core_where(const struct core *core, unsigned slot);

/* The host of the worker of that name; 0: the coordinator's, or there is no such worker. */
unsigned core_host_of(const struct core *core, const char *worker);

/* The slot of a host's place that has a process; 0: none has. */
unsigned core_slot_at(const struct core *core, unsigned host, unsigned place);

/* Workers that shall run on other hosts. */
unsigned core_joined(const struct core *core);

/* Whether the worker of a slot was asked to end, which is nothing to tell anybody. */
bool core_expects_exit(const struct core *core, unsigned slot);

/* Jobs of the batch of this number that are running, as far as is known. */
uint64_t core_running(const struct core *core, uint64_t batch);

#endif
