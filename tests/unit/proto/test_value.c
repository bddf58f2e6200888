/* SPDX-License-Identifier: MIT
 *
 * Values to bytes and back, garbage that a function may leave, limits, and the digest.
 */
#include "base/error.h"
#include "proto/limits.h"
#include "proto/scan.h"
#include "proto/value.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>

static msgpack_sbuffer buffer;
static msgpack_zone zone;
static struct muster_error error;

static void set_up(void)
{
    msgpack_sbuffer_init(&buffer);
    cr_assert(msgpack_zone_init(&zone, 4096));
    cr_assert_eq(msgpack_sbuffer_write(&buffer, "before", 6), 0);
}

static void tear_down(void)
{
    msgpack_sbuffer_destroy(&buffer);
    msgpack_zone_destroy(&zone);
}

TestSuite(value, .init = set_up, .fini = tear_down);

static msgpack_object unsigned_of(uint64_t number)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = number};
}

static msgpack_object signed_of(int64_t number)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_NEGATIVE_INTEGER, .via.i64 = number};
}

static msgpack_object double_of(double number)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_FLOAT64, .via.f64 = number};
}

static msgpack_object text_of(const char *text)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_STR,
                            .via.str = {.ptr = text, .size = (uint32_t)strlen(text)}};
}

static msgpack_object array_of(msgpack_object *items, uint32_t size)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_ARRAY, .via.array = {.ptr = items, .size = size}};
}

/* Refused with this code, and the buffer is what it was. */
static void assert_refused(const msgpack_object *value, int code)
{
    error = (struct muster_error){0};
    cr_assert_eq(value_pack(value, &buffer, &error), code, "%s", error.text);
    cr_assert_eq(error.code, code);
    cr_assert_neq(error.text[0], '\0');
    cr_assert_eq(buffer.size, 6);
    cr_assert(memcmp(buffer.data, "before", 6) == 0);
}

static uint64_t random_state = 20240229;

static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((random_state >> 33) % bound);
}

static uint64_t random_word(void)
{
    uint64_t word = (uint64_t)random_below(UINT32_C(1) << 31) << 33 | (uint64_t)random_below(1u << 31) << 2;

    return word >> random_below(64);
}

static msgpack_object random_value(unsigned depth)
{
    static const char text[] = "0123456789012345678901234567890123456789";
    msgpack_object value = {.type = MSGPACK_OBJECT_NIL};
    uint32_t size = random_below(5);

    switch (random_below(depth ? 11 : 8)) {
    case 0:
        return (msgpack_object){.type = MSGPACK_OBJECT_BOOLEAN, .via.boolean = size & 1};
    case 1:
    case 2:
        return unsigned_of(random_word());
    case 3:
        return signed_of((int64_t)(~random_word() | INT64_MIN));
    case 4:
        return double_of((double)random_word() / 3);
    case 5:
        value.type = random_below(2) ? MSGPACK_OBJECT_STR : MSGPACK_OBJECT_BIN;
        value.via.str.ptr = text;
        value.via.str.size = random_below(sizeof text);
        return value;
    case 6:
        value.type = MSGPACK_OBJECT_EXT;
        value.via.ext.ptr = text;
        value.via.ext.size = random_below(sizeof text);
        value.via.ext.type = (int8_t)random_below(256);
        if (value.via.ext.type == PROTO_SHARED_EXT)
            value.via.ext.type++;
        return value;
    case 7:
        return (msgpack_object){.type = MSGPACK_OBJECT_FLOAT32, .via.f64 = (double)random_below(1000) / 8};
    case 8:
    case 9:
        value = array_of(msgpack_zone_malloc(&zone, (size + 1) * sizeof(msgpack_object)), size);
        for (uint32_t i = 0; i < size; i++)
            value.via.array.ptr[i] = random_value(depth - 1);
        return value;
    default:
        value.type = MSGPACK_OBJECT_MAP;
        value.via.map.ptr = msgpack_zone_malloc(&zone, (size + 1) * sizeof(msgpack_object_kv));
        value.via.map.size = size;
        for (uint32_t i = 0; i < size; i++)
            value.via.map.ptr[i] =
                (msgpack_object_kv){.key = random_value(depth - 1), .val = random_value(depth - 1)};
        return value;
    }
}

Test(value, bytes_are_those_of_msgpack_c)
{
    msgpack_sbuffer expected;
    msgpack_packer packer;

    msgpack_sbuffer_init(&expected);
    msgpack_packer_init(&packer, &expected, msgpack_sbuffer_write);
    buffer.size = 0;
    for (unsigned round = 0; round < 50000; round++) {
        msgpack_object value = random_value(4);
        size_t start = expected.size;

        cr_assert_eq(value_pack(&value, &buffer, &error), 0, "%s", error.text);
        cr_assert_eq(msgpack_pack_object(&packer, value), 0);
        cr_assert_eq(buffer.size, expected.size, "round %u", round);
        cr_assert(memcmp(buffer.data + start, expected.data + start, expected.size - start) == 0, "round %u",
                  round);
        if (round % 1000 == 0)
            msgpack_zone_clear(&zone);
    }
    msgpack_sbuffer_destroy(&expected);
}

Test(value, packed_values_pass_the_scan_and_unpack_to_equals)
{
    for (unsigned round = 0; round < 20000; round++) {
        msgpack_object value = random_value(5), back;
        size_t length, offset = 6;

        buffer.size = 6;
        cr_assert_eq(value_pack(&value, &buffer, &error), 0, "%s", error.text);
        cr_assert_eq(
            scan_value(&scan_value_limits, (const uint8_t *)buffer.data + 6, buffer.size - 6, &length), 0);
        cr_assert_eq(length, buffer.size - 6);
        cr_assert_eq(value_unpack(buffer.data, buffer.size, &offset, &zone, &back), 0);
        cr_assert_eq(offset, buffer.size);
        cr_assert(msgpack_object_equal(value, back), "round %u", round);
        cr_assert_eq(value_hash(&value), value_hash(&back), "round %u", round);
        msgpack_zone_clear(&zone);
    }
}

Test(value, integers_at_every_change_of_width_survive)
{
    for (unsigned bits = 0; bits < 64; bits++) {
        for (int delta = -2; delta <= 2; delta++) {
            uint64_t number = (UINT64_C(1) << bits) + (uint64_t)(int64_t)delta;
            msgpack_object up = unsigned_of(number), down = signed_of((int64_t)(0 - number)), back;
            size_t offset = 6;

            buffer.size = 6;
            cr_assert_eq(value_pack(&up, &buffer, NULL), 0);
            cr_assert_eq(value_pack(&down, &buffer, NULL), 0);
            cr_assert_eq(msgpack_sbuffer_write(&buffer, "12345678", 8), 0); /* room to read ahead */
            cr_assert_eq(value_unpack(buffer.data, buffer.size, &offset, &zone, &back), 0);
            cr_assert(msgpack_object_equal(back, up));
            cr_assert_eq(value_unpack(buffer.data, buffer.size, &offset, &zone, &back), 0);
            cr_assert_eq(back.via.i64, down.via.i64);
            cr_assert_eq(offset, buffer.size - 8);
        }
    }
}

Test(value, truncated_value_is_refused_and_the_offset_stays)
{
    static const uint8_t values[] = {0xcd, 1, 0xce, 1, 2, 3, 0xa3, 'a', 'b', 0x92, 1};
    static const size_t starts[] = {9, 6, 2};
    msgpack_object back;

    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        size_t size = i == 0 ? sizeof values : starts[i - 1], offset = starts[i];

        cr_assert_eq(value_unpack(values, size, &offset, &zone, &back), MUSTER_EPROTOCOL);
        cr_assert_eq(offset, starts[i]);
        offset = size;
        cr_assert_eq(value_unpack(values, size, &offset, &zone, &back), MUSTER_EPROTOCOL);
    }
}

/* Every kind of value, copied out of bytes that are then overwritten. */
Test(value, copied_value_does_not_point_into_its_bytes)
{
    msgpack_object pair[] = {text_of("inside"), double_of(2.5)};
    msgpack_object values[] = {
        {.type = MSGPACK_OBJECT_NIL},
        {.type = MSGPACK_OBJECT_BOOLEAN, .via.boolean = true},
        unsigned_of(7),
        unsigned_of(UINT64_MAX),
        signed_of(-3),
        signed_of(INT64_MIN),
        double_of(-0.5),
        text_of(""),
        text_of("a text of more than thirty-one bytes, for another form"),
        {.type = MSGPACK_OBJECT_BIN, .via.bin = {.ptr = "\0\1", .size = 2}},
        {.type = MSGPACK_OBJECT_EXT, .via.ext = {.type = 5, .ptr = "four", .size = 4}},
        array_of(pair, 2),
        array_of(NULL, 0),
    };
    enum { VALUES = sizeof values / sizeof *values };
    msgpack_object copies[VALUES];
    size_t offset = buffer.size;

    for (size_t i = 0; i < VALUES; i++)
        cr_assert_eq(value_pack(&values[i], &buffer, &error), 0);
    for (size_t i = 0; i < VALUES; i++)
        cr_assert_eq(value_unpack_copy(buffer.data, buffer.size, &offset, &zone, &copies[i]), 0, "value %zu",
                     i);
    cr_assert_eq(offset, buffer.size);
    cr_assert_eq(value_unpack_copy(buffer.data, buffer.size, &offset, &zone, &copies[0]), MUSTER_EPROTOCOL);
    memset(buffer.data, 0xc1, buffer.size);
    for (size_t i = 0; i < VALUES; i++)
        cr_assert_eq(value_hash(&copies[i]), value_hash(&values[i]), "value %zu", i);
}

Test(value, unknown_type_is_refused)
{
    msgpack_object garbage = {.type = (msgpack_object_type)77}, inside[2] = {unsigned_of(1), garbage};
    msgpack_object array = array_of(inside, 2);

    assert_refused(&garbage, MUSTER_EINVALID);
    garbage.type = (msgpack_object_type)-1;
    assert_refused(&garbage, MUSTER_EINVALID);
    assert_refused(&array, MUSTER_EINVALID);
}

Test(value, address_0_with_a_size_is_refused)
{
    msgpack_object value = {.via.str = {.size = 1}};

    value.type = MSGPACK_OBJECT_STR;
    assert_refused(&value, MUSTER_EINVALID);
    value.type = MSGPACK_OBJECT_BIN;
    assert_refused(&value, MUSTER_EINVALID);
    value.type = MSGPACK_OBJECT_ARRAY;
    assert_refused(&value, MUSTER_EINVALID);
    value.type = MSGPACK_OBJECT_MAP;
    assert_refused(&value, MUSTER_EINVALID);
    value = (msgpack_object){.type = MSGPACK_OBJECT_EXT, .via.ext = {.size = 1}};
    assert_refused(&value, MUSTER_EINVALID);
}

Test(value, address_0_without_a_size_is_an_empty_value)
{
    static const struct {
        msgpack_object_type type;
        const char *bytes;
        size_t size;
    } empties[] = {
        {MSGPACK_OBJECT_STR, "\xa0", 1},     {MSGPACK_OBJECT_BIN, "\xc4\0", 2},
        {MSGPACK_OBJECT_ARRAY, "\x90", 1},   {MSGPACK_OBJECT_MAP, "\x80", 1},
        {MSGPACK_OBJECT_EXT, "\xc7\0\0", 3},
    };

    for (size_t i = 0; i < sizeof empties / sizeof *empties; i++) {
        msgpack_object value = {.type = empties[i].type};

        buffer.size = 6;
        cr_assert_eq(value_pack(&value, &buffer, NULL), 0);
        cr_assert_eq(buffer.size, 6 + empties[i].size);
        cr_assert(memcmp(buffer.data + 6, empties[i].bytes, empties[i].size) == 0);
    }
}

Test(value, any_byte_in_a_boolean_is_true_or_false)
{
    msgpack_object value = {.type = MSGPACK_OBJECT_BOOLEAN};

    memset(&value.via, 0x7e, sizeof value.via);
    cr_assert_eq(value_pack(&value, &buffer, NULL), 0);
    cr_assert_eq(buffer.size, 7);
    cr_assert_eq((uint8_t)buffer.data[6], 0xc3);
}

/* `depth` arrays inside each other. */
static msgpack_object nest(msgpack_object *levels, unsigned depth)
{
    levels[0] = array_of(NULL, 0);
    for (unsigned i = 1; i < depth; i++)
        levels[i] = array_of(&levels[i - 1], 1);
    return levels[depth - 1];
}

Test(value, deepest_value_passes_and_one_deeper_is_refused)
{
    msgpack_object levels[PROTO_DEPTH_MAX + 1];
    msgpack_object value = nest(levels, PROTO_DEPTH_MAX);
    size_t length;

    cr_assert_eq(value_pack(&value, &buffer, NULL), 0);
    cr_assert_eq(scan_value(&scan_value_limits, (const uint8_t *)buffer.data + 6, buffer.size - 6, &length),
                 0);
    buffer.size = 6;
    value = nest(levels, PROTO_DEPTH_MAX + 1);
    assert_refused(&value, MUSTER_ELIMIT);
}

Test(value, array_that_holds_itself_is_refused)
{
    msgpack_object value;

    value = array_of(&value, 1);
    assert_refused(&value, MUSTER_ELIMIT);
}

/* Each level holds the one below twice: few objects, 2^28 elements. */
Test(value, shared_subtrees_beyond_the_element_limit_are_refused)
{
    msgpack_object pairs[PROTO_DEPTH_MAX][2];
    msgpack_object value = unsigned_of(1);

    for (unsigned i = 0; i < PROTO_DEPTH_MAX; i++) {
        pairs[i][0] = pairs[i][1] = value;
        value = array_of(pairs[i], 2);
    }
    assert_refused(&value, MUSTER_ELIMIT);
}

Test(value, declared_elements_beyond_the_limit_are_refused_unread)
{
    msgpack_object one = unsigned_of(1), value = array_of(&one, PROTO_ELEMENTS_MAX);
    msgpack_object_kv pair = {.key = one, .val = one};

    assert_refused(&value, MUSTER_ELIMIT);
    value = (msgpack_object){.type = MSGPACK_OBJECT_MAP,
                             .via.map = {.ptr = &pair, .size = PROTO_ELEMENTS_MAX / 2}};
    assert_refused(&value, MUSTER_ELIMIT);
}

Test(value, content_beyond_the_byte_limit_is_refused_uncopied)
{
    size_t size = PROTO_VALUE_BYTES_MAX + 1;
    char *zeros = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    msgpack_object value = {.type = MSGPACK_OBJECT_BIN}, pair[2] = {unsigned_of(1)};

    cr_assert_neq(zeros, MAP_FAILED);
    value.via.bin.ptr = zeros;
    value.via.bin.size = (uint32_t)size;
    assert_refused(&value, MUSTER_ELIMIT);
    cr_assert_lt(buffer.alloc, size);
    value.via.bin.size--; /* with its head one byte in an array too many */
    pair[1] = value;
    value = array_of(pair, 2);
    assert_refused(&value, MUSTER_ELIMIT);
    cr_assert_lt(buffer.alloc, size);
    munmap(zeros, size);
}

Test(value, equal_values_hash_alike_whatever_made_them)
{
    msgpack_object a = unsigned_of(5), b = signed_of(5);
    msgpack_object nan_a = double_of(NAN), nan_b = double_of(-NAN);
    msgpack_object single = {.type = MSGPACK_OBJECT_FLOAT32, .via.f64 = 1.5}, twice = double_of(1.5);

    cr_assert_eq(value_hash(&a), value_hash(&b));
    cr_assert_eq(value_hash(&nan_a), value_hash(&nan_b));
    cr_assert_eq(value_hash(&single), value_hash(&twice));
}

Test(value, different_values_hash_apart)
{
    msgpack_object one = unsigned_of(1), two = unsigned_of(2), pair[2] = {one, two}, reverse[2] = {two, one};
    msgpack_object inner = array_of(&two, 1), left[2] = {inner, one}, right[2] = {one, inner};
    msgpack_object values[] = {
        {.type = MSGPACK_OBJECT_NIL},
        {.type = MSGPACK_OBJECT_BOOLEAN, .via.boolean = false},
        {.type = MSGPACK_OBJECT_BOOLEAN, .via.boolean = true},
        unsigned_of(0),
        one,
        double_of(1),
        signed_of(-1),
        unsigned_of(UINT64_MAX),
        text_of(""),
        text_of("a"),
        {.type = MSGPACK_OBJECT_BIN, .via.bin = {.ptr = "a", .size = 1}},
        {.type = MSGPACK_OBJECT_EXT, .via.ext = {.type = 1, .ptr = "a", .size = 1}},
        {.type = MSGPACK_OBJECT_EXT, .via.ext = {.type = 2, .ptr = "a", .size = 1}},
        array_of(NULL, 0),
        {.type = MSGPACK_OBJECT_MAP},
        array_of(pair, 1),
        array_of(pair, 2),
        array_of(reverse, 2),
        array_of(left, 2),
        array_of(right, 2),
        double_of(NAN),
    };

    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        for (size_t k = 0; k < i; k++)
            cr_assert_neq(value_hash(&values[i]), value_hash(&values[k]), "%zu and %zu", i, k);
}

Test(value, hash_of_an_endless_value_ends)
{
    msgpack_object self, pair[2];

    self = array_of(&self, 1);
    cr_assert_neq(value_hash(&self), 0);
    pair[0] = pair[1] = array_of(pair, 2);
    cr_assert_neq(value_hash(pair), 0);
}
