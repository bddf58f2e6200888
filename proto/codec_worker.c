/* SPDX-License-Identifier: MIT
 *
 * The fields of what crosses between a worker and the coordinator: chunks out, and what became of
 * their jobs, which is told to clients in the same form. See codec.c.
 */
#include "proto/codec_internal.h"

#include "proto/limits.h"

#include <assert.h>

/* Bytes of an outcome's header beside the texts of its failures: of the fields, of each
 * failure (array, index, code, head of the text, `valued`) and of the timings of each job. */
enum { OUTCOME_BYTES = 256, FAILURE_BYTES = 1 + 9 + 2 + 3 + 1, TIMINGS_BYTES = PROTO_TIMINGS * 9 };

static_assert(OUTCOME_BYTES + (uint64_t)PROTO_CHUNK_JOBS_MAX * (FAILURE_BYTES + TIMINGS_BYTES + 16) <=
                  PROTO_HEADER_BYTES_MAX,
              "a chunk of failures fits a header with 16 bytes of text each at least");
static_assert(32 + (uint64_t)PROTO_CHUNK_JOBS_MAX * (5 + PROTO_TIMINGS) <= PROTO_HEADER_ELEMENTS_MAX,
              "a chunk of failures and timings fits a header");

static bool arguments_fit(int64_t first, uint32_t count)
{
    return count == 0 || first <= INT64_MAX - (int64_t)(count - 1);
}

/* How long the texts of these failures may be for all of them to fit into a header. */
static uint32_t failure_text_max(const struct proto_outcome *o)
{
    uint64_t room = PROTO_HEADER_BYTES_MAX - OUTCOME_BYTES - TIMINGS_BYTES * (uint64_t)o->count -
                    FAILURE_BYTES * (uint64_t)o->failure_count;
    uint64_t texts = 0;

    for (uint32_t i = 0; i < o->failure_count; i++)
        texts += o->failures[i].text.size;
    if (texts <= room || room / o->failure_count >= PROTO_TEXT_MAX)
        return PROTO_TEXT_MAX;
    return (uint32_t)(room / o->failure_count);
}

static void failure_fields(struct field_coder *c, uint64_t index_min, uint64_t index_max, uint32_t text_max,
                           struct proto_failure *failure)
{
    struct field_cursor outside;
    uint32_t fields = failure->valued ? 4 : 3; /* three say that there is no value */

    field_enter(c, "failure", 3, 4, &fields, &outside);
    field_u64(c, "failure index", index_min, index_max, &failure->index);
    field_code(c, "failure code", false, &failure->code);
    field_text(c, "failure text", text_max, &failure->text);
    if (fields == 4) {
        field_bool(c, "failure value", &failure->valued);
        field_require(c, failure->valued, "failure value", "is not true");
    }
    field_leave(c, &outside);
}

/* Each index is above the one before and within the outcome, so each is there once. */
static void failures_field(struct field_coder *c, struct proto_outcome *o)
{
    uint64_t index_min = o->first, index_max = o->first + o->count - 1;
    uint32_t count = o->failure_count, text_max = PROTO_TEXT_MAX;
    struct proto_failure *read, failure;
    struct field_cursor outside;

    field_enter(c, "failures", 0, o->count, &count, &outside);
    if (field_writing(c) && !c->code)
        text_max = failure_text_max(o);
    read = field_memory(c, count, sizeof *read);
    for (uint32_t i = 0; i < count && !c->code; i++) {
        failure = field_writing(c) ? o->failures[i] : (struct proto_failure){0};
        failure_fields(c, index_min, index_max, text_max, &failure);
        index_min = failure.index + 1;
        if (read)
            read[i] = failure;
    }
    field_leave(c, &outside);
    if (!field_writing(c)) {
        o->failures = read;
        o->failure_count = count;
    }
}

static void timings_field(struct field_coder *c, struct proto_outcome *o)
{
    uint32_t count = PROTO_TIMINGS * o->count;
    struct field_cursor outside;
    uint64_t *read, duration;

    if (field_absent(c, "timings", !o->timings || count == 0))
        return;
    field_require(c, count > 0, "timings", "is set, and there are no jobs");
    field_enter(c, "timings", count, count, &count, &outside);
    read = field_memory(c, count, sizeof *read);
    for (uint32_t i = 0; i < count && !c->code; i++) {
        duration = o->timings ? o->timings[i] : 0;
        field_u64(c, "timing", 0, UINT64_MAX, &duration);
        if (read)
            read[i] = duration;
    }
    field_leave(c, &outside);
    if (!field_writing(c))
        o->timings = read;
}

static void outcome_fields(struct field_coder *c, uint32_t count_min, struct proto_outcome *o)
{
    field_u64(c, "first", 1, (uint64_t)PROTO_BATCH_JOBS_MAX + 1, &o->first);
    field_u32(c, "count", count_min, PROTO_CHUNK_JOBS_MAX, &o->count);
    field_require(c, codec_indexes_fit(o->first, o->count), "count", "makes more jobs than a batch may have");
    field_u32(c, "attempt", 1, UINT32_MAX, &o->attempt);
    field_u64(c, "arrived_ns", 0, UINT64_MAX, &o->arrived_ns);
    field_u64(c, "began_ns", 0, UINT64_MAX, &o->began_ns);
    field_u64(c, "reported_ns", 0, UINT64_MAX, &o->reported_ns);
    field_bool(c, "split", &o->split);
    field_u64(c, "decode_ns", 0, UINT64_MAX, &o->decode_ns);
    field_u64(c, "execute_ns", 0, UINT64_MAX, &o->execute_ns);
    field_u64(c, "encode_ns", 0, UINT64_MAX, &o->encode_ns);
    field_u64(c, "cpu_ns", 0, UINT64_MAX, &o->cpu_ns);
    codec_shared_bytes(c, &o->shared_bytes);
    failures_field(c, o);
    timings_field(c, o);
}

void codec_results(struct field_coder *c, struct proto_message *message)
{
    struct proto_results *m = &message->results;

    field_u64(c, "ticket", 1, UINT64_MAX, &m->ticket);
    field_u32(c, "worker", 0, PROTO_WORKERS_MAX, &m->worker);
    field_u64(c, "queued_ns", 0, UINT64_MAX, &m->queued_ns);
    field_u64(c, "assigned_ns", 0, UINT64_MAX, &m->assigned_ns);
    outcome_fields(c, 1, &m->outcome);
}

void codec_chunk(struct field_coder *c, struct proto_message *message)
{
    struct proto_chunk *m = &message->chunk;

    field_u64(c, "batch", 1, UINT64_MAX, &m->batch);
    field_u64(c, "chunk", 1, UINT64_MAX, &m->chunk);
    field_function(c, "function", &m->function);
    field_u64(c, "first", 1, PROTO_BATCH_JOBS_MAX, &m->first);
    field_u32(c, "count", 1, PROTO_CHUNK_JOBS_MAX, &m->count);
    field_require(c, codec_indexes_fit(m->first, m->count), "count", "makes more jobs than a batch may have");
    field_u32(c, "attempt", 1, UINT32_MAX, &m->attempt);
    field_u32(c, "timeout_ms", 0, PROTO_TIMEOUT_MS_MAX, &m->timeout_ms);
    field_bool(c, "timings", &m->timings);
    field_u64(c, "reader", 0, UINT64_MAX, &m->reader);
    codec_shared_bytes(c, &m->shared_bytes);
    codec_kind(c, &m->kind);
    field_require(c, m->kind == PROTO_LIST || m->shared_bytes == 0, "shared_bytes",
                  "is set, and the chunk is no list");
    field_i64(c, "argument", &m->argument);
    field_require(c, m->kind == PROTO_RANGE || m->argument == 0, "argument",
                  "is set, and the chunk is no range");
    field_require(c, arguments_fit(m->argument, m->count), "argument", "passes the largest integer");
    codec_common(c, &m->common);
}

void codec_result(struct field_coder *c, struct proto_message *message)
{
    struct proto_result *m = &message->result;

    field_u64(c, "batch", 1, UINT64_MAX, &m->batch);
    field_u64(c, "chunk", 1, UINT64_MAX, &m->chunk);
    field_u64(c, "number", 0, UINT64_MAX, &m->number);
    field_bool(c, "final", &m->final);
    field_u64(c, "process_cpu_ns", 0, UINT64_MAX, &m->process_cpu_ns);
    field_u64(c, "process_voluntary", 0, UINT64_MAX, &m->process_voluntary);
    field_u64(c, "process_involuntary", 0, UINT64_MAX, &m->process_involuntary);
    outcome_fields(c, m->final ? 0 : 1, &m->outcome);
}

void codec_returned(struct field_coder *c, struct proto_message *message)
{
    struct proto_returned *m = &message->returned;

    field_u64(c, "batch", 1, UINT64_MAX, &m->batch);
    field_u64(c, "chunk", 1, UINT64_MAX, &m->chunk);
    field_u64(c, "first", 1, PROTO_BATCH_JOBS_MAX, &m->first);
    field_u32(c, "count", 1, PROTO_CHUNK_JOBS_MAX, &m->count);
    field_require(c, codec_indexes_fit(m->first, m->count), "count", "makes more jobs than a batch may have");
}

void codec_standing(struct field_coder *c, struct proto_message *message)
{
    struct proto_standing *m = &message->standing;

    field_u64(c, "batch", 1, UINT64_MAX, &m->batch);
    field_u64(c, "chunk", 1, UINT64_MAX, &m->chunk);
    field_u64(c, "first", 1, PROTO_BATCH_JOBS_MAX, &m->first);
    field_u32(c, "count", 1, PROTO_CHUNK_JOBS_MAX, &m->count);
    field_require(c, codec_indexes_fit(m->first, m->count), "count", "makes more jobs than a batch may have");
    field_u32(c, "attempt", 1, UINT32_MAX, &m->attempt);
}

void codec_kept(struct field_coder *c, struct proto_message *message)
{
    field_u64(c, "number", 1, UINT64_MAX, &message->kept.number);
}
