/* SPDX-License-Identifier: MIT
 *
 * The model gil: the pool of the model threads, whose workers run jobs under one lock. What a
 * thread pool is worth in a language with an interpreter lock: waits overlap, since they let go
 * of the lock, computing does not.
 *
 * Check points, at which the lock is handed over when another worker wants it, are between two
 * jobs, and in muster_call_cancelled and _progress. A function that calls none of them keeps
 * the lock until it returns or waits, as a C extension of CPython does.
 */
#include "client/gil.h"
#include "client/threads_pool.h"

#include <stdlib.h>

struct gil_guard {
    struct local_guard guard;
    struct gil gil;
};

static struct gil *gil_of(const struct local_runner *runner)
{
    return &((struct gil_guard *)runner->guard)->gil;
}

static struct local_runner *runner_of(muster_call *call)
{
    return ((struct call *)call)->host;
}

static void enter(struct local_runner *runner)
{
    gil_take(gil_of(runner), runner);
}

static void leave(struct local_runner *runner)
{
    gil_drop(gil_of(runner), runner);
}

static void pass(struct local_runner *runner)
{
    gil_check(gil_of(runner), runner);
}

/* A call whose thread is without the lock has no check points: it looks at its flag while it
 * waits, and there is nothing that it could hand over. */
static void leave_to_wait(muster_call *call)
{
    call->ops = &call_blocking_ops;
    leave(runner_of(call));
}

static void enter_again(muster_call *call)
{
    enter(runner_of(call));
    call->ops = &runner_of(call)->guard->ops;
}

static bool cancelled(muster_call *call)
{
    pass(runner_of(call));
    return call_blocking_ops.cancelled(call);
}

static void progress(muster_call *call, double fraction)
{
    pass(runner_of(call));
    call_blocking_ops.progress(call, fraction);
}

static int sleep_seconds(muster_call *call, double seconds)
{
    int code;

    leave_to_wait(call);
    code = call_blocking_ops.sleep(call, seconds);
    enter_again(call);
    return code;
}

static int wait_fd(muster_call *call, int fd, short events, double seconds)
{
    int code;

    leave_to_wait(call);
    code = call_blocking_ops.wait_fd(call, fd, events, seconds);
    enter_again(call);
    return code;
}

static int block(muster_call *call, void (*run)(void *context), void *context)
{
    int code;

    leave_to_wait(call);
    code = call_blocking_ops.block(call, run, context);
    enter_again(call);
    return code;
}

/* The body of a document is taken by the function's own code, which runs under the lock. */
struct body {
    muster_call *call;
    const struct muster_fetch *fetch;
};

static int take_body(void *context, const void *bytes, size_t size)
{
    const struct body *body = context;
    int code;

    enter_again(body->call);
    code = body->fetch->on_body(body->fetch->context, bytes, size);
    leave_to_wait(body->call);
    return code;
}

static int fetch(muster_call *call, struct muster_fetch *fetch)
{
    struct body body = {.call = call, .fetch = fetch};
    struct muster_fetch unlocked = *fetch;
    int code;

    if (fetch->on_body) {
        unlocked.on_body = take_body;
        unlocked.context = &body;
    }
    leave_to_wait(call);
    code = call_blocking_ops.fetch(call, &unlocked);
    enter_again(call);
    fetch->status = unlocked.status;
    return code;
}

static void destroy(struct local_guard *base)
{
    struct gil_guard *guard = (struct gil_guard *)base;

    gil_fini(&guard->gil);
    free(guard);
}

static int open_gil(const struct muster_options *options, const struct registry *registry,
                    struct model **ret_model, struct muster_error *ret_error)
{
    struct gil_guard *guard = malloc(sizeof *guard);

    (void)registry;
    if (!guard)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    guard->guard = (struct local_guard){
        .ops =
            {
                .size = call_blocking_ops.size, /* which says whether it can fetch */
                .fail = call_blocking_ops.fail,
                .cancelled = cancelled,
                .progress = progress,
                .sleep = sleep_seconds,
                .wait_fd = wait_fd,
                .block = block,
                .fetch = fetch,
            },
        .enter = enter,
        .pass = pass,
        .leave = leave,
        .destroy = destroy,
    };
    gil_init(&guard->gil);
    return pool_open(&model_gil, &guard->guard, options, ret_model, ret_error);
}

const struct model_ops model_gil = {
    .open = open_gil,
    .close = pool_close,
    .map = pool_map,
    .submit = pool_submit,
    .cancel = pool_cancel,
    .dispatch = pool_dispatch,
    .fd = pool_fd,
};
