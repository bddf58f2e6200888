/* SPDX-License-Identifier: MIT
 *
 * A call that runs in a fiber: its waits suspend it and let others run. See loop.h.
 */
#include "jobs/fetch.h"
#include "jobs/loop_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

/* Ends a fiber's wait. */
struct alarm {
    struct loop_timer timer; /* first */
    struct fiber *fiber;
};

struct lookout {
    struct loop_watch watch; /* first */
    struct fiber *fiber;
    bool seen;
};

static bool is_raised(const struct call *call)
{
    return atomic_load_explicit(&call->cancel->raised, memory_order_acquire) != 0;
}

static void ring(struct loop_timer *timer)
{
    fiber_resume(((struct alarm *)timer)->fiber);
}

static int sleep_seconds(muster_call *base, double seconds)
{
    struct call *call = (struct call *)base;
    struct fiber *fiber = fiber_of_call(base);
    struct alarm alarm = {.timer.due = ring, .fiber = fiber};
    bool rang;

    if (!(seconds >= 0))
        return muster_call_fail(base, "cannot wait for %g seconds", seconds);
    if (is_raised(call))
        return MUSTER_ECANCELLED;
    if (loop_timer_set(fiber->loop, &alarm.timer, call_deadline(seconds)) != 0)
        return muster_call_fail(base, "cannot wait: out of memory");
    fiber_suspend(fiber, call->cancel);
    rang = !timer_is_set(&alarm.timer.timer);
    loop_timer_clear(fiber->loop, &alarm.timer);
    return rang ? 0 : MUSTER_ECANCELLED;
}

/* Once: the others that watch the descriptor are not told twice either. */
static void see(struct loop_watch *watch, uint32_t events)
{
    struct lookout *lookout = (struct lookout *)watch;

    (void)events;
    lookout->seen = true;
    loop_watch_set(lookout->fiber->loop, watch, 0);
    fiber_resume(lookout->fiber);
}

static int wait_fd(muster_call *base, int fd, short events, double seconds)
{
    struct call *call = (struct call *)base;
    struct fiber *fiber = fiber_of_call(base);
    struct alarm alarm = {.timer.due = ring, .fiber = fiber};
    struct lookout lookout = {.watch = {.fd = fd, .ready = see}, .fiber = fiber};
    bool timed = seconds >= 0, rang;
    int code;

    if (is_raised(call))
        return MUSTER_ECANCELLED;
    if ((code = loop_watch_set(fiber->loop, &lookout.watch, (uint16_t)events | EPOLLERR)) != 0) {
        if (code == MUSTER_ESYSTEM && errno == EPERM)
            return 0; /* a file, which poll takes for ready, too */
        return muster_call_fail(base, "cannot wait for descriptor %d: %s", fd,
                                code == MUSTER_ENOMEM ? "out of memory"
                                : errno == EBADF      ? "it is not open"
                                                      : strerror(errno));
    }
    if (timed && loop_timer_set(fiber->loop, &alarm.timer, call_deadline(seconds)) != 0) {
        loop_watch_set(fiber->loop, &lookout.watch, 0);
        return muster_call_fail(base, "cannot wait for descriptor %d: out of memory", fd);
    }
    fiber_suspend(fiber, call->cancel);
    rang = timed && !timer_is_set(&alarm.timer.timer);
    loop_timer_clear(fiber->loop, &alarm.timer);
    loop_watch_set(fiber->loop, &lookout.watch, 0);
    if (lookout.seen)
        return 0;
    return rang ? 1 : MUSTER_ECANCELLED;
}

void loop_call_ops(struct muster_call_ops *ret_ops)
{
    *ret_ops = call_blocking_ops;
    ret_ops->sleep = sleep_seconds;
    ret_ops->wait_fd = wait_fd;
    ret_ops->block = loop_block;
    ret_ops->fetch = fetch_in_loop;
}

void loop_call_init(struct fiber *fiber, struct call *call, msgpack_zone *zone, struct call_cancel *cancel,
                    _Atomic uint32_t *progress)
{
    call_init(call, zone, cancel, progress);
    call->base.ops = &fiber->loop->ops;
    call->host = fiber;
}
