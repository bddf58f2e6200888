/* SPDX-License-Identifier: MIT
 *
 * What the parts of the core's harness share: the outbox that is recorded, and the values of jobs.
 */
#ifndef MUSTER_TESTS_CORE_HARNESS_INTERNAL_H
#define MUSTER_TESTS_CORE_HARNESS_INTERNAL_H

#include "tests/support/core_harness.h"

enum { TAKEN_MAX = 4096 };

extern struct outbox outbox;
extern bool taken[TAKEN_MAX]; /* items of the outbox that were expected */

/* Drops what the last result_message holds. */
void forget_result(void);

/* Lists of jobs that end with 0, or NULL. */
bool listed(const uint64_t *indexes, uint64_t index);
uint32_t listed_count(const uint64_t *indexes);

/* The list of those that have no value; valid until the next call. */
const uint64_t *valueless(const struct proto_failure *failures, uint32_t count);

/* That the payload holds the numbers of these jobs but for those of the list `without`. */
void check_values(const struct slice *payload, int64_t (*number)(uint64_t index), uint64_t first,
                  uint32_t count, const uint64_t *without);

#endif
