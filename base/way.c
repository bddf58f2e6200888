/* SPDX-License-Identifier: MIT
 *
 * Going the way of a path. See way.h.
 */
#include "base/way.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINKS_MAX = 40 /* as of the kernel */ };

int way_begin(struct way *way, const char *path)
{
    if (strlen(path) >= sizeof way->rest)
        return ENAMETOOLONG;
    way->folder[0] = way->entry[0] = '\0';
    way->links = 0;
    strcpy(way->rest, path);
    return 0;
}

/* What the link leads to comes before the rest. */
static int follow(struct way *way)
{
    char target[PATH_MAX];
    ssize_t size = readlink(way->entry, target, sizeof target - 1);
    size_t rest_size = strlen(way->rest);

    if (size < 0)
        return errno;
    if (++way->links > LINKS_MAX)
        return ELOOP;
    if ((size_t)size + rest_size >= sizeof way->rest)
        return ENAMETOOLONG;
    memmove(way->rest + size, way->rest, rest_size + 1);
    memcpy(way->rest, target, (size_t)size);
    if (size > 0 && target[0] == '/')
        way->folder[0] = '\0';
    return 0;
}

static int go(struct way *way)
{
    if (!way->entry[0])
        return 0;
    if (S_ISLNK(way->status.st_mode))
        return follow(way);
    strcpy(way->folder, way->entry);
    return 0;
}

/* Cuts the next name off, which is in the folder, or goes up. 0, WAY_END or ENAMETOOLONG. */
static int next_entry(struct way *way)
{
    for (;;) {
        const char *name = way->rest + strspn(way->rest, "/");
        size_t size = strcspn(name, "/"), folder_size = strlen(way->folder);
        bool up = size == 2 && memcmp(name, "..", 2) == 0, stay = size == 1 && name[0] == '.';
        char *slash;

        if (size == 0)
            return WAY_END;
        if (!up && !stay) {
            if (folder_size + 1 + size >= sizeof way->entry)
                return ENAMETOOLONG;
            memcpy(stpcpy(stpcpy(way->entry, way->folder), "/"), name, size);
            way->entry[folder_size + 1 + size] = '\0';
        } else if (up && (slash = strrchr(way->folder, '/')) != NULL) {
            *slash = '\0';
        }
        memmove(way->rest, name + size, strlen(name + size) + 1);
        if (!up && !stay)
            return 0;
    }
}

int way_step(struct way *way)
{
    int error = go(way);

    if (error)
        return error;
    way->entry[0] = '\0';
    if ((error = next_entry(way)) != 0)
        return error;
    return lstat(way->entry, &way->status) == 0 ? 0 : errno;
}

bool way_path(const struct way *way, char ret_path[PATH_MAX])
{
    const char *there = way->entry[0] ? way->entry : way->folder;
    int size = snprintf(ret_path, PATH_MAX, "%s/%s", there, way->rest + strspn(way->rest, "/"));

    if (size >= PATH_MAX)
        return false;
    while (size > 1 && ret_path[size - 1] == '/')
        ret_path[--size] = '\0';
    return true;
}
