/* SPDX-License-Identifier: MIT
 *
 * fib: Fibonacci numbers by the naive double recursion, about 1.6^n calls: pure CPU work
 * without memory.
 */
#include "jobs/argument.h"
#include "jobs/builtin.h"

#include "base/error.h"

enum {
    N_MAX = 50,    /* a minute or two */
    N_ASKING = 25, /* below, a call takes less than a millisecond: it does not ask for cancellation */
};

static uint64_t fib_number(int64_t n)
{
    return n < 2 ? (uint64_t)n : fib_number(n - 1) + fib_number(n - 2);
}

/* The same, asking for cancellation; false when it was. */
static bool fib_asking(muster_call *call, int64_t n, uint64_t *ret_number)
{
    uint64_t larger, smaller;

    if (n < N_ASKING) {
        *ret_number = fib_number(n);
        return true;
    }
    if (muster_call_cancelled(call) || !fib_asking(call, n - 1, &larger) ||
        !fib_asking(call, n - 2, &smaller))
        return false;
    *ret_number = larger + smaller;
    return true;
}

static int fib(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    uint64_t number;
    int64_t n;

    if (!argument_integer(argument, 0, N_MAX, &n))
        return argument_refuse(call, &function_fib, argument);
    if (!fib_asking(call, n, &number))
        return MUSTER_ECANCELLED;
    ret_result->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
    ret_result->via.u64 = number;
    return 0;
}

const muster_function function_fib = {
    .name = "fib",
    .summary = "the n-th Fibonacci number by naive recursion: CPU work without memory",
    .argument = "an integer from 0 to 50",
    .result = "an integer",
    .example = "30",
    .run = fib,
};
