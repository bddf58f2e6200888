/* SPDX-License-Identifier: MIT
 *
 * primes: how many primes are in a range, by a segmented sieve of Eratosthenes over the odd
 * numbers. Memory is a segment and the primes up to the root of the range's end, whatever
 * its length, so ranges can be split over any number of jobs and their counts added.
 */
#include "jobs/argument.h"
#include "jobs/builtin.h"

#include "base/error.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Up to here the primes below the root fit 8 MiB, and are found in 20 ms. */
#define NUMBER_MAX INT64_C(100000000000000)

enum {
    SEGMENT_MIN = 32 << 10, /* odd numbers, a byte each: an L1 cache */
    SEGMENT_MAX = 1 << 20,  /* most of an L2 cache */
};

/* Crosses off the multiples of one prime. */
struct striker {
    uint64_t next; /* place of its next odd multiple, as an offset from the segment's start */
    uint32_t prime;
};

struct sieve {
    struct striker *strikers; /* the odd primes up to the root of `last`; owned */
    size_t count;
    uint8_t *composite; /* composite[i]: first + 2 * i is not prime; owned */
    uint64_t segment;   /* its size */
};

static uint64_t root(uint64_t number)
{
    uint64_t low = 0, high = UINT32_MAX, middle;

    while (low < high) {
        middle = low + (high - low + 1) / 2;
        if (middle * middle <= number)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* Where in the odd numbers from `first` (odd) the prime's odd multiples, itself excluded, begin. */
static uint64_t first_strike(uint64_t prime, uint64_t first)
{
    uint64_t multiple = prime * prime;

    if (multiple < first)
        multiple = (first + prime - 1) / prime * prime;
    if (multiple % 2 == 0)
        multiple += prime;
    return (multiple - first) / 2;
}

/* The odd primes up to `limit`, ready to sieve from `first` (odd). False when out of memory. */
static bool find_strikers(struct sieve *sieve, uint64_t limit, uint64_t first)
{
    size_t odds = (size_t)(limit + 1) / 2, i, j; /* place i stands for 2 * i + 1 */
    uint8_t *composite = calloc(odds + 1, 1);

    if (!composite)
        return false;
    sieve->count = 0;
    for (i = 1; i < odds; i++) {
        if (composite[i])
            continue;
        sieve->count++;
        for (j = 2 * i * (i + 1); j < odds; j += 2 * i + 1) /* from the square on */
            composite[j] = 1;
    }
    sieve->strikers = malloc((sieve->count + 1) * sizeof *sieve->strikers);
    if (sieve->strikers)
        for (i = 1, j = 0; i < odds; i++)
            if (!composite[i])
                sieve->strikers[j++] =
                    (struct striker){first_strike(2 * i + 1, first), (uint32_t)(2 * i + 1)};
    free(composite);
    return sieve->strikers != NULL;
}

static bool sieve_init(struct sieve *sieve, uint64_t first, uint64_t last)
{
    uint64_t limit = root(last);

    sieve->segment = limit < SEGMENT_MIN ? SEGMENT_MIN : limit < SEGMENT_MAX ? limit : SEGMENT_MAX;
    sieve->composite = malloc(sieve->segment);
    return sieve->composite && find_strikers(sieve, limit, first);
}

static void sieve_fini(struct sieve *sieve)
{
    free(sieve->composite);
    free(sieve->strikers);
}

/* The primes among the next `size` odd numbers. */
static uint64_t count_segment(struct sieve *sieve, uint64_t size)
{
    uint64_t place, primes = 0;
    size_t i;

    memset(sieve->composite, 0, size);
    for (i = 0; i < sieve->count; i++) {
        struct striker *striker = &sieve->strikers[i];

        for (place = striker->next; place < size; place += striker->prime)
            sieve->composite[place] = 1;
        striker->next = place - size;
    }
    for (place = 0; place < size; place++)
        primes += !sieve->composite[place];
    return primes;
}

/* The odd primes in [first, last], both odd, first >= 3. */
static int count_odd(muster_call *call, uint64_t first, uint64_t last, uint64_t *ret_count)
{
    uint64_t odds = (last - first) / 2 + 1, done = 0, size, count = 0;
    struct sieve sieve = {0};
    int code = 0;

    if (!sieve_init(&sieve, first, last)) {
        code = muster_call_fail(call, "out of memory for the sieve");
        goto out;
    }
    for (; done < odds; done += size) {
        if (muster_call_cancelled(call)) {
            code = MUSTER_ECANCELLED;
            goto out;
        }
        muster_call_progress(call, (double)done / (double)odds);
        size = odds - done < sieve.segment ? odds - done : sieve.segment;
        count += count_segment(&sieve, size);
    }
    *ret_count = count;
out:
    sieve_fini(&sieve);
    return code;
}

static int primes(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    int64_t range[2] = {0, 0};
    uint64_t first, last, count = 0;
    int code;

    if (!argument_integer(argument, 0, NUMBER_MAX, &range[1]) &&
        !argument_integers(argument, 2, 0, NUMBER_MAX, range))
        return argument_refuse(call, &function_primes, argument);
    if (range[0] > range[1])
        return muster_call_fail(
            call, "the range [%" PRId64 ",%" PRId64 "] is empty: the smaller number comes first", range[0],
            range[1]);
    first = (uint64_t)(range[0] < 3 ? 3 : range[0]) | 1;
    last = (uint64_t)(range[1] % 2 ? range[1] : range[1] - 1);
    if (range[1] >= 3 && first <= last) {
        code = count_odd(call, first, last, &count);
        if (code != 0)
            return code;
    }
    ret_result->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
    ret_result->via.u64 = count + (range[0] <= 2 && range[1] >= 2);
    return 0;
}

const muster_function function_primes = {
    .name = "primes",
    .summary = "how many primes are in a range, by a segmented sieve",
    .argument = "an integer N for 0 to N, or [first, last] with first <= last, up to 100000000000000",
    .result = "an integer",
    .example = "[0,1000000]",
    .run = primes,
};
