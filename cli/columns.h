/* SPDX-License-Identifier: MIT
 *
 * --colsep: values split into columns by a pattern. As with Perl's split, what groups ( ) match
 * becomes columns too, and an empty match splits between bytes.
 */
#ifndef MUSTER_CLI_COLUMNS_H
#define MUSTER_CLI_COLUMNS_H

#include "cli/pattern.h"
#include "cli/texts.h"

struct columns {
    struct pattern pattern;
};

/* 0, or MUSTER_EINVALID with what is wrong with the pattern. */
int columns_init(struct columns *columns, const char *pattern, struct muster_error *ret_error);

/* Takes zeroed ones, too. */
void columns_fini(struct columns *columns);

/* Adds the columns of a value to a list: at least one. 0 or MUSTER_ENOMEM. */
int columns_split(struct columns *columns, struct word value, struct texts *fields);

#endif
