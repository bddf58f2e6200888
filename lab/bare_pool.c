/* SPDX-License-Identifier: MIT
 *
 * A bare pool of threads. See bare.h.
 */
#include "lab/bare.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdlib.h>

enum { RING_RUNS = 1024 };

struct run {
    uint64_t first, count;
};

struct ring {
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t room, work;
    struct run runs[RING_RUNS];
    uint64_t put, taken; /* runs, ever */
    bool over;
    uint64_t sum; /* of results */
};

/* A job's function, where a compiler cannot see that it does nothing. */
static uint64_t twice(uint64_t value)
{
    return 2 * value + 1;
}
static uint64_t (*volatile job_function)(uint64_t) = twice;

static void *work(void *context)
{
    struct ring *ring = context;
    uint64_t sum = 0;
    struct run run;

    pthread_mutex_lock(&ring->mutex);
    for (;;) {
        while (ring->put == ring->taken && !ring->over)
            pthread_cond_wait(&ring->work, &ring->mutex);
        if (ring->put == ring->taken)
            break;
        run = ring->runs[ring->taken++ % RING_RUNS];
        if (ring->put - ring->taken == RING_RUNS / 2)
            pthread_cond_signal(&ring->room);
        pthread_mutex_unlock(&ring->mutex);
        for (uint64_t i = 0; i < run.count; i++)
            sum += job_function(run.first + i);
        pthread_mutex_lock(&ring->mutex);
    }
    ring->sum += sum;
    pthread_mutex_unlock(&ring->mutex);
    return NULL;
}

/* All jobs into the ring. */
static void feed(struct ring *ring, uint64_t jobs, unsigned chunk)
{
    for (uint64_t first = 0; first < jobs; first += chunk) {
        struct run run = {first, jobs - first < chunk ? jobs - first : chunk};

        pthread_mutex_lock(&ring->mutex);
        while (ring->put - ring->taken == RING_RUNS)
            pthread_cond_wait(&ring->room, &ring->mutex);
        ring->runs[ring->put++ % RING_RUNS] = run;
        pthread_cond_signal(&ring->work);
        pthread_mutex_unlock(&ring->mutex);
    }
}

int bare_pool_run(void *context, uint64_t jobs, uint64_t *ret_ns, struct muster_error *ret_error)
{
    const struct bare_pool *pool = context;
    struct ring *ring = calloc(1, sizeof *ring);
    pthread_t *threads = calloc(pool->workers, sizeof *threads);
    unsigned started = 0;
    uint64_t began_ns, taken_ns = 0, sum = 0;
    int code = 0;

    if (!ring || !threads) {
        code = muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
        goto out;
    }
    pthread_mutex_init(&ring->mutex, NULL);
    pthread_cond_init(&ring->room, NULL);
    pthread_cond_init(&ring->work, NULL);
    while (started < pool->workers && !code) {
        int error = pthread_create(&threads[started], NULL, work, ring);

        started += error == 0;
        code = error ? muster_error_system(ret_error, error, "cannot start a thread") : 0;
    }
    began_ns = clock_now_ns();
    if (!code)
        feed(ring, jobs, pool->chunk);
    pthread_mutex_lock(&ring->mutex);
    ring->over = true;
    pthread_cond_broadcast(&ring->work);
    pthread_mutex_unlock(&ring->mutex);
    while (started > 0)
        pthread_join(threads[--started], NULL);
    taken_ns = clock_now_ns() - began_ns;
    sum = ring->sum;
    pthread_cond_destroy(&ring->work);
    pthread_cond_destroy(&ring->room);
    pthread_mutex_destroy(&ring->mutex);
    if (!code && sum != jobs * jobs)
        code = muster_error_set(ret_error, MUSTER_ESTATE, "the bare pool's results are wrong");
out:
    free(threads);
    free(ring);
    if (!code)
        *ret_ns = taken_ns;
    return code;
}
