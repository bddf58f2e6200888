/* SPDX-License-Identifier: MIT
 *
 * The model threads: as many pthreads as workers, from open to close, that run functions on
 * pointers and encode nothing. What a process pool is to be compared with, so it has what a
 * good thread pool has: workers help themselves from one queue, chunk sizes follow measured
 * times and shrink toward the end (guided self-scheduling), a chunk that turns out long is
 * cut and the rest goes back, and idle workers sleep on condition variables of their own.
 */
#include "client/threads_pool.h"

#include "base/clock.h"
#include "base/cores.h"
#include "proto/limits.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    /* Results that ended and cannot be handed over yet, because a job before them still runs
     * or the caller is slow. Workers wait when there are more. */
    HELD_BYTES = 64 << 20,

    /* Chunks without results for the caller, which it need not hear of at once. */
    QUIET_CHUNKS = 64,

    /* Jobs of a stream that are read ahead, at most. */
    QUEUE_JOBS_MAX = 1 << 16,
};

void pool_wake(struct pool *pool, uint64_t count)
{
    for (; count > 0 && pool->idle; count--) {
        struct worker *worker = pool->idle;

        pool->idle = worker->next_idle;
        worker->idle = false;
        atomic_fetch_sub_explicit(&pool->idle_count, 1, memory_order_relaxed);
        pthread_cond_signal(&worker->wake);
    }
}

/* LOCKING: pool->mutex. */
static void sleep_until_woken(struct worker *worker)
{
    struct pool *pool = worker->pool;

    worker->idle = true;
    worker->next_idle = pool->idle;
    pool->idle = worker;
    atomic_fetch_add_explicit(&pool->idle_count, 1, memory_order_relaxed);
    while (worker->idle)
        pthread_cond_wait(&worker->wake, &pool->mutex);
}

/* Lets the caller collect. LOCKING: pool->mutex. */
static void notify(struct pool *pool)
{
    static const uint64_t one = 1;

    if (pool->notified)
        return;
    pool->notified = true;
    while (write(pool->completion_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

void pool_enqueue(struct pool *pool, struct span *span, struct feed_jobs *jobs)
{
    struct span **place = &pool->queue;

    while (*place && (*place)->jobs.first < jobs->first)
        place = &(*place)->next;
    pool->queued += jobs->count;
    span->jobs = feed_jobs_take(jobs, jobs->count);
    span->next = *place;
    *place = span;
}

bool pool_is_over(const struct pool *pool)
{
    return pool->running == 0 && ((pool->sealed && !pool->queue) || local_is_stopped(pool->run));
}

uint64_t pool_queue_target(const struct pool *pool)
{
    uint64_t jobs = 2 * (uint64_t)pool->worker_count * pacing_chunk(&pool->pacing, PROTO_CHUNK_JOBS_MAX, 1);

    return jobs < QUEUE_JOBS_MAX ? jobs : QUEUE_JOBS_MAX;
}

/* LOCKING: pool->mutex. */
static void tell_of_room(struct pool *pool)
{
    if (!pool->wants_room || pool->queued >= pool_queue_target(pool))
        return;
    pool->wants_room = false;
    notify(pool);
}

/* Whether the first jobs of the queue may run now: results that wait are bounded, but what
 * they all wait for is always let through. LOCKING: pool->mutex. */
static bool may_take(const struct pool *pool)
{
    if (!pool->queue || local_is_stopped(pool->run))
        return false;
    return pool->held_bytes < HELD_BYTES || pool->queue->jobs.first == pool->next;
}

/* An unused chunk, and a span for what may be left of it; NULL when out of memory.
 * LOCKING: pool->mutex. */
static struct local_chunk *provide(struct worker *worker)
{
    struct pool *pool = worker->pool;
    struct local_chunk *chunk = pool->free;

    if (!worker->spare && !(worker->spare = malloc(sizeof *worker->spare)))
        return NULL;
    if (!chunk)
        return local_chunk_create();
    pool->free = chunk->next;
    return chunk;
}

/* The next chunk to run; NULL when there is none. LOCKING: pool->mutex. */
static struct local_chunk *take(struct worker *worker)
{
    struct pool *pool = worker->pool;
    struct span *span = pool->queue;
    struct local_chunk *chunk;

    if (!may_take(pool))
        return NULL;
    if (!(chunk = provide(worker))) {
        pool->starved = true;
        local_stop(pool->run, true);
        notify(pool);
        return NULL;
    }
    chunk->jobs = feed_jobs_take(&span->jobs, pacing_chunk(&pool->pacing, pool->queued, pool->worker_count));
    pool->queued -= chunk->jobs.count;
    if (span->jobs.count == 0) {
        pool->queue = span->next;
        free(span);
    }
    tell_of_room(pool);
    pool->running++;
    return chunk;
}

/* Takes back a chunk that was run, and the jobs of it that were not. LOCKING: pool->mutex. */
static void complete(struct worker *worker, struct local_chunk *chunk, struct feed_jobs *rest)
{
    struct pool *pool = worker->pool;

    pool->running--;
    pacing_report(&pool->pacing, (uint32_t)chunk->jobs.count, chunk->execute_ns);
    if (rest->count > 0) {
        pool_enqueue(pool, worker->spare, rest);
        worker->spare = NULL;
        pool_wake(pool, 1);
    }
    chunk->next = NULL;
    *pool->done_end = chunk;
    pool->done_end = &chunk->next;
    pool->done_count++;
    pool->held_bytes += chunk->bytes;
    tell_of_room(pool);
    if (chunk->result_count > 0 || chunk->code != 0 || pool->done_count >= QUIET_CHUNKS || pool_is_over(pool))
        notify(pool);
}

/* Lets go of the mutex meanwhile; returns whether there was anything. LOCKING: pool->mutex. */
static bool work_on_tasks(struct worker *worker)
{
    struct pool *pool = worker->pool;

    if (!pool_take_tasks(worker))
        return false;
    pthread_mutex_unlock(&pool->mutex);
    pool_run_tasks(worker);
    pthread_mutex_lock(&pool->mutex);
    return true;
}

/* As work_on_tasks. LOCKING: pool->mutex. */
static bool work_on_batch(struct worker *worker)
{
    struct pool *pool = worker->pool;
    struct local_chunk *chunk = take(worker);
    struct local_batch *run = pool->run;
    struct feed_jobs rest;

    if (!chunk)
        return false;
    pthread_mutex_unlock(&pool->mutex);
    if (pool->guard) {
        chunk->taken_ns = clock_now_ns();
        pool->guard->enter(&worker->runner);
    }
    rest = local_run(&worker->runner, run, chunk);
    if (pool->guard)
        pool->guard->leave(&worker->runner);
    pthread_mutex_lock(&pool->mutex);
    complete(worker, chunk, &rest);
    return true;
}

static void *work(void *opaque)
{
    struct worker *worker = opaque;
    struct pool *pool = worker->pool;

    pthread_mutex_lock(&pool->mutex);
    if (++pool->ready == pool->worker_count)
        pthread_cond_signal(&pool->all_ready);
    while (!pool->closing) {
        if (!work_on_tasks(worker) && !work_on_batch(worker)) {
            sleep_until_woken(worker);
            pool->waking = false;
        }
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

/* Puts worker `place`, from 0, on a core of its own as far as there are. An errno value. */
static int pin(pthread_attr_t *attributes, unsigned place)
{
    cpu_set_t *own;
    size_t bytes;
    int cpu, failed;

    if (cores_nth(place, &cpu) != 0)
        return errno;
    if (!(own = cores_only(cpu, &bytes)))
        return ENOMEM;
    failed = pthread_attr_setaffinity_np(attributes, bytes, own);
    CPU_FREE(own);
    return failed;
}

/* Signals are the caller's: the threads block them all. An errno value. */
static int start_worker(struct worker *worker, bool pinned)
{
    unsigned place = (unsigned)(worker - worker->pool->workers);
    pthread_attr_t attributes;
    sigset_t all, before;
    int failed;

    if ((failed = pthread_attr_init(&attributes)) != 0)
        return failed;
    if (!pinned || (failed = pin(&attributes, place)) == 0) {
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        failed = pthread_create(&worker->thread, &attributes, work, worker);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    pthread_attr_destroy(&attributes);
    return failed;
}

static void stop_workers(struct pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    pool->closing = true;
    pool_recall_tasks(pool);
    pool_wake(pool, pool->started);
    pthread_mutex_unlock(&pool->mutex);
    for (unsigned i = 0; i < pool->started; i++)
        pthread_join(pool->workers[i].thread, NULL);
}

void pool_close(struct model *model, struct task **ended)
{
    struct pool *pool = (struct pool *)model;

    stop_workers(pool);
    pool_give_back(pool, ended);
    for (unsigned i = 0; i < pool->worker_count; i++) {
        local_runner_fini(&pool->workers[i].runner);
        pthread_cond_destroy(&pool->workers[i].wake);
        free(pool->workers[i].spare);
    }
    free(pool->workers);
    if (pool->completion_fd >= 0)
        close(pool->completion_fd);
    if (pool->tasks_fd >= 0)
        close(pool->tasks_fd);
    if (pool->guard)
        pool->guard->destroy(pool->guard);
    pthread_cond_destroy(&pool->all_ready);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

/* What the threads find: everything but the threads. 0, MUSTER_ENOMEM or MUSTER_ESYSTEM. */
static int build(struct pool *pool, unsigned worker_count)
{
    size_t bytes = worker_count * sizeof *pool->workers;

    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->all_ready, NULL);
    pool->done_end = &pool->done;
    pool->completion_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pool->tasks_fd = pool->completion_fd < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pool->tasks_fd < 0)
        return MUSTER_ESYSTEM;
    if (!(pool->workers = aligned_alloc(alignof(struct worker), bytes)))
        return MUSTER_ENOMEM;
    memset(pool->workers, 0, bytes);
    for (; pool->worker_count < worker_count; pool->worker_count++) {
        struct worker *worker = &pool->workers[pool->worker_count];

        worker->pool = pool;
        if (local_runner_init(&worker->runner, pool->worker_count + 1) != 0)
            return MUSTER_ENOMEM;
        worker->runner.guard = pool->guard;
        pthread_cond_init(&worker->wake, NULL);
    }
    return 0;
}

static int start_workers(struct pool *pool, bool pinned, struct muster_error *ret_error)
{
    for (; pool->started < pool->worker_count; pool->started++) {
        int failed = start_worker(&pool->workers[pool->started], pinned);

        if (failed)
            return muster_error_system(ret_error, failed, "cannot start thread %u of %u", pool->started + 1,
                                       pool->worker_count);
    }
    pthread_mutex_lock(&pool->mutex);
    while (pool->ready < pool->worker_count)
        pthread_cond_wait(&pool->all_ready, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
    return 0;
}

int pool_open(const struct model_ops *ops, struct local_guard *guard, const struct muster_options *options,
              struct model **ret_model, struct muster_error *ret_error)
{
    struct pool *pool = aligned_alloc(alignof(struct pool), sizeof *pool);
    int code;

    if (!pool) {
        if (guard)
            guard->destroy(guard);
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    }
    memset(pool, 0, sizeof *pool);
    pool->model.ops = ops;
    pool->guard = guard;
    if ((code = build(pool, options->workers)) == MUSTER_ESYSTEM)
        muster_error_system(ret_error, errno, "cannot make an eventfd");
    else if (code != 0)
        muster_error_set(ret_error, code, "out of memory for %u threads", options->workers);
    else if ((code = start_workers(pool, options->pin, ret_error)) == 0)
        *ret_model = &pool->model;
    if (code != 0)
        pool_close(&pool->model, &(struct task *){NULL});
    return code;
}

static int open_threads(const struct muster_options *options, const struct registry *registry,
                        struct model **ret_model, struct muster_error *ret_error)
{
    (void)registry;
    return pool_open(&model_threads, NULL, options, ret_model, ret_error);
}

const struct model_ops model_threads = {
    .open = open_threads,
    .close = pool_close,
    .map = pool_map,
    .submit = pool_submit,
    .cancel = pool_cancel,
    .dispatch = pool_dispatch,
    .fd = pool_fd,
};
