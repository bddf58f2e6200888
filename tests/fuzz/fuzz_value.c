/* SPDX-License-Identifier: MIT
 *
 * Values: what the scan accepts unpacks, can be packed again, and is then the same value with
 * the same digest, in no more bytes; but for one with a reference to shared memory, which nobody
 * may make by himself.
 */
#include "fuzz.h"
#include "proto/limits.h"
#include "proto/scan.h"
#include "proto/value.h"

static bool has_reference(const uint8_t *bytes, size_t size)
{
    size_t offset = 0, length;

    return scan_ext(bytes, size, PROTO_SHARED_EXT, &offset, &length);
}

static void check_refused(const msgpack_object *value)
{
    msgpack_sbuffer buffer;

    msgpack_sbuffer_init(&buffer);
    FUZZ_CHECK(value_pack(value, &buffer, NULL) == MUSTER_EINVALID);
    FUZZ_CHECK(buffer.size == 0);
    msgpack_sbuffer_destroy(&buffer);
}

static void check_round_trip(const msgpack_object *value, size_t length, msgpack_zone *zone)
{
    msgpack_sbuffer buffer;
    msgpack_object back;
    size_t offset = 0;

    msgpack_sbuffer_init(&buffer);
    FUZZ_CHECK(value_pack(value, &buffer, NULL) == 0);
    FUZZ_CHECK(buffer.size <= length);
    FUZZ_CHECK(value_unpack(buffer.data, buffer.size, &offset, zone, &back) == 0);
    FUZZ_CHECK(offset == buffer.size);
    FUZZ_CHECK(value_hash(value) == value_hash(&back));
    msgpack_sbuffer_destroy(&buffer);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    size_t offset = 0, length;
    msgpack_object value;
    msgpack_zone zone;

    FUZZ_CHECK(msgpack_zone_init(&zone, 4096));
    while (offset < size && scan_value(&scan_value_limits, bytes + offset, size - offset, &length) == 0) {
        size_t start = offset;

        FUZZ_CHECK(value_unpack(bytes, size, &offset, &zone, &value) == 0);
        FUZZ_CHECK(offset == start + length);
        if (has_reference(bytes + start, length))
            check_refused(&value);
        else
            check_round_trip(&value, length, &zone);
    }
    msgpack_zone_destroy(&zone);
    return 0;
}
