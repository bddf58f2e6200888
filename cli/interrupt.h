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

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* Blocks the signals in the calling thread, to hold them until interrupt_start: for what has to
 * be made while the process has one thread. Threads inherit the mask. */
void interrupt_hold(void);

/* Lets signals end the process, ahead of interrupt_start: for a wait in which nothing has begun. *ret_held is
 * the mask to go back to. */
void interrupt_release(sigset_t *ret_held);

/* What ends in order has so long for it, not two seconds; `what`, borrowed for good, is said to have held it
 * up where it takes longer. Ahead of interrupt_start. */
void interrupt_give(uint64_t grace_ns, const char *what);

/* Blocks the signals in the calling thread and starts the thread that waits for them. To be
 * called once, before other threads are made: they inherit the mask. The descriptor stays
 * open until the process ends. */
int interrupt_start(int *ret_fd, struct muster_error *ret_error);

/* The signal that came first, 0 while none has. */
int interrupt_signal(void);

/* From now on the batch may take so long to end in order, not two seconds. A first SIGHUP only makes
 * interrupt_hung_up true, one that follows is as the others; and a second signal makes
 * interrupt_came_again true, for the batch to end in two seconds what has time left. */
void interrupt_let_run(uint64_t grace_ns);
bool interrupt_hung_up(void);
bool interrupt_came_again(void);

/* Whether the batch waits for its coordinator to say that it has accepted it: as long as it does, only
 * another signal ends the process at once, which is said. */
void interrupt_await(bool waits);

#endif
