/* SPDX-License-Identifier: MIT
 *
 * Workers of a host that cannot be reached for a while: nobody else has their jobs meanwhile, and when the
 * host is back they say, as after a restart, which chunks they have. What of it was lost on the way, in
 * either direction, is made good. Part of the core: pure.
 */
#include "coordinator/state.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

/* What it was told to end it may not have heard of. */
static void disown_unwanted(struct worker *worker, struct outbox *outbox)
{
    for (uint32_t i = 0; i < worker->unwanted.count; i++) {
        struct span chunks = spans_list(&worker->unwanted)[i];

        outbox->failed |= spans_add(&worker->disowned, chunks.first, chunks.count) != 0;
    }
    spans_fini(&worker->unwanted);
}

/* It has to say HELLO before it counts again, and what it holds, the chunks of another life included. One
 * that was asked to stop may not have heard of it. One that was to say what it holds may have begun to:
 * others do not get that for as long as before, but not again and again. */
static void cut_off(struct core *core, struct worker *worker, struct outbox *outbox)
{
    struct chunk *chunk;

    if (worker->doubted)
        adopt_unhold(core, worker);
    worker->cut = true;
    if (worker->state != WORKER_ABSENT && worker->state != WORKER_DOOMED) {
        worker->state = WORKER_AWAY;
        worker->doubted = true;
        worker->expected = false;
        worker->standing = 0;
        disown_unwanted(worker, outbox);
        worker->pinged_ns = worker->asked_ns = 0;
        worker->slow = false;
        DL_FOREACH(worker->chunks, chunk) {
            chunk->repeats = true;
            chunk->doubted = true;
            chunk->recalled = 0; /* what was asked, or the answer, may be lost */
        }
    }
    roster_update(core, worker);
}

/* Jobs from the one to the other that the worker has no more: they never came, or were given back. */
static void drop_jobs(struct worker *worker, struct chunk *chunk, uint64_t first, uint64_t end,
                      struct outbox *outbox)
{
    uint32_t i;

    while ((i = spans_find(&chunk->left, first)) < chunk->left.count && !outbox->failed) {
        struct span span = spans_list(&chunk->left)[i];
        uint64_t from = span.first > first ? span.first : first;
        uint64_t until = span.first + span.count < end ? span.first + span.count : end;
        struct job_run run;

        if (from >= until)
            return;
        if (hold_take(worker, chunk, from, until - from, &run) != 0)
            outbox->failed = true;
        else
            settle_return(chunk->batch, worker, run, JOB_RETURN, outbox);
    }
}

void rejoin_disown(struct core *core, struct worker *worker, struct outbox *outbox)
{
    struct chunk *chunk, *next;

    DL_FOREACH_SAFE(worker->chunks, chunk, next) {
        if (chunk->batch->cancel != PROTO_CANCEL_NOW)
            continue;
        outbox->failed |= spans_add(&worker->disowned, chunk->id, 1) != 0;
        drop_jobs(worker, chunk, 1, UINT64_MAX, outbox);
        if (outbox->failed)
            return;
        hold_drop(worker, chunk);
    }
    roster_update(core, worker);
}

void core_away(struct core *core, uint64_t now_ns, unsigned host, struct outbox *outbox)
{
    for (unsigned i = 0; i < core->slots; i++)
        if (core->workers[i].host == host) {
            cut_off(core, &core->workers[i], outbox);
            rejoin_disown(core, &core->workers[i], outbox);
        }
    core_settle(core, now_ns, outbox);
}

/* --- the host is back */

/* It may speak again. One that was to be killed may not have been. */
static void expect(struct core *core, uint64_t now_ns, struct worker *worker, struct outbox *outbox)
{
    worker->cut = false;
    if (worker->state == WORKER_DOOMED) {
        outbox_kill(outbox, worker->slot);
    } else if (worker->state == WORKER_AWAY) {
        worker->expected = true;
        worker->heard_ns = now_ns;
    }
    roster_update(core, worker);
}

static bool is_resident(const struct worker *worker, const struct proto_resident *resident)
{
    return worker->place == resident->place && strlen(worker->name) == resident->name.size &&
           memcmp(worker->name, resident->name.bytes, resident->name.size) == 0;
}

/* If there was one, it died and the connection was lost before that was told, or it never began. */
static void lose(struct core *core, uint64_t now_ns, struct worker *worker, struct outbox *outbox)
{
    struct worker_exit exit = {.slot = worker->slot, .lost = true};

    snprintf(exit.reason, sizeof exit.reason, "it ended while its host could not be reached");
    worker->cut = false;
    if (worker->state != WORKER_ABSENT)
        core_worker_exited(core, now_ns, &exit, outbox);
}

bool core_back(struct core *core, uint64_t now_ns, unsigned host, const struct proto_join *join,
               struct outbox *outbox)
{
    const struct proto_resident *resident = join->residents, *end = resident + join->resident_count;

    for (unsigned i = 0; i < core->slots; i++) { /* places are in the order of slots */
        struct worker *worker = &core->workers[i];

        if (worker->host != host)
            continue;
        if (resident < end && worker->state != WORKER_ABSENT && is_resident(worker, resident)) {
            expect(core, now_ns, worker, outbox);
            resident++;
        }
    }
    for (unsigned i = 0; i < core->slots && resident == end; i++)
        if (core->workers[i].host == host && core->workers[i].cut)
            lose(core, now_ns, &core->workers[i], outbox);
    core_settle(core, now_ns, outbox);
    return resident == end;
}

/* --- what its workers say */

/* Jobs that were cancelled, as they were: those of which some were asked to end with two messages or more. */
static void cancel_as_before(const struct worker *worker, const struct batch *batch, uint64_t first,
                             uint64_t end, struct outbox *outbox)
{
    while (first < end) {
        bool urged = spans_hold(&batch->urged, first);
        uint32_t i = spans_find(&batch->urged, first);
        uint64_t until = end;

        if (i < batch->urged.count) {
            struct span span = spans_list(&batch->urged)[i];

            until = urged ? span.first + span.count : span.first;
        }
        until = until < end ? until : end;
        outbox_send(outbox, worker->name,
                    &(struct proto_message){.type = PROTO_CANCEL,
                                            .cancel = {.id = batch->id,
                                                       .mode = urged ? PROTO_CANCEL_NOW : PROTO_CANCEL_SOON,
                                                       .first = first,
                                                       .count = until - first}});
        first = until;
    }
}

/* Jobs that were cancelled one by one, of these. */
static void cancel_some(const struct worker *worker, const struct batch *batch, const struct span *jobs,
                        struct outbox *outbox)
{
    uint64_t end = jobs->first + jobs->count;

    for (uint32_t i = spans_find(&batch->cancelled, jobs->first); i < batch->cancelled.count; i++) {
        struct span asked = spans_list(&batch->cancelled)[i];
        uint64_t from = asked.first > jobs->first ? asked.first : jobs->first;
        uint64_t until = asked.first + asked.count < end ? asked.first + asked.count : end;

        if (from >= until)
            return;
        cancel_as_before(worker, batch, from, until, outbox);
    }
}

/* What it was asked may not have come through. */
static void cancel_again(const struct worker *worker, const struct chunk *chunk, struct outbox *outbox)
{
    const struct batch *batch = chunk->batch;

    if (batch->cancel)
        outbox_send(outbox, worker->name,
                    &(struct proto_message){.type = PROTO_CANCEL,
                                            .cancel = {.id = batch->id, .mode = batch->cancel}});
    for (uint32_t i = 0; i < chunk->left.count && batch->cancel != PROTO_CANCEL_NOW; i++)
        cancel_some(worker, batch, &spans_list(&chunk->left)[i], outbox);
}

bool rejoin_standing(uint64_t now_ns, struct worker *worker, const struct proto_standing *standing,
                     struct outbox *outbox)
{
    struct chunk *chunk = hold_find(worker, standing->chunk);

    if (!chunk && spans_hold(&worker->disowned, standing->chunk)) {
        adopt_refuse(worker, standing->batch,
                     &(struct span){.first = standing->first, .count = standing->count}, outbox);
        adopt_unwanted(now_ns, worker, standing->chunk, outbox);
    }
    if (!chunk)
        return true; /* it is reported, and the worker does not know that yet */
    if (chunk->batch->id != standing->batch || !chunk->doubted)
        return false;
    chunk->doubted = false;
    drop_jobs(worker, chunk, 1, standing->first, outbox);
    drop_jobs(worker, chunk, standing->first + standing->count, UINT64_MAX, outbox);
    if (chunk->left.count == 0)
        hold_drop(worker, chunk);
    else
        cancel_again(worker, chunk, outbox);
    return true;
}

void rejoin_settled(struct worker *worker, struct outbox *outbox)
{
    struct chunk *chunk, *next;

    worker->doubted = false;
    spans_fini(&worker->disowned);
    DL_FOREACH_SAFE(worker->chunks, chunk, next) {
        if (!chunk->doubted)
            continue;
        drop_jobs(worker, chunk, 1, UINT64_MAX, outbox);
        if (!outbox->failed)
            hold_drop(worker, chunk);
    }
}
