/* SPDX-License-Identifier: MIT
 *
 * The pool of the model threads, between its two sides: the workers (threads.c), which take
 * chunks off a queue and run them, and the caller (threads_map.c), which fills the queue and
 * hands over what is done.
 *
 * A worker takes chunks by itself, under one mutex; the caller is not asked. The caller only
 * sleeps, in poll, until something is done that it has to hand over.
 */
#ifndef MUSTER_CLIENT_THREADS_POOL_H
#define MUSTER_CLIENT_THREADS_POOL_H

#include "client/local.h"
#include "client/model.h"
#include "coordinator/pacing.h"

#include <pthread.h>

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
    alignas(LOCAL_CACHE_LINE) struct local_runner runner; /* the thread's own */
};

struct pool {
    struct model model;
    unsigned worker_count, started; /* workers, and threads of them */
    struct worker *workers;         /* owned, worker_count of them */
    int completion_fd;              /* an eventfd: the caller has something to do */
    atomic_uint idle_count;         /* written under the mutex, read by the caller without */

    /* Guards everything below, and next_idle, idle and spare of the workers. */
    alignas(LOCAL_CACHE_LINE) pthread_mutex_t mutex;
    pthread_cond_t all_ready; /* every worker has started */
    unsigned ready;
    bool closing;
    struct worker *idle;

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

/* Jobs that the queue should hold so that no worker waits for the next. */
uint64_t pool_queue_target(const struct pool *pool);

/* The model's map. No mutex. */
int pool_map(struct model *model, const muster_function *function, const struct muster_batch *batch,
             struct muster_summary *summary, struct muster_error *ret_error);

#endif
