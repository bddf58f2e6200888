/* SPDX-License-Identifier: MIT
 *
 * Messages: an input is a header frame and, behind it, the payload frame. What decodes must
 * encode to bytes that decode and encode to themselves, and a payload that passes its check
 * must unpack to as many values as were promised.
 */
#include "fuzz.h"
#include "proto/codec.h"
#include "proto/limits.h"
#include "proto/scan.h"
#include "proto/value.h"

#include <string.h>

static bool is_foreign(const struct proto_message *message)
{
    return (message->type == PROTO_HELLO && message->hello.version != PROTO_VERSION) ||
           (message->type == PROTO_WELCOME && message->welcome.version != PROTO_VERSION) ||
           (message->type == PROTO_JOIN && message->join.version != PROTO_VERSION) ||
           (message->type == PROTO_JOINED && message->joined.version != PROTO_VERSION);
}

static void check_encoding(const struct proto_message *message, msgpack_zone *zone)
{
    msgpack_sbuffer first, second;
    struct proto_message back;

    msgpack_sbuffer_init(&first);
    msgpack_sbuffer_init(&second);
    FUZZ_CHECK(proto_encode(message, &first) == 0);
    FUZZ_CHECK(proto_decode(first.data, first.size, zone, &back, NULL) == 0);
    FUZZ_CHECK(proto_encode(&back, &second) == 0);
    FUZZ_CHECK(first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
    msgpack_sbuffer_destroy(&first);
    msgpack_sbuffer_destroy(&second);
}

static void check_payload(struct proto_message *message, const uint8_t *bytes, size_t size,
                          msgpack_zone *zone)
{
    struct blob *blob = blob_copy(bytes, size);
    size_t offset = 0;
    msgpack_object value;

    FUZZ_CHECK(blob);
    message->payload = (struct slice){.blob = blob, .size = size};
    if (proto_check_payload(message, NULL) == 0) {
        FUZZ_CHECK(size == 0 || proto_has_payload(message));
        while (offset < size)
            FUZZ_CHECK(value_unpack(blob->bytes, size, &offset, zone, &value) == 0);
    }
    blob_unref(blob);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct proto_message message;
    struct muster_error error = {0};
    msgpack_zone zone;
    size_t length;

    if (scan_value(&scan_header_limits, bytes, size, &length) != 0)
        length = size;
    FUZZ_CHECK(msgpack_zone_init(&zone, 4096));
    if (proto_decode(bytes, length, &zone, &message, &error) == 0) {
        if (!is_foreign(&message))
            check_encoding(&message, &zone);
        check_payload(&message, bytes + length, size - length, &zone);
    } else {
        FUZZ_CHECK(error.code < 0 && error.text[0] != '\0');
    }
    msgpack_zone_destroy(&zone);
    return 0;
}
