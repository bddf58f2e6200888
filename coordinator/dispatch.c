/* SPDX-License-Identifier: MIT
 *
 * Which worker gets which jobs, and how many workers there are. Part of the core: pure.
 */
#include "base/clock.h"
#include "coordinator/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

/* Jobs for a worker that runs several at once: what it should have less what it has, once that is
 * worth a message. Jobs of other batches take places, too. */
static uint64_t fill_places(const struct core *core, const struct batch *batch, const struct worker *worker)
{
    struct pacing_fill fill = pacing_fill(&batch->pacing, worker->concurrency, batch->queued, batch->assigned,
                                          core->options.workers);
    uint64_t mine = batch->held[worker->slot - 1], jobs;

    if (mine >= fill.jobs)
        return 0;
    jobs = fill.jobs - mine;
    if (worker->jobs > mine) {
        uint64_t places = worker->concurrency > worker->jobs ? worker->concurrency - worker->jobs : 0;

        return jobs < places ? jobs : places;
    }
    if (mine >= fill.running && jobs < (fill.jobs - fill.running) / 2)
        return 0; /* it has enough for a while */
    return jobs;
}

/* Whether the worker would begin the next jobs of the batch now. It matters for those that were taken
 * back from another one, or from itself, because they had to wait there. While any wait, workers are
 * not supplied ahead with others: one is to have nothing soon. */
static bool takes_recalled(const struct core *core, const struct batch *batch, const struct worker *worker)
{
    bool recalled = batch_recalled(batch);

    if (worker->concurrency == 1)
        return worker->holds == 0 || !(recalled || core->recalled_wait);
    return !recalled || !worker->slow;
}

/* Jobs that the worker may be given in one chunk; 0: it has enough. */
static uint32_t room_at(const struct core *core, const struct batch *batch, const struct worker *worker)
{
    uint64_t jobs;

    if (worker->state != WORKER_READY || worker->holds >= worker->credit ||
        !takes_recalled(core, batch, worker))
        return 0;
    if (worker->concurrency == 1) {
        uint32_t chunk = pacing_chunk(&batch->pacing, batch->queued, core->options.workers);

        return worker->holds < pacing_depth(&batch->pacing, chunk, worker->credit) ? chunk : 0;
    }
    jobs = fill_places(core, batch, worker);
    if (batch->pacing.fixed && jobs > batch->pacing.fixed)
        jobs = batch->pacing.fixed;
    return jobs < PROTO_CHUNK_JOBS_MAX ? (uint32_t)jobs : PROTO_CHUNK_JOBS_MAX;
}

static bool less_loaded(const struct worker *a, const struct worker *b)
{
    return a->concurrency > 1 ? a->jobs < b->jobs : a->holds < b->holds;
}

/* The worker that has the least to do of those that the batch may give more. */
static struct worker *least_loaded(struct core *core, const struct batch *batch, uint32_t *ret_count)
{
    struct worker *best = NULL;

    for (unsigned i = 0; i < core->options.workers; i++) {
        struct worker *worker = &core->workers[i];
        uint32_t count = room_at(core, batch, worker);

        if (count == 0 || (best && !less_loaded(worker, best)))
            continue;
        best = worker;
        *ret_count = count;
    }
    return best;
}

/* Of the chunk's arguments; not 0 if any of them may be in shared memory. */
static uint64_t shared_bytes(const struct job_run *run)
{
    const struct block *block = run->block;

    return block ? (block->shared_bytes * run->count + block->count - 1) / block->count : 0;
}

static void send_chunk(const struct batch *batch, const struct worker *worker, const struct chunk *chunk,
                       const struct slice *arguments, int64_t first_argument, struct outbox *outbox)
{
    struct proto_message message = {
        .type = PROTO_CHUNK,
        .chunk =
            {
                .batch = batch->id,
                .chunk = chunk->id,
                .function = batch->settings.function,
                .first = chunk->run.first,
                .count = (uint32_t)chunk->run.count,
                .attempt = chunk->run.attempts + 1,
                .timeout_ms = batch->settings.timeout_ms,
                .timings = batch->settings.timings,
                .reader = batch->reader,
                .shared_bytes = shared_bytes(&chunk->run),
                .kind = batch->settings.kind,
                .argument = batch->settings.kind == PROTO_RANGE ? first_argument : 0,
            },
        .payload = *arguments,
    };

    outbox_send(outbox, worker->name, &message);
}

void dispatch_grant(struct batch *batch, struct outbox *outbox)
{
    uint64_t granted_cost = batch->taken_cost + PROTO_GRANT_BYTES;

    if (batch->sealed || granted_cost - batch->granted_cost < PROTO_GRANT_BYTES / 4)
        return;
    batch->granted_cost = granted_cost;
    outbox_send(outbox, batch->client,
                &(struct proto_message){.type = PROTO_GRANT,
                                        .grant = {.ticket = batch->settings.ticket, .bytes = granted_cost}});
}

/* Gives one chunk of the batch to a worker. Returns whether it did. */
static bool assign(struct core *core, uint64_t now_ns, struct batch *batch, struct outbox *outbox)
{
    uint32_t count;
    struct worker *worker = batch_ready(batch) ? least_loaded(core, batch, &count) : NULL;
    struct slice arguments;
    struct chunk *chunk;
    struct job_run run;
    int64_t first_argument;

    if (!worker)
        return false;
    if (count > batch_room(batch))
        count = batch_room(batch);
    if (batch_take(batch, now_ns, count, &run, &arguments, &first_argument) != 0) {
        outbox->failed = true; /* arguments were scanned when they came in */
        return false;
    }
    if (worker->holds == 0) {
        worker->heard_ns = worker->moved_ns = now_ns;
        worker->pinged_ns = 0;
    }
    chunk = hold_add(worker, batch, ++core->last_chunk, &run);
    if (!chunk) {
        outbox->failed = true;
        return false;
    }
    batch->totals.chunks++;
    batch->totals.bytes_in += arguments.size + shared_bytes(&run);
    send_chunk(batch, worker, chunk, &arguments, first_argument, outbox);
    dispatch_grant(batch, outbox);
    return true;
}

/* Workers that would have something to do; jobs that were cancelled stay where they are. */
static uint64_t wanted(const struct core *core)
{
    const struct batch *batch;
    uint64_t jobs = 0;

    if (core->options.warm)
        return core->options.workers;
    DL_FOREACH(core->batches, batch) {
        if (jobs >= core->options.workers)
            break; /* before it overflows */
        if (!batch->cancel)
            jobs += batch->queued + batch->assigned;
    }
    return jobs < core->options.workers ? jobs : core->options.workers;
}

static void spawn(struct core *core, uint64_t now_ns, struct worker *worker, struct outbox *outbox)
{
    snprintf(worker->name, sizeof worker->name, "worker-%u.%u", worker->slot, worker->incarnation + 1);
    HASH_ADD_STR(core->workers_by_name, name, worker);
    if (!worker->hh.tbl) {
        outbox->failed = true;
        return;
    }
    worker->state = WORKER_STARTING;
    worker->doom = DOOM_NONE;
    worker->incarnation++;
    worker->process_cpu_ns = worker->voluntary = worker->involuntary = 0;
    worker->credit = worker->concurrency = 0;
    worker->heard_ns = now_ns;
    worker->pinged_ns = worker->asked_ns = 0;
    worker->slow = false;
    outbox_spawn(outbox, worker->slot, worker->name);
}

static void staff(struct core *core, uint64_t now_ns, struct outbox *outbox)
{
    uint64_t want = core->stopped ? 0 : wanted(core), have = 0;

    for (unsigned i = 0; i < core->options.workers; i++)
        have += core->workers[i].state != WORKER_ABSENT;
    for (unsigned i = 0; i < core->options.workers && have < want; i++)
        if (core->workers[i].state == WORKER_ABSENT && core->workers[i].respawn_ns <= now_ns) {
            spawn(core, now_ns, &core->workers[i], outbox);
            have++;
        }
}

/* Jobs that came back go first. */
static void assign_recalled(struct core *core, uint64_t now_ns, struct outbox *outbox)
{
    struct batch *batch;

    core->recalled_wait = false;
    DL_FOREACH(core->batches, batch) {
        while (batch_recalled(batch) && !outbox->failed && assign(core, now_ns, batch, outbox)) {
        }
        core->recalled_wait |= batch_recalled(batch);
    }
}

void dispatch(struct core *core, uint64_t now_ns, struct outbox *outbox)
{
    struct batch *batch;
    bool progress = true;

    assign_recalled(core, now_ns, outbox);
    while (progress && !outbox->failed) {
        progress = false;
        DL_FOREACH(core->batches, batch)
            progress |= assign(core, now_ns, batch, outbox);
    }
    staff(core, now_ns, outbox);
    recall(core, now_ns, outbox);
}

void dispatch_doom(struct core *core, struct worker *worker, enum doom why, struct outbox *outbox)
{
    (void)core;
    if (worker->state == WORKER_ABSENT || worker->state == WORKER_DOOMED)
        return;
    worker->state = WORKER_DOOMED;
    worker->doom = why;
    outbox_kill(outbox, worker->slot);
}
