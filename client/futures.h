/* SPDX-License-Identifier: MIT
 *
 * The inside of client/future.h: a future, the links of its chain, and what the futures of one
 * `muster *` share, which lives as long as any of them.
 *
 * A future is in one of two lists: `pending`, or, once it has ended and as long as there are
 * links to be run, `due`. Nothing recurses along a chain: a future that ends is put into `due`,
 * and futures_dispatch takes link after link from there.
 *
 * Who holds a reference: the caller; a job until its model hands it back; the list `due`; the
 * link of a future that waits for another; a completion; whoever shares its result.
 */
#ifndef MUSTER_CLIENT_FUTURES_H
#define MUSTER_CLIENT_FUTURES_H

#include "base/spin.h"
#include "base/timers.h"
#include "client/task.h"

/* What is to be done once a future has ended. */
enum link_kind {
    LINK_CALLBACK,   /* call back; owned by the future */
    LINK_THEN,       /* let a step make the next future; in that one */
    LINK_FOLLOW,     /* end the follower likewise; in that one */
    LINK_COMPLETION, /* hand the future over; in a completion */
};

struct link {
    struct link *next;
    enum link_kind kind;
    union {
        struct {
            muster_callback *on_success, *on_failure;
        } callback;
        struct {
            muster_step *on_success, *on_failure;
        } step;
    };
    void *context;
};

struct futures;

/* Something that has a time. */
struct alarm {
    struct timer timer; /* first */
    void (*ring)(struct futures *futures, struct alarm *alarm);
};

struct muster_future {
    struct muster_future *prev, *next; /* in `pending` or `due` */
    struct futures *owner;             /* a reference */
    struct muster_future *upstream;    /* pending, and this one is in a link of it; borrowed, else NULL */
    struct muster_future *source;      /* a reference: it ended, and this one likewise; else NULL */
    struct link *first, **last;        /* in the order they were set */
    uint32_t references;
    uint8_t state; /* enum muster_future_state */
    bool has_job, is_due;
    bool watched;      /* a wait wants to know when it ends */
    msgpack_zone zone; /* of argument and value (keep.h) */
    union {
        struct alarm delay; /* of a job that is not submitted yet */
        struct link link;   /* in `upstream`, or in what was it and has ended */
    };
    union {
        struct task task; /* of a job, until it is handed back, also when it is cancelled */
        struct {          /* how it ended, unless it was cancelled or there is a source */
            struct muster_result result;
            msgpack_object value;
        } end;
    };
};

enum futures_phase {
    FUTURES_IDLE,
    FUTURES_DISPATCHING, /* callbacks are called */
    FUTURES_MAPPING,     /* muster_map is at it */
    FUTURES_CLOSING,     /* callbacks are called for the last time */
    FUTURES_CLOSED,
};

struct call_timer; /* calls.c */

struct futures {
    uint32_t references;
    enum futures_phase phase;
    struct model *model;           /* borrowed; NULL once closed */
    struct muster_future *pending; /* utlist's DL; not owned */
    struct muster_future *due;
    uint64_t pending_count;
    uint64_t job_count;       /* pending futures with a job */
    struct timers timers;     /* alarms: delays and calls */
    struct call_timer *calls; /* owned; by number */
    uint64_t last_call;       /* number given */
    struct spin spin;         /* of whoever waits for futures */
    int epoll_fd, timer_fd, due_fd;
    int model_fd;             /* borrowed */
    unsigned connection;      /* of the model, whose descriptor that is */
    bool signalled;           /* due_fd is readable */
    uint64_t job_ns;          /* of the job that was timed last; UINT64_MAX: none was */
    unsigned untimed;         /* jobs in a row that were not worth it */
    uint64_t armed_ns;        /* what timer_fd is set to; CLOCK_NEVER: not */
    bool watch_hit;           /* a watched future has ended */
    struct muster_error lost; /* why the model was lost; else its code is 0 */
};

/* --- futures.c: what they share */

/* `model` is borrowed until futures_close. */
int futures_create(struct model *model, struct futures **ret_futures, struct muster_error *ret_error);

/* Closes the model, ends every pending future and calls the callbacks; drops the reference
 * that futures_create gave. Takes NULL. */
void futures_close(struct futures *futures);

void futures_keep(struct futures *futures);
void futures_drop(struct futures *futures);

/* As muster_dispatch. */
int futures_dispatch(struct futures *futures, struct muster_error *ret_error);

/* The descriptor is made to say whether there is something to do. After every change that was
 * not made by futures_dispatch. */
void futures_refresh(struct futures *futures);

/* The model may have connected anew: then it is not lost any more, and has another descriptor. */
void futures_follow(struct futures *futures);

/* Whether anything can still end a future. */
bool futures_are_active(const struct futures *futures);

/* Dispatches and sleeps until is_over(context), which is asked first. Codes of
 * muster_future_wait. (wait.c) */
int futures_wait(struct futures *futures, bool (*is_over)(void *context), void *context, double seconds,
                 struct muster_error *ret_error);

/* The monotonic time `seconds` from now; now where that is in the past. */
uint64_t futures_deadline(double seconds);

/* 0, or MUSTER_EINVALID when it is no time that a timer can have. */
int futures_check_seconds(double seconds, const char *what, struct muster_error *ret_error);

/* Whether futures and timers may be made: 0, or MUSTER_ESTATE once it closes. */
int futures_check_open(const struct futures *futures, struct muster_error *ret_error);

/* --- future.c: one of them */

/* Pending, with one reference, which is the caller's. NULL when out of memory. */
struct muster_future *future_create(struct futures *futures);

/* Ends a pending future. The text is static or in its zone. */
void future_fail(struct muster_future *future, int code, const char *text);
void future_succeed(struct muster_future *future, msgpack_object value);

/* Ends a pending future as `other`, which has ended, did. */
void future_share(struct muster_future *future, struct muster_future *other);

/* The model handed it back, or never took it. */
void future_job_ended(struct task *task);

/* Its job is submitted now: says whether it is to be timed. */
void future_stamp(struct muster_future *future);

/* Appends a link; the future becomes due when it has ended. */
void future_append(struct muster_future *future, struct link *link);

/* Takes the first link of a future that is due; the caller has a reference then. */
struct link *future_take_link(struct muster_future *future);

/* --- chain.c, completions.c: links */

/* Runs links of futures that are due, `budget` at most. */
void chain_run(struct futures *futures, unsigned budget);

/* The link of a completion has its turn. */
void completion_ended(struct link *link);

/* --- calls.c: timers */

uint64_t calls_count(const struct futures *futures);

/* Ends all timers without a call. */
void calls_clear(struct futures *futures);

#endif
