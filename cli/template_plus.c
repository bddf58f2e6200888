/* SPDX-License-Identifier: MIT
 *
 * Replacement strings with operands. See template_plus.h.
 */
#include "cli/template_plus.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

/* --- reading */

static bool is_at(struct word text, size_t at, char byte)
{
    return at < text.size && text.bytes[at] == byte;
}

/* Up to the byte, which may not be the first: nothing is no operand. */
static bool read_operand(struct word text, size_t at, char end, struct word *ret_operand)
{
    const char *from = text.bytes + at, *to;

    to = at < text.size ? memchr(from, end, text.size - at) : NULL;
    if (!to || to == from)
        return false;
    *ret_operand = (struct word){from, (size_t)(to - from)};
    return true;
}

/* The digits at *at; a number too large is as good as the largest. */
static bool read_number(struct word text, size_t *at, size_t *ret_number)
{
    size_t first = *at, number = 0;

    for (; *at < text.size && isdigit((unsigned char)text.bytes[*at]); ++*at)
        if (number < SIZE_MAX / 20)
            number = number * 10 + (size_t)(text.bytes[*at] - '0');
    *ret_number = number;
    return *at > first;
}

/* {:-text} {:2} {:2:3} */
static int read_colon(struct word text, struct expansion *e, size_t *ret_end)
{
    size_t at = 1;

    if (is_at(text, at, '-')) {
        e->kind = EXPANSION_DEFAULT;
        if (!read_operand(text, 2, '}', &e->what))
            return MUSTER_ENOTFOUND;
        *ret_end = 2 + e->what.size;
        return 0;
    }
    e->kind = EXPANSION_SUBSTRING;
    e->length = SIZE_MAX;
    if (!read_number(text, &at, &e->from))
        return MUSTER_ENOTFOUND;
    if (is_at(text, at, ':')) {
        at++;
        if (!read_number(text, &at, &e->length))
            return MUSTER_ENOTFOUND;
    }
    *ret_end = at;
    return is_at(text, at, '}') ? 0 : MUSTER_ENOTFOUND;
}

/* {/text/other}, where there may be nothing of the other. */
static int read_replacement(struct word text, struct expansion *e, size_t *ret_end)
{
    size_t at = 1 + e->all;
    const char *from, *to;

    if (!read_operand(text, at, '/', &e->what) || memchr(e->what.bytes, '}', e->what.size))
        return MUSTER_ENOTFOUND;
    from = e->what.bytes + e->what.size + 1;
    to = memchr(from, '}', (size_t)(text.bytes + text.size - from));
    if (!to)
        return MUSTER_ENOTFOUND;
    e->with = (struct word){from, (size_t)(to - from)};
    *ret_end = (size_t)(to - text.bytes);
    return 0;
}

static int check_text(struct word operand, struct muster_error *ret_error)
{
    static const char special[] = "\\^$*+?()[]{|@";

    for (size_t i = 0; i < operand.size; i++)
        if (memchr(special, operand.bytes[i], sizeof special - 1))
            return muster_error_set(ret_error, MUSTER_EINVALID,
                                    "%.*s: a regular expression in a replacement string of --plus is not "
                                    "supported, only text",
                                    (int)operand.size, operand.bytes);
    return 0;
}

int template_plus_read(struct word text, struct expansion *ret_expansion, size_t *ret_size,
                       struct muster_error *ret_error)
{
    static const char marks[] = "#%/^,";
    static const enum expansion_kind kinds[] = {EXPANSION_PREFIX, EXPANSION_SUFFIX, EXPANSION_REPLACE,
                                                EXPANSION_UPPER, EXPANSION_LOWER};
    const char *mark = text.size > 0 ? memchr(marks, text.bytes[0], sizeof marks - 1) : NULL;
    struct expansion e = {.kind = mark ? kinds[mark - marks] : EXPANSION_SUBSTRING};
    size_t end;
    int code = 0;

    if (mark) {
        e.all = is_at(text, 1, *mark);
        if (e.kind == EXPANSION_REPLACE)
            code = read_replacement(text, &e, &end);
        else if (read_operand(text, 1 + e.all, '}', &e.what))
            end = 1 + e.all + e.what.size;
        else
            code = MUSTER_ENOTFOUND;
    } else {
        code = is_at(text, 0, ':') ? read_colon(text, &e, &end) : MUSTER_ENOTFOUND;
    }
    if (!code && e.kind != EXPANSION_DEFAULT)
        code = check_text(e.what, ret_error);
    if (!code)
        code = check_text(e.with, ret_error);
    if (code)
        return code;
    *ret_expansion = e;
    *ret_size = end + 1;
    return 0;
}

/* --- expanding */

static bool begins_with(struct word text, struct word what)
{
    return text.size >= what.size && memcmp(text.bytes, what.bytes, what.size) == 0;
}

static struct word rest_of(struct word text, size_t at)
{
    return (struct word){text.bytes + at, text.size - at};
}

/* What stands in place of what was found. */
static void put_other(const struct expansion *e, struct shell_line *made)
{
    if (e->kind == EXPANSION_REPLACE) {
        shell_line_add(made, e->with.bytes, e->with.size);
        return;
    }
    for (size_t i = 0; i < e->what.size; i++) {
        unsigned char byte = (unsigned char)e->what.bytes[i];
        char other = (char)(e->kind == EXPANSION_UPPER ? toupper(byte) : tolower(byte));

        shell_line_add(made, &other, 1);
    }
}

/* The argument with what is found in it replaced: all of it, the first, or where it begins the argument. */
static struct word replace(const struct expansion *e, struct word argument, struct shell_line *made)
{
    bool anywhere = e->all || e->kind == EXPANSION_REPLACE;
    struct word rest = argument;
    bool failed = made->failed;
    const char *found;

    shell_line_clear(made);
    made->failed = failed;
    while ((found = memmem(rest.bytes, rest.size, e->what.bytes, e->what.size)) != NULL &&
           (anywhere || found == argument.bytes)) {
        shell_line_add(made, rest.bytes, (size_t)(found - rest.bytes));
        put_other(e, made);
        rest = rest_of(rest, (size_t)(found - rest.bytes) + e->what.size);
        if (!e->all)
            break;
    }
    shell_line_add(made, rest.bytes, rest.size);
    return made->size > 0 ? (struct word){made->bytes, made->size} : (struct word){"", 0};
}

struct word template_plus_expand(const struct expansion *e, struct word argument, struct shell_line *made)
{
    size_t length;

    switch (e->kind) {
    case EXPANSION_DEFAULT:
        return argument.size == 0 ? e->what : argument;
    case EXPANSION_SUBSTRING:
        argument = rest_of(argument, e->from < argument.size ? e->from : argument.size);
        length = e->length < argument.size ? e->length : argument.size;
        return (struct word){argument.bytes, length};
    case EXPANSION_PREFIX:
        return begins_with(argument, e->what) ? rest_of(argument, e->what.size) : argument;
    case EXPANSION_SUFFIX:
        if (argument.size >= e->what.size &&
            begins_with(rest_of(argument, argument.size - e->what.size), e->what))
            argument.size -= e->what.size;
        return argument;
    case EXPANSION_REPLACE:
    case EXPANSION_UPPER:
    case EXPANSION_LOWER:
        return replace(e, argument, made);
    }
    return argument;
}
