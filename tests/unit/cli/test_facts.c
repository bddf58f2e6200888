/* SPDX-License-Identifier: MIT
 *
 * Facts out of answers: of any type, any length, any bytes.
 */
#include "cli/facts.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static msgpack_object string(const char *bytes)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_STR,
                            .via.str = {.size = (uint32_t)strlen(bytes), .ptr = bytes}};
}

static msgpack_object number(uint64_t value)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = value};
}

static void check_text(const char *bytes, size_t size, const char *expected)
{
    msgpack_object value = string(bytes);
    char text[64];

    memset(text, 'x', sizeof text);
    cr_assert_str_eq(fact_string(&value, text, size), expected);
}

Test(facts, value_of_another_type_is_used)
{
    msgpack_object_kv pairs[] = {{number(7), number(1)},
                                 {string("count"), string("5")},
                                 {string("text"), number(5)},
                                 {string("below"), {.type = MSGPACK_OBJECT_NEGATIVE_INTEGER, .via.i64 = -5}},
                                 {string("large"), number(UINT64_MAX)}};
    msgpack_object map = {.type = MSGPACK_OBJECT_MAP, .via.map = {sizeof pairs / sizeof *pairs, pairs}};
    msgpack_object other = number(3);
    char text[8];

    cr_assert_eq(fact_count(&map, "count"), 0);
    cr_assert_eq(fact_count(&map, "below"), 0);
    cr_assert_eq(fact_count(&map, "missing"), 0);
    cr_assert_eq(fact_integer(&map, "below"), -5);
    cr_assert_eq(fact_integer(&map, "large"), 0);
    cr_assert_not(fact_flag(&map, "large"));
    cr_assert_str_eq(fact_text(&map, "text", text, sizeof text), "");
    cr_assert_null(fact_find(&other, "count"));
}

Test(facts, text_is_cut_within_a_character_or_behind_its_end)
{
    check_text("abcdef", 4, "abc");
    check_text("ab\u65e5", 5, "ab");
    check_text("ab\u65e5", 6, "ab\u65e5");
    check_text("", 1, "");
}

Test(facts, bytes_that_are_not_text_reach_the_terminal)
{
    check_text("a\x1b[31m\n\x7f", 64, "a?[31m??");
    check_text("\xc2\x9b"
               "2J",
               64, "?2J");
    check_text("\xff\xe6\x97", 64, "???");
    check_text("\u00e9\U0001f600", 64, "\u00e9\U0001f600");
}

Test(facts, numbers_are_shortened_wrongly)
{
    char text[FACT_BYTES];

    cr_assert_str_eq(fact_short(9999999, text), "9999999");
    cr_assert_str_eq(fact_short(10000000, text), "10.0M");
    cr_assert_str_eq(fact_short(12345678901, text), "12.3G");
    cr_assert_str_eq(fact_short(UINT64_MAX, text), "18.4E");
    cr_assert_str_eq(fact_duration(0, text), "0.00s");
    cr_assert_str_eq(fact_duration(12345, text), "12.3s");
    cr_assert_str_eq(fact_duration(125000, text), "2m05s");
    cr_assert_str_eq(fact_duration(11520000, text), "3h12m");
    cr_assert_str_eq(fact_duration(439200000, text), "5d02h");
    cr_assert_gt(strlen(fact_duration(UINT64_MAX, text)), 3);
}

Test(facts, time_that_no_calendar_has_is_shown)
{
    char text[FACT_BYTES];

    setenv("TZ", "UTC", 1);
    cr_assert_str_eq(fact_when(1795371070526, text), "2026-11-22 18:11:10");
    cr_assert_str_eq(fact_when(0, text), "-");
    cr_assert_lt(strlen(fact_when(UINT64_MAX, text)), FACT_BYTES);
    cr_assert_str_eq(fact_moment(1000, text), "1970-01-01");
    cr_assert_str_eq(fact_moment(0, text), "-");
}
