/* SPDX-License-Identifier: MIT
 *
 * Medians, the middle half, and when that is too wide.
 */
#include "lab/sample.h"

#include <criterion/criterion.h>

static struct sample_summary summary_of(size_t count, const double *values)
{
    struct sample sample = {.count = 0};

    for (size_t i = 0; i < count; i++)
        sample_add(&sample, values[i]);
    return sample_summarize(&sample);
}

#define SUMMARY(...) \
    summary_of(sizeof((double[]){__VA_ARGS__}) / sizeof(double), (const double[]){__VA_ARGS__})

Test(sample, one_bad_round_moves_the_median_or_makes_noise)
{
    struct sample_summary summary = SUMMARY(10, 11, 9, 10, 500, 10, 10, 11, 10);

    cr_assert_eq(summary.median, 10);
    cr_assert_eq(summary.low, 10);
    cr_assert_eq(summary.high, 11);
    cr_assert_not(summary.noisy);
}

Test(sample, rounds_far_apart_are_taken_for_a_figure)
{
    struct sample_summary summary = SUMMARY(10, 20, 30, 40, 50, 60, 70, 80, 90);

    cr_assert_eq(summary.median, 50);
    cr_assert_eq(summary.low, 30);
    cr_assert_eq(summary.high, 70);
    cr_assert(summary.noisy);
}

Test(sample, few_rounds_have_no_middle)
{
    struct sample_summary summary = SUMMARY(7);

    cr_assert_eq(summary.median, 7);
    cr_assert_eq(summary.low, 7);
    cr_assert_eq(summary.high, 7);
    summary = SUMMARY(3, 1, 2);
    cr_assert_eq(summary.median, 2);
    cr_assert_eq(summary.low, 1);
    cr_assert_eq(summary.high, 3);
}

Test(sample, too_many_rounds_overflow_it)
{
    struct sample sample = {.count = 0};

    for (int i = 0; i < 2 * SAMPLE_MAX; i++)
        sample_add(&sample, 1);
    cr_assert_eq(sample.count, SAMPLE_MAX);
}
