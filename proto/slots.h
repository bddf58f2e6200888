/* SPDX-License-Identifier: MIT
 *
 * A way past ZeroMQ for one message at a time in each direction, between a coordinator and a
 * worker of this host that it launched: a page or two of shared memory, handed over as the flight
 * recorder is. A message that arrives by ZeroMQ wakes an I/O thread on each side and the link's
 * thread before it wakes whoever waits for it; one that lies in a slot wakes him alone, or nobody if
 * he is awake.
 *
 * The bytes are those of the frames, and are decoded and checked in the same way, from a copy.
 *
 * Order: a message in a slot says how many messages went by the wire before it. Its reader takes
 * it once it has handled so many, and before it handles one more. So the two ways are one stream,
 * whichever of them each message takes. HELLO and WELCOME alone are not counted: what comes in slots would
 * wait for them.
 *
 * A worker says HELLO in its slot first, so that it has chunks while it is not connected yet, and by the wire
 * when it is. What does not fit into its slot waits for that, since nobody is reached by a wire before. Who
 * is given little need not connect at all: a copy of its caller does so when it is wanted, or after a while.
 *
 * Writers and readers of a slot are one thread each at a time; the other process may be dead, or
 * write what it likes.
 */
#ifndef MUSTER_PROTO_SLOTS_H
#define MUSTER_PROTO_SLOTS_H

#include "proto/wire.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A direction has 4 KiB: a job's argument or result of up to some kilobytes, which take a
 * microsecond to copy. What is larger is not held up by being woken. */
enum { SLOT_MESSAGE_BYTES = 4096 - 128 };

struct slot {
    _Atomic uint32_t full;          /* 1: there is a message; written last, by either side */
    _Atomic uint32_t header_bytes;  /* of the message, */
    _Atomic uint32_t payload_bytes; /* which follows it in `bytes`; UINT32_MAX: it has none */
    _Atomic uint64_t after;         /* messages that went by the wire before it */
    uint8_t bytes[SLOT_MESSAGE_BYTES];
};

struct slots {
    _Atomic uint32_t attached; /* SLOTS_MAGIC once the worker has mapped it */
    /* A number that moves on whenever there may be something for the worker's executor; and whether
     * somebody has to wake it, which is the futex that it waits on. */
    _Atomic uint32_t bell, worker_sleeps;
    _Atomic uint32_t coordinator_sleeps; /* and has to be woken by its descriptor */
    _Atomic uint32_t wire_wanted;        /* 1: there is something to go by the wire, either way */
    _Alignas(64) struct slot to_worker;
    _Alignas(64) struct slot to_coordinator;
};

enum { SLOTS_MAGIC = 0x4d534c54 /* "MSLT" */ };

/* As flight_create and flight_attach. */
int slots_create(int *ret_fd, struct slots **ret_slots);
int slots_attach(int fd, struct slots **ret_slots);

/* Takes NULL. */
void slots_unmap(struct slots *slots);

/* Puts a message into a slot, which went by the wire neither before nor after `after` others were
 * handed to it. Returns false where it is full, or the message too large. The parcel stays the
 * caller's. */
bool slot_put(struct slot *slot, uint64_t after, const struct wire_parcel *parcel);

static inline bool slot_is_full(const struct slot *slot)
{
    return atomic_load_explicit(&slot->full, memory_order_acquire) != 0;
}

/* Whether slot_take has something to take; in one order with the flags of those who go to sleep. */
static inline bool slot_is_due(const struct slot *slot, uint64_t handled)
{
    return atomic_load(&slot->full) != 0 &&
           atomic_load_explicit(&slot->after, memory_order_relaxed) <= handled;
}

/* Whether a message that went by the wire is one of those that others wait for. */
static inline bool slot_counts(enum proto_type type)
{
    return type != PROTO_HELLO && type != PROTO_WELCOME;
}

/* Takes the message whose turn it is when `handled` came by the wire, and empties the slot. As
 * wire_receive: MUSTER_EAGAIN when there is none, or its turn has not come; what does not decode is
 * returned with frame->error. `peer` is "" where it is the only one. */
int slot_take(struct slot *slot, uint64_t handled, const char *peer, struct wire_frame **ret_frame);

/* Whether the coordinator sleeps, and the caller is the one to wake it by its descriptor. */
static inline bool slots_must_wake(struct slots *slots)
{
    return atomic_load(&slots->coordinator_sleeps) && atomic_exchange(&slots->coordinator_sleeps, 0);
}

/* Tells the worker's executor that there is something for it. On any thread of either process. */
void slots_ring(struct slots *slots);

/* Sleeps until the bell is not `seen` any more, or sometimes for less; false: for `limit_ms`, 0: no limit. */
bool slots_sleep(struct slots *slots, uint32_t seen, unsigned limit_ms);

/* Has the worker connect if it waits to be wanted. On any thread of either process. */
void slots_want_wire(struct slots *slots);

/* Waits until the wire is wanted, `limit_ms` at most, or sometimes for less. */
void slots_await_want(struct slots *slots, unsigned limit_ms);

#endif
