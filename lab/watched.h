/* SPDX-License-Identifier: MIT
 *
 * Locks that are watched: each one that is taken, waited for or given back is entered in one
 * wait-for graph, under one mutex. A wait that would close a cycle is refused in that moment,
 * with the cycle: nothing has to be timed, polled or guessed. Threads and locks are numbers
 * that their user gives them. Not for speed: every lock costs what the one mutex costs.
 */
#ifndef MUSTER_LAB_WATCHED_H
#define MUSTER_LAB_WATCHED_H

#include "base/error.h"
#include "lab/waits.h"

#include <pthread.h>

struct watched {
    pthread_mutex_t mutex;   /* guards waits */
    pthread_cond_t released; /* some lock was given back */
    struct waits waits;
};

/* 0 or MUSTER_ESYSTEM. */
int watched_init(struct watched *watched, struct muster_error *ret_error);

/* No lock may be held. */
void watched_fini(struct watched *watched);

/* Takes the lock, waiting as long as another thread holds it. 0; or MUSTER_ESTATE, at once and
 * with the lock not taken, when this wait would never end: *ret_cycle then names the threads
 * that wait for each other, this one first, *ret_count of them. */
int watched_take(struct watched *watched, unsigned thread, unsigned lock, struct waits_place place,
                 struct waits_link ret_cycle[WAITS_THREADS_MAX], size_t *ret_count);

void watched_give(struct watched *watched, unsigned thread, unsigned lock);

#endif
