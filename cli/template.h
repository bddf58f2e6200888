/* SPDX-License-Identifier: MIT
 *
 * The command template of `muster exec`, with GNU parallel's grammar: the command's words with
 * replacement strings, expanded for the arguments of a job into a line for the shell, and into
 * words where the command needs no shell. `man parallel` describes the strings; docs/DESIGN.md
 * says where GNU parallel 20221122 goes its own way and where muster does.
 */
#ifndef MUSTER_CLI_TEMPLATE_H
#define MUSTER_CLI_TEMPLATE_H

#include "base/error.h"
#include "cli/plain.h"
#include "cli/row.h"
#include "cli/shell.h"

#include <stdbool.h>
#include <stdint.h>

/* What stands for {%} in an expanded command: the worker puts its number there. */
#define TEMPLATE_SLOT_MARK PLAIN_SLOT_MARK

/* Borrowed until template_init returns; zeroed, GNU parallel's defaults. */
struct template_rules {
    const char *all;                   /* -I, {} */
    const char *no_extension;          /* --extensionreplace, {.} */
    const char *basename;              /* --basenamereplace, {/} */
    const char *dirname;               /* --dirnamereplace, {//} */
    const char *basename_no_extension; /* --basenameextensionreplace, {/.} */
    const char *sequence;              /* --seqreplace, {#} */
    const char *slot;                  /* --slotreplace, {%} */
    const struct word *names;          /* --header: {NAME} is {1}, and so on */
    size_t name_count;
    bool plus;         /* --plus: {+/} {..} {##} {%text} and others */
    bool quote;        /* -q */
    bool context;      /* -X, -N, and -L without -m: a word with {} is repeated for each argument */
    bool no_append;    /* a command without replacement strings gets no argument */
    bool always_shell; /* no command runs without a shell */
    bool text;         /* no command but a text, such as a tag: nothing is quoted or added */
};

struct command {
    bool shell;       /* `line` needs shell_name(); without, `argv` is the same */
    struct word line; /* always there, for --dry-run and the job log; a NUL is behind it */
    struct word *argv;
    size_t argc;
};

struct template
{
    char *text; /* owned: the command's words */
    struct template_token *tokens;
    size_t token_count, token_room;
    struct template_run *runs; /* owned: the tokens, grouped */
    size_t run_count;
    bool quote, raw; /* raw: arguments are commands, and not quoted */
    bool plain;      /* commands may run without a shell */
    uint64_t total;  /* what {##} of --plus is: set it before expanding */
    struct shell_line line, quoted, made;
    bool quoted_open; /* -q: the word being written is there, though it may be empty */
    struct plain words;
};

/* Without words each argument is a command. 0; MUSTER_EINVALID with what is not allowed;
 * MUSTER_ENOMEM. The template is then as after template_fini. */
int template_init(struct template *t, const char *const *words, size_t count,
                  const struct template_rules *rules, struct muster_error *ret_error);

/* The command of job number `sequence` (from 1). All arguments of all rows are its arguments:
 * {} is all of them, {N} the N-th. *ret_command is valid until the next call. 0; MUSTER_EINVALID
 * when an argument holds what no command can take (NUL); MUSTER_ENOMEM. */
int template_expand(struct template *t, const struct row *rows, size_t row_count, uint64_t sequence,
                    struct command *ret_command, struct muster_error *ret_error);

/* How long the line is with this row alone, or, when `further`, what it adds to a line that has
 * rows already. Never too little; {N} counts for every row, as GNU parallel has it for -s. */
size_t template_size(const struct template *t, const struct row *row, uint64_t sequence, bool further);

/* Takes a zeroed object, too. */
void template_fini(struct template *t);

#endif
