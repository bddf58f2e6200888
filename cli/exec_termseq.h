/* SPDX-License-Identifier: MIT
 *
 * --termseq: the signals that end a command, as GNU parallel 20221122 writes them.
 */
#ifndef MUSTER_CLI_EXEC_TERMSEQ_H
#define MUSTER_CLI_EXEC_TERMSEQ_H

#include "base/error.h"
#include "worker/command.h"

/* "TERM,200,TERM,100,KILL,25": signals by name or number, each with the milliseconds that its effect is
 * waited for; the last may be left out. 0 or MUSTER_EINVALID. */
int exec_termseq_parse(const char *text, struct command_steps *ret_steps, struct muster_error *ret_error);

/* How long all of it takes at most. */
uint64_t exec_termseq_ms(const struct command_steps *steps);

#endif
