/* SPDX-License-Identifier: MIT
 *
 * The arithmetic of rows, for jobs that compute and for jobs that wait.
 */
#include "lab/row.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <math.h>

static struct row_run run_of(unsigned workers, uint64_t jobs, double wall_s, double cpu_s)
{
    return (struct row_run){.summary = {.workers = workers,
                                        .jobs = jobs,
                                        .succeeded = jobs,
                                        .wall_ns = (uint64_t)(wall_s * 1e9),
                                        .cpu_ns = (uint64_t)(cpu_s * 1e9)}};
}

static struct compare_row baseline_of(uint64_t jobs, double wall_s, double cpu_s)
{
    struct row_run run = run_of(1, jobs, wall_s, cpu_s);

    return row_make(MUSTER_INLINE, 1, &run, NULL, 2);
}

static struct compare_row row_of(const struct compare_row *baseline, unsigned workers, unsigned concurrency,
                                 double wall_s, double cpu_s)
{
    struct row_run run = run_of(workers, baseline->jobs, wall_s, cpu_s);

    return row_make(MUSTER_PROCESSES, concurrency, &run, baseline, 2);
}

static bool is_near(double value, double expected)
{
    return fabs(value - expected) < 1e-6 * fabs(expected) + 1e-9;
}

#define EXPECT_NEAR(value, expected) cr_expect(is_near(value, expected), #value " is %g", (double)(value))

Test(row, inline_is_measured_by_itself)
{
    struct compare_row row = baseline_of(10, 2.0, 1.0);

    EXPECT_NEAR(row.speedup, 1);
    EXPECT_NEAR(row.efficiency, 1);
    EXPECT_NEAR(row.utilization, 0.25);
    EXPECT_NEAR(row.overhead_us_per_job, 0);
}

Test(row, computing_jobs_are_measured_by_workers_or_cores)
{
    struct compare_row baseline = baseline_of(1000, 2.0, 1.99);
    struct compare_row two = row_of(&baseline, 2, 1, 1.01, 2.0), one = row_of(&baseline, 1, 1, 2.02, 2.0);

    EXPECT_NEAR(two.ideal_speedup, 2);
    EXPECT_NEAR(two.efficiency, 2.0 / 1.01 / 2);
    EXPECT_NEAR(two.overhead_us_per_job, 20);
    EXPECT_NEAR(two.utilization, 2.0 / 2.02);
    EXPECT_NEAR(one.ideal_speedup, 1);
    EXPECT_NEAR(one.overhead_us_per_job, 20);
}

Test(row, workers_beyond_the_cores_are_not_expected_to_compute_more)
{
    struct compare_row baseline = baseline_of(1000, 2.0, 2.0), row = row_of(&baseline, 8, 1, 1.0, 2.0);

    EXPECT_NEAR(row.ideal_speedup, 2);
    EXPECT_NEAR(row.efficiency, 1);
    EXPECT_NEAR(row.overhead_us_per_job, 0);
}

Test(row, busy_machine_makes_computing_jobs_no_waiting_jobs)
{
    struct compare_row baseline = baseline_of(1000, 2.0, 1.82), row = row_of(&baseline, 8, 1, 1.0, 2.0);

    EXPECT_NEAR(row_computing(&baseline), 1);
    EXPECT_NEAR(row.ideal_speedup, 2);
}

Test(row, time_on_cores_that_other_programs_had_is_no_waiting)
{
    struct row_run run = run_of(1, 10, 4.0, 1.0);
    struct compare_row row;

    run.delay_ns = 2900000000;
    row = row_make(MUSTER_INLINE, 1, &run, NULL, 2);
    EXPECT_NEAR(row_computing(&row), 1);
    run.delay_ns = 2000000000;
    row = row_make(MUSTER_INLINE, 1, &run, NULL, 2);
    EXPECT_NEAR(row_computing(&row), 0.5);
    run.delay_ns = UINT64_C(5000000000); /* the kernel's clock is another */
    row = row_make(MUSTER_INLINE, 1, &run, NULL, 2);
    EXPECT_NEAR(row_computing(&row), 1);
}

Test(row, waiting_jobs_are_measured_by_how_many_are_under_way)
{
    struct compare_row baseline = baseline_of(3, 3.0, 0.0003);
    struct compare_row three = row_of(&baseline, 3, 1, 1.0, 0.0003);
    struct compare_row coroutines = row_of(&baseline, 1, 10000, 1.0, 0.0003);

    EXPECT_NEAR(three.ideal_speedup, 3);
    EXPECT_NEAR(three.efficiency, 1);
    EXPECT_NEAR(coroutines.ideal_speedup, 3);
    EXPECT_NEAR(coroutines.efficiency, 1);
}

Test(row, cores_bound_what_waiting_jobs_that_also_compute_can_gain)
{
    struct compare_row baseline = baseline_of(1000, 10.0, 1.0); /* one tenth computing */
    struct compare_row few = row_of(&baseline, 2, 5, 1.0, 1.0), many = row_of(&baseline, 2, 100, 0.5, 1.0);

    EXPECT_NEAR(few.ideal_speedup, 10);
    EXPECT_NEAR(many.ideal_speedup, 20);
    EXPECT_NEAR(many.efficiency, 1);
    EXPECT_NEAR(many.utilization, 1);
}

Test(row, jobs_that_never_compute_divide_by_nothing)
{
    struct compare_row baseline = baseline_of(100, 10.0, 0), row = row_of(&baseline, 2, 1, 5.0, 0);

    EXPECT_NEAR(row.ideal_speedup, 2);
    EXPECT_NEAR(row.efficiency, 1);
    EXPECT_NEAR(row.overhead_us_per_job, 0);
}

Test(row, run_that_took_no_time_divides_by_nothing)
{
    struct compare_row baseline = baseline_of(1, 0, 0), row = row_of(&baseline, 2, 1, 0, 0);

    cr_expect(isfinite(row.speedup) && isfinite(row.efficiency) && isfinite(row.utilization));
}

Test(row, one_job_cannot_fill_two_workers)
{
    struct compare_row baseline = baseline_of(1, 1.0, 1.0), row = row_of(&baseline, 2, 50, 1.0, 1.0);

    EXPECT_NEAR(row.ideal_speedup, 2);
    EXPECT_NEAR(row.efficiency, 0.5);
}

Test(row, concurrency_is_part_of_the_name)
{
    struct compare_row row = {.model = MUSTER_PROCESSES, .concurrency = 100};
    char name[COMPARE_NAME_BYTES];

    row_name(&row, name);
    cr_expect_str_eq(name, "processes x100");
    row.concurrency = 1;
    row_name(&row, name);
    cr_expect_str_eq(name, "processes");
}
