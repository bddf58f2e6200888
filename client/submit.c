/* SPDX-License-Identifier: MIT
 *
 * Submitting one job, at once or after a delay. See future.h.
 */
#include "client/handle.h"
#include "client/keep.h"

#include <math.h>

static int check(const muster *m, const struct muster_job *job, const muster_function **ret_function,
                 struct muster_error *ret_error)
{
    int code = futures_check_open(m->futures, ret_error);

    if (code != 0)
        return code;
    if (m->futures->lost.code != 0)
        return muster_error_set(ret_error, m->futures->lost.code, "%s", m->futures->lost.text);
    if (!job->function)
        return muster_error_set(ret_error, MUSTER_EINVALID, "a job without a function");
    if ((code = futures_check_seconds(job->delay_s, "delay", ret_error)) != 0 ||
        (code = handle_check_limits(m, job->timeout_s, job->retries, ret_error)) != 0)
        return code;
    return registry_require(m->registry, job->function, ret_function, ret_error);
}

static int keep_argument(struct muster_future *future, const msgpack_object *argument,
                         struct muster_error *ret_error)
{
    int code = keep_value(&future->zone, future->owner->model->heap, argument, &future->task.argument);

    if (code == MUSTER_ELIMIT)
        return muster_error_set(ret_error, code, "the argument is too large or nests too deeply");
    if (code == MUSTER_EINVALID)
        return muster_error_set(ret_error, code, "the argument is no value");
    return code ? muster_error_set(ret_error, code, "out of memory for the argument") : 0;
}

/* The delay is over. */
static void ring(struct futures *futures, struct alarm *alarm)
{
    struct muster_future *future =
        (struct muster_future *)((char *)alarm - offsetof(struct muster_future, delay));
    struct muster_error error;
    int code;

    future_stamp(future);
    code = futures->model->ops->submit(futures->model, &future->task, &error);
    if (code == 0)
        return;
    future_fail(future, code, keep_text(&future->zone, error.text));
    muster_future_drop(future);
}

/* The job's own reference is taken by whoever has it next: the alarm or the model. */
static int hand_on(struct muster_future *future, double delay_s, struct muster_error *ret_error)
{
    struct futures *futures = future->owner;
    int code;

    if (!(delay_s > 0)) {
        future_stamp(future);
        return futures->model->ops->submit(futures->model, &future->task, ret_error);
    }
    future->delay.ring = ring;
    code = timers_add(&futures->timers, &future->delay.timer, futures_deadline(delay_s));
    return code ? muster_error_set(ret_error, code, "out of memory") : 0;
}

int muster_submit(muster *m, const struct muster_job *job, struct muster_future **ret_future,
                  struct muster_error *ret_error)
{
    const muster_function *function;
    struct muster_future *future;
    int code = check(m, job, &function, ret_error);

    if (code != 0)
        return code;
    if (!(future = future_create(m->futures)))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    future->task = (struct task){
        .function = function,
        .timeout_s = job->timeout_s,
        .retries = job->retries,
        .zone = &future->zone,
    };
    if ((code = keep_argument(future, job->argument, ret_error)) != 0 ||
        (code = hand_on(future, job->delay_s, ret_error)) != 0) {
        muster_future_drop(future);
        return code;
    }
    future->has_job = true;
    m->futures->job_count++;
    *ret_future = muster_future_keep(future);
    futures_refresh(m->futures);
    return 0;
}
