/* SPDX-License-Identifier: MIT
 *
 * Output of commands that is too large for results: a folder for each batch that has some, in one of the
 * coordinator's (proto/spool.h). Workers write there, clients read there, and the coordinator removes what
 * is a batch's when it is forgotten. Beside the file of its store, as FILE.output, it is there as long as
 * that is; without one it is a temporary folder, which goes with the coordinator, or, if that is killed, when
 * the next one starts: whose folder it is holds a lock on it.
 */
#ifndef MUSTER_COORDINATOR_SPOOL_H
#define MUSTER_COORDINATOR_SPOOL_H

#include "base/error.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct spool {
    char path[PATH_MAX];
    int folder_fd; /* owned; -1: it is not open */
    bool temporary;
};

/* Makes it, beside the file of the store, which is there; NULL: none. MUSTER_ESYSTEM, or MUSTER_ESTATE when
 * the folder is not this user's alone. */
int spool_open(struct spool *spool, const char *state, struct muster_error *ret_error);

/* The batch is forgotten. */
void spool_forget(const struct spool *spool, uint64_t batch);

/* Forgets all batches that are not there any more: a coordinator was killed as it forgot them. What killed
 * workers had for themselves is removed, too. */
void spool_sweep(const struct spool *spool, bool (*is_there)(void *context, uint64_t batch), void *context);

/* Removes it if nothing in it is to be kept. Takes one that is not open. */
void spool_close(struct spool *spool);

#endif
