/* SPDX-License-Identifier: MIT
 *
 * The scan against hand-made hostile bytes, against msgpack-c on every first byte and on
 * random bytes, and at each of its limits.
 */
#include "base/error.h"
#include "proto/limits.h"
#include "proto/scan.h"

#include <criterion/criterion.h>
#include <malloc.h>
#include <msgpack.h>
#include <string.h>

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static const struct scan_limits wide = {.depth = 32, .elements = 1 << 20, .value_bytes = 1 << 20};

static int scan(const struct scan_limits *limits, const uint8_t *bytes, size_t size)
{
    size_t length = SIZE_MAX;
    int code = scan_value(limits, bytes, size, &length);

    if (code)
        cr_assert_eq(length, SIZE_MAX, "a failure wrote its output");
    return code;
}

/* The length of a value that must pass. */
static size_t length_of(const struct scan_limits *limits, const uint8_t *bytes, size_t size)
{
    size_t length = SIZE_MAX;

    cr_assert_eq(scan_value(limits, bytes, size, &length), 0);
    return length;
}

Test(scan, declared_count_beyond_remaining_bytes_is_refused)
{
    cr_assert_eq(scan(&wide, BYTES(0xdd, 0xff, 0xff, 0xff, 0xff)), MUSTER_EPROTOCOL);
    cr_assert_eq(scan(&wide, BYTES(0xdd, 0xff, 0xff, 0xff, 0xff, 1, 2, 3)), MUSTER_EPROTOCOL);
    cr_assert_eq(scan(&wide, BYTES(0xdf, 0xff, 0xff, 0xff, 0xff)), MUSTER_EPROTOCOL);
    cr_assert_eq(scan(&wide, BYTES(0xdf, 0x80, 0, 0, 0, 1, 2)), MUSTER_EPROTOCOL);
    cr_assert_eq(scan(&wide, BYTES(0xdc, 0xff, 0xff, 1)), MUSTER_EPROTOCOL);
    cr_assert_eq(scan(&wide, BYTES(0xde, 0xff, 0xff, 1, 2)), MUSTER_EPROTOCOL);
    cr_assert_eq(scan(&wide, BYTES(0x93, 1, 2)), MUSTER_EPROTOCOL);
    cr_assert_eq(scan(&wide, BYTES(0x82, 1, 2, 3)), MUSTER_EPROTOCOL);
    cr_assert_eq(scan(&wide, BYTES(0x92, 0x93, 1, 2, 3)), MUSTER_EPROTOCOL);
}

Test(scan, declared_size_beyond_remaining_bytes_is_refused)
{
    cr_assert_eq(scan(&wide, BYTES(0xdb, 0xff, 0xff, 0xff, 0xff, 'a')), MUSTER_EPROTOCOL);
    cr_assert_eq(scan(&wide, BYTES(0xc6, 0xff, 0xff, 0xff, 0xff, 'a')), MUSTER_EPROTOCOL);
    cr_assert_eq(scan(&wide, BYTES(0xda, 0xff, 0xff, 'a')), MUSTER_EPROTOCOL);
    cr_assert_eq(scan(&wide, BYTES(0xa2, 'a')), MUSTER_EPROTOCOL);
    cr_assert_eq(scan(&wide, BYTES(0xc7, 2, 5, 'a')), MUSTER_EPROTOCOL);
}

/* msgpack-c adds one to the size in 32 bits and takes the sum, 0, for an empty extension. */
Test(scan, extension_size_that_wraps_in_msgpack_c_is_refused)
{
    cr_assert_eq(scan(&wide, BYTES(0xc9, 0xff, 0xff, 0xff, 0xff, 5)), MUSTER_EPROTOCOL);
}

Test(scan, reserved_byte_is_refused)
{
    cr_assert_eq(scan(&wide, BYTES(0xc1)), MUSTER_EPROTOCOL);
    cr_assert_eq(scan(&wide, BYTES(0x92, 0xc1, 1)), MUSTER_EPROTOCOL);
    cr_assert_eq(scan(&wide, BYTES(0x81, 1, 0xc1)), MUSTER_EPROTOCOL);
}

Test(scan, nothing_is_no_value)
{
    size_t length = 7;

    cr_assert_eq(scan(&wide, NULL, 0), MUSTER_EPROTOCOL);
    cr_assert_eq(scan_values(&wide, NULL, 0, 1, &length), MUSTER_EPROTOCOL);
    cr_assert_eq(scan_values(&wide, NULL, 0, 0, &length), 0);
    cr_assert_eq(length, 0);
}

/* Every first byte, followed by zeros and ones: the same length as msgpack-c's, or refused alike. */
Test(scan, every_first_byte_has_the_length_msgpack_c_gives_it)
{
    for (unsigned first = 0; first < 256; first++) {
        for (uint8_t filling = 0; filling < 2; filling++) {
            uint8_t bytes[512];
            size_t offset = 0, length;
            msgpack_object object;
            msgpack_zone zone;
            int unpacked;

            memset(bytes, 0, sizeof bytes);
            if (filling) /* a count of 1, whatever its width */
                bytes[first == 0xdd || first == 0xdf || first == 0xc6 || first == 0xc9 || first == 0xdb ? 4
                      : first == 0xdc || first == 0xde || first == 0xc5 || first == 0xc8 || first == 0xda
                          ? 2
                          : 1] = 1;
            bytes[0] = (uint8_t)first;
            cr_assert(msgpack_zone_init(&zone, 4096));
            unpacked = msgpack_unpack((const char *)bytes, sizeof bytes, &offset, &zone, &object);
            if (first == 0xc1) {
                cr_assert_eq(unpacked, MSGPACK_UNPACK_PARSE_ERROR);
                cr_assert_eq(scan(&wide, bytes, sizeof bytes), MUSTER_EPROTOCOL);
            } else {
                cr_assert_eq(unpacked, MSGPACK_UNPACK_EXTRA_BYTES);
                length = length_of(&wide, bytes, sizeof bytes);
                cr_assert_eq(length, offset, "first byte %02x: %zu, not %zu", first, length, offset);
                cr_assert_eq(scan_values(&wide, bytes, sizeof bytes, 1, &length), 0);
                cr_assert_eq(length, offset, "first byte %02x: %zu, not %zu", first, length, offset);
            }
            msgpack_zone_destroy(&zone);
        }
    }
}

Test(scan, truncated_value_is_refused)
{
    static const uint8_t value[] = {0x83, 0xa1, 'k', 0x92, 0xcd, 1, 2, 0xc0, 0xd9, 1, 'x', 0xcb,
                                    0,    0,    0,   0,    0,    0, 0, 0,    0xc4, 1, 9,   0xc7,
                                    1,    5,    9,   0xcf, 1,    2, 3, 4,    5,    6, 7,   8};
    /* The value holds a map of 3: k -> [258, nil], "x" -> 0.0, bin -> ext; 0xcf... is one more. */
    size_t whole = length_of(&wide, value, sizeof value);

    cr_assert_eq(whole, sizeof value - 9);
    for (size_t size = 0; size < whole; size++)
        cr_assert_eq(scan(&wide, value, size), MUSTER_EPROTOCOL, "cut to %zu bytes", size);
    for (size_t size = 1; size < 9; size++)
        cr_assert_eq(scan(&wide, value + whole, size), MUSTER_EPROTOCOL, "cut to %zu bytes", size);
}

/* `depth` arrays inside each other, the innermost empty. */
static size_t nest(uint8_t *bytes, size_t depth)
{
    memset(bytes, 0x91, depth - 1);
    bytes[depth - 1] = 0x90;
    return depth;
}

Test(scan, nesting_beyond_the_limit_is_refused)
{
    struct scan_limits limits = wide;
    uint8_t bytes[64];

    limits.depth = 3;
    cr_assert_eq(length_of(&limits, bytes, nest(bytes, 3)), 3);
    cr_assert_eq(scan(&limits, bytes, nest(bytes, 4)), MUSTER_ELIMIT);
    cr_assert_eq(scan(&limits, BYTES(0x81, 0x81, 0x81, 1, 2, 3, 4)), 0);
    cr_assert_eq(scan(&limits, BYTES(0x81, 0x81, 0x81, 0x80, 2, 3, 4)), MUSTER_ELIMIT);
    limits.depth = 0;
    cr_assert_eq(scan(&limits, BYTES(0xa1, 'x')), 0);
    cr_assert_eq(scan(&limits, BYTES(0x90)), MUSTER_ELIMIT);
}

Test(scan, depth_is_that_of_open_containers_not_of_siblings)
{
    struct scan_limits limits = wide;

    limits.depth = 2;
    cr_assert_eq(scan(&limits, BYTES(0x94, 0x90, 0x91, 1, 0x81, 1, 2, 0x90)), 0);
    cr_assert_eq(scan(&limits, BYTES(0x92, 0x90, 0x91, 0x90)), MUSTER_ELIMIT);
}

Test(scan, nesting_that_msgpack_c_cannot_unpack_is_refused_whatever_the_limits)
{
    struct scan_limits limits = wide;
    msgpack_object object;
    msgpack_zone zone;
    uint8_t bytes[64];
    size_t offset = 0;

    limits.depth = 1000;
    cr_assert(msgpack_zone_init(&zone, 4096));
    cr_assert_eq(length_of(&limits, bytes, nest(bytes, 32)), 32);
    cr_assert_eq(msgpack_unpack((const char *)bytes, 32, &offset, &zone, &object), MSGPACK_UNPACK_SUCCESS);
    cr_assert_eq(scan(&limits, bytes, nest(bytes, 33)), MUSTER_ELIMIT);
    offset = 0;
    cr_assert_lt(msgpack_unpack((const char *)bytes, 33, &offset, &zone, &object), 0);
    msgpack_zone_destroy(&zone);
}

Test(scan, more_elements_than_the_limit_are_refused)
{
    struct scan_limits limits = wide;

    limits.elements = 4;
    cr_assert_eq(scan(&limits, BYTES(0x93, 1, 2, 3)), 0);
    cr_assert_eq(scan(&limits, BYTES(0x94, 1, 2, 3, 4)), MUSTER_ELIMIT);
    cr_assert_eq(scan(&limits, BYTES(0x92, 0x91, 1, 3)), 0);
    cr_assert_eq(scan(&limits, BYTES(0x92, 0x92, 1, 2, 3)), MUSTER_ELIMIT);
    cr_assert_eq(scan(&limits, BYTES(0x82, 1, 2, 3, 4)), MUSTER_ELIMIT);
}

Test(scan, value_larger_than_the_limit_is_refused)
{
    struct scan_limits limits = wide;
    size_t length;

    limits.value_bytes = 4;
    cr_assert_eq(scan(&limits, BYTES(0xa3, 1, 2, 3)), 0);
    cr_assert_eq(scan(&limits, BYTES(0xa4, 1, 2, 3, 4)), MUSTER_ELIMIT);
    cr_assert_eq(scan(&limits, BYTES(0xa4, 1, 2, 3)), MUSTER_EPROTOCOL);
    cr_assert_eq(scan(&limits, BYTES(0x94, 1, 2, 3, 4)), MUSTER_ELIMIT);
    cr_assert_eq(scan(&limits, BYTES(0xdd, 0, 0, 0, 1, 1)), MUSTER_ELIMIT);
    cr_assert_eq(scan_values(&limits, BYTES(0xa3, 1, 2, 3, 0xa3, 1, 2, 3), 2, &length), 0);
    cr_assert_eq(scan_values(&limits, BYTES(0xa3, 1, 2, 3, 0xa4, 1, 2, 3, 4), 2, &length), MUSTER_ELIMIT);
    cr_assert_eq(scan_values(&limits, BYTES(1, 0xcb, 0, 0, 0, 0, 0, 0, 0, 0), 2, &length), MUSTER_ELIMIT);
}

Test(scan, sequence_of_mixed_values_is_measured)
{
    static const uint8_t values[] = {1, 0xcd, 1, 2, 0xcd, 3, 4, 5, 0xc0, 0x92, 1,    2,    0xcd, 5,
                                     6, 0xa2, 1, 2, 0xc4, 2, 8, 9, 0xc4, 0,    0xff, 0xcc, 200};
    static const size_t lengths[] = {0, 1, 4, 7, 8, 9, 12, 15, 18, 22, 24, 25, 27};
    size_t length;

    for (size_t count = 0; count < sizeof lengths / sizeof *lengths; count++) {
        cr_assert_eq(scan_values(&wide, values, sizeof values, count, &length), 0);
        cr_assert_eq(length, lengths[count], "%zu values: %zu bytes", count, length);
    }
    cr_assert_eq(scan_values(&wide, values, sizeof values, 13, &length), MUSTER_EPROTOCOL);
    cr_assert_eq(scan_values(&wide, values, sizeof values, UINT64_MAX, &length), MUSTER_EPROTOCOL);
    cr_assert_eq(scan_values(&wide, values, sizeof values - 1, 12, &length), MUSTER_EPROTOCOL);
    cr_assert_eq(length, 27, "a failure wrote its output");
}

Test(scan, reserved_byte_among_values_is_refused)
{
    size_t length;

    cr_assert_eq(scan_values(&wide, BYTES(1, 0xc1, 0xc1, 1), 4, &length), MUSTER_EPROTOCOL);
}

/* Behind a run of values of a byte each, and in front of it, values have their own lengths. */
Test(scan, run_of_equal_bytes_ends_where_the_count_or_the_bytes_do)
{
    static const uint8_t fills[] = {0x00, 0x7f, 0xc0, 0xc3, 0xe0, 0xff};
    uint8_t bytes[32];
    size_t length;

    for (size_t i = 0; i < sizeof fills; i++)
        for (size_t run = 0; run < 20; run++) {
            memset(bytes, fills[i], sizeof bytes);
            memcpy(bytes + run, (uint8_t[]){0xcd, 1, 2}, 3);
            cr_assert_eq(scan_values(&wide, bytes, run + 3, run, &length), 0);
            cr_assert_eq(length, run);
            cr_assert_eq(scan_values(&wide, bytes, run + 3, run + 1, &length), 0);
            cr_assert_eq(length, run + 3);
            cr_assert_eq(scan_values(&wide, bytes, run + 3, run + 2, &length), MUSTER_EPROTOCOL);
            cr_assert_eq(scan_values(&wide, bytes, run + 2, run + 1, &length), MUSTER_EPROTOCOL);
        }
    memset(bytes, 0xc1, sizeof bytes);
    cr_assert_eq(scan_values(&wide, bytes, sizeof bytes, sizeof bytes, &length), MUSTER_EPROTOCOL);
    memset(bytes, 0xcc, sizeof bytes);
    cr_assert_eq(scan_values(&wide, bytes, sizeof bytes, sizeof bytes / 2, &length), 0);
    cr_assert_eq(length, sizeof bytes);
}

static uint64_t random_state;

static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((random_state >> 33) % bound);
}

/* Bytes that are often the start of something, since evenly spread ones are mostly scalars. */
static size_t random_bytes(uint8_t *bytes, size_t capacity)
{
    static const uint8_t heads[] = {0x80, 0x81, 0x82, 0x90, 0x91, 0x92, 0x93, 0xa0, 0xa2, 0xc0,
                                    0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xcb, 0xcd, 0xd3,
                                    0xd4, 0xd6, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xff};
    size_t size = random_below((uint32_t)capacity);

    for (size_t i = 0; i < size; i++)
        bytes[i] = random_below(3) == 0   ? (uint8_t)random_below(256)
                   : random_below(2) == 0 ? (uint8_t)random_below(4)
                                          : heads[random_below(sizeof heads)];
    /* Keeps what msgpack-c allocates for a declared count below 3 MiB. */
    for (size_t i = 0; i < size; i++)
        if (bytes[i] == 0xdd || bytes[i] == 0xdf)
            for (size_t k = i + 1; k < i + 3 && k < size; k++)
                bytes[k] = 0;
    return size;
}

Test(scan, random_bytes_are_accepted_exactly_when_msgpack_c_unpacks_them)
{
    unsigned accepted = 0, refused = 0;

    random_state = 20240229;
    for (unsigned round = 0; round < 200000; round++) {
        uint8_t bytes[48];
        size_t size = random_bytes(bytes, sizeof bytes), offset = 0, length;
        msgpack_object object;
        msgpack_zone zone;
        int code = scan_value(&wide, bytes, size, &length), unpacked;

        cr_assert(msgpack_zone_init(&zone, 4096));
        unpacked = msgpack_unpack((const char *)bytes, size, &offset, &zone, &object);
        msgpack_zone_destroy(&zone);
        if (code == 0) {
            cr_assert(unpacked == MSGPACK_UNPACK_SUCCESS || unpacked == MSGPACK_UNPACK_EXTRA_BYTES,
                      "round %u: msgpack-c says %d", round, unpacked);
            cr_assert_eq(length, offset, "round %u", round);
            accepted++;
        } else {
            cr_assert_leq(unpacked, 0, "round %u: refused with %d", round, code);
            refused++;
        }
    }
    cr_assert(accepted > 20000 && refused > 20000, "%u accepted, %u refused", accepted, refused);
}

Test(scan, sequences_are_measured_as_their_values_one_by_one)
{
    random_state = 7;
    for (unsigned round = 0; round < 50000; round++) {
        uint8_t bytes[48];
        size_t size = random_bytes(bytes, sizeof bytes), at = 0, length;
        uint64_t count = 0;

        while (at < size && scan_value(&wide, bytes + at, size - at, &length) == 0) {
            at += length;
            count++;
        }
        cr_assert_eq(scan_values(&wide, bytes, size, count, &length), 0, "round %u", round);
        cr_assert_eq(length, at, "round %u", round);
        cr_assert_neq(scan_values(&wide, bytes, size, count + 1, &length), 0, "round %u", round);
    }
}

static size_t allocated(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

/* An array of arrays of fifteen nils: as many declared elements as bytes can make. */
static size_t fill_dense(uint8_t *bytes, uint16_t arrays)
{
    bytes[0] = 0xdc;
    bytes[1] = (uint8_t)(arrays >> 8);
    bytes[2] = (uint8_t)arrays;
    memset(bytes + 3, 0xc0, 16 * (size_t)arrays);
    for (size_t i = 0; i < arrays; i++)
        bytes[3 + 16 * i] = 0x9f;
    return 3 + 16 * (size_t)arrays;
}

Test(scan, accepted_value_unpacks_into_memory_bounded_by_its_size)
{
    enum { SIZE = 1 << 20 };
    uint8_t *bytes = malloc(SIZE);
    size_t length, before, offset = 0;
    msgpack_object object;
    msgpack_zone zone;

    cr_assert_not_null(bytes);
    length = length_of(&wide, bytes, fill_dense(bytes, 60000));
    cr_assert(msgpack_zone_init(&zone, 4096));
    before = allocated();
    cr_assert_eq(msgpack_unpack((const char *)bytes, length, &offset, &zone, &object),
                 MSGPACK_UNPACK_SUCCESS);
    cr_assert_leq(allocated() - before, 2 * sizeof(msgpack_object) * length);
    msgpack_zone_destroy(&zone);
    free(bytes);
}
