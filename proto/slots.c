/* SPDX-License-Identifier: MIT
 *
 * Messages in shared memory. See slots.h. The memfd is sealed against resizing, as that of the
 * flight recorder.
 */
#include "proto/slots.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const uint32_t NO_PAYLOAD = UINT32_MAX;

static int map_slots(int fd, struct slots **ret_slots)
{
    void *memory = mmap(NULL, sizeof(struct slots), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (memory == MAP_FAILED)
        return MUSTER_ESYSTEM;
    *ret_slots = memory;
    return 0;
}

int slots_create(int *ret_fd, struct slots **ret_slots)
{
    int fd = memfd_create("muster-slots", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int saved_errno;

    if (fd < 0)
        return MUSTER_ESYSTEM;
    if (ftruncate(fd, sizeof(struct slots)) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0 ||
        map_slots(fd, ret_slots) != 0) {
        saved_errno = errno;
        close(fd);
        errno = saved_errno;
        return MUSTER_ESYSTEM;
    }
    *ret_fd = fd;
    return 0;
}

int slots_attach(int fd, struct slots **ret_slots)
{
    struct slots *slots;
    struct stat stat;
    int code;

    if (fstat(fd, &stat) != 0)
        return MUSTER_ESYSTEM;
    if (stat.st_size != sizeof(struct slots))
        return MUSTER_EINVALID;
    code = map_slots(fd, &slots);
    if (code != 0)
        return code;
    atomic_store_explicit(&slots->attached, SLOTS_MAGIC, memory_order_release);
    *ret_slots = slots;
    return 0;
}

void slots_unmap(struct slots *slots)
{
    if (slots)
        munmap(slots, sizeof *slots);
}

bool slot_put(struct slot *slot, uint64_t after, const struct wire_parcel *parcel)
{
    struct wire_bytes header, payload;
    bool has_payload = wire_parcel_bytes(parcel, &header, &payload);

    if (slot_is_full(slot) || header.size > sizeof slot->bytes ||
        (has_payload && payload.size > sizeof slot->bytes - header.size))
        return false;
    memcpy(slot->bytes, header.bytes, header.size);
    if (has_payload && payload.size > 0)
        memcpy(slot->bytes + header.size, payload.bytes, payload.size);
    atomic_store_explicit(&slot->header_bytes, (uint32_t)header.size, memory_order_relaxed);
    atomic_store_explicit(&slot->payload_bytes, has_payload ? (uint32_t)payload.size : NO_PAYLOAD,
                          memory_order_relaxed);
    atomic_store_explicit(&slot->after, after, memory_order_relaxed);
    atomic_store(&slot->full, 1); /* in one order with the flags of those who go to sleep */
    return true;
}

int slot_take(struct slot *slot, uint64_t handled, const char *peer, struct wire_frame **ret_frame)
{
    struct wire_bytes header = {.bytes = slot->bytes}, payload;
    uint32_t payload_bytes;
    int result;

    if (!slot_is_due(slot, handled))
        return MUSTER_EAGAIN;
    header.size = atomic_load_explicit(&slot->header_bytes, memory_order_relaxed);
    payload_bytes = atomic_load_explicit(&slot->payload_bytes, memory_order_relaxed);
    if (header.size > sizeof slot->bytes)
        header.size = 0; /* which does not decode */
    payload.bytes = slot->bytes + header.size;
    payload.size = payload_bytes <= sizeof slot->bytes - header.size ? payload_bytes : 0;
    result = wire_frame_create(peer, &header, payload_bytes != NO_PAYLOAD ? &payload : NULL, ret_frame);
    atomic_store_explicit(&slot->full, 0, memory_order_release);
    return result;
}

static void futex_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* False: the limit is over. */
static bool futex_wait(_Atomic uint32_t *word, uint32_t value, unsigned limit_ms)
{
    const struct timespec limit = {.tv_sec = limit_ms / 1000, .tv_nsec = limit_ms % 1000 * 1000000L};

    return syscall(SYS_futex, word, FUTEX_WAIT, value, limit_ms > 0 ? &limit : NULL, NULL, 0) == 0 ||
           errno != ETIMEDOUT;
}

/* The kernel looks at the word that a ringer takes down. Were it the bell, one who rang before, and
 * only now finds somebody asleep, could take it down just before the sleeper waits: nobody would wake
 * him then. */
void slots_ring(struct slots *slots)
{
    atomic_fetch_add(&slots->bell, 1);
    if (atomic_load(&slots->worker_sleeps) && atomic_exchange(&slots->worker_sleeps, 0))
        futex_wake(&slots->worker_sleeps);
}

bool slots_sleep(struct slots *slots, uint32_t seen, unsigned limit_ms)
{
    bool woken = true;

    atomic_store(&slots->worker_sleeps, 1);
    if (atomic_load(&slots->bell) == seen)
        woken = futex_wait(&slots->worker_sleeps, 1, limit_ms);
    atomic_store(&slots->worker_sleeps, 0);
    return woken;
}

void slots_want_wire(struct slots *slots)
{
    if (!atomic_exchange(&slots->wire_wanted, 1))
        futex_wake(&slots->wire_wanted);
}

void slots_await_want(struct slots *slots, unsigned limit_ms)
{
    futex_wait(&slots->wire_wanted, 0, limit_ms);
}
