/* SPDX-License-Identifier: MIT
 *
 * Jobs of a batch that failed and are not to run again before some time. The n-th time a job waits
 * twice as long as the time before, so all that failed as often wait equally long: each n has a
 * queue of its own, in order of time, and nothing is ever searched for the earliest. Pure.
 */
#ifndef MUSTER_COORDINATOR_DELAYS_H
#define MUSTER_COORDINATOR_DELAYS_H

#include "coordinator/job.h"

/* No job waits longer, and from the 23rd failure on all wait so long: 2^22 ms are more. */
enum { DELAY_MS_MAX = 3600 * 1000, DELAY_QUEUES = 23 };

struct delayed {
    struct job_run run; /* run.due_ns is set; neighbours with one history and one time are one run */
    struct delayed *prev, *next;
};

struct delays {
    uint64_t jobs;
    struct delayed *queues[DELAY_QUEUES]; /* by attempts; owned */
};

void delays_fini(struct delays *delays);

/* How long a job waits before it is run again after so many attempts, at least 1. */
uint64_t delays_backoff_ns(uint32_t backoff_ms, uint32_t attempts);

/* Jobs are to wait until run->due_ns. 0 or MUSTER_ENOMEM. */
int delays_add(struct delays *delays, const struct job_run *run);

/* When the first may run; CLOCK_NEVER when none waits. */
uint64_t delays_due_ns(const struct delays *delays);

/* Takes jobs that may run by now. Returns whether there were any. */
bool delays_take_due(struct delays *delays, uint64_t now_ns, struct job_run *ret_run);

/* Takes jobs out of first .. end - 1: a run of them; count 0: there are none. 0 or MUSTER_ENOMEM. */
int delays_take(struct delays *delays, uint64_t first, uint64_t end, struct job_run *ret_run);

#endif
