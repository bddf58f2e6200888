/* SPDX-License-Identifier: MIT
 *
 * The options of `muster exec` as a table: all spellings of each, and what it does to struct
 * exec_options. exec_options.c makes of it what getopt_long wants.
 */
#ifndef MUSTER_CLI_EXEC_OPTION_H
#define MUSTER_CLI_EXEC_OPTION_H

#include "cli/exec_options.h"

enum exec_option_kind {
    OPTION_FLAG,           /* without a value: a bool becomes true */
    OPTION_TEXT,           /* its value is kept as it is */
    OPTION_ALONE,          /* without a value */
    OPTION_VALUE,          /* with one */
    OPTION_PERHAPS,        /* with one, behind =, or without */
    OPTION_PERHAPS_NUMBER, /* with one, if that is a number; the next word, or behind the letter or = */
    OPTION_PERHAPS_WORD,   /* with one, if that is not empty and begins with no - */
};

struct exec_option {
    const char *names; /* with a blank between them; those of one byte are letters */
    enum exec_option_kind kind;
    size_t member; /* OPTION_FLAG, OPTION_TEXT: where it is in struct exec_options */
    /* The others: `text` is NULL without a value. 0; or MUSTER_EINVALID with what was expected, or
     * MUSTER_ENOMEM. */
    int (*take)(struct exec_options *o, const char *text, struct muster_error *ret_error);
};

/* Ends with one without names. */
extern const struct exec_option exec_option_table[];

#endif
