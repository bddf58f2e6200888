/* SPDX-License-Identifier: MIT
 *
 * muster_call_fetch as runners of calls provide it. Connections are kept alive for the
 * fetches that follow on the same thread or loop.
 */
#ifndef MUSTER_JOBS_FETCH_H
#define MUSTER_JOBS_FETCH_H

#include "jobs/muster_job.h"

/* Blocks the thread until the document is there or the call is cancelled, which it sees within
 * 50 ms. */
int fetch_blocking(muster_call *call, struct muster_fetch *request);

/* For calls of loop_call_init: their fiber is left until then. */
int fetch_in_loop(muster_call *call, struct muster_fetch *request);

#endif
