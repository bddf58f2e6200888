/* SPDX-License-Identifier: MIT
 *
 * How a run of `muster exec` goes on where an earlier one ended (cli/exec_resume.h, cli/exec_store.h), and
 * how its user can go on with it.
 */
#ifndef MUSTER_CLI_EXEC_AGAIN_H
#define MUSTER_CLI_EXEC_AGAIN_H

#include "cli/exec_options.h"

struct exec;

/* Whether the options go together; with --retry-failed the command and its sources are none. 0, or
 * MUSTER_EINVALID. */
int exec_again_check(struct exec_options *options, struct muster_error *ret_error);

/* Reads the job log of earlier runs, and opens it and the results; with --dry-run nothing is changed. 0, or
 * an error with the name of the file. */
int exec_again_open(struct exec *exec, struct muster_error *ret_error);

/* The row of the next job that is to be run, and its number. As sources_next. */
int exec_again_next(struct exec *exec, struct row *ret_row, uint64_t *ret_sequence,
                    struct muster_error *ret_error);

/* How many jobs there are to run; 0 while nobody knows. */
uint64_t exec_again_total(const struct exec *exec);

/* Says how to run again what failed, and what has not run when `unfinished`. */
void exec_again_advise(const struct exec *exec, bool unfinished);

void exec_again_close(struct exec *exec);

#endif
