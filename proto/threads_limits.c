/* SPDX-License-Identifier: MIT
 *
 * Limits of threads, read. See threads_limits.h.
 *
 * All tasks of the system are counted, whoever they belong to and whatever group they are in: a count that
 * is too high errs towards trying threads out.
 */
#include "proto/threads_limits.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* What others may start meanwhile. */
enum { SPARE = 1024 };

/* A membership in all controllers of version 1 is a dozen lines, of a path each. */
enum { TEXT_BYTES = 2 * PATH_MAX };

/* The beginning of a file; false when it cannot be read. */
static bool read_text(const char *path, char *ret_text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, ret_text, size - 1) : -1;

    if (fd >= 0)
        close(fd);
    if (got < 0)
        return false;
    ret_text[got] = '\0';
    return true;
}

/* Namespaces may have limits above them, which cannot be seen. The first ones have these numbers. */
static bool is_host(void)
{
    static const char *const names[][2] = {{"/proc/self/ns/cgroup", "cgroup:[4026531835]"},
                                           {"/proc/self/ns/user", "user:[4026531837]"}};
    char text[32];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ssize_t size = readlink(names[i][0], text, sizeof text);

        if (size < 0 || (size_t)size != strlen(names[i][1]) || memcmp(text, names[i][1], (size_t)size) != 0)
            return false;
    }
    return true;
}

static bool is_unlimited(__rlimit_resource_t resource)
{
    struct rlimit limit;

    return getrlimit(resource, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY;
}

/* Stacks are reserved: neither addresses nor memory are limited, nor what may be promised. */
static bool has_memory(void)
{
    char text[8];

    return is_unlimited(RLIMIT_AS) && is_unlimited(RLIMIT_DATA) &&
           read_text("/proc/sys/vm/overcommit_memory", text, sizeof text) && text[0] != '2';
}

/* Of the whole system: "0.20 0.18 0.12 1/80 11206". */
static bool count_tasks(uint64_t *ret_count)
{
    char text[128];
    const char *at = read_text("/proc/loadavg", text, sizeof text) ? strchr(text, '/') : NULL;

    if (!at)
        return false;
    *ret_count = strtoull(at + 1, NULL, 10);
    return *ret_count > 0;
}

static bool allows(const char *path, uint64_t tasks)
{
    char text[32];

    return read_text(path, text, sizeof text) && strtoull(text, NULL, 10) >= tasks;
}

/* The folder of the group of `membership` (/proc/self/cgroup) that limits tasks, with a slash behind it:
 * lines are "ID:CONTROLLERS:PATH", and version 2 has no controllers there. False when there is none. */
static bool find_group(char *membership, char ret_path[PATH_MAX], size_t *ret_top)
{
    const char *path = NULL, *unified = NULL, *root;
    char *rest = NULL;

    for (char *line = strtok_r(membership, "\n", &rest); line && !path; line = strtok_r(NULL, "\n", &rest)) {
        const char *controllers = strchr(line, ':');

        if (controllers && strncmp(controllers, ":pids:", 6) == 0)
            path = controllers + 6;
        else if (controllers && controllers[1] == ':')
            unified = controllers + 2;
    }
    root = path ? "/sys/fs/cgroup/pids" : "/sys/fs/cgroup";
    path = path ? path : unified;
    if (!path)
        return false;
    *ret_top = strlen(root);
    return snprintf(ret_path, PATH_MAX, "%s%s/", root, strcmp(path, "/") == 0 ? "" : path) <
           PATH_MAX - (int)sizeof "cgroup.procs";
}

/* Whether the group and those above it allow so many. One that lacks the controller has no such file. */
static bool groups_allow(uint64_t tasks)
{
    char text[TEXT_BYTES], path[PATH_MAX];
    size_t top, size;

    if (!read_text("/proc/self/cgroup", text, sizeof text) || strlen(text) + 1 == sizeof text ||
        !find_group(text, path, &top))
        return false;
    size = strlen(path);
    strcpy(path + size, "cgroup.procs");
    if (access(path, F_OK) != 0) /* it is somewhere else */
        return false;
    while (size > top) {
        strcpy(path + size, "pids.max");
        if (read_text(path, text, sizeof text) && strncmp(text, "max", 3) != 0 &&
            strtoull(text, NULL, 10) < tasks)
            return false;
        do
            size--;
        while (size > top && path[size - 1] != '/');
    }
    return true;
}

bool threads_are_plenty(unsigned wanted)
{
    struct rlimit limit;
    uint64_t tasks;

    if (!is_host() || !has_memory() || !count_tasks(&tasks))
        return false;
    tasks += wanted + SPARE;
    return getrlimit(RLIMIT_NPROC, &limit) == 0 && limit.rlim_cur >= tasks &&
           allows("/proc/sys/kernel/threads-max", tasks) && allows("/proc/sys/kernel/pid_max", tasks) &&
           groups_allow(tasks);
}
