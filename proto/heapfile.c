/* SPDX-License-Identifier: MIT
 *
 * Files of heaps, made, checked and kept. See heapfile.h. The keeper reads and writes, and maps
 * nothing: what the owner did to the file cannot hurt him.
 */
#include "proto/heapfile.h"

#include "base/error.h"
#include "proto/reference.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* A heap that is smaller holds next to nothing. */
enum { BYTES_MIN = 1 << 20 };

/* Where nobody says how large: an eighth of memory, for a client and some workers. */
enum { MEMORY_SHARE = 8 };

static const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

size_t heapfile_fit(size_t wanted)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    size_t share = pages > 0 && page > 0 ? (size_t)pages / MEMORY_SHARE * (size_t)page : 0;
    size_t bytes = wanted ? wanted : share;

    return bytes < HEAP_BYTES_MAX ? bytes : HEAP_BYTES_MAX;
}

/* A file that grows past the limit of file sizes would be a signal. */
static size_t allowed_bytes(size_t bytes)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < bytes)
        bytes = (size_t)limit.rlim_cur;
    return bytes / HEAP_DATA_OFFSET * HEAP_DATA_OFFSET;
}

static bool fill(int fd, size_t bytes)
{
    struct heap_head head = {
        .magic = HEAP_MAGIC, .bytes = bytes, .keeper_pid = (uint32_t)getpid(), .keeper_fd = (uint32_t)fd};

    while (head.heap == 0)
        if (getrandom(&head.heap, sizeof head.heap, 0) != sizeof head.heap)
            return false;
    return ftruncate(fd, (off_t)bytes) == 0 && pwrite(fd, &head, sizeof head, 0) == sizeof head &&
           fcntl(fd, F_ADD_SEALS, seals) == 0;
}

int heapfile_create(size_t bytes, int *ret_fd)
{
    int fd;

    bytes = allowed_bytes(bytes);
    if (bytes < BYTES_MIN)
        return MUSTER_ELIMIT;
    fd = memfd_create(HEAP_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return MUSTER_ESYSTEM;
    if (!fill(fd, bytes)) {
        close(fd);
        return MUSTER_ESYSTEM;
    }
    *ret_fd = fd;
    return 0;
}

int heapfile_load(int fd, struct heap_head *ret_head)
{
    struct heap_head head;
    struct stat stat;
    int has = fcntl(fd, F_GET_SEALS);

    if (has < 0 || (has & seals) != seals || fstat(fd, &stat) != 0 ||
        pread(fd, &head, sizeof head, 0) != sizeof head)
        return MUSTER_EPROTOCOL;
    if (head.magic != HEAP_MAGIC || head.heap == 0 || head.bytes != (uint64_t)stat.st_size ||
        head.bytes < BYTES_MIN || head.bytes > HEAP_BYTES_MAX)
        return MUSTER_EPROTOCOL;
    *ret_head = head;
    return 0;
}

static uint64_t read_count(int fd, size_t field)
{
    uint64_t count = 0;

    return pread(fd, &count, sizeof count, (off_t)(HEAP_TABLE_OFFSET + field)) == sizeof count ? count : 0;
}

bool heapfile_is_taken(int fd)
{
    return read_count(fd, offsetof(struct heap_table, taken)) >=
           read_count(fd, offsetof(struct heap_table, sent));
}

size_t heapfile_memory(int fd)
{
    struct stat stat;

    return fstat(fd, &stat) == 0 ? (size_t)stat.st_blocks * 512 : 0;
}

void heapfile_close(int fd)
{
    static const uint32_t closed = 1;
    ssize_t written =
        pwrite(fd, &closed, sizeof closed, HEAP_TABLE_OFFSET + offsetof(struct heap_table, closed));

    (void)written; /* if it cannot be said, readers keep it mapped until the end */
    close(fd);
}
