/* SPDX-License-Identifier: MIT
 *
 * What workers hold: chunks, found by their number, and the jobs of each that are not reported
 * yet, which may be reported in any order. Part of the core: pure.
 */
#include "coordinator/state.h"

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

/* By what it is found among the holdings. */
static struct holding holding_of(struct chunk *chunk)
{
    return (struct holding){.batch = chunk->batch->id,
                            .first = chunk->run.first,
                            .count = (uint32_t)chunk->run.count,
                            .chunk = chunk};
}

unsigned hold_places(const struct worker *worker, const struct batch *batch)
{
    return batch->single ? 1 : worker->concurrency;
}

/* The worker has so many jobs of the batch from now on. */
static void change_held(struct worker *worker, struct batch *batch, uint64_t jobs)
{
    uint64_t *held = &batch->held[worker->slot - 1], places = hold_places(worker, batch);
    uint64_t before = *held < places ? *held : places, now = jobs < places ? jobs : places;

    batch->running += now - before;
    worker->running += now - before;
    *held = jobs;
}

/* Some of its jobs are gone. */
static void recount_taken(struct worker *worker)
{
    const struct chunk *chunk;

    worker->taken = (struct demand){0};
    DL_FOREACH(worker->chunks, chunk)
        demand_add(&worker->taken, &chunk->batch->demand, spans_jobs(&chunk->left), worker->concurrency);
}

struct chunk *hold_add(struct worker *worker, struct batch *batch, uint64_t id, const struct job_run *run)
{
    struct chunk *chunk = calloc(1, sizeof *chunk);
    struct holding holding;
    int result;

    if (!chunk)
        return NULL;
    chunk->id = id;
    chunk->batch = batch;
    chunk->worker = worker;
    chunk->run = *run;
    result = spans_add(&chunk->left, run->first, run->count);
    assert(result == 0); /* one span needs no memory */
    holding = holding_of(chunk);
    if (holdings_add(&worker->holdings, &holding) != 0) {
        free(chunk);
        return NULL;
    }
    HASH_ADD(hh, worker->chunks_by_id, id, sizeof chunk->id, chunk);
    if (!chunk->hh.tbl) {
        holdings_remove(&worker->holdings, &holding);
        free(chunk);
        return NULL;
    }
    DL_APPEND(worker->chunks, chunk);
    DL_APPEND2(batch->chunks, chunk, batch_prev, batch_next);
    worker->holds++;
    worker->jobs += run->count;
    change_held(worker, batch, batch->held[worker->slot - 1] + run->count);
    demand_add(&worker->taken, &batch->demand, run->count, worker->concurrency);
    return chunk;
}

struct chunk *hold_find(const struct worker *worker, uint64_t id)
{
    struct chunk *chunk;

    HASH_FIND(hh, worker->chunks_by_id, &id, sizeof id, chunk);
    return chunk;
}

int hold_take(struct worker *worker, struct chunk *chunk, uint64_t first, uint64_t count,
              struct job_run *ret_run)
{
    struct job_run run = chunk->run;
    int result = spans_take(&chunk->left, first, count);

    if (result != 0)
        return result;
    run.first = first;
    run.count = count;
    worker->jobs -= count;
    change_held(worker, chunk->batch, chunk->batch->held[worker->slot - 1] - count);
    if (worker->concurrency > 1)
        worker->taken.memory_bytes -= count * chunk->batch->demand.memory_bytes;
    schedule_correct(&chunk->batch->turn, -chunk->each_ns * (double)count);
    *ret_run = run;
    return 0;
}

void hold_drop(struct worker *worker, struct chunk *chunk)
{
    uint64_t left = spans_jobs(&chunk->left);
    struct holding holding = holding_of(chunk);

    worker->jobs -= left;
    if (left > 0) {
        change_held(worker, chunk->batch, chunk->batch->held[worker->slot - 1] - left);
        schedule_correct(&chunk->batch->turn, -chunk->each_ns * (double)left);
    }
    holdings_remove(&worker->holdings, &holding);
    HASH_DEL(worker->chunks_by_id, chunk);
    DL_DELETE(worker->chunks, chunk);
    DL_DELETE2(chunk->batch->chunks, chunk, batch_prev, batch_next);
    worker->holds--;
    if (worker->holds == 0 || !demand_is_plain(&chunk->batch->demand))
        recount_taken(worker);
    spans_fini(&chunk->left);
    free(chunk);
}
