/* SPDX-License-Identifier: MIT
 *
 * The folder in which workers leave output that is too large for a result. What nobody took, since
 * the run ended before, goes with it; when this process was killed, by the next muster (coordinator/nest.h).
 */
#ifndef MUSTER_CLI_EXEC_FOLDER_H
#define MUSTER_CLI_EXEC_FOLDER_H

#include "base/error.h"

#include <limits.h>

struct exec_folder {
    const char *parent;  /* borrowed */
    char path[PATH_MAX]; /* in it, from / on; "": none */
};

/* Where temporary files go: `asked` or, where that is NULL, TMPDIR or /tmp. */
const char *exec_folder_temporary(const char *asked);

/* Finds a name for one in `parent`, where it could be made by now. Who needs it first makes it: most often
 * nobody does. 0 or MUSTER_ESYSTEM. */
int exec_folder_init(struct exec_folder *folder, const char *parent, struct muster_error *ret_error);

/* Makes it, for this user alone. 0 or MUSTER_ESYSTEM. */
int exec_folder_make(const struct exec_folder *folder, struct muster_error *ret_error);

/* --wd: a folder for commands, which is made when it is not there, with those above it. 0, or an error. */
int exec_folder_want(const char *path, struct muster_error *ret_error);

/* Removes it with its files. Takes a zeroed one. */
void exec_folder_remove(struct exec_folder *folder);

#endif
