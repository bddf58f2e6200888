/* SPDX-License-Identifier: MIT
 *
 * From the words of a command to tokens and runs: literal text, replacement strings, and, where
 * none takes an argument, one {} at the end.
 */
#include "cli/template_read.h"

#include <stdlib.h>
#include <string.h>

static int add_token(struct template *t, struct template_token token, struct muster_error *ret_error)
{
    size_t room = t->token_room > 0 ? t->token_room * 2 : 16;
    struct template_token *grown;

    if (!t->tokens || t->token_count == t->token_room) {
        grown = realloc(t->tokens, room * sizeof(*grown));
        if (!grown)
            return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
        t->tokens = grown;
        t->token_room = room;
    }
    t->tokens[t->token_count++] = token;
    return 0;
}

static int add_replacement(struct template *t, const struct replacement *replacement,
                           struct muster_error *ret_error)
{
    static const enum token_kind kinds[] = {
        [REPLACEMENT_ALL] = TOKEN_ALL,           [REPLACEMENT_ONE] = TOKEN_ONE,
        [REPLACEMENT_SEQUENCE] = TOKEN_SEQUENCE, [REPLACEMENT_SLOT] = TOKEN_SLOT,
        [REPLACEMENT_TOTAL] = TOKEN_TOTAL,
    };

    return add_token(t,
                     (struct template_token){.kind = kinds[replacement->kind],
                                             .part = replacement->part,
                                             .position = replacement->position},
                     ret_error);
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n';
}

/* Adds a byte of text, to the token before it when that is of its kind and next to it. */
static int add_byte(struct template *t, size_t at, struct muster_error *ret_error)
{
    enum token_kind kind = is_blank(t->text[at]) ? TOKEN_BLANKS : TOKEN_TEXT;
    struct template_token *last = t->token_count > 0 ? &t->tokens[t->token_count - 1] : NULL;

    if (last && last->kind == kind && last->at + last->size == at) {
        last->size++;
        return 0;
    }
    return add_token(t, (struct template_token){.kind = kind, .at = at, .size = 1}, ret_error);
}

/* The word that is t->text[at..end). */
static int read_word(struct template *t, const struct template_rules *rules, size_t at, size_t end,
                     struct muster_error *ret_error)
{
    struct replacement replacement;
    int code = 0;

    if (at == end) /* it is a word all the same */
        return add_token(t, (struct template_token){.kind = TOKEN_TEXT, .at = at}, ret_error);
    while (at < end && code == 0) {
        code = template_parts_find(rules, (struct word){t->text + at, end - at}, &replacement, ret_error);
        if (code == 0) {
            code = add_replacement(t, &replacement, ret_error);
            at += replacement.size;
        } else if (code == MUSTER_ENOTFOUND) {
            code = add_byte(t, at++, ret_error);
        }
    }
    return code;
}

static bool is_replacement(enum token_kind kind)
{
    return kind != TOKEN_TEXT && kind != TOKEN_BLANKS && kind != TOKEN_GAP;
}

/* An argument to append, when nothing was replaced. */
static int append_all(struct template *t, size_t word_count, struct muster_error *ret_error)
{
    int code = 0;

    for (size_t i = 0; i < t->token_count; i++)
        if (is_replacement(t->tokens[i].kind))
            return 0;
    if (word_count > 0)
        code = add_token(t, (struct template_token){.kind = TOKEN_GAP}, ret_error);
    return code ? code : add_token(t, (struct template_token){.kind = TOKEN_ALL}, ret_error);
}

/* Whether the first word, up to a blank, holds a replacement string: the command itself is then
 * an argument, and arguments are not quoted. */
static bool begins_with_argument(const struct template *t)
{
    for (size_t i = 0; i < t->token_count; i++)
        if (t->tokens[i].kind != TOKEN_TEXT || t->tokens[i].size == 0)
            return is_replacement(t->tokens[i].kind);
    return false;
}

static bool is_separator(enum token_kind kind)
{
    return kind == TOKEN_BLANKS || kind == TOKEN_GAP;
}

/* Runs of tokens between blanks, or a single one of all of them. */
static int group(struct template *t, bool context, struct muster_error *ret_error)
{
    t->runs = calloc(t->token_count, sizeof(*t->runs));
    if (!t->runs)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    for (size_t i = 0; i < t->token_count; i++) {
        enum token_kind kind = t->tokens[i].kind;
        struct template_run *run = t->run_count > 0 ? &t->runs[t->run_count - 1] : NULL;

        if (!run || (context && is_separator(kind) != is_separator(t->tokens[i - 1].kind))) {
            run = &t->runs[t->run_count++];
            run->first = i;
        }
        run->count++;
        run->repeated |= context && kind == TOKEN_ALL;
    }
    return 0;
}

/* Copies the words into t->text, a blank after each. */
static int copy_words(struct template *t, const char *const *words, size_t count,
                      struct muster_error *ret_error)
{
    const char *open, *shut = NULL;
    size_t size = 1;
    char *to;

    for (size_t i = 0; i < count; i++)
        size += strlen(words[i]) + 1;
    t->text = to = malloc(size);
    if (!to)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        to = stpcpy(to, words[i]);
        *to++ = ' ';
    }
    *to = '\0';
    open = memmem(t->text, size - 1, "{=", 2);
    if (open)
        shut = strstr(open + 2, "=}");
    if (shut)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "%.*s: muster runs no Perl; use the shell, or a script, for this",
                                (int)(shut + 2 - open), open);
    return 0;
}

int template_init(struct template *t, const char *const *words, size_t count,
                  const struct template_rules *rules, struct muster_error *ret_error)
{
    size_t at = 0;
    int code;

    *t = (struct template){.quote = rules->quote};
    code = template_parts_check(rules, ret_error);
    if (code == 0)
        code = copy_words(t, words, count, ret_error);
    for (size_t i = 0; i < count && code == 0; i++) {
        size_t end = at + strlen(words[i]);

        if (i > 0)
            code = add_token(t, (struct template_token){.kind = TOKEN_GAP}, ret_error);
        if (code == 0)
            code = read_word(t, rules, at, end, ret_error);
        at = end + 1;
    }
    if (code == 0 && !rules->text && !rules->no_append)
        code = append_all(t, count, ret_error);
    if (code == 0)
        code = group(t, rules->context, ret_error);
    if (code) {
        template_fini(t);
        return code;
    }
    t->raw = rules->text || (!t->quote && begins_with_argument(t));
    t->line.escaped = shell_escaped();
    t->plain = !rules->always_shell && !rules->text && plain_environment(shell_name());
    return 0;
}
