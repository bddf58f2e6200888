/* SPDX-License-Identifier: MIT
 *
 * Failed jobs on standard error: the first of them with their arguments, and at the end how many.
 */
#ifndef MUSTER_CLI_FAILURES_H
#define MUSTER_CLI_FAILURES_H

#include "client/muster.h"

struct failures {
    uint64_t batch; /* its number; 0: not known yet */
    uint64_t named; /* that were, or would have been, named */
};

/* Whether a further one will be named. */
bool failures_has_room(const struct failures *failures);

/* Names a job that failed, if it is one of the first. */
void failures_name(struct failures *failures, const struct muster_result *result);

/* How many were not named, and that so many of `total` jobs failed; total 0: not known. */
void failures_count(const struct failures *failures, uint64_t failed, uint64_t total);

#endif
