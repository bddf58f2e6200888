/* SPDX-License-Identifier: MIT
 *
 * The header frame of every message, described once by a function of its fields that both
 * writes and reads it (proto/field.h). What a field means stands in messages.h and in
 * PROTOCOL.md; here, in codec_batch.c, codec_worker.c and codec_host.c stand its place and its range.
 */
#include "proto/codec.h"

#include "proto/codec_internal.h"
#include "proto/limits.h"
#include "proto/scan.h"

#include <string.h>

bool codec_indexes_fit(uint64_t first, uint64_t count)
{
    return count <= PROTO_BATCH_JOBS_MAX && first - 1 <= PROTO_BATCH_JOBS_MAX - count;
}

void codec_kind(struct field_coder *c, enum proto_arguments *kind)
{
    uint32_t number = *kind;

    field_u32(c, "kind", PROTO_RANGE, PROTO_LIST, &number);
    *kind = (enum proto_arguments)number;
}

void codec_shared_bytes(struct field_coder *c, uint64_t *bytes)
{
    field_u64(c, "shared_bytes", 0, PROTO_SHARED_BYTES_MAX, bytes);
}

void codec_common(struct field_coder *c, struct proto_text *common)
{
    size_t length;

    if (!field_given(c, common->size > 0))
        return;
    field_bytes(c, "common", PROTO_COMMON_BYTES_MAX, common);
    field_require(c,
                  scan_value(&scan_value_limits, (const uint8_t *)common->bytes, common->size, &length) ==
                          0 &&
                      length == common->size,
                  "common", "is not one msgpack value");
}

bool codec_version(struct field_coder *c, uint32_t *version)
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

    if (!codec_version(c, &m->version))
        return;
    field_u32(c, "role", PROTO_CLIENT, PROTO_WORKER, &role);
    m->role = (enum proto_role)role;
    field_u64(c, "pid", 0, UINT64_MAX, &m->pid);
    field_u32(c, "credit", role == PROTO_WORKER, role == PROTO_WORKER ? PROTO_CREDIT_MAX : 0, &m->credit);
    field_u32(c, "concurrency", role == PROTO_WORKER, role == PROTO_WORKER ? PROTO_CONCURRENCY_MAX : 0,
              &m->concurrency);
    field_text(c, "software", PROTO_TEXT_MAX, &m->software);
    field_text(c, "user", role == PROTO_CLIENT ? PROTO_USER_MAX : 0, &m->user);
    field_u32(c, "standing", 0, role == PROTO_WORKER ? PROTO_STANDING_MAX : 0, &m->standing);
}

static void welcome_fields(struct field_coder *c, struct proto_message *message)
{
    struct proto_welcome *m = &message->welcome;
    uint32_t keeps = m->keeps;

    if (!codec_version(c, &m->version))
        return;
    field_u32(c, "workers", 0, PROTO_WORKERS_MAX, &m->workers);
    field_u64(c, "host", 0, UINT64_MAX, &m->host);
    field_u32(c, "keeps", PROTO_KEEPS_NOTHING, PROTO_KEEPS_ON_DISK, &keeps);
    m->keeps = (enum proto_keeps)keeps;
    field_u32(c, "epoch", 0, PROTO_EPOCH_MAX, &m->epoch);
}

static void error_fields(struct field_coder *c, struct proto_message *message)
{
    struct proto_error *m = &message->error;

    field_u64(c, "ticket", 0, UINT64_MAX, &m->ticket);
    field_code(c, "code", false, &m->code);
    field_text(c, "text", PROTO_TEXT_MAX, &m->text);
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

/* Each type: its fields, and how many they are, without what may be left out. */
static const struct layout {
    uint32_t count;
    void (*fields)(struct field_coder *c, struct proto_message *message);
} layouts[] = {
    [PROTO_HELLO] = {8, hello_fields},      [PROTO_WELCOME] = {5, welcome_fields},
    [PROTO_ERROR] = {3, error_fields},      [PROTO_SUBMIT] = {25, codec_submit},
    [PROTO_ACCEPTED] = {2, codec_accepted}, [PROTO_ARGUMENTS] = {4, codec_arguments},
    [PROTO_SEAL] = {2, codec_seal},         [PROTO_GRANT] = {2, codec_grant},
    [PROTO_RESULTS] = {18, codec_results},  [PROTO_CONSUMED] = {2, codec_consumed},
    [PROTO_ENDED] = {17, codec_ended},      [PROTO_CANCEL] = {4, codec_cancel},
    [PROTO_CHUNK] = {12, codec_chunk},      [PROTO_RESULT] = {21, codec_result},
    [PROTO_PING] = {1, ping_fields},        [PROTO_PONG] = {1, ping_fields},
    [PROTO_STOP] = {0, no_fields},          [PROTO_RETURNED] = {4, codec_returned},
    [PROTO_ATTACH] = {8, codec_attach},     [PROTO_ATTACHED] = {8, codec_attached},
    [PROTO_DETACH] = {1, codec_detach},     [PROTO_REQUEST] = {5, codec_request},
    [PROTO_ANSWER] = {4, codec_answer},     [PROTO_STANDING] = {5, codec_standing},
    [PROTO_KEPT] = {1, codec_kept},         [PROTO_JOIN] = {12, codec_join},
    [PROTO_JOINED] = {5, codec_joined},     [PROTO_SPAWN] = {2, codec_spawn},
    [PROTO_KILL] = {1, codec_kill},         [PROTO_EXITED] = {10, codec_exited},
    [PROTO_BEAT] = {2, codec_beat},
};

/* NULL for a number that is no type. */
static const struct layout *find_layout(uint64_t type)
{
    return type >= 1 && type < sizeof layouts / sizeof *layouts ? &layouts[type] : NULL;
}

/* Fields of a message of ours. */
static uint32_t count_fields(const struct layout *layout, const struct proto_message *message)
{
    bool common = (message->type == PROTO_SUBMIT && message->submit.common.size > 0) ||
                  (message->type == PROTO_CHUNK && message->chunk.common.size > 0);

    return layout->count + common;
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
    if (msgpack_pack_array(&packer, 1 + count_fields(layout, message)) != 0 ||
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
    case PROTO_SUBMIT:
    case PROTO_ARGUMENTS:
    case PROTO_RESULTS:
    case PROTO_RESULT:
    case PROTO_ANSWER:
        return true;
    case PROTO_CHUNK:
        return message->chunk.kind == PROTO_LIST;
    case PROTO_HELLO:
    case PROTO_WELCOME:
    case PROTO_ERROR:
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
    case PROTO_ATTACH:
    case PROTO_ATTACHED:
    case PROTO_DETACH:
    case PROTO_REQUEST:
    case PROTO_STANDING:
    case PROTO_KEPT:
    case PROTO_JOIN:
    case PROTO_JOINED:
    case PROTO_SPAWN:
    case PROTO_KILL:
    case PROTO_EXITED:
    case PROTO_BEAT:
        return false;
    }
    return false;
}

uint32_t proto_outcome_values(const struct proto_outcome *outcome)
{
    uint32_t values = outcome->count - outcome->failure_count;

    for (uint32_t i = 0; i < outcome->failure_count; i++)
        values += outcome->failures[i].valued;
    return values;
}

/* Values that the payload must hold. */
static uint64_t payload_values(const struct proto_message *message)
{
    if (!proto_has_payload(message))
        return 0;
    if (message->type == PROTO_SUBMIT)
        return message->submit.count;
    if (message->type == PROTO_ARGUMENTS)
        return message->arguments.count;
    if (message->type == PROTO_CHUNK)
        return message->chunk.count;
    if (message->type == PROTO_RESULTS)
        return proto_outcome_values(&message->results.outcome);
    if (message->type == PROTO_RESULT)
        return proto_outcome_values(&message->result.outcome);
    return 1;
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
