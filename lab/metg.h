/* SPDX-License-Identifier: MIT
 *
 * Minimum effective task granularity (Slaughter et al., Task Bench, SC20): the smallest jobs at
 * which a given share of the workers' time is useful work. Pure.
 */
#ifndef MUSTER_LAB_METG_H
#define MUSTER_LAB_METG_H

#include <stdbool.h>
#include <stddef.h>

/* One length of job. */
struct metg_point {
    double granularity_s; /* wall time * workers / jobs */
    double efficiency;    /* the work of a job, alone on a core, / granularity */
};

/* The granularity from which on `share` is reached and kept, by points in order of their work: where
 * a curve passes it more than once, the last time counts. Between two points the overhead of a job is
 * taken to change evenly, so where it is the same for all lengths the answer is exact. False when the
 * last point does not reach it. When all do, the answer is the first one's: what is below was not
 * looked at. */
bool metg_find(const struct metg_point *points, size_t count, double share, double *ret_granularity_s);

#endif
