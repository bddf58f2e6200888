/* SPDX-License-Identifier: MIT
 *
 * Runs the jobs of a chunk one after another, and reports what became of them.
 */
#ifndef MUSTER_WORKER_EXECUTE_H
#define MUSTER_WORKER_EXECUTE_H

#include "jobs/registry.h"
#include "worker/link.h"

struct executor;

/* Call first, while the process has one thread: executor_create asks the kernel for the same,
 * and with more threads it waits for an RCU grace period, some 10 ms. Returns whether
 * executor_flush can work at all (membarrier(2)). */
bool executor_prepare(void);

/* All borrowed. `heap_fd`: for results, as in lent_init. NULL when out of memory. */
struct executor *executor_create(const struct registry *registry, struct link *link,
                                 struct flight_page *flight, int heap_fd);
void executor_destroy(struct executor *executor);

/* Reports the jobs that ended, when the one behind them runs and has for long: `began_ns` is
 * when about that began. Does nothing between two jobs. On another thread than executor_run. */
void executor_flush(struct executor *executor, uint64_t began_ns);

/* Asks the job that runs to end, if it is one that link_is_dropped names. On another thread. */
void executor_cancel(struct executor *executor);

/* 0, or MUSTER_ENOMEM when the outcome could not be reported: the worker must end. */
int executor_run(struct executor *executor, struct assignment *assignment);

#endif
