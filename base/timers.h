/* SPDX-License-Identifier: MIT
 *
 * Deadlines in order: a binary heap of timers that their users embed. A timer that is added
 * first is due first among those of one deadline. One thread at a time.
 */
#ifndef MUSTER_BASE_TIMERS_H
#define MUSTER_BASE_TIMERS_H

#include "base/clock.h"

#include <stdbool.h>
#include <stddef.h>

/* Embedded in what waits; zeroed before its first use. */
struct timer {
    uint64_t deadline_ns; /* monotonic */
    uint64_t sequence;    /* of adding */
    size_t place;         /* in the heap, from 1; 0: not in it */
};

struct timers {
    struct timer **heap; /* owned; the timers are not */
    size_t count, capacity;
    uint64_t sequence;
};

/* A zeroed struct timers is empty. */
void timers_fini(struct timers *timers);

/* Adds a timer that is not in a heap. A deadline in the past is due at once. 0 or MUSTER_ENOMEM. */
int timers_add(struct timers *timers, struct timer *timer, uint64_t deadline_ns);

/* Takes a timer out before it is due; nothing happens to one that is not in. */
void timers_remove(struct timers *timers, struct timer *timer);

static inline bool timer_is_set(const struct timer *timer)
{
    return timer->place != 0;
}

/* Takes out and returns the earliest timer that is due; NULL when none is. */
struct timer *timers_take_due(struct timers *timers, uint64_t now_ns);

/* When the earliest is due; CLOCK_NEVER when there is none. */
static inline uint64_t timers_deadline(const struct timers *timers)
{
    return timers->count > 0 ? timers->heap[0]->deadline_ns : CLOCK_NEVER;
}

#endif
