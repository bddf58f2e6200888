/* SPDX-License-Identifier: MIT
 *
 * What commands read. Bytes are a file in memory, so that no command waits for the worker, or the worker
 * for it. Ranges of a file go through a pipe, page by page without a copy, as the command reads: it is fed
 * while the worker waits for its end. The worker keeps the reading end, so that there is always a reader.
 */
#include "worker/command_input.h"

#include "base/clock.h"
#include "jobs/call.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

enum { PIPE_BYTES = 1 << 20 /* what users may ask for by default: so a turn of the feeder moves much */ };

static int fail(muster_call *call, const char *what, const char *name)
{
    return muster_call_fail(call, "command: cannot %s %s: %s", what, name, strerror(errno));
}

/* --- as a file */

/* A file without a name, in the folder where it can be. */
static int make_file(const char *folder)
{
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    return command_above_standard(fd >= 0 ? fd : memfd_create("input", MFD_CLOEXEC));
}

static int copy_range(int to, int from, const struct command_range *range)
{
    off_t offset = (off_t)range->offset;
    uint64_t left = range->size;

    while (left > 0) {
        ssize_t got =
            TEMP_FAILURE_RETRY(sendfile(to, from, &offset, left < SSIZE_MAX ? (size_t)left : SSIZE_MAX));

        if (got == 0)
            errno = ESPIPE; /* it became shorter */
        if (got <= 0)
            return -1;
        left -= (uint64_t)got;
    }
    return 0;
}

static int copy_ranges(const struct command_spec *spec, int to, int from)
{
    for (unsigned i = 0; i < spec->range_count; i++)
        if (copy_range(to, from, &spec->ranges[i]) != 0)
            return -1;
    return lseek(to, 0, SEEK_SET) < 0 ? -1 : 0;
}

static int open_copy(muster_call *call, const struct command_spec *spec, int file, int *ret_fd)
{
    int fd = make_file(spec->tmpdir);

    if (fd >= 0 && copy_ranges(spec, fd, file) == 0) {
        *ret_fd = fd;
        return 0;
    }
    fail(call, "copy a part of", spec->input_path);
    if (fd >= 0)
        close(fd);
    return MUSTER_JOB_FAILED;
}

static int open_bytes(muster_call *call, const struct command_spec *spec, int *ret_fd)
{
    int fd = command_above_standard(memfd_create("stdin", MFD_CLOEXEC));

    if (fd >= 0 && command_write_all(fd, spec->input, spec->input_bytes) == 0 &&
        lseek(fd, 0, SEEK_SET) == 0) {
        *ret_fd = fd;
        return 0;
    }
    muster_call_fail(call, "command: cannot keep %zu bytes of standard input: %s", spec->input_bytes,
                     strerror(errno));
    if (fd >= 0)
        close(fd);
    return MUSTER_JOB_FAILED;
}

/* --- through a pipe */

static int open_pipe(muster_call *call, struct command_input *input)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return fail(call, "make", "a pipe");
    input->fd = command_above_standard(ends[0]);
    input->sink = command_above_standard(ends[1]);
    if (input->fd < 0 || input->sink < 0 || fcntl(input->sink, F_SETFL, O_NONBLOCK) != 0)
        return fail(call, "make", "a pipe");
    fcntl(input->sink, F_SETPIPE_SZ, PIPE_BYTES); /* smaller is slower, and no error */
    return 0;
}

/* Moves what the pipe takes now. Whether there is more. */
static bool feed(struct command_input *input)
{
    while (input->left < input->range_count) {
        struct command_range *range = &input->ranges[input->left];
        off_t offset = (off_t)range->offset;
        ssize_t got = 0;

        if (range->size > 0)
            got = splice(input->file, &offset, input->sink, NULL,
                         range->size < PIPE_BYTES ? range->size : PIPE_BYTES, SPLICE_F_NONBLOCK);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        if (got < 0 || (got == 0 && range->size > 0)) {
            input->error = got < 0 ? errno : ESPIPE;
            return false;
        }
        range->offset += (uint64_t)got;
        range->size -= (uint64_t)got;
        input->left += range->size == 0;
    }
    return false;
}

static double remaining(uint64_t until_ns)
{
    uint64_t now_ns = clock_now_ns();

    if (until_ns == UINT64_MAX)
        return -1;
    return now_ns < until_ns ? (double)(until_ns - now_ns) / (double)CLOCK_NS_PER_S : 0;
}

static void close_sink(struct command_input *input)
{
    if (input->sink >= 0)
        close(input->sink);
    input->sink = -1;
}

/* Feeds until all is fed, or the command has ended. As command_input_wait. */
static int wait_and_feed(muster_call *call, struct command_input *input, int pidfd, int both,
                         uint64_t until_ns)
{
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    int code = 0;

    while (feed(input) && code == 0 && poll(&ended, 1, 0) <= 0) /* a signal is no end */
        code = muster_call_wait_fd(call, both, POLLIN, remaining(until_ns));
    if (code > 0)
        return code; /* it goes on at the next call */
    close_sink(input);
    return code ? code : muster_call_wait_fd(call, pidfd, POLLIN, remaining(until_ns));
}

int command_input_wait(muster_call *call, struct command_input *input, int pidfd, double timeout_s)
{
    uint64_t until_ns = UINT64_MAX;
    int both, code;

    if (input->sink < 0)
        return muster_call_wait_fd(call, pidfd, POLLIN, timeout_s);
    if (timeout_s >= 0)
        until_ns = call_deadline(timeout_s);
    both = epoll_create1(EPOLL_CLOEXEC);
    if (both < 0 || epoll_ctl(both, EPOLL_CTL_ADD, pidfd, &(struct epoll_event){.events = EPOLLIN}) != 0 ||
        epoll_ctl(both, EPOLL_CTL_ADD, input->sink, &(struct epoll_event){.events = EPOLLOUT}) != 0) {
        input->error = errno;
        close_sink(input);
    }
    code = wait_and_feed(call, input, pidfd, both, until_ns);
    if (both >= 0)
        close(both);
    return code;
}

/* --- either */

/* How the command finds it: as /proc/PID/fd/FD of this worker, which needs no name and is gone with it. */
static void name_file(const struct command_spec *spec, int fd)
{
    snprintf(spec->file_variable, COMMAND_FILE_VARIABLE_BYTES, "PARALLEL_TMP=/proc/%d/fd/%d", (int)getpid(),
             fd);
}

static int open_ranges(muster_call *call, const struct command_spec *spec, struct command_input *input)
{
    input->file =
        command_above_standard(open(spec->input_path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (input->file < 0)
        return fail(call, "read", spec->input_path);
    if (spec->file_variable)
        return open_copy(call, spec, input->file, &input->fd);
    memcpy(input->ranges, spec->ranges, sizeof input->ranges);
    input->range_count = spec->range_count;
    return open_pipe(call, input);
}

int command_input_open(muster_call *call, const struct command_spec *spec, int null_fd,
                       struct command_input *ret_input)
{
    struct command_input input = {.fd = -1, .file = -1, .sink = -1};
    int code = 0;

    if (spec->input_path)
        code = open_ranges(call, spec, &input);
    else if (spec->has_input)
        code = open_bytes(call, spec, &input.fd);
    if (code) {
        command_input_close(&input);
        return code;
    }
    if (spec->file_variable)
        name_file(spec, input.fd);
    input.given = input.fd < 0 || spec->file_variable ? null_fd : input.fd;
    *ret_input = input;
    return 0;
}

int command_input_check(muster_call *call, const struct command_spec *spec, const struct command_input *input)
{
    if (input->error == 0)
        return 0;
    if (input->error == ESPIPE)
        return muster_call_fail(call, "command: %s became shorter meanwhile", spec->input_path);
    return muster_call_fail(call, "command: cannot read %s: %s", spec->input_path, strerror(input->error));
}

void command_input_close(struct command_input *input)
{
    close_sink(input);
    if (input->fd >= 0)
        close(input->fd);
    if (input->file >= 0)
        close(input->file);
    input->fd = input->file = -1;
}
