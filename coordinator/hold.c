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

struct chunk *hold_add(struct worker *worker, struct batch *batch, uint64_t id, const struct job_run *run)
{
    struct chunk *chunk = calloc(1, sizeof *chunk);
    struct holding holding;
    int result;

    if (!chunk)
        return NULL;
    chunk->id = id;
    chunk->batch = batch;
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
    worker->holds++;
    worker->jobs += run->count;
    batch->held[worker->slot - 1] += run->count;
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
    chunk->batch->held[worker->slot - 1] -= count;
    *ret_run = run;
    return 0;
}

void hold_drop(struct worker *worker, struct chunk *chunk)
{
    uint64_t left = spans_jobs(&chunk->left);
    struct holding holding = holding_of(chunk);

    worker->jobs -= left;
    chunk->batch->held[worker->slot - 1] -= left;
    holdings_remove(&worker->holdings, &holding);
    HASH_DEL(worker->chunks_by_id, chunk);
    DL_DELETE(worker->chunks, chunk);
    worker->holds--;
    spans_fini(&chunk->left);
    free(chunk);
}
