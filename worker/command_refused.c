/* SPDX-License-Identifier: MIT
 *
 * Why a command could not be started, in words. See command_internal.h.
 */
#include "worker/command_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* See execve(2): of the stack's limit a quarter, of 8 MiB three quarters at most. */
static size_t most_of_all(void)
{
    const size_t most = 6 << 20, least = 128 << 10;
    struct rlimit limit;
    size_t quarter = most;

    if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur / 4 < most)
        quarter = (size_t)limit.rlim_cur / 4;
    return quarter > least ? quarter : least;
}

/* As the kernel counts them: with a NUL and a pointer each. */
static size_t bytes_of(char *const *strings)
{
    size_t bytes = 0;

    for (; *strings; strings++)
        bytes += strlen(*strings) + 1 + sizeof *strings;
    return bytes;
}

static const char *reason_of(const struct command_spec *spec, const struct command_child *child, char *text,
                             size_t size)
{
    if (child->error != E2BIG)
        return strerror(child->error);
    snprintf(text, size,
             "%zu bytes of arguments and %zu of environment: the kernel takes %zu together, and %ld in one",
             bytes_of(spec->words), bytes_of(spec->environment), most_of_all(), 32 * sysconf(_SC_PAGESIZE));
    return text;
}

int command_refused(const struct command_spec *spec, const struct command_child *child, int err_fd)
{
    bool missing = !child->stage && (child->error == ENOENT || child->error == ENOTDIR);
    char text[160];
    const char *reason = reason_of(spec, child, text, sizeof text);

    if (child->stage)
        dprintf(err_fd, "muster: %s: cannot %s%s%s: %s\n", spec->words[0], child->stage,
                child->about ? " " : "", child->about ? child->about : "", reason);
    else
        dprintf(err_fd, "muster: %s: %s\n", spec->words[0],
                missing && !strchr(spec->words[0], '/') ? "command not found" : reason);
    return missing ? 127 : 126;
}
