/* SPDX-License-Identifier: MIT
 *
 * One call of a function where a wait blocks the calling thread. See call.h.
 *
 * A job that does nothing costs about ten nanoseconds here, so nothing is cleared or read
 * for it that a successful call does not need. A call belongs to one thread; only the
 * cancel flag and the progress word are shared.
 */
#include "jobs/call.h"

#include "base/clock.h"
#include "base/controls.h"
#include "jobs/fetch.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

_Static_assert(MUSTER_JOB_FAILED == MUSTER_EFAILED, "the function ABI repeats the number of MUSTER_EFAILED");

/* What muster_job.h promises of a failure's text, in bytes without the NUL. */
enum { FAILURE_TEXT_MAX = 1000 };

_Static_assert(FAILURE_TEXT_MAX < (int)MUSTER_ERROR_TEXT_BYTES,
               "a cut text still sees the byte behind the cut");

/* How soon a wait for a descriptor sees that it is cancelled. */
static const uint64_t LOOK_NS = 50 * CLOCK_NS_PER_MS;

/* Control characters become '?', and a text that is too long ends at a UTF-8 character. */
static void tidy_text(char *text)
{
    size_t end = controls_hide(text, strlen(text));

    text[end] = '\0';
    if (end <= FAILURE_TEXT_MAX)
        return;
    for (end = FAILURE_TEXT_MAX; end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80; end--)
        ;
    text[end] = '\0';
}

__attribute__((format(printf, 2, 0))) static int fail(muster_call *base, const char *format,
                                                      va_list arguments)
{
    struct call *call = (struct call *)base;

    vsnprintf(call->text, sizeof call->text, format, arguments);
    tidy_text(call->text);
    return MUSTER_JOB_FAILED;
}

static bool is_raised(struct call_cancel *cancel)
{
    return atomic_load_explicit(&cancel->raised, memory_order_acquire) != 0;
}

static bool cancelled(muster_call *base)
{
    return is_raised(((struct call *)base)->cancel);
}

static void progress(muster_call *base, double fraction)
{
    struct call *call = (struct call *)base;
    uint32_t thousandths = 0; /* also for NaN */

    if (!call->progress)
        return;
    if (fraction >= 1)
        thousandths = 1000;
    else if (fraction > 0)
        thousandths = (uint32_t)(fraction * 1000);
    atomic_store_explicit(call->progress, thousandths, memory_order_relaxed);
}

uint64_t call_deadline(double seconds)
{
    double ns = seconds * (double)CLOCK_NS_PER_S;

    return ns < (double)INT64_MAX ? clock_after(clock_now_ns(), (uint64_t)ns) : CLOCK_NEVER;
}

static int sleep_seconds(muster_call *base, double seconds)
{
    struct call *call = (struct call *)base;
    struct timespec until;
    uint64_t deadline_ns;

    if (!(seconds >= 0))
        return muster_call_fail(base, "cannot wait for %g seconds", seconds);
    deadline_ns = call_deadline(seconds);
    until.tv_sec = (time_t)(deadline_ns / CLOCK_NS_PER_S);
    until.tv_nsec = (long)(deadline_ns % CLOCK_NS_PER_S);
    while (!is_raised(call->cancel)) {
        /* Returns early when the flag changed, was woken for, or a signal came: look again. */
        if (syscall(SYS_futex, &call->cancel->raised, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0,
                    deadline_ns == CLOCK_NEVER ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY) != 0 &&
            errno == ETIMEDOUT)
            return 0;
    }
    return MUSTER_ECANCELLED;
}

/* Looks at the flag every so often while it polls, since a flag has no descriptor. */
static int wait_fd(muster_call *base, int fd, short events, double seconds)
{
    struct call *call = (struct call *)base;
    uint64_t deadline_ns = seconds < 0 ? CLOCK_NEVER : call_deadline(seconds);
    struct pollfd item = {.fd = fd, .events = events};

    while (!is_raised(call->cancel)) {
        uint64_t now_ns = clock_now_ns(), look_ns = clock_after(now_ns, LOOK_NS);
        int ready = poll(&item, 1, clock_poll_ms(now_ns, look_ns < deadline_ns ? look_ns : deadline_ns));

        if (ready > 0 && (item.revents & POLLNVAL))
            return muster_call_fail(base, "cannot wait for descriptor %d: it is not open", fd);
        if (ready > 0)
            return 0;
        if (ready < 0 && errno != EINTR)
            return muster_call_fail(base, "cannot wait for descriptor %d: %s", fd, strerror(errno));
        if (clock_now_ns() >= deadline_ns)
            return 1;
    }
    return MUSTER_ECANCELLED;
}

static int block(muster_call *base, void (*run)(void *context), void *context)
{
    if (is_raised(((struct call *)base)->cancel))
        return MUSTER_ECANCELLED;
    run(context);
    return 0;
}

static void *alloc(muster_call *base, size_t bytes)
{
    struct call_memory *memory = ((struct call *)base)->memory;

    return memory ? memory->alloc(memory, base->zone, bytes) : NULL;
}

void call_cancel_raise(struct call_cancel *cancel)
{
    int saved = errno;

    atomic_store_explicit(&cancel->raised, 1, memory_order_release);
    syscall(SYS_futex, &cancel->raised, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX, NULL, NULL, 0);
    errno = saved;
}

const struct muster_call_ops call_blocking_ops = {
    .size = sizeof(struct muster_call_ops),
    .fail = fail,
    .cancelled = cancelled,
    .progress = progress,
    .sleep = sleep_seconds,
    .wait_fd = wait_fd,
    .block = block,
    .fetch = fetch_blocking,
    .alloc = alloc,
};

void call_init(struct call *call, msgpack_zone *zone, struct call_cancel *cancel, _Atomic uint32_t *progress)
{
    call->base.ops = &call_blocking_ops;
    call->base.zone = zone;
    call->cancel = cancel;
    call->progress = progress;
    call->memory = NULL;
    call->host = NULL;
    call->common_bytes = 0;
    call->valued = false;
    call->text[0] = '\0';
}

/* Out of the way of calls that succeed. */
__attribute__((cold, noinline)) static int run_failed(struct call *call, const muster_function *function,
                                                      int code, msgpack_object *ret_result)
{
    call->valued = code == CALL_FAILED_VALUED;
    if (!call->valued) {
        ret_result->type = MSGPACK_OBJECT_NIL;
        if (is_raised(call->cancel))
            return MUSTER_ECANCELLED;
    }
    if (!call->text[0])
        snprintf(call->text, sizeof call->text, "%s failed with code %d", function->name, code);
    return MUSTER_EFAILED;
}

int call_run(struct call *call, const muster_function *function, const msgpack_object *argument,
             msgpack_object *ret_result)
{
    int code;

    call->text[0] = '\0';
    ret_result->type = MSGPACK_OBJECT_NIL;
    code = function->run(&call->base, argument, ret_result);
    return code == 0 ? 0 : run_failed(call, function, code, ret_result);
}
