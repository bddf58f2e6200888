/* SPDX-License-Identifier: MIT
 *
 * Confining workers and commands. See confine.h.
 *
 * Both may write below the folder that they work in, below $TMPDIR where that is set, and to what
 * they were given as standard output and error, also by its path (/dev/stderr).
 */
#include "worker/confine.h"

#include "base/sandbox.h"
#include "base/sanitize.h"
#include "jobs/plugin.h"
#include "worker/command_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FOLDER, TEMPORARY, OUT, ERR, PLACES };

static struct sandbox *latest;      /* of the commands; owned */
static const char *const *withheld; /* from them; borrowed */
static size_t withheld_count;

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

/* One that a plug-in started as it was loaded may still connect to the coordinator, as no job may. Each
 * thread is a folder in there. */
int confine_check_threads(struct muster_error *ret_error)
{
    struct stat stat;

    if (SANITIZE_THREAD || lstat("/proc/self/task", &stat) != 0 || stat.st_nlink <= 3)
        return 0;
    return muster_error_set(ret_error, MUSTER_ESTATE,
                            "worker: a plug-in started a thread as it was loaded, which --sandbox would not "
                            "confine");
}

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* The files of the plug-ins, which may be read wherever they are. One that cannot be found is told of when
 * it is loaded. */
static int open_plugins(const struct worker_options *options, int **ret_fds, struct muster_error *ret_error)
{
    int *fds = calloc(options->plugin_count + 1, sizeof *fds);
    struct muster_error ignored;
    char *path;

    if (!fds)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "worker: out of memory");
    for (unsigned i = 0; i < options->plugin_count; i++) {
        fds[i] = -1;
        if (plugin_find(options->plugins[i], &path, &ignored) != 0)
            continue;
        fds[i] = open(path, O_PATH | O_CLOEXEC);
        free(path);
    }
    *ret_fds = fds;
    return 0;
}

int confine_worker(const struct worker_options *options, struct sandbox **ret_sandbox,
                   struct muster_error *ret_error)
{
    const int places[PLACES] = {open_folder("."), open_folder(getenv("TMPDIR")), STDOUT_FILENO,
                                STDERR_FILENO};
    struct sandbox_leave leave = {.places = places,
                                  .count = PLACES,
                                  .output = -1,
                                  .file_count = options->plugin_count,
                                  .link = options->endpoint,
                                  .kept = options->kept,
                                  .kept_count = options->kept_count};
    struct sandbox *sandbox = NULL;
    int *plugins = NULL;
    int code = open_plugins(options, &plugins, ret_error);

    leave.files = plugins;
    if (code == 0)
        code = sandbox_create(options->sandbox, &leave, &sandbox, ret_error);
    if (code == 0 && sandbox_enter(sandbox) != 0)
        code = muster_error_system(ret_error, errno, "worker: cannot be confined");
    close_all(places, TEMPORARY + 1);
    if (plugins)
        close_all(plugins, options->plugin_count);
    free(plugins);
    if (code == 0)
        *ret_sandbox = sandbox;
    else
        sandbox_destroy(sandbox);
    return code;
}

void confine_commands(const struct worker_options *options)
{
    withheld = options->kept;
    withheld_count = options->kept_count;
}

static const char *temporary_folder(char *const *environment)
{
    for (; *environment; environment++)
        if (strncmp(*environment, "TMPDIR=", 7) == 0)
            return *environment + 7;
    return NULL;
}

int confine_command(const struct command_spec *spec, const int fds[3], int output_fd,
                    const struct sandbox **ret_sandbox, struct muster_error *ret_error)
{
    const int places[PLACES] = {
        open_folder(spec->dir ? spec->dir : "."), open_folder(temporary_folder(spec->environment)),
        output_fd < 0 ? fds[STDOUT_FILENO] : -1, output_fd < 0 ? fds[STDERR_FILENO] : -1};
    const struct sandbox_leave leave = {.places = places,
                                        .count = PLACES,
                                        .output = output_fd,
                                        .kept = withheld,
                                        .kept_count = withheld_count};
    int code = sandbox_renew(&latest, spec->sandbox, &leave, ret_error);

    close_all(places, TEMPORARY + 1);
    if (code == 0)
        *ret_sandbox = latest;
    return code;
}

void confine_rest(void)
{
    sandbox_rest(latest);
}

void confine_no_more(void)
{
    sandbox_destroy(latest);
    latest = NULL;
}
