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

void settle_jobs(struct batch *batch, struct job_run run, enum job_event event, struct outbox *outbox)
{
    if (batch_settle(batch, run, event) != 0 ||
        spans_drop(&batch->cancelled, run.first, run.count) != 0 || /* not assigned any more */
        spans_drop(&batch->urged, run.first, run.count) != 0)
        outbox->failed = true;
    schedule_wake(&batch->turn);
}

bool settle_is_cancelled(const struct batch *batch, uint64_t index)
{
    return batch->cancelled.count > 0 && spans_hold(&batch->cancelled, index);
}

/* Sends a message about a batch to its client, unless that has left. */
static void tell_client(const struct batch *batch, const struct proto_message *message, struct outbox *outbox)
{
    if (batch->client[0])
        outbox_send(outbox, batch->client, message);
}

/* `run`: some of these jobs, as they were assigned. */
static void send_results(struct batch *batch, unsigned slot, const struct job_run *run,
                         const struct proto_outcome *outcome, const struct slice *payload,
                         struct outbox *outbox)
{
    struct proto_message message = {
        .type = PROTO_RESULTS,
        .results = {.ticket = batch->settings.ticket,
                    .worker = slot,
                    .queued_ns = run->queued_ns,
                    .assigned_ns = run->assigned_ns,
                    .outcome = *outcome},
        .payload = *payload,
    };

    batch->sent_cost += proto_cost(&message);
    if (!batch->client[0] && outcome->shared_bytes > 0)
        outbox_release(outbox, payload);
    tell_client(batch, &message, outbox);
}

enum job_event settle_judge(const struct batch *batch, const struct job_run *run, int code)
{
    if (batch->cancel && (code == MUSTER_ECANCELLED || batch->cancel == PROTO_CANCEL_NOW))
        return JOB_CANCEL;
    if (settle_is_cancelled(batch, run->first))
        return JOB_CANCEL;
    return !batch->cancel && run->failures < batch->settings.retries ? JOB_RETRY : JOB_FAIL;
}

void settle_delay(const struct batch *batch, uint64_t now_ns, enum job_event event, struct job_run *run)
{
    if (batch->settings.backoff_ms > 0 && (event == JOB_RETRY || event == JOB_CRASH))
        run->due_ns = clock_after(now_ns, delays_backoff_ns(batch->settings.backoff_ms, run->attempts + 1));
}

/* Passes on the part of an outcome that covers jobs first .. end - 1, with the failures and
 * the bytes of the payload that belong to it; `payload` shrinks by what was passed on. */
static bool forward(struct batch *batch, const struct worker *worker, const struct job_run *run,
                    struct proto_outcome part, uint64_t end, struct slice *payload, struct outbox *outbox)
{
    struct slice values = *payload;
    size_t length;

    part.count = (uint32_t)(end - part.first);
    if (part.count == 0)
        return true;
    if (scan_values(&scan_value_limits, slice_bytes(payload), payload->size, proto_outcome_values(&part),
                    &length) != 0)
        return false;
    values.size = length;
    payload->offset += length;
    payload->size -= length;
    send_results(batch, worker->slot, run, &part, &values, outbox);
    return true;
}

/* As settle_judge, of a job of a report. One with a value came to its own end, whoever was about to end it:
 * it has failed, as another one has succeeded. */
static enum job_event judge(const struct batch *batch, const struct job_run *run,
                            const struct proto_failure *failure)
{
    bool ended = failure->valued && failure->code != MUSTER_ECANCELLED;

    if (ended && (batch->cancel || settle_is_cancelled(batch, run->first)))
        return JOB_FAIL;
    return settle_judge(batch, run, failure->code);
}

/* The value of a job whose end is not told: the next one of the payload. */
static bool drop_value(struct slice *payload, bool shared, struct outbox *outbox)
{
    struct slice value = *payload;
    size_t length;

    if (scan_values(&scan_value_limits, slice_bytes(payload), payload->size, 1, &length) != 0)
        return false;
    value.size = length;
    if (shared)
        outbox_release(outbox, &value);
    payload->offset += length;
    payload->size -= length;
    return true;
}

/* Settles the jobs of a report, which `run` are, and passes on what is final. Jobs that are
 * tried again, or were cancelled, are holes between the parts that go to the client; one that it
 * cancelled by itself is told of, however it failed. */
static bool settle_outcome(uint64_t now_ns, struct batch *batch, const struct worker *worker,
                           struct job_run run, const struct proto_outcome *outcome, struct slice payload,
                           struct outbox *outbox)
{
    struct proto_outcome part = *outcome;

    part.failure_count = 0;
    for (uint32_t i = 0; i < outcome->failure_count; i++) {
        const struct proto_failure *failure = &outcome->failures[i];
        enum job_event event;
        struct job_run job;

        settle_jobs(batch, job_run_take(&run, failure->index - run.first), JOB_SUCCEED, outbox);
        event = judge(batch, &run, failure);
        job = job_run_take(&run, 1);
        settle_delay(batch, now_ns, event, &job);
        settle_jobs(batch, job, event, outbox);
        if (event == JOB_FAIL) {
            part.failure_count++;
            continue;
        }
        if (!forward(batch, worker, &run, part, failure->index, &payload, outbox) ||
            (failure->valued && !drop_value(&payload, outcome->shared_bytes > 0, outbox)))
            return false;
        if (event == JOB_CANCEL && !batch->cancel)
            settle_cancelled(batch, worker->slot, &job, outbox);
        if (part.first < failure->index) { /* told with the first part */
            part.decode_ns = part.execute_ns = part.encode_ns = part.cpu_ns = 0;
            part.shared_bytes = part.shared_bytes > 0; /* there may still be references */
        }
        part.first = failure->index + 1;
        part.failures = &outcome->failures[i + 1];
        part.failure_count = 0;
        if (part.timings)
            part.timings = &outcome->timings[PROTO_TIMINGS * (part.first - outcome->first)];
    }
    settle_jobs(batch, run, JOB_SUCCEED, outbox);
    return forward(batch, worker, &run, part, outcome->first + outcome->count, &payload, outbox);
}

void settle_late(struct core *core, const struct proto_message *message, struct outbox *outbox)
{
    const struct proto_result *result = &message->result;
    struct batch *batch;

    if (result->outcome.shared_bytes > 0)
        outbox_release(outbox, &message->payload);
    core->late += result->outcome.count;
    batch = core_batch(core, result->batch);
    if (batch)
        batch->totals.late += result->outcome.count;
}

/* Up to PROTO_REPORT_FAILURES_MAX of the jobs. */
static void send_failures(struct batch *batch, unsigned slot, const struct job_run *run, int code,
                          struct proto_text text, const struct slice *nothing, struct outbox *outbox)
{
    size_t count = run->count;
    struct proto_failure *failures = outbox_alloc(outbox, count * sizeof *failures);
    size_t timings_bytes = PROTO_TIMINGS * count * sizeof(uint64_t);
    uint64_t *timings = batch->settings.timings ? outbox_alloc(outbox, timings_bytes) : NULL;
    struct proto_outcome outcome = {
        .first = run->first,
        .count = (uint32_t)count,
        .attempt = run->attempts + 1,
        .failures = failures,
        .failure_count = (uint32_t)count,
        .timings = timings,
    };

    if (!failures || (batch->settings.timings && !timings)) {
        outbox->failed = true;
        return;
    }
    if (timings)
        memset(timings, 0, timings_bytes);
    for (size_t i = 0; i < count; i++)
        failures[i] = (struct proto_failure){.index = run->first + i, .code = code, .text = text};
    send_results(batch, slot, run, &outcome, nothing, outbox);
}

void settle_failure(struct batch *batch, unsigned slot, const struct job_run *run, int code, const char *text,
                    struct outbox *outbox)
{
    struct proto_text reason = outbox_text(outbox, text);
    struct slice nothing = {.blob = blob_copy("", 0)};
    struct job_run left = *run;

    if (!nothing.blob)
        outbox->failed = true;
    while (left.count > 0 && !outbox->failed) {
        uint64_t most = left.count < PROTO_REPORT_FAILURES_MAX ? left.count : PROTO_REPORT_FAILURES_MAX;
        struct job_run part = job_run_take(&left, most);

        send_failures(batch, slot, &part, code, reason, &nothing, outbox);
    }
    blob_unref(nothing.blob);
}

void settle_cancelled(struct batch *batch, unsigned slot, const struct job_run *run, struct outbox *outbox)
{
    settle_failure(batch, slot, run, MUSTER_ECANCELLED, muster_error_name(MUSTER_ECANCELLED), outbox);
}

void settle_return(struct batch *batch, const struct worker *worker, struct job_run run, enum job_event event,
                   struct outbox *outbox)
{
    while (run.count > 0 && !batch->cancel && batch->cancelled.count > 0) {
        uint32_t place = spans_find(&batch->cancelled, run.first);
        const struct span *span = &spans_list(&batch->cancelled)[place];
        uint64_t before, count;
        struct job_run part;

        if (place == batch->cancelled.count || span->first >= run.first + run.count)
            break;
        before = span->first > run.first ? span->first - run.first : 0;
        count = span->first + span->count - (run.first + before);
        part = job_run_take(&run, before);
        settle_jobs(batch, part, event, outbox);
        part = job_run_take(&run, count < run.count ? count : run.count);
        settle_cancelled(batch, worker->slot, &part, outbox);
        settle_jobs(batch, part, JOB_CANCEL, outbox);
    }
    settle_jobs(batch, run, batch->cancel ? JOB_CANCEL : event, outbox);
}

/* What is left of a chunk that is over: its worker stopped before these. */
static void settle_rest(const struct worker *worker, const struct chunk *chunk, struct outbox *outbox)
{
    enum job_event event = chunk->recalled ? JOB_RECALL : JOB_RETURN;

    for (uint32_t i = 0; i < chunk->left.count; i++) {
        struct job_run run = chunk->run;

        run.first = spans_list(&chunk->left)[i].first;
        run.count = spans_list(&chunk->left)[i].count;
        settle_return(chunk->batch, worker, run, event, outbox);
    }
}

/* Adds to a batch's total what a count of a worker process has grown by since its last report. */
static void account(uint64_t *total, uint64_t *known, uint64_t now)
{
    if (now <= *known)
        return;
    *total += now - *known;
    *known = now;
}

/* What a report says about the batch as a whole. */
static void count_report(struct batch *batch, struct worker *worker, const struct proto_message *message)
{
    const struct proto_result *result = &message->result;
    const struct proto_outcome *outcome = &result->outcome;
    uint64_t bytes = message->payload.size + outcome->shared_bytes;

    batch->totals.bytes_out += bytes;
    batch->totals.execute_ns += outcome->execute_ns;
    batch->totals.cpu_ns += outcome->cpu_ns;
    account(&batch->totals.process_cpu_ns, &worker->process_cpu_ns, result->process_cpu_ns);
    account(&batch->totals.voluntary, &worker->voluntary, result->process_voluntary);
    account(&batch->totals.involuntary, &worker->involuntary, result->process_involuntary);
    pacing_report_waits(&batch->pacing, outcome->count,
                        outcome->decode_ns + outcome->execute_ns + outcome->encode_ns, outcome->cpu_ns);
    if (outcome->count > 0)
        batch_note_results(batch, outcome->count, bytes);
}

/* Its share of time goes down by what the jobs took, at most all that the worker could have spent. */
static void charge(uint64_t now_ns, struct batch *batch, const struct worker *worker,
                   const struct job_run *run, const struct proto_outcome *outcome)
{
    double most_ns = (double)(now_ns - run->assigned_ns) * worker->concurrency;
    double took_ns = (double)outcome->execute_ns;

    schedule_correct(&batch->turn, (took_ns < most_ns ? took_ns : most_ns) * batch->demand.cpus);
}

/* Whether the report can be about this chunk; that its jobs are left is seen when they are taken. */
static bool fits(const struct chunk *chunk, const struct proto_result *result)
{
    const struct proto_outcome *outcome = &result->outcome;

    if (result->batch != chunk->batch->id || outcome->attempt != chunk->run.attempts + 1)
        return false;
    return outcome->count == 0 || (outcome->timings != NULL) == chunk->batch->settings.timings;
}

/* `run`: the jobs of a report, which its worker held. */
static bool settle_report(uint64_t now_ns, struct worker *worker, const struct chunk *chunk,
                          const struct job_run *run, const struct proto_message *message,
                          struct outbox *outbox)
{
    const struct proto_outcome *outcome = &message->result.outcome;
    struct batch *batch = chunk->batch;

    count_report(batch, worker, message);
    charge(now_ns, batch, worker, run, outcome);
    return outcome->count == 0 ||
           settle_outcome(now_ns, batch, worker, *run, outcome, message->payload, outbox);
}

bool settle_result(struct core *core, uint64_t now_ns, struct worker *worker,
                   const struct proto_message *message, struct outbox *outbox)
{
    const struct proto_result *result = &message->result;
    const struct proto_outcome *outcome = &result->outcome;
    struct chunk *chunk = hold_find(worker, result->chunk);
    struct job_run run;
    int taken;

    if (!chunk) {
        settle_late(core, message, outbox);
        if (result->final)
            adopt_ended(worker, result->chunk, outbox);
        return true;
    }
    if (!fits(chunk, result))
        return false;
    taken = hold_take(worker, chunk, outcome->first, outcome->count, &run);
    if (taken == MUSTER_ENOMEM)
        outbox->failed = true;
    if (taken == MUSTER_ESTATE && (chunk->adopted || chunk->repeats))
        adopt_reported_again(core, worker, chunk, message, outbox);
    else if (taken != 0)
        return outbox->failed;
    else if (!settle_report(now_ns, worker, chunk, &run, message, outbox))
        return false;
    if (result->final || chunk->left.count == 0) { /* then nothing keeps the batch from ending */
        settle_rest(worker, chunk, outbox);
        hold_drop(worker, chunk);
    }
    return true;
}

bool settle_returned(struct worker *worker, const struct proto_returned *returned, struct outbox *outbox)
{
    struct chunk *chunk = hold_find(worker, returned->chunk);
    struct job_run run;
    int taken;

    worker->asked_ns = 0;
    if (!chunk)
        return true; /* its final report came first, and with it these jobs */
    if (returned->batch != chunk->batch->id || chunk->recalled == 0 || returned->first < chunk->recalled)
        return false;
    taken = hold_take(worker, chunk, returned->first, returned->count, &run);
    if (taken == MUSTER_ENOMEM)
        outbox->failed = true;
    if (taken != 0)
        return outbox->failed;
    settle_return(chunk->batch, worker, run, JOB_RECALL, outbox);
    if (chunk->left.count == 0)
        hold_drop(worker, chunk);
    return true;
}

void settle_ended(struct core *core, struct outbox *outbox)
{
    struct batch *batch, *next;

    DL_FOREACH_SAFE2(core->over, batch, next, changed_next)
    {
        if (batch->reason)
            batch->totals.text = outbox_text(outbox, batch->reason);
        tell_client(batch, &(struct proto_message){.type = PROTO_ENDED, .ended = batch->totals}, outbox);
        changes_remove(core, batch);
        schedule_leave(&core->schedule, &batch->turn);
        core->demanding -= !demand_is_plain(&batch->demand);
        batch_destroy(batch);
    }
}
