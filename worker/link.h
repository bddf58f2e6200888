/* SPDX-License-Identifier: MIT
 *
 * The worker's link to its coordinator: a thread that owns the socket, so that heartbeats
 * are answered and the next chunk is fetched while a job runs, however long it takes. It
 * also enforces the time limit of jobs, by the flight recorder, and tells the executor when a
 * job takes long.
 *
 * Two threads: the executor calls link_take and link_post; all else happens on the link's.
 */
#ifndef MUSTER_WORKER_LINK_H
#define MUSTER_WORKER_LINK_H

#include "base/error.h"
#include "jobs/call.h"
#include "proto/flight.h"
#include "proto/wire.h"

struct link;

/* What the link asks of the executor, one bit each, so that one load a job sees all of it. */
enum {
    ASSIGNMENT_SKIP = 1, /* start no further job of it */
    ASSIGNMENT_LOOK = 2, /* look at the clock: time has passed; the executor clears it */
};

/* A chunk to execute. Made by the link, destroyed by the executor. */
struct assignment {
    struct wire_frame *frame;        /* owned; frame->message is the CHUNK */
    const struct proto_chunk *chunk; /* in the frame */
    atomic_uint asked;               /* of the executor, before the next job: ASSIGNMENT_x or 0 */
    struct call_cancel cancel;       /* raised: end the running job */
    struct assignment *prev, *next;  /* the link's */
};

/* Connects and says HELLO. `flight` and `parent_fd` are borrowed: a pidfd whose process must
 * live for this one to live, or -1. */
int link_start(const char *endpoint, const char *name, int parent_fd, struct flight_page *flight,
               struct link **ret_link, struct muster_error *ret_error);

/* Ends this worker at once, with all that its jobs started: its whole process group, if it
 * leads one. Async-signal-safe. */
void link_kill_worker(void);

/* From now on calls `slow`, on the link's thread, once for every job that takes longer than some
 * 50 ms, with the time at which it was first seen. */
void link_watch(struct link *link, void (*slow)(void *context, uint64_t seen_ns), void *context);

/* Waits for the next chunk. 0, or MUSTER_EEND when the coordinator said STOP or is gone. */
int link_take(struct link *link, struct assignment **ret_assignment);

/* Sends a message about the chunk being executed. Takes *parcel. */
void link_post(struct link *link, struct wire_parcel **parcel);

/* The executor is done with the assignment that it took. */
void link_release(struct link *link, struct assignment *assignment);

/* Ends the thread. If the coordinator said STOP, waits until what was posted has been sent, for
 * some seconds at most. Takes NULL. */
void link_stop(struct link *link);

#endif
