/* SPDX-License-Identifier: MIT
 *
 * References as bytes, and who can follow them. See reference.h.
 */
#include "proto/reference.h"

#include "base/error.h"

#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static uint8_t *store32(uint8_t *at, uint32_t number)
{
    number = htobe32(number);
    memcpy(at, &number, sizeof number);
    return at + sizeof number;
}

static uint8_t *store64(uint8_t *at, uint64_t number)
{
    number = htobe64(number);
    memcpy(at, &number, sizeof number);
    return at + sizeof number;
}

static uint32_t load32(const uint8_t *at)
{
    uint32_t number;

    memcpy(&number, at, sizeof number);
    return be32toh(number);
}

static uint64_t load64(const uint8_t *at)
{
    uint64_t number;

    memcpy(&number, at, sizeof number);
    return be64toh(number);
}

void reference_store(const struct reference *reference, uint8_t at[PROTO_SHARED_REFERENCE_BYTES])
{
    *at++ = reference->kind;
    at = store32(at, reference->pid);
    at = store32(at, reference->fd);
    at = store64(at, reference->heap);
    at = store32(at, reference->block);
    at = store64(at, reference->offset);
    store64(at, reference->size);
}

int reference_load(const void *at, size_t size, struct reference *ret_reference)
{
    const uint8_t *bytes = at;
    struct reference r;

    if (size != PROTO_SHARED_REFERENCE_BYTES)
        return MUSTER_EPROTOCOL;
    r = (struct reference){
        .kind = bytes[0],
        .pid = load32(bytes + 1),
        .fd = load32(bytes + 5),
        .heap = load64(bytes + 9),
        .block = load32(bytes + 17),
        .offset = load64(bytes + 21),
        .size = load64(bytes + 29),
    };
    if ((r.kind != REFERENCE_STR && r.kind != REFERENCE_BIN) || r.pid == 0 || r.pid > INT32_MAX ||
        r.fd > INT32_MAX || r.heap == 0)
        return MUSTER_EPROTOCOL;
    if (r.size == 0 || r.size > PROTO_VALUE_BYTES_MAX || r.offset < HEAP_DATA_OFFSET ||
        r.offset > HEAP_BYTES_MAX - r.size)
        return MUSTER_EPROTOCOL;
    *ret_reference = r;
    return 0;
}

/* FNV-1a, 64 bit. */
static void mix(uint64_t *hash, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        *hash = (*hash ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
}

static bool mix_boot(uint64_t *hash)
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    char text[64];
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text);

    if (fd >= 0)
        close(fd);
    if (size <= 0)
        return false;
    mix(hash, text, (size_t)size);
    return true;
}

/* "pid:[4026531836]" and the like. */
static bool mix_namespace(uint64_t *hash, const char *path)
{
    char text[64];
    ssize_t size = readlink(path, text, sizeof text);

    if (size <= 0)
        return false;
    mix(hash, text, (size_t)size);
    return true;
}

/* A process with a limit on its addresses may have no room to map others' heaps. */
static bool may_map(void)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY;
}

uint64_t heap_host(void)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    char user[32];

    if (prctl(PR_GET_DUMPABLE) != 1 || !may_map() || !mix_boot(&hash) ||
        !mix_namespace(&hash, "/proc/self/ns/pid") || !mix_namespace(&hash, "/proc/self/ns/user"))
        return 0;
    mix(&hash, user, (size_t)snprintf(user, sizeof user, "%lu", (unsigned long)geteuid()));
    return hash ? hash : 1;
}
