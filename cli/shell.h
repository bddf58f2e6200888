/* SPDX-License-Identifier: MIT
 *
 * Command lines for a shell: which shell, a line that grows, and arguments quoted for it byte
 * for byte as GNU parallel 20221122 quotes them. A word of letters, digits and _ + - . / stands
 * for itself, an empty one is '', any other is put in apostrophes; an apostrophe is "'", and two
 * have '' between them. fish and csh, which know a backslash between apostrophes, get one before
 * what it is needed for.
 */
#ifndef MUSTER_CLI_SHELL_H
#define MUSTER_CLI_SHELL_H

#include "cli/row.h"

#include <stdbool.h>

/* The shell that runs commands: PARALLEL_SHELL, else SHELL, else /bin/sh. Never NULL. */
const char *shell_name(void);

/* The bytes that need a backslash before them between apostrophes in that shell. Never NULL. */
const char *shell_escaped(void);

/* Zeroed, it is empty, and for a shell of the Bourne family. */
struct shell_line {
    char *bytes;         /* owned */
    const char *escaped; /* of the shell that words are quoted for, see shell_escaped; NULL: none */
    size_t size, room;
    bool failed; /* out of memory; what is added since is dropped */
};

/* As they are. */
void shell_line_add(struct shell_line *line, const char *bytes, size_t size);

/* As one word. */
void shell_line_quote(struct shell_line *line, const char *bytes, size_t size);

/* How many bytes shell_line_quote would add to a line with such an `escaped`. */
size_t shell_quoted_size(const char *bytes, size_t size, const char *escaped);

/* Forgets the bytes and the failure, keeps the memory. */
void shell_line_clear(struct shell_line *line);

void shell_line_fini(struct shell_line *line);

#endif
