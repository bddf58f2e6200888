/* SPDX-License-Identifier: MIT
 *
 * The pool of the models threads and gil, between its two sides: the workers (threads.c),
 * which take jobs off queues and run them, and the caller, which fills the queues and hands
 * over what is done: chunks of a batch (threads_map.c), and single jobs (threads_tasks.c).
 *
 * A worker takes jobs by itself, under one mutex; the caller is not asked. The caller only
 * sleeps, in poll, until something is done that it has to hand over.
 */
#ifndef MUSTER_CLIENT_THREADS_POOL_H
#define MUSTER_CLIENT_THREADS_POOL_H

#include "client/local.h"
#include "client/model.h"
#include "coordinator/pacing.h"

#include <pthread.h>

enum {
    /* Single jobs that a worker takes at once, at most: their share of the mutex is then below
     * a nanosecond. Those that it has not begun can be recalled. */
    HAND_MAX = 64,
    /* Added to worker.begun: what was not begun was recalled. */
    HAND_RECALLED = 2 * HAND_MAX,
};

/* Jobs that wait for a worker. */
struct span {
    struct span *next;
    struct feed_jobs jobs;
};

struct worker {
    alignas(LOCAL_CACHE_LINE) struct pool *pool; /* borrowed */
    pthread_t thread;
    pthread_cond_t wake;
    struct worker *next_idle;
    bool idle;          /* in the pool's list of idle workers */
    struct span *spare; /* owned: for what is left of a chunk that was cut; else NULL */

    /* Single jobs that this worker took. It alone writes them, with the mutex held. */
    struct task *hand[HAND_MAX];
    uint32_t hand_count;
    /* How many of them it began, and how many have ended; whoever holds the mutex adds
     * HAND_RECALLED to the first. */
    alignas(LOCAL_CACHE_LINE) atomic_uint_least32_t begun, over;
    alignas(LOCAL_CACHE_LINE) struct local_runner runner; /* the thread's own */
};

struct pool {
    struct model model;
    unsigned worker_count, started; /* workers, and threads of them */
    struct worker *workers;         /* owned, worker_count of them */
    struct local_guard *guard;      /* owned; NULL for threads */
    int completion_fd;              /* an eventfd: the caller has something to do for its batch */
    int tasks_fd;                   /* an eventfd: single jobs have ended */
    atomic_uint idle_count;         /* written under the mutex, read by the caller without */

    /* Single jobs that ended: a stack, by task.next, pushed to by workers. */
    alignas(LOCAL_CACHE_LINE) _Atomic(struct task *) ended;
    struct task *collected; /* taken off it, in order of their ends; the caller's own */

    /* Guards everything below, and next_idle, idle, spare and the hands of the workers. */
    alignas(LOCAL_CACHE_LINE) pthread_mutex_t mutex;
    pthread_cond_t all_ready; /* every worker has started */
    unsigned ready;
    bool closing;
    struct worker *idle;
    bool waking;           /* a worker that was woken for a task has not come yet */
    struct task *tasks;    /* borrowed; single jobs that wait for a worker, in order */
    uint64_t tasks_queued; /* of them */

    struct local_batch *run; /* that is being mapped; NULL between batches */
    struct pacing pacing;
    struct span *queue; /* owned; ordered by index */
    uint64_t queued;    /* jobs in it */
    bool sealed;        /* nothing will be appended to it */
    uint64_t next;      /* ordered: the first job that was not handed over; unordered: 0 */
    unsigned running;   /* workers that run a chunk */
    bool starved;       /* a worker had no memory for a chunk */

    struct local_chunk *done, **done_end; /* owned; ended and not yet collected */
    unsigned done_count;
    size_t held_bytes;        /* of chunks that ended and were not handed over */
    bool notified;            /* completion_fd was written since the caller last collected */
    bool wants_room;          /* the caller waits until the queue takes more arguments */
    struct local_chunk *free; /* owned; for the next use */
};

/* The functions below want the mutex held. LOCKING: pool->mutex. */

/* Wakes up to `count` idle workers. */
void pool_wake(struct pool *pool, uint64_t count);

/* Puts jobs into the queue, by their index; takes the reference of *jobs over and empties it.
 * `span` becomes the queue's. */
void pool_enqueue(struct pool *pool, struct span *span, struct feed_jobs *jobs);

/* Whether no job of the batch runs or will. */
bool pool_is_over(const struct pool *pool);

/* Takes back all single jobs before the workers end: those not begun wait in pool->tasks, those
 * that run are asked to end. */
void pool_recall_tasks(struct pool *pool);

/* Takes single jobs into the worker's hand, also such as another worker took and has not begun.
 * Returns whether there were any. */
bool pool_take_tasks(struct worker *worker);

/* Jobs that the queue should hold so that no worker waits for the next. */
uint64_t pool_queue_target(const struct pool *pool);

/* What follows takes the mutex itself. */

/* Runs the worker's hand and hands it back. */
void pool_run_tasks(struct worker *worker);

/* Appends all single jobs that were not handed back, once no worker runs any more. */
void pool_give_back(struct pool *pool, struct task **ended);

/* Opens a pool whose workers run jobs within `guard`, which it takes over, also when it fails. */
int pool_open(const struct model_ops *ops, struct local_guard *guard, const struct muster_options *options,
              struct model **ret_model, struct muster_error *ret_error);

/* Members of model_ops. */
void pool_close(struct model *model, struct task **ended); /* also of a pool built in part */
int pool_map(struct model *model, const muster_function *function, const struct muster_batch *batch,
             struct muster_summary *summary, struct muster_error *ret_error);
int pool_submit(struct model *model, struct task *task, struct muster_error *ret_error);
void pool_cancel(struct model *model, struct task *task);
int pool_dispatch(struct model *model, struct task **ended, struct muster_error *ret_error);
int pool_fd(const struct model *model);

#endif
