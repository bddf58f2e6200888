/* SPDX-License-Identifier: MIT
 *
 * The options of all verbs but exec as one table (option.c), and how they are read from words
 * (option_words.c). An option is a row: its name, the verbs that take it, and what its value does to
 * struct options. Two rows may have one name where verbs differ in what it means.
 */
#ifndef MUSTER_CLI_OPTION_H
#define MUSTER_CLI_OPTION_H

#include "cli/options.h"

#include <stddef.h>

enum value_kind {
    VALUE_FLAG,    /* none: a bool becomes true */
    VALUE_TEXT,    /* a const char *, kept as it is */
    VALUE_COUNT,   /* a whole number, unsigned */
    VALUE_INT,     /* the same, an int */
    VALUE_SECONDS, /* a double */
    VALUE_SIZE,    /* bytes, a uint64_t */
    VALUE_PERHAPS, /* one behind =, or none: `take` is called with NULL then */
    VALUE_NONE,    /* none: `take` is called with NULL */
    VALUE_OTHER,   /* what `take` makes of it */
};

struct option_row {
    const char *name; /* without the hyphens */
    char letter;      /* 0: none */
    unsigned verbs;   /* a bit for each */
    enum value_kind kind;
    size_t member;      /* where it is in struct options, unless `take` knows */
    double least, most; /* of COUNT, INT and SECONDS */
    /* 0, or MUSTER_EINVALID with what was expected. */
    int (*take)(struct options *o, enum verb verb, const char *text, struct muster_error *ret_error);
};

/* Ends with one without a name. */
extern const struct option_row option_table[];

/* The most rows that a verb may have. */
enum { OPTION_ROWS_MAX = 96 };

/* Takes the options of argv[1..argc) and moves the other words behind them; *ret_rest is the place of
 * the first of those. 0, or MUSTER_EINVALID with the option, what it got and what it takes. */
int option_words_take(struct options *options, enum verb verb, int argc, char **argv, int *ret_rest,
                      struct muster_error *ret_error);

/* Whether the word is spelled as an option of the verb: -j, -j4, --chunk, --chunk=8. */
bool option_words_is(enum verb verb, const char *word);

#endif
