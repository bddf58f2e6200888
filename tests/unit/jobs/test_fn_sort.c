/* SPDX-License-Identifier: MIT
 *
 * sort against another sort.
 */
#include "rig.h"

#include "jobs/random.h"

#include <criterion/criterion.h>

TestSuite(sort, .init = rig_init, .fini = rig_fini);

/* Inserts one by one, then takes FNV-1a over whole integers, of which 53 bits are kept. */
static uint64_t expected(size_t count, uint64_t seed)
{
    uint64_t numbers[500], next, sum = UINT64_C(0xcbf29ce484222325);
    struct random random;
    size_t i, place;

    random_seed(&random, seed);
    for (i = 0; i < count; i++) {
        next = random_next(&random);
        for (place = i; place > 0 && numbers[place - 1] > next; place--)
            numbers[place] = numbers[place - 1];
        numbers[place] = next;
    }
    for (i = 0; i < count; i++)
        sum = (sum ^ numbers[i]) * UINT64_C(0x100000001b3);
    return sum >> 11;
}

Test(sort, integers_are_out_of_order)
{
    cr_assert_eq(run_integer("sort", integer(1)), expected(1, 0));
    cr_assert_eq(run_integer("sort", integer(2)), expected(2, 0));
    cr_assert_eq(run_integer("sort", integer(500)), expected(500, 0));
}

Test(sort, seed_has_no_effect)
{
    cr_assert_eq(run_integer("sort", MAP(MEMBER("count", integer(100)), MEMBER("seed", integer(3)))),
                 expected(100, 3));
    cr_assert_neq(expected(100, 3), expected(100, 0));
}

Test(sort, count_out_of_range_is_refused)
{
    refuse("sort", integer(0), "sort takes a count from 1 to 10000000");
    refuse("sort", integer(10000001), "not 10000001");
    refuse("sort", ARRAY(integer(1)), "not [1]");
}
