/* SPDX-License-Identifier: MIT
 *
 * Processes one after another, so many at once, with nothing around posix_spawn. See bare.h.
 */
#include "lab/bare.h"

#include "base/clock.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char program[] = BARE_SPAWN_PROGRAM;

static int start(pid_t *ret_child, struct muster_error *ret_error)
{
    char *argv[] = {program, NULL};
    int error = posix_spawn(ret_child, program, NULL, NULL, argv, environ);

    if (error == ENOENT)
        return muster_error_set(ret_error, MUSTER_ENOTFOUND, "there is no %s", program);
    return error ? muster_error_system(ret_error, error, "cannot start %s", program) : 0;
}

/* The place of a child that has ended; the first, which is waited for then, when what ended is none of
 * these: this process has others. */
static unsigned ended(const pid_t *children, unsigned count)
{
    siginfo_t info = {.si_pid = 0};
    unsigned i = 0;

    if (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) != 0)
        return 0;
    while (i < count && children[i] != info.si_pid)
        i++;
    return i < count ? i : 0;
}

static int bury(pid_t *children, unsigned *count, struct muster_error *ret_error)
{
    unsigned place = ended(children, *count);
    int status = 0;

    while (waitpid(children[place], &status, 0) < 0)
        if (errno != EINTR)
            return muster_error_system(ret_error, errno, "cannot wait for %s", program);
    children[place] = children[--*count];
    return status ? muster_error_set(ret_error, MUSTER_EFAILED, "%s failed", program) : 0;
}

int bare_spawn_run(void *context, uint64_t jobs, uint64_t *ret_ns, struct muster_error *ret_error)
{
    const unsigned *workers = context;
    pid_t *children = calloc(*workers, sizeof *children);
    uint64_t began_ns = clock_now_ns();
    unsigned count = 0;
    int code = 0, last;

    if (!children)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    while (jobs > 0 && !code) {
        if (count == *workers && (code = bury(children, &count, ret_error)) != 0)
            break;
        if ((code = start(&children[count], ret_error)) != 0)
            break;
        count++;
        jobs--;
    }
    while (count > 0) {
        last = bury(children, &count, code ? NULL : ret_error);
        code = code ? code : last;
        if (last == MUSTER_ESYSTEM)
            break; /* somebody else has waited for them */
    }
    free(children);
    if (!code)
        *ret_ns = clock_now_ns() - began_ns;
    return code;
}
