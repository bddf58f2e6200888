/* SPDX-License-Identifier: MIT
 *
 * Who may change the way to a file. See keys_way.h.
 */
#include "coordinator/keys_way.h"

#include "base/way.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_ours(const struct stat *status)
{
    return status->st_uid == geteuid() || status->st_uid == 0;
}

int keys_check_owner(const struct stat *status, const char *path, mode_t closed,
                     struct muster_error *ret_error)
{
    if (!is_ours(status))
        return muster_error_set(ret_error, MUSTER_ESTATE, "%s belongs to another user (%u)", path,
                                (unsigned)status->st_uid);
    if (status->st_mode & closed)
        return muster_error_set(ret_error, MUSTER_ESTATE, "others can %s %s: 'chmod %s %s' closes it to them",
                                closed & S_IRGRP ? "read" : "write", path, closed & S_IRGRP ? "600" : "go-w",
                                path);
    return 0;
}

static bool is_above_home(const char *folder)
{
    const char *home = getenv("HOME");
    size_t size = strlen(folder), home_size = home ? strlen(home) : 0;

    while (home_size > 0 && home[home_size - 1] == '/')
        home_size--;
    return size < home_size && home[size] == '/' && strncmp(home, folder, size) == 0;
}

/* The folder, before the entry in it with this status is gone to. */
static int check_step(const char *folder, const char *path, const struct stat *entry,
                      struct muster_error *ret_error)
{
    const char *name = *folder ? folder : "/";
    struct stat status;
    int result;

    if (is_above_home(folder))
        return 0;
    if (lstat(name, &status) != 0)
        return muster_error_system(ret_error, errno, "cannot look at the folder %s", name);
    if (!(status.st_mode & S_ISVTX))
        return keys_check_owner(&status, name, S_IWGRP | S_IWOTH, ret_error);
    result = keys_check_owner(&status, name, 0, ret_error);
    return result == 0 && entry ? keys_check_owner(entry, path, 0, ret_error) : result;
}

int keys_check_way(const char *path, struct muster_error *ret_error)
{
    struct way way;
    int result = 0, error = way_begin(&way, path);

    if (error)
        return muster_error_set(ret_error, MUSTER_ESTATE, "%s: the path is too long", path);
    while (error == 0 && result == 0) {
        error = way_step(&way);
        if (error == 0 || error == ENOENT)
            result = check_step(way.folder, way.entry, error ? NULL : &way.status, ret_error);
    }
    if (result != 0 || error == WAY_END)
        return result;
    if (error == ENOENT)
        return muster_error_set(ret_error, MUSTER_ENOTFOUND, "there is no %s", path);
    if (error == ELOOP || error == ENAMETOOLONG)
        return muster_error_set(ret_error, MUSTER_ESTATE, "%s leads too far", path);
    return muster_error_system(ret_error, error, "cannot look at %s", way.entry);
}
