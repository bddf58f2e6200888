/* SPDX-License-Identifier: MIT
 *
 * The flight recorder's memory. See flight.h. The memfd is sealed against resizing, so that
 * neither side can make the other's next access fault; a file cannot be, and is in a folder of its user's.
 */
#include "proto/flight.h"

#include "base/error.h"
#include "base/tree.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static_assert(sizeof(struct flight_page) <= FLIGHT_PAGE_BYTES, "the page holds its fields");
/* The layout is part of PROTOCOL.md. */
static_assert(
    offsetof(struct flight_page, phase) == 4 && offsetof(struct flight_page, detail) == 8 &&
        offsetof(struct flight_page, verdict) == 12 && offsetof(struct flight_page, chunk) == 16 &&
        offsetof(struct flight_page, attempt) == 24 && offsetof(struct flight_page, progress) == 28 &&
        offsetof(struct flight_page, position) == 32 && offsetof(struct flight_page, since_ns) == 40 &&
        offsetof(struct flight_page, verdict_chunk) == 48 &&
        offsetof(struct flight_page, verdict_index) == 56 && offsetof(struct flight_page, command) == 64 &&
        offsetof(struct flight_page, command_mark) == 72 && offsetof(struct flight_page, pid) == 80 &&
        offsetof(struct flight_page, started) == 88 && offsetof(struct flight_page, batch) == 96 &&
        offsetof(struct flight_page, make) == 104 && offsetof(struct flight_page, fault_address) == 112 &&
        offsetof(struct flight_page, fault_flags) == 120 &&
        offsetof(struct flight_page, fault_signal) == 124 &&
        offsetof(struct flight_page, frame_count) == 128 && offsetof(struct flight_page, frames) == 136 &&
        offsetof(struct flight_page, modules) == 520 && sizeof(struct flight_frame) == 16 &&
        sizeof(struct flight_module) == 256,
    "fields stand where other programs write them");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "stores are whole whenever the writer dies");

static int map_page(int fd, struct flight_page **ret_page)
{
    void *page = mmap(NULL, FLIGHT_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (page == MAP_FAILED)
        return MUSTER_ESYSTEM;
    *ret_page = page;
    return 0;
}

/* Closes the descriptor; errno stays. */
static int give_up(int fd)
{
    int saved_errno = errno;

    close(fd);
    errno = saved_errno;
    return MUSTER_ESYSTEM;
}

int flight_create(int *ret_fd, struct flight_page **ret_page)
{
    int fd = memfd_create("muster-flight", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return MUSTER_ESYSTEM;
    if (ftruncate(fd, FLIGHT_PAGE_BYTES) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0 || map_page(fd, ret_page) != 0)
        return give_up(fd);
    *ret_fd = fd;
    return 0;
}

int flight_create_file(int folder_fd, const char *name, int *ret_fd, struct flight_page **ret_page)
{
    int fd = openat(folder_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return MUSTER_ESYSTEM;
    errno = posix_fallocate(fd, 0, FLIGHT_PAGE_BYTES);
    if (errno != 0 || map_page(fd, ret_page) != 0) {
        give_up(fd);
        unlinkat(folder_fd, name, 0);
        return MUSTER_ESYSTEM;
    }
    *ret_fd = fd;
    return 0;
}

int flight_open_file(int folder_fd, const char *name, int *ret_fd, struct flight_page **ret_page)
{
    int fd = openat(folder_fd, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat stat;

    if (fd < 0)
        return MUSTER_ESYSTEM;
    if (fstat(fd, &stat) != 0)
        return give_up(fd);
    if (!S_ISREG(stat.st_mode) || stat.st_size != FLIGHT_PAGE_BYTES) {
        close(fd);
        return MUSTER_EINVALID;
    }
    if (map_page(fd, ret_page) != 0)
        return give_up(fd);
    *ret_fd = fd;
    return 0;
}

/* A lock of its process, not of its descriptor, which jobs' processes inherit. */
int flight_lock(int fd)
{
    const struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_SETLK, &lock) == 0 ? 0 : MUSTER_ESYSTEM;
}

pid_t flight_writer(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid > 0 ? lock.l_pid : 0;
}

int flight_attach(int fd, struct flight_page **ret_page)
{
    struct flight_page *page;
    struct stat stat;
    int code;

    if (fstat(fd, &stat) != 0)
        return MUSTER_ESYSTEM;
    if (stat.st_size != FLIGHT_PAGE_BYTES)
        return MUSTER_EINVALID;
    if (flight_lock(fd) != 0)
        return MUSTER_ESYSTEM;
    code = map_page(fd, &page);
    if (code)
        return code;
    atomic_store_explicit(&page->started, tree_started(getpid()), memory_order_relaxed);
    atomic_store_explicit(&page->pid, (uint32_t)getpid(), memory_order_release);
    atomic_store_explicit(&page->magic, FLIGHT_MAGIC, memory_order_release);
    *ret_page = page;
    return 0;
}

void flight_unmap(struct flight_page *page)
{
    if (page)
        munmap(page, FLIGHT_PAGE_BYTES);
}

void flight_mark(pid_t worker, uint64_t mark, char ret_variable[FLIGHT_MARK_BYTES])
{
    snprintf(ret_variable, FLIGHT_MARK_BYTES, "MUSTER_WORKER=%d.%" PRIx64, (int)worker, mark);
}
