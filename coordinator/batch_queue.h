/* SPDX-License-Identifier: MIT
 *
 * What batch.c asks of the queue of a batch, beside what batch.h says of it.
 */
#ifndef MUSTER_COORDINATOR_BATCH_QUEUE_H
#define MUSTER_COORDINATOR_BATCH_QUEUE_H

#include "coordinator/batch.h"

/* Jobs that are queued again join those that wait. 0 or MUSTER_ENOMEM. */
int batch_requeue(struct batch *batch, const struct job_run *run);

/* Counts jobs that have ended, and lets go of arguments nobody will ask for again. */
void batch_count_ended(struct batch *batch, const struct job_run *run);

void batch_free_block(struct batch *batch, struct block *block);

#endif
