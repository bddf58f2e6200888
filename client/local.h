/* SPDX-License-Identifier: MIT
 *
 * Jobs that run in this process, for the models inline and threads: running a chunk of a
 * batch, keeping what came out, and giving it to the caller; and running a single job.
 *
 * The struct local_batch has three parts: settings that nobody writes during the batch,
 * flags that any thread may set and read, and the caller's own books. A chunk belongs to one
 * thread at a time.
 */
#ifndef MUSTER_CLIENT_LOCAL_H
#define MUSTER_CLIENT_LOCAL_H

#include "client/account.h"
#include "client/feed.h"
#include "client/muster.h"
#include "client/stall.h"
#include "client/task.h"
#include "jobs/loop.h"

#include <stdalign.h>

/* What a thread reads for every job stays off the line that others write. */
enum { LOCAL_CACHE_LINE = 64 };

struct local_batch {
    /* settings */
    const muster_function *function;
    const struct muster_batch *batch; /* borrowed */
    bool cut_late;                    /* a chunk that lasts long ends before its last job */
    bool caller_works;                /* jobs run on the caller's thread, which has no time else */

    /* any thread */
    alignas(LOCAL_CACHE_LINE) struct call_cancel cancel;      /* running jobs should end */
    atomic_bool stopped;                                      /* no further job starts */
    alignas(LOCAL_CACHE_LINE) atomic_uint_least64_t failures; /* counted when halt_failures is set */

    /* the caller's thread */
    alignas(LOCAL_CACHE_LINE) struct muster_summary *summary; /* borrowed */
    struct account *account;                                  /* owned */
    uint64_t total;                                           /* jobs, 0 while not known */
    int code;           /* why the batch ended early, the first reason; 0: it did not */
    const char *reason; /* of `code`, static */
    bool muted;         /* a callback failed: none is called again */
    uint64_t started_ns, ticked_ns;
    struct stall stall;
};

/* How one job ended that is worth a record: it failed, or its result is wanted. */
struct local_result {
    msgpack_object value; /* in the chunk's memory; nil when it failed */
    const char *text;     /* why it failed; NULL when it did not */
    uint32_t position;    /* in the chunk */
    int32_t code;
    uint32_t attempts;
};

/* When its last attempt ran; of batches that want to know. */
struct local_timing {
    uint64_t began_ns, wall_ns, cpu_ns;
};

struct local_chunk {
    struct local_chunk *next, *prev; /* for whoever holds it in a list */
    struct feed_jobs jobs;           /* all ended once local_run is through */
    uint32_t ended;                  /* of them, so far; those behind the next may be taken away meanwhile */
    struct local_result *results;
    struct local_timing *timings; /* as many as results; NULL unless they are measured */
    uint32_t result_count, result_capacity;
    unsigned worker;
    uint64_t failed, retried, execute_ns, cpu_ns;
    uint64_t taken_ns; /* by its worker, which may then have to wait; 0: it did not */
    uint64_t began_ns;
    uint64_t received_ns; /* by the caller; 0: not yet */
    int code;             /* 0, or why no further job could be run */
    size_t bytes;         /* about what it takes in memory */
    msgpack_zone memory;
    const void *newest_memory; /* the piece of it that was counted last */
};

struct local_runner;

/* What surrounds the jobs of a thread, for the model gil. */
struct local_guard {
    struct muster_call_ops ops; /* of its calls, whose `host` is the runner */
    void (*enter)(struct local_runner *runner);
    void (*pass)(struct local_runner *runner); /* between two jobs */
    void (*leave)(struct local_runner *runner);
    void (*destroy)(struct local_guard *guard);
};

/* What a thread runs jobs with. */
struct local_runner {
    struct call call;
    struct local_guard *guard; /* borrowed; NULL: nothing surrounds them */
    struct fiber *fiber;       /* borrowed; that runs them, for the model loop; else NULL */
    msgpack_zone scratch;      /* results that nobody wants to see */
    unsigned worker;           /* from 1 */
    uint64_t task_ns;          /* of the single job that was timed last; 0: none was */
};

/* 0 or MUSTER_ENOMEM. summary->workers is set. */
int local_batch_init(struct local_batch *run, const muster_function *function,
                     const struct muster_batch *batch, struct muster_summary *summary);

/* Starts no further job; with `now` running jobs are asked to end too. Any thread. */
void local_stop(struct local_batch *run, bool now);

static inline bool local_is_stopped(const struct local_batch *run)
{
    return atomic_load_explicit(&run->stopped, memory_order_relaxed);
}

/* Stops now, for a reason that muster_map will return; later reasons are ignored. The
 * caller's thread. */
void local_give_up(struct local_batch *run, int code, const char *reason);

/* 0 or MUSTER_ENOMEM. */
int local_runner_init(struct local_runner *runner, unsigned worker);
void local_runner_fini(struct local_runner *runner);

/* Without jobs; NULL when out of memory. */
struct local_chunk *local_chunk_create(void);

/* Drops the jobs and forgets the results, for the next use. */
void local_chunk_clear(struct local_chunk *chunk);

/* Takes NULL. */
void local_chunk_destroy(struct local_chunk *chunk);

/* Runs the chunk's jobs in order until all ended, the batch was stopped, or enough came of
 * it for one delivery. Returns the jobs that did not end; the chunk keeps those that did. */
struct feed_jobs local_run(struct local_runner *runner, struct local_batch *run, struct local_chunk *chunk);

/* Runs a single job and sets how it ended, but for its index: with its retries, unless its
 * cancel flag is raised, which may happen meanwhile. */
void local_run_task(struct local_runner *runner, struct task *task);

/* Adds what the chunk did to the summary, and to the receipt. */
void local_account(struct local_batch *run, struct local_chunk *chunk);

/* Gives the chunk's results to the caller's on_result. */
void local_deliver(struct local_batch *run, const struct local_chunk *chunk);

enum local_event { LOCAL_SOURCE = 1, LOCAL_COMPLETION = 2 };

/* Calls on_tick, then sleeps until the source is readable, the completion is, or it is time
 * for the next tick. Descriptors of -1 are not waited for. An interrupt ends the batch.
 * Returns what is there, as a mask of enum local_event. */
unsigned local_wait(struct local_batch *run, int source_fd, int completion_fd);

/* Between jobs on the caller's thread: on_tick and the interrupt when it is time for them. */
void local_breathe(struct local_batch *run);

/* The end of a batch of `total` jobs: counts those that never ended, closes the account, and
 * returns the code of muster_map. */
int local_finish(struct local_batch *run, const struct feed *feed, uint64_t total,
                 struct muster_error *ret_error);

#endif
