/* SPDX-License-Identifier: MIT
 *
 * See codec_fixture.h.
 */
#include "codec_fixture.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <string.h>

msgpack_sbuffer encoded;
msgpack_zone decode_zone;
struct muster_error refusal;

void codec_set_up(void)
{
    msgpack_sbuffer_init(&encoded);
    cr_assert(msgpack_zone_init(&decode_zone, 4096));
}

void codec_tear_down(void)
{
    msgpack_sbuffer_destroy(&encoded);
    msgpack_zone_destroy(&decode_zone);
}

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

int decode_bytes(const void *bytes, size_t size, struct proto_message *ret_message)
{
    refusal = (struct muster_error){0};
    return proto_decode(bytes, size, &decode_zone, ret_message, &refusal);
}

int decode(const char *text, struct proto_message *ret_message)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    msgpack_packer packer;

    cr_assert_not_null(json, "%s", text);
    encoded.size = 0;
    msgpack_packer_init(&packer, &encoded, msgpack_sbuffer_write);
    pack_json(&packer, json);
    json_decref(json);
    return decode_bytes(encoded.data, encoded.size, ret_message);
}

void assert_refused(const struct wrong *cases, size_t count)
{
    struct proto_message message = {.type = PROTO_STOP};

    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(decode(cases[i].header, &message), MUSTER_EPROTOCOL, "%s passed", cases[i].header);
        cr_assert_not_null(strstr(refusal.text, cases[i].field), "%s: %s", cases[i].header, refusal.text);
        cr_assert_eq(message.type, PROTO_STOP, "a failure wrote its output");
    }
}

void assert_accepted(const char *const *headers, size_t count)
{
    struct proto_message message;

    for (size_t i = 0; i < count; i++)
        cr_assert_eq(decode(headers[i], &message), 0, "%s: %s", headers[i], refusal.text);
}

int check_payload(const struct proto_message *message, const void *bytes, size_t size)
{
    struct proto_message with_payload = *message;
    struct blob *blob = blob_copy(bytes, size);
    int code;

    cr_assert_not_null(blob);
    with_payload.payload = (struct slice){.blob = blob, .size = size};
    refusal = (struct muster_error){0};
    code = proto_check_payload(&with_payload, &refusal);
    cr_assert_eq(refusal.code, code);
    blob_unref(blob);
    return code;
}
