/* SPDX-License-Identifier: MIT
 *
 * The jobs and arguments of a batch. See batch.h.
 */
#include "coordinator/batch.h"

#include "base/clock.h"
#include "base/error.h"
#include "proto/codec.h"
#include "proto/scan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* A job that was taken back so often has a chunk of its own: its worker begins it, and cannot give it
 * back. A chunk of the most jobs has been halved to single ones by then. */
enum { RECALLS_MAX = 16 };
_Static_assert(PROTO_CHUNK_JOBS_MAX >> RECALLS_MAX == 1, "a chunk is halved so often");

struct batch *batch_create(uint64_t id, uint64_t now_ns, const char *client,
                           const struct proto_submit *submit, unsigned workers)
{
    struct batch *batch = calloc(1, sizeof *batch);

    if (!batch || batch_scale(batch, workers, workers) != 0) {
        free(batch);
        return NULL;
    }
    batch->id = id;
    batch->came_ns = now_ns;
    memcpy(batch->client, client, strnlen(client, PROTO_PEER_NAME_MAX));
    memcpy(batch->function, submit->function.bytes, submit->function.size);
    batch->settings = *submit;
    batch->settings.function = (struct proto_text){batch->function, submit->function.size};
    batch->settings.name = (struct proto_text){0}; /* what the message lent, and nobody here asks for */
    batch->settings.after = NULL;
    batch->settings.after_count = 0;
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

static void free_block(struct batch *batch, struct block *block)
{
    DL_DELETE(batch->blocks, block);
    blob_unref(block->payload.blob);
    free(block);
}

void batch_destroy(struct batch *batch)
{
    struct block *block, *next_block;
    struct requeued *node, *next_node;

    if (!batch)
        return;
    DL_FOREACH_SAFE(batch->blocks, block, next_block)
        free_block(batch, block);
    DL_FOREACH_SAFE(batch->requeued, node, next_node)
        free(node);
    delays_fini(&batch->delays);
    spans_fini(&batch->skipped);
    spans_fini(&batch->before);
    spans_fini(&batch->cancelled);
    free(batch->reason);
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

/* The bytes of `run`'s arguments, which start at or behind `offset` where job `from` starts. */
static int find_arguments(const struct job_run *run, uint64_t from, size_t offset,
                          struct slice *ret_arguments)
{
    const struct slice *payload = &run->block->payload;
    const uint8_t *bytes = slice_bytes(payload);
    size_t skipped, length;
    int result;

    result =
        scan_values(&scan_value_limits, bytes + offset, payload->size - offset, run->first - from, &skipped);
    if (result != 0)
        return result;
    offset += skipped;
    result = scan_values(&scan_value_limits, bytes + offset, payload->size - offset, run->count, &length);
    if (result != 0)
        return result;
    *ret_arguments =
        (struct slice){.blob = payload->blob, .offset = payload->offset + offset, .size = length};
    return 0;
}

static void drop_requeued(struct batch *batch, struct requeued *node)
{
    if (batch->requeued_last == node)
        batch->requeued_last = NULL;
    DL_DELETE(batch->requeued, node);
    free(node);
}

static int take_requeued(struct batch *batch, uint32_t count, struct job_run *ret_run,
                         struct slice *ret_arguments)
{
    struct requeued *node = batch->requeued;
    uint64_t take = count < node->run.count ? count : node->run.count;
    struct job_run run = node->run;
    int result = 0;

    if (run.recalls >= RECALLS_MAX)
        take = 1;
    run.count = take;
    if (run.block)
        result = find_arguments(&run, run.block->first, 0, ret_arguments);
    if (result != 0)
        return result;
    *ret_run = job_run_take(&node->run, take);
    if (node->run.count == 0)
        drop_requeued(batch, node);
    batch_note_change(batch); /* what is the first now may have come back */
    return 0;
}

/* Takes up to `count` jobs off the fresh ones, all of one block. */
static int advance_fresh(struct batch *batch, uint64_t count, struct job_run *ret_run,
                         struct slice *ret_arguments)
{
    struct block *block = batch->fresh.block;
    struct job_run run = batch->fresh;
    int result;

    run.count = count < batch->fresh.count ? count : batch->fresh.count;
    if (block) {
        uint64_t left = block->first + block->count - run.first;

        run.count = run.count < left ? run.count : left;
        result = find_arguments(&run, run.first, batch->fresh_offset, ret_arguments);
        if (result != 0)
            return result;
        batch->fresh_offset += ret_arguments->size;
        batch->taken_cost += ret_arguments->size;
        if (run.count == left) { /* the next fresh job, if any, starts the next block */
            batch->taken_cost += PROTO_MESSAGE_COST_BYTES;
            batch->fresh.block = block->next;
            batch->fresh_offset = 0;
        }
    }
    *ret_run = run;
    batch->fresh.first += run.count;
    batch->fresh.count -= run.count;
    return 0;
}

/* A block is kept until its jobs are over, and until the fresh ones are behind it. */
static void let_go(struct batch *batch, struct block *block)
{
    if (block->unended == 0 && block->first + block->count <= batch->fresh.first)
        free_block(batch, block);
}

/* Jobs that were cancelled do not stay the first of the fresh ones. */
static int pass_skipped(struct batch *batch)
{
    while (batch->skipped.count > 0 && spans_list(&batch->skipped)->first == batch->fresh.first) {
        struct slice arguments;
        struct job_run passed;
        int result = advance_fresh(batch, spans_list(&batch->skipped)->count, &passed, &arguments);

        if (result == 0)
            result = spans_take(&batch->skipped, passed.first, passed.count);
        if (result != 0)
            return result;
        if (passed.block)
            let_go(batch, passed.block);
    }
    return 0;
}

static int take_fresh(struct batch *batch, uint32_t count, struct job_run *ret_run,
                      struct slice *ret_arguments)
{
    uint64_t most = count;
    int result;

    if (batch->skipped.count > 0 && most > spans_list(&batch->skipped)->first - batch->fresh.first)
        most = spans_list(&batch->skipped)->first - batch->fresh.first;
    result = advance_fresh(batch, most, ret_run, ret_arguments);
    return result == 0 ? pass_skipped(batch) : result;
}

int batch_take(struct batch *batch, uint64_t now_ns, uint32_t count, struct job_run *ret_run,
               struct slice *ret_arguments, int64_t *ret_first_argument)
{
    struct slice arguments = {0};
    struct job_run run;
    int result;

    result = batch->requeued ? take_requeued(batch, count, &run, &arguments)
                             : take_fresh(batch, count, &run, &arguments);
    if (result != 0)
        return result;
    result = job_apply(&run, JOB_ASSIGN);
    assert(result == 0);
    run.queued_ns = run.block ? run.block->came_ns : batch->came_ns;
    run.assigned_ns = now_ns;
    batch->queued -= run.count;
    batch->assigned += run.count;
    *ret_run = run;
    *ret_arguments = arguments;
    *ret_first_argument = (int64_t)((uint64_t)batch->settings.first + run.first - 1);
    return 0;
}

/* The run behind which a job belongs, or NULL: it comes first. Reports come in order of index,
 * so the search begins where the last one ended. */
static struct requeued *find_place(const struct batch *batch, uint64_t first)
{
    struct requeued *place = batch->requeued_last;

    if (!place && batch->requeued)
        place = batch->requeued->prev; /* the last */
    while (place && place->run.first > first)
        place = place == batch->requeued ? NULL : place->prev;
    while (place && place->next && place->next->run.first < first)
        place = place->next;
    return place;
}

static int requeue(struct batch *batch, const struct job_run *run)
{
    struct requeued *before = find_place(batch, run->first), *node, *after;

    if (before && job_run_continues(&before->run, run)) {
        before->run.count += run->count;
        node = before;
    } else {
        node = malloc(sizeof *node);
        if (!node)
            return MUSTER_ENOMEM;
        node->run = *run;
        if (before)
            DL_APPEND_ELEM(batch->requeued, before, node);
        else
            DL_PREPEND(batch->requeued, node);
    }
    after = node->next;
    if (after && job_run_continues(&node->run, &after->run)) {
        node->run.count += after->run.count;
        drop_requeued(batch, after);
    }
    batch->requeued_last = node;
    return 0;
}

/* Counts jobs that have ended, and lets go of arguments nobody will ask for again. */
static void count_ended(struct batch *batch, const struct job_run *run)
{
    switch (run->state) {
    case JOB_SUCCEEDED:
        batch->totals.succeeded += run->count;
        break;
    case JOB_FAILED:
        batch->totals.failed += run->count;
        break;
    case JOB_CANCELLED:
        batch->totals.cancelled += run->count;
        break;
    case JOB_QUEUED:
    case JOB_ASSIGNED:
        return;
    }
    if (!run->block)
        return;
    assert(run->block->unended >= run->count);
    run->block->unended -= (uint32_t)run->count;
    let_go(batch, run->block);
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
        count_ended(batch, &run);
        return 0;
    }
    batch->queued += run.count;
    return run.due_ns > 0 ? delays_add(&batch->delays, &run) : requeue(batch, &run);
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
        result = requeue(batch, &run);
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

/* The next run of fresh jobs among lowest .. end - 1; count 0: there is none. All of one block, and
 * none that was cancelled before. */
static struct job_run find_fresh(const struct batch *batch, uint64_t lowest, uint64_t end)
{
    struct job_run run = batch->fresh;
    const struct span *skipped = spans_list(&batch->skipped);
    uint32_t place;

    if (lowest > run.first)
        run.first = lowest;
    if (end > batch->total + 1)
        end = batch->total + 1;
    for (place = spans_find(&batch->skipped, run.first);
         place < batch->skipped.count && skipped[place].first <= run.first; place++)
        run.first = skipped[place].first + skipped[place].count;
    if (place < batch->skipped.count && skipped[place].first < end)
        end = skipped[place].first;
    while (run.block && run.first >= run.block->first + run.block->count)
        run.block = run.block->next;
    if (run.block && end > run.block->first + run.block->count)
        end = run.block->first + run.block->count;
    run.count = run.first < end ? end - run.first : 0;
    return run;
}

static int skip_fresh(struct batch *batch, uint64_t first, uint64_t end, struct job_run *ret_run)
{
    struct job_run run = find_fresh(batch, first, end);

    if (run.count > 0 && spans_add(&batch->skipped, run.first, run.count) != 0)
        return MUSTER_ENOMEM;
    *ret_run = run;
    return 0;
}

/* Cuts jobs out of those that are to run again. */
static int cut_requeued(struct batch *batch, uint64_t first, uint64_t end, struct job_run *ret_run)
{
    struct requeued *node;

    ret_run->count = 0;
    for (node = batch->requeued; node && node->run.first < end; node = node->next) {
        uint64_t node_end = node->run.first + node->run.count;
        struct job_run run = node->run;

        if (node_end <= first)
            continue;
        run.first = run.first < first ? first : run.first;
        run.count = (node_end < end ? node_end : end) - run.first;
        if (run.first > node->run.first && run.first + run.count < node_end) {
            struct requeued *behind = malloc(sizeof *behind);

            if (!behind)
                return MUSTER_ENOMEM;
            behind->run = node->run;
            behind->run.first = run.first + run.count;
            behind->run.count = node_end - behind->run.first;
            DL_APPEND_ELEM(batch->requeued, node, behind);
        }
        if (run.first > node->run.first) {
            node->run.count = run.first - node->run.first;
        } else {
            job_run_take(&node->run, run.count);
            if (node->run.count == 0)
                drop_requeued(batch, node);
        }
        *ret_run = run;
        return 0;
    }
    return 0;
}

/* Takes the next run of queued jobs among first .. first + count - 1 out of the queue, for this to happen. */
static int take_out(struct batch *batch, uint64_t first, uint64_t count, enum job_event event,
                    struct job_run *ret_run)
{
    struct job_run run;
    int result = cut_requeued(batch, first, first + count, &run);

    if (result == 0 && run.count == 0)
        result = delays_take(&batch->delays, first, first + count, &run);
    if (result == 0 && run.count == 0)
        result = skip_fresh(batch, first, first + count, &run);
    if (result != 0)
        return result;
    if (run.count > 0) {
        result = job_apply(&run, event);
        assert(result == 0);
        batch->queued -= run.count;
        count_ended(batch, &run);
        result = pass_skipped(batch);
        assert(result == 0); /* arguments were scanned when they came in */
    }
    run.block = NULL; /* it may be gone */
    *ret_run = run;
    batch_note_change(batch);
    return 0;
}

int batch_cancel_queued(struct batch *batch, uint64_t first, uint64_t count, struct job_run *ret_run)
{
    return take_out(batch, first, count, JOB_CANCEL, ret_run);
}

int batch_take_queued(struct batch *batch, uint64_t first, uint64_t count, struct job_run *ret_run)
{
    int result = take_out(batch, first, count, JOB_ASSIGN, ret_run);

    if (result == 0)
        batch->assigned += ret_run->count;
    return result;
}

static void drop_fresh(struct batch *batch)
{
    struct block *block, *next;
    struct job_run run;

    while ((run = find_fresh(batch, batch->fresh.first, batch->total + 1)).count > 0) {
        int result = job_apply(&run, JOB_CANCEL);
        struct block *after = run.block;

        assert(result == 0);
        batch->fresh.first = run.first + run.count;
        if (after && batch->fresh.first == after->first + after->count)
            after = after->next; /* the block may be let go of */
        batch->fresh.block = after;
        count_ended(batch, &run);
    }
    batch->fresh = (struct job_run){.first = batch->total + 1, .state = JOB_QUEUED};
    spans_fini(&batch->skipped);
    DL_FOREACH_SAFE(batch->blocks, block, next)
        let_go(batch, block);
}

void batch_drop_queue(struct batch *batch)
{
    struct requeued *node, *next;
    struct job_run run;

    DL_FOREACH_SAFE(batch->requeued, node, next) {
        int result = job_apply(&node->run, JOB_CANCEL);

        assert(result == 0);
        count_ended(batch, &node->run);
        free(node);
    }
    batch->requeued = batch->requeued_last = NULL;
    while (delays_take_due(&batch->delays, CLOCK_NEVER, &run)) {
        int result = job_apply(&run, JOB_CANCEL);

        assert(result == 0);
        count_ended(batch, &run);
    }
    drop_fresh(batch);
    batch->queued = 0;
    batch->sealed = true;
    batch_note_change(batch);
}

bool batch_over(const struct batch *batch)
{
    return batch->sealed && batch->queued == 0 && batch->assigned == 0;
}
