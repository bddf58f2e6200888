/* SPDX-License-Identifier: MIT
 *
 * sort: sorts seeded 64-bit integers with the C library's qsort: CPU work that lives in
 * memory. qsort cannot be interrupted, so cancellation is asked for before and after it.
 */
#include "jobs/argument.h"
#include "jobs/builtin.h"
#include "jobs/random.h"

#include "base/error.h"

#include <stdlib.h>

/* 80 MB and as much again for qsort, a few seconds. */
enum { COUNT_MAX = 10 * 1000 * 1000 };

/* Of FNV-1a, taken over whole integers: a checksum that depends on their order. Its upper 53
 * bits are given, which every JSON reader keeps exactly. */
#define CHECKSUM_BASIS UINT64_C(0xcbf29ce484222325)
#define CHECKSUM_PRIME UINT64_C(0x100000001b3)

static int by_value(const void *left, const void *right)
{
    const uint64_t *a = left, *b = right;

    return (*a > *b) - (*a < *b);
}

static uint64_t checksum(const uint64_t *numbers, size_t count)
{
    uint64_t sum = CHECKSUM_BASIS;
    size_t i;

    for (i = 0; i < count; i++)
        sum = (sum ^ numbers[i]) * CHECKSUM_PRIME;
    return sum >> 11;
}

static int sort(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    int64_t count, seed;
    struct random random;
    uint64_t *numbers;
    size_t size, i;
    int code = 0;

    if (!argument_seeded(argument, "count", 1, COUNT_MAX, &count, &seed))
        return argument_refuse(call, &function_sort, argument);
    size = (size_t)count;
    numbers = malloc(size * sizeof *numbers);
    if (!numbers)
        return muster_call_fail(call, "out of memory for %zu integers", size);
    random_seed(&random, (uint64_t)seed);
    for (i = 0; i < size; i++)
        numbers[i] = random_next(&random);
    if (!muster_call_cancelled(call))
        qsort(numbers, size, sizeof *numbers, by_value);
    if (muster_call_cancelled(call)) {
        code = MUSTER_ECANCELLED;
        goto out;
    }
    ret_result->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
    ret_result->via.u64 = checksum(numbers, size);
out:
    free(numbers);
    return code;
}

const muster_function function_sort = {
    .name = "sort",
    .summary = "sorts seeded 64-bit integers: CPU work in memory",
    .argument = "a count from 1 to 10000000, or {\"count\":N,\"seed\":S} with a seed from 0 on (default 0)",
    .result = "a checksum of the integers in their order, an integer",
    .example = "{\"count\":100000,\"seed\":1}",
    .run = sort,
};
