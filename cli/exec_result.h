/* SPDX-License-Identifier: MIT
 *
 * How a command ended, as the function `command` of workers tells it (worker/command.h), and
 * what it wrote: in memory, or, where that is much, in files that are the taker's now.
 */
#ifndef MUSTER_CLI_EXEC_RESULT_H
#define MUSTER_CLI_EXEC_RESULT_H

#include "base/error.h"
#include "cli/exec_folder.h"

#include <limits.h>
#include <msgpack.h>
#include <stdbool.h>
#include <stdint.h>

/* What a job wrote to one of its descriptors. */
struct exec_written {
    const char *bytes; /* borrowed from the value; NULL: it is in the file */
    size_t size;
    int fd;              /* of the file, where it is in one: owned, to read from anywhere */
    char path[PATH_MAX]; /* of the file; "": none */
    bool lent;           /* which is somebody else's; or exec_result_discard removes it */
};

struct exec_result {
    int exit, signal; /* the status, or -1 and the signal that killed it */
    double start_s;   /* since 1970 */
    uint64_t wall_ns, user_us, system_us, memory_kib;
    uint64_t sent_bytes; /* of its standard input: who asked for the job knows */
    bool timed_out;
    unsigned flags;  /* enum command_flag */
    unsigned layers; /* of its sandbox, as of sandbox_pack */
    struct exec_written out, err;
    int lost; /* errno: some of that could not be had, and is empty; ESTALE: it is not what it was */
    uint64_t live_bytes; /* that it wrote as they came */
};

/* `own`: a worker of this process says it, whose files are there or beside it; NULL: any other, or whoever
 * listens where a coordinator should, may name any file, so all files are lent then. A file may lie where
 * jobs can write: what has become a link, has another name, or is no file, is lost. 0, or MUSTER_EPROTOCOL
 * when the value is something else. Nothing of it is trusted. To be discarded. */
int exec_result_read(const msgpack_object *value, const struct exec_folder *own,
                     struct exec_result *ret_result);

/* Whether what is lost of it is so for what jobs have done; else for what this process lacks. */
bool exec_result_is_spoiled(const struct exec_result *result);

/* What a shell would say of it: its status, or 128 and the signal. What may be cut short, or is lost, has
 * failed. */
int exec_result_status(const struct exec_result *result);

/* What the job log has as its exit value: -1 when a time limit ended it, 0 when a signal did. */
int exec_result_logged(const struct exec_result *result);

/* Closes its files, and removes those that are the taker's. */
void exec_result_discard(const struct exec_result *result);

#endif
