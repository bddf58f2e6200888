/* SPDX-License-Identifier: MIT
 *
 * Ctrl-C and kind requests to stop (SIGINT, SIGTERM, SIGHUP). The first makes a descriptor
 * readable, so that the batch ends in order; a second one, or two seconds in which it has
 * not ended, ends the process at once (workers die with their parent). Signals that were
 * ignored when muster started (nohup, a shell's background job) stay ignored.
 */
#ifndef MUSTER_CLI_INTERRUPT_H
#define MUSTER_CLI_INTERRUPT_H

#include "base/error.h"

/* Blocks the signals in the calling thread, to hold them until interrupt_start: for what has to
 * be made while the process has one thread. Threads inherit the mask. */
void interrupt_hold(void);

/* Blocks the signals in the calling thread and starts the thread that waits for them. To be
 * called once, before other threads are made: they inherit the mask. The descriptor stays
 * open until the process ends. */
int interrupt_start(int *ret_fd, struct muster_error *ret_error);

/* The signal that came first, 0 while none has. */
int interrupt_signal(void);

#endif
