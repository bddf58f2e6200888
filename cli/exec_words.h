/* SPDX-License-Identifier: MIT
 *
 * What stands behind the options of `muster exec`: the command, and its input sources behind ::: and its
 * like, or what --arg-sep and --arg-file-sep say instead.
 */
#ifndef MUSTER_CLI_EXEC_WORDS_H
#define MUSTER_CLI_EXEC_WORDS_H

#include "cli/exec_options.h"

/* Fills in the command, and adds the sources to those of -a; o->source_list has room for argc of them.
 * argv[at] is the first word behind the options. */
void exec_words_take(struct exec_options *o, int argc, char *const *argv, int at);

#endif
