/* SPDX-License-Identifier: MIT
 *
 * The core's workers by what is asked of them with each message, so that nothing walks over all of
 * them: who has the least to do, when the next is due, how many there are of each kind, and what they take
 * together of the host. Whoever
 * changes a worker says so with roster_update. Part of the core: pure.
 */
#ifndef MUSTER_COORDINATOR_ROSTER_H
#define MUSTER_COORDINATOR_ROSTER_H

#include "coordinator/capacity.h"
#include "coordinator/lowest.h"

#include <stdbool.h>

struct core;
struct worker;

/* How long a worker may take until it says HELLO: its plug-ins load meanwhile. */
#define WORKER_START_NS (60 * CLOCK_NS_PER_S)

/* How long an adopted worker may take until it has said what it holds: it tries to connect four times a
 * second. */
#define WORKER_AWAY_NS (10 * CLOCK_NS_PER_S)

/* Of one worker, and of all together. */
struct roster_counts {
    unsigned present; /* of the crew, as `idle` and `open` are: not absent */
    unsigned idle;    /* ready, with no chunk */
    unsigned open;    /* ready, with places that jobs could take at once */
    unsigned several; /* ready, with more jobs than one */
    unsigned ready, starting;
};

/* A worker, as it was when roster_update saw it last. */
struct roster_entry {
    struct roster_counts counts;
    struct demand taken; /* of the host */
    unsigned places;     /* for jobs; 0: it is given nothing */
};

struct roster {
    struct lowest due; /* worker_deadline of each slot */
    struct lowest
        loads; /* of those that are given jobs and have credit: what they have to do, and the slot */
    struct roster_counts counts;
    uint64_t givens;          /* workers that are given jobs */
    uint64_t places, squares; /* sums over them: of their places, and of these squared */
    bool alike;               /* all of them have as many */
};

/* For so many slots, all absent. 0 or MUSTER_ENOMEM. */
int roster_init(struct roster *roster, unsigned slots);
void roster_fini(struct roster *roster);

/* Something about the worker has changed. */
void roster_update(struct core *core, struct worker *worker);

/* The next thing that is due for a worker: a respawn, a ping, or its end. */
uint64_t worker_deadline(const struct core *core, const struct worker *worker);

/* What a worker has to do, by which those of as many places compare: places that are taken, and then jobs;
 * or chunks of one at a time. */
uint64_t worker_load(const struct worker *worker);

/* Of those that have credit, the one with the least to do and of those the first; NULL: there is none. */
struct worker *roster_least_loaded(const struct core *core);

#endif
