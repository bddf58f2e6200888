/* SPDX-License-Identifier: MIT
 *
 * Programs that are started, asked and ended. See child.h.
 */
#include "lab/child.h"

#include "base/afresh.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* joblib's tracker of resources takes a third of a second for its files on a busy machine; an interrupted
 * bench has two seconds in all. */
static const uint64_t TIDY_NS = CLOCK_NS_PER_S;

/* posix_spawn takes char *const[], and does not write to it. */
static char *const *words(const char *const *argv)
{
    union {
        const char *const *in;
        char *const *out;
    } cast = {.in = argv};

    return cast.out;
}

/* 0 or an errno. */
static int spawn(const char *const *argv, const int fds[3], pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = afresh_attributes(&attributes, POSIX_SPAWN_SETPGROUP);

    if (error)
        return error;
    posix_spawn_file_actions_init(&actions);
    for (int i = 0; i < 3 && !error; i++)
        error = fds[i] >= 0 ? posix_spawn_file_actions_adddup2(&actions, fds[i], i)
                            : posix_spawn_file_actions_addopen(&actions, i, "/dev/null", O_RDWR, 0);
    if (!error)
        error = posix_spawnp(ret_pid, argv[0], &actions, &attributes, words(argv), environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Kills the group, of which the program is the leader, and collects the program. */
static void bury(struct child *child)
{
    kill(-child->pid, SIGKILL);
    TEMP_FAILURE_RETRY(waitpid(child->pid, NULL, 0));
}

int child_start(const char *const *argv, int stdin_fd, struct child *ret_child,
                struct muster_error *ret_error)
{
    struct child child = {.name = argv[0], .pidfd = -1, .in = -1, .out = -1, .err = -1};
    int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1}, error = 0;

    /* A socket, since writing to one of which the other end is closed need not raise SIGPIPE. */
    if ((stdin_fd < 0 && (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) || pipe2(out, O_CLOEXEC))) ||
        pipe2(err, O_CLOEXEC))
        error = errno;
    if (!error)
        error = spawn(argv, (const int[]){stdin_fd < 0 ? in[1] : stdin_fd, out[1], err[1]}, &child.pid);
    if (!error && (child.pidfd = pidfd_open(child.pid, 0)) < 0) {
        error = errno;
        bury(&child);
    }
    close_fd(&in[1]);
    close_fd(&out[1]);
    close_fd(&err[1]);
    child.in = in[0];
    child.out = out[0];
    child.err = err[0];
    if (!error) {
        *ret_child = child;
        return 0;
    }
    close_fd(&child.in);
    close_fd(&child.out);
    close_fd(&child.err);
    return error == ENOENT ? muster_error_set(ret_error, MUSTER_ENOTFOUND, "%s is not installed", argv[0])
                           : muster_error_system(ret_error, error, "cannot start %s", argv[0]);
}

/* Keeps the last line that is not empty. */
static void hear(struct child *child)
{
    char part[512];
    ssize_t size = TEMP_FAILURE_RETRY(read(child->err, part, sizeof part));

    if (size <= 0)
        close_fd(&child->err);
    for (ssize_t i = 0; i < size; i++) {
        if (part[i] == '\n')
            child->said_used = 0;
        else if (child->said_used < sizeof child->said - 1) {
            child->said[child->said_used++] = part[i];
            child->said[child->said_used] = 0;
        }
    }
}

/* How it ended, of which it is the time; with what it said last. */
static int tell_end(struct child *child, struct muster_error *ret_error)
{
    siginfo_t info = {.si_pid = 0};
    const char *colon = child->said[0] ? ": " : "";

    waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOWAIT);
    if (info.si_code == CLD_EXITED)
        return muster_error_set(ret_error, MUSTER_ELOST, "%s ended with status %d%s%s", child->name,
                                info.si_status, colon, child->said);
    return muster_error_set(ret_error, MUSTER_ELOST, "%s was ended by signal %d%s%s", child->name,
                            info.si_status, colon, child->said);
}

/* What `wait_for` was told by poll. */
enum event { EVENT_OUTPUT, EVENT_END };

/* Waits for output or the end of it, output first; takes what it says on standard error before. */
static int wait_for(struct child *child, uint64_t deadline_ns, int interrupt_fd, enum event *ret_event,
                    struct muster_error *ret_error)
{
    for (;;) {
        struct pollfd items[] = {{.fd = child->out, .events = POLLIN},
                                 {.fd = child->pidfd, .events = POLLIN},
                                 {.fd = child->err, .events = POLLIN},
                                 {.fd = interrupt_fd, .events = POLLIN}};
        uint64_t now_ns = clock_now_ns();

        if (poll(items, 4, clock_poll_ms(now_ns, deadline_ns)) < 0 && errno != EINTR)
            return muster_error_system(ret_error, errno, "cannot wait for %s", child->name);
        if (items[3].revents)
            return muster_error_set(ret_error, MUSTER_ECANCELLED, "interrupted");
        if (items[2].revents) {
            hear(child);
        } else if (items[0].revents & POLLIN) {
            *ret_event = EVENT_OUTPUT;
            return 0;
        } else if (items[1].revents) {
            *ret_event = EVENT_END;
            return 0;
        } else if (items[0].revents) { /* it has closed its output, and runs */
            close_fd(&child->out);
        }
        if (now_ns >= deadline_ns)
            return muster_error_set(ret_error, MUSTER_ETIMEOUT, "%s took too long and was ended",
                                    child->name);
    }
}

/* Takes what there is up to the end of a line. *ret_line is whether that has come. */
static int take(struct child *child, bool *ret_complete, struct muster_error *ret_error)
{
    *ret_complete = false;
    while (!*ret_complete) {
        char letter;
        ssize_t size = TEMP_FAILURE_RETRY(read(child->out, &letter, 1));
        struct pollfd item = {.fd = child->out, .events = POLLIN};

        if (size <= 0) {
            close_fd(&child->out);
            return 0;
        }
        if (letter == '\n') {
            *ret_complete = true;
        } else if (child->used == sizeof child->line - 1) {
            return muster_error_set(ret_error, MUSTER_EPROTOCOL, "%s wrote no answer but something long",
                                    child->name);
        } else {
            child->line[child->used++] = letter;
            if (poll(&item, 1, 0) <= 0)
                return 0;
        }
    }
    return 0;
}

int child_ask(struct child *child, const char *question, uint64_t limit_ns, int interrupt_fd,
              char ret_line[CHILD_LINE_BYTES], struct muster_error *ret_error)
{
    uint64_t deadline_ns = clock_after(clock_now_ns(), limit_ns);
    bool complete = false;
    enum event event;
    int code;

    /* A question is far shorter than the socket's buffer; where it fails, the answer is the end. */
    if (question)
        send(child->in, question, strlen(question), MSG_NOSIGNAL | MSG_DONTWAIT);
    while (!complete) {
        if ((code = wait_for(child, deadline_ns, interrupt_fd, &event, ret_error)) != 0)
            return code;
        if (event == EVENT_END)
            return tell_end(child, ret_error);
        if ((code = take(child, &complete, ret_error)) != 0)
            return code;
    }
    memcpy(ret_line, child->line, child->used);
    ret_line[child->used] = 0;
    child->used = 0;
    return 0;
}

int child_wait(struct child *child, uint64_t limit_ns, int interrupt_fd, struct muster_error *ret_error)
{
    uint64_t deadline_ns = clock_after(clock_now_ns(), limit_ns);
    siginfo_t info = {.si_pid = 0};
    enum event event = EVENT_OUTPUT;
    int code = 0;

    while (event != EVENT_END)
        if ((code = wait_for(child, deadline_ns, interrupt_fd, &event, ret_error)) != 0)
            return code;
    waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOWAIT);
    return info.si_code == CLD_EXITED && info.si_status == 0 ? 0 : tell_end(child, ret_error);
}

/* Throws away what it says on standard error until all that could say something have ended. */
static void await_silence(struct child *child, uint64_t limit_ns)
{
    uint64_t deadline_ns = clock_after(clock_now_ns(), limit_ns), now_ns;

    while (child->err >= 0 && (now_ns = clock_now_ns()) < deadline_ns) {
        struct pollfd item = {.fd = child->err, .events = POLLIN};

        if (poll(&item, 1, clock_poll_ms(now_ns, deadline_ns)) > 0)
            hear(child);
    }
}

void child_end(struct child *child, uint64_t limit_ns)
{
    uint64_t deadline_ns = clock_after(clock_now_ns(), limit_ns);
    struct pollfd item = {.fd = child->pidfd, .events = POLLIN};
    int ms;

    close_fd(&child->in);
    close_fd(&child->out);
    do {
        ms = clock_poll_ms(clock_now_ns(), deadline_ns);
    } while (poll(&item, 1, ms) < 0 && errno == EINTR);
    kill(-child->pid, SIGTERM);
    await_silence(child, TIDY_NS);
    close_fd(&child->err);
    bury(child);
    close_fd(&child->pidfd);
}
