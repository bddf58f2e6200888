/* SPDX-License-Identifier: MIT
 *
 * Lines of a descriptor, without ever waiting: what cannot be had at once is MUSTER_EAGAIN,
 * so that results go on streaming while the input is idle. The descriptor's flags are left
 * alone (it may be shared with a shell); poll(2) is asked before every read(2).
 *
 * A line ends with '\n', or with any other bytes that lines_delimit names; the last one may
 * lack it; an empty line is a line; '\r' and NUL are bytes like any other.
 */
#ifndef MUSTER_CLI_LINES_H
#define MUSTER_CLI_LINES_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lines {
    int fd;          /* borrowed */
    char *buffer;    /* owned */
    size_t size;     /* allocated */
    size_t start;    /* of the next line */
    size_t searched; /* no delimiter begins from `start` up to here */
    size_t end;      /* of what was read */
    size_t limit;    /* bytes of the longest line allowed */
    uint64_t number; /* of the line last asked for, from 1 */
    bool ended;      /* the file has been read to its end */

    const char *delimiter; /* borrowed */
    size_t delimiter_size;
};

/* Starts on a descriptor, at its present position. */
void lines_init(struct lines *lines, int fd, size_t limit_bytes);

/* What ends a line from now on: at least one byte, which must outlive *lines. */
void lines_delimit(struct lines *lines, const char *delimiter, size_t size);

/* Takes an object that was zeroed and never begun, too. */
void lines_fini(struct lines *lines);

/* The next line without its delimiter; valid until the next call. 0; MUSTER_EEND;
 * MUSTER_EAGAIN; MUSTER_ELIMIT when it is longer than the limit; MUSTER_ESYSTEM with the
 * reason alone as text; MUSTER_ENOMEM. */
int lines_next(struct lines *lines, const char **ret_line, size_t *ret_size, struct muster_error *ret_error);

#endif
