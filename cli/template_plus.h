/* SPDX-License-Identifier: MIT
 *
 * Replacement strings of --plus that take an operand, as bash's parameter expansions do: {:-text},
 * {:2}, {:2:3}, {#text}, {%text}, {/text/other}, {^a}, {,A} and their doubled forms. Operands are
 * text; GNU parallel takes regular expressions, and these are refused.
 */
#ifndef MUSTER_CLI_TEMPLATE_PLUS_H
#define MUSTER_CLI_TEMPLATE_PLUS_H

#include "base/error.h"
#include "cli/row.h"
#include "cli/shell.h"

enum expansion_kind {
    EXPANSION_DEFAULT,   /* {:-what}: in place of what is empty */
    EXPANSION_SUBSTRING, /* {:from:length} */
    EXPANSION_PREFIX,    /* {#what}: removed where it is at the beginning */
    EXPANSION_SUFFIX,    /* {%what}: at the end */
    EXPANSION_REPLACE,   /* {/what/with}, {//what/with} */
    EXPANSION_UPPER,     /* {^what} at the beginning, {^^what} */
    EXPANSION_LOWER,     /* {,what}, {,,what} */
};

struct expansion {
    enum expansion_kind kind;
    bool all; /* wherever it is found */
    size_t from, length;
    struct word what, with; /* slices of what was read */
};

/* What begins behind a brace, and a position: "%.gz}...". *ret_size is as far as the other brace. 0;
 * MUSTER_ENOTFOUND, without a text, when it is no expansion; MUSTER_EINVALID for a regular expression. */
int template_plus_read(struct word text, struct expansion *ret_expansion, size_t *ret_size,
                       struct muster_error *ret_error);

/* A slice of the argument or the expansion, or what was made in `made`. */
struct word template_plus_expand(const struct expansion *expansion, struct word argument,
                                 struct shell_line *made);

#endif
