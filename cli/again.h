/* SPDX-License-Identifier: MIT
 *
 * The command line that runs just one job again that crashed, of `muster map` in a process of its own, of
 * `muster exec` by itself. One that was confined, or had limits, is run so again.
 */
#ifndef MUSTER_CLI_AGAIN_H
#define MUSTER_CLI_AGAIN_H

#include "cli/exec_options.h"
#include "cli/exec_result.h"
#include "cli/options.h"
#include "cli/shell.h"

/* Of a job whose workers died of it; NULL when its argument is not known, or too long for a line, or when
 * they were a coordinator's: nobody here knows of what files their functions are, nor whether they were
 * confined. `line` is to be ended by the caller in any case, and holds what is returned. */
const char *again_map(const struct options *options, const struct muster_result *result,
                      struct shell_line *line);

/* Of a command that a signal of its own doing ended; NULL of any other, of one that read a part of a larger
 * input, or that is too long. */
const char *again_exec(const struct exec_options *options, const struct exec_result *result,
                       struct word command, struct shell_line *line);

/* Say it on standard error, and the line for a debugger: but of one that was confined or had limits, which
 * would have it outside. false: it has control characters, and is not said. */
bool again_tell_map(const struct options *options, const char *again);
bool again_tell_exec(const struct exec_options *options, struct word command, const char *again);

#endif
