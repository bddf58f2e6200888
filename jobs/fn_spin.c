/* SPDX-License-Identifier: MIT
 *
 * spin: burns CPU time of its thread, a job of known size. Time that the thread spends
 * preempted does not count, so the same job costs the same on a busy machine.
 *
 * Reading the thread's CPU clock is a system call of a few hundred nanoseconds. It is read
 * sparsely: each stretch of work is sized to 7/8 of what remains at the rate seen so far, so
 * a spin of T takes about log8(T / 100 ns) readings and ends within one reading of T.
 */
#include "jobs/argument.h"
#include "jobs/builtin.h"

#include "base/clock.h"
#include "base/error.h"

#define SECONDS_MAX 86400.0 /* a day */

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

static int spin(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    uint64_t start_ns = clock_thread_cpu_ns(), spent_ns = 0, goal_ns, total = 0, rounds = ROUNDS_FIRST;
    double seconds;

    if (!argument_number(argument, 0, SECONDS_MAX, &seconds))
        return argument_refuse(call, &function_spin, argument);
    goal_ns = (uint64_t)(seconds * (double)CLOCK_NS_PER_S);
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
    *ret_result = *argument;
    return 0;
}

const muster_function function_spin = {
    .name = "spin",
    .summary = "burns the given CPU time: a job of known size",
    .argument = "CPU seconds from 0 to 86400, such as 0.001",
    .result = "the argument",
    .example = "0.001",
    .run = spin,
};
