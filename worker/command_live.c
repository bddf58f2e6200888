/* SPDX-License-Identifier: MIT
 *
 * Where a command writes when its output does not wait in files for its end: to descriptors that the
 * worker has inherited, or into pipes whose other ends the submitter gets over a socket. See command.h.
 */
#include "worker/command_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Descriptors that were inherited are for the worker, and not for all that commands start. They alone are
 * not close-on-exec when they are asked for first: no job can have one that the worker made. */
int command_inherited(muster_call *call, int fd)
{
    static fd_set inherited; /* that were asked for */
    bool is_one = fd > STDERR_FILENO && fd < FD_SETSIZE;

    if (is_one && FD_ISSET(fd, &inherited))
        return 0;
    if (is_one && fcntl(fd, F_GETFD) == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0) {
        FD_SET(fd, &inherited);
        return 0;
    }
    return muster_call_fail(call, "command: %d is no descriptor that this worker has inherited", fd);
}

int command_live_inherit(muster_call *call, const struct command_spec *spec, int ret_fds[2])
{
    if (command_inherited(call, spec->out_fd) != 0)
        return MUSTER_JOB_FAILED;
    ret_fds[0] = spec->out_fd;
    ret_fds[1] = STDERR_FILENO;
    return 0;
}

/* What was made is in `ret_pipe` in any case. */
static int make_pipe(int ret_pipe[2])
{
    if (pipe2(ret_pipe, O_CLOEXEC) != 0)
        return -1;
    for (int i = 0; i < 2; i++)
        ret_pipe[i] = command_above_standard(ret_pipe[i]);
    return ret_pipe[0] < 0 || ret_pipe[1] < 0 ? -1 : 0;
}

/* Waits while the submitter is behind. */
static int send_ends(const struct command_spec *spec, unsigned slot, const int ends[2])
{
    struct command_live live = {
        .number = spec->live_number, .slot = slot, .label_bytes = (uint32_t)spec->label_bytes};
    struct iovec data = {.iov_base = &live, .iov_len = sizeof live};
    union {
        char bytes[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr aligned;
    } control = {.bytes = {0}};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(2 * sizeof(int));
    memcpy(CMSG_DATA(header), ends, 2 * sizeof(int));
    return TEMP_FAILURE_RETRY(sendmsg(spec->live_fd, &message, MSG_NOSIGNAL)) < 0 ? -1 : 0;
}

int command_live_open(muster_call *call, const struct command_spec *spec, unsigned slot, int ret_fds[2])
{
    int out[2] = {-1, -1}, err[2] = {-1, -1}, code = 0;

    if (command_inherited(call, spec->live_fd) != 0)
        return MUSTER_JOB_FAILED;
    if (make_pipe(out) != 0 || make_pipe(err) != 0)
        code = muster_call_fail(call, "command: cannot make pipes for its output: %s", strerror(errno));
    else if (send_ends(spec, slot, (int[]){out[0], err[0]}) != 0)
        code = muster_call_fail(call, "command: nobody takes its output: %s", strerror(errno));
    command_live_close((int[]){out[0], err[0]});
    if (code == 0 && command_write_all(out[1], spec->label, spec->label_bytes) != 0)
        code = muster_call_fail(call, "command: nobody reads its output: %s", strerror(errno));
    if (code != 0) {
        command_live_close((int[]){out[1], err[1]});
        return code;
    }
    ret_fds[0] = out[1];
    ret_fds[1] = err[1];
    return 0;
}

void command_live_close(const int fds[2])
{
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

int command_live_show(muster_call *call, const struct command_spec *spec, int out_fd)
{
    if ((!spec->told || command_write_all(STDERR_FILENO, spec->told, spec->told_bytes) == 0) &&
        (!spec->shown || command_write_all(out_fd, spec->shown, spec->shown_bytes) == 0))
        return 0;
    return muster_call_fail(call, "command: cannot write its line: %s", strerror(errno));
}
