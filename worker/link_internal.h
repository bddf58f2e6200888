/* SPDX-License-Identifier: MIT
 *
 * The link from inside: what its four files share. link.c has the thread, its life and what it
 * sends; inbox.c the chunks that were assigned and what of them is cancelled; recall.c
 * what of them goes back; watch.c the time that jobs take. Functions here are called on the link's thread,
 * unless they say otherwise.
 */
#ifndef MUSTER_WORKER_LINK_INTERNAL_H
#define MUSTER_WORKER_LINK_INTERNAL_H

#include "base/spin.h"
#include "proto/holdings.h"
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
    uint64_t seen_position, seen_ns; /* the thread's: where the executor was when it last moved */
    bool told;                       /* the thread's: that the job at seen_position is slow */
    bool stopped;                    /* the thread's: the coordinator said STOP, and will read on */
    int parent_fd;                   /* pidfd; -1: none */
    int wake_fd;                     /* eventfd: there is something for the thread to see */

    pthread_mutex_t mutex;    /* guards all below */
    struct assignment *queue; /* chunks not yet taken; owned */
    struct assignment *taken; /* and not yet released; the executor's */
    struct holdings holdings; /* both, by their jobs */
    struct link_job running;  /* where the executor runs several jobs */
    unsigned queued;
    struct outgoing *outgoing;          /* owned */
    unsigned unsent;                    /* of them, with those that are being sent */
    uint64_t sent, handled;             /* messages by the wire */
    const struct link_watcher *watcher; /* borrowed; NULL: nobody watches yet */
    void *watcher_context;
    bool stopping; /* no more chunks will be taken */
    bool ending;   /* the executor is done: send what is left and end */

    struct spin spin; /* the executor's */
};

/* Makes the link's thread look at all that it watches. On any thread. */
void link_wake(const struct link *link);

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

#endif
