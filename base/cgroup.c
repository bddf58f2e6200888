/* SPDX-License-Identifier: MIT
 *
 * Cgroups that limit memory. See cgroup.h.
 */
#include "base/cgroup.h"

#include "base/cgroup_place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* Of what is made here. The length tells it from what others may call alike. */
static const char NAME[] = "muster-memory-XXXXXX";
enum { PREFIX_BYTES = sizeof NAME - 1 - 6 };

/* A sweep may take one away before it is locked. */
enum { CREATE_TRIES = 16 };

/* The files of one; version 1 counts in the first of those that count. */
static const struct files {
    const char *join, *limit, *peak, *events;
} versions[] = {
    {"tasks", "memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control"},
    {"cgroup.procs", "memory.max", "memory.peak", "memory.events"},
};

static int find_place(struct cgroup_place *ret_place)
{
    return cgroup_place_find("/proc/self/cgroup", "/proc/self/mountinfo", ret_place);
}

/* --- making and removing */

/* A lock is free when nobody holds it any longer; the kernel refuses to remove what has processes. */
static void sweep(const char *folder)
{
    DIR *entries = opendir(folder);
    const struct dirent *entry;

    while (entries && (entry = readdir(entries)) != NULL) {
        int fd;

        if (strlen(entry->d_name) != strlen(NAME) || strncmp(entry->d_name, NAME, PREFIX_BYTES) != 0)
            continue;
        fd = openat(dirfd(entries), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            continue;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            unlinkat(dirfd(entries), entry->d_name, AT_REMOVEDIR);
        close(fd);
    }
    if (entries)
        closedir(entries);
}

void cgroup_sweep(void)
{
    struct cgroup_place place;

    if (find_place(&place) == 0)
        sweep(place.path);
}

static void let_go(struct cgroup *group)
{
    const int fds[] = {group->fd, group->join_fd, group->peak_fd, group->events_fd};

    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    group->path[0] = '\0';
}

void cgroup_remove(const struct cgroup *group)
{
    if (group->path[0])
        rmdir(group->path);
}

void cgroup_close(struct cgroup *group)
{
    if (!group->path[0])
        return;
    cgroup_remove(group);
    let_go(group);
}

static int write_file(const struct cgroup *group, const char *name, const char *text)
{
    int fd = openat(group->fd, name, O_WRONLY | O_CLOEXEC), error;

    if (fd < 0)
        return errno;
    error = write(fd, text, strlen(text)) < 0 ? errno : 0;
    close(fd);
    return error;
}

/* Locks it and opens its files. */
static int hold(struct cgroup *group)
{
    const struct files *files = &versions[group->unified];

    group->join_fd = group->peak_fd = group->events_fd = -1;
    group->fd = open(group->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (group->fd < 0 || flock(group->fd, LOCK_EX | LOCK_NB) != 0)
        return errno;
    group->join_fd = openat(group->fd, files->join, O_WRONLY | O_CLOEXEC);
    if (group->join_fd < 0)
        return errno;
    group->events_fd = openat(group->fd, files->events, O_RDONLY | O_CLOEXEC);
    if (group->events_fd < 0)
        return errno;
    group->peak_fd = openat(group->fd, files->peak, O_RDWR | O_CLOEXEC); /* not every kernel has it */
    if (group->unified) {
        write_file(group, "memory.swap.max", "0");
        write_file(group, "memory.oom.group", "1");
    }
    return 0;
}

int cgroup_create(struct cgroup *ret_group)
{
    struct cgroup_place place;
    int error = find_place(&place);

    if (error != 0)
        return error;
    sweep(place.path);
    for (int i = 0; i < CREATE_TRIES; i++) {
        struct cgroup group = {.unified = place.unified};

        if (snprintf(group.path, sizeof group.path, "%s/%s", place.path, NAME) >= (int)sizeof group.path)
            return ENAMETOOLONG;
        if (!mkdtemp(group.path))
            return errno;
        error = hold(&group);
        if (error == 0) {
            *ret_group = group;
            return 0;
        }
        cgroup_close(&group);
    }
    return error;
}

/* --- limits */

int cgroup_limit(struct cgroup *group, uint64_t bytes)
{
    static const char with_swap[] = "memory.memsw.limit_in_bytes"; /* never below the other */
    char text[24];
    int error;

    snprintf(text, sizeof text, "%" PRIu64, bytes);
    if (group->unified)
        return write_file(group, versions[1].limit, text);
    write_file(group, with_swap, "-1");
    error = write_file(group, versions[0].limit, text);
    if (error == 0)
        write_file(group, with_swap, text); /* where swap is counted */
    return error;
}

int cgroup_join(const struct cgroup *group)
{
    return write(group->join_fd, "0", 1) == 1 ? 0 : -1;
}

/* --- what was used */

/* The number in a file behind `name`, or at its beginning where that is NULL. 0, or an errno. */
static int read_number(int fd, const char *name, uint64_t *ret_number)
{
    char text[512];
    const char *at = text;
    ssize_t got = pread(fd, text, sizeof text - 1, 0);

    if (got < 0)
        return errno;
    text[got] = '\0';
    if (name)
        at = strstr(text, name);
    if (!at)
        return ENOENT;
    *ret_number = strtoull(at + (name ? strlen(name) : 0), NULL, 10);
    return 0;
}

static const char kills_name[] = "oom_kill ";

uint64_t cgroup_kills(void)
{
    struct cgroup_place place;
    char path[PATH_MAX];
    uint64_t kills = 0;
    int fd;

    if (find_place(&place) != 0 ||
        snprintf(path, sizeof path, "%s/%s", place.path, versions[place.unified].events) >= (int)sizeof path)
        return 0;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    read_number(fd, kills_name, &kills);
    close(fd);
    return kills;
}

int cgroup_reset(struct cgroup *group)
{
    if (group->peak_fd >= 0 && (pwrite(group->peak_fd, "0", 1, 0) < 0 ||
                                read_number(group->peak_fd, NULL, &group->start_bytes) != 0)) {
        close(group->peak_fd); /* what it says would be of earlier ones */
        group->peak_fd = -1;
    }
    return read_number(group->events_fd, kills_name, &group->start_kills);
}

void cgroup_look(const struct cgroup *group, struct cgroup_use *ret_use)
{
    uint64_t peak_bytes = 0, kills = group->start_kills;

    if (group->peak_fd >= 0)
        read_number(group->peak_fd, NULL, &peak_bytes);
    read_number(group->events_fd, kills_name, &kills);
    ret_use->peak_bytes = peak_bytes > group->start_bytes ? peak_bytes - group->start_bytes : 0;
    ret_use->kills = kills - group->start_kills;
}
