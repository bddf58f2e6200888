/* SPDX-License-Identifier: MIT
 *
 * Single jobs under the model `processes`: each kind of them (function, time limit, retries) is
 * a batch that stays open, so that what one costs is its share of a message, not a batch.
 *
 * A task is sent at once while so few of its kind are under way that a worker may have nothing to
 * do. Else it waits for those that follow it, until there are FLUSH_TASKS of them or the caller
 * dispatches; the descriptor is readable meanwhile, so a caller that has nothing else to do
 * dispatches at once.
 */
#include "client/processes.h"

#include <math.h>
#include <string.h>
#include <utlist.h>

enum {
    /* Tasks that are worth a message of their own: it costs some 100 us over all the threads that
     * it passes, hence 0.4 us a task. */
    FLUSH_TASKS = 256,

    /* Handed back by one dispatch. */
    DISPATCH_TASKS = 1000,

    /* Kinds without a task that are kept open. */
    IDLE_STREAMS_MAX = 16,

    /* For each worker, so many keep it busy: one runs, one is there when that has ended. */
    BUSY_TASKS = 2,
};

static bool is_idle(const struct stream *stream)
{
    return stream->in_flight == 0 && !stream->queue;
}

/* No more tasks go to it. */
static void withdraw(struct tasks *tasks, struct stream *stream)
{
    HASH_DEL(tasks->open, stream);
    if (tasks->recent == stream)
        tasks->recent = NULL;
}

/* And it ends with its last task. */
static void retire(struct tasks *tasks, struct stream *stream)
{
    withdraw(tasks, stream);
    stream_seal(stream);
}

/* Drops the streams that are over. */
static void reap(struct tasks *tasks)
{
    struct stream *stream, *next;

    DL_FOREACH_SAFE(tasks->all, stream, next) {
        if (!stream->over)
            continue;
        if (!stream->sealed)
            withdraw(tasks, stream);
        DL_DELETE(tasks->all, stream);
        stream_destroy(stream);
    }
}

static int open_stream(struct tasks *tasks, const struct stream_kind *kind, struct stream **ret_stream)
{
    struct stream *stream, *next;
    int code;

    if (HASH_COUNT(tasks->open) > IDLE_STREAMS_MAX)
        HASH_ITER(hh, tasks->open, stream, next)
            if (is_idle(stream))
                retire(tasks, stream);
    code = stream_open(&tasks->outlet, kind, &stream);
    if (code != 0)
        return code;
    HASH_ADD(hh, tasks->open, kind, sizeof stream->kind, stream);
    if (!stream->hh.tbl) {
        stream_destroy(stream);
        return MUSTER_ENOMEM;
    }
    DL_APPEND(tasks->all, stream);
    *ret_stream = stream;
    return 0;
}

static int find_stream(struct tasks *tasks, const struct task *task, struct stream **ret_stream)
{
    struct stream_kind kind = {.function = task->function,
                               .timeout_ms = (uint32_t)ceil(task->timeout_s * 1e3),
                               .retries = task->retries};
    struct stream *stream = tasks->recent;

    if (!stream || memcmp(&stream->kind, &kind, sizeof kind) != 0)
        HASH_FIND(hh, tasks->open, &kind, sizeof kind, stream); /* NOLINT: reads `kind` byte by byte */
    if (stream && stream_is_sparse(stream)) {
        retire(tasks, stream);
        stream = NULL;
    }
    if (!stream) {
        int code = open_stream(tasks, &kind, &stream);

        if (code != 0)
            return code;
    }
    tasks->recent = stream;
    *ret_stream = stream;
    return 0;
}

void processes_flush(struct processes *p)
{
    struct stream *stream;

    DL_FOREACH(p->tasks.all, stream)
        stream_flush(stream);
}

void processes_settle(struct processes *p)
{
    struct stream *stream;

    p->tasks.ready = p->tasks.outlet.ended || (p->tasks.all && p->mailbox.lost.code != 0);
    DL_FOREACH(p->tasks.all, stream)
        p->tasks.ready |= stream_wants_flush(stream);
    wire_settle(p->mailbox.wire, p->tasks.ready);
}

int processes_submit(struct model *model, struct task *task, struct muster_error *ret_error)
{
    struct processes *p = (struct processes *)model;
    struct mailbox *mailbox = &p->mailbox;
    struct stream *stream;
    int code = mailbox->lost.code;

    if (code == 0)
        code = find_stream(&p->tasks, task, &stream);
    if (code != 0)
        return muster_error_set(ret_error, code, "%s",
                                mailbox->lost.code ? mailbox->lost.text : muster_error_name(code));
    stream_add(stream, task);
    if (stream->in_flight < BUSY_TASKS * (uint64_t)p->workers || stream->queued % FLUSH_TASKS == 0) {
        if (!stream_wants_flush(stream)) /* what was granted is used up: there may be more by now */
            mailbox_receive(mailbox);
        stream_flush(stream);
        processes_settle(p);
    } else if (!p->tasks.ready && stream_wants_flush(stream)) {
        processes_settle(p);
    }
    return 0;
}

void processes_cancel(struct model *model, struct task *task)
{
    struct processes *p = (struct processes *)model;

    if (!task->place || atomic_exchange(&task->cancel.raised, 1))
        return; /* it has ended, or was asked to before */
    stream_cancel(task->place, task);
    if (!p->tasks.ready)
        processes_settle(p);
}

void processes_fail_tasks(struct processes *p, int code, const char *text)
{
    struct stream *stream;

    DL_FOREACH(p->tasks.all, stream) {
        stream_fail(stream, code, text);
        stream->over = true;
    }
    reap(&p->tasks);
}

void processes_end_tasks(struct processes *p, int code, const char *text, struct task **ended)
{
    struct tasks *tasks = &p->tasks;

    processes_fail_tasks(p, code, text);
    DL_CONCAT(*ended, tasks->outlet.ended);
    tasks->outlet.ended = NULL;
    tasks->outlet.ended_count = 0;
}

int processes_dispatch(struct model *model, struct task **ended, struct muster_error *ret_error)
{
    struct processes *p = (struct processes *)model;
    struct stream_outlet *outlet = &p->tasks.outlet;

    processes_flush(p);
    while (outlet->ended_count < DISPATCH_TASKS && mailbox_receive(&p->mailbox)) {
    }
    reap(&p->tasks);
    if (p->mailbox.lost.code != 0)
        processes_end_tasks(p, p->mailbox.lost.code, p->mailbox.lost.text, ended);
    for (unsigned handed = 0; outlet->ended && handed < DISPATCH_TASKS; handed++) {
        struct task *task = outlet->ended;

        DL_DELETE(outlet->ended, task);
        DL_APPEND(*ended, task);
        outlet->ended_count--;
    }
    processes_settle(p);
    return p->mailbox.lost.code
               ? muster_error_set(ret_error, p->mailbox.lost.code, "%s", p->mailbox.lost.text)
               : 0;
}

int processes_fd(const struct model *model)
{
    const struct processes *p = (const struct processes *)model;

    return wire_fd(p->mailbox.wire);
}
