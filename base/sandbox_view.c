/* SPDX-License-Identifier: MIT
 *
 * What can be read: all but the user's home folder and what is muster's. See sandbox_internal.h.
 *
 * Rules can only allow, for all below a folder. So that something is left out, what stands beside each
 * folder on the way to it is allowed instead of "/"; those folders themselves can be passed, not listed.
 * What has a rule is in one of them, so whatever is moved out of reach later changes one of them, or what is
 * mounted where: both can be seen without looking at all that is in them again.
 */
#include "base/sandbox_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    SIBLINGS_MAX = 1024, /* beside a folder on the way to what is left out: of more, not all can be read */
    COARSEST_S = 2,      /* times of files are so exact at least: FAT; 1 s: ext4 with small inodes */
};

/* Paths without links of what is left out. */
struct hidden {
    char (*paths)[PATH_MAX]; /* owned */
    size_t count;
};

/* A folder on the way to that. */
struct passed {
    struct passed *next; /* owned */
    struct stat status;  /* as it was before it was looked through */
    char path[];
};

struct sandbox_view {
    struct hidden hidden;
    struct passed *passed; /* owned */
    struct timespec made;
    int mounts_fd; /* -1: what is mounted where cannot be told */
};

/* One that is being made. */
struct look {
    struct sandbox_view *view;
    sandbox_view_see *see;
    void *context;
};

bool sandbox_is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM;
}

void sandbox_view_find_home(char ret_home[PATH_MAX])
{
    const char *home = getenv("HOME");

    if (!home || home[0] != '/')
        home = geteuid() == 0 ? "/root" : "/home";
    if (!realpath(home, ret_home) || strcmp(ret_home, "/") == 0)
        ret_home[0] = '\0';
}

/* The home folder, unless that can be read with all that is in it, comes first. False: out of memory. */
static bool find_hidden(const struct sandbox_leave *leave, bool home_too, struct hidden *ret_hidden)
{
    struct hidden hidden = {.paths = calloc(leave->kept_count + 1, sizeof *hidden.paths)};
    char home[PATH_MAX];

    if (!hidden.paths)
        return false;
    sandbox_view_find_home(home);
    if (!home_too && home[0])
        strcpy(hidden.paths[hidden.count++], home);
    for (size_t i = 0; i < leave->kept_count; i++)
        if (sandbox_kept_find(leave->kept[i], hidden.paths[hidden.count]) &&
            !(home[0] && sandbox_is_within(home, hidden.paths[hidden.count])))
            hidden.count++;
    *ret_hidden = hidden;
    return true;
}

enum way { SEEN, PASSED, HIDDEN };

/* Whether all that a path leads to can be read, or some of what is below it is left out, or all is. */
static enum way way_of(const struct hidden *hidden, const char *path)
{
    enum way way = SEEN;

    for (size_t i = 0; i < hidden->count; i++)
        if (sandbox_is_within(hidden->paths[i], path))
            return HIDDEN;
        else if (sandbox_is_within(path, hidden->paths[i]))
            way = PASSED;
    return way;
}

/* --- looking through folders; functions return 0 or an errno */

static int note_passed(struct sandbox_view *view, int fd, const char *path)
{
    struct passed *passed = malloc(sizeof *passed + strlen(path) + 1);

    if (!passed)
        return ENOMEM;
    passed->next = view->passed;
    strcpy(passed->path, path);
    view->passed = passed;
    return fstat(fd, &passed->status) == 0 ? 0 : errno;
}

static int look_through(struct look *look, const char *folder);

static int look_at(struct look *look, DIR *entries, const char *folder, const char *name, unsigned *count)
{
    char path[PATH_MAX];

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        snprintf(path, sizeof path, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, name) >=
            (int)sizeof path)
        return 0;
    switch (way_of(&look->view->hidden, path)) {
    case PASSED:
        return look_through(look, path);
    case SEEN:
        return (*count)++ < SIBLINGS_MAX ? look->see(look->context, dirfd(entries), name) : 0;
    case HIDDEN:
        break;
    }
    return 0;
}

/* All in the folder but what is left out, at any depth; "/" ends in its slash, others do not. A folder that
 * cannot be listed has nothing in it that can be read. */
static int look_through(struct look *look, const char *folder)
{
    DIR *entries = opendir(folder);
    const struct dirent *entry;
    unsigned count = 0;
    int error;

    if (!entries)
        return sandbox_is_shortage(errno) ? errno : 0;
    error = note_passed(look->view, dirfd(entries), folder);
    while (error == 0) {
        errno = 0;
        entry = readdir(entries);
        if (!entry) {
            error = errno;
            break;
        }
        error = look_at(look, entries, folder, entry->d_name, &count);
    }
    closedir(entries);
    return error;
}

/* --- making one, and whether it is still right */

int sandbox_view_create(const struct sandbox_leave *leave, bool home, sandbox_view_see *see, void *context,
                        struct sandbox_view **ret_view)
{
    struct sandbox_view *view = calloc(1, sizeof *view);
    struct look look = {.view = view, .see = see, .context = context};
    int error = 0;

    if (!view)
        return ENOMEM;
    clock_gettime(CLOCK_REALTIME_COARSE, &view->made); /* that of the times of files */
    view->mounts_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    if (view->mounts_fd < 0 && sandbox_is_shortage(errno))
        error = errno;
    if (error == 0 && !find_hidden(leave, home, &view->hidden))
        error = ENOMEM;
    if (error == 0)
        error = view->hidden.count == 0 ? see(context, AT_FDCWD, "/") : look_through(&look, "/");
    if (error == 0)
        *ret_view = view;
    else
        sandbox_view_destroy(view);
    return error;
}

void sandbox_view_destroy(struct sandbox_view *view)
{
    struct passed *passed;

    if (!view)
        return;
    while ((passed = view->passed) != NULL) {
        view->passed = passed->next;
        free(passed);
    }
    if (view->mounts_fd >= 0)
        close(view->mounts_fd);
    free(view->hidden.paths);
    free(view);
}

/* The kernel says so once, to whoever has this open. */
static bool are_mounts_same(const struct sandbox_view *view)
{
    struct pollfd mounts = {.fd = view->mounts_fd, .events = POLLPRI};

    return view->mounts_fd >= 0 && poll(&mounts, 1, 0) == 0;
}

/* What changed so shortly before the view was made may have changed after it, and have the same time. */
static bool is_folder_same(const struct passed *passed, const struct timespec *made)
{
    const struct stat *was = &passed->status;
    struct stat now;

    return stat(passed->path, &now) == 0 && now.st_dev == was->st_dev && now.st_ino == was->st_ino &&
           now.st_ctim.tv_sec == was->st_ctim.tv_sec && now.st_ctim.tv_nsec == was->st_ctim.tv_nsec &&
           now.st_ctim.tv_sec < made->tv_sec - COARSEST_S;
}

static bool is_hidden_same(const struct hidden *was, const struct sandbox_leave *leave, bool home)
{
    struct hidden now;
    bool same;

    if (!find_hidden(leave, home, &now))
        return false;
    same = now.count == was->count;
    for (size_t i = 0; i < now.count && same; i++)
        same = strcmp(now.paths[i], was->paths[i]) == 0;
    free(now.paths);
    return same;
}

bool sandbox_view_is_current(const struct sandbox_view *view, const struct sandbox_leave *leave, bool home)
{
    if (!are_mounts_same(view) || !is_hidden_same(&view->hidden, leave, home))
        return false;
    for (const struct passed *passed = view->passed; passed; passed = passed->next)
        if (!is_folder_same(passed, &view->made))
            return false;
    return true;
}
