/* SPDX-License-Identifier: MIT
 *
 * What a worker that crashes leaves in its flight recorder: signal, address and stack. Its supervisor reads
 * it.
 */
#ifndef MUSTER_WORKER_CRASH_H
#define MUSTER_WORKER_CRASH_H

#include "base/error.h"
#include "proto/flight.h"

/* From now on a signal that ends this process for a fault of its own is recorded, if nobody else
 * handles it: sanitizers and plug-ins keep their handlers. Then it ends as it would have. The calling thread
 * is the one that executes: its handler has a stack of its own. `flight` is borrowed until crash_unwatch. 0
 * or MUSTER_ESYSTEM. */
int crash_watch(struct flight_page *flight, struct muster_error *ret_error);
void crash_unwatch(void);

#endif
