/* SPDX-License-Identifier: MIT
 *
 * Timers that call back. See future.h.
 */
#include "client/handle.h"

#include <stdlib.h>
#include <uthash.h>

struct call_timer {
    struct alarm alarm; /* first */
    uint64_t number;    /* never used again */
    void (*callback)(void *context);
    void *context;
    UT_hash_handle hh;
};

static void forget(struct futures *futures, struct call_timer *call)
{
    HASH_DEL(futures->calls, call);
    free(call);
}

static void ring(struct futures *futures, struct alarm *alarm)
{
    struct call_timer *call = (struct call_timer *)alarm;
    void (*callback)(void *context) = call->callback;
    void *context = call->context;

    forget(futures, call);
    callback(context);
}

int muster_call_after(muster *m, double seconds, void (*callback)(void *context), void *context,
                      uint64_t *ret_timer, struct muster_error *ret_error)
{
    struct futures *futures = m->futures;
    struct call_timer *call;
    int code;

    if ((code = futures_check_open(futures, ret_error)) != 0 ||
        (code = futures_check_seconds(seconds, "timer", ret_error)) != 0)
        return code;
    if (!(call = malloc(sizeof *call)))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    *call = (struct call_timer){
        .alarm = {.ring = ring}, .number = futures->last_call + 1, .callback = callback, .context = context};
    if (timers_add(&futures->timers, &call->alarm.timer, futures_deadline(seconds)) != 0) {
        free(call);
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    }
    HASH_ADD(hh, futures->calls, number, sizeof call->number, call);
    if (!call->hh.tbl) {
        timers_remove(&futures->timers, &call->alarm.timer);
        free(call);
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    }
    futures->last_call++;
    if (ret_timer)
        *ret_timer = call->number;
    futures_refresh(futures);
    return 0;
}

bool muster_timer_cancel(muster *m, uint64_t timer)
{
    struct call_timer *call;

    HASH_FIND(hh, m->futures->calls, &timer, sizeof timer, call);
    if (!call)
        return false;
    timers_remove(&m->futures->timers, &call->alarm.timer);
    forget(m->futures, call);
    futures_refresh(m->futures);
    return true;
}

uint64_t calls_count(const struct futures *futures)
{
    return HASH_COUNT(futures->calls);
}

void calls_clear(struct futures *futures)
{
    while (futures->calls) {
        timers_remove(&futures->timers, &futures->calls->alarm.timer);
        forget(futures, futures->calls);
    }
}
