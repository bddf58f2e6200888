/* SPDX-License-Identifier: MIT
 *
 * --resume, --resume-failed, --retry-failed: what a job log says of earlier runs. Of every line is kept where
 * its command stands, 32 bytes; commands are read again when they are needed, so that one of another run is
 * noticed instead of being taken for done.
 */
#ifndef MUSTER_CLI_EXEC_RESUME_H
#define MUSTER_CLI_EXEC_RESUME_H

#include "base/error.h"
#include "cli/row.h"

#include <msgpack.h>
#include <stdbool.h>
#include <stdint.h>

enum exec_resume_mode {
    EXEC_RESUME_NONE,
    EXEC_RESUME,        /* runs what the log does not have */
    EXEC_RESUME_FAILED, /* and what never succeeded */
    EXEC_RETRY_FAILED,  /* only that, by the commands of the log */
};

/* A line of the log. */
struct exec_resume_line {
    uint64_t sequence, number; /* of the job; of the line, from 1 */
    uint64_t at;               /* where its command stands in the file */
    uint32_t size;
    bool failed;
};

struct exec_resume {
    enum exec_resume_mode mode;
    const char *path; /* borrowed */
    bool opened;      /* `fd`, which is owned */
    int fd;
    struct exec_resume_line *lines; /* owned; by job, then as they stand in the log */
    size_t count, room;
    size_t next;          /* the first line of a job that has not been asked for */
    uint64_t failed;      /* jobs that never succeeded */
    uint64_t bytes;       /* of the log, as it was opened */
    uint64_t whole_bytes; /* without a last line that was cut short */
    msgpack_sbuffer command, filled;
};

/* Reads a log; one that is not there is empty, but for EXEC_RETRY_FAILED. 0, or an error that names the log,
 * and the line that is no line of a job log. */
int exec_resume_read(struct exec_resume *resume, enum exec_resume_mode mode, const char *path,
                     struct muster_error *ret_error);

/* Whether the next line is of this job. Jobs are asked for in ascending order. */
bool exec_resume_knows(struct exec_resume *resume, uint64_t sequence);

/* Whether the job that is known so is not to be run again. MUSTER_EINVALID when the log has another
 * command for it, {%} being any number. */
int exec_resume_done(struct exec_resume *resume, struct word command, bool *ret_done,
                     struct muster_error *ret_error);

/* The next job that failed, with the command of its last line, which is valid until the next call. 0;
 * MUSTER_EEND; or an error. */
int exec_resume_next(struct exec_resume *resume, uint64_t *ret_sequence, struct word *ret_command,
                     struct muster_error *ret_error);

/* Takes a zeroed one. */
void exec_resume_fini(struct exec_resume *resume);

#endif
