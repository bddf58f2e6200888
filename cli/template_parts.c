/* SPDX-License-Identifier: MIT
 *
 * Replacement strings. Each rule is a spelling; one that begins with a brace has forms with a
 * position ({2.}) and with a column's name ({name.}) behind the brace as well.
 */
#include "cli/template_parts.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct rule {
    const char *text;
    enum replacement_kind kind;
    struct part part;
};

#define RULE(text, replacement, part_kind, count)      \
    {                                                  \
        (text), (replacement),                         \
        {                                              \
            .kind = (part_kind), .extensions = (count) \
        }                                              \
    }

static const struct rule plus_rules[] = {
    RULE("{+/}", REPLACEMENT_ALL, PART_DIRECTORY, 0),  RULE("{+.}", REPLACEMENT_ALL, PART_EXTENSION, 1),
    RULE("{+..}", REPLACEMENT_ALL, PART_EXTENSION, 2), RULE("{+...}", REPLACEMENT_ALL, PART_EXTENSION, 3),
    RULE("{..}", REPLACEMENT_ALL, PART_STEM, 2),       RULE("{...}", REPLACEMENT_ALL, PART_STEM, 3),
    RULE("{/..}", REPLACEMENT_ALL, PART_BASENAME, 2),  RULE("{/...}", REPLACEMENT_ALL, PART_BASENAME, 3),
    RULE("{##}", REPLACEMENT_TOTAL, PART_STEM, 0),
};

enum { BASIC_RULES = 7, PLUS_RULES = sizeof(plus_rules) / sizeof(plus_rules[0]) };

static const char *or_default(const char *text, const char *otherwise)
{
    return text ? text : otherwise;
}

static void basic_rules(const struct template_rules *rules, struct rule ret_rules[static BASIC_RULES])
{
    const struct rule basic[BASIC_RULES] = {
        RULE(or_default(rules->all, "{}"), REPLACEMENT_ALL, PART_STEM, 0),
        RULE(or_default(rules->no_extension, "{.}"), REPLACEMENT_ALL, PART_STEM, 1),
        RULE(or_default(rules->basename, "{/}"), REPLACEMENT_ALL, PART_BASENAME, 0),
        RULE(or_default(rules->dirname, "{//}"), REPLACEMENT_ALL, PART_DIRNAME, 0),
        RULE(or_default(rules->basename_no_extension, "{/.}"), REPLACEMENT_ALL, PART_BASENAME, 1),
        RULE(or_default(rules->sequence, "{#}"), REPLACEMENT_SEQUENCE, PART_STEM, 0),
        RULE(or_default(rules->slot, "{%}"), REPLACEMENT_SLOT, PART_STEM, 0),
    };

    memcpy(ret_rules, basic, sizeof(basic));
}

static bool begins_with(struct word text, size_t at, const char *prefix, size_t size)
{
    return text.size - at >= size && memcmp(text.bytes + at, prefix, size) == 0;
}

/* Takes the replacement when it is longer than what was found before. */
static void take(const struct rule *rule, enum replacement_kind kind, long position, size_t size,
                 struct replacement *found)
{
    if (size > found->size)
        *found = (struct replacement){kind, rule->part, position, size};
}

/* The end of "{N", blanks included, from which *ret_position is taken; 0 when it is not there. {0}
 * is {}, but {00} and {-0} are no argument. */
static size_t position_end(struct word text, enum replacement_kind *ret_kind, long *ret_position)
{
    size_t at = 1, digits;
    long position = 0;
    bool back = at < text.size && text.bytes[at] == '-';

    at += back;
    for (digits = at; at < text.size && isdigit((unsigned char)text.bytes[at]); at++)
        if (position < LONG_MAX / 100) /* else it stays as large, which is no argument's number */
            position = position * 10 + (text.bytes[at] - '0');
    if (at == digits)
        return 0;
    *ret_kind = position == 0 && at == digits + 1 && !back ? REPLACEMENT_ALL : REPLACEMENT_ONE;
    *ret_position = back ? -position : position;
    while (at < text.size && isspace((unsigned char)text.bytes[at]))
        at++;
    return at;
}

static void match(const struct rule *rule, const struct template_rules *rules, struct word text,
                  struct replacement *found)
{
    size_t size = strlen(rule->text), at;
    enum replacement_kind kind;
    long position;

    if (rule->kind == REPLACEMENT_ALL && rule->text[0] == '{' && text.bytes[0] == '{') {
        for (size_t i = 0; i < rules->name_count; i++) {
            const struct word *name = &rules->names[i];

            if (begins_with(text, 1, name->bytes, name->size) &&
                begins_with(text, 1 + name->size, rule->text + 1, size - 1))
                take(rule, REPLACEMENT_ONE, (long)i + 1, name->size + size, found);
        }
        at = position_end(text, &kind, &position);
        if (at > 0 && begins_with(text, at, rule->text + 1, size - 1))
            take(rule, kind, position, at + size - 1, found);
    }
    if (begins_with(text, 0, rule->text, size))
        take(rule, rule->kind, 0, size, found);
}

/* An expansion behind a brace, a position or a name. */
static int match_expansion(const struct template_rules *rules, struct word text, struct replacement *found,
                           struct muster_error *ret_error)
{
    enum replacement_kind kind = REPLACEMENT_ALL;
    struct rule rule = {.part.kind = PART_EXPANSION};
    long position = 0;
    size_t at, size;
    int code;

    for (size_t i = 0; i <= rules->name_count + 1; i++) {
        at = 1;
        if (i == 1) {
            at = position_end(text, &kind, &position);
        } else if (i > 1) {
            at = begins_with(text, 1, rules->names[i - 2].bytes, rules->names[i - 2].size)
                     ? 1 + rules->names[i - 2].size
                     : 0;
            kind = REPLACEMENT_ONE;
            position = (long)i - 1;
        }
        code = at > 0 ? template_plus_read((struct word){text.bytes + at, text.size - at},
                                           &rule.part.expansion, &size, ret_error)
                      : MUSTER_ENOTFOUND;
        if (code == 0)
            take(&rule, kind, position, at + size, found);
        else if (code != MUSTER_ENOTFOUND)
            return code;
    }
    return 0;
}

/* What --plus of GNU parallel has besides. */
static bool is_beyond_plus(struct word text)
{
    static const char *const names[] = {"0#}",   "0%}",   "choose_k}", "uniq}",    "slot}",
                                        "host}", "hgrp}", "agrp}",     "sshlogin}"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (begins_with(text, 1, names[i], strlen(names[i])))
            return true;
    return false;
}

int template_parts_find(const struct template_rules *rules, struct word text,
                        struct replacement *ret_replacement, struct muster_error *ret_error)
{
    struct replacement found = {.size = 0};
    struct rule basic[BASIC_RULES];

    if (text.size == 0)
        return MUSTER_ENOTFOUND;
    basic_rules(rules, basic);
    for (size_t i = 0; i < BASIC_RULES; i++)
        match(&basic[i], rules, text, &found);
    for (size_t i = 0; rules->plus && text.bytes[0] == '{' && i < PLUS_RULES; i++)
        match(&plus_rules[i], rules, text, &found);
    if (rules->plus && text.bytes[0] == '{' && found.size == 0) {
        int code = match_expansion(rules, text, &found, ret_error);

        if (code)
            return code;
    }
    if (found.size > 0) {
        *ret_replacement = found;
        return 0;
    }
    if (rules->plus && text.bytes[0] == '{' && is_beyond_plus(text))
        return muster_error_set(
            ret_error, MUSTER_EINVALID, "%.*s: this replacement string of --plus is not supported",
            (int)((char *)memchr(text.bytes, '}', text.size) - text.bytes) + 1, text.bytes);
    return MUSTER_ENOTFOUND;
}

int template_parts_check(const struct template_rules *rules, struct muster_error *ret_error)
{
    struct rule basic[BASIC_RULES];

    basic_rules(rules, basic);
    for (size_t i = 0; i < BASIC_RULES; i++)
        if (!*basic[i].text)
            return muster_error_set(ret_error, MUSTER_EINVALID,
                                    "a replacement string is empty: -I and the like need a string");
    return 0;
}

/* Where the last `count` extensions begin; the word's size when it has not so many. */
static size_t extensions_start(struct word word, int count)
{
    for (size_t at = word.size; count > 0 && at > 0 && word.bytes[at - 1] != '/'; at--)
        if (word.bytes[at - 1] == '.' && --count == 0)
            return at - 1;
    return word.size;
}

static struct word directory(struct word word)
{
    const char *slash = word.size > 0 ? memrchr(word.bytes, '/', word.size) : NULL;

    return (struct word){word.bytes, slash ? (size_t)(slash - word.bytes) : 0};
}

static struct word dirname_of(struct word word)
{
    size_t size = word.size;
    bool root = size > 0 && word.bytes[0] == '/';

    while (size > 0 && word.bytes[size - 1] == '/')
        size--;
    while (size > 0 && word.bytes[size - 1] != '/')
        size--;
    while (size > 0 && word.bytes[size - 1] == '/')
        size--;
    if (size > 0)
        return (struct word){word.bytes, size};
    return (struct word){root ? "/" : ".", 1};
}

/* One extension goes back to the last dot of all, several must be in the basename. */
static struct word extension(struct word word, int count)
{
    const char *dot = word.size > 0 ? memrchr(word.bytes, '.', word.size) : NULL;
    size_t start = count == 1 && dot ? (size_t)(dot - word.bytes) : extensions_start(word, count);

    if (start == word.size)
        return (struct word){word.bytes, 0};
    return (struct word){word.bytes + start + 1, word.size - start - 1};
}

struct word template_part(const struct part *part, struct word argument, struct shell_line *made)
{
    struct word word;
    size_t skip;

    if (argument.size == 0)
        argument.bytes = "";
    word = argument;
    switch (part->kind) {
    case PART_BASENAME:
        skip = directory(argument).size;
        skip += skip < argument.size && argument.bytes[skip] == '/';
        word = (struct word){argument.bytes + skip, argument.size - skip};
        word.size = extensions_start(word, part->extensions);
        break;
    case PART_STEM:
        word.size = extensions_start(argument, part->extensions);
        break;
    case PART_DIRNAME:
        word = dirname_of(argument);
        break;
    case PART_DIRECTORY:
        word = directory(argument);
        break;
    case PART_EXTENSION:
        word = extension(argument, part->extensions);
        break;
    case PART_EXPANSION:
        word = template_plus_expand(&part->expansion, argument, made);
        break;
    }
    return word;
}
