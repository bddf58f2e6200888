/* SPDX-License-Identifier: MIT
 *
 * A worker that is confined (base/sandbox.h): itself, with the functions that it runs, or the commands
 * that it starts, each for itself.
 */
#ifndef MUSTER_WORKER_CONFINE_H
#define MUSTER_WORKER_CONFINE_H

#include "worker/worker.h"

struct sandbox;      /* base/sandbox.h */
struct command_spec; /* worker/command_internal.h */

/* Closes what the worker was not handed over on purpose. Before it opens anything. */
void confine_descriptors(const struct worker_options *options);

/* Confines this process, before it has a second thread and before it loads the plug-ins of the options, whose
 * files a job may have put there. 0, or as sandbox_create; then it must end. The caller owns the sandbox. */
int confine_worker(const struct worker_options *options, struct sandbox **ret_sandbox,
                   struct muster_error *ret_error);

/* Whether this process has no more than one thread yet. 0 or MUSTER_ESTATE. */
int confine_check_threads(struct muster_error *ret_error);

/* Commands are kept from what these options say; borrowed. */
void confine_commands(const struct worker_options *options);

/* What a command is to enter, of spec->sandbox, writing to `fds`, which are files of the folder `output_fd`,
 * -1: something else. Borrowed until the next call. 0, or as sandbox_create. */
int confine_command(const struct command_spec *spec, const int fds[3], int output_fd,
                    const struct sandbox **ret_sandbox, struct muster_error *ret_error);

/* There is no command for a while: what is kept for the next one holds no files meanwhile. */
void confine_rest(void);

/* There is none any more. */
void confine_no_more(void);

#endif
