/* SPDX-License-Identifier: MIT
 *
 * A coroutine of the executor of several jobs at once (worker/concurrent.c): it takes a job, runs it, and
 * notes how it ended. The flight recorder and the link are told which runner's job has the thread.
 * On the executor's thread, but for what the struct says.
 */
#ifndef MUSTER_WORKER_RUNNER_H
#define MUSTER_WORKER_RUNNER_H

#include "base/timers.h"
#include "jobs/call.h"
#include "jobs/loop.h"
#include "worker/ended.h"
#include "worker/lent.h"
#include "worker/link.h"

#include <semaphore.h>

struct runner {
    struct timer timer; /* first; of the job's limit */
    struct concurrent *x;
    struct lot *lot; /* of its job; NULL: it has none */
    uint32_t place;  /* of its job */
    uint32_t progress;
    bool late; /* its job was asked to end, for its limit */
    bool done; /* its coroutine has ended */
    uint64_t deadline_ns;
    uint64_t since_ns, held_ns; /* its job has the thread since, and had it before */
    struct call_cancel cancel;
    struct call call;
    msgpack_zone zone;
    struct runner *prev, *next; /* of those with a job, or of the spare ones */
};

struct concurrent {
    struct link *link;
    const struct registry *registry;
    struct flight_page *flight;
    struct loop *loop;
    unsigned concurrency;
    struct lot *lots; /* owned */
    struct lot
        *fresh[2];    /* of functions and of commands: where the next job is, or ahead of that; NULL: none */
    struct lot *over; /* of which nothing runs nor will: to be reported at once; owned */
    uint64_t waiting[2];      /* likewise; jobs that have not started */
    struct runner *commander; /* whose job is a command: until it has ended, others are kept; NULL: none's */
    struct runner *busy;      /* that have a job; as fibers of the loop */
    struct runner *spare;     /* whose coroutine has ended; owned */
    struct timers timers;
    struct lent lent;
    struct ended ended;
    uint64_t resumed_ns; /* when the running runner got the thread */
    bool stopping;
    int result;                     /* not 0: the worker must end */
    sem_t untouched;                /* posted while a function runs, and nothing above is in use */
    atomic_bool arrived, cancelled; /* set by the link's thread */
};

/* What the loop tells of a runner: its coroutine has the thread, and has it no more. */
void runner_resumed(void *context);
void runner_suspended(void *context);

/* Gives it the next job; false: there is none. */
bool runner_begin(struct runner *runner);

/* Runs that job to its end, and notes it in x->ended. 0 or MUSTER_ENOMEM. */
int runner_run(struct runner *runner, struct fiber *fiber);

/* Index of its job in the batch. */
uint64_t runner_index(const struct runner *runner);

/* Whether the client wants its job no more. */
bool runner_is_cancelled(const struct runner *runner, enum link_drop least);

/* How many jobs could start. */
uint64_t concurrent_waiting(const struct concurrent *x);

/* No further job of the lot starts. */
void concurrent_skip_rest(struct concurrent *x, struct lot *lot);

/* Puts the lot among those that are over, if it is. */
void concurrent_note_over(struct concurrent *x, struct lot *lot);

#endif
