/* SPDX-License-Identifier: MIT
 *
 * --files: what a command wrote to standard output is kept in a file of its own, which is the user's then,
 * and the path of the file is written instead.
 */
#ifndef MUSTER_CLI_EXEC_FILES_H
#define MUSTER_CLI_EXEC_FILES_H

#include "cli/exec_result.h"
#include "cli/row.h"

/* Keeps it in a new file in `folder`, behind `heading`, which may be empty; a file it is in already is moved
 * where that can be done. 0, or MUSTER_EOUTPUT with the path. */
int exec_files_keep(const char *folder, const struct exec_written *written, struct word heading,
                    char ret_path[PATH_MAX], struct muster_error *ret_error);

#endif
