/* SPDX-License-Identifier: MIT
 *
 * A lock that threads hand over as CPython's hand over the interpreter lock: who waits for it
 * asks for it every GIL_INTERVAL_NS, and who holds it lets go at its next check point and does
 * not get it back before somebody else had it.
 */
#ifndef MUSTER_CLIENT_GIL_H
#define MUSTER_CLIENT_GIL_H

#include "base/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* CPython's sys.getswitchinterval(): DEFAULT_INTERVAL, 5000 us, in Python/ceval_gil.c. */
#define GIL_INTERVAL_NS (5 * CLOCK_NS_PER_MS)

struct gil {
    atomic_bool wanted; /* somebody has waited for an interval; written under the mutex */

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t freed, taken;
    bool held;
    const void *holder; /* who has it, or had it last; a thread's own address */
    uint64_t switches;  /* times that it went to another holder */
};

void gil_init(struct gil *gil);

/* Nobody holds it or waits for it. */
void gil_fini(struct gil *gil);

/* Waits for the lock as long as it takes. `self` is an address that only this thread passes. */
void gil_take(struct gil *gil, const void *self);

/* Lets go of it; if it is wanted, returns when somebody else has taken it. */
void gil_drop(struct gil *gil, const void *self);

/* A check point of the thread that holds it: hands it over when it is wanted. */
static inline void gil_check(struct gil *gil, const void *self)
{
    if (!atomic_load_explicit(&gil->wanted, memory_order_relaxed))
        return;
    gil_drop(gil, self);
    gil_take(gil, self);
}

#endif
