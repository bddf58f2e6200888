/* SPDX-License-Identifier: MIT
 *
 * One future: made, counted, ended, asked. See futures.h.
 */
#include "base/clock.h"
#include "client/handle.h"
#include "client/keep.h"

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

static const struct muster_result cancelled = {.code = MUSTER_ECANCELLED, .text = "cancelled"};

struct muster_future *future_create(struct futures *futures)
{
    struct muster_future *future = calloc(1, sizeof *future);

    if (!future)
        return NULL;
    future->references = 1;
    future->state = MUSTER_PENDING;
    future->last = &future->first;
    keep_init(&future->zone);
    future->owner = futures;
    futures_keep(futures);
    DL_APPEND(futures->pending, future);
    futures->pending_count++;
    return future;
}

static void leave_pending(struct muster_future *future)
{
    DL_DELETE(future->owner->pending, future);
    future->owner->pending_count--;
    if (future->has_job)
        future->owner->job_count--;
}

static void destroy(struct muster_future *future)
{
    struct futures *owner = future->owner;

    if (future->state == MUSTER_PENDING)
        leave_pending(future);
    keep_fini(&future->zone);
    muster_future_drop(future->source);
    free(future);
    futures_drop(owner);
}

muster_future *muster_future_keep(struct muster_future *future)
{
    future->references++;
    return future;
}

/* A promise that nobody can keep any more ends, for those who wait for it. */
void muster_future_drop(struct muster_future *future)
{
    if (!future)
        return;
    assert(future->references > 0);
    if (--future->references > 0)
        return;
    if (future->state == MUSTER_PENDING && future->first) {
        future_fail(future, MUSTER_ESTATE, "nobody is left who could keep the promise");
        futures_refresh(future->owner);
        return;
    }
    destroy(future);
}

static void make_due(struct muster_future *future)
{
    future->is_due = true;
    muster_future_keep(future);
    DL_APPEND(future->owner->due, future);
}

static void end(struct muster_future *future, enum muster_future_state state)
{
    assert(future->state == MUSTER_PENDING);
    leave_pending(future);
    future->state = (uint8_t)state;
    if (future->watched)
        future->owner->watch_hit = true;
    if (future->first)
        make_due(future);
}

void future_append(struct muster_future *future, struct link *link)
{
    link->next = NULL;
    *future->last = link;
    future->last = &link->next;
    if (future->state != MUSTER_PENDING && !future->is_due)
        make_due(future);
}

struct link *future_take_link(struct muster_future *future)
{
    struct link *link = future->first;

    assert(future->is_due);
    if ((future->first = link->next) != NULL) {
        muster_future_keep(future);
        return link;
    }
    future->last = &future->first;
    future->is_due = false;
    DL_DELETE(future->owner->due, future);
    return link;
}

void future_succeed(struct muster_future *future, msgpack_object value)
{
    future->end.value = value;
    future->end.result = (struct muster_result){.value = &future->end.value};
    end(future, MUSTER_SUCCEEDED);
}

void future_fail(struct muster_future *future, int code, const char *text)
{
    if (code == MUSTER_ECANCELLED) {
        end(future, MUSTER_CANCELLED);
        return;
    }
    future->end.result = (struct muster_result){.code = code, .text = text ? text : muster_error_name(code)};
    end(future, MUSTER_FAILED);
}

void future_share(struct muster_future *future, struct muster_future *other)
{
    if (other->state != MUSTER_CANCELLED)
        future->source = muster_future_keep(other->source ? other->source : other);
    end(future, other->state);
}

static struct muster_future *future_of(struct task *task)
{
    return (struct muster_future *)((char *)task - offsetof(struct muster_future, task));
}

/* Where jobs are short, one in 64 is timed, to see whether they still are. */
void future_stamp(struct muster_future *future)
{
    struct futures *futures = future->owner;
    struct task *task = &future->task;

    task->alone = futures->job_count == future->has_job;
    if (!task->alone && futures->job_ns < TASK_TIMED_NS && ++futures->untimed % 64 != 0)
        return;
    task->submitted_ns = clock_now_ns();
}

/* What the model noted of a job's time, which goes on until now. NULL: nothing. */
static struct task_times *take_times(struct futures *futures, struct task *task)
{
    struct task_times *times = task->timed ? task->times : NULL;
    struct muster_receipt *receipt;
    uint64_t total_ns;

    if (!times && task->submitted_ns && task->code == 0)
        futures->job_ns = 0;
    if (!times)
        return NULL;
    futures->job_ns = times->wall_ns;
    receipt = &times->receipt;
    total_ns = clock_now_ns() - times->submitted_ns;
    receipt->phase_ns[times->last] += total_ns - receipt->total_ns;
    receipt->total_ns = total_ns;
    return times;
}

static void set_times(struct muster_result *result, const struct task_times *times)
{
    result->began_ns = times->began_ns;
    result->wall_ns = times->wall_ns;
    result->cpu_ns = times->cpu_ns;
    result->receipt = &times->receipt;
}

static void fail_valued(struct muster_future *future, int code, const char *text, msgpack_object value)
{
    future_fail(future, code, text);
    future->end.value = value;
    if (future->state == MUSTER_FAILED)
        future->end.result.value = &future->end.value;
}

/* The task lies where the end will: what is needed of it is read first. */
void future_job_ended(struct task *task)
{
    struct muster_future *future = future_of(task);
    const struct task_times *times = take_times(future->owner, task);
    unsigned attempts = task->attempts, worker = task->worker;
    int code = task->code;

    if (future->state == MUSTER_PENDING && code == 0)
        future_succeed(future, task->value);
    else if (future->state == MUSTER_PENDING && task->valued)
        fail_valued(future, code, task->text, task->value);
    else if (future->state == MUSTER_PENDING)
        future_fail(future, code, task->text);
    if (future->state != MUSTER_CANCELLED) {
        future->end.result.attempts = attempts;
        future->end.result.worker = worker;
        if (times)
            set_times(&future->end.result, times);
    }
    muster_future_drop(future);
}

bool muster_future_cancel(struct muster_future *future)
{
    struct futures *futures = future->owner;

    if (future->state != MUSTER_PENDING)
        return false;
    end(future, MUSTER_CANCELLED);
    if (future->has_job && timer_is_set(&future->delay.timer)) {
        timers_remove(&futures->timers, &future->delay.timer);
        muster_future_drop(future);
    } else if (future->has_job) {
        futures->model->ops->cancel(futures->model, &future->task);
    }
    futures_refresh(futures);
    return true;
}

enum muster_future_state muster_future_state(const struct muster_future *future)
{
    return (enum muster_future_state)future->state;
}

const struct muster_result *muster_future_result(const struct muster_future *future)
{
    if (future->state == MUSTER_PENDING)
        return NULL;
    if (future->state == MUSTER_CANCELLED)
        return &cancelled;
    return future->source ? &future->source->end.result : &future->end.result;
}
