/* SPDX-License-Identifier: MIT
 *
 * --joblog: a line for each command that ended, with the columns of GNU parallel 20221122.
 */
#ifndef MUSTER_CLI_EXEC_LOG_H
#define MUSTER_CLI_EXEC_LOG_H

#include "cli/exec_result.h"
#include "cli/row.h"

#include <stdio.h>

struct exec_log {
    const char *path; /* borrowed */
    FILE *file;       /* owned; NULL: no log is wanted */
};

/* Starts a log in place of what the file held; `path` NULL: none is wanted. 0 or MUSTER_ESYSTEM. */
int exec_log_open(struct exec_log *log, const char *path, struct muster_error *ret_error);

/* Adds a line, at once. 0 or MUSTER_EOUTPUT. */
int exec_log_add(struct exec_log *log, uint64_t sequence, const struct exec_result *result,
                 struct word command, struct muster_error *ret_error);

void exec_log_close(struct exec_log *log);

#endif
