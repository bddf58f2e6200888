/* SPDX-License-Identifier: MIT
 *
 * The invariants of the workers of a core: what they hold, and what the roster says of them. See
 * core_invariants.h.
 */
#include "base/clock.h"
#include "tests/support/core_invariants_internal.h"

#include <string.h>
#include <utlist.h>

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
    if (worker->state == WORKER_ABSENT && found == worker)
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

static const char *check_running(const struct core *core, const struct worker *worker)
{
    const struct batch *batch;
    uint64_t running = 0;

    DL_FOREACH(core->batches, batch) {
        uint64_t places = batch->single ? 1 : worker->concurrency, held = batch->held[worker->slot - 1];

        running += held < places ? held : places;
    }
    if (running != worker->running)
        return complain("%lu places of worker %u are taken, %lu are counted", (unsigned long)running,
                        worker->slot, (unsigned long)worker->running);
    return NULL;
}

const char *check_worker(const struct core *core, const struct worker *worker)
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
    if (!wrong && worker->holds > worker->credit && !worker->chunks->adopted && !worker->chunks->repeats)
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
        wrong = check_running(core, worker);
    if (!wrong)
        wrong = check_excess(core, worker);
    if (!wrong && worker->state == WORKER_READY && worker->holds > 0 && core_deadline(core) == CLOCK_NEVER)
        wrong = complain("worker %u has work, and nobody watches it", worker->slot);
    return wrong;
}

/* --- workers by what is asked of them */

/* That all workers together are what the roster says, and the next that is due. */
const char *check_roster(const struct core *core)
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
        now.open += crew && ready && worker->standing == 0 && worker->running < worker->concurrency;
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
const char *check_least_loaded(const struct core *core)
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
