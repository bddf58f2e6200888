/* SPDX-License-Identifier: MIT
 *
 * Timelines: jobs keep their time when buckets double, find their lanes in any order, and
 * nonsense does no harm.
 */
#include "lab/timeline.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

static const uint64_t ORIGIN_NS = UINT64_C(5000000000), MS = 1000000;

static struct timeline *timeline;
static struct timeline_share shares[4096];

static void create(unsigned workers)
{
    timeline = timeline_create(workers, ORIGIN_NS);
    cr_assert_not_null(timeline);
}

static void clean(void)
{
    free(timeline);
}

TestSuite(timeline, .fini = clean);

static void add(unsigned worker, double began_ms, double wall_ms, double cpu_ms)
{
    timeline_add(timeline, worker, ORIGIN_NS + (uint64_t)(began_ms * (double)MS),
                 (uint64_t)(wall_ms * (double)MS), (uint64_t)(cpu_ms * (double)MS));
}

static void sample(size_t lane, double span_ms, size_t count)
{
    timeline_sample(timeline, &timeline->lanes[lane], (uint64_t)(span_ms * (double)MS), count, shares);
}

static bool is_near(double value, double expected)
{
    return fabs(value - expected) < 0.01;
}

#define EXPECT_SHARE(i, computes, waits)                                                                  \
    cr_expect(is_near(shares[i].computing, computes) && is_near(shares[i].waiting, waits), "%zu: %g, %g", \
              (size_t)(i), shares[i].computing, shares[i].waiting)

Test(timeline, job_stands_where_it_ran_and_nowhere_else)
{
    create(2);
    add(2, 0.25, 0.5, 0.5);
    sample(1, 1, 4);
    EXPECT_SHARE(0, 0, 0);
    EXPECT_SHARE(1, 1, 0);
    EXPECT_SHARE(2, 1, 0);
    EXPECT_SHARE(3, 0, 0);
    sample(0, 1, 4);
    for (size_t i = 0; i < 4; i++)
        EXPECT_SHARE(i, 0, 0);
    cr_expect_null(timeline_rest(timeline));
}

Test(timeline, what_is_not_computing_is_waiting)
{
    create(1);
    add(1, 0, 1, 0.25);
    sample(0, 2, 4);
    EXPECT_SHARE(0, 0.25, 0.75);
    EXPECT_SHARE(1, 0.25, 0.75);
    EXPECT_SHARE(2, 0, 0);
    cr_expect_eq(timeline->lanes[0].computing_ns, MS / 4);
    cr_expect_eq(timeline->lanes[0].waiting_ns, 3 * MS / 4);
}

Test(timeline, buckets_that_double_lose_no_time)
{
    uint64_t computing = 0, waiting = 0;

    create(1);
    add(1, 0, 0.5, 0.5);
    for (unsigned i = 1; i <= 60; i++) /* doubles about 16 times */
        add(1, 1000.0 * i, 1000, 400);
    for (size_t i = 0; i < TIMELINE_BUCKETS; i++) {
        computing += timeline->lanes[0].buckets[i].computing_ns;
        waiting += timeline->lanes[0].buckets[i].waiting_ns;
    }
    cr_expect(timeline->bucket_ns * TIMELINE_BUCKETS >= 61000 * MS);
    cr_expect(is_near((double)computing / (double)MS / 24000.5, 1), "%g", (double)computing);
    cr_expect(is_near((double)waiting / (double)MS / 36000, 1), "%g", (double)waiting);
    sample(0, 61000, 61);
    EXPECT_SHARE(0, 0, 0);
    EXPECT_SHARE(1, 0.4, 0.6);
    EXPECT_SHARE(60, 0.4, 0.6);
}

Test(timeline, parts_narrower_than_buckets_share_them)
{
    create(1);
    add(1, 0, 1000, 1000);
    sample(0, 1000, 4000);
    EXPECT_SHARE(0, 1, 0);
    EXPECT_SHARE(1999, 1, 0);
    EXPECT_SHARE(3996, 1, 0);
}

Test(timeline, workers_beyond_the_lanes_are_added_up_in_the_rest)
{
    create(TIMELINE_LANES + 4);
    for (unsigned worker = 1; worker <= TIMELINE_LANES + 4; worker++)
        add(worker, 0, 1, worker % 2 ? 1 : 0);
    cr_expect_eq(timeline->lane_count, TIMELINE_LANES);
    cr_assert_not_null(timeline_rest(timeline));
    cr_expect_eq(timeline_rest(timeline)->jobs, 4);
    sample(TIMELINE_LANES, 2, 2);
    EXPECT_SHARE(0, 0.5, 0.5); /* four at once are the most there were */
    EXPECT_SHARE(1, 0, 0);
}

Test(timeline, jobs_under_way_at_once_have_lanes_of_their_own)
{
    create(0);
    add(1, 0, 100, 1);
    add(1, 0.1, 100, 1);
    add(1, 0.2, 50, 1);
    cr_expect_eq(timeline->lane_count, 3);
    add(1, 51, 30, 1); /* in the lane of the short one */
    cr_expect_eq(timeline->lane_count, 3);
    cr_expect_eq(timeline->lanes[2].jobs, 2);
}

Test(timeline, jobs_one_after_another_share_a_lane_in_whatever_order_they_are_told)
{
    create(0);
    for (unsigned i = 0; i < 50; i++)
        add(1, (double)(i * 7 % 50), 1, 1);
    cr_expect_eq(timeline->lane_count, 1);
    cr_expect_eq(timeline->lanes[0].jobs, 50);
}

Test(timeline, ten_thousand_waits_at_once_fill_the_lanes_and_the_rest)
{
    create(0);
    for (unsigned i = 0; i < 10000; i++)
        add(1, 0.01 * i, 1000, 0);
    cr_expect_eq(timeline->lane_count, TIMELINE_LANES);
    cr_assert_not_null(timeline_rest(timeline));
    cr_expect_eq(timeline_rest(timeline)->jobs, 10000 - TIMELINE_LANES);
    sample(TIMELINE_LANES, 1100, 11);
    EXPECT_SHARE(5, 0, 1);
    cr_expect(shares[10].waiting < 0.6 && shares[10].waiting > 0.4, "%g", shares[10].waiting);
}

Test(timeline, times_that_cannot_be_are_counted_and_not_drawn)
{
    create(1);
    timeline_add(timeline, 1, 0, MS, MS);
    timeline_add(timeline, 1, ORIGIN_NS - 1, MS, MS);
    timeline_add(timeline, 1, UINT64_MAX, MS, MS);
    timeline_add(timeline, 1, ORIGIN_NS, UINT64_MAX, UINT64_MAX);
    cr_expect_eq(timeline->unknown, 4);
    cr_expect_eq(timeline->jobs, 0);
    timeline_add(timeline, 0, ORIGIN_NS, MS, MS); /* no worker has that number */
    timeline_add(timeline, 7, ORIGIN_NS, MS, MS);
    cr_expect_eq(timeline_rest(timeline)->jobs, 2);
}

Test(timeline, longest_time_there_is_does_not_overflow)
{
    create(1);
    timeline_add(timeline, 1, ORIGIN_NS + (UINT64_C(1) << 60), UINT64_C(1) << 60, 0);
    sample(0, 1000, 4);
    cr_expect_eq(timeline->jobs, 1);
    cr_expect(timeline->bucket_ns >= UINT64_C(1) << 51);
}

Test(timeline, clock_that_counts_more_computing_than_time_is_not_believed)
{
    create(1);
    add(1, 0, 1, 3);
    sample(0, 1, 1);
    EXPECT_SHARE(0, 1, 0);
}

Test(timeline, job_that_took_no_time_and_no_span_divide_by_nothing)
{
    create(1);
    add(1, 0, 0, 0);
    sample(0, 0, 3);
    EXPECT_SHARE(2, 0, 0);
    cr_expect_eq(timeline->lanes[0].jobs, 1);
}
