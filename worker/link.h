/* SPDX-License-Identifier: MIT
 *
 * The worker's link to its coordinator: a thread that owns the socket, so that heartbeats
 * are answered and the next chunk is fetched while a job runs, however long it takes. It
 * also enforces the time limit of jobs, by the flight recorder, and tells the executor when a
 * job takes long.
 *
 * Two threads: the executor's calls what is here; all else happens on the link's.
 */
#ifndef MUSTER_WORKER_LINK_H
#define MUSTER_WORKER_LINK_H

#include "base/error.h"
#include "jobs/call.h"
#include "proto/flight.h"
#include "proto/slots.h"
#include "proto/wire.h"

struct link;

/* What the link asks of the executor, one bit each, so that one load a job sees all of it. */
enum {
    ASSIGNMENT_SKIP = 1, /* start no further job of it */
    ASSIGNMENT_LOOK = 2, /* look at the clock: time has passed; the executor clears it */
    ASSIGNMENT_SOME = 4, /* some of its jobs are cancelled: ask link_begin_some before each */
    ASSIGNMENT_END = 8,  /* the jobs that run are to end, too */
};

/* What a job was cancelled to. */
enum link_drop { LINK_KEEP, LINK_SKIP /* not to start */, LINK_END /* to end if it runs, too */ };

/* A chunk to execute. Made by the link, destroyed by the executor. */
struct assignment {
    struct wire_frame *frame;        /* owned; frame->message is the CHUNK */
    const struct proto_chunk *chunk; /* in the frame */
    atomic_uint asked;               /* of the executor, before the next job: ASSIGNMENT_x or 0 */
    atomic_uint begun;               /* the executor's: jobs of it that began; see assignment_begin */
    atomic_uint returned;            /* the link's: so many of its last jobs are not ours any more */
    bool taken;                      /* the link's: the executor has it */
    struct call_cancel cancel;       /* raised: end the running job */
    uint8_t *dropped;                /* the link's: an enum link_drop for each job; NULL: none is */
    struct assignment *prev, *next;  /* the link's: of `queue` or `taken` */
};

/* For the executor, before it begins the job at `place`, in order: whether it may. If not, it begins
 * no other one of the assignment either. The link makes its side safe with membarrier(2), which keeps
 * this cheap: see recall.c. */
static inline bool assignment_begin(struct assignment *assignment, uint32_t place)
{
    atomic_store_explicit(&assignment->begun, place + 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    return place + atomic_load_explicit(&assignment->returned, memory_order_relaxed) <
           assignment->chunk->count;
}

/* What the link tells the executor, on the link's thread but for `idle`; each may be NULL. */
struct link_watcher {
    /* Once for every job that takes longer than some 50 ms, with the time at which it was first
     * seen. For an executor of several jobs again and again, every 50 ms at least, while any of
     * them has the thread. */
    void (*slow)(void *context, uint64_t seen_ns);
    /* Jobs that were taken are cancelled, or given back (for an executor of several jobs). For an executor of
     * one job at a time again every 50 ms while it has some that are cancelled by themselves. */
    void (*cancelled)(void *context);
    /* There is something to take. */
    void (*arrived)(void *context);
    /* link_take has waited for a second, and will wait on. Once a wait, on the executor's own thread. */
    void (*idle)(void *context);
};

/* The job that has the thread of an executor of several. */
struct link_job {
    struct assignment *assignment; /* NULL: none has */
    uint64_t index;
    uint64_t deadline_ns;       /* it is asked to end then; CLOCK_NEVER */
    uint64_t kill_ns;           /* and its worker is killed then */
    struct call_cancel *cancel; /* its own */
};

/* All borrowed for the link's life. */
struct link_options {
    const char *endpoint, *name;
    int parent_fd; /* a pidfd whose process must live for this one to live; -1: none */
    struct flight_page *flight;
    struct slots *slots;  /* shared with the coordinator; NULL: all goes by the wire */
    int bell_fd;          /* to be rung when the coordinator sleeps and there is something in them */
    unsigned concurrency; /* jobs that the executor runs at once */
    uint64_t grace_ns;    /* how long it goes on without a coordinator; 0: not at all. If not, no slots */
    bool late;            /* where there are slots, it connects when it has to, or after a while */
};

/* Connects and says HELLO; with a grace, as soon as somebody listens. With slots HELLO is said there first.
 */
int link_start(const struct link_options *options, struct link **ret_link, struct muster_error *ret_error);

/* Ends this worker at once, with all that its jobs started: its whole process group, if it
 * leads one. Async-signal-safe. */
void link_kill_worker(void);

/* From now on tells the executor; `watcher` is borrowed. */
void link_watch(struct link *link, const struct link_watcher *watcher, void *context);

/* Waits for the next chunk. 0, or MUSTER_EEND when the coordinator said STOP or is gone. */
int link_take(struct link *link, struct assignment **ret_assignment);

/* As link_take, for an executor of several jobs, which may hold several assignments; does not
 * wait: MUSTER_EAGAIN when there is none. */
int link_try_take(struct link *link, struct assignment **ret_assignment);

/* Whether, and to what, the job `index` of an assignment that was taken is cancelled. */
enum link_drop link_is_dropped(struct link *link, const struct assignment *assignment, uint64_t index);

/* For an executor of one job at a time, before the job `index`: assignment->cancel is lowered if
 * it was raised for another job alone. Returns whether this one is not to start. */
bool link_begin_some(struct link *link, struct assignment *assignment, uint64_t index);

/* For an executor of several jobs: this one has the thread from now on. Of the time that one may
 * have it, and of what cancels it, the link takes care. */
void link_run(struct link *link, const struct link_job *job);

/* Ends the worker, because this job did not end in time. */
__attribute__((noreturn)) void link_end_for_time(struct link *link, uint64_t chunk, uint64_t index);

/* The number of the next RESULT, 0: it is not kept. Of one thread at a time. */
uint64_t link_number(struct link *link);

/* Sends a RESULT about a chunk that was taken, and keeps it if it has a number. Takes *parcel. */
void link_post(struct link *link, const struct proto_result *result, struct wire_parcel **parcel);

/* The executor is done with an assignment that it took. */
void link_release(struct link *link, struct assignment *assignment);

/* Ends the thread. If the coordinator said STOP, waits until what was posted has been sent, for
 * some seconds at most. Takes NULL. */
void link_stop(struct link *link);

/* Whether the coordinator said STOP, and has all that this worker said: HELLO alone went by the wire. */
bool link_is_settled(struct link *link);

#endif
