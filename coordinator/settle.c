/* SPDX-License-Identifier: MIT
 *
 * What became of jobs: results, failures that are tried again, crashes and who is to blame.
 * Part of the core: pure.
 */
#include "base/clock.h"
#include "coordinator/state.h"
#include "proto/codec.h"
#include "proto/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* A job is given up when so many workers died with it that were not executing it, or as many as
 * --crash-limit says if that is more. One whose argument or result workers cannot live with (it
 * is too large for --memory) would kill them for ever; workers that are killed from outside are
 * hardly hit so often at the same job. */
enum { ORPHANED_MAX = 10 };

static struct chunk *find_chunk(const struct worker *worker, uint64_t id)
{
    struct chunk *chunk;

    DL_SEARCH_SCALAR(worker->chunks, chunk, id, id);
    return chunk;
}

static void drop_chunk(struct worker *worker, struct chunk *chunk)
{
    DL_DELETE(worker->chunks, chunk);
    worker->holds--;
    free(chunk);
}

/* batch_settle, where running out of memory ends the coordinator rather than a promise. */
static void settle(struct batch *batch, struct job_run run, enum job_event event, struct outbox *outbox)
{
    if (batch_settle(batch, run, event) != 0)
        outbox->failed = true;
}

/* Sends a message about a batch to its client, unless that has left. */
static void tell_client(const struct batch *batch, const struct proto_message *message, struct outbox *outbox)
{
    if (batch->client[0])
        outbox_send(outbox, batch->client, message);
}

static void send_results(struct batch *batch, const struct worker *worker,
                         const struct proto_outcome *outcome, const struct slice *payload,
                         struct outbox *outbox)
{
    struct proto_message message = {
        .type = PROTO_RESULTS,
        .results = {.ticket = batch->settings.ticket, .worker = worker->slot, .outcome = *outcome},
        .payload = *payload,
    };

    batch->sent_cost += proto_cost(&message);
    tell_client(batch, &message, outbox);
}

/* What a job's failure means for it. */
static enum job_event judge(const struct batch *batch, const struct job_run *run, int code)
{
    if (batch->cancel && (code == MUSTER_ECANCELLED || batch->cancel == PROTO_CANCEL_NOW))
        return JOB_CANCEL;
    return !batch->cancel && run->failures < batch->settings.retries ? JOB_RETRY : JOB_FAIL;
}

/* Passes on the part of an outcome that covers jobs first .. end - 1, with the failures and
 * the bytes of the payload that belong to it; `payload` shrinks by what was passed on. */
static bool forward(struct batch *batch, const struct worker *worker, struct proto_outcome part, uint64_t end,
                    struct slice *payload, struct outbox *outbox)
{
    struct slice values = *payload;
    size_t length;

    part.count = (uint32_t)(end - part.first);
    if (part.count == 0)
        return true;
    if (scan_values(&scan_value_limits, slice_bytes(payload), payload->size, part.count - part.failure_count,
                    &length) != 0)
        return false;
    values.size = length;
    payload->offset += length;
    payload->size -= length;
    send_results(batch, worker, &part, &values, outbox);
    return true;
}

/* Settles the jobs of a report, which `run` are, and passes on what is final. Jobs that are
 * tried again, or were cancelled, are holes between the parts that go to the client. */
static bool settle_outcome(struct batch *batch, const struct worker *worker, struct job_run run,
                           const struct proto_outcome *outcome, struct slice payload, struct outbox *outbox)
{
    struct proto_outcome part = *outcome;

    part.failure_count = 0;
    for (uint32_t i = 0; i < outcome->failure_count; i++) {
        const struct proto_failure *failure = &outcome->failures[i];
        enum job_event event;

        settle(batch, job_run_take(&run, failure->index - run.first), JOB_SUCCEED, outbox);
        event = judge(batch, &run, failure->code);
        settle(batch, job_run_take(&run, 1), event, outbox);
        if (event == JOB_FAIL) {
            part.failure_count++;
            continue;
        }
        if (!forward(batch, worker, part, failure->index, &payload, outbox))
            return false;
        if (part.first < failure->index)
            part.execute_ns = part.cpu_ns = 0; /* told with the first part */
        part.first = failure->index + 1;
        part.failures = &outcome->failures[i + 1];
        part.failure_count = 0;
        if (part.timings)
            part.timings = &outcome->timings[PROTO_TIMINGS * (part.first - outcome->first)];
    }
    settle(batch, run, JOB_SUCCEED, outbox);
    return forward(batch, worker, part, outcome->first + outcome->count, &payload, outbox);
}

void settle_late(struct core *core, const struct proto_result *result)
{
    struct batch *batch;

    core->late += result->outcome.count;
    DL_SEARCH_SCALAR(core->batches, batch, id, result->batch);
    if (batch)
        batch->totals.late += result->outcome.count;
}

/* Adds to a batch's total what a count of a worker process has grown by since its last report. */
static void account(uint64_t *total, uint64_t *known, uint64_t now)
{
    if (now <= *known)
        return;
    *total += now - *known;
    *known = now;
}

bool settle_result(struct core *core, struct worker *worker, const struct proto_message *message,
                   struct outbox *outbox)
{
    const struct proto_result *result = &message->result;
    const struct proto_outcome *outcome = &result->outcome;
    struct chunk *chunk = find_chunk(worker, result->chunk);
    struct batch *batch;

    if (!chunk) {
        settle_late(core, result);
        return true;
    }
    batch = chunk->batch;
    if (result->batch != batch->id || outcome->first != chunk->run.first ||
        outcome->count > chunk->run.count || outcome->attempt != chunk->run.attempts + 1 ||
        (outcome->count > 0 && (outcome->timings != NULL) != batch->settings.timings))
        return false;
    batch->totals.bytes_out += message->payload.size;
    batch->totals.execute_ns += outcome->execute_ns;
    batch->totals.cpu_ns += outcome->cpu_ns;
    account(&batch->totals.process_cpu_ns, &worker->process_cpu_ns, result->process_cpu_ns);
    account(&batch->totals.voluntary, &worker->voluntary, result->process_voluntary);
    account(&batch->totals.involuntary, &worker->involuntary, result->process_involuntary);
    pacing_report(&batch->pacing, outcome->count, outcome->execute_ns);
    if (outcome->count > 0)
        batch_note_results(batch, outcome->count, message->payload.size);
    if (outcome->count > 0 && !settle_outcome(batch, worker, job_run_take(&chunk->run, outcome->count),
                                              outcome, message->payload, outbox))
        return false;
    if (result->final || chunk->run.count == 0) { /* then nothing keeps the batch from ending */
        settle(batch, chunk->run, batch->cancel ? JOB_CANCEL : JOB_RETURN, outbox);
        drop_chunk(worker, chunk);
    }
    return true;
}

/* A failure that no worker reported: the job ended with its worker. */
static void send_failure(struct batch *batch, const struct worker *worker, const struct job_run *run,
                         int code, const char *text, struct outbox *outbox)
{
    struct proto_failure *failure = outbox_alloc(outbox, sizeof *failure);
    uint64_t *timings =
        batch->settings.timings ? outbox_alloc(outbox, PROTO_TIMINGS * sizeof *timings) : NULL;
    struct slice nothing = {.blob = blob_copy("", 0)};
    struct proto_outcome outcome = {
        .first = run->first,
        .count = 1,
        .attempt = run->attempts + 1,
        .failures = failure,
        .failure_count = 1,
        .timings = timings,
    };

    if (!failure || !nothing.blob || (batch->settings.timings && !timings)) {
        outbox->failed = true;
    } else {
        *failure =
            (struct proto_failure){.index = run->first, .code = code, .text = outbox_text(outbox, text)};
        if (timings)
            memset(timings, 0, PROTO_TIMINGS * sizeof *timings);
        send_results(batch, worker, &outcome, &nothing, outbox);
    }
    blob_unref(nothing.blob);
}

/* ", at 40%" behind a text, when the job had said so. */
static void add_progress(unsigned progress, char *text, size_t size)
{
    size_t used = strlen(text);

    if (progress > 0)
        snprintf(text + used, size - used, ", at %u%%", progress / 10);
}

/* What a job that crashed its worker is told when it does not get another try. */
static int crash_text(const struct batch *batch, const struct job_run *run, const struct worker_exit *exit,
                      char *ret_text, size_t size)
{
    unsigned crashes = run->crashes + 1;
    bool quarantined = crashes > 1 && crashes >= batch->settings.crash_limit;

    if (quarantined)
        snprintf(ret_text, size, "crashed its worker %u times and is quarantined; the last one: %s", crashes,
                 exit->reason);
    else
        snprintf(ret_text, size, "crashed its worker: %s", exit->reason);
    add_progress(exit->progress, ret_text, size);
    return quarantined ? MUSTER_EQUARANTINED : MUSTER_ECRASHED;
}

/* The job that was executing when its worker died. */
static void blame(struct batch *batch, const struct worker *worker, struct job_run run,
                  const struct worker_exit *exit, struct outbox *outbox)
{
    char text[512];
    enum job_event event;
    int code;

    if (batch->cancel == PROTO_CANCEL_NOW) {
        event = JOB_CANCEL;
    } else if (exit->timed_out) {
        code = MUSTER_ETIMEOUT;
        event = judge(batch, &run, code);
        snprintf(text, sizeof text, "timed out after %.3g s", batch->settings.timeout_ms / 1e3);
        add_progress(exit->progress, text, sizeof text);
    } else if (run.crashes + 1 < batch->settings.crash_limit && !batch->cancel) {
        event = JOB_CRASH;
    } else {
        event = JOB_QUARANTINE;
        code = crash_text(batch, &run, exit, text, sizeof text);
    }
    if (event == JOB_FAIL || event == JOB_QUARANTINE)
        send_failure(batch, worker, &run, code, text, outbox);
    settle(batch, run, event, outbox);
}

/* The job with which a worker died that was not executing it. */
static void orphan(struct batch *batch, const struct worker *worker, struct job_run run,
                   const struct worker_exit *exit, struct outbox *outbox)
{
    uint32_t crash_limit = batch->settings.crash_limit;
    uint32_t most = crash_limit > ORPHANED_MAX ? crash_limit : ORPHANED_MAX;
    enum job_event event = batch->cancel ? JOB_CANCEL : JOB_ORPHAN;
    char text[512];

    if (event == JOB_ORPHAN && run.orphaned + 1 >= most) {
        snprintf(text, sizeof text,
                 "%u workers died just before or after they ran it, and it is quarantined; the last one: "
                 "%s",
                 run.orphaned + 1, exit->reason);
        send_failure(batch, worker, &run, MUSTER_EQUARANTINED, text, outbox);
        event = JOB_QUARANTINE;
    }
    settle(batch, run, event, outbox);
}

static bool holds(const struct chunk *chunk, uint64_t index)
{
    return index >= chunk->run.first && index - chunk->run.first < chunk->run.count;
}

/* The job with which a worker died, and the chunk it is in: the one that it was executing; or
 * else the last that it executed, if the outcome was lost with it; or else its next one. NULL
 * when it held nothing, or was killed for the sake of a batch that was cancelled. */
static struct chunk *find_suspect(const struct worker *worker, const struct worker_exit *exit,
                                  uint64_t *ret_index)
{
    struct chunk *chunk = find_chunk(worker, exit->chunk);

    if (worker->doom == DOOM_CANCELLED)
        return NULL;
    if (chunk && holds(chunk, exit->index)) {
        *ret_index = exit->index;
        return chunk;
    }
    if (exit->executing || !worker->chunks)
        return NULL;
    *ret_index = worker->chunks->run.first;
    return worker->chunks;
}

void settle_exit(struct core *core, struct worker *worker, const struct worker_exit *exit,
                 struct outbox *outbox)
{
    uint64_t suspect_index = 0;
    const struct chunk *suspect = find_suspect(worker, exit, &suspect_index);

    (void)core;
    while (worker->chunks) {
        struct chunk *chunk = worker->chunks;
        struct batch *batch = chunk->batch;
        struct job_run *run = &chunk->run;
        enum job_event innocent = batch->cancel ? JOB_CANCEL : JOB_RETURN;

        if (chunk == suspect) {
            settle(batch, job_run_take(run, suspect_index - run->first), innocent, outbox);
            if (exit->executing)
                blame(batch, worker, job_run_take(run, 1), exit, outbox);
            else
                orphan(batch, worker, job_run_take(run, 1), exit, outbox);
        }
        settle(batch, *run, innocent, outbox);
        drop_chunk(worker, chunk);
        DL_SEARCH_SCALAR(worker->chunks, chunk, batch, batch);
        if (!chunk && !exit->timed_out && worker->doom != DOOM_CANCELLED)
            batch->totals.crashes++; /* once a batch: that was the last of its chunks */
    }
}

void settle_ended(struct core *core, struct outbox *outbox)
{
    struct batch *batch, *next;

    DL_FOREACH_SAFE(core->batches, batch, next) {
        if (!batch_over(batch))
            continue;
        if (batch->reason)
            batch->totals.text = outbox_text(outbox, batch->reason);
        tell_client(batch, &(struct proto_message){.type = PROTO_ENDED, .ended = batch->totals}, outbox);
        DL_DELETE(core->batches, batch);
        batch_destroy(batch);
    }
}
