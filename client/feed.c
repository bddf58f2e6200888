/* SPDX-License-Identifier: MIT
 *
 * Runs of jobs and blocks of arguments. See feed.h.
 */
#include "client/feed.h"

#include "base/clock.h"
#include "client/measure.h"
#include "proto/limits.h"

#include <stdlib.h>

/* The first piece of a block's memory; later pieces are as large as what does not fit. */
enum { BLOCK_ZONE_BYTES = 2048 };

void feed_init(struct feed *feed, const struct muster_source *source)
{
    feed->source = source;
    feed->state = source->kind == MUSTER_SOURCE_STREAM ? FEED_READY : FEED_ENDED;
    feed->pulled = 0;
    feed->code = 0;
    atomic_init(&feed->live_bytes, 0);
}

static struct feed_block *block_create(struct feed *feed)
{
    struct feed_block *block = malloc(sizeof *block);

    if (!block)
        return NULL;
    if (!msgpack_zone_init(&block->zone, BLOCK_ZONE_BYTES)) {
        free(block);
        return NULL;
    }
    atomic_init(&block->references, 1);
    block->count = 0;
    block->bytes = sizeof *block + BLOCK_ZONE_BYTES;
    block->live_bytes = &feed->live_bytes;
    atomic_fetch_add_explicit(&feed->live_bytes, block->bytes, memory_order_relaxed);
    return block;
}

static void block_unref(struct feed_block *block)
{
    if (atomic_fetch_sub_explicit(&block->references, 1, memory_order_acq_rel) != 1)
        return;
    atomic_fetch_sub_explicit(block->live_bytes, block->bytes, memory_order_relaxed);
    msgpack_zone_destroy(&block->zone);
    free(block);
}

static bool end(struct feed *feed, int code)
{
    feed->state = FEED_ENDED;
    feed->code = code;
    return false;
}

static bool add(struct feed *feed, struct feed_block *block)
{
    size_t bytes = 0;
    int code = measure_value(&block->arguments[block->count], &bytes);

    if (code == 0 && feed->pulled == (uint64_t)PROTO_BATCH_JOBS_MAX)
        code = MUSTER_ELIMIT;
    if (code != 0)
        return end(feed, muster_error_set(&feed->error, code, "argument %llu: %s",
                                          (unsigned long long)feed->pulled + 1, muster_error_name(code)));
    block->count++;
    block->bytes += bytes;
    atomic_fetch_add_explicit(block->live_bytes, bytes, memory_order_relaxed);
    feed->pulled++;
    return true;
}

bool feed_pull(struct feed *feed, struct feed_block **block)
{
    int code;

    if (!*block && !(*block = block_create(feed)))
        return end(feed, muster_error_set(&feed->error, MUSTER_ENOMEM, "out of memory for arguments"));
    if ((*block)->count == 0)
        (*block)->asked_ns = clock_now_ns();
    feed->error.code = 0;
    feed->error.text[0] = '\0';
    code = feed->source->next(feed->source->context, &(*block)->zone, &(*block)->arguments[(*block)->count],
                              &feed->error);
    if (code == 0) {
        feed->state = FEED_READY;
        return add(feed, *block);
    }
    if (code == MUSTER_EEND)
        return end(feed, 0);
    if (code == MUSTER_EAGAIN && feed->source->fd >= 0) {
        feed->state = FEED_WAITING;
        return false;
    }
    if (code == MUSTER_EAGAIN)
        muster_error_set(&feed->error, code, "the source of arguments is not ready and has no descriptor");
    else if (!feed->error.text[0])
        muster_error_set(&feed->error, code, "argument %llu: %s", (unsigned long long)feed->pulled + 1,
                         muster_error_name(code));
    return end(feed, code);
}

void feed_block_drop(struct feed_block **block)
{
    if (*block)
        block_unref(*block);
    *block = NULL;
}

bool feed_is_full(const struct feed_block *block)
{
    return block->count == FEED_BLOCK_JOBS || block->bytes >= PROTO_BLOCK_BYTES;
}

struct feed_jobs feed_jobs_of_block(const struct feed *feed, struct feed_block *block)
{
    struct feed_jobs jobs = {.block = block, .first = feed->pulled - block->count + 1, .count = block->count};

    if (block->count == 0)
        feed_jobs_drop(&jobs);
    else
        block->ready_ns = clock_now_ns();
    return jobs;
}

struct feed_jobs feed_jobs_of_range(const struct muster_source *source)
{
    struct feed_jobs jobs = {.first = 1, .argument = source->first};

    jobs.count = (uint64_t)source->last - (uint64_t)source->first + 1;
    return jobs;
}

struct feed_jobs feed_jobs_take(struct feed_jobs *jobs, uint64_t count)
{
    struct feed_jobs taken = *jobs;

    if (count >= jobs->count) {
        *jobs = (struct feed_jobs){.count = 0};
        return taken;
    }
    if (count == 0)
        return (struct feed_jobs){.count = 0};
    taken.count = count;
    if (taken.block) {
        atomic_fetch_add_explicit(&taken.block->references, 1, memory_order_relaxed);
        jobs->offset += (uint32_t)count;
    }
    jobs->argument = (int64_t)((uint64_t)jobs->argument + count);
    jobs->first += count;
    jobs->count -= count;
    return taken;
}

void feed_jobs_return(struct feed_jobs *jobs, struct feed_jobs *rest)
{
    uint64_t count = jobs->count + rest->count;

    if (rest->count == 0)
        return;
    feed_jobs_drop(jobs); /* one reference is enough for both */
    *jobs = *rest;
    jobs->count = count;
    *rest = (struct feed_jobs){.count = 0};
}

void feed_jobs_drop(struct feed_jobs *jobs)
{
    if (jobs->block)
        block_unref(jobs->block);
    *jobs = (struct feed_jobs){.count = 0};
}
