/* SPDX-License-Identifier: MIT
 *
 * Laws of scaling, fitted to wall times of the same work on 1..N workers:
 *
 *     Amdahl                 T(n) = T1 * (1 + contention * (n - 1)) / n
 *     universal scalability  T(n) = T1 * (1 + contention * (n - 1) + coherence * n * (n - 1)) / n
 *
 * (Amdahl 1967; Gunther 2007.) Amdahl's serial fraction is the contention of a law without
 * coherence. Both are linear in T1 and in T1 times each coefficient, so that least squares give the
 * one best fit; errors are relative, since long runs vary more. Pure.
 */
#ifndef MUSTER_LAB_FIT_H
#define MUSTER_LAB_FIT_H

#include <stdbool.h>
#include <stddef.h>

struct fit_point {
    unsigned workers;
    double wall_s; /* of one round */
};

/* A coefficient: with 95% probability within value +- error, were the law true. */
struct fit_value {
    double value, error;
};

enum { FIT_TERMS_MAX = 3 };

struct fit {
    struct fit_value t1_s, contention, coherence; /* Amdahl: coherence is 0 */
    bool exact; /* as many coefficients as numbers of workers: nothing speaks against the law */
};

/* Whether the points could determine the law's 2 (Amdahl) or 3 coefficients: they are of as
 * many numbers of workers, and more in all, so that something is known of errors. Writes *ret_fit
 * only then. */
bool fit_amdahl(const struct fit_point *points, size_t count, struct fit *ret_fit);
bool fit_scalability(const struct fit_point *points, size_t count, struct fit *ret_fit);

/* The speedup that the fitted law says for n workers. */
double fit_speedup(const struct fit *fit, double workers);

#endif
