/* SPDX-License-Identifier: MIT
 *
 * Laws of scaling, fitted to times that were made by them.
 */
#include "lab/fit.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdint.h>

enum { ROUNDS = 5, POINTS_MAX = 64 };

/* Of what a point is off, evenly between -1 and 1; the same in every run. */
static double noise(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*state >> 11) / (double)(UINT64_C(1) << 52) - 1;
}

/* Rounds on 1, 2, 4 and so on, `kinds` numbers of workers, each off by up to `off` of it. */
static size_t make(struct fit_point points[POINTS_MAX], unsigned kinds, double contention, double coherence,
                   double off)
{
    uint64_t state = 1;
    size_t count = 0;

    for (unsigned k = 0; k < kinds; k++)
        for (unsigned round = 0; round < ROUNDS; round++) {
            double n = 1U << k;
            double wall_s = 0.4 * (1 + contention * (n - 1) + coherence * n * (n - 1)) / n;

            points[count++] = (struct fit_point){1U << k, wall_s * (1 + off * noise(&state))};
        }
    return count;
}

Test(fit, exact_times_give_other_coefficients)
{
    struct fit_point points[POINTS_MAX];
    struct fit fit;

    cr_assert(fit_scalability(points, make(points, 6, 0.03, 0.0005, 0), &fit));
    cr_assert_float_eq(fit.t1_s.value, 0.4, 1e-9);
    cr_assert_float_eq(fit.contention.value, 0.03, 1e-9);
    cr_assert_float_eq(fit.coherence.value, 0.0005, 1e-9);
    cr_assert_lt(fit.contention.error, 1e-6);
    cr_assert_not(fit.exact);
    cr_assert(fit_amdahl(points, make(points, 6, 0.05, 0, 0), &fit));
    cr_assert_float_eq(fit.contention.value, 0.05, 1e-9);
    cr_assert_eq(fit.coherence.value, 0);
    cr_assert_float_eq(fit_speedup(&fit, 20), 20 / 1.95, 1e-6);
}

Test(fit, truth_is_outside_of_the_error_of_noisy_times)
{
    struct fit_point points[POINTS_MAX];
    struct fit fit;

    cr_assert(fit_scalability(points, make(points, 5, 0.04, 0.002, 0.03), &fit));
    cr_assert_lt(fabs(fit.contention.value - 0.04), fit.contention.error);
    cr_assert_lt(fabs(fit.coherence.value - 0.002), fit.coherence.error);
    cr_assert_gt(fit.contention.error, 0.001);
    cr_assert_lt(fit.contention.error, 0.04);
    cr_assert(fit_amdahl(points, make(points, 2, 0.01, 0, 0.02), &fit));
    cr_assert_lt(fabs(fit.contention.value - 0.01), fit.contention.error);
    cr_assert(fit.exact);
}

Test(fit, more_noise_does_not_widen_the_error)
{
    struct fit_point points[POINTS_MAX];
    struct fit quiet, loud;

    cr_assert(fit_amdahl(points, make(points, 4, 0.1, 0, 0.01), &quiet));
    cr_assert(fit_amdahl(points, make(points, 4, 0.1, 0, 0.1), &loud));
    cr_assert_float_eq(loud.contention.error / quiet.contention.error, 10, 2);
}

Test(fit, too_few_numbers_of_workers_are_fitted)
{
    struct fit_point points[POINTS_MAX];
    struct fit fit = {.t1_s = {42, 42}};

    cr_assert_not(fit_amdahl(points, make(points, 1, 0, 0, 0.01), &fit));
    cr_assert_not(fit_scalability(points, make(points, 2, 0, 0, 0.01), &fit));
    cr_assert_not(fit_amdahl((const struct fit_point[]){{1, 1}, {2, 0.5}}, 2, &fit));
    cr_assert_not(fit_amdahl(NULL, 0, &fit));
    cr_assert_eq(fit.t1_s.value, 42);
}

Test(fit, superlinear_speedup_is_hidden)
{
    const struct fit_point points[] = {{1, 1}, {1, 1}, {2, 0.45}, {2, 0.45}};
    struct fit fit;

    cr_assert(fit_amdahl(points, 4, &fit));
    cr_assert_float_eq(fit.contention.value, -0.1, 1e-9);
    cr_assert_float_eq(fit_speedup(&fit, 2), 1 / 0.45, 1e-9);
}
