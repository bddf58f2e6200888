/* SPDX-License-Identifier: MIT
 *
 * What is muster's own, and kept from who is confined: whoever could write to it would run what he likes,
 * unconfined, and who could read it has its secrets, and could lock what others wait for. See sandbox.h.
 *
 * A path is kept with all names on the way to it: to rename a folder above is as good as to write.
 */
#include "base/sandbox_internal.h"
#include "base/way.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
    const char *word; /* with what parts it from the path */
    const char *what, *advice;
} kinds[] = {
    {SANDBOX_SOCKETS, "the coordinator's sockets",
     "set XDG_RUNTIME_DIR, or --listen of 'muster coordinator', to a folder that is not below the working "
     "directory or TMPDIR"},
    {SANDBOX_STATE, "the state of a coordinator",
     "give 'muster coordinator' a --state FILE that is not below the working directory or TMPDIR of jobs, "
     "such as ~/.local/state/muster/jobs.db, or set XDG_STATE_HOME to such a folder"},
    {SANDBOX_KEYS, "muster's keys",
     "set XDG_CONFIG_HOME to a folder that is not below the working directory or TMPDIR"},
};

enum { KINDS = sizeof kinds / sizeof *kinds };

/* The kind of what is kept; KINDS: there is no such kind. */
static size_t kind_of(const char *kept)
{
    size_t i = 0;

    while (i < KINDS && strncmp(kept, kinds[i].word, strlen(kinds[i].word)) != 0)
        i++;
    return i;
}

static const char *path_of(const char *kept)
{
    return strchr(kept, ':') + 1;
}

bool sandbox_is_within(const char *folder, const char *path)
{
    size_t size = strlen(folder);

    return strcmp(folder, "/") == 0 ||
           (strncmp(path, folder, size) == 0 && (path[size] == '/' || path[size] == '\0'));
}

void sandbox_find_path(int fd, char ret_path[PATH_MAX])
{
    char link[32];
    ssize_t size;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    size = readlink(link, ret_path, PATH_MAX - 1);
    ret_path[size > 0 ? size : 0] = '\0';
}

/* Whether who may write to the place could change what the path leads to, or what is there. A file to write
 * to, such as a log that lies in a folder that is kept, may be there. */
static bool is_kept_from(const char *place, bool folder, const char *path)
{
    struct way way;
    int error = way_begin(&way, path);

    while (error == 0) {
        error = way_step(&way);
        if (folder && sandbox_is_within(place, way.folder[0] ? way.folder : "/"))
            return true;
    }
    return error == WAY_END && (strcmp(way.folder, place) == 0 ||
                                (folder && way.folder[0] && sandbox_is_within(way.folder, place)));
}

int sandbox_kept_check(const struct sandbox_leave *leave, struct muster_error *ret_error)
{
    for (size_t i = 0; i < leave->kept_count; i++)
        if (kind_of(leave->kept[i]) == KINDS || path_of(leave->kept[i])[0] != '/' ||
            strlen(leave->kept[i]) >= PATH_MAX)
            return muster_error_set(ret_error, MUSTER_EINVALID,
                                    "sandbox: what is to be kept is sockets:PATH, state:PATH or keys:PATH");
    return 0;
}

bool sandbox_kept_find(const char *kept, char ret_path[PATH_MAX])
{
    struct way way;

    if (way_begin(&way, path_of(kept)) != 0)
        return false;
    while (way_step(&way) == 0) {
    }
    return way_path(&way, ret_path);
}

static bool is_spared(const char *kept, const char *spared)
{
    char path[PATH_MAX];

    return spared[0] && sandbox_kept_find(kept, path) && sandbox_is_within(spared, path);
}

int sandbox_kept_check_place(const struct sandbox_leave *leave, int fd, const char *spared,
                             struct muster_error *ret_error)
{
    char place[PATH_MAX];
    struct stat stat;

    if (fstat(fd, &stat) != 0)
        return muster_error_system(ret_error, errno, "sandbox: cannot look at a place to write to");
    sandbox_find_path(fd, place);
    for (size_t i = 0; i < leave->kept_count && place[0] == '/'; i++) {
        const char *path = path_of(leave->kept[i]);
        size_t kind = kind_of(leave->kept[i]);

        if (is_kept_from(place, S_ISDIR(stat.st_mode), path) && !is_spared(leave->kept[i], spared))
            return muster_error_set(ret_error, MUSTER_EINVALID,
                                    "sandbox: jobs may write to %s, where %s would be in reach, %s: %s",
                                    place, kinds[kind].what, path, kinds[kind].advice);
    }
    return 0;
}
