/* SPDX-License-Identifier: MIT
 *
 * The readers' side of shared memory. See mappings.h. A reference comes from outside: it leads to
 * nothing but a sealed memfd of the right name, size and random number.
 */
#include "proto/mappings.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utlist.h>

struct mapping {
    uint32_t pid, fd;
    uint64_t heap;
    size_t bytes;
    const uint8_t *base;
    struct heap_table *table; /* NULL: nothing is released */
    unsigned users;           /* the mappings, and those who took references */
    struct mapping *prev, *next;
};

struct mappings {
    struct heap *own;     /* borrowed */
    struct mapping *list; /* used last first; a user of each */
    unsigned count;
    bool releases;
};

/* Bytes that are held by a zone. */
struct held {
    struct mapping *mapping; /* a user */
    struct reference reference;
};

int mappings_create(struct heap *own, bool releases, struct mappings **ret_mappings)
{
    struct mappings *mappings = calloc(1, sizeof *mappings);

    if (!mappings)
        return MUSTER_ENOMEM;
    mappings->own = own;
    mappings->releases = releases;
    *ret_mappings = mappings;
    return 0;
}

static void drop(struct mapping *mapping)
{
    if (--mapping->users > 0)
        return;
    munmap((void *)(uintptr_t)mapping->base, mapping->bytes);
    if (mapping->table)
        munmap(mapping->table, sizeof *mapping->table);
    free(mapping);
}

static void forget(struct mappings *mappings, struct mapping *mapping)
{
    DL_DELETE(mappings->list, mapping);
    mappings->count--;
    drop(mapping);
}

void mappings_destroy(struct mappings *mappings)
{
    if (!mappings)
        return;
    while (mappings->list)
        forget(mappings, mappings->list);
    free(mappings);
}

/* Whether nothing comes from it any more. */
static bool is_over(const struct mapping *mapping)
{
    const struct heap_table *table = (const struct heap_table *)(mapping->base + HEAP_TABLE_OFFSET);

    return atomic_load_explicit(&table->closed, memory_order_acquire) ||
           (kill((pid_t)mapping->pid, 0) != 0 && errno == ESRCH);
}

void mappings_trim(struct mappings *mappings)
{
    struct mapping *mapping, *next;

    DL_FOREACH_SAFE(mappings->list, mapping, next)
        if (mapping->users == 1 && is_over(mapping))
            forget(mappings, mapping);
}

unsigned mappings_count(const struct mappings *mappings)
{
    return mappings->count;
}

/* --- opening */

/* Opens what the reference names, if it is a memfd of a heap: to open anything else might do
 * something (a tape is rewound). */
static int open_heap(const struct reference *reference, bool writable, int *ret_fd)
{
    static const char name[] = "/memfd:" HEAP_NAME;
    char path[64], target[sizeof name];
    ssize_t length;
    int fd;

    snprintf(path, sizeof path, "/proc/%u/fd/%u", reference->pid, reference->fd);
    length = readlink(path, target, sizeof target);
    if (length < 0)
        return errno == ENOENT || errno == ESRCH ? MUSTER_ELOST : MUSTER_ESYSTEM;
    if (length < (ssize_t)sizeof name - 1 || memcmp(target, name, sizeof name - 1) != 0)
        return MUSTER_EPROTOCOL;
    fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT || errno == ESRCH ? MUSTER_ELOST : MUSTER_ESYSTEM;
    *ret_fd = fd;
    return 0;
}

/* Whether the file can be mapped without a fault ever. */
static int check_file(int fd, size_t *ret_bytes)
{
    static const int needed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat stat;

    if (seals < 0 || (seals & needed) != needed || fstat(fd, &stat) != 0)
        return MUSTER_EPROTOCOL;
    if (stat.st_size <= HEAP_DATA_OFFSET || stat.st_size > (off_t)HEAP_BYTES_MAX)
        return MUSTER_EPROTOCOL;
    *ret_bytes = (size_t)stat.st_size;
    return 0;
}

static int map_file(int fd, struct mapping *mapping, bool writable)
{
    void *base = mmap(NULL, mapping->bytes, PROT_READ, MAP_SHARED, fd, 0), *table;

    if (base == MAP_FAILED)
        return MUSTER_ESYSTEM;
    mapping->base = base;
    if (!writable)
        return 0;
    table = mmap(NULL, sizeof *mapping->table, PROT_READ | PROT_WRITE, MAP_SHARED, fd, HEAP_TABLE_OFFSET);
    if (table == MAP_FAILED) {
        munmap(base, mapping->bytes);
        return MUSTER_ESYSTEM;
    }
    mapping->table = table;
    return 0;
}

static bool is_heap(const struct mapping *mapping)
{
    const struct heap_head *head = (const struct heap_head *)mapping->base;

    return head->magic == HEAP_MAGIC && head->heap == mapping->heap && head->bytes == mapping->bytes;
}

static int map(struct mappings *mappings, const struct reference *reference, struct mapping *mapping)
{
    int fd, code = open_heap(reference, mappings->releases, &fd);

    if (code != 0)
        return code;
    *mapping =
        (struct mapping){.pid = reference->pid, .fd = reference->fd, .heap = reference->heap, .users = 1};
    code = check_file(fd, &mapping->bytes);
    if (code == 0)
        code = map_file(fd, mapping, mappings->releases);
    close(fd);
    if (code != 0)
        return code;
    if (!is_heap(mapping)) {
        munmap((void *)(uintptr_t)mapping->base, mapping->bytes);
        if (mapping->table)
            munmap(mapping->table, sizeof *mapping->table);
        return MUSTER_EPROTOCOL;
    }
    return 0;
}

/* --- finding */

static struct mapping *look_up(struct mappings *mappings, const struct reference *reference)
{
    struct mapping *mapping;

    DL_FOREACH(mappings->list, mapping) {
        if (mapping->heap != reference->heap || mapping->pid != reference->pid ||
            mapping->fd != reference->fd)
            continue;
        if (mapping != mappings->list) {
            DL_DELETE(mappings->list, mapping);
            DL_PREPEND(mappings->list, mapping);
        }
        return mapping;
    }
    return NULL;
}

/* Whether the reference is to bytes of the heap. */
static bool covers(const struct mapping *mapping, const struct reference *reference)
{
    return reference->size <= mapping->bytes && reference->offset <= mapping->bytes - reference->size;
}

static int find(struct mappings *mappings, const struct reference *reference, struct mapping **ret_mapping)
{
    struct mapping *mapping = look_up(mappings, reference);
    int code;

    if (!mapping) {
        mapping = malloc(sizeof *mapping);
        if (!mapping)
            return MUSTER_ENOMEM;
        mappings_trim(mappings); /* workers come and go */
        code = map(mappings, reference, mapping);
        if (code != 0) {
            free(mapping);
            return code;
        }
        DL_PREPEND(mappings->list, mapping);
        mappings->count++;
    }
    if (!covers(mapping, reference))
        return MUSTER_EPROTOCOL;
    *ret_mapping = mapping;
    return 0;
}

/* The heap of a reference that is taken; NULL where it is not. */
static struct mapping *find_taken(struct mappings *mappings, const struct reference *reference)
{
    struct mapping *mapping = look_up(mappings, reference);

    return mapping && mapping->users > 1 && covers(mapping, reference) ? mapping : NULL;
}

/* Codes of heap_resolve. */
static int find_own(const struct mappings *mappings, const struct reference *reference,
                    const void **ret_bytes)
{
    return mappings->own && reference->pid == (uint32_t)getpid()
               ? heap_resolve(mappings->own, reference, ret_bytes)
               : MUSTER_ENOTFOUND;
}

int mappings_take(struct mappings *mappings, const struct reference *reference)
{
    struct mapping *mapping;
    const void *own;
    int code = find_own(mappings, reference, &own);

    if (code != MUSTER_ENOTFOUND)
        return code;
    code = find(mappings, reference, &mapping);
    if (code != 0)
        return code;
    mapping->users++;
    if (mapping->table)
        atomic_fetch_add_explicit(&mapping->table->taken, 1, memory_order_relaxed);
    return 0;
}

static void release(struct mapping *mapping, const struct reference *reference)
{
    if (mapping->table) {
        _Atomic uint64_t *word = &mapping->table->released[reference_place(reference->block)];

        if (atomic_load_explicit(word, memory_order_relaxed) >> 32 == reference->block)
            atomic_fetch_add_explicit(word, 1, memory_order_release);
    }
    drop(mapping);
}

void mappings_release(struct mappings *mappings, const struct reference *reference)
{
    struct mapping *mapping = find_taken(mappings, reference);

    if (mapping) /* else it is to one's own heap */
        release(mapping, reference);
}

int mappings_find(struct mappings *mappings, const struct reference *reference, const void **ret_bytes)
{
    int code = find_own(mappings, reference, ret_bytes);
    struct mapping *mapping;

    if (code != MUSTER_ENOTFOUND)
        return code;
    mapping = find_taken(mappings, reference);
    if (!mapping)
        return MUSTER_ELOST;
    *ret_bytes = mapping->base + reference->offset;
    return 0;
}

static void let_go(void *context)
{
    const struct held *held = context;

    release(held->mapping, &held->reference);
}

int mappings_hold(struct mappings *mappings, const struct reference *reference, msgpack_zone *zone,
                  const void **ret_bytes)
{
    int code = mappings_find(mappings, reference, ret_bytes);
    struct mapping *mapping = code == 0 ? find_taken(mappings, reference) : NULL;
    struct held *held;

    if (!mapping) /* an error, or one's own heap, which nobody holds */
        return code;
    held = msgpack_zone_malloc(zone, sizeof *held);
    if (!held)
        return MUSTER_ENOMEM;
    *held = (struct held){.mapping = mapping, .reference = *reference};
    return msgpack_zone_push_finalizer(zone, let_go, held) ? 0 : MUSTER_ENOMEM;
}
