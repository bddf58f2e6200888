/* SPDX-License-Identifier: MIT
 *
 * The child that tries a plug-in. Its standard error comes through a pipe, of which only the
 * end is kept; a pidfd says that it is gone even when something it started holds the pipe. It
 * has a process group of its own, which ends with it, and itself ends with this process.
 */
#include "client/probe.h"

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
#include <sys/wait.h>
#include <unistd.h>

/* A plug-in that has not loaded by then hangs. */
static const uint64_t PROBE_NS = 10 * CLOCK_NS_PER_S;

/* The last bytes that the child wrote. */
struct tail {
    char bytes[MUSTER_ERROR_TEXT_BYTES];
    size_t used;
};

static void tail_add(struct tail *tail, const char *bytes, size_t size)
{
    size_t room = sizeof tail->bytes - 1, drop;

    if (size > room) {
        bytes += size - room;
        size = room;
    }
    drop = tail->used + size > room ? tail->used + size - room : 0;
    memmove(tail->bytes, tail->bytes + drop, tail->used - drop);
    memcpy(tail->bytes + tail->used - drop, bytes, size);
    tail->used += size - drop;
}

/* Reads what is there. False once the pipe has ended. */
static bool drain(int fd, struct tail *tail)
{
    char bytes[4096];
    ssize_t got;

    while ((got = read(fd, bytes, sizeof bytes)) > 0)
        tail_add(tail, bytes, (size_t)got);
    return got < 0 && (errno == EAGAIN || errno == EINTR);
}

/* The last line that is not empty, without the name of the program in front. Cuts the tail. */
static const char *last_line(struct tail *tail)
{
    static const char own[] = "muster: ";
    char *line;

    while (tail->used > 0 && strchr("\n\r \t", tail->bytes[tail->used - 1]))
        tail->used--;
    tail->bytes[tail->used] = '\0';
    line = memrchr(tail->bytes, '\n', tail->used);
    line = line ? line + 1 : tail->bytes;
    return strncmp(line, own, sizeof own - 1) == 0 ? line + sizeof own - 1 : line;
}

/* Starts the child in a group of its own, with its standard error into `fd`, everything else
 * that it inherits as in a fresh program. 0 or an errno value. */
static int spawn(const char *program, const char *path, int fd, pid_t *ret_pid)
{
    char parent[16];
    const char *const arguments[] = {"muster", "worker", "--parent", parent, "--check-plugin", path, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int failed = afresh_attributes(&attributes, POSIX_SPAWN_SETPGROUP);

    if (failed)
        return failed;
    snprintf(parent, sizeof parent, "%d", (int)getpid());
    posix_spawn_file_actions_init(&actions);
    /* The pipe first: its descriptor may be 0 or 1 where the caller had those closed. */
    if ((failed = posix_spawn_file_actions_adddup2(&actions, fd, STDERR_FILENO)) == 0 &&
        (failed = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)) == 0 &&
        (failed = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)) == 0)
        failed = posix_spawn(ret_pid, program, &actions, &attributes, (char *const *)(uintptr_t)arguments,
                             environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return failed;
}

/* Waits until the child is gone and keeps what it writes. False when its time was up. */
static bool watch(int pidfd, int output, struct tail *tail)
{
    uint64_t deadline_ns = clock_after(clock_now_ns(), PROBE_NS);
    struct pollfd fds[2] = {{.fd = pidfd, .events = POLLIN}, {.fd = output, .events = POLLIN}};

    while (!fds[0].revents) {
        int wait_ms = clock_poll_ms(clock_now_ns(), deadline_ns);

        if (wait_ms == 0)
            return false;
        if (poll(fds, 2, wait_ms) < 0)
            fds[0].revents = fds[1].revents = 0;
        if (!drain(output, tail))
            fds[1].fd = -1;
    }
    drain(output, tail);
    return true;
}

static int explain(int status, const char *path, struct tail *tail, struct muster_error *ret_error)
{
    const char *line;

    if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status)), *meaning = sigdescr_np(WTERMSIG(status));

        return muster_error_set(ret_error, MUSTER_ECRASHED, "plug-in %s crashed as it loaded (SIG%s, %s)",
                                path, name ? name : "?", meaning ? meaning : "unknown signal");
    }
    line = last_line(tail);
    if (WEXITSTATUS(status) == 0 && strcmp(line, PROBE_LOADED) == 0)
        return 0;
    if (WEXITSTATUS(status) != 0 && *line)
        return muster_error_set(ret_error, MUSTER_EINVALID, "%s", line);
    return muster_error_set(ret_error, MUSTER_EINVALID,
                            "plug-in %s ended the program as it loaded (status %d)", path,
                            WEXITSTATUS(status));
}

int probe_plugin(const char *program, const char *path, struct muster_error *ret_error)
{
    struct tail tail = {.used = 0};
    int pipes[2], pidfd, failed, status = 0, code;
    bool ended = false;
    pid_t pid;

    if (pipe2(pipes, O_CLOEXEC) != 0)
        return muster_error_system(ret_error, errno, "cannot make a pipe to check plug-in %s", path);
    fcntl(pipes[0], F_SETFL, O_NONBLOCK);
    failed = spawn(program, path, pipes[1], &pid);
    close(pipes[1]);
    if (failed) {
        code = muster_error_system(ret_error, failed, "cannot run %s to check plug-in %s", program, path);
        goto out;
    }
    pidfd = pidfd_open(pid, 0);
    failed = errno;
    if (pidfd >= 0) {
        ended = watch(pidfd, pipes[0], &tail);
        close(pidfd);
    }
    kill(-pid, SIGKILL); /* the group, also what a child that has ended left behind */
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (pidfd < 0)
        code = muster_error_system(ret_error, failed, "cannot watch the check of plug-in %s", path);
    else if (!ended)
        code = muster_error_set(ret_error, MUSTER_ETIMEOUT, "plug-in %s did not load within %d seconds", path,
                                (int)(PROBE_NS / CLOCK_NS_PER_S));
    else
        code = explain(status, path, &tail, ret_error);
out:
    close(pipes[0]);
    return code;
}
