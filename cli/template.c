/* SPDX-License-Identifier: MIT
 *
 * Expansion. template_init has made tokens of the words (template_read.c), and runs of the
 * tokens: a run is repeated for each argument (a word with {}, under -X), or written once.
 *
 * With -q each word is gathered as it will be, and quoted as a whole; a gap, also one between
 * two arguments, ends it. Without, arguments are quoted one by one as they are written.
 */
#include "cli/template.h"

#include "cli/template_read.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arguments {
    const struct row *rows;
    size_t row_count, count; /* count: of all rows */
};

static void put_text(struct template *t, const char *bytes, size_t size)
{
    t->quoted_open = true;
    shell_line_add(t->quote ? &t->quoted : &t->line, bytes, size);
}

static void put_argument(struct template *t, struct word word)
{
    if (t->quote || t->raw)
        put_text(t, word.bytes, word.size);
    else
        shell_line_quote(&t->line, word.bytes, word.size);
}

/* -q: ends the word that is being written, if there is one. */
static void put_end(struct template *t)
{
    if (t->quote && t->quoted_open)
        shell_line_quote(&t->line, t->quoted.size > 0 ? t->quoted.bytes : "", t->quoted.size);
    t->line.failed |= t->quoted.failed;
    shell_line_clear(&t->quoted);
    t->quoted_open = false;
}

static void put_gap(struct template *t)
{
    put_end(t);
    shell_line_add(&t->line, " ", 1);
}

static void put_number(struct template *t, uint64_t number)
{
    char digits[sizeof("18446744073709551615")];
    int length = snprintf(digits, sizeof(digits), "%" PRIu64, number);

    put_text(t, digits, (size_t)length);
}

/* Argument number `index` of all. */
static const struct word *argument_at(const struct arguments *all, size_t index)
{
    const struct row *row = all->rows;

    while (index >= row->count)
        index -= row++->count;
    return &row->args[index];
}

/* {N}; NULL when there is none. GNU parallel counts back past the first argument once more. */
static const struct word *argument_of(const struct arguments *all, long position)
{
    long count = (long)all->count, index = position > 0 ? position - 1 : count + position;

    if (index < 0)
        index += count;
    return position != 0 && index >= 0 && index < count ? argument_at(all, (size_t)index) : NULL;
}

static void put_all(struct template *t, const struct part *part, const struct arguments *all)
{
    bool first = true;

    for (size_t i = 0; i < all->row_count; i++)
        for (size_t j = 0; j < all->rows[i].count; j++) {
            if (!first)
                put_gap(t);
            put_argument(t, template_part(part, all->rows[i].args[j], &t->made));
            first = false;
        }
}

/* A run, where {} is `only`, or all arguments when that is NULL. */
static void put_run(struct template *t, const struct template_run *run, const struct word *only,
                    const struct arguments *all, uint64_t sequence)
{
    for (size_t i = run->first; i < run->first + run->count; i++) {
        const struct template_token *token = &t->tokens[i];
        const struct word *argument;

        switch (token->kind) {
        case TOKEN_TEXT:
        case TOKEN_BLANKS:
            put_text(t, t->text + token->at, token->size);
            break;
        case TOKEN_GAP:
            put_gap(t);
            break;
        case TOKEN_ALL:
            if (only)
                put_argument(t, template_part(&token->part, *only, &t->made));
            else
                put_all(t, &token->part, all);
            break;
        case TOKEN_ONE:
            argument = argument_of(all, token->position);
            if (argument)
                put_argument(t, template_part(&token->part, *argument, &t->made));
            else
                put_text(t, "", 0);
            break;
        case TOKEN_SEQUENCE:
            put_number(t, sequence);
            break;
        case TOKEN_TOTAL:
            put_number(t, t->total);
            break;
        case TOKEN_SLOT:
            put_text(t, TEMPLATE_SLOT_MARK, PLAIN_SLOT_MARK_BYTES);
            break;
        }
    }
}

static void put_repeated(struct template *t, const struct template_run *run, const struct arguments *all,
                         uint64_t sequence)
{
    bool first = true;

    for (size_t i = 0; i < all->row_count; i++)
        for (size_t j = 0; j < all->rows[i].count; j++) {
            if (!first)
                put_gap(t);
            put_run(t, run, &all->rows[i].args[j], all, sequence);
            first = false;
        }
}

static int check_argument(const struct word *word, struct muster_error *ret_error)
{
    if (word->size > 0 && memchr(word->bytes, '\0', word->size))
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "an argument holds a NUL byte, which no command can be given: %s",
                                word->bytes);
    return 0;
}

/* The marks of a line must be those of {%}: bytes of an argument must not pass for one. */
static int check_marks(const struct template *t, size_t slots, struct muster_error *ret_error)
{
    const char *at = t->line.bytes, *end = at + t->line.size;
    size_t marks = 0;

    while ((at = memmem(at, (size_t)(end - at), TEMPLATE_SLOT_MARK, PLAIN_SLOT_MARK_BYTES))) {
        marks++;
        at += PLAIN_SLOT_MARK_BYTES;
    }
    return marks == slots
               ? 0
               : muster_error_set(ret_error, MUSTER_EINVALID,
                                  "the command holds the bytes 01 25 02, which muster keeps for {%%}");
}

static size_t count_slots(const struct template *t, const struct arguments *all)
{
    size_t slots = 0;

    for (const struct template_run *run = t->runs; run < t->runs + t->run_count; run++)
        for (size_t i = run->first; i < run->first + run->count; i++)
            if (t->tokens[i].kind == TOKEN_SLOT)
                slots += run->repeated && all->count > 0 ? all->count : 1;
    return slots;
}

static int settle(struct template *t, struct command *ret_command, struct muster_error *ret_error)
{
    int code =
        t->plain ? plain_split(&t->words, (struct word){t->line.bytes, t->line.size}) : MUSTER_EINVALID;

    if (code == MUSTER_ENOMEM)
        return muster_error_set(ret_error, code, "out of memory");
    *ret_command = (struct command){
        .shell = code != 0,
        .line = {t->line.bytes, t->line.size},
        .argv = code ? NULL : t->words.argv,
        .argc = code ? 0 : t->words.argc,
    };
    return 0;
}

int template_expand(struct template *t, const struct row *rows, size_t row_count, uint64_t sequence,
                    struct command *ret_command, struct muster_error *ret_error)
{
    struct arguments all = {rows, row_count, 0};
    int code = 0;

    for (size_t i = 0; i < row_count; i++) {
        all.count += rows[i].count;
        for (size_t j = 0; j < rows[i].count && code == 0; j++)
            code = check_argument(&rows[i].args[j], ret_error);
    }
    if (code)
        return code;
    shell_line_clear(&t->line);
    shell_line_clear(&t->made);
    for (const struct template_run *run = t->runs; run < t->runs + t->run_count; run++)
        if (run->repeated && all.count > 0)
            put_repeated(t, run, &all, sequence);
        else
            put_run(t, run, NULL, &all, sequence);
    put_end(t);
    shell_line_add(&t->line, "", 1); /* so that it has bytes, and ends with a NUL */
    if (t->line.failed || t->made.failed)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    t->line.size--;
    code = check_marks(t, count_slots(t, &all), ret_error);
    return code ? code : settle(t, ret_command, ret_error);
}

static size_t argument_size(const struct template *t, const struct part *part, const struct word *argument)
{
    struct shell_line made = {.bytes = NULL};
    struct word word = template_part(part, *argument, &made);
    size_t size = word.size;

    if (!t->raw) /* -q: quotes that the word around it needs, when this part of it needs none. */
        size = shell_quoted_size(word.bytes, word.size, t->line.escaped) + (t->quote ? 2 : 0);
    shell_line_fini(&made);
    return size;
}

static size_t digits_of(uint64_t number)
{
    size_t digits = 1;

    for (; number >= 10; number /= 10)
        digits++;
    return digits;
}

/* What a token adds for the arguments of a row; `fixed` is where what does not depend on them goes. */
static size_t token_size(const struct template *t, const struct template_token *token, const struct row *row,
                         uint64_t sequence, size_t *fixed)
{
    size_t size = 0;

    switch (token->kind) {
    case TOKEN_TEXT:
    case TOKEN_BLANKS:
        *fixed +=
            t->quote ? shell_quoted_size(t->text + token->at, token->size, t->line.escaped) + 2 : token->size;
        break;
    case TOKEN_GAP:
        *fixed += 1;
        break;
    case TOKEN_ALL:
    case TOKEN_ONE:
        for (size_t i = 0; i < row->count; i++)
            size += argument_size(t, &token->part, &row->args[i]);
        break;
    case TOKEN_SEQUENCE:
        *fixed += digits_of(sequence);
        break;
    case TOKEN_TOTAL:
        *fixed += digits_of(t->total);
        break;
    case TOKEN_SLOT:
        *fixed += PLAIN_SLOT_MARK_BYTES + (t->quote ? 2 : 0); /* a mark is no plain text */
        break;
    }
    return size;
}

size_t template_size(const struct template *t, const struct row *row, uint64_t sequence, bool further)
{
    size_t gaps = further ? row->count : row->count > 0 ? row->count - 1 : 0, total = 0;

    for (const struct template_run *run = t->runs; run < t->runs + t->run_count; run++) {
        size_t fixed = 0, times = further ? 0 : 1;

        for (size_t i = run->first; i < run->first + run->count; i++) {
            const struct template_token *token = &t->tokens[i];

            total += token_size(t, token, row, sequence, &fixed);
            if (!run->repeated && (token->kind == TOKEN_ALL || token->kind == TOKEN_ONE))
                total += gaps;
        }
        if (run->repeated) {
            total += gaps;
            times = row->count > 0 || further ? row->count : 1;
        }
        total += times * fixed;
    }
    return total;
}

void template_fini(struct template *t)
{
    free(t->text);
    free(t->tokens);
    free(t->runs);
    shell_line_fini(&t->line);
    shell_line_fini(&t->quoted);
    shell_line_fini(&t->made);
    plain_fini(&t->words);
    *t = (struct template){0};
}
