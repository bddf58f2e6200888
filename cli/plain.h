/* SPDX-License-Identifier: MIT
 *
 * Plain commands: lines that mean a program and its arguments, and nothing else, to dash and
 * bash alike, so that they run without a shell and do what they would have done in one.
 * Whatever is not known to be plain is left to the shell.
 */
#ifndef MUSTER_CLI_PLAIN_H
#define MUSTER_CLI_PLAIN_H

#include "base/error.h"
#include "cli/row.h"

#include <stdbool.h>

/* What stands for the number of the worker, which is known only to the worker. */
#define PLAIN_SLOT_MARK "\1%\2"
enum { PLAIN_SLOT_MARK_BYTES = sizeof(PLAIN_SLOT_MARK) - 1 };

/* Zeroed, it is empty. */
struct plain {
    struct word *argv; /* owned; each word is followed by a NUL */
    size_t argc, argv_room;
    char *bytes; /* owned */
    size_t room;
    char *program;    /* the first word that was looked up last; owned, may be NULL */
    bool shell;       /* only a shell can run it */
    const char *path; /* what runs in its place; NULL: itself */
};

/* Whether a plain command is the same with `shell` as without it, as far as the shell itself and
 * the environment tell: start-up files, options and the like. */
bool plain_environment(const char *shell);

/* Splits a line into plain->argv, until the next call. 0; MUSTER_EINVALID, without a text, when
 * the line needs a shell; MUSTER_ENOMEM. */
int plain_split(struct plain *plain, struct word line);

void plain_fini(struct plain *plain);

#endif
