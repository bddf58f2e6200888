/* SPDX-License-Identifier: MIT
 *
 * The loop from inside, for the waits that calls make in it (loop_call.c, loop_block.c and what
 * fetches): descriptors to watch, timers, and fibers that are left and gone on with.
 *
 * A wait sets up what will end it, calls fiber_suspend, and takes it down again when that
 * returns. Callbacks of watches and timers run on the loop's thread inside loop_turn, outside
 * of any fiber; they may change any watch or timer.
 */
#ifndef MUSTER_JOBS_LOOP_INTERNAL_H
#define MUSTER_JOBS_LOOP_INTERNAL_H

#include "base/timers.h"
#include "jobs/coroutine.h"
#include "jobs/loop.h"

/* Embedded in what wants to know that a descriptor is ready; several may watch one. */
struct loop_watch {
    struct loop_watch *prev, *next; /* of those that watch `fd` */
    int fd;
    uint32_t events; /* EPOLLIN and so on, which are poll's numbers, too */
    uint32_t round;  /* of the last event that it was called for */
    /* Called each turn while it is ready: `events` as epoll_wait says them. */
    void (*ready)(struct loop_watch *watch, uint32_t events);
};

/* Embedded in what wants to be called once at a time. */
struct loop_timer {
    struct timer timer; /* first */
    void (*due)(struct loop_timer *timer);
};

struct fiber {
    struct fiber *prev, *next; /* of all of the loop */
    struct fiber *next_ready;
    struct loop *loop; /* borrowed */
    struct coroutine *coroutine;
    void (*body)(struct fiber *fiber, void *context);
    void *context;
    const struct call_cancel *cancel; /* ends its wait when raised; NULL: it is not waiting so */
    bool ready;                       /* in one of the lists of those that can go on */
    uint64_t cpu_ns;                  /* until it was left last */
};

/* Fibers that can go on, in order. */
struct fiber_queue {
    struct fiber *first, **end;
    unsigned count;
};

/* What is watched by a descriptor's number. */
struct watched {
    struct loop_watch *watches;
    uint32_t armed;      /* events that epoll was told; 0: it does not know the descriptor */
    uint32_t generation; /* events of an earlier use of the number are passed over */
};

struct loop_blocks;

struct loop {
    struct coroutine_stacks *stacks;    /* owned */
    const struct loop_watcher *watcher; /* borrowed */
    struct muster_call_ops ops;         /* of calls in fibers */

    struct fiber *fibers; /* owned; all that have not ended */
    unsigned fiber_count;
    struct fiber_queue ready, yielded; /* that go on in this turn; in the next */
    bool cancelled;                    /* a flag was raised: look through the fibers */
    bool counting;                     /* CPU time, of each fiber */
    uint64_t switched_cpu_ns;          /* counting: the thread's when the running fiber got it */

    int epoll_fd, wake_fd, timer_fd; /* owned */
    struct loop_watch wake_watch, timer_watch;
    atomic_bool woken;       /* wake_fd was written and not read */
    struct watched *watched; /* owned, by descriptor */
    size_t watched_count;
    int dispatching; /* descriptor whose watches are being called; -1 */
    uint32_t round;  /* of events */
    struct timers timers;
    uint64_t armed_ns; /* when timer_fd becomes readable; CLOCK_NEVER */

    struct loop_blocks *blocks; /* owned; NULL until a call blocks */

    /* What fetches, from the first fetch on; owned, freed by the function. */
    void *fetcher;
    void (*fetcher_destroy)(void *fetcher);
};

/* Watches watch->fd for `events` instead of those before; 0 ends it. A watch that is not in use
 * is zeroed but for fd and ready. 0; MUSTER_ENOMEM; MUSTER_ESYSTEM with errno (EPERM: a file,
 * which is always ready); on failure it is not watched. */
int loop_watch_set(struct loop *loop, struct loop_watch *watch, uint32_t events);

/* Sets a timer that is not set, zeroed but for `due`. 0 or MUSTER_ENOMEM. */
int loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t deadline_ns);

/* Takes it out; nothing happens when it is not set. */
void loop_timer_clear(struct loop *loop, struct loop_timer *timer);

/* Inside the fiber: lets others run until fiber_resume; and, where `cancel` is not NULL, until
 * that is raised and loop_cancelled is called. */
void fiber_suspend(struct fiber *fiber, const struct call_cancel *cancel);

/* A suspended fiber goes on in this turn or the next. Nothing happens when it would anyway. */
void fiber_resume(struct fiber *fiber);

/* The fiber in which a call of loop_call_init runs. */
static inline struct fiber *fiber_of_call(muster_call *call)
{
    return ((struct call *)call)->host;
}

/* --- between the files of the loop */

/* 0, or MUSTER_ESYSTEM with errno. */
int loop_events_init(struct loop *loop);
void loop_events_fini(struct loop *loop);

/* Calls back what is ready and due; waits for it until `deadline_ns`, at most. */
void loop_events_take(struct loop *loop, uint64_t deadline_ns);

/* Makes the loop's descriptor readable when the next timer is due. */
void loop_events_arm(struct loop *loop);

/* Sets the ops whose waits suspend. */
void loop_call_ops(struct muster_call_ops *ret_ops);

/* muster_call_ops.block. */
int loop_block(muster_call *base, void (*run)(void *context), void *context);

/* Fibers whose block has returned go on. */
void loop_blocks_collect(struct loop *loop);

/* Joins the threads. Takes NULL. */
void loop_blocks_destroy(struct loop_blocks *blocks);

#endif
