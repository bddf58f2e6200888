/* SPDX-License-Identifier: MIT
 *
 * One muster at a time has a store's file open. The lock is flock's, on the file itself: it goes with
 * its holder however that ends, holds by whichever name the file is opened, and leaves other programs their
 * way to read.
 */
#ifndef MUSTER_COORDINATOR_STORE_LOCK_H
#define MUSTER_COORDINATOR_STORE_LOCK_H

#include "base/error.h"

/* Makes the file (mode 0600) if there is none, and locks it. The descriptor is the lock: the caller
 * closes it, after every other descriptor of the file. STATE: another process has it; the text
 * says which. */
int store_lock(const char *path, int *ret_fd, struct muster_error *ret_error);

#endif
