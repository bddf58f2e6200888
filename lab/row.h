/* SPDX-License-Identifier: MIT
 *
 * The arithmetic of a comparison: from how the jobs ran under a model to one row. Pure.
 */
#ifndef MUSTER_LAB_ROW_H
#define MUSTER_LAB_ROW_H

#include "lab/compare.h"

/* One run of the jobs. */
struct row_run {
    struct muster_summary summary;
    uint64_t delay_ns; /* the caller's thread was ready and had no core */
};

/* The part of inline's time in which its jobs computed, 0 to 1; the rest is waiting. What
 * computes nearly all the time counts as 1: the rest is noise. */
double row_computing(const struct compare_row *baseline);

/* The row of a run. `concurrency` are the jobs that each worker may have under way at once, at
 * least 1; `baseline` is the row of inline, NULL when this is it. */
struct compare_row row_make(enum muster_model model, unsigned concurrency, const struct row_run *run,
                            const struct compare_row *baseline, unsigned cores);

/* "threads", "processes x100": how the row is called. */
void row_name(const struct compare_row *row, char name[COMPARE_NAME_BYTES]);

#endif
