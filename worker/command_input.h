/* SPDX-License-Identifier: MIT
 *
 * What a command reads: nothing, bytes, or ranges of a file, as its standard input or as a file.
 */
#ifndef MUSTER_WORKER_COMMAND_INPUT_H
#define MUSTER_WORKER_COMMAND_INPUT_H

#include "worker/command_internal.h"

struct command_input {
    int given;      /* for its standard input; borrowed */
    int fd;         /* its file or the end of its pipe; -1: none */
    int file, sink; /* of which it is fed into the pipe, and the pipe's other end; -1: nothing is fed */
    struct command_range ranges[COMMAND_RANGES_MAX];
    unsigned left, range_count; /* what is left is in ranges[left] and those after it */
    int error;                  /* why it was fed no more; ESPIPE: there was not as much in the file */
};

/* `null_fd` is given where nothing is to be read. 0, or fails the call. */
int command_input_open(muster_call *call, const struct command_spec *spec, int null_fd,
                       struct command_input *ret_input);

/* Waits for the end of the command, and feeds it meanwhile. As muster_call_wait_fd. */
int command_input_wait(muster_call *call, struct command_input *input, int pidfd, double timeout_s);

/* 0, or fails the call: it did not get what it was to read. */
int command_input_check(muster_call *call, const struct command_spec *spec,
                        const struct command_input *input);

void command_input_close(struct command_input *input);

#endif
