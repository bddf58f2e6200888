/* SPDX-License-Identifier: MIT
 *
 * Values to JSON, with the values that JSON lacks and the garbage that functions leave.
 */
#include "cli/json_write.h"
#include "proto/limits.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static msgpack_sbuffer buffer;

static void set_up(void)
{
    msgpack_sbuffer_init(&buffer);
}

static void tear_down(void)
{
    msgpack_sbuffer_destroy(&buffer);
}

TestSuite(json_write, .init = set_up, .fini = tear_down);

static void expect(msgpack_object value, const char *text)
{
    buffer.size = 0;
    cr_assert_eq(json_write(&value, &buffer), 0);
    cr_assert_eq(buffer.size, strlen(text), "%.*s instead of %s", (int)buffer.size, buffer.data, text);
    cr_assert_eq(memcmp(buffer.data, text, buffer.size), 0, "%.*s instead of %s", (int)buffer.size,
                 buffer.data, text);
}

static void expect_refused(msgpack_object value, int code)
{
    buffer.size = 0;
    cr_assert_eq(json_write_raw("before", 6, &buffer), 0);
    cr_assert_eq(json_write(&value, &buffer), code);
    cr_assert_eq(buffer.size, 6, "a failure leaves the buffer as it was");
}

static msgpack_object unsigned_value(uint64_t number)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = number};
}

static msgpack_object signed_value(int64_t number)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_NEGATIVE_INTEGER, .via.i64 = number};
}

static msgpack_object real_value(double number)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_FLOAT64, .via.f64 = number};
}

static msgpack_object string_value(const char *bytes, size_t size)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_STR, .via.str = {.ptr = bytes, .size = (uint32_t)size}};
}

static msgpack_object binary_value(const char *bytes, size_t size)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_BIN, .via.bin = {.ptr = bytes, .size = (uint32_t)size}};
}

static msgpack_object array_value(msgpack_object *items, uint32_t size)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_ARRAY, .via.array = {.ptr = items, .size = size}};
}

Test(json_write, unsigned_integers_above_int64_keep_their_digits)
{
    expect(unsigned_value(0), "0");
    expect(unsigned_value((uint64_t)INT64_MAX + 1), "9223372036854775808");
    expect(unsigned_value(UINT64_MAX), "18446744073709551615");
}

Test(json_write, the_least_integer_does_not_overflow)
{
    expect(signed_value(INT64_MIN), "-9223372036854775808");
    expect(signed_value(-1), "-1");
}

Test(json_write, reals_are_short_and_stay_reals)
{
    expect(real_value(0.1), "0.1");
    expect(real_value(1), "1.0");
    expect(real_value(-0.0), "-0.0");
    expect(real_value(1e300), "1e+300");
    expect(real_value(1.0 / 3), "0.3333333333333333");
    expect(real_value(5e-324), "4.94065645841247e-324");
}

Test(json_write, reals_read_back_to_the_same_number)
{
    uint64_t seed = 42;

    for (int i = 0; i < 100000; i++) {
        msgpack_object value;
        double number;

        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407); /* Knuth's LCG */
        memcpy(&number, &seed, sizeof number);
        if (!isfinite(number))
            continue;
        value = real_value(number);
        buffer.size = 0;
        cr_assert_eq(json_write(&value, &buffer), 0);
        cr_assert_eq(json_write_raw("", 1, &buffer), 0);
        cr_assert_eq(strtod(buffer.data, NULL), number, "%s", buffer.data);
    }
}

Test(json_write, numbers_that_json_lacks_are_null)
{
    expect(real_value(NAN), "null");
    expect(real_value(INFINITY), "null");
    expect(real_value(-INFINITY), "null");
}

Test(json_write, strings_are_escaped)
{
    expect(string_value("", 0), "\"\"");
    expect(string_value(NULL, 0), "\"\"");
    expect(string_value("a\"b\\c\n\t\r\b\f\x01\x7f/", 13), "\"a\\\"b\\\\c\\n\\t\\r\\b\\f\\u0001\x7f/\"");
    expect(string_value("a\0b", 3), "\"a\\u0000b\"");
    expect(string_value("\xc3\xa9\xf0\x9f\x98\x80", 6), "\"\xc3\xa9\xf0\x9f\x98\x80\"");
}

Test(json_write, bytes_that_are_not_utf_8_are_replaced_one_by_one)
{
#define FFFD "\xef\xbf\xbd"
    expect(string_value("\xff", 1), "\"" FFFD "\"");
    expect(string_value("a\xc3", 2), "\"a" FFFD "\"");                          /* cut short */
    expect(string_value("\xc0\xaf", 2), "\"" FFFD FFFD "\"");                   /* overlong */
    expect(string_value("\xe0\x9f\xbf", 3), "\"" FFFD FFFD FFFD "\"");          /* overlong */
    expect(string_value("\xed\xa0\x80", 3), "\"" FFFD FFFD FFFD "\"");          /* surrogate */
    expect(string_value("\xf4\x90\x80\x80", 4), "\"" FFFD FFFD FFFD FFFD "\""); /* above U+10FFFF */
    expect(string_value("\xe2\x82z", 3), "\"" FFFD FFFD "z\"");
#undef FFFD
}

/* Whatever the bytes, a strict reader accepts the text. */
Test(json_write, any_bytes_make_a_string_that_jansson_reads)
{
    uint64_t seed = 7;
    json_t *json;

    for (int i = 0; i < 20000; i++) {
        char bytes[24];
        msgpack_object value = string_value(bytes, (size_t)(i % (int)sizeof bytes));

        for (size_t at = 0; at < sizeof bytes; at++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            bytes[at] = (char)(seed >> (i % 2 ? 56 : 33));
        }
        buffer.size = 0;
        cr_assert_eq(json_write(&value, &buffer), 0);
        json = json_loadb(buffer.data, buffer.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        cr_assert(json, "%.*s", (int)buffer.size, buffer.data);
        json_decref(json);
    }
}

Test(json_write, binaries_are_base64_across_block_ends)
{
    char *bytes = calloc(1, 7000);

    cr_assert(bytes);
    expect(binary_value("", 0), "\"\"");
    expect(binary_value("a", 1), "\"YQ==\"");
    expect(binary_value("\xff\x00\x10", 3), "\"/wAQ\"");
    for (size_t size = 3070; size < 3076; size++) {
        msgpack_object value = binary_value(bytes, size);

        buffer.size = 0;
        cr_assert_eq(json_write(&value, &buffer), 0);
        cr_assert_eq(buffer.size, (size + 2) / 3 * 4 + 2, "%zu bytes: no padding in the middle", size);
        cr_assert_eq(strspn(buffer.data + 1, "A"), size / 3 * 4 + (size % 3 ? size % 3 + 1 : 0));
    }
    free(bytes);
}

Test(json_write, extensions_name_their_type)
{
    msgpack_object value = {.type = MSGPACK_OBJECT_EXT, .via.ext = {.type = -1, .ptr = "ab", .size = 2}};

    expect(value, "{\"ext\":-1,\"data\":\"YWI=\"}");
}

Test(json_write, containers_nest_and_separate)
{
    msgpack_object items[] = {unsigned_value(1), array_value(NULL, 0), {.type = MSGPACK_OBJECT_NIL}};
    msgpack_object_kv members[] = {{.key = string_value("a", 1), .val = array_value(items, 3)},
                                   {.key = string_value("b", 1), .val = {.type = MSGPACK_OBJECT_BOOLEAN}}};
    msgpack_object map = {.type = MSGPACK_OBJECT_MAP, .via.map = {.ptr = members, .size = 2}};

    expect(map, "{\"a\":[1,[],null],\"b\":false}");
}

Test(json_write, keys_that_are_no_strings_become_their_text)
{
    msgpack_object item = string_value("x", 1);
    msgpack_object_kv members[] = {{.key = signed_value(-1), .val = unsigned_value(1)},
                                   {.key = array_value(&item, 1), .val = unsigned_value(2)}};
    msgpack_object map = {.type = MSGPACK_OBJECT_MAP, .via.map = {.ptr = members, .size = 2}};

    expect(map, "{\"-1\":1,\"[\\\"x\\\"]\":2}");
}

Test(json_write, keys_within_keys_are_refused_before_their_quotes_multiply)
{
    msgpack_object levels[PROTO_DEPTH_MAX], one = unsigned_value(1), item = array_value(&one, 1);
    msgpack_object_kv members[PROTO_DEPTH_MAX];

    levels[0] = one;
    for (int i = 1; i < PROTO_DEPTH_MAX; i++) {
        members[i] = (msgpack_object_kv){.key = levels[i - 1], .val = one};
        levels[i] = (msgpack_object){.type = MSGPACK_OBJECT_MAP, .via.map = {.ptr = &members[i], .size = 1}};
    }
    expect(levels[2], "{\"{\\\"1\\\":1}\":1}");
    expect_refused(levels[3], MUSTER_ELIMIT);
    expect_refused(levels[PROTO_DEPTH_MAX - 1], MUSTER_ELIMIT);
    members[2].key = array_value(&item, 1);
    expect_refused(levels[2], MUSTER_ELIMIT);
}

Test(json_write, nesting_without_end_is_refused)
{
    msgpack_object knot = array_value(NULL, 1), levels[PROTO_DEPTH_MAX + 1];

    knot.via.array.ptr = &knot;
    expect_refused(knot, MUSTER_ELIMIT);
    levels[0] = unsigned_value(1);
    for (int i = 1; i <= PROTO_DEPTH_MAX; i++)
        levels[i] = array_value(&levels[i - 1], 1);
    cr_assert_eq(json_write(&levels[PROTO_DEPTH_MAX], &buffer), 0);
}

Test(json_write, garbage_is_refused_and_leaves_nothing)
{
    msgpack_object items[] = {unsigned_value(1), string_value(NULL, 5)};

    expect_refused((msgpack_object){.type = (msgpack_object_type)0x77}, MUSTER_EINVALID);
    expect_refused(string_value(NULL, 1), MUSTER_EINVALID);
    expect_refused(binary_value(NULL, 1), MUSTER_EINVALID);
    expect_refused(array_value(NULL, 1), MUSTER_EINVALID);
    expect_refused(array_value(items, 2), MUSTER_EINVALID);
}
