/* SPDX-License-Identifier: MIT
 *
 * -p: each command is shown on the terminal, and runs when the answer begins with y or Y. Only the next
 * question waits for an answer: jobs run, and their output is written, meanwhile.
 */
#ifndef MUSTER_CLI_EXEC_ASK_H
#define MUSTER_CLI_EXEC_ASK_H

#include "base/error.h"
#include "cli/row.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct exec;

/* Zeroed: nobody is asked. */
struct exec_ask {
    FILE *out; /* owned: to the terminal; NULL: nobody is asked */
    int in;    /* its descriptor, to read from */
    int fd;    /* owned, the same number all along: a copy of what is waited for, the terminal or the input */
    bool asked;        /* there is no answer yet */
    struct row row;    /* of the command that was asked about; borrowed from what gave it */
    uint64_t sequence; /* its number */
};

/* 0, or MUSTER_ESYSTEM: there is no terminal. */
int exec_ask_open(struct exec_ask *ask, struct muster_error *ret_error);

/* The next row whose command is wanted, and its number. 0; MUSTER_EEND, also when the terminal is gone;
 * MUSTER_EAGAIN (poll ask.fd); or an error. */
int exec_ask_next(struct exec *exec, struct row *ret_row, uint64_t *ret_sequence,
                  struct muster_error *ret_error);

void exec_ask_close(struct exec_ask *ask);

#endif
