/* SPDX-License-Identifier: MIT
 *
 * The scan: what it accepts, msgpack-c unpacks to the same length; and a run of values is as
 * long as its values one by one.
 */
#include "fuzz.h"
#include "proto/scan.h"

#include <msgpack.h>

static void check_unpack(const uint8_t *bytes, size_t size, size_t length)
{
    msgpack_unpack_return unpacked;
    msgpack_object object;
    msgpack_zone zone;
    size_t offset = 0;

    FUZZ_CHECK(msgpack_zone_init(&zone, 4096));
    unpacked = msgpack_unpack((const char *)bytes, size, &offset, &zone, &object);
    FUZZ_CHECK(unpacked == MSGPACK_UNPACK_SUCCESS || unpacked == MSGPACK_UNPACK_EXTRA_BYTES);
    FUZZ_CHECK(offset == length);
    msgpack_zone_destroy(&zone);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    size_t at = 0, length, total;
    uint64_t count = 0;

    while (at < size && scan_value(&scan_value_limits, bytes + at, size - at, &length) == 0) {
        FUZZ_CHECK(length > 0 && length <= size - at);
        check_unpack(bytes + at, size - at, length);
        at += length;
        count++;
    }
    FUZZ_CHECK(scan_values(&scan_value_limits, bytes, size, count, &total) == 0);
    FUZZ_CHECK(total == at);
    FUZZ_CHECK(scan_values(&scan_value_limits, bytes, size, count + 1, &total) != 0);
    return 0;
}
