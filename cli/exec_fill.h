/* SPDX-License-Identifier: MIT
 *
 * Several rows of arguments in a command: as many as its line has room for (-X, -m, --xargs), or as -n,
 * -N and -L allow. Rows of a command are handed out as one row of all their arguments, which is what
 * replacement strings see of them anyway. What is held is the rows of a command, and the one after.
 */
#ifndef MUSTER_CLI_EXEC_FILL_H
#define MUSTER_CLI_EXEC_FILL_H

#include "cli/sources.h"
#include "cli/template.h"

/* As options say it. Zeroed: a row a command. */
struct exec_fill_options {
    bool words;       /* -X: as many rows as fit, a word with {} for each; dealt out to the slots at last */
    bool all;         /* -m: the same, {} being all of them */
    bool xargs;       /* --xargs: the same, and not dealt out */
    bool numbered;    /* -N: as -n, a word with {} for each */
    bool lines;       /* -L: the same, unless -m or --xargs */
    size_t max_args;  /* -n, -N: rows of a command; 0: not given */
    size_t max_lines; /* -L */
    size_t max_bytes; /* -s; 0: what the kernel takes */
    bool exact;       /* -x: a command that has no room for as many rows as -n says is an error */
};

struct exec_fill {
    struct sources *sources;        /* borrowed */
    const struct template *command; /* borrowed */
    size_t max_rows;                /* of a command; 0: as many as fit */
    size_t max_bytes;               /* of a line and the NUL behind it */
    unsigned slots;                 /* the last rows are dealt out over so many commands; 0: they are not */
    bool exact;

    struct texts arguments; /* of the rows that have been gathered */
    size_t *ends;           /* owned: where each of these rows ends among the arguments */
    size_t rows, ends_room;
    size_t bytes;         /* of their line, at most */
    struct texts carried; /* the row after them, which had no room */
    bool has_carried;
    bool ended;           /* there are no more */
    size_t share;         /* so many of these rows a command: all of them until they are dealt out */
    size_t given;         /* of these rows, so many are in a command */
    size_t handed;        /* rows of the command that was handed out last */
    uint64_t commands;    /* handed out */
    uint64_t rows_before; /* in commands, before those that are gathered */
    struct word *words;   /* owned: the arguments as they are handed out */
    size_t words_room;
};

/* Whether a word with {} is repeated for each argument (template_rules.context). */
bool exec_fill_repeats(const struct exec_fill_options *options);

/* `slots` is how many commands run at once. Takes a zeroed object. */
void exec_fill_init(struct exec_fill *fill, const struct exec_fill_options *options, unsigned slots,
                    struct sources *sources, const struct template *command);

/* The arguments of the next command, valid until the next call. 0; MUSTER_EEND; MUSTER_EAGAIN, to be
 * continued by calling again (poll the sources); or an error. */
int exec_fill_next(struct exec_fill *fill, struct row *ret_row, struct muster_error *ret_error);

/* 0, or MUSTER_ELIMIT: the line of the command that was handed out last is too long. */
int exec_fill_check(const struct exec_fill *fill, struct word line, struct muster_error *ret_error);

/* How many commands there are, as long as each has room for max_rows; 0 while nobody knows. */
uint64_t exec_fill_total(const struct exec_fill *fill);

void exec_fill_fini(struct exec_fill *fill);

/* --max-line-length-allowed: the longest line a command may have, in bytes. */
size_t exec_fill_longest(void);

#endif
