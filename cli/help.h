/* SPDX-License-Identifier: MIT
 *
 * The texts of --help that stand in files of their own.
 */
#ifndef MUSTER_CLI_HELP_H
#define MUSTER_CLI_HELP_H

struct help_text {
    const char *verb, *text;
};

/* Of the verbs that ask a coordinator (help_ask.c); ends with one without a verb. */
extern const struct help_text help_ask[];

#endif
