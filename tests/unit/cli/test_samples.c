/* SPDX-License-Identifier: MIT
 *
 * Samples are spread over all arguments, whatever their number.
 */
#include "cli/samples.h"

#include <criterion/criterion.h>
#include <string.h>

static struct samples samples;
static struct muster_error error;

static int64_t number(size_t place)
{
    return samples.values[place].via.i64;
}

static void take_range(int64_t first, int64_t last)
{
    struct muster_source source = muster_source_range(first, last);

    cr_assert_eq(samples_take(&samples, &source, &error), 0);
}

struct counter {
    uint64_t next, end;
    int code; /* at the end */
};

static int next(void *context, msgpack_zone *zone, msgpack_object *ret_argument,
                struct muster_error *ret_error)
{
    struct counter *counter = context;
    uint64_t *copy = msgpack_zone_malloc(zone, sizeof *copy);

    (void)ret_error;
    if (counter->next == counter->end)
        return counter->code;
    *copy = counter->next++;
    *ret_argument = (msgpack_object){.type = MSGPACK_OBJECT_BIN, .via.bin = {.ptr = (char *)copy, .size = 8}};
    return 0;
}

static int take_stream(uint64_t count, int code)
{
    struct counter counter = {.end = count, .code = code};
    struct muster_source source = {.kind = MUSTER_SOURCE_STREAM, .next = next, .context = &counter, .fd = -1};

    return samples_take(&samples, &source, &error);
}

static uint64_t streamed(size_t place)
{
    uint64_t value;

    memcpy(&value, samples.values[place].via.bin.ptr, sizeof value);
    return value;
}

Test(samples, short_range_is_not_taken_whole)
{
    take_range(5, 7);
    cr_assert_eq(samples.count, 3);
    cr_expect_eq(number(0), 5);
    cr_expect_eq(number(2), 7);
    take_range(-1, -1);
    cr_assert_eq(samples.count, 1);
    cr_expect_eq(number(0), -1);
    cr_expect_eq(samples.total, 1);
}

Test(samples, ends_of_a_long_range_are_missed)
{
    take_range(1, 1000000);
    cr_assert_eq(samples.count, 32);
    cr_expect_eq(number(0), 1);
    cr_expect_eq(number(31), 1000000);
    cr_expect_eq(samples.total, 1000000);
    for (size_t i = 1; i < samples.count; i++)
        cr_expect_lt(number(i) - number(i - 1), 32300);
    take_range(INT64_MIN, INT64_MAX);
    cr_expect_eq(number(0), INT64_MIN);
    cr_expect_eq(number(31), INT64_MAX);
}

Test(samples, stream_is_sampled_unevenly)
{
    for (uint64_t count = 0; count < 300; count += 7) {
        cr_assert_eq(take_stream(count, MUSTER_EEND), 0);
        cr_expect_eq(samples.total, count);
        cr_assert(samples.count == count || (count > 64 && samples.count > 32 && samples.count <= 64));
        for (size_t i = 2; i < samples.count; i++)
            cr_expect_eq(streamed(i) - streamed(i - 1), streamed(1) - streamed(0));
        if (samples.count > 1)
            cr_expect_gt(streamed(samples.count - 1) + streamed(1), count - 1, "the last ones were left out");
        samples_fini(&samples);
    }
}

Test(samples, error_of_the_source_is_taken_for_its_end)
{
    cr_assert_eq(take_stream(100, MUSTER_EINVALID), MUSTER_EINVALID);
    cr_expect_eq(samples.count, 0);
}
