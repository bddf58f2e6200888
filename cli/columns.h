/* SPDX-License-Identifier: MIT
 *
 * --colsep: values split into columns. The pattern is written as Perl's are and matched as
 * POSIX extended ones (the longest of several alternatives, not the first); what POSIX does
 * not have, lazy quantifiers and look-around, is an error. As with Perl's split, what groups
 * ( ) match becomes columns too, and an empty match splits between bytes.
 */
#ifndef MUSTER_CLI_COLUMNS_H
#define MUSTER_CLI_COLUMNS_H

#include "base/error.h"
#include "cli/row.h"
#include "cli/texts.h"

#include <regex.h>
#include <stdbool.h>

enum { COLUMNS_GROUPS_MAX = 31 };

struct columns {
    char *literal; /* owned: a pattern that is plain bytes; NULL: `regex` */
    size_t literal_size;
    regex_t regex; /* owned, when `compiled` */
    bool compiled;
    struct re_registers registers; /* what its groups matched last; their arrays are owned */
    unsigned groups;               /* of the pattern */
    unsigned columns;              /* bit mask of those that become columns: not (?: ) */
};

/* 0, or MUSTER_EINVALID with what is wrong with the pattern. */
int columns_init(struct columns *columns, const char *pattern, struct muster_error *ret_error);

/* Takes zeroed ones, too. */
void columns_fini(struct columns *columns);

/* Adds the columns of a value to a list: at least one. 0 or MUSTER_ENOMEM. */
int columns_split(struct columns *columns, struct word value, struct texts *fields);

#endif
