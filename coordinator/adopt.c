/* SPDX-License-Identifier: MIT
 *
 * Workers of another life of this coordinator: what they hold is taken over, as far as it is still
 * queued, and what they had to report and nobody recorded. Part of the core: pure.
 */
#include "coordinator/state.h"

#include <assert.h>
#include <stdio.h>
#include <utlist.h>

void adopt_worker(struct core *core, uint64_t now_ns, unsigned slot, const char *name, bool holds_up,
                  struct outbox *outbox)
{
    struct worker *worker = &core->workers[slot - 1];

    assert(worker->state == WORKER_ABSENT);
    scale_widen(core, slot, outbox);
    snprintf(worker->name, sizeof worker->name, "%s", name);
    HASH_ADD_STR(core->workers_by_name, name, worker);
    if (!worker->hh.tbl) {
        outbox->failed = true;
        return;
    }
    worker->state = WORKER_AWAY;
    worker->doom = DOOM_NONE;
    worker->credit = worker->concurrency = 0;
    worker->pid = worker->pinged_ns = worker->asked_ns = 0;
    worker->process_cpu_ns = worker->voluntary = worker->involuntary = 0;
    worker->slow = false;
    worker->awaited = true;
    worker->holds_up = holds_up;
    worker->heard_ns = worker->moved_ns = now_ns;
    core->awaited += holds_up;
    roster_update(core, worker);
}

void core_adopt(struct core *core, uint64_t now_ns, unsigned slot, const char *name, struct outbox *outbox)
{
    adopt_worker(core, now_ns, slot, name, true, outbox);
}

void core_listen(struct core *core, uint64_t now_ns)
{
    for (unsigned i = 0; i < core->slots; i++) {
        if (!core->workers[i].awaited)
            continue;
        core->workers[i].heard_ns = now_ns;
        roster_update(core, &core->workers[i]);
    }
}

void core_committed(const struct core *core, const char *name, uint64_t number, struct outbox *outbox)
{
    const struct worker *worker;

    HASH_FIND_STR(core->workers_by_name, name, worker);
    if (worker && worker->state == WORKER_READY)
        outbox_send(outbox, name, &(struct proto_message){.type = PROTO_KEPT, .kept = {.number = number}});
}

/* All that it stands by is said. What it shall not begin it may not have heard of. */
static void settled(struct core *core, uint64_t now_ns, struct worker *worker, struct outbox *outbox)
{
    if (worker->doubted)
        rejoin_settled(worker, outbox);
    adopt_settled(core, worker);
    if (core->draining || !worker->crew)
        recall_unbegun(core, now_ns, worker, outbox);
}

void adopt_greeted(struct core *core, uint64_t now_ns, struct worker *worker, uint32_t standing,
                   struct outbox *outbox)
{
    worker->standing = standing;
    if (standing == 0)
        settled(core, now_ns, worker, outbox);
}

void adopt_unhold(struct core *core, struct worker *worker)
{
    core->awaited -= worker->holds_up;
    worker->holds_up = false;
}

void adopt_settled(struct core *core, struct worker *worker)
{
    adopt_unhold(core, worker);
    worker->awaited = worker->expected = false;
    worker->standing = 0;
}

void adopt_refuse(const struct worker *worker, uint64_t batch, const struct span *span, struct outbox *outbox)
{
    outbox_send(
        outbox, worker->name,
        &(struct proto_message){
            .type = PROTO_CANCEL,
            .cancel = {.id = batch, .mode = PROTO_CANCEL_NOW, .first = span->first, .count = span->count}});
}

/* Assigns those of the jobs that are queued. What is left in *gone is not. 0 or MUSTER_ENOMEM. */
static int take_queued(struct batch *batch, struct spans *gone, const struct span *jobs)
{
    struct job_run run;
    int result;

    for (;;) {
        result = batch_take_queued(batch, jobs->first, jobs->count, &run);
        if (result != 0 || run.count == 0)
            return result;
        result = spans_take(gone, run.first, run.count);
        if (result != 0)
            return result;
    }
}

/* Of the attempts before this one nobody knows any more how they ended: they count as failures, so that
 * no job is tried more often than it may be. */
static struct job_run run_of(const struct batch *batch, uint64_t now_ns, const struct span *jobs,
                             uint32_t attempt)
{
    uint32_t before = attempt > 0 ? attempt - 1 : 0;

    return (struct job_run){.first = jobs->first,
                            .count = jobs->count,
                            .state = JOB_ASSIGNED,
                            .attempts = before,
                            .failures = before,
                            .queued_ns = batch->came_ns,
                            .assigned_ns = now_ns};
}

/* Puts a chunk of these jobs, less those that are gone, into the hands of the worker. 0 or MUSTER_ENOMEM. */
static int hand_over(struct worker *worker, struct batch *batch, uint64_t id, const struct job_run *run,
                     const struct spans *gone)
{
    struct chunk *chunk = hold_add(worker, batch, id, run);
    struct job_run taken;
    int result = chunk ? 0 : MUSTER_ENOMEM;

    if (chunk)
        chunk->adopted = true;
    for (uint32_t i = 0; i < gone->count && result == 0; i++)
        result = hold_take(worker, chunk, spans_list(gone)[i].first, spans_list(gone)[i].count, &taken);
    return result;
}

/* Some of these jobs that an older chunk of the worker has, in an attempt before this one. NULL: none has. */
static struct chunk *find_older(const struct worker *worker, const struct batch *batch,
                                const struct span *jobs, uint32_t attempt, struct span *ret_part)
{
    uint64_t end = jobs->first + jobs->count;
    size_t place = holdings_find(&worker->holdings, batch->id, jobs->first);
    struct chunk *chunk;

    while ((chunk = holdings_next(&worker->holdings, batch->id, jobs->first, end, &place)) != NULL) {
        uint32_t part = spans_find(&chunk->left, jobs->first);
        struct span left;

        if (!chunk->adopted || chunk->run.attempts + 1 >= attempt || part == chunk->left.count)
            continue;
        left = spans_list(&chunk->left)[part];
        if (left.first >= end)
            continue;
        ret_part->first = left.first > jobs->first ? left.first : jobs->first;
        ret_part->count = (left.first + left.count < end ? left.first + left.count : end) - ret_part->first;
        return chunk;
    }
    return NULL;
}

/* A worker stands by all jobs of a chunk, also by those of which it told that they failed. Where it has one
 * of them again, in a later attempt, that is the one that it runs. */
static void drop_older(struct worker *worker, struct batch *batch, const struct span *jobs, uint32_t attempt,
                       struct outbox *outbox)
{
    struct chunk *chunk;
    struct job_run run;
    struct span part;

    while (!outbox->failed && (chunk = find_older(worker, batch, jobs, attempt, &part)) != NULL) {
        if (hold_take(worker, chunk, part.first, part.count, &run) == 0)
            settle_return(batch, worker, run, JOB_RETURN, outbox);
        else
            outbox->failed = true;
        if (chunk->left.count == 0)
            hold_drop(worker, chunk);
    }
}

/* Returns whether the worker has any of the jobs now. */
static bool take_over(uint64_t now_ns, struct worker *worker, struct batch *batch, uint64_t id,
                      const struct span *jobs, uint32_t attempt, struct outbox *outbox)
{
    struct job_run run = run_of(batch, now_ns, jobs, attempt);
    struct spans gone = {0};
    bool any = false;
    int result = spans_add(&gone, jobs->first, jobs->count);

    drop_older(worker, batch, jobs, attempt, outbox);
    if (result == 0)
        result = take_queued(batch, &gone, jobs);
    any = result == 0 && spans_jobs(&gone) < jobs->count;
    if (any)
        result = hand_over(worker, batch, id, &run, &gone);
    for (uint32_t i = 0; i < gone.count && result == 0; i++)
        adopt_refuse(worker, batch->id, &spans_list(&gone)[i], outbox);
    outbox->failed |= result != 0;
    dispatch_grant(batch, outbox);
    spans_fini(&gone);
    return any && result == 0;
}

/* Whether another life can have given the worker this job, of such an attempt. Each life counts crashes anew,
 * and the attempts that follow are counted on from there. */
static bool may_have(const struct core *core, const struct worker *worker, const struct batch *batch,
                     uint32_t attempt)
{
    uint64_t crashes = (uint64_t)core->options.epoch * batch->settings.crash_limit;

    return !batch->cancel && !(worker->host && batch->stays) && attempt <= INT32_MAX &&
           attempt <= batch->settings.retries + crashes;
}

static bool is_of_this_life(const struct core *core, uint64_t chunk)
{
    return chunk >> CHUNKS_OF_EPOCH_BITS >= core->options.epoch;
}

bool adopt_standing(struct core *core, uint64_t now_ns, struct worker *worker,
                    const struct proto_standing *standing, struct outbox *outbox)
{
    struct span jobs = {.first = standing->first, .count = standing->count};
    struct batch *batch;
    bool held = false;

    if (worker->standing == 0)
        return false;
    if (worker->doubted && (hold_find(worker, standing->chunk) || is_of_this_life(core, standing->chunk))) {
        if (!rejoin_standing(now_ns, worker, standing, outbox))
            return false;
        if (--worker->standing == 0)
            settled(core, now_ns, worker, outbox);
        return true;
    }
    if (is_of_this_life(core, standing->chunk) || hold_find(worker, standing->chunk))
        return false;
    batch = core_batch(core, standing->batch);
    if (batch && may_have(core, worker, batch, standing->attempt) &&
        !spans_hold(&worker->disowned, standing->chunk) && jobs.first + jobs.count - 1 <= batch->total) {
        if (worker->holds == 0)
            worker->moved_ns = now_ns;
        held = take_over(now_ns, worker, batch, standing->chunk, &jobs, standing->attempt, outbox);
    } else {
        adopt_refuse(worker, standing->batch, &jobs, outbox);
    }
    if (!held)
        adopt_unwanted(now_ns, worker, standing->chunk, outbox);
    if (--worker->standing == 0)
        settled(core, now_ns, worker, outbox);
    return true;
}

void adopt_unwanted(uint64_t now_ns, struct worker *worker, uint64_t chunk, struct outbox *outbox)
{
    worker->unwanted_ns = cancel_deadline(now_ns);
    outbox->failed |= spans_add(&worker->unwanted, chunk, 1) != 0;
}

void adopt_ended(struct worker *worker, uint64_t chunk, struct outbox *outbox)
{
    outbox->failed |= spans_drop(&worker->unwanted, chunk, 1) != 0;
}

/* Whether a job that is wanted would be lost if the worker was killed for those that are not: see
 * cancel_stubborn. */
static bool holds_wanted(const struct worker *worker)
{
    return worker->chunks &&
           (worker->concurrency > 1 || worker->chunks->id < spans_list(&worker->unwanted)->first);
}

/* While it has something to say, that may be that it has obeyed, behind much that it had kept. */
void adopt_stubborn(struct core *core, uint64_t now_ns, struct worker *worker, struct outbox *outbox)
{
    if (holds_wanted(worker) || now_ns < cancel_deadline(worker->heard_ns))
        worker->unwanted_ns = cancel_deadline(now_ns); /* it is looked at again */
    else
        dispatch_doom(core, worker, DOOM_CANCELLED, outbox);
}

void adopt_last_words(struct core *core, uint64_t now_ns, struct worker *worker,
                      const struct worker_exit *exit, struct outbox *outbox)
{
    struct span job = {.first = exit->index, .count = 1};
    struct batch *batch;

    if (!exit->executing || hold_find(worker, exit->chunk) || spans_hold(&worker->disowned, exit->chunk))
        return;
    batch = core_batch(core, exit->batch);
    if (batch && may_have(core, worker, batch, exit->attempt) && job.first >= 1 && job.first <= batch->total)
        take_over(now_ns, worker, batch, exit->chunk, &job, exit->attempt, outbox);
}

void adopt_reported_again(struct core *core, struct worker *worker, struct chunk *chunk,
                          const struct proto_message *message, struct outbox *outbox)
{
    const struct proto_outcome *outcome = &message->result.outcome;
    uint64_t end = outcome->first + outcome->count;
    uint32_t i;

    settle_late(core, message, outbox);
    while ((i = spans_find(&chunk->left, outcome->first)) < chunk->left.count &&
           spans_list(&chunk->left)[i].first < end && !outbox->failed) {
        struct span span = spans_list(&chunk->left)[i];
        uint64_t first = span.first > outcome->first ? span.first : outcome->first;
        uint64_t behind = span.first + span.count < end ? span.first + span.count : end;
        struct job_run run;

        if (first >= behind)
            return;
        if (hold_take(worker, chunk, first, behind - first, &run) != 0)
            outbox->failed = true;
        else
            settle_return(chunk->batch, worker, run, JOB_RETURN, outbox);
    }
}
