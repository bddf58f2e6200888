/* SPDX-License-Identifier: MIT
 *
 * The way to a file, step by step. See keys_way.h.
 */
#include "coordinator/keys_way.h"

#include "coordinator/keys.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINKS_MAX = 40 /* as of the kernel */ };

struct way {
    char gone[KEYS_PATH_BYTES]; /* a folder, with no link in it; "" is / */
    char rest[KEYS_PATH_BYTES];
    unsigned links;
};

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

/* Cuts the next name off. false: there is none. */
static bool next_name(struct way *way, char ret_name[KEYS_PATH_BYTES])
{
    const char *begin = way->rest + strspn(way->rest, "/");
    size_t size = strcspn(begin, "/");

    memcpy(ret_name, begin, size);
    ret_name[size] = '\0';
    memmove(way->rest, begin + size, strlen(begin + size) + 1);
    return size > 0;
}

/* What the link leads to comes before the rest. */
static int follow(struct way *way, const char *link, struct muster_error *ret_error)
{
    char target[KEYS_PATH_BYTES], rest[KEYS_PATH_BYTES];
    ssize_t size = readlink(link, target, sizeof target - 1);

    if (size < 0)
        return muster_error_system(ret_error, errno, "cannot read the link %s", link);
    target[size] = '\0';
    memcpy(rest, way->rest, sizeof rest);
    if (++way->links > LINKS_MAX ||
        snprintf(way->rest, sizeof way->rest, "%s%s", target, rest) >= (int)sizeof way->rest)
        return muster_error_set(ret_error, MUSTER_ESTATE, "the link %s leads too far", link);
    if (target[0] == '/')
        way->gone[0] = '\0';
    return 0;
}

/* To what has this name in the folder. MUSTER_ENOTFOUND, with no error set: to nothing. */
static int go(struct way *way, const char *name, struct muster_error *ret_error)
{
    char path[KEYS_PATH_BYTES];
    struct stat status;
    bool there;
    int result;

    if (snprintf(path, sizeof path, "%s/%s", way->gone, name) >= (int)sizeof path)
        return muster_error_set(ret_error, MUSTER_ESTATE, "%s/...: the path is too long", way->gone);
    there = lstat(path, &status) == 0;
    if (!there && errno != ENOENT)
        return muster_error_system(ret_error, errno, "cannot look at %s", path);
    result = check_step(way->gone, path, there ? &status : NULL, ret_error);
    if (result != 0)
        return result;
    if (!there)
        return MUSTER_ENOTFOUND;
    if (S_ISLNK(status.st_mode))
        return follow(way, path, ret_error);
    memcpy(way->gone, path, sizeof path);
    return 0;
}

int keys_check_way(const char *path, struct muster_error *ret_error)
{
    struct way way = {.gone = ""};
    char name[KEYS_PATH_BYTES], *slash;
    int result = 0;

    if (snprintf(way.rest, sizeof way.rest, "%s", path) >= (int)sizeof way.rest)
        return muster_error_set(ret_error, MUSTER_ESTATE, "%s: the path is too long", path);
    while (result == 0 && next_name(&way, name)) {
        if (strcmp(name, ".") == 0)
            continue;
        if (strcmp(name, "..") != 0)
            result = go(&way, name, ret_error);
        else if ((slash = strrchr(way.gone, '/')) != NULL)
            *slash = '\0';
    }
    if (result == MUSTER_ENOTFOUND)
        return muster_error_set(ret_error, result, "there is no %s", path);
    return result;
}
