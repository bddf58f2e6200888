/* SPDX-License-Identifier: MIT
 *
 * What the parts of the invariants share. Each check returns NULL when all is well, else what is not.
 */
#ifndef MUSTER_TESTS_CORE_INVARIANTS_INTERNAL_H
#define MUSTER_TESTS_CORE_INVARIANTS_INTERNAL_H

#include "coordinator/state.h"
#include "tests/support/core_invariants.h"

/* Returns the text, which is valid until the next call. */
__attribute__((format(printf, 1, 2))) const char *complain(const char *format, ...);

/* Jobs of first .. end - 1 that are in the set. */
uint64_t jobs_in(const struct spans *spans, uint64_t first, uint64_t end);

/* Spans ascend, and never touch. */
bool in_order(const struct spans *spans);

/* A worker that outlived its coordinator stands by jobs that have ended, too, until it has said so. */
bool adopted_any(const struct core *core);

const char *check_worker(const struct core *core, const struct worker *worker);
const char *check_roster(const struct core *core);
const char *check_least_loaded(const struct core *core);
const char *check_batch(const struct core *core, const struct batch *batch);

#endif
