/* SPDX-License-Identifier: MIT
 *
 * What every job of a batch came to, as one number each, so that the same jobs can be run
 * again and checked.
 */
#ifndef MUSTER_LAB_LEDGER_H
#define MUSTER_LAB_LEDGER_H

#include "client/muster.h"

#include <stddef.h>

struct ledger {
    uint64_t *outcomes; /* owned; by index from 1; 0 where a job has not been entered */
    size_t count, capacity;
};

void ledger_init(struct ledger *ledger);
void ledger_fini(struct ledger *ledger);

/* A number that is equal for equal outcomes: of the value, or of the code of a failure (its
 * text may name a process). Never 0. */
uint64_t ledger_outcome(const struct muster_result *result);

/* Enters the outcome of a job. 0; MUSTER_ENOMEM; MUSTER_ELIMIT beyond `jobs_max` jobs. */
int ledger_enter(struct ledger *ledger, uint64_t index, uint64_t outcome, uint64_t jobs_max);

/* The outcome that was entered; 0 when none was. */
uint64_t ledger_find(const struct ledger *ledger, uint64_t index);

#endif
