/* SPDX-License-Identifier: MIT
 *
 * Batches that a coordinator goes on with when their client has left, or that wait for its return: what
 * map and exec say of it.
 */
#ifndef MUSTER_CLI_LEAVE_H
#define MUSTER_CLI_LEAVE_H

#include "cli/progress.h"
#include "client/muster.h"

/* Says that the coordinator is gone, and that it is back; *told is what was said last. `progress` is out of
 * the way then; it may be NULL. */
void leave_tell_away(struct progress *progress, bool away, bool *told);

/* Says that the batch goes on at this coordinator, and the command lines that return to it and end it. */
void leave_tell_return(const char *coordinator, uint64_t batch);

/* --detach: says so if the batch, which is left, is not on disk. */
void leave_tell_kept(const struct muster_summary *summary);

#endif
