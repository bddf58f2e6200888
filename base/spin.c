/* SPDX-License-Identifier: MIT
 *
 * Waits that are awake for a moment. See spin.h.
 */
#include "base/spin.h"

#include "base/clock.h"
#include "base/cores.h"

#include <sched.h>

/* As long as to be woken takes: then waiting awake in vain costs no more than sleeping would have. */
static const uint64_t SPIN_NS = 50 * CLOCK_NS_PER_US;

void spin_init(struct spin *spin)
{
    unsigned cores;

    *spin = (struct spin){.cores = cores_count(&cores) == 0 && cores > 1};
}

void spin_begin(struct spin *spin)
{
    spin->began_ns = clock_now_ns();
}

bool spin_again(const struct spin *spin)
{
    if (!spin->cores || !spin->pays || clock_now_ns() - spin->began_ns >= SPIN_NS)
        return false;
    sched_yield();
    return true;
}

void spin_end(struct spin *spin)
{
    /* A wait that slept has the waking in it, which is to be saved. */
    spin->pays = clock_now_ns() - spin->began_ns < 2 * SPIN_NS;
}
