/* SPDX-License-Identifier: MIT
 *
 * What another process costs: a few bytes to it and back through pipes; to make one, from
 * posix_spawn to the end of true(1), which does nothing.
 */
#include "lab/rung.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MESSAGE_BYTES = 64 };

struct pipes {
    int there[2], back[2];
};

static void close_end(int *end)
{
    if (*end >= 0)
        close(*end);
    *end = -1;
}

/* Whether a message, written at once and short enough not to be parted, went from here to there. */
static bool pass_message(int from, int to)
{
    char bytes[MESSAGE_BYTES];

    return read(from, bytes, sizeof bytes) == sizeof bytes && write(to, bytes, sizeof bytes) == sizeof bytes;
}

/* The other process; it ends when the first closes its end or is gone. A copy of a process with threads:
 * nothing but system calls. */
static _Noreturn void echo_messages(struct pipes *pipes)
{
    close_end(&pipes->there[1]);
    close_end(&pipes->back[0]);
    while (pass_message(pipes->there[0], pipes->back[1]))
        ;
    _exit(0);
}

static int send_messages(void *context, uint64_t times, uint64_t *ret_ns, struct muster_error *ret_error)
{
    const struct pipes *pipes = context;
    char bytes[MESSAGE_BYTES] = {0};
    uint64_t began_ns = clock_now_ns();

    for (uint64_t i = 0; i < times; i++)
        if (write(pipes->there[1], bytes, sizeof bytes) != sizeof bytes ||
            read(pipes->back[0], bytes, sizeof bytes) != sizeof bytes)
            return muster_error_system(ret_error, errno, "a pipe broke");
    *ret_ns = clock_now_ns() - began_ns;
    return 0;
}

static int measure_pipes(const struct ladder_spec *spec, struct pipes *pipes, struct sample *sample,
                         struct muster_error *ret_error)
{
    pid_t child = fork();
    int code;

    if (child < 0)
        return muster_error_system(ret_error, errno, "cannot fork");
    if (child == 0)
        echo_messages(pipes);
    close_end(&pipes->there[0]);
    close_end(&pipes->back[1]);
    code = rung_measure(spec, send_messages, pipes, RUNG_BY_TIME, sample, ret_error);
    close_end(&pipes->there[1]);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    return code;
}

int rung_pipe(const struct ladder_spec *spec, struct ladder_figure *figure, struct sample *sample,
              struct muster_error *ret_error)
{
    struct pipes pipes = {{-1, -1}, {-1, -1}};
    int code;

    snprintf(figure->note, sizeof figure->note, "%d bytes to another process and back", MESSAGE_BYTES);
    if (pipe2(pipes.there, O_CLOEXEC) != 0 || pipe2(pipes.back, O_CLOEXEC) != 0)
        code = muster_error_system(ret_error, errno, "cannot make a pipe");
    else
        code = measure_pipes(spec, &pipes, sample, ret_error);
    for (int i = 0; i < 2; i++) {
        close_end(&pipes.there[i]);
        close_end(&pipes.back[i]);
    }
    return code;
}

static int spawn_often(void *context, uint64_t times, uint64_t *ret_ns, struct muster_error *ret_error)
{
    static char name[] = "true";
    char *argv[] = {name, NULL};
    uint64_t began_ns = clock_now_ns();
    pid_t child;
    int error;

    (void)context;
    for (uint64_t i = 0; i < times; i++) {
        if ((error = posix_spawnp(&child, name, NULL, NULL, argv, environ)) != 0)
            return muster_error_system(ret_error, error, "cannot start %s", name);
        while (waitpid(child, NULL, 0) < 0)
            if (errno != EINTR)
                return muster_error_system(ret_error, errno, "cannot wait for %s", name);
    }
    *ret_ns = clock_now_ns() - began_ns;
    return 0;
}

int rung_spawn(const struct ladder_spec *spec, struct ladder_figure *figure, struct sample *sample,
               struct muster_error *ret_error)
{
    snprintf(figure->note, sizeof figure->note, "true(1), from posix_spawn to its end");
    return rung_measure(spec, spawn_often, NULL, RUNG_BY_TIME, sample, ret_error);
}
