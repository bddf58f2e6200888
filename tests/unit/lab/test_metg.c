/* SPDX-License-Identifier: MIT
 *
 * METG from curves whose answer is known.
 */
#include "lab/metg.h"

#include <criterion/criterion.h>
#include <math.h>

enum { LENGTHS = 17 };

/* Jobs of 1 ns, 2 ns and so on with the same overhead: half is reached at twice of it. */
static void with_overhead(double overhead_s, struct metg_point points[LENGTHS])
{
    double work_s = 1e-9;

    for (size_t i = 0; i < LENGTHS; i++, work_s *= 2)
        points[i] = (struct metg_point){work_s + overhead_s, work_s / (work_s + overhead_s)};
}

static double find(const struct metg_point *points, size_t count, double share)
{
    double found = 0;

    cr_assert(metg_find(points, count, share, &found));
    return found;
}

Test(metg, coarse_lengths_make_it_inexact)
{
    static const double overheads_s[] = {3e-9, 25e-9, 0.4e-6, 1.1e-6};
    struct metg_point points[LENGTHS];

    for (size_t i = 0; i < sizeof overheads_s / sizeof *overheads_s; i++) {
        with_overhead(overheads_s[i], points);
        cr_assert_float_eq(find(points, LENGTHS, 0.5) / (2 * overheads_s[i]), 1, 1e-9);
        cr_assert_float_eq(find(points, LENGTHS, 0.95) / (20 * overheads_s[i]), 1, 1e-9);
    }
}

Test(metg, share_that_was_not_reached_is_made_up)
{
    struct metg_point points[LENGTHS];
    double found = 42;

    with_overhead(100e-6, points);
    cr_assert(metg_find(points, LENGTHS, 0.35, &found));
    found = 42;
    cr_assert_not(metg_find(points, LENGTHS, 0.5, &found));
    cr_assert_not(metg_find(points, 0, 0.5, &found));
    cr_assert_eq(found, 42);
}

Test(metg, first_length_that_reaches_it_is_extrapolated)
{
    const struct metg_point points[] = {{3e-6, 0.6}, {4e-6, 0.9}};

    cr_assert_eq(find(points, 2, 0.5), 3e-6);
}

Test(metg, early_peak_counts_though_longer_jobs_fall_below)
{
    const struct metg_point points[] = {{1e-6, 0.2}, {2e-6, 0.8}, {4e-6, 0.4}, {8e-6, 0.9}};
    double found = find(points, 4, 0.5);

    cr_assert(found > 4e-6 && found < 8e-6);
    cr_assert_not(metg_find(points, 3, 0.5, &found));
}
