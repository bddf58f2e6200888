/* SPDX-License-Identifier: MIT
 *
 * Waiting for futures: dispatch, look, sleep until there is something to dispatch. See future.h.
 */
#include "client/handle.h"

#include <math.h>
#include <poll.h>

static int refuse(const struct futures *futures, struct muster_error *ret_error)
{
    return muster_error_set(ret_error, MUSTER_ESTATE, "%s",
                            futures->phase == FUTURES_CLOSED ? "its muster was closed"
                                                             : "a callback must not wait");
}

/* Until there is something to dispatch; a signal may end it early. */
static void sleep_for(struct futures *futures, int timeout_ms)
{
    struct pollfd item = {.fd = futures->epoll_fd, .events = POLLIN};
    int ready = poll(&item, 1, 0);

    if (ready != 0)
        return;
    spin_begin(&futures->spin);
    while (ready == 0 && spin_again(&futures->spin))
        ready = poll(&item, 1, 0);
    if (ready == 0)
        poll(&item, 1, timeout_ms);
    spin_end(&futures->spin);
}

int futures_wait(struct futures *futures, bool (*is_over)(void *context), void *context, double seconds,
                 struct muster_error *ret_error)
{
    uint64_t deadline_ns, now_ns;

    if (is_over(context))
        return 0;
    if (isnan(seconds))
        return muster_error_set(ret_error, MUSTER_EINVALID, "cannot wait for %g seconds", seconds);
    if (futures->phase != FUTURES_IDLE)
        return refuse(futures, ret_error);
    deadline_ns = seconds < 0 ? CLOCK_NEVER : futures_deadline(seconds);
    for (;;) {
        futures_dispatch(futures, NULL);
        if (is_over(context))
            return 0;
        if (!futures_are_active(futures))
            return muster_error_set(ret_error, MUSTER_ESTATE,
                                    "it cannot end: no job, timer or callback is left that could end it");
        now_ns = clock_now_ns();
        if (now_ns >= deadline_ns)
            return muster_error_set(ret_error, MUSTER_ETIMEOUT, "it has not ended within %g seconds",
                                    seconds);
        sleep_for(futures, clock_poll_ms(now_ns, deadline_ns));
    }
}

/* Futures that are waited for. Callbacks may drop them meanwhile. */
struct awaited {
    muster_future *const *futures;
    size_t count;
    size_t place; /* all before it have ended */
};

static int hold(const struct awaited *awaited)
{
    for (size_t i = 0; i < awaited->count; i++)
        if (awaited->futures[i]->owner != awaited->futures[0]->owner)
            return MUSTER_EINVALID;
    for (size_t i = 0; i < awaited->count; i++)
        muster_future_keep(awaited->futures[i]);
    return 0;
}

static void let_go(const struct awaited *awaited)
{
    for (size_t i = 0; i < awaited->count; i++)
        muster_future_drop(awaited->futures[i]);
}

static bool have_all_ended(void *context)
{
    struct awaited *awaited = context;

    while (awaited->place < awaited->count && awaited->futures[awaited->place]->state != MUSTER_PENDING)
        awaited->place++;
    return awaited->place == awaited->count;
}

static int wait_all(struct awaited *awaited, double seconds, struct muster_error *ret_error)
{
    int code = hold(awaited);

    if (code != 0)
        return code;
    code = futures_wait(awaited->futures[0]->owner, have_all_ended, awaited, seconds, ret_error);
    let_go(awaited);
    return code;
}

int muster_wait_all(muster_future *const *futures, size_t count, double seconds)
{
    return count > 0 ? wait_all(&(struct awaited){.futures = futures, .count = count}, seconds, NULL) : 0;
}

int muster_future_wait(struct muster_future *future, double seconds)
{
    return muster_wait_all(&future, 1, seconds);
}

/* The first that has ended; `count` when none has. */
static size_t first_ended(const struct awaited *awaited)
{
    size_t place = 0;

    while (place < awaited->count && awaited->futures[place]->state == MUSTER_PENDING)
        place++;
    return place;
}

static bool has_any_ended(void *context)
{
    return ((struct futures *)context)->watch_hit;
}

/* The futures are marked, and the first that ends says so: no dispatch looks at all of them. A
 * callback, which may not wait, must leave the marks of the wait that it is called from. */
static int wait_marked(const struct awaited *awaited, double seconds)
{
    struct futures *owner = awaited->futures[0]->owner;
    int code;

    if (owner->phase != FUTURES_IDLE)
        return MUSTER_ESTATE;
    owner->watch_hit = false;
    for (size_t i = 0; i < awaited->count; i++)
        awaited->futures[i]->watched = true;
    code = futures_wait(owner, has_any_ended, owner, seconds, NULL);
    for (size_t i = 0; i < awaited->count; i++)
        awaited->futures[i]->watched = false;
    return code;
}

int muster_wait_any(muster_future *const *futures, size_t count, double seconds, size_t *ret_place)
{
    struct awaited awaited = {.futures = futures, .count = count};
    size_t place;
    int code = count > 0 ? hold(&awaited) : MUSTER_EINVALID;

    if (code != 0)
        return code;
    if (first_ended(&awaited) == count)
        code = wait_marked(&awaited, seconds);
    place = first_ended(&awaited);
    let_go(&awaited);
    if (code == 0)
        *ret_place = place;
    return code;
}

int muster_await(struct muster_future *future, const msgpack_object **ret_value,
                 struct muster_error *ret_error)
{
    const struct muster_result *result;
    int code = wait_all(&(struct awaited){.futures = &future, .count = 1}, -1, ret_error);

    if (code != 0)
        return code;
    result = muster_future_result(future);
    if (result->code != 0)
        return muster_error_set(ret_error, result->code, "%s", result->text);
    if (ret_value)
        *ret_value = result->value;
    return 0;
}
