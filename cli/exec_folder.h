/* SPDX-License-Identifier: MIT
 *
 * The folder for large output: workers leave there what is too large for a result, and --line-buffer what
 * waits. What nobody took, since the run ended before, goes with the run's muster, whose muster_scratch it
 * is; when this process was killed, with the next one (coordinator/nest.h). Jobs may be able to write there.
 */
#ifndef MUSTER_CLI_EXEC_FOLDER_H
#define MUSTER_CLI_EXEC_FOLDER_H

#include "base/error.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct exec_folder {
    char parent[PATH_MAX]; /* from / on, without links */
    char path[PATH_MAX];   /* in it; "": none */
    int fd;                /* owned; where it was made here; or -1 */
    int parent_fd;         /* owned; inherited by workers, which go from there; -1: they do not */
};

/* A file in it. Zeroed: none. */
struct exec_folder_file {
    uint64_t number; /* of its name */
    dev_t device;
    ino_t inode;
    bool made;
};

/* Where temporary files go: `asked` or, where that is NULL, TMPDIR or /tmp. */
const char *exec_folder_temporary(const char *asked);

/* Finds out whether one could be made in `parent` by now. 0 or MUSTER_ESYSTEM. */
int exec_folder_init(struct exec_folder *folder, const char *parent, struct muster_error *ret_error);

/* Workers inherit a descriptor of the parent as it is now, whatever jobs put in its place. 0 or
 * MUSTER_ESYSTEM. */
int exec_folder_share(struct exec_folder *folder, struct muster_error *ret_error);

/* It has this path, of a folder that is not there: who needs it first makes it; most often nobody does. */
void exec_folder_take(struct exec_folder *folder, const char *path);

/* Makes it, for this user alone. 0 or MUSTER_ESYSTEM. */
int exec_folder_make(struct exec_folder *folder, struct muster_error *ret_error);

/* Makes the file of that number, which is not there, in a folder that was made here, or opens it again; what
 * has been put in its place is refused. 0 or MUSTER_ESYSTEM. */
int exec_folder_open(const struct exec_folder *folder, struct exec_folder_file *file, int flags, int *ret_fd,
                     struct muster_error *ret_error);

/* Removes the file. Takes none. */
void exec_folder_unlink(const struct exec_folder *folder, struct exec_folder_file *file);

/* --wd: a folder for commands, which is made when it is not there, with those above it. 0, or an error. */
int exec_folder_want(const char *path, struct muster_error *ret_error);

/* Takes a zeroed one. */
void exec_folder_close(struct exec_folder *folder);

#endif
