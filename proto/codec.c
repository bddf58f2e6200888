/* SPDX-License-Identifier: MIT
 *
 * The header frame of every message, described once by a function of its fields that both
 * writes and reads it (proto/field.h). What a field means stands in messages.h and in
 * PROTOCOL.md; here stand its place and its range.
 */
#include "proto/codec.h"

#include "proto/field.h"
#include "proto/limits.h"
#include "proto/scan.h"

#include <assert.h>
#include <string.h>

/* Bytes of an outcome's header beside the texts of its failures: of the fields, of each
 * failure (array, index, code, head of the text) and of the timings of each job. */
enum { OUTCOME_BYTES = 256, FAILURE_BYTES = 1 + 9 + 2 + 3, TIMINGS_BYTES = PROTO_TIMINGS * 9 };

static_assert(OUTCOME_BYTES + (uint64_t)PROTO_CHUNK_JOBS_MAX * (FAILURE_BYTES + TIMINGS_BYTES + 16) <=
                  PROTO_HEADER_BYTES_MAX,
              "a chunk of failures fits a header with 16 bytes of text each at least");
static_assert(32 + (uint64_t)PROTO_CHUNK_JOBS_MAX * (4 + PROTO_TIMINGS) <= PROTO_HEADER_ELEMENTS_MAX,
              "a chunk of failures and timings fits a header");

static bool indexes_fit(uint64_t first, uint64_t count)
{
    return count <= PROTO_BATCH_JOBS_MAX && first - 1 <= PROTO_BATCH_JOBS_MAX - count;
}

static bool arguments_fit(int64_t first, uint32_t count)
{
    return count == 0 || first <= INT64_MAX - (int64_t)(count - 1);
}

static void arguments_kind_field(struct field_coder *c, enum proto_arguments *kind)
{
    uint32_t number = *kind;

    field_u32(c, "kind", PROTO_RANGE, PROTO_LIST, &number);
    *kind = (enum proto_arguments)number;
}

/* A greeting of another version ends here for us, so that its version can be answered. */
static bool version_field(struct field_coder *c, uint32_t *version)
{
    field_u32(c, "version", 0, UINT32_MAX, version);
    if (c->code || *version == PROTO_VERSION)
        return true;
    field_skip_rest(c);
    return false;
}

static void hello_fields(struct field_coder *c, struct proto_message *message)
{
    struct proto_hello *m = &message->hello;
    uint32_t role = m->role;

    if (!version_field(c, &m->version))
        return;
    field_u32(c, "role", PROTO_CLIENT, PROTO_WORKER, &role);
    m->role = (enum proto_role)role;
    field_u64(c, "pid", 0, UINT64_MAX, &m->pid);
    field_u32(c, "credit", role == PROTO_WORKER, role == PROTO_WORKER ? PROTO_CREDIT_MAX : 0, &m->credit);
    field_u32(c, "concurrency", role == PROTO_WORKER, role == PROTO_WORKER ? PROTO_CONCURRENCY_MAX : 0,
              &m->concurrency);
    field_text(c, "software", PROTO_TEXT_MAX, &m->software);
}

static void welcome_fields(struct field_coder *c, struct proto_message *message)
{
    struct proto_welcome *m = &message->welcome;

    if (!version_field(c, &m->version))
        return;
    field_u32(c, "workers", 0, PROTO_WORKERS_MAX, &m->workers);
    field_u64(c, "host", 0, UINT64_MAX, &m->host);
}

static void error_fields(struct field_coder *c, struct proto_message *message)
{
    struct proto_error *m = &message->error;

    field_u64(c, "ticket", 0, UINT64_MAX, &m->ticket);
    field_code(c, "code", false, &m->code);
    field_text(c, "text", PROTO_TEXT_MAX, &m->text);
}

static void submit_fields(struct field_coder *c, struct proto_message *message)
{
    struct proto_submit *m = &message->submit;

    field_u64(c, "ticket", 1, UINT64_MAX, &m->ticket);
    field_function(c, "function", &m->function);
    arguments_kind_field(c, &m->kind);
    field_i64(c, "first", &m->first);
    field_i64(c, "last", &m->last);
    field_require(c, m->kind == PROTO_LIST || m->first <= m->last, "last", "is below first");
    field_require(c, m->kind == PROTO_LIST || (uint64_t)m->last - (uint64_t)m->first < PROTO_BATCH_JOBS_MAX,
                  "last", "makes more jobs than a batch may have");
    field_require(c, m->kind == PROTO_RANGE || (m->first == 0 && m->last == 0), "first",
                  "is set, and the batch is no range");
    field_u32(c, "chunk_jobs", 0, PROTO_CHUNK_JOBS_MAX, &m->chunk_jobs);
    field_u32(c, "timeout_ms", 0, PROTO_TIMEOUT_MS_MAX, &m->timeout_ms);
    field_u32(c, "retries", 0, PROTO_RETRIES_MAX, &m->retries);
    field_u32(c, "crash_limit", 1, PROTO_CRASH_LIMIT_MAX, &m->crash_limit);
    field_bool(c, "timings", &m->timings);
    field_bool(c, "shared", &m->shared);
    field_u64(c, "window_bytes", 1, UINT64_MAX, &m->window_bytes);
}

static void shared_bytes_field(struct field_coder *c, uint64_t *bytes)
{
    field_u64(c, "shared_bytes", 0, PROTO_SHARED_BYTES_MAX, bytes);
}

static void accepted_fields(struct field_coder *c, struct proto_message *message)
{
    struct proto_accepted *m = &message->accepted;

    field_u64(c, "ticket", 1, UINT64_MAX, &m->ticket);
    field_u64(c, "batch", 1, UINT64_MAX, &m->batch);
}

static void arguments_fields(struct field_coder *c, struct proto_message *message)
{
    struct proto_arguments_block *m = &message->arguments;

    field_u64(c, "ticket", 1, UINT64_MAX, &m->ticket);
    field_u64(c, "first", 1, PROTO_BATCH_JOBS_MAX, &m->first);
    field_u32(c, "count", 1, PROTO_BLOCK_JOBS_MAX, &m->count);
    field_require(c, indexes_fit(m->first, m->count), "count", "makes more jobs than a batch may have");
    shared_bytes_field(c, &m->shared_bytes);
}

static void seal_fields(struct field_coder *c, struct proto_message *message)
{
    struct proto_seal *m = &message->seal;

    field_u64(c, "ticket", 1, UINT64_MAX, &m->ticket);
    field_u64(c, "total", 0, PROTO_BATCH_JOBS_MAX, &m->total);
}

static void grant_fields(struct field_coder *c, struct proto_message *message)
{
    struct proto_grant *m = &message->grant;

    field_u64(c, "ticket", 1, UINT64_MAX, &m->ticket);
    field_u64(c, "bytes", 0, UINT64_MAX, &m->bytes);
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
    uint32_t fields = 3;

    field_enter(c, "failure", fields, fields, &fields, &outside);
    field_u64(c, "failure index", index_min, index_max, &failure->index);
    field_code(c, "failure code", false, &failure->code);
    field_text(c, "failure text", text_max, &failure->text);
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
    field_require(c, indexes_fit(o->first, o->count), "count", "makes more jobs than a batch may have");
    field_u32(c, "attempt", 1, UINT32_MAX, &o->attempt);
    field_u64(c, "arrived_ns", 0, UINT64_MAX, &o->arrived_ns);
    field_u64(c, "began_ns", 0, UINT64_MAX, &o->began_ns);
    field_u64(c, "reported_ns", 0, UINT64_MAX, &o->reported_ns);
    field_bool(c, "split", &o->split);
    field_u64(c, "decode_ns", 0, UINT64_MAX, &o->decode_ns);
    field_u64(c, "execute_ns", 0, UINT64_MAX, &o->execute_ns);
    field_u64(c, "encode_ns", 0, UINT64_MAX, &o->encode_ns);
    field_u64(c, "cpu_ns", 0, UINT64_MAX, &o->cpu_ns);
    shared_bytes_field(c, &o->shared_bytes);
    failures_field(c, o);
    timings_field(c, o);
}

static void results_fields(struct field_coder *c, struct proto_message *message)
{
    struct proto_results *m = &message->results;

    field_u64(c, "ticket", 1, UINT64_MAX, &m->ticket);
    field_u32(c, "worker", 0, PROTO_WORKERS_MAX, &m->worker);
    field_u64(c, "queued_ns", 0, UINT64_MAX, &m->queued_ns);
    field_u64(c, "assigned_ns", 0, UINT64_MAX, &m->assigned_ns);
    outcome_fields(c, 1, &m->outcome);
}

static void consumed_fields(struct field_coder *c, struct proto_message *message)
{
    struct proto_consumed *m = &message->consumed;

    field_u64(c, "ticket", 1, UINT64_MAX, &m->ticket);
    field_u64(c, "bytes", 0, UINT64_MAX, &m->bytes);
}

static void ended_fields(struct field_coder *c, struct proto_message *message)
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

static void cancel_fields(struct field_coder *c, struct proto_message *message)
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
    field_require(c, m->count == 0 || indexes_fit(m->first, m->count), "count",
                  "makes more jobs than a batch may have");
}

static void chunk_fields(struct field_coder *c, struct proto_message *message)
{
    struct proto_chunk *m = &message->chunk;

    field_u64(c, "batch", 1, UINT64_MAX, &m->batch);
    field_u64(c, "chunk", 1, UINT64_MAX, &m->chunk);
    field_function(c, "function", &m->function);
    field_u64(c, "first", 1, PROTO_BATCH_JOBS_MAX, &m->first);
    field_u32(c, "count", 1, PROTO_CHUNK_JOBS_MAX, &m->count);
    field_require(c, indexes_fit(m->first, m->count), "count", "makes more jobs than a batch may have");
    field_u32(c, "attempt", 1, UINT32_MAX, &m->attempt);
    field_u32(c, "timeout_ms", 0, PROTO_TIMEOUT_MS_MAX, &m->timeout_ms);
    field_bool(c, "timings", &m->timings);
    field_u64(c, "reader", 0, UINT64_MAX, &m->reader);
    shared_bytes_field(c, &m->shared_bytes);
    arguments_kind_field(c, &m->kind);
    field_require(c, m->kind == PROTO_LIST || m->shared_bytes == 0, "shared_bytes",
                  "is set, and the chunk is no list");
    field_i64(c, "argument", &m->argument);
    field_require(c, m->kind == PROTO_RANGE || m->argument == 0, "argument",
                  "is set, and the chunk is no range");
    field_require(c, arguments_fit(m->argument, m->count), "argument", "passes the largest integer");
}

static void result_fields(struct field_coder *c, struct proto_message *message)
{
    struct proto_result *m = &message->result;

    field_u64(c, "batch", 1, UINT64_MAX, &m->batch);
    field_u64(c, "chunk", 1, UINT64_MAX, &m->chunk);
    field_bool(c, "final", &m->final);
    field_u64(c, "process_cpu_ns", 0, UINT64_MAX, &m->process_cpu_ns);
    field_u64(c, "process_voluntary", 0, UINT64_MAX, &m->process_voluntary);
    field_u64(c, "process_involuntary", 0, UINT64_MAX, &m->process_involuntary);
    outcome_fields(c, m->final ? 0 : 1, &m->outcome);
}

static void returned_fields(struct field_coder *c, struct proto_message *message)
{
    struct proto_returned *m = &message->returned;

    field_u64(c, "batch", 1, UINT64_MAX, &m->batch);
    field_u64(c, "chunk", 1, UINT64_MAX, &m->chunk);
    field_u64(c, "first", 1, PROTO_BATCH_JOBS_MAX, &m->first);
    field_u32(c, "count", 1, PROTO_CHUNK_JOBS_MAX, &m->count);
    field_require(c, indexes_fit(m->first, m->count), "count", "makes more jobs than a batch may have");
}

static void ping_fields(struct field_coder *c, struct proto_message *message)
{
    field_u64(c, "nonce", 0, UINT64_MAX, &message->ping.nonce);
}

static void no_fields(struct field_coder *c, struct proto_message *message)
{
    (void)c;
    (void)message;
}

/* Each type: its fields, and how many they are. */
static const struct layout {
    uint32_t count;
    void (*fields)(struct field_coder *c, struct proto_message *message);
} layouts[] = {
    [PROTO_HELLO] = {6, hello_fields},       [PROTO_WELCOME] = {3, welcome_fields},
    [PROTO_ERROR] = {3, error_fields},       [PROTO_SUBMIT] = {12, submit_fields},
    [PROTO_ACCEPTED] = {2, accepted_fields}, [PROTO_ARGUMENTS] = {4, arguments_fields},
    [PROTO_SEAL] = {2, seal_fields},         [PROTO_GRANT] = {2, grant_fields},
    [PROTO_RESULTS] = {18, results_fields},  [PROTO_CONSUMED] = {2, consumed_fields},
    [PROTO_ENDED] = {17, ended_fields},      [PROTO_CANCEL] = {4, cancel_fields},
    [PROTO_CHUNK] = {12, chunk_fields},      [PROTO_RESULT] = {20, result_fields},
    [PROTO_PING] = {1, ping_fields},         [PROTO_PONG] = {1, ping_fields},
    [PROTO_STOP] = {0, no_fields},           [PROTO_RETURNED] = {4, returned_fields},
};

/* NULL for a number that is no type. */
static const struct layout *find_layout(uint64_t type)
{
    return type >= 1 && type < sizeof layouts / sizeof *layouts ? &layouts[type] : NULL;
}

int proto_encode(const struct proto_message *message, msgpack_sbuffer *buffer)
{
    const struct layout *layout = find_layout(message->type);
    struct proto_message copy = *message;
    struct field_coder coder = {0};
    size_t start = buffer->size;
    msgpack_packer packer;

    if (!layout)
        return MUSTER_EINVALID;
    msgpack_packer_init(&packer, buffer, msgpack_sbuffer_write);
    coder.packer = &packer;
    if (msgpack_pack_array(&packer, 1 + layout->count) != 0 ||
        msgpack_pack_uint8(&packer, (uint8_t)message->type) != 0)
        coder.code = MUSTER_ENOMEM;
    layout->fields(&coder, &copy);
    if (coder.code)
        buffer->size = start;
    return coder.code;
}

/* Unpacks the one array of a header frame. */
static int unpack_header(const void *bytes, size_t size, msgpack_zone *zone, msgpack_object *ret_header,
                         struct muster_error *ret_error)
{
    size_t length, offset = 0;
    int code = scan_value(&scan_header_limits, bytes, size, &length);

    if (code == MUSTER_ELIMIT)
        return muster_error_set(ret_error, code, "a message header of %zu bytes exceeds a limit", size);
    if (code || length != size)
        return muster_error_set(ret_error, MUSTER_EPROTOCOL, "a message header is not one msgpack value");
    if (msgpack_unpack(bytes, size, &offset, zone, ret_header) != MSGPACK_UNPACK_SUCCESS)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "no memory to decode a message header");
    if (ret_header->type != MSGPACK_OBJECT_ARRAY || ret_header->via.array.size == 0)
        return muster_error_set(ret_error, MUSTER_EPROTOCOL, "a message header is not an array");
    return 0;
}

int proto_decode(const void *bytes, size_t size, msgpack_zone *zone, struct proto_message *ret_message,
                 struct muster_error *ret_error)
{
    struct proto_message message = {0};
    struct field_coder coder = {.zone = zone};
    const msgpack_object *type;
    const struct layout *layout;
    msgpack_object header = {.type = MSGPACK_OBJECT_NIL};
    int code = unpack_header(bytes, size, zone, &header, ret_error);

    if (code)
        return code;
    type = header.via.array.ptr;
    layout = type->type == MSGPACK_OBJECT_POSITIVE_INTEGER ? find_layout(type->via.u64) : NULL;
    if (!layout)
        return muster_error_set(ret_error, MUSTER_EPROTOCOL, "a message of unknown type");
    message.type = (enum proto_type)type->via.u64;
    coder.next = type + 1;
    coder.end = type + header.via.array.size;
    layout->fields(&coder, &message);
    if (coder.code)
        return muster_error_set(ret_error, coder.code, "malformed %s: field %s %s",
                                proto_type_name(message.type), coder.name, coder.why);
    if (coder.next != coder.end)
        return muster_error_set(ret_error, MUSTER_EPROTOCOL, "malformed %s: more than %u fields",
                                proto_type_name(message.type), layout->count);
    *ret_message = message;
    return 0;
}

bool proto_has_payload(const struct proto_message *message)
{
    switch (message->type) {
    case PROTO_ARGUMENTS:
    case PROTO_RESULTS:
    case PROTO_RESULT:
        return true;
    case PROTO_CHUNK:
        return message->chunk.kind == PROTO_LIST;
    case PROTO_HELLO:
    case PROTO_WELCOME:
    case PROTO_ERROR:
    case PROTO_SUBMIT:
    case PROTO_ACCEPTED:
    case PROTO_SEAL:
    case PROTO_GRANT:
    case PROTO_CONSUMED:
    case PROTO_ENDED:
    case PROTO_CANCEL:
    case PROTO_PING:
    case PROTO_PONG:
    case PROTO_STOP:
    case PROTO_RETURNED:
        return false;
    }
    return false;
}

/* Values that the payload must hold. */
static uint64_t payload_values(const struct proto_message *message)
{
    if (!proto_has_payload(message))
        return 0;
    if (message->type == PROTO_ARGUMENTS)
        return message->arguments.count;
    if (message->type == PROTO_CHUNK)
        return message->chunk.count;
    if (message->type == PROTO_RESULTS)
        return message->results.outcome.count - message->results.outcome.failure_count;
    return message->result.outcome.count - message->result.outcome.failure_count;
}

int proto_check_payload(const struct proto_message *message, struct muster_error *ret_error)
{
    const char *name = proto_type_name(message->type);
    uint64_t values = payload_values(message);
    size_t size = message->payload.size, length;
    int code;

    if (size > PROTO_PAYLOAD_BYTES_MAX)
        return muster_error_set(ret_error, MUSTER_ELIMIT, "the payload of %s has %zu bytes, more than %d",
                                name, size, PROTO_PAYLOAD_BYTES_MAX);
    code = scan_values(&scan_value_limits, slice_bytes(&message->payload), size, values, &length);
    if (code == MUSTER_ELIMIT)
        return muster_error_set(ret_error, code, "a value in the payload of %s exceeds a limit", name);
    if (code || length != size)
        return muster_error_set(ret_error, MUSTER_EPROTOCOL, "the payload of %s is not %llu values", name,
                                (unsigned long long)values);
    return 0;
}

const char *proto_type_name(int type)
{
    static const char *const names[] = {
#define X(name, number) [number] = #name,
        PROTO_TYPE_MAP(X)
#undef X
    };

    return type >= 1 && (size_t)type < sizeof names / sizeof *names ? names[type] : "?";
}

struct proto_text proto_text(const char *string)
{
    struct proto_text text = {.bytes = string, .size = (uint32_t)strnlen(string, PROTO_TEXT_MAX + 1)};

    return field_cut(text, PROTO_TEXT_MAX);
}

uint64_t proto_cost(const struct proto_message *message)
{
    uint64_t cost = message->payload.size + PROTO_MESSAGE_COST_BYTES;

    if (message->type == PROTO_RESULTS) {
        cost += message->results.outcome.shared_bytes;
        for (uint32_t i = 0; i < message->results.outcome.failure_count; i++)
            cost += message->results.outcome.failures[i].text.size + PROTO_FAILURE_COST_BYTES;
    }
    return cost;
}
