/* SPDX-License-Identifier: MIT
 *
 * Arguments at and beyond their bounds, and what is said of one that is refused.
 */
#include "rig.h"

#include "jobs/argument.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

TestSuite(argument, .init = rig_init, .fini = rig_fini);

static const muster_function tested = {.name = "tested", .argument = "an integer"};

static bool is_integer(msgpack_object value, int64_t low, int64_t high)
{
    int64_t ignored;

    return argument_integer(&value, low, high, &ignored);
}

static bool is_number(msgpack_object value, double low, double high)
{
    double ignored;

    return argument_number(&value, low, high, &ignored);
}

static void check_shown(msgpack_object value, const char *shown)
{
    char expected[1024];

    cr_assert_eq(argument_refuse(&rig.call.base, &tested, &value), MUSTER_JOB_FAILED);
    snprintf(expected, sizeof expected, "tested takes an integer, not %s", shown);
    cr_assert_str_eq(rig.call.text, expected);
}

Test(argument, integer_beyond_its_bounds_is_refused)
{
    cr_assert(is_integer(integer(5), 5, 9));
    cr_assert(is_integer(integer(9), 5, 9));
    cr_assert_not(is_integer(integer(4), 5, 9));
    cr_assert_not(is_integer(integer(10), 5, 9));
    cr_assert(is_integer(integer(-9), -9, -5));
    cr_assert_not(is_integer(integer(-10), -9, -5));
    cr_assert(is_integer(integer(INT64_MIN), INT64_MIN, INT64_MAX));
    cr_assert(is_integer(integer(INT64_MAX), INT64_MIN, INT64_MAX));
}

Test(argument, unsigned_integer_beyond_63_bits_does_not_become_negative)
{
    msgpack_object huge = {.type = MSGPACK_OBJECT_POSITIVE_INTEGER};

    huge.via.u64 = UINT64_C(1) << 63;
    cr_assert_not(is_integer(huge, INT64_MIN, INT64_MAX));
    huge.via.u64 = UINT64_MAX;
    cr_assert_not(is_integer(huge, INT64_MIN, INT64_MAX));
}

Test(argument, value_that_only_looks_like_an_integer_is_refused)
{
    cr_assert_not(is_integer(number(5), 0, 9));
    cr_assert_not(is_integer(text("5"), 0, 9));
    cr_assert_not(is_integer(boolean(true), 0, 9));
    cr_assert_not(is_integer(NIL, 0, 9));
}

Test(argument, number_beyond_its_bounds_is_refused)
{
    cr_assert(is_number(number(0.5), 0.5, 1));
    cr_assert(is_number(integer(1), 0.5, 1));
    cr_assert(is_number(integer(-1), -2, 1));
    cr_assert_not(is_number(number(0.4999), 0.5, 1));
    cr_assert_not(is_number(number(INFINITY), 0, 1e300));
    cr_assert_not(is_number(number(NAN), -INFINITY, INFINITY));
    cr_assert_not(is_number(text("1"), 0, 2));
}

Test(argument, array_of_another_length_or_with_a_wrong_element_leaves_outputs_alone)
{
    int64_t pair[2] = {-1, -1};
    msgpack_object good = ARRAY(integer(3), integer(4)), shorter = ARRAY(integer(3)),
                   longer = ARRAY(integer(3), integer(4), integer(5)), wrong = ARRAY(integer(3), text("4")),
                   outside = ARRAY(integer(3), integer(10));

    cr_assert_not(argument_integers(&shorter, 2, 0, 9, pair));
    cr_assert_not(argument_integers(&longer, 2, 0, 9, pair));
    cr_assert_not(argument_integers(&wrong, 2, 0, 9, pair));
    cr_assert_not(argument_integers(&outside, 2, 0, 9, pair));
    cr_assert_eq(pair[0], -1);
    cr_assert(argument_integers(&good, 2, 0, 9, pair));
    cr_assert_eq(pair[0], 3);
    cr_assert_eq(pair[1], 4);
}

Test(argument, map_with_an_unknown_or_doubled_key_is_refused)
{
    static const char *const names[] = {"a", "b"};
    const msgpack_object *members[2] = {&rig.result, &rig.result};
    msgpack_object unknown = MAP(MEMBER("a", integer(1)), MEMBER("c", integer(2))),
                   doubled = MAP(MEMBER("a", integer(1)), MEMBER("a", integer(2))),
                   keyed = MAP({integer(1), integer(1)}), prefix = MAP(MEMBER("aa", integer(1))),
                   good = MAP(MEMBER("b", integer(2)));

    cr_assert_not(argument_members(&unknown, 2, names, members));
    cr_assert_not(argument_members(&doubled, 2, names, members));
    cr_assert_not(argument_members(&keyed, 2, names, members));
    cr_assert_not(argument_members(&prefix, 2, names, members));
    cr_assert_eq(members[0], &rig.result);
    cr_assert(argument_members(&good, 2, names, members));
    cr_assert_null(members[0]);
    cr_assert_eq(members[1]->via.u64, 2);
}

Test(argument, seed_without_its_count_or_negative_is_refused)
{
    int64_t count, seed;
    msgpack_object good = MAP(MEMBER("seed", integer(4)), MEMBER("n", integer(3))),
                   lonely = MAP(MEMBER("seed", integer(4))),
                   negative = MAP(MEMBER("seed", integer(-1)), MEMBER("n", integer(3))), plain = integer(3);

    cr_assert(argument_seeded(&good, "n", 1, 3, &count, &seed));
    cr_assert(count == 3 && seed == 4);
    cr_assert(argument_seeded(&plain, "n", 1, 3, &count, &seed));
    cr_assert(count == 3 && seed == 0);
    cr_assert_not(argument_seeded(&lonely, "n", 1, 3, &count, &seed));
    cr_assert_not(argument_seeded(&negative, "n", 1, 3, &count, &seed));
    cr_assert_not(argument_seeded(&good, "n", 1, 2, &count, &seed));
}

Test(argument, refusal_shows_what_was_given)
{
    msgpack_object extension = {.type = MSGPACK_OBJECT_EXT};

    extension.via.ext.type = -3;
    check_shown(NIL, "null");
    check_shown(boolean(false), "false");
    check_shown(integer(-7), "-7");
    check_shown(number(3), "3.0");
    check_shown(number(0.25), "0.25");
    check_shown(text("ab"), "\"ab\"");
    check_shown(bytes("xyz", 3), "binary data of 3 bytes");
    check_shown(extension, "an extension of type -3");
    check_shown(ARRAY(integer(1), MAP(MEMBER("a", NIL), MEMBER("b", number(1.5)))),
                "[1,{\"a\":null,\"b\":1.5}]");
    check_shown(array(0, NULL), "[]");
}

Test(argument, refusal_of_an_object_without_a_type_does_not_follow_it)
{
    int no_type = 0x5a;
    msgpack_object garbage = NIL;

    memcpy(&garbage.type, &no_type, sizeof garbage.type);
    check_shown(garbage, "a value of unknown type");
}

Test(argument, refusal_of_an_endless_or_bottomless_value_is_cut)
{
    enum { LEVELS = 1000000 };
    msgpack_object *levels = calloc(LEVELS, sizeof *levels);
    char *longer = calloc(1, 100000);
    size_t i;

    cr_assert(levels && longer);
    memset(longer, 'x', 99999);
    refuse("fib", text(longer), "xxx...");
    cr_assert_lt(strlen(rig.call.text), 300);
    for (i = 0; i + 1 < LEVELS; i++)
        levels[i] = array(1, &levels[i + 1]);
    refuse("fib", levels[0], "[[[...");
    cr_assert_lt(strlen(rig.call.text), 300);
    refuse("fib", array(LEVELS, levels), "...");
    free(longer);
    free(levels);
}
