/* SPDX-License-Identifier: MIT
 *
 * A deadlock, made on purpose: two threads move money between two accounts in opposite
 * directions, each locking first the account it takes from. They meet when each holds one
 * lock, and then ask for the other. The wait that closes the cycle is refused as it begins
 * (lab/watched.h); the thread that is refused gives its lock back, and both go on. Then the
 * same transfers with the locks always taken in the same order, which cannot deadlock.
 */
#ifndef MUSTER_LAB_DEADLOCK_H
#define MUSTER_LAB_DEADLOCK_H

#include "base/error.h"
#include "lab/waits.h"

#include <stdint.h>

enum { DEADLOCK_PARTIES = 2, DEADLOCK_TRANSFERS_DEFAULT = 10000 };

struct deadlock_report {
    struct waits_link cycle[WAITS_THREADS_MAX]; /* the thread that was refused comes first */
    size_t count;                               /* of its threads */
    uint64_t transfers;                         /* in order: of both threads, all of them done */
    double wall_s;                              /* in order */
};

/* Names of threads and locks, by the numbers in a link. */
const char *deadlock_thread(unsigned thread);
const char *deadlock_lock(unsigned lock);

/* Both parts, the second with so many transfers by each thread. 0; MUSTER_ESYSTEM; MUSTER_ESTATE
 * when the first was not, or the second was, a deadlock: that would be a bug here. */
int deadlock_run(uint64_t transfers, struct deadlock_report *ret_report, struct muster_error *ret_error);

#endif
