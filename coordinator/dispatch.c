/* SPDX-License-Identifier: MIT
 *
 * Which worker gets which jobs, and how many workers there are. Part of the core: pure.
 */
#include "base/clock.h"
#include "coordinator/room.h"

#include <stddef.h>
#include <stdio.h>
#include <utlist.h>

/* What a job is taken to take of which none was measured yet. */
static const double UNKNOWN_NS = 1e6;

/* Batches that are tried in vain before the rest have to wait until something has changed, so that
 * a coordinator of many batches spends no more on each message: of those that other hosts cannot run, and of
 * those that they can. */
enum { PASSED_MAX = 64 };

/* A batch that may run no more than this part of the workers' number is searched for by its chunks, of which
 * each has some; more of them take longer than all workers. */
enum { HOLDERS_PART = 8 };

/* The worker that has the least to do of those that the batch may give more, among all. */
static struct worker *search(struct core *core, const struct batch *batch, uint32_t *ret_count)
{
    struct worker *best = NULL;

    for (unsigned i = 0; i < core->slots; i++) {
        struct worker *worker = &core->workers[i];
        uint32_t count = room_at(core, batch, worker);

        if (count == 0 || (best && worker_load(worker) >= worker_load(best)))
            continue;
        best = worker;
        *ret_count = count;
    }
    return best;
}

/* Likewise, where the batch may have no more workers: among those that have jobs of it. */
static struct worker *search_holders(const struct core *core, const struct batch *batch, uint32_t *ret_count)
{
    struct worker *best = NULL;
    const struct chunk *chunk;

    DL_FOREACH2(batch->chunks, chunk, batch_next)
    {
        struct worker *worker = chunk->worker;
        uint32_t count = room_at(core, batch, worker);

        if (count == 0 ||
            (best && (worker_load(worker) > worker_load(best) ||
                      (worker_load(worker) == worker_load(best) && worker->slot >= best->slot))))
            continue;
        best = worker;
        *ret_count = count;
    }
    return best;
}

/* Likewise. The one with the least to do has room if any has, but for where that is not all that
 * matters. */
static struct worker *least_loaded(struct core *core, const struct batch *batch, uint32_t *ret_count)
{
    struct worker *least = roster_least_loaded(core);
    uint32_t count = least ? room_at(core, batch, least) : 0;

    if (count == 0 && least && room_is_used_up(batch) &&
        batch->settings.most_running <= core->crew / HOLDERS_PART)
        return search_holders(core, batch, ret_count);
    if (count == 0 && !room_is_by_load(core, batch, least))
        return search(core, batch, ret_count);
    *ret_count = count;
    return count > 0 ? least : NULL;
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
                .common = batch->settings.common,
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

/* Notes that the batch is served with the chunk, whose jobs take as long as others of it did. */
static void serve(struct batch *batch, struct chunk *chunk)
{
    double mean_ns = batch->pacing.largest ? batch->pacing.mean_ns : UNKNOWN_NS;

    chunk->each_ns = mean_ns * batch->demand.cpus;
    schedule_serve(&batch->turn, chunk->each_ns * (double)chunk->run.count);
}

static bool give(struct core *core, uint64_t now_ns, struct batch *batch, struct worker *worker,
                 uint32_t count, struct outbox *outbox)
{
    struct slice arguments;
    struct chunk *chunk;
    struct job_run run;
    int64_t first_argument;

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
    roster_update(core, worker);
    if (!chunk) {
        outbox->failed = true;
        return false;
    }
    serve(batch, chunk);
    batch->totals.chunks++;
    batch->totals.bytes_in += arguments.size + shared_bytes(&run);
    send_chunk(batch, worker, chunk, &arguments, first_argument, outbox);
    dispatch_grant(batch, outbox);
    return true;
}

/* Gives one chunk of the batch, which is ready, to a worker. Returns whether it did. */
static bool assign(struct core *core, uint64_t now_ns, struct batch *batch, struct outbox *outbox)
{
    uint32_t count;
    struct worker *worker = least_loaded(core, batch, &count);

    return worker && give(core, now_ns, batch, worker, count, outbox);
}

/* Workers that would have something to do, of so many; jobs that were cancelled stay where they are. `own`:
 * only what other hosts cannot run counts. */
static uint64_t wanted(const struct core *core, unsigned most, bool own)
{
    const struct batch *batch;
    uint64_t jobs = 0, least = core->options.warm ? most : core->options.ahead;

    DL_FOREACH(core->batches, batch) {
        if (jobs >= most)
            break;
        if (!batch->cancel && (batch->stays || !own))
            jobs += room_wanted(core, batch);
    }
    jobs = jobs > least ? jobs : least;
    return jobs < most ? jobs : most;
}

/* By a name that none had before, in another life of this coordinator neither. */
static void name_worker(const struct core *core, struct worker *worker)
{
    if (core->options.epoch > 0)
        snprintf(worker->name, sizeof worker->name, CORE_WORKER_PREFIX "%u.%u.%u", worker->slot,
                 core->options.epoch, worker->incarnation + 1);
    else
        snprintf(worker->name, sizeof worker->name, CORE_WORKER_PREFIX "%u.%u", worker->slot,
                 worker->incarnation + 1);
}

static void spawn(struct core *core, uint64_t now_ns, struct worker *worker, struct outbox *outbox)
{
    name_worker(core, worker);
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
    worker->pid = 0;
    worker->heard_ns = worker->moved_ns = now_ns;
    worker->pinged_ns = worker->asked_ns = 0;
    worker->slow = false;
    roster_update(core, worker);
    outbox_spawn(outbox, worker->slot, worker->name);
}

static unsigned own_present(const struct core *core)
{
    unsigned count = 0;

    for (unsigned i = 0; i < core->slots; i++)
        count += core->workers[i].crew && !core->workers[i].host && core->workers[i].state != WORKER_ABSENT;
    return count;
}

/* Spawns up to `want` workers where there are `have`. Returns how many there are then. */
static uint64_t hire(struct core *core, uint64_t now_ns, uint64_t have, uint64_t want, bool own,
                     struct outbox *outbox)
{
    for (unsigned i = 0; i < core->slots && have < want; i++) {
        struct worker *worker = &core->workers[i];

        if (!worker->crew || worker->cut || worker->state != WORKER_ABSENT || worker->respawn_ns > now_ns ||
            (own && worker->host))
            continue;
        spawn(core, now_ns, worker, outbox);
        have++;
    }
    return have;
}

static void staff(struct core *core, uint64_t now_ns, struct outbox *outbox)
{
    if (core->roster.counts.present == core->crew || core->stopped || core->draining)
        return;
    if (core->crew > core->own)
        hire(core, now_ns, own_present(core), wanted(core, core->own, true), true, outbox);
    hire(core, now_ns, core->roster.counts.present, wanted(core, core->crew, false), false, outbox);
}

/* Of the batches that go before all others, jobs that came back go first; but where jobs take more
 * than workers, only in their turn: others may wait for what they would take. */
static void assign_recalled(struct core *core, uint64_t now_ns, struct outbox *outbox)
{
    struct batch *batch, *next;

    core->recalled_wait = false;
    DL_FOREACH_SAFE2(core->recalled, batch, next, recalled_next)
    {
        if (!batch_recalled(batch)) {
            DL_DELETE2(core->recalled, batch, recalled_prev, recalled_next);
            batch->recalled = false;
            continue;
        }
        if (batch->turn.user->level != core->schedule.levels)
            continue;
        while (core->demanding == 0 && batch_recalled(batch) && !outbox->failed &&
               assign(core, now_ns, batch, outbox)) {
        }
        core->recalled_wait |= batch_recalled(batch);
    }
}

static struct batch *batch_of(struct turn *turn)
{
    return (struct batch *)(void *)((char *)turn - offsetof(struct batch, turn));
}

/* Where no worker has places, nobody is supplied ahead behind the back of the one whose turn it is. */
static void assign_in_turn(struct core *core, uint64_t now_ns, struct outbox *outbox)
{
    struct turn *turn;
    unsigned passed[SCHEDULE_KINDS] = {0};

    core->capacity.kept = (struct demand){0};
    schedule_begin(&core->schedule);
    while (!outbox->failed && (turn = schedule_pick(&core->schedule)) != NULL) {
        struct batch *batch = batch_of(turn);
        bool ready = batch_ready(batch);

        if (ready && assign(core, now_ns, batch, outbox))
            continue;
        if (!ready || room_is_used_up(batch)) {
            schedule_park(turn); /* until something becomes of its jobs */
            continue;
        }
        if (core->roster.counts.open == 0)
            break;
        room_keep(core, batch);
        schedule_pass_over(&core->schedule, turn);
        if (++passed[turn->kind] == PASSED_MAX)
            schedule_pass_over_all(&core->schedule, turn->kind);
    }
}

void dispatch(struct core *core, uint64_t now_ns, struct outbox *outbox)
{
    if (core->awaited == 0 &&
        !core->draining) { /* else a worker may be about to say that it has these jobs */
        assign_recalled(core, now_ns, outbox);
        assign_in_turn(core, now_ns, outbox);
    }
    staff(core, now_ns, outbox);
    recall(core, now_ns, outbox);
}

void dispatch_doom(struct core *core, struct worker *worker, enum doom why, struct outbox *outbox)
{
    if (worker->state == WORKER_ABSENT || worker->state == WORKER_DOOMED)
        return;
    worker->state = WORKER_DOOMED;
    worker->doom = why;
    roster_update(core, worker);
    outbox_kill(outbox, worker->slot);
}
