/* SPDX-License-Identifier: MIT
 *
 * An event loop that runs calls of functions as coroutines on one thread: a call that waits
 * (muster_call_sleep, _wait_fd, _block, _fetch) lets others run. For the model `loop` and for
 * workers that run several jobs at once.
 *
 * One thread owns a loop; only loop_wake may be called from others.
 */
#ifndef MUSTER_JOBS_LOOP_H
#define MUSTER_JOBS_LOOP_H

#include "jobs/call.h"

#include <stdint.h>

struct loop;

/* One coroutine of the loop. */
struct fiber;

/* Who wants to know which fiber has the thread; all may be NULL. `context` is the fiber's. */
struct loop_watcher {
    void (*resumed)(void *context);   /* it runs from now on, for the first time or again */
    void (*suspended)(void *context); /* it waits, or its body returned */
};

/* `watcher` is borrowed and may be NULL. 0; MUSTER_ENOMEM; MUSTER_ESYSTEM. */
int loop_create(const struct loop_watcher *watcher, struct loop **ret_loop, struct muster_error *ret_error);

/* No fiber may be left. Takes NULL. */
void loop_destroy(struct loop *loop);

/* Readable, level-triggered, when loop_turn has something to do; of times that come, and of
 * fibers that could go on, it tells after a turn that did not wait (deadline 0). After
 * loop_start it takes a loop_wake. Owned by the loop. */
int loop_fd(const struct loop *loop);

/* Makes a fiber that runs body(fiber, context) from the next turn on. 0; MUSTER_ENOMEM when
 * there is no stack for one more. */
int loop_start(struct loop *loop, void (*body)(struct fiber *fiber, void *context), void *context);

/* Fibers that have not ended, and those of them that could go on at once. */
unsigned loop_fibers(const struct loop *loop);
unsigned loop_ready(const struct loop *loop);

/* Lets every fiber go on that can, until each waits, has yielded or has ended, or 10 ms are
 * over: then the others go on in the next turn. If none can, waits until one can, `deadline_ns`
 * (0: does not wait) or loop_wake; may return early. Not from inside a fiber. */
void loop_turn(struct loop *loop, uint64_t deadline_ns);

/* Any thread: the running or next loop_turn does not wait. Async-signal-safe. */
void loop_wake(struct loop *loop);

/* Fibers whose call's cancel flag is raised stop waiting, in the next turn. */
void loop_cancelled(struct loop *loop);

/* Inside a fiber: prepares a call whose waits suspend the fiber. As call_init else. */
void loop_call_init(struct fiber *fiber, struct call *call, msgpack_zone *zone, struct call_cancel *cancel,
                    _Atomic uint32_t *progress);

/* Inside a fiber: lets others go first. */
void loop_yield(struct fiber *fiber);

/* CPU time of the thread while this fiber had it, in ns. Costs a system call at each switch,
 * from the first time it is asked on. */
uint64_t fiber_cpu_ns(struct fiber *fiber);

#endif
