/* SPDX-License-Identifier: MIT
 *
 * Work of a known length. See burn.h.
 *
 * Reading the thread's CPU clock is a system call of a few hundred nanoseconds. It is read
 * sparsely: each stretch of work is sized to 7/8 of what remains at the rate seen so far, so
 * a time T takes about log8(T / 100 ns) readings and ends within one reading of T.
 */
#include "jobs/burn.h"

#include "base/clock.h"
#include "base/error.h"

enum {
    ROUNDS_FIRST = 256,       /* about 200 ns: enough to see a rate */
    ROUNDS_MIN = 32,          /* about 30 ns, a fraction of a clock reading */
    STRETCH_NS = 1000 * 1000, /* the longest between two questions for cancellation */
};

static void burn(uint64_t rounds)
{
    uint64_t state = 1;

    while (rounds--) {
        state = state * UINT64_C(6364136223846793005) + 1;
        __asm__ volatile("" : "+r"(state)); /* every round is run, none is seen through */
    }
}

/* How many rounds until the next reading, after `rounds` took `spent_ns` of which
 * `remaining_ns` are still to come. */
static uint64_t next_stretch(uint64_t rounds, uint64_t spent_ns, uint64_t remaining_ns)
{
    uint64_t stretch_ns = remaining_ns - remaining_ns / 8;
    double next;

    if (stretch_ns > STRETCH_NS)
        stretch_ns = STRETCH_NS;
    next = (double)rounds / (double)(spent_ns ? spent_ns : 1) * (double)stretch_ns;
    return next > ROUNDS_MIN ? (uint64_t)next : ROUNDS_MIN;
}

int burn_seconds(muster_call *call, double seconds)
{
    uint64_t start_ns = clock_thread_cpu_ns(), spent_ns = 0, total = 0, rounds = ROUNDS_FIRST;
    uint64_t goal_ns = (uint64_t)(seconds * (double)CLOCK_NS_PER_S);

    while (spent_ns < goal_ns) {
        burn(rounds);
        total += rounds;
        spent_ns = clock_thread_cpu_ns() - start_ns;
        if (spent_ns >= goal_ns)
            break;
        if (muster_call_cancelled(call))
            return MUSTER_ECANCELLED;
        muster_call_progress(call, (double)spent_ns / (double)goal_ns);
        rounds = next_stretch(total, spent_ns, goal_ns - spent_ns);
    }
    return 0;
}
