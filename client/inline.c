/* SPDX-License-Identifier: MIT
 *
 * The model inline: one job after another on the caller's thread, the baseline of all others.
 *
 * Jobs run in small chunks only so that clocks are read rarely: a chunk is sized to last a
 * few milliseconds and is cut when it lasts longer, so that a result is handed over when its
 * job ends, or a moment later where jobs are tiny.
 */
#include "base/clock.h"
#include "client/local.h"
#include "client/model.h"
#include "coordinator/pacing.h"
#include "proto/limits.h"

#include <stdlib.h>

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
    struct local_runner runner;
    struct local_chunk *chunk;
    struct local_batch run;
    struct feed feed;

    (void)model;
    if (local_runner_init(&runner, 1) != 0)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    if (!(chunk = local_chunk_create())) {
        local_runner_fini(&runner);
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    }
    local_batch_init(&run, function, batch, summary);
    run.cut_late = true;
    feed_init(&feed, &batch->source);
    run_all(&run, &feed, &runner, chunk);
    local_chunk_destroy(chunk);
    local_runner_fini(&runner);
    return local_finish(&run, &feed, batch->source.kind == MUSTER_SOURCE_RANGE ? run.total : feed.pulled,
                        ret_error);
}

static void close_inline(struct model *model, struct task **ended)
{
    (void)model; /* static */
    (void)ended;
}

/* It has no state: every muster shares the one below. */
static int open_inline(const struct muster_options *options, const struct registry *registry,
                       struct model **ret_model, struct muster_error *ret_error)
{
    static struct model model = {.ops = &model_inline};

    (void)options;
    (void)registry;
    (void)ret_error;
    *ret_model = &model;
    return 0;
}

const struct model_ops model_inline = {.open = open_inline, .close = close_inline, .map = map};
