/* SPDX-License-Identifier: MIT
 *
 * The invariants of the coordinator's core. See core_invariants.h. Every job of a batch is in
 * exactly one place: with the fresh ones, among those that are to run again, in one worker's
 * chunk, or counted as ended.
 */
#include "tests/support/core_invariants.h"

#include "base/clock.h"
#include "coordinator/room.h"
#include "proto/codec.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

static char complaint[256];

__attribute__((format(printf, 1, 2))) static const char *complain(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(complaint, sizeof complaint, format, arguments);
    va_end(arguments);
    return complaint;
}

/* Jobs of first .. end - 1 that are in the set. */
static uint64_t jobs_in(const struct spans *spans, uint64_t first, uint64_t end)
{
    uint64_t jobs = 0;

    for (uint32_t i = 0; i < spans->count; i++) {
        const struct span *span = &spans_list(spans)[i];
        uint64_t from = span->first > first ? span->first : first;
        uint64_t until = span->first + span->count < end ? span->first + span->count : end;

        jobs += from < until ? until - from : 0;
    }
    return jobs;
}

static bool share_jobs(const struct spans *spans, const struct job_run *run)
{
    return jobs_in(spans, run->first, run->first + run->count) > 0;
}

static bool share(const struct job_run *a, const struct job_run *b)
{
    return a->first < b->first + b->count && b->first < a->first + a->count;
}

/* Spans ascend, and never touch. */
static bool in_order(const struct spans *spans)
{
    const struct span *list = spans_list(spans);

    for (uint32_t i = 0; i < spans->count; i++)
        if (list[i].count == 0 || (i > 0 && list[i].first <= list[i - 1].first + list[i - 1].count))
            return false;
    return true;
}

/* Jobs of `run` whose arguments are in `block`. */
static uint64_t jobs_inside(const struct job_run *run, const struct block *block)
{
    uint64_t first = run->first > block->first ? run->first : block->first;
    uint64_t end = run->first + run->count, block_end = block->first + block->count;

    end = end < block_end ? end : block_end;
    return first < end ? end - first : 0;
}

/* --- chunks in the hands of workers */

static const char *check_chunk(const struct core *core, const struct worker *worker,
                               const struct chunk *chunk)
{
    const struct batch *batch;

    if (chunk->id == 0 || chunk->id > core->last_chunk ||
        chunk->adopted != (chunk->id >> CHUNKS_OF_EPOCH_BITS < core->options.epoch))
        return complain("worker %u holds a chunk that was never made", worker->slot);
    DL_SEARCH_SCALAR(core->batches, batch, id, chunk->batch->id);
    if (batch != chunk->batch)
        return complain("worker %u holds jobs of a batch that has ended", worker->slot);
    if (chunk->run.state != JOB_ASSIGNED)
        return complain("worker %u holds jobs in state %d", worker->slot, chunk->run.state);
    if (chunk->run.first < 1 || chunk->run.first + chunk->run.count - 1 > batch->total)
        return complain("worker %u holds jobs beyond the batch", worker->slot);
    if (chunk->left.count == 0 || !in_order(&chunk->left))
        return complain("what is left of a chunk is empty, or out of order");
    if (spans_jobs(&chunk->left) !=
        jobs_in(&chunk->left, chunk->run.first, chunk->run.first + chunk->run.count))
        return complain("more is left of a chunk than was in it");
    if (chunk->recalled &&
        (chunk->recalled < chunk->run.first || chunk->recalled >= chunk->run.first + chunk->run.count))
        return complain("jobs were asked for that are not in the chunk");
    if (hold_find(worker, chunk->id) != chunk)
        return complain("worker %u has a chunk that is not found by its number", worker->slot);
    return NULL;
}

/* No job is in another chunk, too, and no chunk has the number of another. */
static const char *check_fence(const struct core *core, const struct chunk *chunk)
{
    for (unsigned i = 0; i < core->slots; i++) {
        const struct chunk *other;

        DL_FOREACH(core->workers[i].chunks, other) {
            if (other == chunk)
                continue;
            if (other->id == chunk->id)
                return complain("two chunks have the number %lu", (unsigned long)chunk->id);
            for (uint32_t s = 0; other->batch == chunk->batch && s < other->left.count; s++) {
                const struct span *span = &spans_list(&other->left)[s];

                if (jobs_in(&chunk->left, span->first, span->first + span->count) == 0)
                    continue;
                return complain("a job is in the chunks %lu and %lu", (unsigned long)chunk->id,
                                (unsigned long)other->id);
            }
        }
    }
    return NULL;
}

static const char *check_state(const struct core *core, const struct worker *worker)
{
    const struct worker *found = NULL;

    HASH_FIND_STR(core->workers_by_name, worker->name, found);
    if (worker->state != WORKER_ABSENT && found != worker)
        return complain("worker %u is not known by its name %s", worker->slot, worker->name);
    if (worker->state == WORKER_ABSENT && found)
        return complain("the dead worker %u is still known by name", worker->slot);
    if (worker->chunks && worker->state != WORKER_READY && worker->state != WORKER_DOOMED &&
        !(worker->state == WORKER_AWAY && worker->doubted))
        return complain("worker %u has chunks in state %d", worker->slot, worker->state);
    if ((worker->asked_ns != 0 || worker->slow) && worker->credit == 0)
        return complain("worker %u was asked for jobs, and is not ready", worker->slot);
    if ((worker->state == WORKER_DOOMED) != (worker->doom != DOOM_NONE) && worker->state != WORKER_ABSENT)
        return complain("worker %u is doomed without a reason, or has a reason and is not", worker->slot);
    return NULL;
}

static const char *check_taken(const struct worker *worker)
{
    struct demand taken = {0};
    const struct chunk *chunk;

    DL_FOREACH(worker->chunks, chunk)
        demand_add(&taken, &chunk->batch->demand, spans_jobs(&chunk->left), worker->concurrency);
    if (taken.cpus != worker->taken.cpus || taken.memory_bytes != worker->taken.memory_bytes)
        return complain("worker %u takes %u CPUs and %lu bytes, %u and %lu are counted", worker->slot,
                        taken.cpus, (unsigned long)taken.memory_bytes, worker->taken.cpus,
                        (unsigned long)worker->taken.memory_bytes);
    return NULL;
}

/* One that is not needed has something to do, or ends. */
static const char *check_excess(const struct core *core, const struct worker *worker)
{
    if (!worker->crew && worker->state == WORKER_READY && worker->holds == 0 && !worker->awaited)
        return complain("worker %u is one too many, and idle", worker->slot);
    if (worker->state == WORKER_STOPPING && core_deadline(core) == CLOCK_NEVER)
        return complain("worker %u is to end, and nobody watches it", worker->slot);
    return NULL;
}

static const char *check_worker(const struct core *core, const struct worker *worker)
{
    const char *wrong = check_state(core, worker);
    const struct chunk *chunk;
    unsigned count;
    uint64_t jobs = 0;

    DL_COUNT(worker->chunks, chunk, count);
    DL_FOREACH(worker->chunks, chunk)
        jobs += spans_jobs(&chunk->left);
    if (!wrong && jobs != worker->jobs)
        wrong = complain("worker %u holds %lu jobs and counts %lu", worker->slot, (unsigned long)jobs,
                         (unsigned long)worker->jobs);
    if (!wrong && HASH_COUNT(worker->chunks_by_id) != count)
        wrong = complain("worker %u has chunks that are only found by number", worker->slot);
    if (!wrong && count != worker->holds)
        wrong = complain("worker %u holds %u chunks and counts %u", worker->slot, count, worker->holds);
    if (!wrong && worker->awaited && worker->state != WORKER_AWAY && worker->standing == 0 &&
        worker->state != WORKER_DOOMED)
        wrong = complain("worker %u is awaited and has said all", worker->slot);
    if (!wrong && worker->holds > worker->credit && !worker->chunks->adopted)
        wrong = complain("worker %u holds %u chunks, its credit is %u", worker->slot, worker->holds,
                         worker->credit);
    DL_FOREACH(worker->chunks, chunk) {
        if (!wrong)
            wrong = check_chunk(core, worker, chunk);
        if (!wrong)
            wrong = check_fence(core, chunk);
    }
    if (!wrong)
        wrong = check_taken(worker);
    if (!wrong)
        wrong = check_excess(core, worker);
    if (!wrong && worker->state == WORKER_READY && worker->holds > 0 && core_deadline(core) == CLOCK_NEVER)
        wrong = complain("worker %u has work, and nobody watches it", worker->slot);
    return wrong;
}

/* --- workers by what is asked of them */

/* That all workers together are what the roster says, and the next that is due. */
static const char *check_roster(const struct core *core)
{
    const struct roster_counts *counts = &core->roster.counts;
    struct roster_counts now = {0};
    struct demand used = {0};
    uint64_t due = CLOCK_NEVER;

    for (unsigned i = 0; i < core->slots; i++) {
        const struct worker *worker = &core->workers[i];
        bool crew = worker->crew, ready = worker->state == WORKER_READY;
        bool unexpected = worker->state == WORKER_AWAY && worker->awaited && !worker->holds_up;

        now.present +=
            crew && worker->state != WORKER_ABSENT && !unexpected && !(worker->cut && worker->holds == 0);
        now.idle += crew && ready && worker->standing == 0 && worker->holds == 0;
        now.open += crew && ready && worker->standing == 0 && worker->jobs < worker->concurrency;
        now.several += ready && worker->jobs > 1;
        used.cpus += worker->host ? 0 : worker->taken.cpus;
        used.memory_bytes += worker->host ? 0 : worker->taken.memory_bytes;
        if (worker_deadline(core, worker) < due)
            due = worker_deadline(core, worker);
    }
    if (now.present != counts->present || now.idle != counts->idle || now.open != counts->open ||
        now.several != counts->several)
        return complain(
            "%u workers are present, %u idle, %u open, %u hold several jobs; counted: %u, %u, %u, %u",
            now.present, now.idle, now.open, now.several, counts->present, counts->idle, counts->open,
            counts->several);
    if (used.cpus != core->capacity.used.cpus || used.memory_bytes != core->capacity.used.memory_bytes)
        return complain("workers take %u CPUs together, %u are counted", used.cpus, core->capacity.used.cpus);
    if (due != lowest_number(&core->roster.due))
        return complain("the next of the workers is due at another time than they say");
    return NULL;
}

/* Who has the least to do, as a search finds it, and whether workers have as many places. */
static const char *check_least_loaded(const struct core *core)
{
    const struct worker *least = NULL;
    unsigned places = 0;
    bool alike = true;

    for (unsigned i = 0; i < core->slots; i++) {
        const struct worker *worker = &core->workers[i];

        if (worker->state != WORKER_READY || !worker->crew || worker->standing > 0)
            continue;
        alike &= places == 0 || worker->concurrency == places;
        places = worker->concurrency;
        if (worker->holds < worker->credit && (!least || worker_load(worker) < worker_load(least)))
            least = worker;
    }
    if (places > 0 && alike != core->roster.alike)
        return complain("workers %s, and are not said to", alike ? "are alike" : "differ");
    if (roster_least_loaded(core) != least)
        return complain("worker %u has the least to do, another is given jobs", least ? least->slot : 0);
    return NULL;
}

/* Where the one with the least to do has no room and is said to speak for all, no other has. */
static const char *check_room(const struct core *core, const struct batch *batch)
{
    const struct worker *least = roster_least_loaded(core);

    if (!batch_ready(batch) || !room_is_by_load(core, batch, least) ||
        (least && room_at(core, batch, least) > 0))
        return NULL;
    for (unsigned i = 0; i < core->slots; i++)
        if (room_at(core, batch, &core->workers[i]) > 0)
            return complain("worker %u has room for jobs, and is not given any", i + 1);
    return NULL;
}

/* --- batches */

/* Jobs behind the first fresh one that were not taken out of their middle. */
static uint64_t fresh_jobs_of(const struct batch *batch, const struct job_run *run)
{
    uint64_t end = run->first + run->count, fresh_end = batch->fresh.first + batch->fresh.count;
    uint64_t first = run->first > batch->fresh.first ? run->first : batch->fresh.first;

    end = end < fresh_end ? end : fresh_end;
    return first < end ? end - first - jobs_in(&batch->skipped, first, end) : 0;
}

static const char *check_queue(const struct batch *batch)
{
    const struct requeued *node;
    uint64_t behind = 0, jobs = batch->fresh.count - spans_jobs(&batch->skipped), delayed_jobs = 0;

    LL_FOREACH(batch->requeued, node) {
        if (node->run.count == 0 || node->run.state != JOB_QUEUED)
            return complain("%lu jobs in state %d are to run again", (unsigned long)node->run.count,
                            node->run.state);
        if (node->run.first <= behind)
            return complain("jobs that are to run again are out of order, or twice there");
        if (fresh_jobs_of(batch, &node->run) > 0)
            return complain("a job that was never assigned is to run again");
        behind = node->run.first + node->run.count - 1;
        jobs += node->run.count;
    }
    for (unsigned i = 0; i < DELAY_QUEUES; i++) {
        const struct delayed *delayed;

        DL_FOREACH(batch->delays.queues[i], delayed) {
            if (delayed->run.count == 0 || delayed->run.state != JOB_QUEUED)
                return complain("%lu jobs in state %d are delayed", (unsigned long)delayed->run.count,
                                delayed->run.state);
            if (delayed->next && delayed->next->run.due_ns < delayed->run.due_ns)
                return complain("delayed jobs are out of order");
            LL_FOREACH(batch->requeued, node)
                if (share(&delayed->run, &node->run))
                    return complain("a delayed job is to run again at once");
            if (fresh_jobs_of(batch, &delayed->run) > 0)
                return complain("a fresh job is delayed");
            jobs += delayed->run.count;
            delayed_jobs += delayed->run.count;
        }
    }
    if (delayed_jobs != batch->delays.jobs)
        return complain("%lu jobs are delayed, %lu are counted", (unsigned long)delayed_jobs,
                        (unsigned long)batch->delays.jobs);
    if (!in_order(&batch->skipped) ||
        (batch->skipped.count > 0 && spans_list(&batch->skipped)->first <= batch->fresh.first) ||
        jobs_in(&batch->skipped, 0, batch->total + 1) != spans_jobs(&batch->skipped))
        return complain("cancelled jobs are where none can be passed over");
    if (jobs != batch->queued)
        return complain("%lu jobs wait, %lu are counted", (unsigned long)jobs, (unsigned long)batch->queued);
    if (batch->fresh.first + batch->fresh.count - 1 != batch->total)
        return complain("the fresh jobs do not end with the last of the batch");
    return NULL;
}

/* Those among the fresh ones that were taken out of the middle are not fresh. */
static uint64_t fresh_jobs_in(const struct batch *batch, const struct spans *left)
{
    uint64_t end = batch->fresh.first + batch->fresh.count;
    uint64_t jobs = jobs_in(left, batch->fresh.first, end);

    for (uint32_t i = 0; i < batch->skipped.count; i++) {
        const struct span *span = &spans_list(&batch->skipped)[i];

        jobs -= jobs_in(left, span->first, span->first + span->count);
    }
    return jobs;
}

/* The batch knows who has its chunks. */
static const char *check_holders(const struct core *core, const struct batch *batch)
{
    const struct chunk *chunk;
    unsigned found = 0, known;

    for (unsigned i = 0; i < core->slots; i++)
        DL_FOREACH(core->workers[i].chunks, chunk) {
            found += chunk->batch == batch;
            if (chunk->worker != &core->workers[i])
                return complain("chunk %lu is held by another worker", (unsigned long)chunk->id);
        }
    DL_COUNT2(batch->chunks, chunk, known, batch_next);
    return found == known ? NULL
                          : complain("workers have %u chunks of batch %lu, it knows %u", found,
                                     (unsigned long)batch->id, known);
}

static const char *check_assigned(const struct core *core, const struct batch *batch)
{
    uint64_t assigned = 0, cancelled = 0;

    for (unsigned i = 0; i < core->slots; i++) {
        uint64_t before = assigned;
        const struct chunk *chunk;
        const struct requeued *node;

        DL_FOREACH(core->workers[i].chunks, chunk) {
            if (chunk->batch != batch)
                continue;
            assigned += spans_jobs(&chunk->left);
            for (uint32_t s = 0; s < batch->cancelled.count; s++) {
                const struct span *span = &spans_list(&batch->cancelled)[s];

                cancelled += jobs_in(&chunk->left, span->first, span->first + span->count);
            }
            LL_FOREACH(batch->requeued, node)
                if (share_jobs(&chunk->left, &node->run))
                    return complain("a job is queued and assigned");
            if (fresh_jobs_in(batch, &chunk->left) > 0)
                return complain("a fresh job is assigned");
        }
        if (assigned - before != batch->held[i])
            return complain("worker %u has %lu jobs of batch %lu, %lu are counted", i + 1,
                            (unsigned long)(assigned - before), (unsigned long)batch->id,
                            (unsigned long)batch->held[i]);
    }
    if (!in_order(&batch->cancelled) || cancelled != spans_jobs(&batch->cancelled))
        return complain("a cancelled job that no worker holds is remembered");
    for (uint32_t s = 0; s < batch->urged.count; s++) {
        const struct span *span = &spans_list(&batch->urged)[s];

        if (jobs_in(&batch->cancelled, span->first, span->first + span->count) != span->count)
            return complain("a job was asked to end that was not cancelled");
    }
    if (assigned != batch->assigned)
        return complain("workers have %lu jobs of batch %lu, %lu are counted", (unsigned long)assigned,
                        (unsigned long)batch->id, (unsigned long)batch->assigned);
    return check_holders(core, batch);
}

static const char *check_totals(const struct batch *batch)
{
    const struct proto_ended *totals = &batch->totals;
    uint64_t ended =
        totals->succeeded + totals->failed + totals->cancelled + jobs_in(&batch->before, 1, batch->total + 1);

    if (batch->queued + batch->assigned + ended != batch->total)
        return complain("batch %lu: %lu queued + %lu assigned + %lu ended are not %lu jobs",
                        (unsigned long)batch->id, (unsigned long)batch->queued,
                        (unsigned long)batch->assigned, (unsigned long)ended, (unsigned long)batch->total);
    if (batch->sealed && batch->queued == 0 && batch->assigned == 0)
        return complain("batch %lu is over, and is still there", (unsigned long)batch->id);
    if (batch->cancel && batch->queued > 0)
        return complain("batch %lu was cancelled, and has jobs that wait", (unsigned long)batch->id);
    if (batch->consumed_cost > batch->sent_cost || batch->taken_cost > batch->received_cost)
        return complain("batch %lu: more was taken than was there", (unsigned long)batch->id);
    return NULL;
}

/* A block is there exactly as long as one of its jobs is not over, or the fresh ones are not
 * behind it. */
static const char *check_blocks(const struct core *core, const struct batch *batch)
{
    const struct block *block;
    uint64_t behind = 0;

    DL_FOREACH(batch->blocks, block) {
        uint64_t block_end = block->first + block->count;
        uint64_t unended =
            jobs_inside(&batch->fresh, block) - jobs_in(&batch->skipped, block->first, block_end);
        const struct requeued *node;

        if (block->first <= behind)
            return complain("blocks of arguments are out of order");
        behind = block->first + block->count - 1;
        LL_FOREACH(batch->requeued, node)
            unended += jobs_inside(&node->run, block);
        for (unsigned i = 0; i < DELAY_QUEUES; i++) {
            const struct delayed *delayed;

            DL_FOREACH(batch->delays.queues[i], delayed)
                unended += jobs_inside(&delayed->run, block);
        }
        for (unsigned i = 0; i < core->slots; i++) {
            const struct chunk *chunk;

            DL_FOREACH(core->workers[i].chunks, chunk)
                if (chunk->batch == batch)
                    unended += jobs_in(&chunk->left, block->first, block_end);
        }
        if ((unended == 0 && block_end <= batch->fresh.first) || unended != block->unended)
            return complain("the block of job %lu waits for %u jobs, %lu are not over",
                            (unsigned long)block->first, block->unended, (unsigned long)unended);
    }
    return NULL;
}

/* A worker that outlived its coordinator stands by jobs that have ended, too, until it has said so. */
static bool adopted_any(const struct core *core)
{
    const struct chunk *chunk;

    for (unsigned i = 0; i < core->slots; i++)
        DL_FOREACH(core->workers[i].chunks, chunk)
            if (chunk->adopted)
                return true;
    return false;
}

/* No more runs than may, and nothing that could run is forgotten. */
static const char *check_turn(const struct core *core, const struct batch *batch)
{
    uint64_t running = 0;

    for (unsigned i = 0; i < core->slots; i++) {
        uint64_t places = core->workers[i].concurrency;

        running += batch->held[i] < places ? batch->held[i] : places;
    }
    if (running != batch->running)
        return complain("%lu jobs of batch %lu may run, %lu are counted", (unsigned long)running,
                        (unsigned long)batch->id, (unsigned long)batch->running);
    if (batch->settings.most_running > 0 && running > batch->settings.most_running && !adopted_any(core))
        return complain("%lu jobs of batch %lu may run, its limit is %u", (unsigned long)running,
                        (unsigned long)batch->id, batch->settings.most_running);
    if (!batch->turn.user || (batch_ready(batch) && !room_is_used_up(batch) && !batch->turn.waits))
        return complain("batch %lu has jobs to run, and no turn", (unsigned long)batch->id);
    if (core_deadline(core) > delays_due_ns(&batch->delays))
        return complain("a delayed job of batch %lu is not woken for", (unsigned long)batch->id);
    if (batch->cancel && core_deadline(core) > batch->cancel_deadline_ns)
        return complain("the end of batch %lu is not woken for", (unsigned long)batch->id);
    if (batch_recalled(batch) && !batch->recalled && !batch->is_changed)
        return complain("jobs of batch %lu came back, and nobody knows", (unsigned long)batch->id);
    if (batch_over(batch))
        return complain("batch %lu is over, and still there", (unsigned long)batch->id);
    if (core_batch(core, batch->id) != batch || (batch->client[0] != '\0') != (batch->owner != NULL))
        return complain("batch %lu is not found by its number, or by its client", (unsigned long)batch->id);
    return NULL;
}

static const char *check_batch(const struct core *core, const struct batch *batch)
{
    const char *wrong = check_totals(batch);

    if (!wrong)
        wrong = check_turn(core, batch);

    if (!wrong)
        wrong = check_queue(batch);
    if (!wrong)
        wrong = check_assigned(core, batch);
    if (!wrong)
        wrong = check_blocks(core, batch);
    if (!wrong)
        wrong = check_room(core, batch);
    return wrong;
}

/* What jobs take together is there. */
static const char *check_host(const struct core *core)
{
    const struct demand *has = &core->capacity.has;
    unsigned cpus = 0, demanding = core->options.cpus > 0 && has->cpus < core->options.workers_max;
    const struct batch *batch;
    uint64_t memory_bytes = 0;

    for (unsigned i = 0; i < core->slots; i++) {
        cpus += core->workers[i].host ? 0 : core->workers[i].taken.cpus;
        memory_bytes += core->workers[i].host ? 0 : core->workers[i].taken.memory_bytes;
    }
    DL_FOREACH(core->batches, batch)
        demanding += !demand_is_plain(&batch->demand);
    if ((cpus > has->cpus || memory_bytes > has->memory_bytes) && !adopted_any(core))
        return complain("jobs take %u CPUs and %lu bytes, there are %u and %lu", cpus,
                        (unsigned long)memory_bytes, has->cpus, (unsigned long)has->memory_bytes);
    if (demanding != core->demanding)
        return complain("%u batches take more than workers, %u are counted", demanding, core->demanding);
    return NULL;
}

const char *core_invariants(const struct core *core)
{
    const struct batch *batch;
    const char *wrong = NULL;
    unsigned present = 0, crew = 0, own = 0;

    if (core->slots < core->crew || core->slots > core->options.workers_max)
        wrong = complain("%u slots for %u workers", core->slots, core->crew);
    for (unsigned i = 0; i < core->slots; i++) {
        crew += core->workers[i].crew;
        own += core->workers[i].crew && !core->workers[i].host;
    }
    if (!wrong && (crew != core->crew || own != core->own))
        wrong = complain("%u workers of the crew, %u own, and not %u, %u", crew, own, core->crew, core->own);
    for (unsigned i = core->slots; i < core->options.workers_max && !wrong; i++)
        if (core->workers[i].state != WORKER_ABSENT || core->workers[i].crew || core->workers[i].host)
            wrong = complain("worker %u is not looked at", i + 1);
    for (unsigned i = 0; i < core->slots && !wrong; i++) {
        present += core->workers[i].state != WORKER_ABSENT;
        wrong = check_worker(core, &core->workers[i]);
    }
    if (!wrong && HASH_COUNT(core->workers_by_name) != present)
        wrong = complain("%u workers have a name, %u a process", HASH_COUNT(core->workers_by_name), present);
    if (!wrong)
        wrong = check_roster(core);
    if (!wrong)
        wrong = check_least_loaded(core);
    DL_FOREACH(core->batches, batch)
        if (!wrong)
            wrong = check_batch(core, batch);
    if (!wrong)
        wrong = check_host(core);
    return wrong;
}

/* --- what was decided */

bool message_possible(const struct proto_message *message)
{
    msgpack_sbuffer buffer;
    int result;

    msgpack_sbuffer_init(&buffer);
    result = proto_encode(message, &buffer);
    msgpack_sbuffer_destroy(&buffer);
    return result == 0 && proto_check_payload(message, NULL) == 0;
}

const char *outbox_invariants(const struct outbox *outbox)
{
    if (outbox->failed)
        return complain("the outbox failed, and memory did not run out");
    for (size_t i = 0; i < outbox->count; i++) {
        const struct outbox_item *item = &outbox->items[i];

        if (item->kind == OUTBOX_SEND && !message_possible(&item->message))
            return complain("a %s to %s cannot be sent", proto_type_name(item->message.type), item->peer);
        if (item->kind == OUTBOX_SEND && !item->peer[0])
            return complain("a %s to nobody", proto_type_name(item->message.type));
    }
    return NULL;
}
