/* SPDX-License-Identifier: MIT
 *
 * Ending jobs early: a batch, or single jobs of it. What is queued ends at once; what workers
 * hold is asked to end, and told of when it has. Part of the core: pure.
 */
#include "base/clock.h"
#include "coordinator/state.h"

#include <utlist.h>

/* How long workers have to let go of a batch that was cancelled with NOW. */
static const uint64_t CANCEL_GRACE_NS = 250 * CLOCK_NS_PER_MS;

uint64_t cancel_deadline(uint64_t now_ns)
{
    return clock_after(now_ns, CANCEL_GRACE_NS);
}

static void tell_worker(const struct worker *worker, const struct batch *batch,
                        const struct proto_cancel *cancel, struct outbox *outbox)
{
    struct proto_message message = {.type = PROTO_CANCEL, .cancel = *cancel};

    message.cancel.id = batch->id;
    outbox_send(outbox, worker->name, &message);
}

void cancel_batch(struct core *core, uint64_t now_ns, struct batch *batch, enum proto_cancel_mode mode,
                  struct outbox *outbox)
{
    if (batch->cancel < mode) {
        batch->cancel = mode;
        batch->cancel_deadline_ns = mode == PROTO_CANCEL_NOW ? cancel_deadline(now_ns) : CLOCK_NEVER;
        for (unsigned i = 0; i < core->slots; i++) {
            if (batch->held[i] > 0 && core->workers[i].state == WORKER_READY)
                tell_worker(&core->workers[i], batch, &(struct proto_cancel){.mode = mode}, outbox);
            else if (batch->held[i] > 0 && core->workers[i].cut && mode == PROTO_CANCEL_NOW)
                rejoin_disown(core, &core->workers[i], outbox);
        }
    }
    batch_drop_queue(batch);
}

/* Notes which of the jobs the worker holds. Returns whether there are any. */
static bool note_held(const struct worker *worker, struct batch *batch, const struct proto_cancel *cancel,
                      struct outbox *outbox)
{
    uint64_t first = cancel->first, end = first + cancel->count;
    size_t place = holdings_find(&worker->holdings, batch->id, first);
    const struct chunk *chunk;
    bool any = false;

    while ((chunk = holdings_next(&worker->holdings, batch->id, first, end, &place)) != NULL) {
        const struct span *left = spans_list(&chunk->left);

        for (uint32_t i = spans_find(&chunk->left, first); i < chunk->left.count && left[i].first < end;
             i++) {
            uint64_t from = left[i].first > first ? left[i].first : first;
            uint64_t until = left[i].first + left[i].count < end ? left[i].first + left[i].count : end;

            if (spans_add(&batch->cancelled, from, until - from) != 0 ||
                (cancel->mode == PROTO_CANCEL_NOW && spans_add(&batch->urged, from, until - from) != 0))
                outbox->failed = true;
            any = true;
        }
    }
    return any;
}

void cancel_jobs(struct core *core, struct batch *batch, const struct proto_cancel *cancel,
                 struct outbox *outbox)
{
    struct job_run run;

    if (batch->cancel)
        return;
    do {
        if (batch_cancel_queued(batch, cancel->first, cancel->count, &run) != 0) {
            outbox->failed = true;
            return;
        }
        settle_cancelled(batch, 0, &run, outbox);
    } while (run.count > 0);
    dispatch_grant(batch, outbox); /* arguments that nobody needs were let go of */
    for (unsigned i = 0; i < core->slots; i++)
        if (batch->held[i] > 0 && note_held(&core->workers[i], batch, cancel, outbox) &&
            core->workers[i].state == WORKER_READY)
            tell_worker(&core->workers[i], batch, cancel, outbox);
}

/* Whether a job of another batch would be lost if the worker was killed for this one. One that
 * runs a job at a time runs the first that it holds; of one that runs several nobody knows which
 * it runs. */
static bool holds_others(const struct worker *worker, const struct batch *batch)
{
    const struct chunk *chunk;

    if (worker->concurrency == 1)
        return worker->chunks->batch != batch;
    DL_FOREACH(worker->chunks, chunk)
        if (chunk->batch->cancel != PROTO_CANCEL_NOW)
            return true;
    return false;
}

/* Where its jobs wait behind another batch's, which must not die for them, they are looked at
 * again. */
void cancel_stubborn(struct core *core, uint64_t now_ns, struct batch *batch, struct outbox *outbox)
{
    batch->cancel_deadline_ns = CLOCK_NEVER;
    for (unsigned i = 0; i < core->slots; i++) {
        if (batch->held[i] == 0)
            continue;
        if (holds_others(&core->workers[i], batch))
            batch->cancel_deadline_ns = cancel_deadline(now_ns);
        else
            dispatch_doom(core, &core->workers[i], DOOM_CANCELLED, outbox);
    }
}
