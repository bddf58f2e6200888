/* SPDX-License-Identifier: MIT
 *
 * The model inline: one job after another on the caller's thread, the baseline of all others.
 *
 * Jobs run in small chunks only so that clocks are read rarely: a chunk is sized to last
 * some milliseconds and is cut when it lasts longer, so that a result is handed over when its
 * job ends, or a moment later where jobs are tiny. Jobs that were submitted by themselves run
 * inside dispatch, one at a time.
 */
#include "base/clock.h"
#include "client/local.h"
#include "client/model.h"
#include "coordinator/pacing.h"
#include "proto/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utlist.h>

/* Tasks of one dispatch. */
enum { DISPATCH_MAX = 1000 };

struct inline_model {
    struct model model;
    struct task *queue; /* submitted by themselves; utlist's DL, not owned */
    int fd;             /* an eventfd: readable while there are some */
    struct local_runner runner;
};

/* Runs the first jobs of *queue, as many as one chunk takes, and hands over what came out. */
static void run_chunk(struct local_batch *run, struct local_runner *runner, struct local_chunk *chunk,
                      struct pacing *pacing, struct feed_jobs *queue)
{
    struct feed_jobs rest;

    chunk->jobs = feed_jobs_take(queue, pacing_chunk(pacing, queue->count, 1));
    rest = local_run(runner, run, chunk);
    feed_jobs_return(queue, &rest);
    pacing_report(pacing, (uint32_t)chunk->jobs.count, chunk->execute_ns);
    local_account(run, chunk);
    local_deliver(run, chunk);
    local_chunk_clear(chunk);
}

/* Pulls the arguments of the next chunk, or those that can be had without waiting; waits
 * when there is none. */
static void pull(struct local_batch *run, struct feed *feed, const struct pacing *pacing,
                 struct feed_block **block, struct feed_jobs *ret_queue)
{
    uint32_t wanted = pacing_chunk(pacing, PROTO_CHUNK_JOBS_MAX, 1);

    while (feed_pull(feed, block) && (*block)->count < wanted && !feed_is_full(*block))
        ;
    if (feed->state == FEED_ENDED)
        run->total = feed->pulled;
    if (*block && (*block)->count > 0) {
        *ret_queue = feed_jobs_of_block(feed, *block);
        *block = NULL;
    } else if (feed->state == FEED_WAITING) {
        local_wait(run, feed->source->fd, -1);
    }
}

static void run_all(struct local_batch *run, struct feed *feed, struct local_runner *runner,
                    struct local_chunk *chunk)
{
    struct pacing pacing;
    struct feed_jobs queue = {.count = 0};
    struct feed_block *block = NULL;

    pacing_init(&pacing, 0);
    if (feed->source->kind == MUSTER_SOURCE_RANGE) {
        queue = feed_jobs_of_range(feed->source);
        run->total = queue.count;
    }
    while (!local_is_stopped(run)) {
        if (queue.count == 0 && feed->state == FEED_ENDED)
            break;
        if (queue.count == 0)
            pull(run, feed, &pacing, &block, &queue);
        else
            run_chunk(run, runner, chunk, &pacing, &queue);
        local_breathe(run);
    }
    feed_jobs_drop(&queue);
    feed_block_drop(&block);
}

static int map(struct model *model, const muster_function *function, const struct muster_batch *batch,
               struct muster_summary *summary, struct muster_error *ret_error)
{
    struct local_runner *runner = &((struct inline_model *)model)->runner;
    struct local_chunk *chunk;
    struct local_batch run;
    struct feed feed;

    if (!(chunk = local_chunk_create()))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    if (local_batch_init(&run, function, batch, summary) != 0) {
        local_chunk_destroy(chunk);
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    }
    run.cut_late = run.caller_works = true;
    feed_init(&feed, &batch->source);
    run_all(&run, &feed, runner, chunk);
    local_chunk_destroy(chunk);
    return local_finish(&run, &feed, batch->source.kind == MUSTER_SOURCE_RANGE ? run.total : feed.pulled,
                        ret_error);
}

static int submit(struct model *model, struct task *task, struct muster_error *ret_error)
{
    struct inline_model *self = (struct inline_model *)model;

    (void)ret_error;
    if (!self->queue)
        eventfd_write(self->fd, 1);
    DL_APPEND(self->queue, task);
    return 0;
}

static void cancel(struct model *model, struct task *task)
{
    (void)model;
    call_cancel_raise(&task->cancel);
}

/* Runs one job; those that were cancelled before it are nearly free. */
static int dispatch(struct model *model, struct task **ended, struct muster_error *ret_error)
{
    struct inline_model *self = (struct inline_model *)model;
    bool ran = false;

    (void)ret_error;
    for (unsigned i = 0; i < DISPATCH_MAX && self->queue && !ran; i++) {
        struct task *task = self->queue;

        DL_DELETE(self->queue, task);
        local_run_task(&self->runner, task);
        DL_APPEND(*ended, task);
        ran = task->attempts > 0;
    }
    if (!self->queue && *ended)
        eventfd_read(self->fd, &(eventfd_t){0});
    return 0;
}

static int descriptor(const struct model *model)
{
    return ((const struct inline_model *)model)->fd;
}

static void close_inline(struct model *model, struct task **ended)
{
    struct inline_model *self = (struct inline_model *)model;
    struct task *task;

    DL_FOREACH(self->queue, task) {
        task->code = MUSTER_ECANCELLED;
        task->text = muster_error_name(MUSTER_ECANCELLED);
    }
    DL_CONCAT(*ended, self->queue);
    close(self->fd);
    local_runner_fini(&self->runner);
    free(self);
}

static int open_inline(const struct muster_options *options, const struct registry *registry,
                       struct model **ret_model, struct muster_error *ret_error)
{
    struct inline_model *self = calloc(1, sizeof *self);

    (void)options;
    (void)registry;
    if (!self || local_runner_init(&self->runner, 1) != 0) {
        free(self);
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    }
    self->model.ops = &model_inline;
    if ((self->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) {
        muster_error_system(ret_error, errno, "cannot make an eventfd");
        local_runner_fini(&self->runner);
        free(self);
        return MUSTER_ESYSTEM;
    }
    *ret_model = &self->model;
    return 0;
}

const struct model_ops model_inline = {
    .open = open_inline,
    .close = close_inline,
    .map = map,
    .submit = submit,
    .cancel = cancel,
    .dispatch = dispatch,
    .fd = descriptor,
};
