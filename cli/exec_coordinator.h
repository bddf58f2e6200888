/* SPDX-License-Identifier: MIT
 *
 * `muster exec` with the workers of a coordinator that runs: which one, and what is then refused, by name.
 */
#ifndef MUSTER_CLI_EXEC_COORDINATOR_H
#define MUSTER_CLI_EXEC_COORDINATOR_H

#include "cli/exec_options.h"

/* Says whether there is one (options->open.coordinator), and how many commands run at once, here or there. 0
 * or MUSTER_EINVALID. */
int exec_coordinator_check(struct exec_options *options, struct muster_error *ret_error);

#endif
