/* SPDX-License-Identifier: MIT
 *
 * Confining workers and commands. See confine.h.
 *
 * Both may write below the folder that they work in, below $TMPDIR where that is set, and to what
 * they were given as standard output and error, also by its path (/dev/stderr).
 */
#include "worker/confine.h"

#include "base/sandbox.h"
#include "jobs/sanitize.h"
#include "worker/command_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FOLDER, TEMPORARY, OUT, ERR, PLACES };

static struct sandbox *latest; /* of the commands; owned */

static int open_folder(const char *path)
{
    return path && *path ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
}

void confine_descriptors(const struct worker_options *options)
{
    const int kept[] = {options->flight_fd, options->slots_fd, options->bell_fd, options->heap_fd};
    unsigned from = STDERR_FILENO + 1;

    for (;;) { /* what lies between two that are kept */
        unsigned next = ~0U;

        for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
            if (kept[i] >= 0 && (unsigned)kept[i] >= from && (unsigned)kept[i] < next)
                next = (unsigned)kept[i];
        if (next > from)
            close_range(from, next == ~0U ? next : next - 1, 0);
        if (next == ~0U)
            return;
        from = next + 1;
    }
}

/* A plug-in may have started some, which Landlock does not reach. Each thread is a folder in there. */
static int check_threads(struct muster_error *ret_error)
{
    struct stat stat;

    if (SANITIZE_THREAD || lstat("/proc/self/task", &stat) != 0 || stat.st_nlink <= 3)
        return 0;
    return muster_error_set(ret_error, MUSTER_ESTATE,
                            "worker: a plug-in started a thread as it was loaded, which --sandbox would not "
                            "confine");
}

int confine_worker(const struct worker_options *options, struct sandbox **ret_sandbox,
                   struct muster_error *ret_error)
{
    const int places[PLACES] = {open_folder("."), open_folder(getenv("TMPDIR")), STDOUT_FILENO,
                                STDERR_FILENO};
    struct sandbox *sandbox = NULL;
    int code = check_threads(ret_error);

    if (code == 0)
        code = sandbox_create(options->sandbox, places, PLACES, options->endpoint, &sandbox, ret_error);
    if (code == 0 && sandbox_enter(sandbox) != 0)
        code = muster_error_system(ret_error, errno, "worker: cannot be confined");
    for (int i = FOLDER; i <= TEMPORARY; i++)
        if (places[i] >= 0)
            close(places[i]);
    if (code == 0)
        *ret_sandbox = sandbox;
    else
        sandbox_destroy(sandbox);
    return code;
}

static const char *temporary_folder(char *const *environment)
{
    for (; *environment; environment++)
        if (strncmp(*environment, "TMPDIR=", 7) == 0)
            return *environment + 7;
    return NULL;
}

int confine_command(const struct command_spec *spec, const int fds[3], const struct sandbox **ret_sandbox,
                    struct muster_error *ret_error)
{
    const int places[PLACES] = {open_folder(spec->dir ? spec->dir : "."),
                                open_folder(temporary_folder(spec->environment)), fds[STDOUT_FILENO],
                                fds[STDERR_FILENO]};
    struct sandbox *sandbox;
    int code = 0;

    if (!latest || !sandbox_is(latest, spec->sandbox, places, PLACES)) {
        code = sandbox_create(spec->sandbox, places, PLACES, NULL, &sandbox, ret_error);
        if (code == 0) {
            confine_no_more();
            latest = sandbox;
        }
    }
    for (int i = FOLDER; i <= TEMPORARY; i++)
        if (places[i] >= 0)
            close(places[i]);
    if (code == 0)
        *ret_sandbox = latest;
    return code;
}

void confine_no_more(void)
{
    sandbox_destroy(latest);
    latest = NULL;
}
