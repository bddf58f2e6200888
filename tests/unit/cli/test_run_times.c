/* SPDX-License-Identifier: MIT
 *
 * The median of run times: close enough, of any size and number.
 */
#include "cli/run_times.h"

#include <criterion/criterion.h>

static struct run_times times;

static void expect_median(uint64_t exact_ns)
{
    double median_ns = (double)run_times_median(&times);

    cr_expect(median_ns >= (double)exact_ns * 0.98 && median_ns <= (double)exact_ns * 1.02, "%g of %llu",
              median_ns, (unsigned long long)exact_ns);
}

Test(run_times, median_is_the_middle_one)
{
    cr_expect_eq(run_times_median(&times), 0);
    run_times_add(&times, 3000000);
    expect_median(3000000);
    run_times_add(&times, 1000000);
    expect_median(1000000);
    run_times_add(&times, 900000000000);
    expect_median(3000000);
    for (uint64_t i = 1; i <= 10000; i++)
        run_times_add(&times, i * 1000000);
    expect_median(5000000000);
}

Test(run_times, extremes_have_a_place)
{
    run_times_add(&times, 0);
    cr_expect_leq(run_times_median(&times), 1);
    run_times_add(&times, UINT64_MAX);
    run_times_add(&times, UINT64_MAX);
    cr_expect_gt(run_times_median(&times), UINT64_MAX / 2);
}
