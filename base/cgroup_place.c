/* SPDX-License-Identifier: MIT
 *
 * Finds the place for cgroups. See cgroup_place.h.
 */
#include "base/cgroup_place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Whether the names, separated by `separators`, have this one. `names` is written to. */
static bool has_name(char *names, const char *separators, const char *wanted)
{
    char *rest = NULL;

    for (char *name = strtok_r(names, separators, &rest); name; name = strtok_r(NULL, separators, &rest))
        if (strcmp(name, wanted) == 0)
            return true;
    return false;
}

/* The cgroup of this process, as a path in its hierarchy: lines are "ID:CONTROLLERS:PATH", and version 2 has
 * no controllers there. 0, or an errno. */
static int read_membership(const char *file, char ret_path[PATH_MAX], bool *ret_unified)
{
    FILE *stream = fopen(file, "re");
    char *line = NULL;
    size_t room = 0;
    int code = ENOENT;

    if (!stream)
        return errno;
    while (getline(&line, &room, stream) > 0) {
        char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;
        bool unified = path == names + 1;

        if (!path)
            continue;
        *path++ = '\0';
        path[strcspn(path, "\n")] = '\0';
        if (strlen(path) >= PATH_MAX || (!unified && !has_name(names + 1, ",", "memory")))
            continue;
        strcpy(ret_path, path);
        *ret_unified = unified;
        code = 0;
        if (!unified)
            break; /* a controller is in one hierarchy */
    }
    free(line);
    fclose(stream);
    return code;
}

/* A line of mounts: "ID PARENT DEVICE ROOT POINT OPTIONS [...] - TYPE SOURCE SUPER-OPTIONS". */
static bool is_hierarchy(char *line, bool unified, char **ret_root, char **ret_point)
{
    char *type = strstr(line, " - "), *rest = NULL, *options;

    if (!type)
        return false;
    *type = '\0';
    type = strtok_r(type + 3, " \n", &rest);
    if (!type || strcmp(type, unified ? "cgroup2" : "cgroup") != 0)
        return false;
    strtok_r(NULL, " \n", &rest);
    options = strtok_r(NULL, " \n", &rest);
    if (!unified && (!options || !has_name(options, ",", "memory")))
        return false;
    strtok_r(line, " ", &rest);
    for (int i = 0; i < 2; i++)
        strtok_r(NULL, " ", &rest);
    *ret_root = strtok_r(NULL, " ", &rest);
    *ret_point = strtok_r(NULL, " ", &rest);
    return *ret_root && *ret_point;
}

/* Where a path of the hierarchy is seen, and in what folder the hierarchy begins. 0, or an errno. */
static int find_mount(const char *file, const char *path, struct cgroup_place *place, size_t *ret_top)
{
    FILE *stream = fopen(file, "re");
    char *line = NULL, *root, *point;
    int code = ENOENT;
    size_t room = 0;

    if (!stream)
        return errno;
    while (code != 0 && getline(&line, &room, stream) > 0) {
        size_t size;

        if (!is_hierarchy(line, place->unified, &root, &point))
            continue;
        size = strcmp(root, "/") == 0 ? 0 : strlen(root);
        if (strncmp(path, root, size) != 0 || (path[size] != '/' && path[size] != '\0'))
            continue; /* another part of it */
        *ret_top = strlen(point);
        if (snprintf(place->path, sizeof place->path, "%s%s", point,
                     strcmp(path + size, "/") == 0 ? "" : path + size) < (int)sizeof place->path)
            code = 0;
    }
    free(line);
    fclose(stream);
    return code;
}

/* The beginning of a file of a cgroup; "" when it has no such file. */
static void read_start(const char *folder, const char *name, char *ret_text, size_t size)
{
    char path[PATH_MAX];
    ssize_t got = -1;
    int fd = -1;

    if (snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path)
        fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        got = read(fd, ret_text, size - 1);
        close(fd);
    }
    ret_text[got > 0 ? got : 0] = '\0';
}

static bool is_limited(const char *folder)
{
    static const char *const limits[] = {"memory.max", "memory.high", "cpu.max", "pids.max"};
    char text[64];

    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        read_start(folder, limits[i], text, sizeof text);
        if (text[0] && strncmp(text, "max", 3) != 0)
            return true;
    }
    return false;
}

/* Whether cgroups may be made in it, and processes moved from below it into them. */
static bool is_open(const char *folder, bool unified)
{
    char path[PATH_MAX], controllers[256];

    if (access(folder, W_OK) != 0)
        return false;
    if (!unified)
        return true;
    read_start(folder, "cgroup.subtree_control", controllers, sizeof controllers);
    return has_name(controllers, " \n", "memory") &&
           snprintf(path, sizeof path, "%s/cgroup.procs", folder) < (int)sizeof path &&
           access(path, W_OK) == 0;
}

int cgroup_place_find(const char *membership, const char *mounts, struct cgroup_place *ret_place)
{
    struct cgroup_place place = {.unified = false};
    char path[PATH_MAX] = "";
    size_t top = 0;
    int error = read_membership(membership, path, &place.unified);

    if (error == 0)
        error = find_mount(mounts, path, &place, &top);
    if (error != 0)
        return error;
    while (!is_open(place.path, place.unified)) {
        if (!place.unified || strlen(place.path) <= top || is_limited(place.path))
            return EPERM;
        *strrchr(place.path, '/') = '\0';
    }
    *ret_place = place;
    return 0;
}

uint64_t cgroup_place_limit(const char *membership, const char *mounts)
{
    struct cgroup_place place = {.unified = false};
    uint64_t least = UINT64_MAX;
    char path[PATH_MAX] = "", text[64];
    size_t top = 0;

    if (read_membership(membership, path, &place.unified) != 0 || find_mount(mounts, path, &place, &top) != 0)
        return UINT64_MAX;
    for (;;) {
        uint64_t limit;

        read_start(place.path, place.unified ? "memory.max" : "memory.limit_in_bytes", text, sizeof text);
        limit = text[0] >= '0' && text[0] <= '9' ? strtoull(text, NULL, 10) : UINT64_MAX;
        least = limit < least ? limit : least;
        if (strlen(place.path) <= top)
            return least;
        *strrchr(place.path, '/') = '\0';
    }
}
