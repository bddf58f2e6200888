/* SPDX-License-Identifier: MIT
 *
 * Folders that are removed. See folder.h.
 */
#include "base/folder.h"

#include "base/clock.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* For what is in it, to which a process that a job has left may add all the time. */
static const uint64_t EMPTY_NS = CLOCK_NS_PER_S;

DIR *folder_list(int fd)
{
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);

    if (!entries && fd >= 0)
        close(fd);
    return entries;
}

static bool is_entry(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

void folder_open_up(int fd)
{
    char path[32];

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    chmod(path, 0700);
}

/* Whether it is this user's own. What is in such a folder a job of his could remove, too; but a job without
 * capabilities can move one here with others' folders in it, which it could not empty. */
static bool is_own(int fd, struct stat *ret_status)
{
    return fstat(fd, ret_status) == 0 && ret_status->st_uid == geteuid();
}

int folder_open_own(int fd)
{
    struct stat status;

    if (!is_own(fd, &status))
        return -1;
    folder_open_up(fd);
    return openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Opens one in another for listing. -1: there is none that is this user's, on that device. */
static int open_in(int fd, const char *name, dev_t device)
{
    int path_fd = openat(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), folder_fd = -1;
    struct stat status;

    if (path_fd < 0)
        return -1;
    if (is_own(path_fd, &status) && status.st_dev == device)
        folder_fd = folder_open_own(path_fd);
    close(path_fd);
    return folder_fd;
}

/* Those that are emptied are moved up to there, so that no depth is too deep. */
struct top {
    int fd;
    dev_t device;
    unsigned moves;
    uint64_t deadline_ns;
};

/* Moves what is no file out of a folder that is removed. Whether that was done. */
static bool move_up(struct top *top, int fd, const char *name)
{
    char to[sizeof "moved-" + 10];
    int folder_fd = open_in(fd, name, top->device);

    if (folder_fd < 0)
        return false;
    close(folder_fd);
    snprintf(to, sizeof to, "moved-%u", top->moves++);
    return renameat(fd, name, top->fd, to) == 0;
}

/* Removes a folder. Whether anything was done. */
static bool flatten(struct top *top, const char *name)
{
    DIR *entries = folder_list(open_in(top->fd, name, top->device));
    const struct dirent *entry;
    bool done = false;

    while (entries && (entry = readdir(entries)) != NULL && clock_now_ns() < top->deadline_ns)
        if (is_entry(entry))
            done |= unlinkat(dirfd(entries), entry->d_name, 0) == 0 ||
                    move_up(top, dirfd(entries), entry->d_name);
    if (entries)
        closedir(entries);
    return unlinkat(top->fd, name, AT_REMOVEDIR) == 0 || done;
}

static void empty(DIR *entries)
{
    struct top top = {.fd = dirfd(entries), .deadline_ns = clock_after(clock_now_ns(), EMPTY_NS)};
    const struct dirent *entry;
    struct stat status;
    bool done = is_own(top.fd, &status);

    if (done)
        top.device = status.st_dev;
    while (done && clock_now_ns() < top.deadline_ns) {
        done = false;
        while ((entry = readdir(entries)) != NULL && clock_now_ns() < top.deadline_ns)
            if (is_entry(entry) && unlinkat(top.fd, entry->d_name, 0) != 0)
                done |= flatten(&top, entry->d_name);
        rewinddir(entries);
    }
}

void folder_empty(int fd)
{
    DIR *entries = folder_list(fd);

    if (entries) {
        empty(entries);
        closedir(entries);
    }
}
