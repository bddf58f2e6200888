/* SPDX-License-Identifier: MIT
 *
 * Runs up to `concurrency` jobs at once on the calling thread, each a coroutine: while one
 * waits, others run. A job that does not wait costs no switch: the coroutine goes on with the
 * next job. For workers of one job at a time execute.h is faster.
 */
#ifndef MUSTER_WORKER_CONCURRENT_H
#define MUSTER_WORKER_CONCURRENT_H

#include "jobs/registry.h"
#include "worker/link.h"

/* Runs what the link brings until that ends, and stops the link. `heap_fd`: for results, as in
 * lent_init. 0, or why the worker must end. */
int concurrent_serve(struct link *link, const struct registry *registry, struct flight_page *flight,
                     unsigned concurrency, int heap_fd);

#endif
