/* SPDX-License-Identifier: MIT
 *
 * Options out of words: the rows of a verb as getopt_long wants them, and what a row's value does.
 * getopt_long gives a letter as itself, and a long name as LONG and the place of its row. See option.h.
 */
#include "cli/option.h"

#include "cli/quantity.h"

#include <assert.h>
#include <ctype.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum { LONG = 256 };

/* What getopt_long needs to know for one verb. */
struct grammar {
    char letters[2 * OPTION_ROWS_MAX + 2];
    struct option names[OPTION_ROWS_MAX + 1];
};

static bool is_of(const struct option_row *row, enum verb verb)
{
    return row->verbs & 1U << verb;
}

static int takes_value(const struct option_row *row)
{
    if (row->kind == VALUE_PERHAPS)
        return optional_argument;
    return row->kind == VALUE_FLAG || row->kind == VALUE_NONE ? no_argument : required_argument;
}

static void make_grammar(enum verb verb, struct grammar *ret_grammar)
{
    struct option *next = ret_grammar->names;
    char *letter = ret_grammar->letters;

    *letter++ = ':'; /* getopt: tell a missing value from an unknown option */
    for (const struct option_row *row = option_table; row->name; row++) {
        if (!is_of(row, verb))
            continue;
        assert(next < &ret_grammar->names[OPTION_ROWS_MAX]);
        *next++ = (struct option){
            .name = row->name, .has_arg = takes_value(row), .val = LONG + (int)(row - option_table)};
        if (!row->letter)
            continue;
        *letter++ = row->letter;
        if (takes_value(row))
            *letter++ = ':';
    }
    *letter = '\0';
    *next = (struct option){0};
}

/* The row of what getopt_long found. */
static const struct option_row *find_row(enum verb verb, int id)
{
    const struct option_row *row = option_table;

    if (id >= LONG)
        return &option_table[id - LONG];
    while (!is_of(row, verb) || row->letter != id)
        row++;
    return row;
}

/* What getopt_long refused. */
static int refuse(int verdict, char *const *argv, struct muster_error *ret_error)
{
    if (verdict == ':')
        return muster_error_set(ret_error, MUSTER_EINVALID, "%s needs a value", argv[optind - 1]);
    if (optopt >= LONG)
        return muster_error_set(ret_error, MUSTER_EINVALID, "--%s takes no value",
                                option_table[optopt - LONG].name);
    if (optopt > 0)
        return muster_error_set(ret_error, MUSTER_EINVALID, "unknown option -%c", optopt);
    return muster_error_set(ret_error, MUSTER_EINVALID, "unknown or ambiguous option %s", argv[optind - 1]);
}

static int take_count(const struct option_row *row, void *member, const char *text,
                      struct muster_error *ret_error)
{
    uint64_t number;

    if (quantity_integer(text, (uint64_t)row->least, (uint64_t)row->most, &number, ret_error))
        return MUSTER_EINVALID;
    if (row->kind == VALUE_INT)
        *(int *)member = (int)number;
    else
        *(unsigned *)member = (unsigned)number;
    return 0;
}

/* One option. On failure *ret_error says what was expected. */
static int take(struct options *options, enum verb verb, const struct option_row *row, const char *text,
                struct muster_error *ret_error)
{
    void *member = (char *)options + row->member;

    switch (row->kind) {
    case VALUE_FLAG:
        *(bool *)member = true;
        return 0;
    case VALUE_TEXT:
        *(const char **)member = text;
        return 0;
    case VALUE_COUNT:
    case VALUE_INT:
        return take_count(row, member, text, ret_error);
    case VALUE_SECONDS:
        return quantity_seconds(text, row->least, row->most, member, ret_error);
    case VALUE_SIZE:
        return quantity_size(text, member, ret_error);
    case VALUE_PERHAPS:
    case VALUE_NONE:
    case VALUE_OTHER:
        return row->take(options, verb, text, ret_error);
    }
    return muster_error_set(ret_error, MUSTER_EINVALID, "unknown option");
}

/* An option's value was wrong: -j 0 or --chunk 0, and why. */
static int blame(const struct option_row *row, const char *text, const struct muster_error *why,
                 struct muster_error *ret_error)
{
    char letter[] = {row->letter, '\0'};

    return muster_error_set(ret_error, MUSTER_EINVALID, "-%s%s %s: %s", row->letter ? "" : "-",
                            row->letter ? letter : row->name, text, why->text);
}

int option_words_take(struct options *options, enum verb verb, int argc, char **argv, int *ret_rest,
                      struct muster_error *ret_error)
{
    const struct option_row *row;
    struct muster_error why;
    struct grammar grammar = {.letters = ""};
    int id;

    make_grammar(verb, &grammar);
    opterr = 0;
    optind = 0; /* glibc: start over, with nothing remembered */
    while ((id = getopt_long(argc, argv, grammar.letters, grammar.names, NULL)) != -1) {
        if (id == '?' || id == ':')
            return refuse(id, argv, ret_error);
        row = find_row(verb, id);
        if (take(options, verb, row, optarg, &why))
            return blame(row, optarg, &why, ret_error);
        if (options->help)
            break;
    }
    *ret_rest = optind;
    return 0;
}

bool option_words_is(enum verb verb, const char *word)
{
    size_t size = strcspn(word, "=");

    for (const struct option_row *row = option_table; row->name; row++) {
        if (!is_of(row, verb) || word[0] != '-')
            continue;
        if (word[1] == '-' && strlen(row->name) + 2 == size && strncmp(word + 2, row->name, size - 2) == 0)
            return true;
        if (row->letter && row->letter == word[1] && (word[2] == '\0' || isdigit((unsigned char)word[2])))
            return true;
    }
    return false;
}
