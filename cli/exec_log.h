/* SPDX-License-Identifier: MIT
 *
 * --joblog: a line for each command that ended, with the columns of GNU parallel 20221122. A line is
 * there, whole, once its command is done with, and not before.
 */
#ifndef MUSTER_CLI_EXEC_LOG_H
#define MUSTER_CLI_EXEC_LOG_H

#include "cli/exec_append.h"
#include "cli/exec_result.h"
#include "cli/row.h"

#include <msgpack.h>

#define EXEC_LOG_COLUMNS "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand"

struct exec_log {
    bool wanted;
    struct exec_append file;
    msgpack_sbuffer line;
};

/* Opens it, `alone` as exec_append_open does, and leaves the first `keep` bytes of the `had` that it had, as
 * exec_append_begin does; an empty one begins with the names of the columns. `path` NULL: none is wanted. 0,
 * MUSTER_ESYSTEM, MUSTER_EINVALID or MUSTER_EOUTPUT. */
int exec_log_open(struct exec_log *log, const char *path, bool alone, uint64_t had, uint64_t keep,
                  struct muster_error *ret_error);

/* Adds a line, at once. 0, MUSTER_EOUTPUT or MUSTER_ENOMEM. */
int exec_log_add(struct exec_log *log, uint64_t sequence, const struct exec_result *result,
                 struct word command, struct muster_error *ret_error);

/* Takes a zeroed one. */
void exec_log_close(struct exec_log *log);

#endif
