/* SPDX-License-Identifier: MIT
 *
 * The lock of the model gil. See gil.h.
 *
 * One difference to CPython: a waiter's interval runs on while the same thread drops and takes
 * the lock again, where CPython's starts anew with every wake-up; so a waiter asks 5 ms after it
 * came, at the latest, however often the holder lets go for a moment.
 */
#include "client/gil.h"

#include <assert.h>
#include <errno.h>

void gil_init(struct gil *gil)
{
    pthread_condattr_t monotonic;

    *gil = (struct gil){.held = false};
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&gil->mutex, NULL);
    pthread_cond_init(&gil->freed, &monotonic);
    pthread_cond_init(&gil->taken, NULL);
    pthread_condattr_destroy(&monotonic);
}

void gil_fini(struct gil *gil)
{
    pthread_cond_destroy(&gil->taken);
    pthread_cond_destroy(&gil->freed);
    pthread_mutex_destroy(&gil->mutex);
}

/* Waits for one interval, or until the lock is free, or somebody else has it. LOCKING: mutex. */
static void wait_interval(struct gil *gil)
{
    uint64_t deadline_ns = clock_now_ns() + GIL_INTERVAL_NS, switches = gil->switches;
    struct timespec until = {.tv_sec = (time_t)(deadline_ns / CLOCK_NS_PER_S),
                             .tv_nsec = (long)(deadline_ns % CLOCK_NS_PER_S)};
    int waited = 0;

    while (gil->held && gil->switches == switches && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&gil->freed, &gil->mutex, &until);
    if (gil->held && gil->switches == switches)
        atomic_store_explicit(&gil->wanted, true, memory_order_relaxed);
}

void gil_take(struct gil *gil, const void *self)
{
    pthread_mutex_lock(&gil->mutex);
    while (gil->held)
        wait_interval(gil);
    gil->held = true;
    atomic_store_explicit(&gil->wanted, false, memory_order_relaxed);
    if (gil->holder != self) {
        gil->holder = self;
        gil->switches++;
        pthread_cond_broadcast(&gil->taken);
    }
    pthread_mutex_unlock(&gil->mutex);
}

void gil_drop(struct gil *gil, const void *self)
{
    pthread_mutex_lock(&gil->mutex);
    assert(gil->held && gil->holder == self);
    gil->held = false;
    pthread_cond_signal(&gil->freed);
    while (gil->holder == self && atomic_load_explicit(&gil->wanted, memory_order_relaxed))
        pthread_cond_wait(&gil->taken, &gil->mutex);
    pthread_mutex_unlock(&gil->mutex);
}
