/* SPDX-License-Identifier: MIT
 *
 * A job on which two models disagree, for the message: what both made of it. Only digests
 * of the results are kept while models are compared, so inline's is made once more.
 */
#ifndef MUSTER_LAB_DISPUTE_H
#define MUSTER_LAB_DISPUTE_H

#include "lab/compare.h"

enum { DISPUTE_OUTCOME_BYTES = 200 };

struct dispute {
    uint64_t index;
    char outcome[DISPUTE_OUTCOME_BYTES]; /* in words, cut */
};

/* Keeps the job and what a model made of it. */
void dispute_note(struct dispute *dispute, const struct muster_result *result);

/* Runs the job again with `baseline`, an open model inline, and writes what it and `model`
 * made of it. Returns MUSTER_ESTATE. */
int dispute_explain(const struct dispute *dispute, const struct compare_spec *spec, muster *baseline,
                    enum muster_model model, struct muster_error *ret_error);

#endif
