/* SPDX-License-Identifier: MIT
 *
 * The link from inside: what its files share. link.c has the thread, its life and what it
 * sends; inbox.c the chunks that were assigned and what of them is cancelled; recall.c
 * what of them goes back; watch.c the time that jobs take; away.c what happens while there is no
 * coordinator. Functions here are called on the link's thread,
 * unless they say otherwise.
 */
#ifndef MUSTER_WORKER_LINK_INTERNAL_H
#define MUSTER_WORKER_LINK_INTERNAL_H

#include "base/spin.h"
#include "proto/holdings.h"
#include "worker/kept.h"
#include "worker/link.h"

#include <pthread.h>

/* Something that waits to be sent. */
struct outgoing {
    struct wire_parcel *parcel; /* owned */
    struct outgoing *prev, *next;
};

struct link {
    struct wire_context *context;
    struct wire *wire; /* the thread's */
    struct flight_page *flight;
    struct slots *slots; /* the coordinator's too where there is a bell to ring; else our own */
    int bell_fd;         /* borrowed; -1: messages go by the wire alone */
    unsigned concurrency, credit;
    pthread_t thread;
    bool late;                       /* the thread connects when it has to */
    uint64_t seen_position, seen_ns; /* the thread's: where the executor was when it last moved */
    bool told;                       /* the thread's: that the job at seen_position is slow */
    int parent_fd;                   /* pidfd; -1: none */
    const char *endpoint, *name;     /* borrowed */
    uint64_t grace_ns;               /* how long it waits for a coordinator to come back; 0: not at all */
    uint64_t away_deadline_ns;       /* the thread's: until then, while it is away */
    atomic_bool keeps;               /* the coordinator says which results are on disk */
    uint64_t numbered;               /* the executor's: results, since they are kept */
    int wake_fd;                     /* eventfd: there is something for the thread to see */

    pthread_mutex_t mutex;    /* guards all below */
    struct assignment *queue; /* chunks not yet taken; owned */
    struct assignment *taken; /* and not yet released; the executor's */
    struct holdings holdings; /* both, by their jobs */
    struct link_job running;  /* where the executor runs several jobs */
    unsigned queued;
    struct outgoing *outgoing; /* owned */
    unsigned unsent;           /* of them, with those that are being sent */
    uint64_t sent, handled;    /* messages by the wire */
    bool away;                 /* there is no coordinator: nothing is sent; the thread alone writes it */
    struct kept kept;
    const struct link_watcher *watcher; /* borrowed; NULL: nobody watches yet */
    void *watcher_context;
    bool stopped;  /* the coordinator said STOP, and will read on */
    bool stopping; /* no more chunks will be taken */
    bool ending;   /* the executor is done: send what is left and end */

    struct spin spin; /* the executor's */
};

/* Makes the link's thread look at all that it watches. On any thread. */
void link_wake(const struct link *link);

/* The same, and the thread begins, if it has waited for something to do. */
void link_need(const struct link *link);

/* Drops what waits to be sent. */
void outgoing_drop(struct outgoing **list);

/* Says who this is by the wire, and that it holds so many chunks that it was given by another life of the
 * coordinator. */
int link_say_hello(struct link *link, uint32_t standing);

/* For a link with grace: opens a socket that connects when somebody listens; until then the worker is away.
 */
int away_connect(struct link *link, struct muster_error *ret_error);

/* The connection is gone. */
void away_leave(struct link *link);

/* While the worker is away: greets a coordinator that is there, or ends when the grace is over.
 * Returns when to look again. */
uint64_t away_look(struct link *link);

/* Results up to this number are on disk. */
void away_drop_kept(struct link *link, uint64_t number);

/* Ends this worker, which nobody wants, with all that it runs; no job is to blame. */
void away_end_worker(struct link *link);

/* No more chunks: the executor ends when it has finished what it runs. */
void link_stop_taking(struct link *link);

/* Takes in the CHUNK of a frame, and *frame. */
void inbox_add(struct link *link, struct wire_frame **frame);

/* Takes in what lies in the slot, if it is its turn: before a message of the wire is handled. */
void inbox_add_slot(struct link *link);

/* What was asked of jobs, whether they are queued, taken or running. */
void inbox_cancel(struct link *link, const struct proto_cancel *cancel);

/* Takes an assignment out that was never taken, and destroys it. LOCKING: link->mutex is held. */
void inbox_drop(struct link *link, struct assignment *assignment);

/* What of the queue was never taken. When the thread has ended. */
void inbox_fini(struct link *link);

/* Whether, and to what, a job of an assignment is cancelled. LOCKING: link->mutex is held. */
enum link_drop inbox_find_drop(const struct assignment *assignment, uint64_t index);

/* Gives jobs back that the coordinator asks for, as far as they have not begun. */
void recall_jobs(struct link *link, const struct proto_cancel *cancel);

/* Looks after time limits and progress of the jobs that run; returns when to look again. */
uint64_t watch_jobs(struct link *link);

/* Tells the executor that there is something to take, or that something that it took is cancelled.
 * LOCKING: not with link->mutex held, since it may ask back. */
void watch_tell_arrived(struct link *link);
void watch_tell_cancelled(struct link *link);

/* Tells it that it has nothing to do. On its own thread; likewise. */
void watch_tell_idle(struct link *link);

#endif
