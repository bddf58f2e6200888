/* SPDX-License-Identifier: MIT
 *
 * Patterns of the command line (--colsep, --regexp, --header): written as Perl's are and matched as
 * POSIX extended ones (the longest of several alternatives, not the first). What POSIX does not
 * have, lazy quantifiers and look-around, is an error. NUL is a byte as any other in what is searched.
 */
#ifndef MUSTER_CLI_PATTERN_H
#define MUSTER_CLI_PATTERN_H

#include "base/error.h"
#include "cli/row.h"

#include <regex.h>
#include <stdbool.h>

enum { PATTERN_GROUPS_MAX = 31 };

struct pattern {
    char *literal; /* owned: a pattern that is plain bytes; NULL: `regex` */
    size_t literal_size;
    regex_t regex; /* owned, when `compiled` */
    bool compiled;
    struct re_registers registers; /* what its groups matched last; their arrays are owned */
    unsigned groups;               /* of the pattern */
    unsigned captures;             /* bit mask of those that are not (?: ) */
};

struct pattern_match {
    size_t start, end;
};

/* 0, MUSTER_EINVALID with what is wrong with the pattern, or MUSTER_ENOMEM. */
int pattern_init(struct pattern *pattern, const char *text, struct muster_error *ret_error);

/* Takes zeroed ones, too. */
void pattern_fini(struct pattern *pattern);

/* The first match from `from` on, which is before the end, that ends behind `from`. 0; MUSTER_EEND when
 * there is none; MUSTER_ENOMEM. re_search(3) and not regexec(3): values hold NUL, and end without. */
int pattern_find(struct pattern *pattern, struct word value, size_t from, struct pattern_match *ret_match);

/* The match that begins last, up to `from`, of a pattern that is not literal. It may be empty. As above. */
int pattern_find_last(struct pattern *pattern, struct word value, size_t from,
                      struct pattern_match *ret_match);

/* How many bytes at the beginning of the value match. */
size_t pattern_prefix(struct pattern *pattern, struct word value);

#endif
