/* SPDX-License-Identifier: MIT
 *
 * What clients and workers say to the core in its tests. See core_harness.h.
 */
#include "proto/codec.h"
#include "tests/support/core_harness_internal.h"

#include <criterion/criterion.h>

static struct blob *values; /* of the last result_message */

/* --- clients */

void client_hello(const char *client)
{
    struct proto_message message = {.type = PROTO_HELLO,
                                    .hello = {.version = PROTO_VERSION, .role = PROTO_CLIENT, .pid = 1}};

    step_message(client, &message);
    cr_assert_eq(expect_sent(client, PROTO_WELCOME)->welcome.version, PROTO_VERSION);
}

struct proto_submit range_of(int64_t first, int64_t last, uint32_t chunk_jobs)
{
    return (struct proto_submit){.ticket = 1,
                                 .function = {"noop", 4},
                                 .kind = PROTO_RANGE,
                                 .first = first,
                                 .last = last,
                                 .chunk_jobs = chunk_jobs,
                                 .crash_limit = 3,
                                 .window_bytes = 1 << 30,
                                 .attach = true,
                                 .cpus = 1};
}

struct proto_submit list_of(uint32_t chunk_jobs)
{
    struct proto_submit settings = range_of(0, 0, chunk_jobs);

    settings.kind = PROTO_LIST;
    return settings;
}

uint64_t submit(const char *client, const struct proto_submit *settings)
{
    struct proto_message message = {.type = PROTO_SUBMIT, .submit = *settings};
    const struct proto_message *sent;
    uint64_t batch;

    step_message(client, &message);
    sent = expect_sent(client, PROTO_ACCEPTED);
    cr_assert_eq(sent->accepted.ticket, settings->ticket);
    batch = sent->accepted.batch;
    if (settings->kind == PROTO_LIST) {
        sent = expect_sent(client, PROTO_GRANT);
        cr_assert_eq(sent->grant.ticket, settings->ticket);
        cr_assert_eq(sent->grant.bytes, PROTO_GRANT_BYTES);
    }
    return batch;
}

void send_arguments(const char *client, uint64_t first, uint32_t count)
{
    struct blob *blob = pack_values(argument_of, first, count, NULL);
    struct proto_message message = {.type = PROTO_ARGUMENTS,
                                    .arguments = {.ticket = 1, .first = first, .count = count},
                                    .payload = {.blob = blob, .size = blob->size}};

    step_message(client, &message);
    blob_unref(blob);
}

void seal(uint64_t total)
{
    step_message(CLIENT, &(struct proto_message){.type = PROTO_SEAL, .seal = {.ticket = 1, .total = total}});
}

void cancel(enum proto_cancel_mode mode)
{
    step_message(CLIENT, &(struct proto_message){.type = PROTO_CANCEL, .cancel = {.id = 1, .mode = mode}});
}

void cancel_some(uint64_t first, uint64_t count)
{
    step_message(CLIENT, &(struct proto_message){
                             .type = PROTO_CANCEL,
                             .cancel = {.id = 1, .mode = PROTO_CANCEL_NOW, .first = first, .count = count}});
}

void consumed(uint64_t bytes)
{
    step_message(CLIENT,
                 &(struct proto_message){.type = PROTO_CONSUMED, .consumed = {.ticket = 1, .bytes = bytes}});
}

void stop_client(const char *client)
{
    step_message(client, &(struct proto_message){.type = PROTO_STOP});
}

/* --- workers */

const char *worker_name(unsigned slot)
{
    return core->workers[slot - 1].name;
}

void worker_hello(unsigned slot, unsigned credit)
{
    worker_hello_concurrent(slot, credit, 1);
}

void worker_hello_concurrent(unsigned slot, unsigned credit, unsigned concurrency)
{
    struct proto_message message = {.type = PROTO_HELLO,
                                    .hello = {.version = PROTO_VERSION,
                                              .role = PROTO_WORKER,
                                              .pid = 100 + slot,
                                              .credit = credit,
                                              .concurrency = concurrency}};

    step_message(worker_name(slot), &message);
    expect_sent(worker_name(slot), PROTO_WELCOME);
}

struct proto_message result_message(const struct proto_chunk *chunk, const struct report *report)
{
    static struct proto_failure failures[64];
    static uint64_t timings[1024];
    uint32_t failed = listed_count(report->failed);

    cr_assert(failed <= 64 && PROTO_TIMINGS * report->count <= 1024);
    for (uint32_t i = 0; i < failed; i++)
        failures[i] = (struct proto_failure){.index = report->failed[i],
                                             .code = report->code,
                                             .text = proto_text("it failed"),
                                             .valued = listed(report->valued, report->failed[i])};
    if (report->first_code)
        failures[0].code = report->first_code;
    for (uint32_t i = 0; i < PROTO_TIMINGS * report->count; i++)
        timings[i] = 10 * (report->first + i / PROTO_TIMINGS) + i % PROTO_TIMINGS;
    blob_unref(values);
    values = pack_values(value_of, report->first, report->count, valueless(failures, failed));
    return (struct proto_message){
        .type = PROTO_RESULT,
        .result = {.batch = chunk->batch,
                   .chunk = chunk->chunk,
                   .final = report->final,
                   .outcome = {.first = report->first,
                               .count = report->count,
                               .attempt = chunk->attempt,
                               .execute_ns = report->execute_ns,
                               .cpu_ns = report->cpu_ns,
                               .shared_bytes = report->shared_bytes,
                               .failures = failures,
                               .failure_count = failed,
                               .timings = chunk->timings && report->count ? timings : NULL}},
        .payload = {.blob = values, .size = values->size},
    };
}

void worker_reports(unsigned slot, const struct proto_chunk *chunk, const struct report *report)
{
    struct proto_message message = result_message(chunk, report);

    step_message(worker_name(slot), &message);
}

void worker_returns(unsigned slot, const struct proto_chunk *chunk, uint64_t first, uint32_t count)
{
    step_message(
        worker_name(slot),
        &(struct proto_message){
            .type = PROTO_RETURNED,
            .returned = {.batch = chunk->batch, .chunk = chunk->chunk, .first = first, .count = count}});
}

void worker_finishes(unsigned slot, const struct proto_chunk *chunk)
{
    worker_reports(
        slot, chunk,
        &(struct report){.first = chunk->first, .count = chunk->count, .final = true, .execute_ns = 1000});
}

void worker_fails(unsigned slot, const struct proto_chunk *chunk, const uint64_t *failed)
{
    worker_reports(slot, chunk,
                   &(struct report){.first = chunk->first,
                                    .count = chunk->count,
                                    .final = true,
                                    .failed = failed,
                                    .code = MUSTER_EFAILED});
}

void worker_crashes(unsigned slot, const struct proto_chunk *chunk, uint64_t index)
{
    step_exit(&(struct worker_exit){.slot = slot,
                                    .reason = "killed by SIGSEGV",
                                    .executing = true,
                                    .chunk = chunk->chunk,
                                    .index = index});
}

void worker_times_out(unsigned slot, const struct proto_chunk *chunk, uint64_t index)
{
    step_exit(&(struct worker_exit){.slot = slot,
                                    .reason = "killed by SIGKILL",
                                    .executing = true,
                                    .timed_out = true,
                                    .progress = 400,
                                    .chunk = chunk->chunk,
                                    .index = index});
}

void forget_result(void)
{
    blob_unref(values);
    values = NULL;
}
