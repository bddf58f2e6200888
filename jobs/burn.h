/* SPDX-License-Identifier: MIT
 *
 * Burning CPU time of the calling thread, for functions that compute for as long as they are told.
 * Time in which the thread is preempted does not count, so the same job costs the same on a busy
 * machine.
 */
#ifndef MUSTER_JOBS_BURN_H
#define MUSTER_JOBS_BURN_H

#include "jobs/muster_job.h"

#define BURN_SECONDS_MAX 86400.0 /* a day */

/* Computes for so many CPU seconds, 0 to BURN_SECONDS_MAX, and says how far it is. 0, or
 * MUSTER_ECANCELLED. */
int burn_seconds(muster_call *call, double seconds);

#endif
