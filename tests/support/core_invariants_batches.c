/* SPDX-License-Identifier: MIT
 *
 * The invariants of the batches of a core. Every job of a batch is in exactly one place: with the fresh ones,
 * among those that are to run again, in one worker's chunk, or counted as ended. See core_invariants.h.
 */
#include "coordinator/room.h"
#include "tests/support/core_invariants_internal.h"

#include <utlist.h>

static bool share_jobs(const struct spans *spans, const struct job_run *run)
{
    return jobs_in(spans, run->first, run->first + run->count) > 0;
}

static bool share(const struct job_run *a, const struct job_run *b)
{
    return a->first < b->first + b->count && b->first < a->first + a->count;
}

/* Jobs of `run` whose arguments are in `block`. */
static uint64_t jobs_inside(const struct job_run *run, const struct block *block)
{
    uint64_t first = run->first > block->first ? run->first : block->first;
    uint64_t end = run->first + run->count, block_end = block->first + block->count;

    end = end < block_end ? end : block_end;
    return first < end ? end - first : 0;
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

/* No more runs than may, and nothing that could run is forgotten. */
static const char *check_turn(const struct core *core, const struct batch *batch)
{
    uint64_t running = 0;

    for (unsigned i = 0; i < core->slots; i++) {
        uint64_t places = batch->single ? 1 : core->workers[i].concurrency;

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

const char *check_batch(const struct core *core, const struct batch *batch)
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
