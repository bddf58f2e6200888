/* SPDX-License-Identifier: MIT
 *
 * What the codec refuses, of every message: bytes that are none, greetings, small messages, payloads; and
 * what it does not encode. The right ones are the golden vectors.
 */
#include "codec_fixture.h"
#include "proto/limits.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

TestSuite(codec, .init = codec_set_up, .fini = codec_tear_down);

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
        cr_assert_eq(decode(greetings[i], &message), 0, "%s: %s", greetings[i], refusal.text);
        cr_assert_eq(message.type == PROTO_HELLO ? message.hello.version : message.welcome.version,
                     versions[i]);
    }
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
    encoded.size = 0;
    cr_assert_eq(msgpack_sbuffer_write(&encoded, "before", 6), 0);
    cr_assert_eq(proto_encode(message, &encoded), MUSTER_EINVALID);
    cr_assert_eq(encoded.size, 6);
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
