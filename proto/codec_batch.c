/* SPDX-License-Identifier: MIT
 *
 * The fields of what crosses between a client and the coordinator: batches on their way in and
 * out, and questions about them. See codec.c; their outcomes are in codec_worker.c.
 */
#include "proto/codec_internal.h"

#include "proto/limits.h"

/* The arguments of a batch: a range within bounds, or nothing yet. */
static void span_fields(struct field_coder *c, enum proto_arguments *kind, int64_t *first, int64_t *last)
{
    codec_kind(c, kind);
    field_i64(c, "first", first);
    field_i64(c, "last", last);
    field_require(c, *kind == PROTO_LIST || *first <= *last, "last", "is below first");
    field_require(c, *kind == PROTO_LIST || (uint64_t)*last - (uint64_t)*first < PROTO_BATCH_JOBS_MAX, "last",
                  "makes more jobs than a batch may have");
    field_require(c, *kind == PROTO_RANGE || (*first == 0 && *last == 0), "first",
                  "is set, and the batch is no range");
}

static void keep_fields(struct field_coder *c, struct proto_submit *m)
{
    field_bool(c, "keep", &m->keep);
    field_bool(c, "hold", &m->hold);
    field_require(c, m->keep || !m->hold, "hold", "is set, and the batch is not kept");
    field_bool(c, "attach", &m->attach);
    field_require(c, m->keep || m->attach, "attach", "is not set, and the batch is not kept");
    field_bool(c, "ordered", &m->ordered);
}

static void after_entry(struct field_coder *c, struct proto_after *after)
{
    uint32_t fields = 2, condition = after->condition;
    struct field_cursor outside;

    field_enter(c, "after", fields, fields, &fields, &outside);
    field_u64(c, "after batch", 1, UINT64_MAX, &after->batch);
    field_u32(c, "after condition", PROTO_AFTER_OK, PROTO_AFTER_ANY, &condition);
    after->condition = (enum proto_condition)condition;
    field_leave(c, &outside);
}

static void after_field(struct field_coder *c, struct proto_submit *m)
{
    uint32_t count = m->after_count;
    struct field_cursor outside;
    struct proto_after *read, after;

    field_enter(c, "after", 0, PROTO_AFTER_MAX, &count, &outside);
    read = field_memory(c, count, sizeof *read);
    for (uint32_t i = 0; i < count && !c->code; i++) {
        after = field_writing(c) ? m->after[i] : (struct proto_after){0};
        after_entry(c, &after);
        if (read)
            read[i] = after;
    }
    field_leave(c, &outside);
    if (!field_writing(c)) {
        m->after = read;
        m->after_count = count;
    }
}

void codec_submit(struct field_coder *c, struct proto_message *message)
{
    struct proto_submit *m = &message->submit;

    field_u64(c, "ticket", 1, UINT64_MAX, &m->ticket);
    field_function(c, "function", &m->function);
    span_fields(c, &m->kind, &m->first, &m->last);
    field_u32(c, "chunk_jobs", 0, PROTO_CHUNK_JOBS_MAX, &m->chunk_jobs);
    field_u32(c, "timeout_ms", 0, PROTO_TIMEOUT_MS_MAX, &m->timeout_ms);
    field_u32(c, "retries", 0, PROTO_RETRIES_MAX, &m->retries);
    field_u32(c, "crash_limit", 1, PROTO_CRASH_LIMIT_MAX, &m->crash_limit);
    field_bool(c, "timings", &m->timings);
    field_bool(c, "shared", &m->shared);
    field_u64(c, "window_bytes", 1, UINT64_MAX, &m->window_bytes);
    field_u32(c, "count", 0, m->kind == PROTO_LIST ? PROTO_BLOCK_JOBS_MAX : 0, &m->count);
    keep_fields(c, m);
    field_text(c, "name", PROTO_NAME_MAX, &m->name);
    field_i32(c, "priority", -PROTO_PRIORITY_MAX, PROTO_PRIORITY_MAX, &m->priority);
    field_u32(c, "most_running", 0, UINT32_MAX, &m->most_running);
    field_u32(c, "cpus", 1, PROTO_WORKERS_MAX, &m->cpus);
    field_u64(c, "memory_bytes", 0, PROTO_MEMORY_BYTES_MAX, &m->memory_bytes);
    field_u64(c, "begin_ms", 0, PROTO_BEGIN_MS_MAX, &m->begin_ms);
    field_u32(c, "backoff_ms", 0, PROTO_TIMEOUT_MS_MAX, &m->backoff_ms);
    after_field(c, m);
    codec_common(c, &m->common);
}

void codec_accepted(struct field_coder *c, struct proto_message *message)
{
    struct proto_accepted *m = &message->accepted;

    field_u64(c, "ticket", 1, UINT64_MAX, &m->ticket);
    field_u64(c, "batch", 1, UINT64_MAX, &m->batch);
}

void codec_arguments(struct field_coder *c, struct proto_message *message)
{
    struct proto_arguments_block *m = &message->arguments;

    field_u64(c, "ticket", 1, UINT64_MAX, &m->ticket);
    field_u64(c, "first", 1, PROTO_BATCH_JOBS_MAX, &m->first);
    field_u32(c, "count", 1, PROTO_BLOCK_JOBS_MAX, &m->count);
    field_require(c, codec_indexes_fit(m->first, m->count), "count", "makes more jobs than a batch may have");
    codec_shared_bytes(c, &m->shared_bytes);
}

void codec_seal(struct field_coder *c, struct proto_message *message)
{
    struct proto_seal *m = &message->seal;

    field_u64(c, "ticket", 1, UINT64_MAX, &m->ticket);
    field_u64(c, "total", 0, PROTO_BATCH_JOBS_MAX, &m->total);
}

void codec_grant(struct field_coder *c, struct proto_message *message)
{
    struct proto_grant *m = &message->grant;

    field_u64(c, "ticket", 1, UINT64_MAX, &m->ticket);
    field_u64(c, "bytes", 0, UINT64_MAX, &m->bytes);
}

void codec_consumed(struct field_coder *c, struct proto_message *message)
{
    struct proto_consumed *m = &message->consumed;

    field_u64(c, "ticket", 1, UINT64_MAX, &m->ticket);
    field_u64(c, "bytes", 0, UINT64_MAX, &m->bytes);
}

void codec_ended(struct field_coder *c, struct proto_message *message)
{
    struct proto_ended *m = &message->ended;

    field_u64(c, "ticket", 1, UINT64_MAX, &m->ticket);
    field_code(c, "code", true, &m->code);
    field_u64(c, "succeeded", 0, PROTO_BATCH_JOBS_MAX, &m->succeeded);
    field_u64(c, "failed", 0, PROTO_BATCH_JOBS_MAX - m->succeeded, &m->failed);
    field_u64(c, "cancelled", 0, PROTO_BATCH_JOBS_MAX - m->succeeded - m->failed, &m->cancelled);
    field_u64(c, "retried", 0, UINT64_MAX, &m->retried);
    field_u64(c, "crashes", 0, UINT64_MAX, &m->crashes);
    field_u64(c, "late", 0, UINT64_MAX, &m->late);
    field_u64(c, "chunks", 0, UINT64_MAX, &m->chunks);
    field_u64(c, "bytes_in", 0, UINT64_MAX, &m->bytes_in);
    field_u64(c, "bytes_out", 0, UINT64_MAX, &m->bytes_out);
    field_u64(c, "execute_ns", 0, UINT64_MAX, &m->execute_ns);
    field_u64(c, "cpu_ns", 0, UINT64_MAX, &m->cpu_ns);
    field_u64(c, "process_cpu_ns", 0, UINT64_MAX, &m->process_cpu_ns);
    field_u64(c, "voluntary", 0, UINT64_MAX, &m->voluntary);
    field_u64(c, "involuntary", 0, UINT64_MAX, &m->involuntary);
    field_text(c, "text", PROTO_TEXT_MAX, &m->text);
}

void codec_cancel(struct field_coder *c, struct proto_message *message)
{
    struct proto_cancel *m = &message->cancel;
    uint32_t mode = m->mode;

    field_u64(c, "id", 1, UINT64_MAX, &m->id);
    field_u32(c, "mode", PROTO_CANCEL_SOON, PROTO_CANCEL_RETURN, &mode);
    m->mode = (enum proto_cancel_mode)mode;
    field_u64(c, "first", 0, PROTO_BATCH_JOBS_MAX, &m->first);
    field_u64(c, "count", 0, PROTO_BATCH_JOBS_MAX, &m->count);
    field_require(c, (m->first == 0) == (m->count == 0), "count", "does not go with first");
    field_require(c, m->mode != PROTO_CANCEL_RETURN || m->count > 0, "count",
                  "is 0, and jobs are to come back");
    field_require(c, m->count == 0 || codec_indexes_fit(m->first, m->count), "count",
                  "makes more jobs than a batch may have");
}

void codec_attach(struct field_coder *c, struct proto_message *message)
{
    struct proto_attach *m = &message->attach;

    field_u64(c, "ticket", 1, UINT64_MAX, &m->ticket);
    field_u64(c, "batch", 1, UINT64_MAX, &m->batch);
    field_u64(c, "first", 1, PROTO_BATCH_JOBS_MAX, &m->first);
    field_bool(c, "ordered", &m->ordered);
    field_bool(c, "follow", &m->follow);
    field_bool(c, "arguments", &m->arguments);
    field_bool(c, "results", &m->results);
    field_require(c, m->results || !m->arguments, "arguments", "is set, and results are not wanted");
    field_u64(c, "window_bytes", m->results, m->results ? UINT64_MAX : 0, &m->window_bytes);
}

void codec_attached(struct field_coder *c, struct proto_message *message)
{
    struct proto_attached *m = &message->attached;

    field_u64(c, "ticket", 1, UINT64_MAX, &m->ticket);
    field_u64(c, "batch", 1, UINT64_MAX, &m->batch);
    field_function(c, "function", &m->function);
    span_fields(c, &m->kind, &m->first, &m->last);
    field_u64(c, "total", 0, PROTO_BATCH_JOBS_MAX, &m->total);
    field_bool(c, "sealed", &m->sealed);
}

void codec_detach(struct field_coder *c, struct proto_message *message)
{
    field_u64(c, "ticket", 1, UINT64_MAX, &message->detach.ticket);
}

void codec_request(struct field_coder *c, struct proto_message *message)
{
    struct proto_request *m = &message->request;
    uint32_t operation = m->operation;

    field_u64(c, "ticket", 1, UINT64_MAX, &m->ticket);
    field_u32(c, "operation", PROTO_REQUEST_STATUS, PROTO_REQUEST_STOP, &operation);
    m->operation = (enum proto_operation)operation;
    field_u64(c, "batch", 0, UINT64_MAX, &m->batch);
    field_u64(c, "number", 0, UINT64_MAX, &m->number);
    field_text(c, "text", PROTO_TEXT_MAX, &m->text);
}

void codec_answer(struct field_coder *c, struct proto_message *message)
{
    struct proto_answer *m = &message->answer;

    field_u64(c, "ticket", 1, UINT64_MAX, &m->ticket);
    field_code(c, "code", true, &m->code);
    field_bool(c, "more", &m->more);
    field_text(c, "text", PROTO_TEXT_MAX, &m->text);
}
