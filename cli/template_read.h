/* SPDX-License-Identifier: MIT
 *
 * What a command template is made of once its words have been read.
 */
#ifndef MUSTER_CLI_TEMPLATE_READ_H
#define MUSTER_CLI_TEMPLATE_READ_H

#include "cli/template_parts.h"

enum token_kind {
    TOKEN_TEXT,
    TOKEN_BLANKS, /* text, too */
    TOKEN_GAP,    /* between two words of the command */
    TOKEN_ALL,    /* {} */
    TOKEN_ONE,    /* {N} */
    TOKEN_SEQUENCE,
    TOKEN_SLOT,
    TOKEN_TOTAL,
};

struct template_token {
    enum token_kind kind;
    struct part part;
    long position;
    size_t at, size; /* of text */
};

/* Tokens next to each other. */
struct template_run {
    size_t first, count;
    bool repeated; /* once for each argument */
};

#endif
