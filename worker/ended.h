/* SPDX-License-Identifier: MIT
 *
 * Outcomes of jobs that end in any order, gathered until they are worth a message: what a
 * concurrent executor has and the coordinator does not know yet. Neighbours of one chunk are
 * reported together.
 */
#ifndef MUSTER_WORKER_ENDED_H
#define MUSTER_WORKER_ENDED_H

#include "worker/lent.h"
#include "worker/report.h"

#include <time.h>

/* A chunk, as the executor of several jobs has it. */
struct lot {
    struct assignment *assignment;
    const muster_function *function; /* NULL: this worker does not have it */
    bool command;                    /* its jobs are commands, of which one runs at a time */
    size_t offset;                   /* of the argument of the next job */
    uint32_t count;                  /* jobs of it that were not given back */
    uint32_t started, running;       /* jobs */
    bool skipped;                    /* no further job of it starts */
    bool finished;                   /* its final report was posted */
    struct lot *prev, *next;
};

/* Whether all of its jobs that will ever run have ended. */
static inline bool lot_over(const struct lot *lot)
{
    return lot->running == 0 && (lot->skipped || lot->started == lot->count);
}

/* How one job ended. */
struct outcome {
    struct lot *lot;
    uint32_t place;         /* in its chunk */
    int code;               /* 0: a value */
    bool valued;            /* `code` is not 0, and there is a value nonetheless */
    struct proto_text text; /* of `code` */
    size_t offset, size;    /* of its value */
    uint64_t shared_bytes;  /* of it, in shared memory */
    uint64_t began_ns, decode_ns, execute_ns;
    uint64_t encode_ns; /* set by ended_add */
    uint64_t held_ns;   /* of that it had the thread */
    uint64_t cpu_ns;    /* 0: not measured; its share of what the thread used is reported */
};

struct ended {
    struct lent *lent;    /* borrowed */
    struct outcome *list; /* owned */
    size_t count, capacity;
    msgpack_sbuffer values;
    msgpack_zone texts;
    uint64_t shared_bytes;
    uint32_t failures;
    uint64_t held_ns;         /* of all of them */
    clockid_t cpu_clock;      /* of the thread that made it, which runs the jobs */
    uint64_t reported_cpu_ns; /* of that thread, at the last report */
    uint64_t oldest_ns;       /* when the first of them ended */
    struct report report;
};

/* By the thread that runs the jobs. 0 or MUSTER_ENOMEM. */
int ended_init(struct ended *ended, struct lent *lent);
void ended_fini(struct ended *ended);

/* A job returned `value`, or failed with `code` and `text`; a value that cannot be sent is a
 * failure. The outcome's times are set. 0 or MUSTER_ENOMEM. */
int ended_add(struct ended *ended, const struct outcome *outcome, const msgpack_object *value,
              const char *text);

/* Whether they should be reported although more come: they are many, or have waited for long. */
bool ended_due(const struct ended *ended, uint64_t now_ns, uint64_t hold_ns);

/* Reports all of them; it is the final report of lots that are over. 0 or MUSTER_ENOMEM. */
int ended_report(struct ended *ended, struct link *link);

#endif
