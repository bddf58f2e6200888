/* SPDX-License-Identifier: MIT
 *
 * kernel: work of an exact length, down to nothing: iterations of arithmetic of which each needs
 * the one before, and an end that nothing later passes. The length is in the upper half of the
 * argument, so that a range of neighbours, which crosses to a worker as two numbers, is jobs of
 * one length.
 */
#include "jobs/argument.h"
#include "jobs/builtin.h"

#include "base/error.h"

/* About 10 ms: between two questions for cancellation. */
static const uint64_t STRETCH = UINT64_C(1) << 22;

/* Waits for what has begun. A core would else begin the next job within this one: a bare loop over
 * jobs of 32 iterations took 0.38 of what these take by themselves. */
static inline void settle(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __asm__ volatile("lfence" ::: "memory");
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

void kernel_iterate(uint64_t iterations)
{
    uint64_t state = 1;

    while (iterations--) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        __asm__ volatile("" : "+r"(state)); /* every one is run, none is seen through */
    }
    settle();
}

static int kernel(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    uint64_t iterations, total;

    (void)ret_result; /* nil already */
    if (argument->type != MSGPACK_OBJECT_POSITIVE_INTEGER || argument->via.u64 > INT64_MAX)
        return argument_refuse(call, &function_kernel, argument);
    total = iterations = argument->via.u64 >> KERNEL_SHIFT;
    while (iterations > STRETCH) {
        kernel_iterate(STRETCH);
        iterations -= STRETCH;
        if (muster_call_cancelled(call))
            return MUSTER_ECANCELLED;
        muster_call_progress(call, 1 - (double)iterations / (double)total);
    }
    kernel_iterate(iterations);
    return 0;
}

const muster_function function_kernel = {
    .name = "kernel",
    .summary = "iterates so many times: a job of an exact length",
    .argument = "an integer from 0 to 2^63 - 1: 2^32 times the iterations, plus anything below 2^32",
    .result = "null",
    .example = "4294967296000",
    .run = kernel,
};
