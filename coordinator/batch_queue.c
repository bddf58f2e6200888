/* SPDX-License-Identifier: MIT
 *
 * The queue of a batch: fresh jobs, those that run again, and those that were cancelled. See batch.h.
 */
#include "coordinator/batch_queue.h"

#include "base/clock.h"
#include "base/error.h"
#include "proto/scan.h"

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

/* A job that was taken back so often has a chunk of its own: its worker begins it, and cannot give it
 * back. A chunk of the most jobs has been halved to single ones by then. */
enum { RECALLS_MAX = 16 };
_Static_assert(PROTO_CHUNK_JOBS_MAX >> RECALLS_MAX == 1, "a chunk is halved so often");

void batch_free_block(struct batch *batch, struct block *block)
{
    DL_DELETE(batch->blocks, block);
    blob_unref(block->payload.blob);
    free(block);
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
        batch_free_block(batch, block);
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

int batch_requeue(struct batch *batch, const struct job_run *run)
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

void batch_count_ended(struct batch *batch, const struct job_run *run)
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
        batch_count_ended(batch, &run);
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
        batch_count_ended(batch, &run);
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
        batch_count_ended(batch, &node->run);
        free(node);
    }
    batch->requeued = batch->requeued_last = NULL;
    while (delays_take_due(&batch->delays, CLOCK_NEVER, &run)) {
        int result = job_apply(&run, JOB_CANCEL);

        assert(result == 0);
        batch_count_ended(batch, &run);
    }
    drop_fresh(batch);
    batch->queued = 0;
    batch->sealed = true;
    batch_note_change(batch);
}
