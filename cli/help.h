/* SPDX-License-Identifier: MIT
 *
 * The texts of --help that stand in files of their own.
 */
#ifndef MUSTER_CLI_HELP_H
#define MUSTER_CLI_HELP_H

struct help_text {
    const char *verb, *text;
};

/* Each ends with one without a verb. */
extern const struct help_text help_run[];     /* of those that run jobs for their results (help_run.c) */
extern const struct help_text help_measure[]; /* of those that run jobs to measure them (help_measure.c) */
extern const struct help_text help_ask[];     /* of those that ask a coordinator (help_ask.c) */

#endif
