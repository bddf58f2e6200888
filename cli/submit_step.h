/* SPDX-License-Identifier: MIT
 *
 * A step of a job file as a command line: what it says, whether its verb takes it, and how it is run, in a
 * copy of this process.
 */
#ifndef MUSTER_CLI_SUBMIT_STEP_H
#define MUSTER_CLI_SUBMIT_STEP_H

#include "cli/jobfile.h"

/* Whether the verb understands the step's options, and whether its arguments can be read. Nothing runs. */
int submit_step_check(const struct jobfile *file, const struct jobfile_step *step,
                      struct muster_error *ret_error);

/* The command line as a user would type it, with the names of steps for the numbers that their batches
 * will get; NULL when out of memory. The caller frees it. */
char *submit_step_line(const struct jobfile *file, const struct jobfile_step *step);

/* Submits it to the coordinator that the environment names: *ret_batch is its number. `batches` are those of
 * the file's steps, by place. What its verb says goes to standard error. Returns the verb's exit status, 0
 * for success. The process must have one thread. */
int submit_step_run(const struct jobfile_step *step, const uint64_t *batches, uint64_t *ret_batch);

#endif
