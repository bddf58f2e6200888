/* SPDX-License-Identifier: MIT
 *
 * Text to values: what is JSON, what is a string, and what is refused.
 */
#include "cli/json_read.h"
#include "proto/limits.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static msgpack_zone zone;

static void set_up(void)
{
    cr_assert(msgpack_zone_init(&zone, 4096));
}

static void tear_down(void)
{
    msgpack_zone_destroy(&zone);
}

TestSuite(json_read, .init = set_up, .fini = tear_down);

static msgpack_object read_text(const char *text)
{
    struct muster_error error = {.text = ""};
    msgpack_object value;

    cr_assert_eq(json_read(text, strlen(text), &zone, &value, &error), 0, "%s: %s", text, error.text);
    return value;
}

static void expect_error(const char *text, int code, const char *word)
{
    struct muster_error error = {.text = ""};
    msgpack_object value = {.type = MSGPACK_OBJECT_NIL};

    cr_assert_eq(json_read(text, strlen(text), &zone, &value, &error), code, "%s", text);
    cr_assert(strstr(error.text, word), "%s: %s", text, error.text);
}

static void expect_string(const char *text, const char *expected)
{
    msgpack_object value = read_text(text);

    cr_assert_eq(value.type, MSGPACK_OBJECT_STR, "%s", text);
    cr_assert_eq(value.via.str.size, strlen(expected), "%s", text);
    cr_assert_eq(memcmp(value.via.str.ptr, expected, strlen(expected)), 0, "%s", text);
}

static void expect_unsigned(const char *text, uint64_t expected)
{
    msgpack_object value = read_text(text);

    cr_assert_eq(value.type, MSGPACK_OBJECT_POSITIVE_INTEGER, "%s", text);
    cr_assert_eq(value.via.u64, expected, "%s", text);
}

static void expect_negative(const char *text, int64_t expected)
{
    msgpack_object value = read_text(text);

    cr_assert_eq(value.type, MSGPACK_OBJECT_NEGATIVE_INTEGER, "%s", text);
    cr_assert_eq(value.via.i64, expected, "%s", text);
}

Test(json_read, integers_keep_every_bit_up_to_both_ends_of_64_bits)
{
    expect_unsigned("0", 0);
    expect_unsigned("-0", 0);
    expect_unsigned(" 7 ", 7);
    expect_unsigned("7\r", 7);
    expect_unsigned("9223372036854775807", INT64_MAX);
    expect_unsigned("9223372036854775808", (uint64_t)INT64_MAX + 1);
    expect_unsigned("18446744073709551615", UINT64_MAX);
    expect_negative("-1", -1);
    expect_negative("-9223372036854775808", INT64_MIN);
}

Test(json_read, integers_beyond_64_bits_are_refused_not_taken_as_strings)
{
    expect_error("18446744073709551616", MUSTER_ELIMIT, "out of range");
    expect_error("-9223372036854775809", MUSTER_ELIMIT, "out of range");
    expect_error("99999999999999999999999999", MUSTER_ELIMIT, "out of range");
    expect_error("[1, 9223372036854775808]", MUSTER_ELIMIT, "out of range");
    expect_error("1e999", MUSTER_ELIMIT, "out of range");
}

Test(json_read, long_digits_that_are_no_number_are_strings)
{
    expect_string("123456789012345678901234567890ab", "123456789012345678901234567890ab");
    expect_string("99999999999999999999.txt", "99999999999999999999.txt");
}

Test(json_read, text_that_only_resembles_json_is_a_string)
{
    static const char *const texts[] = {"",   "-",     "+1",  "01",  "0x10",    ".5",
                                        "1.", "1..5",  "nul", "nan", "notes.c", "true1",
                                        "[1", "{a:1}", "'a'", "\"a", "1 2",     "[1]]"};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        expect_string(texts[i], texts[i]);
}

Test(json_read, bytes_that_are_not_utf_8_stay_as_they_are)
{
    expect_string("\xff\xfe.txt", "\xff\xfe.txt");
    expect_string("\"\xff\"", "\"\xff\"");
}

Test(json_read, quoted_json_is_a_string_without_its_quotes)
{
    expect_string("\"5\"", "5");
    expect_string("\"\"", "");
    expect_string("\"a\\n\\u00e9\"", "a\n\xc3\xa9");
}

Test(json_read, nul_inside_a_string_is_kept)
{
    msgpack_object value = read_text("\"a\\u0000b\"");

    cr_assert_eq(value.via.str.size, 3);
    cr_assert_eq(memcmp(value.via.str.ptr, "a\0b", 3), 0);
}

Test(json_read, nul_in_a_name_is_refused)
{
    expect_error("{\"a\\u0000b\": 1}", MUSTER_EINVALID, "NUL");
}

Test(json_read, text_after_a_nul_byte_is_not_lost)
{
    struct muster_error error;
    msgpack_object value;

    cr_assert_eq(json_read("5\0x", 3, &zone, &value, &error), 0);
    cr_assert_eq(value.type, MSGPACK_OBJECT_STR);
    cr_assert_eq(value.via.str.size, 3);
}

Test(json_read, scalars_have_their_types)
{
    cr_assert_eq(read_text("null").type, MSGPACK_OBJECT_NIL);
    cr_assert_eq(read_text("true").via.boolean, true);
    cr_assert_eq(read_text("false").via.boolean, false);
    cr_assert_eq(read_text("1.5").type, MSGPACK_OBJECT_FLOAT64);
    cr_assert_eq(read_text("1e3").via.f64, 1000.0);
    cr_assert_eq(read_text("0.1").via.f64, 0.1);
}

Test(json_read, containers_keep_order_and_content)
{
    msgpack_object value = read_text("{\"b\": [1, \"x\", {}], \"a\": []}");
    msgpack_object_array items;

    cr_assert_eq(value.type, MSGPACK_OBJECT_MAP);
    cr_assert_eq(value.via.map.size, 2);
    cr_assert_eq(*value.via.map.ptr[0].key.via.str.ptr, 'b');
    cr_assert_eq(*value.via.map.ptr[1].key.via.str.ptr, 'a');
    items = value.via.map.ptr[0].val.via.array;
    cr_assert_eq(items.size, 3);
    cr_assert_eq(items.ptr[0].via.u64, 1);
    cr_assert_eq(*items.ptr[1].via.str.ptr, 'x');
    cr_assert_eq(items.ptr[2].via.map.size, 0);
    cr_assert_eq(value.via.map.ptr[1].val.via.array.size, 0);
}

/* `levels` arrays in each other. */
static char *nested(size_t levels)
{
    char *text = malloc(2 * levels + 1);

    cr_assert(text);
    memset(text, '[', levels);
    memset(text + levels, ']', levels);
    text[2 * levels] = '\0';
    return text;
}

Test(json_read, nesting_at_the_limit_passes_and_one_deeper_is_refused)
{
    char *deepest = nested(PROTO_DEPTH_MAX), *deeper = nested(PROTO_DEPTH_MAX + 1), *abyss = nested(100000);

    cr_assert_eq(read_text(deepest).type, MSGPACK_OBJECT_ARRAY);
    expect_error(deeper, MUSTER_ELIMIT, "nests deeper");
    expect_error(abyss, MUSTER_ELIMIT, "nests deeper");
    free(deepest);
    free(deeper);
    free(abyss);
}
