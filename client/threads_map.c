/* SPDX-License-Identifier: MIT
 *
 * The caller's side of the model threads: fills the queue, collects what is done, hands it
 * over in order, and sleeps while there is nothing to do. See threads_pool.h.
 */
#include "base/clock.h"
#include "client/threads_pool.h"

#include <stdlib.h>
#include <unistd.h>
#include <utlist.h>

/* Arguments of a stream that are held in memory, those of results that wait included. */
static const size_t FEED_BYTES = 32 << 20;

/* One batch, on the caller's thread. */
struct mapping {
    struct pool *pool;
    struct local_batch run;
    struct feed feed;
    struct feed_block *block;    /* being filled; owned */
    struct local_chunk *pending; /* owned; in order, behind jobs that still run */
    uint64_t next;               /* ordered: the first job not handed over; unordered: 0 */

    /* What was handed over, and goes back to the pool at once. */
    struct local_chunk *spent;
    size_t spent_bytes;
};

/* The chunk is not needed any more. */
static void retire(struct mapping *map, struct local_chunk *chunk)
{
    map->spent_bytes += chunk->bytes;
    local_chunk_clear(chunk);
    chunk->next = map->spent;
    map->spent = chunk;
}

static void deliver(struct mapping *map, struct local_chunk *chunk)
{
    local_deliver(&map->run, chunk);
    retire(map, chunk);
}

/* Joins a chunk without results to the one before where they touch, so that of a long run
 * of them only the number is kept. Returns whether it did. */
static bool join(struct mapping *map, struct local_chunk *before, struct local_chunk *chunk)
{
    if (chunk->result_count > 0 || before->jobs.first + before->jobs.count != chunk->jobs.first)
        return false;
    before->jobs.count += chunk->jobs.count;
    DL_DELETE(map->pending, chunk);
    retire(map, chunk);
    return true;
}

/* Keeps a chunk until its turn. Chunks end nearly in order: its place is near the end. */
static void insert(struct mapping *map, struct local_chunk *chunk)
{
    struct local_chunk *before = map->pending ? map->pending->prev : NULL, *after;

    while (before && before->jobs.first > chunk->jobs.first)
        before = before == map->pending ? NULL : before->prev;
    if (before)
        DL_APPEND_ELEM(map->pending, before, chunk);
    else
        DL_PREPEND(map->pending, chunk);
    after = chunk->next;
    if (after)
        join(map, chunk, after);
    if (before)
        join(map, before, chunk);
}

/* Hands over what is next in order; with `gaps` also across jobs that never ended. */
static void deliver_pending(struct mapping *map, bool gaps)
{
    while (map->pending && (gaps || map->pending->jobs.first == map->next)) {
        struct local_chunk *chunk = map->pending;

        DL_DELETE(map->pending, chunk);
        map->next = chunk->jobs.first + chunk->jobs.count;
        deliver(map, chunk);
    }
}

static void sort_out(struct mapping *map, struct local_chunk *chunk)
{
    map->run.summary->chunks++;
    local_account(&map->run, chunk);
    if (chunk->jobs.count == 0) {
        retire(map, chunk);
    } else if (map->run.batch->unordered) {
        deliver(map, chunk);
    } else if (chunk->jobs.first == map->next) {
        map->next += chunk->jobs.count;
        deliver(map, chunk);
        deliver_pending(map, false);
    } else {
        insert(map, chunk);
    }
}

/* Gives chunks that were handed over back, so that workers that waited for it go on. */
static void give_back(struct mapping *map)
{
    struct pool *pool = map->pool;

    if (!map->spent)
        return;
    pthread_mutex_lock(&pool->mutex);
    LL_CONCAT(map->spent, pool->free);
    pool->free = map->spent;
    pool->held_bytes -= map->spent_bytes;
    pool->next = map->next;
    if (pool->queue)
        pool_wake(pool, pool->worker_count);
    pthread_mutex_unlock(&pool->mutex);
    map->spent = NULL;
    map->spent_bytes = 0;
}

/* Takes what is done and hands it over. Returns whether the batch is over. */
static bool collect(struct mapping *map)
{
    struct pool *pool = map->pool;
    struct local_chunk *done;
    bool over, starved;

    pthread_mutex_lock(&pool->mutex);
    done = pool->done;
    pool->done = NULL;
    pool->done_end = &pool->done;
    pool->done_count = 0;
    pool->notified = false;
    starved = pool->starved;
    over = pool_is_over(pool);
    pthread_mutex_unlock(&pool->mutex);
    if (starved)
        local_give_up(&map->run, MUSTER_ENOMEM, "out of memory for a chunk of jobs");
    while (done) {
        struct local_chunk *chunk = done;

        done = chunk->next;
        sort_out(map, chunk);
    }
    if (over)
        deliver_pending(map, true);
    give_back(map);
    return over;
}

/* Puts jobs into the queue for the workers; empties *jobs. 0 or MUSTER_ENOMEM. */
static int hand_out(struct mapping *map, struct feed_jobs *jobs)
{
    struct pool *pool = map->pool;
    struct span *span = malloc(sizeof *span);
    uint64_t count = jobs->count;

    if (!span) {
        feed_jobs_drop(jobs);
        return MUSTER_ENOMEM;
    }
    pthread_mutex_lock(&pool->mutex);
    pool_enqueue(pool, span, jobs);
    pool_wake(pool, count);
    pthread_mutex_unlock(&pool->mutex);
    return 0;
}

/* No more jobs will come. */
static void seal(struct mapping *map)
{
    if (map->feed.source->kind == MUSTER_SOURCE_STREAM)
        map->run.total = map->feed.pulled;
    pthread_mutex_lock(&map->pool->mutex);
    map->pool->sealed = true;
    pthread_mutex_unlock(&map->pool->mutex);
}

/* Whether the queue should take more arguments; if not, completion_fd will tell when. */
static bool has_room(struct mapping *map)
{
    struct pool *pool = map->pool;
    size_t live = atomic_load_explicit(&map->feed.live_bytes, memory_order_relaxed);
    bool room;

    pthread_mutex_lock(&pool->mutex);
    room =
        pool->queued < pool_queue_target(pool) && (live < FEED_BYTES || (!pool->queue && pool->running == 0));
    pool->wants_room = !room;
    pthread_mutex_unlock(&pool->mutex);
    return room;
}

/* Whether the block should go to the workers: at once when one of them is idle, unless the
 * user has set how many jobs go together. */
static bool is_due(const struct mapping *map)
{
    uint32_t fixed = map->run.batch->chunk_jobs;

    if (feed_is_full(map->block))
        return true;
    if (fixed)
        return map->block->count >= fixed;
    return atomic_load_explicit(&map->pool->idle_count, memory_order_relaxed) > 0;
}

/* Pulls the next arguments of a stream, where there are and as far as workers need them.
 * Returns whether it did anything. */
static bool fill(struct mapping *map)
{
    struct feed *feed = &map->feed;
    struct feed_jobs jobs;

    if (feed->state != FEED_READY || local_is_stopped(&map->run) || !has_room(map))
        return false;
    while (feed_pull(feed, &map->block) && !is_due(map))
        ;
    if (map->block && map->block->count > 0) {
        jobs = feed_jobs_of_block(feed, map->block);
        map->block = NULL;
        if (hand_out(map, &jobs) != 0)
            local_give_up(&map->run, MUSTER_ENOMEM, "out of memory for arguments");
    }
    if (feed->state == FEED_ENDED)
        seal(map);
    return true;
}

static void wait_for_work(struct mapping *map)
{
    bool waiting = map->feed.state == FEED_WAITING && !local_is_stopped(&map->run);
    unsigned events = local_wait(&map->run, waiting ? map->feed.source->fd : -1, map->pool->completion_fd);
    uint64_t count;

    if (events & LOCAL_SOURCE)
        map->feed.state = FEED_READY;
    if (events & LOCAL_COMPLETION && read(map->pool->completion_fd, &count, sizeof count) < 0)
        return; /* somebody was faster: look all the same */
}

static void begin(struct mapping *map)
{
    struct pool *pool = map->pool;

    pthread_mutex_lock(&pool->mutex);
    pool->run = &map->run;
    pacing_init(&pool->pacing, map->run.batch->chunk_jobs);
    pool->sealed = pool->starved = pool->notified = pool->wants_room = false;
    pool->next = map->next;
    pool->held_bytes = 0;
    pthread_mutex_unlock(&pool->mutex);
}

/* Frees what the batch left in the pool. No worker runs a chunk any more. */
static void end(struct mapping *map)
{
    struct pool *pool = map->pool;
    struct local_chunk *chunks, *chunk, *next_chunk;
    struct span *spans, *span, *next_span;

    pthread_mutex_lock(&pool->mutex);
    spans = pool->queue;
    chunks = pool->free;
    pool->run = NULL;
    pool->queue = NULL;
    pool->queued = 0;
    pool->free = NULL;
    pthread_mutex_unlock(&pool->mutex);
    LL_FOREACH_SAFE(spans, span, next_span) {
        feed_jobs_drop(&span->jobs);
        free(span);
    }
    LL_FOREACH_SAFE(chunks, chunk, next_chunk)
        local_chunk_destroy(chunk);
    feed_block_drop(&map->block);
}

int pool_map(struct model *model, const muster_function *function, const struct muster_batch *batch,
             struct muster_summary *summary, struct muster_error *ret_error)
{
    struct mapping map = {.pool = (struct pool *)model, .next = batch->unordered ? 0 : 1};
    struct feed_jobs range;

    if (local_batch_init(&map.run, function, batch, summary) != 0)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    feed_init(&map.feed, &batch->source);
    begin(&map);
    if (batch->source.kind == MUSTER_SOURCE_RANGE) {
        range = feed_jobs_of_range(&batch->source);
        map.run.total = range.count;
        if (hand_out(&map, &range) != 0)
            local_give_up(&map.run, MUSTER_ENOMEM, "out of memory");
        seal(&map);
    }
    while (!collect(&map)) {
        if (!fill(&map))
            wait_for_work(&map);
        local_breathe(&map.run);
    }
    end(&map);
    return local_finish(&map.run, &map.feed,
                        batch->source.kind == MUSTER_SOURCE_RANGE ? map.run.total : map.feed.pulled,
                        ret_error);
}
