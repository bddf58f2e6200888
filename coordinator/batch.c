/* SPDX-License-Identifier: MIT
 *
 * A batch from its submission to its end: what comes, what is counted, when it is over. See batch.h.
 */
#include "coordinator/batch.h"

#include "base/error.h"
#include "coordinator/batch_queue.h"
#include "proto/codec.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

struct batch *batch_create(uint64_t id, uint64_t now_ns, const char *client,
                           const struct proto_submit *submit, unsigned workers)
{
    struct batch *batch = calloc(1, sizeof *batch);

    if (!batch || (batch->common = malloc(submit->common.size + 1)) == NULL ||
        batch_scale(batch, workers, workers) != 0) {
        batch_destroy(batch);
        return NULL;
    }
    if (submit->common.size > 0)
        memcpy(batch->common, submit->common.bytes, submit->common.size);
    batch->id = id;
    batch->came_ns = now_ns;
    memcpy(batch->client, client, strnlen(client, PROTO_PEER_NAME_MAX));
    memcpy(batch->function, submit->function.bytes, submit->function.size);
    batch->settings = *submit;
    batch->settings.function = (struct proto_text){batch->function, submit->function.size};
    batch->settings.name = (struct proto_text){0}; /* what the message lent, and nobody here asks for */
    batch->settings.after = NULL;
    batch->settings.after_count = 0;
    batch->settings.common.bytes = batch->common;
    batch->fresh = (struct job_run){.first = 1, .state = JOB_QUEUED};
    batch->totals.ticket = submit->ticket;
    batch->demand = (struct demand){.cpus = submit->cpus, .memory_bytes = submit->memory_bytes};
    pacing_init(&batch->pacing, submit->chunk_jobs);
    if (submit->kind == PROTO_RANGE) {
        batch->total = (uint64_t)submit->last - (uint64_t)submit->first + 1;
        batch->fresh.count = batch->queued = batch->total;
        batch->sealed = true;
    }
    return batch;
}

int batch_scale(struct batch *batch, unsigned workers, unsigned slots)
{
    uint64_t *held = slots > batch->slots ? reallocarray(batch->held, slots, sizeof *held) : batch->held;

    if (!held)
        return MUSTER_ENOMEM;
    if (slots > batch->slots) {
        memset(held + batch->slots, 0, (slots - batch->slots) * sizeof *held);
        batch->held = held;
        batch->slots = slots;
    }
    batch->workers = workers;
    return 0;
}

void batch_note_change(struct batch *batch)
{
    if (!batch->changed || batch->is_changed)
        return;
    batch->is_changed = true;
    DL_APPEND2(*batch->changed, batch, changed_prev, changed_next);
}

void batch_destroy(struct batch *batch)
{
    struct block *block, *next_block;
    struct requeued *node, *next_node;

    if (!batch)
        return;
    DL_FOREACH_SAFE(batch->blocks, block, next_block)
        batch_free_block(batch, block);
    DL_FOREACH_SAFE(batch->requeued, node, next_node)
        free(node);
    delays_fini(&batch->delays);
    spans_fini(&batch->skipped);
    spans_fini(&batch->before);
    spans_fini(&batch->cancelled);
    spans_fini(&batch->urged);
    free(batch->reason);
    free(batch->common);
    free(batch->held);
    free(batch);
}

/* Of jobs first .. end - 1, ends those that had ended before. */
static int pass_before(struct batch *batch, uint64_t first, uint64_t end)
{
    const struct span *before = spans_list(&batch->before);
    struct job_run run;
    int result = 0;

    for (uint32_t i = spans_find(&batch->before, first); i < batch->before.count && before[i].first < end;
         i++) {
        do {
            result = batch_cancel_queued(batch, before[i].first, before[i].count, &run);
            if (result != 0)
                return result;
            batch->totals.cancelled -= run.count;
        } while (run.count > 0);
    }
    return 0;
}

int batch_end_before(struct batch *batch, const struct span *ended, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (spans_add(&batch->before, ended[i].first, ended[i].count) != 0)
            return MUSTER_ENOMEM;
    return pass_before(batch, 1, batch->total + 1);
}

int batch_append(struct batch *batch, uint64_t now_ns, const struct proto_message *message)
{
    const struct proto_arguments_block *arguments = &message->arguments;
    struct block *block;

    if (batch->sealed || batch->received_cost >= batch->granted_cost)
        return MUSTER_ESTATE;
    if (arguments->first != batch->total + 1)
        return MUSTER_EPROTOCOL;
    block = calloc(1, sizeof *block);
    if (!block)
        return MUSTER_ENOMEM;
    block->payload = message->payload;
    blob_ref(block->payload.blob);
    block->first = arguments->first;
    block->came_ns = now_ns;
    block->shared_bytes = arguments->shared_bytes;
    block->count = block->unended = arguments->count;
    DL_APPEND(batch->blocks, block);
    if (batch->fresh.count == 0) {
        batch->fresh.block = block;
        batch->fresh_offset = 0;
    }
    batch->received_cost += proto_cost(message);
    batch->total += block->count;
    batch->fresh.count += block->count;
    batch->queued += block->count;
    return pass_before(batch, arguments->first, arguments->first + arguments->count);
}

int batch_seal(struct batch *batch, uint64_t total)
{
    if (batch->sealed)
        return MUSTER_ESTATE;
    if (total != batch->total)
        return MUSTER_EPROTOCOL;
    batch->sealed = true;
    batch_note_change(batch);
    return 0;
}

/* What is left of the window when the results of all assigned jobs have come. */
static double window_left(const struct batch *batch)
{
    return (double)batch->settings.window_bytes - (double)(batch->sent_cost - batch->consumed_cost) -
           (double)batch->assigned * batch->mean_result;
}

bool batch_ready(const struct batch *batch)
{
    if (batch->requeued)
        return true;
    if (batch->fresh.count == 0 || batch->sent_cost - batch->consumed_cost >= batch->settings.window_bytes)
        return false;
    return batch->assigned < batch->workers || window_left(batch) > 0;
}

uint32_t batch_room(const struct batch *batch)
{
    double left = window_left(batch);

    if (left <= batch->mean_result)
        return 1;
    return left >= batch->mean_result * PROTO_CHUNK_JOBS_MAX ? PROTO_CHUNK_JOBS_MAX
                                                             : (uint32_t)(left / batch->mean_result);
}

void batch_note_results(struct batch *batch, uint32_t jobs, uint64_t bytes)
{
    double mean = (double)bytes / jobs;

    batch->mean_result = batch->mean_result > 0 ? (batch->mean_result + mean) / 2 : mean;
}

bool batch_recalled(const struct batch *batch)
{
    return batch->requeued && batch->requeued->run.recalls > 0;
}

/* Cuts the first jobs off *run whose arguments are in one block, and says which. It is known, but for
 * jobs that batch_take_queued took. */
static struct job_run take_of_block(const struct batch *batch, struct job_run *run)
{
    struct block *block = run->block ? run->block : batch->blocks;
    struct job_run part;
    uint64_t left;

    if (!block) /* a range */
        return job_run_take(run, run->count);
    while (run->first >= block->first + block->count)
        block = block->next;
    left = block->first + block->count - run->first;
    part = job_run_take(run, left < run->count ? left : run->count);
    part.block = block;
    return part;
}

static int settle_part(struct batch *batch, struct job_run run, enum job_event event)
{
    int result = job_apply(&run, event);
    assert(result == 0);
    batch->assigned -= run.count;
    if (event == JOB_RETRY || event == JOB_CRASH)
        batch->totals.retried += run.count;
    if (job_ended(run.state)) {
        batch_count_ended(batch, &run);
        return 0;
    }
    batch->queued += run.count;
    return run.due_ns > 0 ? delays_add(&batch->delays, &run) : batch_requeue(batch, &run);
}

int batch_settle(struct batch *batch, struct job_run run, enum job_event event)
{
    int result = 0;

    while (run.count > 0 && result == 0)
        result = settle_part(batch, take_of_block(batch, &run), event);
    batch_note_change(batch);
    return result;
}

int batch_end_delays(struct batch *batch, uint64_t now_ns)
{
    struct job_run run;
    int result = 0;

    while (result == 0 && delays_take_due(&batch->delays, now_ns, &run)) {
        run.due_ns = 0;
        result = batch_requeue(batch, &run);
    }
    batch_note_change(batch);
    return result;
}

int batch_explain(struct batch *batch, int code, const char *reason)
{
    char *copy = strdup(reason);

    if (!copy)
        return MUSTER_ENOMEM;
    free(batch->reason);
    batch->reason = copy;
    batch->totals.code = code;
    return 0;
}

bool batch_over(const struct batch *batch)
{
    return batch->sealed && batch->queued == 0 && batch->assigned == 0;
}
