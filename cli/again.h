/* SPDX-License-Identifier: MIT
 *
 * The command line that runs just one job again that crashed, of `muster map` in a process of its own, or in
 * the workers of the coordinator that had it, of `muster exec` by itself. One that was confined, or had
 * limits, is run so again.
 */
#ifndef MUSTER_CLI_AGAIN_H
#define MUSTER_CLI_AGAIN_H

#include "cli/exec_options.h"
#include "cli/exec_result.h"
#include "cli/options.h"
#include "cli/shell.h"

/* Of a job whose workers, a coordinator's, died of it; NULL when its argument is not known, or too long for a
 * line, or the function is no name of one. `line` is to be ended by the caller in any case, and holds what is
 * returned. */
const char *again_at(const char *coordinator, const char *function, const struct muster_result *result,
                     struct shell_line *line);

/* The same of a job of this run, wherever its workers were. */
const char *again_map(const struct options *options, const struct muster_result *result,
                      struct shell_line *line);

/* Of a command that a signal of its own doing ended; NULL of any other, of one that read a part of a larger
 * input, or that is too long. */
const char *again_exec(const struct exec_options *options, const struct exec_result *result,
                       struct word command, struct shell_line *line);

/* Says it on standard error. false: it has control characters, and is not said, since it would be another
 * command as it is shown. */
bool again_tell(const char *again);

/* And the line for a debugger: but of one that was confined or had limits, which would have it outside, and
 * of one that a coordinator ran. */
bool again_tell_map(const struct options *options, const char *again);
bool again_tell_exec(const struct exec_options *options, struct word command, const char *again);

#endif
