/* SPDX-License-Identifier: MIT
 *
 * The command line that runs just one job of `muster map` again, in a process of its own.
 */
#ifndef MUSTER_CLI_AGAIN_H
#define MUSTER_CLI_AGAIN_H

#include "cli/options.h"

/* Says it on standard error, for a shell and for a debugger, of a job whose argument is known and not too
 * long for a line. */
void again_tell(const struct options *options, const struct muster_result *result);

#endif
