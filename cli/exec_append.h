/* SPDX-License-Identifier: MIT
 *
 * Records at the end of a file, whole or not at all: what was written of one that does not fit on
 * the disk is taken away again, where the file is a regular one and no other run has appended to it since.
 */
#ifndef MUSTER_CLI_EXEC_APPEND_H
#define MUSTER_CLI_EXEC_APPEND_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exec_append {
    const char *what, *path; /* borrowed: "the job log", and its name, for errors */
    int fd;                  /* owned, but for standard output; -1: closed */
    bool alone;
    uint64_t open_bytes; /* of the record that is being written */
    uint64_t open_end;   /* where those end in the file */
};

/* Opens the file, or makes it, with what is in it; `path` NULL: standard output. Of a regular file
 * `alone` means not while another run has it open, else it means not while one has it alone; the file must be
 * one that may be read, too, then. No other opens it before exec_append_begin. 0, MUSTER_ESYSTEM or
 * MUSTER_EINVALID. */
int exec_append_open(struct exec_append *append, const char *what, const char *path, bool alone,
                     struct muster_error *ret_error);

#define EXEC_APPEND_ANY UINT64_MAX

/* Leaves the first `keep` bytes of a regular file of which the caller has read `had` before it opened it, or
 * EXEC_APPEND_ANY; where others append to it nothing is taken, which may be theirs. What is empty then begins
 * with `heading`, if not NULL. 0, MUSTER_ESYSTEM, MUSTER_EOUTPUT, or MUSTER_EINVALID: another run that had it
 * alone has written it since. */
int exec_append_begin(struct exec_append *append, uint64_t had, uint64_t keep, const char *heading,
                      struct muster_error *ret_error);

/* Whether it is a file that can be shortened; if so, how long it is. */
bool exec_append_regular(const struct exec_append *append, uint64_t *ret_bytes);

/* Adds to the record, by one write where the system takes it all. 0, or MUSTER_EOUTPUT: the record is gone
 * then. */
int exec_append_write(struct exec_append *append, const char *bytes, size_t size,
                      struct muster_error *ret_error);

/* The record is complete. */
void exec_append_end(struct exec_append *append);

/* Takes one that was zeroed but for its descriptor, -1. */
void exec_append_close(struct exec_append *append);

#endif
