/* SPDX-License-Identifier: MIT
 *
 * Folders of coordinators that never came back. See stale.h. Each is looked at under the locks with
 * which a coordinator takes it (place.c), so none is removed that one is about to have.
 */
#include "coordinator/stale.h"

#include "coordinator/core.h"
#include "coordinator/expected.h"
#include "coordinator/place.h"
#include "proto/flight.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A week: with the folder goes what the next life would know of jobs that killed a worker. */
enum { STALE_S = 7 * 24 * 3600 };

static bool begins_with(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

static DIR *open_list(int folder_fd)
{
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);

    if (!list && fd >= 0)
        close(fd);
    return list;
}

/* Whether the worker whose flight recorder this is runs. */
static bool lives(int folder_fd, const char *file)
{
    struct flight_page *page;
    bool alive;
    int fd;

    if (flight_open_file(folder_fd, file, &fd, &page) != 0)
        return false;
    alive = flight_writer(fd) != 0;
    flight_unmap(page);
    close(fd);
    return alive;
}

static bool any_lives(int folder_fd)
{
    DIR *list = open_list(folder_fd);
    const struct dirent *entry;
    bool alive = !list; /* else nobody knows */

    while (!alive && (entry = readdir(list)) != NULL)
        alive = begins_with(entry->d_name, CORE_WORKER_PREFIX) && lives(folder_fd, entry->d_name);
    if (list)
        closedir(list);
    return alive;
}

/* The caller has the locks. */
static void remove_folder(int home_fd, int folder_fd, const char *name)
{
    DIR *list = open_list(folder_fd);
    const struct dirent *entry;

    while (list && (entry = readdir(list)) != NULL)
        if (begins_with(entry->d_name, CORE_WORKER_PREFIX) || begins_with(entry->d_name, PLACE_SOCKET) ||
            begins_with(entry->d_name, EXPECTED_PREFIX))
            unlinkat(folder_fd, entry->d_name, 0);
    if (list)
        closedir(list);
    unlinkat(home_fd, name, AT_REMOVEDIR);
}

static void look_at(int home_fd, const char *name, time_t before)
{
    int folder_fd = openat(home_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), lock_fd;
    struct stat status;

    if (folder_fd < 0)
        return;
    if (fstat(folder_fd, &status) != 0 || status.st_mtime >= before ||
        flock(folder_fd, LOCK_EX | LOCK_NB) != 0) {
        close(folder_fd);
        return;
    }
    lock_fd = openat(folder_fd, PLACE_SOCKET PLACE_LOCK, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if ((lock_fd < 0 ? errno == ENOENT : flock(lock_fd, LOCK_EX | LOCK_NB) == 0) && !any_lives(folder_fd))
        remove_folder(home_fd, folder_fd, name);
    if (lock_fd >= 0)
        close(lock_fd);
    close(folder_fd);
}

void stale_sweep(int home_fd)
{
    DIR *list = open_list(home_fd);
    const struct dirent *entry;

    while (list && (entry = readdir(list)) != NULL)
        if (begins_with(entry->d_name, PLACE_WORKERS))
            look_at(home_fd, entry->d_name, time(NULL) - STALE_S);
    if (list)
        closedir(list);
}
