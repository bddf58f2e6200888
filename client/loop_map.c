/* SPDX-License-Identifier: MIT
 *
 * Batches under the model loop. See loop_model.h.
 *
 * A fiber runs a chunk of jobs, one after another, as inline does: jobs that compute cost no
 * switch. As soon as one of them waits, its fiber keeps that job alone, and the rest of the
 * chunk goes back to the queue. Whenever no fiber can go on, one more is started.
 *
 * Order: chunks are started in order of their jobs and stand in a list in that order, from
 * their start until their results are delivered. What the first of them has is delivered.
 */
#include "base/clock.h"
#include "client/loop_model.h"
#include "coordinator/pacing.h"
#include "proto/limits.h"

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

enum {
    /* Chunks that wait, or whose results do, because of a job before them. With more than this
     * no further job is started. */
    HELD_BYTES = 64 << 20,

    /* Arguments of a stream that are held in memory. */
    FEED_BYTES = 32 << 20,

    /* The first piece of the memory for results that nobody wants; there is one a fiber. */
    SCRATCH_BYTES = 256,

    /* Chunks that are kept for the next use. */
    SPARE_MAX = 64,

    /* Fibers that are begun before the loop looks at its descriptors again. */
    BEGIN_MAX = 16,
};

struct mapping;

struct chunk_strand {
    struct strand strand; /* first */
    struct mapping *map;
    struct local_chunk *chunk; /* owned */
    size_t held_bytes;         /* what the mapping counts it for */
    bool waited;               /* its jobs are not all computing */
};

struct mapping {
    struct loop_model *model;
    struct local_batch run;
    struct feed feed;
    struct feed_block *block; /* being filled; owned */
    struct feed_jobs queue;   /* that no fiber has */
    struct pacing pacing;     /* of jobs that do not wait */

    struct strand *strands; /* owned; ordered: from their start to their delivery */
    struct strand *spare;   /* owned */
    unsigned running, spare_count;
    size_t held_bytes;
    bool waits;   /* the latest chunk did, and the next is likely to */
    bool starved; /* there was no stack for one more: wait until a fiber ends */
};

static void chunk_left(struct strand *strand);

/* --- strands */

static uint64_t index_of_job(const struct strand *strand)
{
    const struct local_chunk *chunk = ((const struct chunk_strand *)strand)->chunk;

    return chunk->jobs.first + chunk->ended;
}

static void destroy(struct chunk_strand *own)
{
    local_chunk_destroy(own->chunk);
    free(own);
}

static struct chunk_strand *create(struct mapping *map)
{
    struct chunk_strand *own = calloc(1, sizeof *own);

    if (!own || !(own->chunk = local_chunk_create())) {
        free(own);
        return NULL;
    }
    own->map = map;
    own->strand = (struct strand){.left = chunk_left, .function = map->run.function, .index = index_of_job};
    return own;
}

static struct chunk_strand *provide(struct mapping *map)
{
    struct strand *spare = map->spare;

    if (!spare)
        return create(map);
    DL_DELETE(map->spare, spare);
    map->spare_count--;
    return (struct chunk_strand *)spare;
}

/* Its results were delivered, or nobody will want them. */
static void retire(struct chunk_strand *own)
{
    struct mapping *map = own->map;

    map->held_bytes -= own->held_bytes;
    if (map->spare_count >= SPARE_MAX) {
        destroy(own);
        return;
    }
    local_chunk_clear(own->chunk);
    own->held_bytes = 0;
    own->waited = own->strand.ended = false;
    DL_PREPEND(map->spare, &own->strand);
    map->spare_count++;
}

/* --- results */

static void count_bytes(struct chunk_strand *own)
{
    own->map->held_bytes += own->chunk->bytes - own->held_bytes;
    own->held_bytes = own->chunk->bytes;
}

/* Delivers what there is of a chunk, which may be running. */
static void deliver(struct chunk_strand *own)
{
    if (own->chunk->result_count == 0)
        return;
    local_deliver(&own->map->run, own->chunk);
    own->chunk->result_count = 0;
}

/* Delivers what is next in order. */
static void deliver_first(struct mapping *map)
{
    while (map->strands) {
        struct strand *first = map->strands;

        deliver((struct chunk_strand *)first);
        if (!first->ended)
            break;
        DL_DELETE(map->strands, first);
        retire((struct chunk_strand *)first);
    }
}

/* A chunk without results waits for none before it. */
static void settle(struct chunk_strand *own)
{
    struct mapping *map = own->map;

    map->running--;
    map->starved = false;
    if (!own->waited) {
        pacing_report(&map->pacing, (uint32_t)own->chunk->jobs.count, own->chunk->execute_ns);
        map->waits = false;
    }
    local_account(&map->run, own->chunk);
    if (map->run.batch->unordered)
        deliver(own);
    if (own->chunk->result_count > 0)
        return;
    DL_DELETE(map->strands, &own->strand);
    retire(own);
}

/* The job that waits is the last of its chunk: those behind it need not. */
static void give_rest_back(struct chunk_strand *own)
{
    struct feed_jobs rest = own->chunk->jobs;

    own->waited = own->map->waits = true;
    own->chunk->jobs = feed_jobs_take(&rest, own->chunk->ended + 1);
    feed_jobs_return(&own->map->queue, &rest);
}

static void chunk_left(struct strand *strand)
{
    struct chunk_strand *own = (struct chunk_strand *)strand;
    struct mapping *map = own->map;
    bool unordered = map->run.batch->unordered;

    count_bytes(own);
    if (strand->ended) {
        settle(own);
    } else {
        if (!own->waited)
            give_rest_back(own);
        if (unordered)
            deliver(own);
    }
    if (!unordered)
        deliver_first(map);
}

/* --- fibers */

/* Jobs that did not end were cut off, or the batch has stopped. */
static void run_chunk(struct fiber *fiber, void *context)
{
    struct chunk_strand *own = context;
    struct mapping *map = own->map;
    struct local_runner runner;
    struct feed_jobs rest;

    if (!msgpack_zone_init(&runner.scratch, SCRATCH_BYTES)) {
        own->chunk->code = MUSTER_ENOMEM;
        feed_jobs_drop(&own->chunk->jobs);
        own->strand.ended = true;
        return;
    }
    runner.guard = NULL;
    runner.fiber = fiber;
    runner.worker = 1;
    runner.task_ns = 0;
    rest = local_run(&runner, &map->run, own->chunk);
    msgpack_zone_destroy(&runner.scratch);
    if (local_is_stopped(&map->run))
        feed_jobs_drop(&rest);
    else
        feed_jobs_return(&map->queue, &rest);
    own->strand.ended = true;
}

/* What is taken back of a chunk must be next to the queue: several are begun at once only where
 * there is nothing to take back. */
static uint32_t next_chunk(const struct mapping *map)
{
    return map->waits ? 1 : pacing_chunk(&map->pacing, map->queue.count, 1);
}

/* Starts a fiber for the first jobs of the queue. Returns whether it did. */
static bool start(struct mapping *map)
{
    struct chunk_strand *own = provide(map);

    if (own && loop_start(map->model->loop, run_chunk, own) == 0) {
        own->chunk->jobs = feed_jobs_take(&map->queue, next_chunk(map));
        DL_APPEND(map->strands, &own->strand);
        map->running++;
        return true;
    }
    if (own)
        retire(own);
    map->starved = map->running > 0;
    if (!map->starved)
        local_give_up(&map->run, MUSTER_ENOMEM, "out of memory for the stack of a job");
    return false;
}

/* --- the batch */

/* Pulls arguments that can be had without waiting: the more, the more jobs run, so that blocks
 * of arguments are few. */
static void pull(struct mapping *map)
{
    uint32_t wanted = pacing_chunk(&map->pacing, PROTO_CHUNK_JOBS_MAX, 1);

    if (wanted <= map->running)
        wanted = map->running + 1;
    while (feed_pull(&map->feed, &map->block) && map->block->count < wanted && !feed_is_full(map->block))
        ;
    if (map->feed.state == FEED_ENDED)
        map->run.total = map->feed.pulled;
    if (!map->block || map->block->count == 0)
        return;
    map->queue = feed_jobs_of_block(&map->feed, map->block);
    map->block = NULL;
}

static bool may_start(const struct mapping *map)
{
    size_t live = atomic_load_explicit(&map->feed.live_bytes, memory_order_relaxed);

    if (local_is_stopped(&map->run) || map->starved)
        return false;
    return map->running == 0 || (map->running < map->model->concurrency && map->held_bytes < HELD_BYTES &&
                                 (map->queue.count > 0 || live < FEED_BYTES));
}

/* Begins one more job of the batch. Returns whether it did. */
static bool begin(struct mapping *map)
{
    if (!may_start(map))
        return false;
    if (map->queue.count == 0 && map->feed.state == FEED_READY)
        pull(map);
    return map->queue.count > 0 && start(map);
}

static bool is_over(const struct mapping *map)
{
    if (map->running > 0)
        return false;
    return local_is_stopped(&map->run) || (map->queue.count == 0 && map->feed.state == FEED_ENDED);
}

static void wait_for_work(struct mapping *map)
{
    bool waiting = map->feed.state == FEED_WAITING && may_start(map);
    unsigned events = local_wait(&map->run, waiting ? map->feed.source->fd : -1, loop_fd(map->model->loop));

    if (events & LOCAL_SOURCE)
        map->feed.state = FEED_READY;
}

/* Begins jobs while no other can go on. Returns whether any can then. */
static bool begin_some(struct mapping *map)
{
    struct loop *loop = map->model->loop;
    unsigned most = map->waits ? BEGIN_MAX : 1;

    if (loop_ready(loop) > 0)
        return true;
    while (loop_ready(loop) < most && (loop_model_begin(map->model) || begin(map)))
        ;
    return loop_ready(loop) > 0;
}

static void run_all(struct mapping *map)
{
    struct loop *loop = map->model->loop;
    bool told = false;

    while (!is_over(map)) {
        if (!told && atomic_load_explicit(&map->run.cancel.raised, memory_order_relaxed)) {
            loop_cancelled(loop);
            told = true;
        }
        if (!begin_some(map) && !is_over(map))
            wait_for_work(map);
        loop_turn(loop, 0);
        local_breathe(&map->run);
        stall_end(&map->run.stall, clock_now_ns()); /* whatever else there was has had its turn */
    }
}

static void end(struct mapping *map)
{
    struct strand *spare, *next;

    assert(!map->strands);
    DL_FOREACH_SAFE(map->spare, spare, next)
        destroy((struct chunk_strand *)spare);
    feed_jobs_drop(&map->queue);
    feed_block_drop(&map->block);
}

int loop_model_map(struct model *model, const muster_function *function, const struct muster_batch *batch,
                   struct muster_summary *summary, struct muster_error *ret_error)
{
    struct mapping map = {.model = (struct loop_model *)model};
    int code = loop_model_watch(ret_error);

    if (code != 0)
        return code;
    if (local_batch_init(&map.run, function, batch, summary) != 0)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    map.run.cut_late = map.run.caller_works = true;
    feed_init(&map.feed, &batch->source);
    pacing_init(&map.pacing, 0);
    if (batch->source.kind == MUSTER_SOURCE_RANGE) {
        map.queue = feed_jobs_of_range(&batch->source);
        map.run.total = map.queue.count;
    }
    run_all(&map);
    end(&map);
    loop_model_tell(map.model);
    return local_finish(&map.run, &map.feed,
                        batch->source.kind == MUSTER_SOURCE_RANGE ? map.run.total : map.feed.pulled,
                        ret_error);
}
