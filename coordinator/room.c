/* SPDX-License-Identifier: MIT
 *
 * Room for jobs at workers. See room.h. Part of the core: pure.
 */
#include "coordinator/room.h"

/* --- what a worker should have */

/* Whether jobs of the batch would wait there for one of another, which may take as long as it likes. */
static bool is_behind(const struct batch *batch, const struct worker *worker)
{
    const struct chunk *chunk = batch->single ? worker->chunks : NULL;

    while (chunk && (chunk->batch == batch || !chunk->batch->single))
        chunk = chunk->next;
    return chunk;
}

/* Jobs for a worker that runs several at once: what it should have less what it has, once that is
 * worth a message. Jobs of other batches take places, too. */
static uint64_t fill_places(const struct core *core, const struct batch *batch, const struct worker *worker)
{
    struct pacing_fill fill = pacing_fill(&batch->pacing, hold_places(worker, batch), batch_waiting(batch),
                                          batch->assigned, core->crew);
    uint64_t mine = batch->held[worker->slot - 1], jobs;

    if (mine >= fill.jobs || is_behind(batch, worker))
        return 0;
    jobs = fill.jobs - mine;
    if (worker->jobs > mine) {
        uint64_t places = worker->concurrency > worker->running ? worker->concurrency - worker->running : 0;

        if (!batch->single)
            return jobs < places ? jobs : places;
        if (mine == 0 && places == 0)
            return 0; /* commands take one, however many they are */
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

static uint32_t enough(const struct core *core, const struct batch *batch, const struct worker *worker)
{
    uint64_t jobs;

    if (worker->concurrency == 1) {
        uint32_t chunk = pacing_chunk(&batch->pacing, batch_waiting(batch), core->crew);

        return worker->holds < pacing_depth(&batch->pacing, chunk, worker->credit) ? chunk : 0;
    }
    jobs = fill_places(core, batch, worker);
    if (batch->pacing.fixed && jobs > batch->pacing.fixed)
        jobs = batch->pacing.fixed;
    return jobs < PROTO_CHUNK_JOBS_MAX ? (uint32_t)jobs : PROTO_CHUNK_JOBS_MAX;
}

/* --- what it may have */

/* By the batch's limit on jobs at once, of which a worker runs no more than it has places. */
static uint64_t allowed(const struct batch *batch, const struct worker *worker)
{
    uint64_t held = batch->held[worker->slot - 1], places = hold_places(worker, batch), left;
    uint64_t elsewhere = batch->running - (held < places ? held : places);

    if (batch->settings.most_running == 0)
        return UINT64_MAX;
    if (elsewhere >= batch->settings.most_running)
        return 0;
    left = batch->settings.most_running - elsewhere;
    if (left >= places)
        return UINT64_MAX;
    return left > held ? left - held : 0;
}

uint32_t room_at(const struct core *core, const struct batch *batch, const struct worker *worker)
{
    uint64_t most = UINT64_MAX, jobs;

    if (worker->state != WORKER_READY || worker->standing > 0 || !worker->crew ||
        worker->holds >= worker->credit || (worker->host && batch->stays) ||
        !takes_recalled(core, batch, worker))
        return 0;
    if (core->demanding > 0 && !worker->host)
        most = capacity_room(&core->capacity, &batch->demand, &worker->taken, worker->concurrency);
    if (most > 0 && batch->settings.most_running > 0) {
        jobs = allowed(batch, worker);
        most = jobs < most ? jobs : most;
    }
    if (most == 0)
        return 0;
    jobs = enough(core, batch, worker);
    return jobs < most ? (uint32_t)jobs : (uint32_t)most;
}

/* Of a worker of one place all that counts is how many chunks it has, once nothing else bounds the batch.
 * One of several has no room for more of what it has enough of: with as much to do, another has none
 * either if all of that is of this batch, or if its places are taken. */
bool room_is_by_load(const struct core *core, const struct batch *batch, const struct worker *least)
{
    bool alone;

    if (!core->roster.alike || !least)
        return core->roster.alike;
    if (batch->stays && core->crew > core->own)
        return false;
    if (core->demanding > 0)
        return false;
    if (least->concurrency == 1)
        return !room_is_used_up(batch);
    alone = core->batches == batch && !batch->next;
    return batch->settings.most_running == 0 && !batch_recalled(batch) &&
           batch->held[least->slot - 1] == least->jobs && (alone || least->running >= least->concurrency);
}

/* --- the host */

static bool host_has(const struct core *core, const struct batch *batch)
{
    return core->demanding == 0 || capacity_room(&core->capacity, &batch->demand, &(struct demand){0}, 1) > 0;
}

bool room_is_used_up(const struct batch *batch)
{
    return batch->settings.most_running > 0 && batch->running >= batch->settings.most_running;
}

/* Whether a worker of this host has nothing to do. */
static bool any_own_idle(const struct core *core)
{
    for (unsigned i = 0; i < core->slots; i++)
        if (core->workers[i].crew && !core->workers[i].host && core->workers[i].state == WORKER_READY &&
            core->workers[i].holds == 0)
            return true;
    return false;
}

bool room_elsewhere(const struct core *core, const struct batch *batch)
{
    return !room_is_used_up(batch) && host_has(core, batch) &&
           (!batch->stays || core->crew == core->own || any_own_idle(core));
}

unsigned room_for_idle(const struct core *core, unsigned idle)
{
    unsigned has = core->capacity.has.cpus, used = core->capacity.used.cpus;
    unsigned left = has > used ? has - used : 0; /* adopted workers may take more than there is now */

    return core->demanding > 0 && left < idle ? left : idle;
}

/* A plain batch that finds no worker waits for one, not for the host. One that waits for memory alone
 * needs no CPU kept that one of the jobs has which have the memory. */
void room_keep(struct core *core, const struct batch *batch)
{
    const struct demand *used = &core->capacity.used, *has = &core->capacity.has;
    struct demand *kept = &core->capacity.kept;

    if (kept->cpus > 0 || kept->memory_bytes > 0 || host_has(core, batch) ||
        (demand_is_plain(&batch->demand) && core->roster.counts.idle == 0))
        return;
    *kept = batch->demand;
    if (kept->cpus == 1 && used->cpus < has->cpus)
        kept->cpus = 0;
}

uint64_t room_wanted(const struct core *core, const struct batch *batch)
{
    uint64_t jobs = batch_waiting(batch) + batch->assigned,
             most = core->capacity.has.cpus / batch->demand.cpus;

    if (!batch->stays)
        most += core->crew - core->own;
    if (batch->settings.most_running > 0 && batch->settings.most_running < most)
        most = batch->settings.most_running;
    return jobs < most ? jobs : most;
}
