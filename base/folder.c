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

/* Likewise one in another. */
static void open_up(int fd, const char *name)
{
    int folder_fd = openat(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (folder_fd < 0)
        return;
    folder_open_up(folder_fd);
    close(folder_fd);
}

/* Removes a folder in another, to which folders in it are moved: so no depth is too deep. Whether anything
 * was done. */
static bool flatten(int top_fd, const char *name, unsigned *moves, uint64_t deadline_ns)
{
    char to[sizeof "moved-" + 10];
    const struct dirent *entry;
    bool done = false;
    DIR *entries;

    open_up(top_fd, name);
    entries = folder_list(openat(top_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    while (entries && (entry = readdir(entries)) != NULL && clock_now_ns() < deadline_ns) {
        if (!is_entry(entry))
            continue;
        if (unlinkat(dirfd(entries), entry->d_name, 0) == 0) {
            done = true;
            continue;
        }
        snprintf(to, sizeof to, "moved-%u", (*moves)++);
        open_up(dirfd(entries), entry->d_name);
        done |= renameat(dirfd(entries), entry->d_name, top_fd, to) == 0;
    }
    if (entries)
        closedir(entries);
    return unlinkat(top_fd, name, AT_REMOVEDIR) == 0 || done;
}

void folder_empty(int fd)
{
    DIR *entries = folder_list(fd);
    const struct dirent *entry;
    uint64_t deadline_ns = clock_after(clock_now_ns(), EMPTY_NS);
    unsigned moves = 0;
    bool done = entries;

    while (done && clock_now_ns() < deadline_ns) {
        done = false;
        while ((entry = readdir(entries)) != NULL && clock_now_ns() < deadline_ns)
            if (is_entry(entry) && unlinkat(dirfd(entries), entry->d_name, 0) != 0)
                done |= flatten(dirfd(entries), entry->d_name, &moves, deadline_ns);
        rewinddir(entries);
    }
    if (entries)
        closedir(entries);
}
