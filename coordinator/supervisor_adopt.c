/* SPDX-License-Identifier: MIT
 *
 * Workers of a supervisor that was killed, found by their flight recorders. See supervisor_adopt. A
 * process is known by its number and by when it started: numbers are used again.
 */
#include "coordinator/supervisor_internal.h"

#include "base/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <unistd.h>

/* Of "worker-SLOT.INCARNATION.flight" the name and the slot. */
static bool parse(const char *file, char ret_name[PROTO_PEER_NAME_MAX + 1], unsigned *ret_slot)
{
    size_t size = strlen(file), start = strlen(CORE_WORKER_PREFIX), end = strlen(".flight");
    unsigned long slot;
    char *rest;

    if (size <= start + end || size - end > PROTO_PEER_NAME_MAX ||
        strcmp(file + size - end, ".flight") != 0 || strncmp(file, CORE_WORKER_PREFIX, start) != 0)
        return false;
    slot = strtoul(file + start, &rest, 10);
    if (rest == file + start || *rest != '.' || slot > UINT_MAX)
        return false;
    *ret_slot = (unsigned)slot;
    memcpy(ret_name, file, size - end);
    ret_name[size - end] = '\0';
    return true;
}

/* A pidfd of the process that writes the page; -1, with errno ESRCH when it is dead. */
static int open_process(const struct flight_page *page, pid_t *ret_pid)
{
    pid_t pid = (pid_t)atomic_load_explicit(&page->pid, memory_order_acquire);
    int fd = pidfd_open(pid, 0);

    *ret_pid = pid;
    if (fd >= 0 && tree_started(pid) == atomic_load(&page->started))
        return fd;
    if (fd >= 0) {
        close(fd); /* another's by now */
        errno = ESRCH;
    }
    return -1;
}

/* Opens what there is of the worker. False when it has never run, or cannot be known. In the place of the
 * pidfd of one that is dead, something that is as readable. */
static bool open_child(const struct supervisor *supervisor, const char *file, struct child *child)
{
    *child = (struct child){.pidfd = -1, .flight_fd = -1, .heap_fd = -1, .adopted = true};
    if (flight_open_file(supervisor->folder_fd, file, &child->flight_fd, &child->flight) != 0)
        return false;
    child->pidfd = open_process(child->flight, &child->pid);
    if (child->pidfd < 0 && errno == ESRCH && child->pid > 0)
        child->pidfd = eventfd(1, EFD_CLOEXEC);
    return child->pidfd >= 0;
}

static int adopt(struct supervisor *supervisor, const char *file, supervisor_found *found, void *context)
{
    struct child child, *place;
    unsigned slot = 0;
    char name[PROTO_PEER_NAME_MAX + 1];
    bool wanted;
    int error = 0;

    if (!parse(file, name, &slot))
        return 0;
    wanted = open_child(supervisor, file, &child);
    memcpy(child.name, name, sizeof name);
    place = slot > 0 && slot <= supervisor->options.workers ? &supervisor->children[slot - 1] : NULL;
    if (wanted && (!place || place->pid > 0)) {
        supervisor_kill_child(&child);
        wanted = false;
    }
    if (wanted)
        error = supervisor_watch(supervisor, &child, slot);
    if (!wanted || error != 0) {
        unlinkat(supervisor->folder_fd, file, 0);
        supervisor_release(supervisor, &child);
        return error;
    }
    *place = child;
    found(context, slot, name);
    return 0;
}

int supervisor_adopt(struct supervisor *supervisor, supervisor_found *found, void *context,
                     struct muster_error *ret_error)
{
    int list_fd = fcntl(supervisor->folder_fd, F_DUPFD_CLOEXEC, 0), error = 0;
    DIR *list = list_fd < 0 ? NULL : fdopendir(list_fd);
    const struct dirent *entry;

    if (!list) {
        error = errno;
        if (list_fd >= 0)
            close(list_fd);
        return muster_error_system(ret_error, error, "cannot look for workers in %s",
                                   supervisor->options.folder);
    }
    rewinddir(list);
    while (error == 0 && (entry = readdir(list)) != NULL)
        error = adopt(supervisor, entry->d_name, found, context);
    closedir(list);
    return error == 0 ? 0 : muster_error_system(ret_error, error, "cannot watch a worker");
}
