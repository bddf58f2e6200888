/* SPDX-License-Identifier: MIT
 *
 * Workers of a supervisor that was killed, found by their flight recorders. See supervisor_adopt. A
 * process is known by its number, by the lock that it holds, and by when it started: numbers are used again.
 */
#include "coordinator/supervisor_internal.h"

#include "base/tree.h"
#include "proto/limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
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

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15; /* odd, so that nothing is lost: 2^64 by the golden ratio */
    return hash ^ hash >> 32;
}

/* Which file it is: one that is installed anew is another one. */
static uint64_t mix_file(uint64_t hash, const struct stat *status)
{
    hash = mix(mix(hash, status->st_dev), status->st_ino);
    hash = mix(mix(hash, (uint64_t)status->st_size), (uint64_t)status->st_mtim.tv_sec);
    return mix(hash, (uint64_t)status->st_mtim.tv_nsec);
}

static uint64_t mix_text(uint64_t hash, const char *text)
{
    while (*text)
        hash = mix(hash, (unsigned char)*text++);
    return mix(hash, 0);
}

uint64_t supervisor_make(const struct supervisor *supervisor)
{
    const struct supervisor_options *options = &supervisor->options;
    struct stat status = {0};
    uint64_t hash;

    if (fstat(supervisor->spawner.program_fd, &status) != 0)
        (void)stat(options->program, &status);
    hash = mix_file(PROTO_VERSION, &status);
    for (unsigned i = 0; i < options->plugin_count; i++) {
        status = (struct stat){0};
        (void)stat(options->plugins[i], &status);
        hash = mix_file(hash, &status);
    }
    for (size_t i = 0; i < options->kept_count; i++)
        hash = mix_text(hash, options->kept[i]);
    hash = mix(mix(hash, options->memory_bytes), options->concurrency);
    return mix(mix(hash, options->pin), options->sandbox) | 1;
}

/* A pidfd of the process that writes the page; -1, with errno ESRCH when it is dead. What the page says of
 * it is not enough, as a job may be able to write that, too: its number is the one that the kernel knows to
 * hold the page's lock. */
static int open_process(const struct child *child, pid_t *ret_pid)
{
    const struct flight_page *page = child->flight;
    pid_t pid = (pid_t)atomic_load_explicit(&page->pid, memory_order_acquire);
    int fd;

    *ret_pid = pid;
    errno = ESRCH;
    if (pid <= 1 || pid == getpid() || flight_writer(child->flight_fd) != pid)
        return -1;
    fd = pidfd_open(pid, 0);
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
    if (atomic_load_explicit(&child->flight->magic, memory_order_acquire) != FLIGHT_MAGIC)
        return false;
    child->pidfd = open_process(child, &child->pid);
    if (child->pidfd < 0 && errno == ESRCH && child->pid > 0)
        child->pidfd = eventfd(1, EFD_CLOEXEC);
    return child->pidfd >= 0;
}

/* Why a worker cannot be taken over; NULL: it can. Of one that is dead, the program does not matter. */
static const char *refuse(const struct supervisor *supervisor, const struct child *child, unsigned slot)
{
    if (slot == 0 || slot > supervisor->options.workers)
        return "there are fewer workers now";
    if (supervisor->children[slot - 1].pid > 0)
        return "another one has its place";
    if (pidfd_send_signal(child->pidfd, 0, NULL, 0) == 0 &&
        atomic_load(&child->flight->make) != supervisor_make(supervisor))
        return "the program, its plug-ins or settings are others now";
    return NULL;
}

static int adopt(struct supervisor *supervisor, const char *file, supervisor_found *found, void *context)
{
    struct child child;
    unsigned slot = 0;
    char name[PROTO_PEER_NAME_MAX + 1];
    const char *refused = NULL;
    bool known;
    int error = 0;

    if (!parse(file, name, &slot))
        return 0;
    known = open_child(supervisor, file, &child);
    memcpy(child.name, name, sizeof name);
    if (known)
        refused = refuse(supervisor, &child, slot);
    if (refused) {
        supervisor_kill_child(&child);
        supervisor_await_end(supervisor, &child); /* its jobs are run again: not beside it */
    } else if (known) {
        error = supervisor_watch(supervisor, &child, slot);
    }
    if (known && error == 0)
        found(context, slot, name, refused);
    if (!known || refused || error != 0) {
        unlinkat(supervisor->folder_fd, file, 0);
        supervisor_release(supervisor, &child);
    } else {
        supervisor->children[slot - 1] = child;
    }
    return error;
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
