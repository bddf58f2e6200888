/* SPDX-License-Identifier: MIT
 *
 * What the codec refuses: headers are written here as JSON arrays and packed as msgpack, so
 * that a table can hold a wrong field each. The right ones are the golden vectors.
 */
#include "base/error.h"
#include "proto/codec.h"
#include "proto/limits.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <string.h>

static msgpack_sbuffer buffer;
static msgpack_zone zone;
static struct muster_error error;

static void set_up(void)
{
    msgpack_sbuffer_init(&buffer);
    cr_assert(msgpack_zone_init(&zone, 4096));
}

static void tear_down(void)
{
    msgpack_sbuffer_destroy(&buffer);
    msgpack_zone_destroy(&zone);
}

TestSuite(codec, .init = set_up, .fini = tear_down);

static void pack_json(msgpack_packer *packer, const json_t *json)
{
    if (json_is_array(json)) {
        msgpack_pack_array(packer, json_array_size(json));
        for (size_t i = 0; i < json_array_size(json); i++)
            pack_json(packer, json_array_get(json, i));
    } else if (json_is_string(json)) {
        msgpack_pack_str_with_body(packer, json_string_value(json), json_string_length(json));
    } else if (json_is_integer(json)) {
        msgpack_pack_int64(packer, json_integer_value(json));
    } else if (json_is_real(json)) {
        msgpack_pack_double(packer, json_real_value(json));
    } else if (json_is_boolean(json)) {
        json_is_true(json) ? msgpack_pack_true(packer) : msgpack_pack_false(packer);
    } else {
        msgpack_pack_nil(packer);
    }
}

static int decode_bytes(const void *bytes, size_t size, struct proto_message *ret_message)
{
    error = (struct muster_error){0};
    return proto_decode(bytes, size, &zone, ret_message, &error);
}

static int decode(const char *text, struct proto_message *ret_message)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    msgpack_packer packer;

    cr_assert_not_null(json, "%s", text);
    buffer.size = 0;
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    pack_json(&packer, json);
    json_decref(json);
    return decode_bytes(buffer.data, buffer.size, ret_message);
}

/* A header and the field it must be refused for. */
struct wrong {
    const char *header, *field;
};

static void assert_refused(const struct wrong *cases, size_t count)
{
    struct proto_message message = {.type = PROTO_STOP};

    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(decode(cases[i].header, &message), MUSTER_EPROTOCOL, "%s passed", cases[i].header);
        cr_assert_not_null(strstr(error.text, cases[i].field), "%s: %s", cases[i].header, error.text);
        cr_assert_eq(message.type, PROTO_STOP, "a failure wrote its output");
    }
}

static void assert_accepted(const char *const *headers, size_t count)
{
    struct proto_message message;

    for (size_t i = 0; i < count; i++)
        cr_assert_eq(decode(headers[i], &message), 0, "%s: %s", headers[i], error.text);
}

#define COUNT(array) (sizeof(array) / sizeof *(array))

Test(codec, what_is_no_message_is_refused)
{
    static const struct wrong cases[] = {
        {"1", "array"},     {"[]", "array"},        {"[0]", "type"},
        {"[32]", "type"},   {"[\"STOP\"]", "type"}, {"[-1]", "type"},
        {"[[17]]", "type"}, {"[17.0]", "type"},     {"[1073741824]", "type"},
    };

    assert_refused(cases, COUNT(cases));
    cr_assert_eq(decode_bytes("", 0, &(struct proto_message){0}), MUSTER_EPROTOCOL);
    cr_assert_eq(decode_bytes("\xc1", 1, &(struct proto_message){0}), MUSTER_EPROTOCOL);
    cr_assert_eq(decode_bytes("\x91\x11\xc0", 3, &(struct proto_message){0}), MUSTER_EPROTOCOL);
    cr_assert_eq(decode_bytes("\xdd\xff\xff\xff\xff", 5, &(struct proto_message){0}), MUSTER_EPROTOCOL);
}

Test(codec, missing_or_surplus_field_is_refused)
{
    static const struct wrong cases[] = {
        {"[1]", "version"},
        {"[1,5,2,9,1,1]", "software"},
        {"[1,5,2,9,1,1,\"x\"]", "user"},
        {"[1,5,2,9,1,1,\"x\",\"\"]", "standing"},
        {"[1,5,2,9,1,1,\"x\",\"\",0,0]", "more than 8"},
        {"[2,5]", "workers"},
        {"[2,5,2]", "host"},
        {"[2,5,2,0]", "keeps"},
        {"[2,5,2,0,0]", "epoch"},
        {"[2,5,2,0,0,0,3]", "more than 5"},
        {"[15]", "nonce"},
        {"[15,1,1]", "more than 1"},
        {"[17,null]", "more than 0"},
        {"[8,1]", "bytes"},
        {"[14,3,13,0,true,0,0,0,9,1,1,0,0,0,false,0,0,0,0,0,[]]", "timings"},
    };

    assert_refused(cases, COUNT(cases));
}

Test(codec, greeting_out_of_range_is_refused)
{
    static const struct wrong cases[] = {
        {"[1,-1]", "version"},
        {"[1,4294967296]", "version"},
        {"[1,5,0,9,1,1,\"x\",\"\",0]", "role"},
        {"[1,5,3,9,1,1,\"x\",\"\",0]", "role"},
        {"[1,5,2,-9,1,1,\"x\",\"\",0]", "pid"},
        {"[1,5,2,9,0,1,\"x\",\"\",0]", "credit"},
        {"[1,5,2,9,20017,1,\"x\",\"\",0]", "credit"},
        {"[1,5,1,9,1,0,\"x\",\"\",0]", "credit"},
        {"[1,5,2,9,1,0,\"x\",\"\",0]", "concurrency"},
        {"[1,5,2,9,1,20001,\"x\",\"\",0]", "concurrency"},
        {"[1,5,2,9,1,-1,\"x\",\"\",0]", "concurrency"},
        {"[1,5,1,9,0,1,\"x\",\"\",0]", "concurrency"},
        {"[1,5,1,9,0,0,null,\"\",0]", "software"},
        {"[1,5,1,9,0,0,7,\"\",0]", "software"},
        {"[1,true]", "version"},
        {"[2,5,16385,0,0,0]", "workers"},
        {"[2,5,1.0,0,0,0]", "workers"},
        {"[2,5,1,-1,0,0]", "host"},
        {"[2,5,1,0,3,0]", "keeps"},
        {"[2,5,1,0,-1,0]", "keeps"},
        {"[2,5,1,0,2,16777216]", "epoch"},
        {"[1,5,1,9,0,0,\"x\",7,0]", "user"},
        {"[1,5,1,9,0,0,\"x\",\"a2345678901234567890123456789012345678901234567890123456789012345\",0]",
         "user"},
        {"[1,5,2,9,1,1,\"x\",\"ada\",0]", "user"},
        {"[1,5,1,9,0,0,\"x\",\"ada\",1]", "standing"},
        {"[1,5,2,9,1,1,\"x\",\"\",41863]", "standing"},
    };

    assert_refused(cases, COUNT(cases));
}

Test(codec, greeting_of_another_version_tells_its_version)
{
    static const char *const greetings[] = {"[1,2]", "[1,7,[[]],null,\"x\",1,2,3,4]", "[2,0,true]"};
    static const uint32_t versions[] = {2, 7, 0};
    struct proto_message message;

    for (size_t i = 0; i < COUNT(greetings); i++) {
        cr_assert_eq(decode(greetings[i], &message), 0, "%s: %s", greetings[i], error.text);
        cr_assert_eq(message.type == PROTO_HELLO ? message.hello.version : message.welcome.version,
                     versions[i]);
    }
}

/* The fields of a SUBMIT from `count` on, of a batch that is like any other. */
#define REST "0,false,false,true,false,\"\",0,0,1,0,0,0,[]]"

Test(codec, submission_out_of_range_is_refused)
{
    static const struct wrong cases[] = {
        {"[4,0,\"f\",1,1,2,0,0,0,1,false,false,1," REST, "ticket"},
        {"[4,1,\"\",1,1,2,0,0,0,1,false,false,1," REST, "function"},
        {"[4,1,\"1f\",1,1,2,0,0,0,1,false,false,1," REST, "function"},
        {"[4,1,\"F\",1,1,2,0,0,0,1,false,false,1," REST, "function"},
        {"[4,1,\"f/g\",1,1,2,0,0,0,1,false,false,1," REST, "function"},
        {"[4,1,\"f\\u0000\",1,1,2,0,0,0,1,false,false,1," REST, "function"},
        {"[4,1,\"a2345678901234567890123456789012345678901234567890123456789012345\",1,1,2,0,0,0,1,false,"
         "false,1," REST,
         "function"},
        {"[4,1,\"f\",0,1,2,0,0,0,1,false,false,1," REST, "kind"},
        {"[4,1,\"f\",3,1,2,0,0,0,1,false,false,1," REST, "kind"},
        {"[4,1,\"f\",1,3,2,0,0,0,1,false,false,1," REST, "last"},
        {"[4,1,\"f\",1,0,4611686018427387904,0,0,0,1,false,false,1," REST, "last"},
        {"[4,1,\"f\",1,-9223372036854775808,9223372036854775807,0,0,0,1,false,false,1," REST, "last"},
        {"[4,1,\"f\",2,1,1,0,0,0,1,false,false,1," REST, "first"},
        {"[4,1,\"f\",1,1.5,2,0,0,0,1,false,false,1," REST, "first"},
        {"[4,1,\"f\",1,1,2,65537,0,0,1,false,false,1," REST, "chunk_jobs"},
        {"[4,1,\"f\",1,1,2,0,2147483648,0,1,false,false,1," REST, "timeout_ms"},
        {"[4,1,\"f\",1,1,2,0,0,1001,1,false,false,1," REST, "retries"},
        {"[4,1,\"f\",1,1,2,0,0,0,0,false,false,1," REST, "crash_limit"},
        {"[4,1,\"f\",1,1,2,0,0,0,1001,false,false,1," REST, "crash_limit"},
        {"[4,1,\"f\",1,1,2,0,0,0,1,0,false,1," REST, "timings"},
        {"[4,1,\"f\",1,1,2,0,0,0,1,false,0,1," REST, "shared"},
        {"[4,1,\"f\",1,1,2,0,0,0,1,false,false,0," REST, "window_bytes"},
    };

    assert_refused(cases, COUNT(cases));
}

/* A SUBMIT of a range, or of a list, up to `count`. */
#define RANGE "[4,1,\"f\",1,1,2,0,0,0,1,false,false,1,"
#define LIST  "[4,1,\"f\",2,0,0,0,0,0,1,false,false,1,"

Test(codec, submission_that_is_to_be_kept_out_of_range_is_refused)
{
    static const struct wrong cases[] = {
        {RANGE "1,false,false,true,false,\"\",0,0,1,0,0,0,[]]", "count"},
        {LIST "4097,false,false,true,false,\"\",0,0,1,0,0,0,[]]", "count"},
        {LIST "-1,false,false,true,false,\"\",0,0,1,0,0,0,[]]", "count"},
        {RANGE "0,0,false,true,false,\"\",0,0,1,0,0,0,[]]", "keep"},
        {RANGE "0,false,true,true,false,\"\",0,0,1,0,0,0,[]]", "hold"},
        {RANGE "0,false,false,false,false,\"\",0,0,1,0,0,0,[]]", "attach"},
        {RANGE "0,false,false,true,null,\"\",0,0,1,0,0,0,[]]", "ordered"},
        {RANGE "0,false,false,true,false,null,0,0,1,0,0,0,[]]", "name"},
        {RANGE "0,false,false,true,false,\"\",1001,0,1,0,0,0,[]]", "priority"},
        {RANGE "0,false,false,true,false,\"\",-1001,0,1,0,0,0,[]]", "priority"},
        {RANGE "0,false,false,true,false,\"\",4294967296,0,1,0,0,0,[]]", "priority"},
        {RANGE "0,false,false,true,false,\"\",0,-1,1,0,0,0,[]]", "most_running"},
        {RANGE "0,false,false,true,false,\"\",0,0,0,0,0,0,[]]", "cpus"},
        {RANGE "0,false,false,true,false,\"\",0,0,16385,0,0,0,[]]", "cpus"},
        {RANGE "0,false,false,true,false,\"\",0,0,1,281474976710657,0,0,[]]", "memory_bytes"},
        {RANGE "0,false,false,true,false,\"\",0,0,1,0,253402300800000,0,[]]", "begin_ms"},
        {RANGE "0,false,false,true,false,\"\",0,0,1,0,0,2147483648,[]]", "backoff_ms"},
        {RANGE "0,false,false,true,false,\"\",0,0,1,0,0,0,null]", "after"},
        {RANGE "0,false,false,true,false,\"\",0,0,1,0,0,0,[7]]", "after"},
        {RANGE "0,false,false,true,false,\"\",0,0,1,0,0,0,[[7]]]", "after"},
        {RANGE "0,false,false,true,false,\"\",0,0,1,0,0,0,[[7,1,1]]]", "after"},
        {RANGE "0,false,false,true,false,\"\",0,0,1,0,0,0,[[0,1]]]", "after batch"},
        {RANGE "0,false,false,true,false,\"\",0,0,1,0,0,0,[[7,0]]]", "after condition"},
        {RANGE "0,false,false,true,false,\"\",0,0,1,0,0,0,[[7,1],[8,3]]]", "after condition"},
    };
    static const char *const right[] = {
        LIST "4096,false,false,true,false,\"\",0,0,1,0,0,0,[]]",
        RANGE
        "0,true,true,false,true,\"x\",1000,4294967295,1024,281474976710656,253402300799999,2147483647,[]]",
        RANGE "0,true,false,true,true,\"x\",-1000,1,1,1,1,1,[[9223372036854775807,2]]]",
    };

    assert_refused(cases, COUNT(cases));
    assert_accepted(right, COUNT(right));
}

/* The header of a SUBMIT whose name is so long, and that waits for so many batches. */
static int decode_submission(unsigned name, unsigned after)
{
    struct proto_message message;
    char header[2048];
    int size = snprintf(header, sizeof header, RANGE "0,true,false,true,false,\"%*s\",0,0,1,0,0,0,[",
                        (int)name, "x");

    for (unsigned i = 0; i < after; i++)
        size += snprintf(header + size, sizeof header - (size_t)size, "%s[%u,1]", i ? "," : "", i + 1);
    snprintf(header + size, sizeof header - (size_t)size, "]]");
    return decode(header, &message);
}

Test(codec, submission_with_too_long_a_name_or_too_many_to_wait_for_is_refused)
{
    cr_assert_eq(decode_submission(PROTO_NAME_MAX, PROTO_AFTER_MAX), 0);
    cr_assert_eq(decode_submission(PROTO_NAME_MAX + 1, 0), MUSTER_EPROTOCOL);
    cr_assert_not_null(strstr(error.text, "name"));
    cr_assert_eq(decode_submission(1, PROTO_AFTER_MAX + 1), MUSTER_EPROTOCOL);
    cr_assert_not_null(strstr(error.text, "after"));
}

Test(codec, attachment_out_of_range_is_refused)
{
    static const struct wrong cases[] = {
        {"[19,0,1,1,true,true,true,true,1]", "ticket"},
        {"[19,1,0,1,true,true,true,true,1]", "batch"},
        {"[19,1,1,0,true,true,true,true,1]", "first"},
        {"[19,1,1,4611686018427387905,true,true,true,true,1]", "first"},
        {"[19,1,1,1,1,true,true,true,1]", "ordered"},
        {"[19,1,1,1,true,1,true,true,1]", "follow"},
        {"[19,1,1,1,true,true,1,true,1]", "arguments"},
        {"[19,1,1,1,true,true,true,false,0]", "arguments"},
        {"[19,1,1,1,true,true,true,1,1]", "results"},
        {"[19,1,1,1,true,true,true,true,0]", "window_bytes"},
        {"[19,1,1,1,true,true,false,false,1]", "window_bytes"},
        {"[20,0,1,\"f\",1,1,2,2,true]", "ticket"},
        {"[20,1,0,\"f\",1,1,2,2,true]", "batch"},
        {"[20,1,1,\"\",1,1,2,2,true]", "function"},
        {"[20,1,1,\"f\",0,1,2,2,true]", "kind"},
        {"[20,1,1,\"f\",1,3,2,2,true]", "last"},
        {"[20,1,1,\"f\",2,1,1,2,true]", "first"},
        {"[20,1,1,\"f\",1,1,2,4611686018427387905,true]", "total"},
        {"[20,1,1,\"f\",1,1,2,2,0]", "sealed"},
        {"[21,0]", "ticket"},
        {"[21]", "ticket"},
        {"[21,1,1]", "more than 1"},
    };
    static const char *const right[] = {
        "[19,9223372036854775807,1,4611686018427387904,false,false,false,true,9223372036854775807]",
        "[19,1,1,1,false,true,false,false,0]",
        "[20,1,1,\"f\",2,0,0,0,true]",
    };

    assert_refused(cases, COUNT(cases));
    assert_accepted(right, COUNT(right));
}

Test(codec, question_or_answer_out_of_range_is_refused)
{
    static const struct wrong cases[] = {
        {"[22,0,1,0,0,\"\"]", "ticket"},     {"[22,1,0,0,0,\"\"]", "operation"},
        {"[22,1,10,0,0,\"\"]", "operation"}, {"[22,1,1,-1,0,\"\"]", "batch"},
        {"[22,1,1,0,-1,\"\"]", "number"},    {"[22,1,1,0,0,null]", "text"},
        {"[23,0,0,false,\"\"]", "ticket"},   {"[23,1,1,false,\"\"]", "code"},
        {"[23,1,-99,false,\"\"]", "code"},   {"[23,1,0,0,\"\"]", "more"},
        {"[23,1,0,false,7]", "text"},
    };

    assert_refused(cases, COUNT(cases));
}

Test(codec, what_a_worker_stands_by_out_of_range_is_refused)
{
    static const struct wrong cases[] = {
        {"[24,0,1,1,1,1]", "batch"},
        {"[24,1,0,1,1,1]", "chunk"},
        {"[24,1,1,0,1,1]", "first"},
        {"[24,1,1,1,0,1]", "count"},
        {"[24,1,1,1,65537,1]", "count"},
        {"[24,1,1,4611686018427387904,2,1]", "count"},
        {"[24,1,1,1,1,0]", "attempt"},
        {"[25,0]", "number"},
        {"[25]", "number"},
        {"[14,1,1,-1,true,0,0,0,1,1,1,0,0,0,false,0,0,0,0,0,[],null]", "number"},
    };

    assert_refused(cases, COUNT(cases));
}

Test(codec, submission_at_its_limits_is_accepted)
{
    static const char *const headers[] = {
        ("[4,1,\"a234567890123456789012345678901234567890123456789012345678901_.-\",1,1,3,0,0,0,1,true,false,"
         "1," REST),
        "[4,1,\"f\",1,1,4611686018427387904,65536,2147483647,1000,1000,true,false,1," REST,
        "[4,1,\"f\",1,-9223372036854775808,-9223372036854775808,0,0,0,1,false,false,1," REST,
        "[4,1,\"f\",1,9223372036854775807,9223372036854775807,0,0,0,1,false,false,1," REST,
        "[4,1,\"f\",1,-2305843009213693952,2305843009213693951,0,0,0,1,false,false,1," REST,
    };

    assert_accepted(headers, COUNT(headers));
}

Test(codec, small_message_out_of_range_is_refused)
{
    static const struct wrong cases[] = {
        {"[3,0,0,\"x\"]", "code"},
        {"[3,0,4,\"x\"]", "code"},
        {"[3,0,-19,\"x\"]", "code"},
        {"[3,0,-4294967300,\"x\"]", "code"},
        {"[3,0,-4,null]", "text"},
        {"[5,0,1]", "ticket"},
        {"[5,1,0]", "batch"},
        {"[6,0,1,1,0]", "ticket"},
        {"[6,1,0,1,0]", "first"},
        {"[6,1,1,0,0]", "count"},
        {"[6,1,1,4097,0]", "count"},
        {"[6,1,4611686018427387904,2,0]", "count"},
        {"[6,1,1,1,-1]", "shared_bytes"},
        {"[6,1,1,1,281474976710657]", "shared_bytes"},
        {"[7,0,1]", "ticket"},
        {"[7,1,4611686018427387905]", "total"},
        {"[8,0,1]", "ticket"},
        {"[8,1,-1]", "bytes"},
        {"[10,0,1]", "ticket"},
        {"[10,1,-1]", "bytes"},
        {"[12,0,1,0,0]", "id"},
        {"[12,1,0,0,0]", "mode"},
        {"[12,1,4,1,1]", "mode"},
        {"[12,1,3,0,0]", "count"},
        {"[12,1,1]", "first"},
        {"[12,1,1,-1,1]", "first"},
        {"[12,1,1,1,-1]", "count"},
        {"[12,1,1,1,0]", "count"},
        {"[12,1,1,0,1]", "count"},
        {"[12,1,1,4611686018427387905,1]", "first"},
        {"[12,1,1,1,4611686018427387905]", "count"},
        {"[12,1,1,2,4611686018427387904]", "count"},
        {"[12,1,1,4611686018427387904,4611686018427387904]", "count"},
        {"[15,-1]", "nonce"},
        {"[18,0,1,1,1]", "batch"},
        {"[18,1,0,1,1]", "chunk"},
        {"[18,1,1,0,1]", "first"},
        {"[18,1,1,1,0]", "count"},
        {"[18,1,1,1,65537]", "count"},
        {"[18,1,1,4611686018427387904,2]", "count"},
        {"[16,null]", "nonce"},
    };

    assert_refused(cases, COUNT(cases));
}

Test(codec, end_out_of_range_is_refused)
{
    static const struct wrong cases[] = {
        {"[11,0,0,1,1,1,0,0,0,0,0,0,0,0,0,0,0,\"\"]", "ticket"},
        {"[11,1,1,1,1,1,0,0,0,0,0,0,0,0,0,0,0,\"\"]", "code"},
        {"[11,1,0,4611686018427387905,0,0,0,0,0,0,0,0,0,0,0,0,0,\"\"]", "succeeded"},
        {"[11,1,0,4611686018427387904,1,0,0,0,0,0,0,0,0,0,0,0,0,\"\"]", "failed"},
        {"[11,1,0,4611686018427387903,1,1,0,0,0,0,0,0,0,0,0,0,0,\"\"]", "cancelled"},
        {"[11,1,0,1,1,1,0,0,0,0,0,0,0,0,0,-1,0,\"\"]", "voluntary"},
        {"[11,1,0,1,1,1,0,0,0,0,0,0,0,0,0,0,-1,\"\"]", "involuntary"},
        {"[11,1,0,1,1,1,0,0,0,0,0,0,0,0,0,0,0,0]", "text"},
    };

    assert_refused(cases, COUNT(cases));
}

Test(codec, chunk_out_of_range_is_refused)
{
    static const struct wrong cases[] = {
        {"[13,0,1,\"f\",1,1,1,0,false,0,0,1,5]", "batch"},
        {"[13,1,0,\"f\",1,1,1,0,false,0,0,1,5]", "chunk"},
        {"[13,1,1,\"\",1,1,1,0,false,0,0,1,5]", "function"},
        {"[13,1,1,\"f\",0,1,1,0,false,0,0,1,5]", "first"},
        {"[13,1,1,\"f\",1,0,1,0,false,0,0,1,5]", "count"},
        {"[13,1,1,\"f\",1,65537,1,0,false,0,0,1,5]", "count"},
        {"[13,1,1,\"f\",4611686018427387904,2,1,0,false,0,0,1,5]", "count"},
        {"[13,1,1,\"f\",1,1,0,0,false,0,0,1,5]", "attempt"},
        {"[13,1,1,\"f\",1,1,1,2147483648,false,0,0,1,5]", "timeout_ms"},
        {"[13,1,1,\"f\",1,1,1,0,null,0,0,1,5]", "timings"},
        {"[13,1,1,\"f\",1,1,1,0,false,-1,0,1,5]", "reader"},
        {"[13,1,1,\"f\",1,1,1,0,false,7,1,1,5]", "shared_bytes"},
        {"[13,1,1,\"f\",1,1,1,0,false,7,281474976710657,2,0]", "shared_bytes"},
        {"[13,1,1,\"f\",1,1,1,0,false,0,0,0,5]", "kind"},
        {"[13,1,1,\"f\",1,1,1,0,false,0,0,2,5]", "argument"},
        {"[13,1,1,\"f\",1,2,1,0,false,0,0,1,9223372036854775807]", "argument"},
    };
    static const char *const right[] = {
        "[13,1,1,\"f\",1,1,1,0,false,0,0,1,9223372036854775807]",
        "[13,1,1,\"f\",1,65536,1,0,false,0,0,1,9223372036854710272]",
        "[13,1,1,\"f\",4611686018427387904,1,1,0,false,0,0,2,0]",
        "[13,1,1,\"f\",1,1,1,0,false,7,281474976710656,2,0]",
    };

    assert_refused(cases, COUNT(cases));
    assert_accepted(right, COUNT(right));
}

Test(codec, outcome_out_of_range_is_refused)
{
    static const struct wrong cases[] = {
        {"[14,0,1,0,true,0,0,0,1,1,1,0,0,0,false,0,0,0,0,0,[],null]", "batch"},
        {"[14,1,0,0,true,0,0,0,1,1,1,0,0,0,false,0,0,0,0,0,[],null]", "chunk"},
        {"[14,1,1,0,1,0,0,0,1,1,1,0,0,0,false,0,0,0,0,0,[],null]", "final"},
        {"[14,1,1,0,true,0,0,0,0,1,1,0,0,0,false,0,0,0,0,0,[],null]", "first"},
        {"[14,1,1,0,false,0,0,0,1,0,1,0,0,0,false,0,0,0,0,0,[],null]", "count"},
        {"[14,1,1,0,true,0,0,0,1,65537,1,0,0,0,false,0,0,0,0,0,[],null]", "count"},
        {"[14,1,1,0,true,0,0,0,4611686018427387905,1,1,0,0,0,false,0,0,0,0,0,[],null]", "count"},
        {"[14,1,1,0,true,0,0,0,1,1,0,0,0,0,false,0,0,0,0,0,[],null]", "attempt"},
        {"[14,1,1,0,true,0,-1,0,1,1,1,0,0,0,false,0,0,0,0,0,[],null]", "process_voluntary"},
        {"[14,1,1,0,true,0,0,-1,1,1,1,0,0,0,false,0,0,0,0,0,[],null]", "process_involuntary"},
        {"[14,1,1,0,true,0,0,0,1,1,1,0,-1,0,false,0,0,0,0,0,[],null]", "began_ns"},
        {"[14,1,1,0,true,0,0,0,1,1,1,0,0,0,false,0,-1,0,0,0,[],null]", "execute_ns"},
        {"[14,1,1,0,true,0,0,0,1,1,1,-1,0,0,false,0,0,0,0,0,[],null]", "arrived_ns"},
        {"[14,1,1,0,true,0,0,0,1,1,1,0,0,-1,false,0,0,0,0,0,[],null]", "reported_ns"},
        {"[14,1,1,0,true,0,0,0,1,1,1,0,0,0,0,0,0,0,0,0,[],null]", "split"},
        {"[14,1,1,0,true,0,0,0,1,1,1,0,0,0,false,-1,0,0,0,0,[],null]", "decode_ns"},
        {"[14,1,1,0,true,0,0,0,1,1,1,0,0,0,false,0,0,-1,0,0,[],null]", "encode_ns"},
        {"[14,1,1,0,true,0,0,0,1,1,1,0,0,0,false,0,0,0,0,-1,[],null]", "shared_bytes"},
        {"[14,1,1,0,true,0,0,0,1,1,1,0,0,0,false,0,0,0,-1,0,[],null]", "cpu_ns"},
        {"[9,0,1,0,0,1,1,1,0,0,0,false,0,0,0,0,0,[],null]", "ticket"},
        {"[9,1,16385,0,0,1,1,1,0,0,0,false,0,0,0,0,0,[],null]", "worker"},
        {"[9,1,1,-1,0,1,1,1,0,0,0,false,0,0,0,0,0,[],null]", "queued_ns"},
        {"[9,1,1,0,-1,1,1,1,0,0,0,false,0,0,0,0,0,[],null]", "assigned_ns"},
        {"[9,1,1,0,0,1,0,1,0,0,0,false,0,0,0,0,0,[],null]", "count"},
        {"[9,1,1,0,0,1,1,0,0,0,0,false,0,0,0,0,0,[],null]", "attempt"},
    };
    static const char *const right[] = {
        "[14,1,1,0,true,0,0,0,4611686018427387905,0,1,0,0,0,false,0,0,0,0,0,[],null]",
        "[14,1,1,0,true,0,0,0,4611686018427387904,1,1,0,0,0,false,0,0,0,0,0,[],null]",
        "[9,1,0,0,0,1,1,1,0,0,0,false,0,0,0,0,0,[],null]",
    };

    assert_refused(cases, COUNT(cases));
    assert_accepted(right, COUNT(right));
}

Test(codec, failures_that_do_not_fit_their_jobs_are_refused)
{
    static const struct wrong cases[] = {
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,null,null]", "failures"},
        {"[14,1,1,0,true,0,0,0,5,1,1,0,0,0,false,0,0,0,0,0,[[5,-11,\"\"],[6,-11,\"\"]],null]", "failures"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[[4,-11,\"\"]],null]", "index"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[[7,-11,\"\"]],null]", "index"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[[5,-11,\"\"],[5,-11,\"\"]],null]", "index"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[[6,-11,\"\"],[5,-11,\"\"]],null]", "index"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[[5,0,\"\"]],null]", "code"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[[5,-99,\"\"]],null]", "code"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[[5,-11,1]],null]", "text"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[[5,-11]],null]", "failure"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[[5,-11,\"\",0]],null]", "failure"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[[5,-11,\"\",false]],null]", "failure value"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[[5,-11,\"\",true,0]],null]", "failure"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[5,-11],null]", "failure"},
        {"[14,1,1,0,true,0,0,0,5,0,1,0,0,0,false,0,0,0,0,0,[[5,-11,\"\"]],null]", "failures"},
    };

    assert_refused(cases, COUNT(cases));
}

Test(codec, timings_that_do_not_fit_their_jobs_are_refused)
{
    static const struct wrong cases[] = {
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[],[1,2,3,4,5,6,7,8,9]]", "timings"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[],[1,2,3,4,5,6,7,8,9,10,11]]", "timings"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[],[]]", "timings"},
        {"[14,1,1,0,true,0,0,0,5,0,1,0,0,0,false,0,0,0,0,0,[],[]]", "timings"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[],0]", "timings"},
        {"[14,1,1,0,true,0,0,0,5,2,1,0,0,0,false,0,0,0,0,0,[],[1,2,-3,4,5,6,7,8,9,10]]", "timing"},
    };

    assert_refused(cases, COUNT(cases));
}

Test(codec, text_longer_than_its_limit_is_refused)
{
    struct proto_message message;
    char header[1100];

    snprintf(header, sizeof header, "[3,0,-4,\"%*s\"]", PROTO_TEXT_MAX, "x");
    cr_assert_eq(decode(header, &message), 0);
    cr_assert_eq(message.error.text.size, PROTO_TEXT_MAX);
    snprintf(header, sizeof header, "[3,0,-4,\"%*s\"]", PROTO_TEXT_MAX + 1, "x");
    cr_assert_eq(decode(header, &message), MUSTER_EPROTOCOL);
}

Test(codec, header_beyond_its_limit_is_refused_before_it_is_unpacked)
{
    size_t size = PROTO_HEADER_BYTES_MAX + 1;
    uint8_t *bytes = calloc(1, size);
    struct proto_message message;

    cr_assert_not_null(bytes);
    bytes[0] = 0xc6; /* a binary that fills it */
    bytes[1] = (uint8_t)((size - 5) >> 24);
    bytes[2] = (uint8_t)((size - 5) >> 16);
    bytes[3] = (uint8_t)((size - 5) >> 8);
    bytes[4] = (uint8_t)(size - 5);
    cr_assert_eq(decode_bytes(bytes, size, &message), MUSTER_ELIMIT);
    free(bytes);
}

Test(codec, integers_in_a_longer_form_are_accepted)
{
    struct proto_message message;

    cr_assert_eq(decode_bytes("\x92\x0f\xcf\0\0\0\0\0\0\0\x01", 11, &message), 0);
    cr_assert_eq(message.ping.nonce, 1);
    cr_assert_eq(decode_bytes("\xdd\0\0\0\2\xd0\x0f\xd3\0\0\0\0\0\0\0\x01", 16, &message), 0);
    cr_assert_eq(message.ping.nonce, 1);
}

/* A failed encode leaves no bytes behind. */
static void assert_not_encoded(const struct proto_message *message)
{
    buffer.size = 0;
    cr_assert_eq(msgpack_sbuffer_write(&buffer, "before", 6), 0);
    cr_assert_eq(proto_encode(message, &buffer), MUSTER_EINVALID);
    cr_assert_eq(buffer.size, 6);
}

Test(codec, struct_that_would_not_decode_is_not_encoded)
{
    struct proto_failure failures[2] = {{.index = 2, .code = MUSTER_EFAILED},
                                        {.index = 1, .code = MUSTER_EFAILED}};
    struct proto_message messages[] = {
        {.type = (enum proto_type)0},
        {.type = (enum proto_type)26},
        {.type = PROTO_HELLO, .hello = {.version = PROTO_VERSION + 1, .role = PROTO_CLIENT}},
        {.type = PROTO_HELLO, .hello = {.version = PROTO_VERSION}},
        {.type = PROTO_WELCOME, .welcome = {.version = PROTO_VERSION, .workers = PROTO_WORKERS_MAX + 1}},
        {.type = PROTO_ERROR, .error = {.code = 1}},
        {.type = PROTO_SUBMIT,
         .submit = {.ticket = 1, .kind = PROTO_LIST, .crash_limit = 1, .window_bytes = 1}},
        {.type = PROTO_ACCEPTED, .accepted = {.ticket = 1}},
        {.type = PROTO_CHUNK,
         .chunk =
             {.batch = 1, .chunk = 1, .function = {"f", 1}, .first = 1, .attempt = 1, .kind = PROTO_LIST}},
        {.type = PROTO_RESULT,
         .result =
             {.batch = 1,
              .chunk = 1,
              .outcome = {.first = 1, .count = 2, .attempt = 1, .failures = failures, .failure_count = 2}}},
        {.type = PROTO_RESULT,
         .result =
             {.batch = 1,
              .chunk = 1,
              .outcome = {.first = 1, .count = 1, .attempt = 1, .failures = failures, .failure_count = 2}}},
    };

    for (size_t i = 0; i < COUNT(messages); i++)
        assert_not_encoded(&messages[i]);
}

Test(codec, long_text_is_cut_between_characters)
{
    char text[PROTO_TEXT_MAX + 10];
    struct proto_text cut;

    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    cr_assert_eq(proto_text(text).size, PROTO_TEXT_MAX);
    memcpy(text + PROTO_TEXT_MAX - 2, "\xe2\x82\xac", 3); /* a euro sign across the limit */
    cut = proto_text(text);
    cr_assert_eq(cut.size, PROTO_TEXT_MAX - 2);
    cr_assert_eq(proto_text("short").size, 5);
    memset(text, 0x80, sizeof text - 1); /* no UTF-8 at all */
    cr_assert_leq(proto_text(text).size, PROTO_TEXT_MAX);
}

/* A result of the largest chunk in which every job failed with the longest text. */
Test(codec, texts_of_many_failures_are_cut_to_fit_a_header)
{
    struct proto_message message = {.type = PROTO_RESULT, .result = {.batch = 1, .chunk = 1}}, back;
    struct proto_outcome *outcome = &message.result.outcome;
    struct proto_failure *failures = calloc(PROTO_CHUNK_JOBS_MAX, sizeof *failures);
    uint64_t *timings = malloc(PROTO_TIMINGS * PROTO_CHUNK_JOBS_MAX * sizeof *timings);
    char text[PROTO_TEXT_MAX];

    cr_assert(failures && timings);
    memset(text, 'x', sizeof text);
    memset(timings, 0xff, PROTO_TIMINGS * PROTO_CHUNK_JOBS_MAX * sizeof *timings);
    for (uint32_t i = 0; i < PROTO_CHUNK_JOBS_MAX; i++)
        failures[i] = (struct proto_failure){.index = PROTO_BATCH_JOBS_MAX - PROTO_CHUNK_JOBS_MAX + 1 + i,
                                             .code = MUSTER_EFAILED,
                                             .text = {.bytes = text, .size = sizeof text}};
    *outcome = (struct proto_outcome){.first = failures[0].index,
                                      .count = PROTO_CHUNK_JOBS_MAX,
                                      .attempt = 1,
                                      .failures = failures,
                                      .failure_count = PROTO_CHUNK_JOBS_MAX,
                                      .timings = timings};
    cr_assert_eq(proto_encode(&message, &buffer), 0);
    cr_assert_leq(buffer.size, PROTO_HEADER_BYTES_MAX);
    cr_assert_eq(decode_bytes(buffer.data, buffer.size, &back), 0, "%s", error.text);
    cr_assert_eq(back.result.outcome.failure_count, PROTO_CHUNK_JOBS_MAX);
    cr_assert_geq(back.result.outcome.failures[PROTO_CHUNK_JOBS_MAX - 1].text.size, 16);
    cr_assert_eq(back.result.outcome.timings[PROTO_TIMINGS * PROTO_CHUNK_JOBS_MAX - 1], UINT64_MAX);
    free(failures);
    free(timings);
}

Test(codec, few_failures_keep_their_whole_texts)
{
    struct proto_failure failures[1000];
    struct proto_message message = {
        .type = PROTO_RESULT,
        .result = {
            .batch = 1,
            .chunk = 1,
            .outcome = {
                .first = 1, .count = 1000, .attempt = 1, .failures = failures, .failure_count = 1000}}};
    struct proto_message back;
    char text[PROTO_TEXT_MAX];

    memset(text, 'x', sizeof text);
    for (uint32_t i = 0; i < 1000; i++)
        failures[i] = (struct proto_failure){
            .index = 1 + i, .code = MUSTER_EFAILED, .text = {.bytes = text, .size = sizeof text}};
    cr_assert_eq(proto_encode(&message, &buffer), 0);
    cr_assert_eq(decode_bytes(buffer.data, buffer.size, &back), 0, "%s", error.text);
    for (uint32_t i = 0; i < 1000; i++)
        cr_assert_eq(back.result.outcome.failures[i].text.size, PROTO_TEXT_MAX);
}

static int check_payload(const struct proto_message *message, const void *bytes, size_t size)
{
    struct proto_message with_payload = *message;
    struct blob *blob = blob_copy(bytes, size);
    int code;

    cr_assert_not_null(blob);
    with_payload.payload = (struct slice){.blob = blob, .size = size};
    error = (struct muster_error){0};
    code = proto_check_payload(&with_payload, &error);
    cr_assert_eq(error.code, code);
    blob_unref(blob);
    return code;
}

Test(codec, payload_of_other_than_the_promised_values_is_refused)
{
    struct proto_failure failure = {.index = 2, .code = MUSTER_EFAILED};
    struct proto_message result = {
        .type = PROTO_RESULT,
        .result.outcome = {.first = 1, .count = 3, .failures = &failure, .failure_count = 1}};
    struct proto_message chunk = {.type = PROTO_CHUNK, .chunk = {.count = 2, .kind = PROTO_LIST}};
    struct proto_message whole = {.type = PROTO_SUBMIT, .submit = {.count = 2, .kind = PROTO_LIST}};
    struct proto_message answer = {.type = PROTO_ANSWER};

    cr_assert_eq(check_payload(&result, "\1\2", 2), 0);
    cr_assert_eq(check_payload(&result, "\1", 1), MUSTER_EPROTOCOL);
    cr_assert_eq(check_payload(&result, "\1\2\3", 3), MUSTER_EPROTOCOL);
    cr_assert_eq(check_payload(&result, "\1\xcc", 2), MUSTER_EPROTOCOL);
    cr_assert_eq(check_payload(&result, "", 0), MUSTER_EPROTOCOL);
    failure.valued = true;
    cr_assert_eq(check_payload(&result, "\1\2", 2), MUSTER_EPROTOCOL);
    cr_assert_eq(check_payload(&result, "\1\2\3", 3), 0);
    cr_assert_eq(check_payload(&chunk, "\1\2", 2), 0);
    cr_assert_eq(check_payload(&chunk, "\1", 1), MUSTER_EPROTOCOL);
    cr_assert_eq(check_payload(&whole, "\1\2", 2), 0);
    cr_assert_eq(check_payload(&whole, "\1", 1), MUSTER_EPROTOCOL);
    cr_assert_eq(check_payload(&answer, "\xc0", 1), 0);
    cr_assert_eq(check_payload(&answer, "", 0), MUSTER_EPROTOCOL);
    cr_assert_eq(check_payload(&answer, "\xc0\xc0", 2), MUSTER_EPROTOCOL);
}

Test(codec, payload_on_a_message_without_one_is_refused)
{
    struct proto_message chunk = {.type = PROTO_CHUNK, .chunk = {.count = 2, .kind = PROTO_RANGE}};
    struct proto_message streamed = {.type = PROTO_SUBMIT, .submit = {.kind = PROTO_LIST}};
    struct proto_message ping = {.type = PROTO_PING};

    cr_assert_eq(check_payload(&chunk, "", 0), 0);
    cr_assert_eq(check_payload(&chunk, "\1\2", 2), MUSTER_EPROTOCOL);
    cr_assert_eq(check_payload(&ping, "\1", 1), MUSTER_EPROTOCOL);
    cr_assert_eq(check_payload(&streamed, "", 0), 0);
    cr_assert_eq(check_payload(&streamed, "\1", 1), MUSTER_EPROTOCOL);
}

Test(codec, payload_value_beyond_a_limit_is_refused)
{
    struct proto_message block = {.type = PROTO_ARGUMENTS, .arguments = {.count = 1}};
    uint8_t nested[PROTO_DEPTH_MAX + 1];

    memset(nested, 0x91, sizeof nested);
    nested[PROTO_DEPTH_MAX] = 0;
    cr_assert_eq(check_payload(&block, nested, sizeof nested), 0);
    nested[PROTO_DEPTH_MAX] = 0x90;
    cr_assert_eq(check_payload(&block, nested, sizeof nested), MUSTER_ELIMIT);
}

Test(codec, number_of_no_type_has_no_name)
{
    cr_assert_str_eq(proto_type_name(PROTO_HELLO), "HELLO");
    cr_assert_str_eq(proto_type_name(PROTO_STOP), "STOP");
    cr_assert_str_eq(proto_type_name(0), "?");
    cr_assert_str_eq(proto_type_name(-1), "?");
    cr_assert_str_eq(proto_type_name(PROTO_BEAT), "BEAT");
    cr_assert_str_eq(proto_type_name(PROTO_BEAT + 1), "?");
}
