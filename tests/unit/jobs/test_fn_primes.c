/* SPDX-License-Identifier: MIT
 *
 * primes against known counts, against is_prime where segments begin and end, and split.
 */
#include "rig.h"

#include <criterion/criterion.h>

TestSuite(primes, .init = rig_init, .fini = rig_fini);

static uint64_t count(int64_t first, int64_t last)
{
    return run_integer("primes", ARRAY(integer(first), integer(last)));
}

static uint64_t count_one_by_one(int64_t first, int64_t last)
{
    uint64_t found = 0;

    for (; first <= last; first++)
        found += run_boolean("is_prime", integer(first));
    return found;
}

Test(primes, wrong_count_of_a_power_of_ten)
{
    cr_assert_eq(run_integer("primes", integer(10)), 4);
    cr_assert_eq(run_integer("primes", integer(100)), 25);
    cr_assert_eq(run_integer("primes", integer(1000)), 168);
    cr_assert_eq(run_integer("primes", integer(10000)), 1229);
    cr_assert_eq(run_integer("primes", integer(100000)), 9592);
    cr_assert_eq(run_integer("primes", integer(1000000)), 78498);
    cr_assert_eq(run_integer("primes", integer(10000000)), 664579);
}

Test(primes, smallest_ranges)
{
    int64_t first, last;

    for (first = 0; first < 60; first++)
        for (last = first; last < 60; last++)
            cr_assert_eq(count(first, last), count_one_by_one(first, last), "[%d, %d]", (int)first,
                         (int)last);
}

Test(primes, parts_do_not_add_up)
{
    uint64_t sum = 0;
    int64_t first, last;

    for (first = 0; first <= 1000000; first = last + 1) {
        last = first + 9973 < 1000000 ? first + 9973 : 1000000;
        sum += count(first, last);
    }
    cr_assert_eq(sum, 78498);
}

Test(primes, ends_of_segments)
{
    enum { SEGMENT = 1 << 16 }; /* numbers, half of them odd */
    int64_t shift;

    for (shift = -3; shift <= 3; shift++) {
        cr_assert_eq(count(3, SEGMENT + 2 + shift), count_one_by_one(3, SEGMENT + 2 + shift));
        cr_assert_eq(count(SEGMENT + shift, 2 * SEGMENT), count_one_by_one(SEGMENT + shift, 2 * SEGMENT));
    }
}

Test(primes, far_ranges)
{
    cr_assert_eq(count(1000000000000, 1000000001000), 37);
    cr_assert_eq(count(99999999999000, 100000000000000), count_one_by_one(99999999999000, 100000000000000));
}

Test(primes, square_of_a_prime_counts_as_one)
{
    cr_assert_eq(count(49, 49), 0);
    cr_assert_eq(count(99999820000081, 99999820000081), 0); /* 9999991 squared */
    cr_assert_eq(count(9999991, 9999991), 1);
}

Test(primes, range_that_ends_before_it_begins_or_is_too_far_is_refused)
{
    refuse("primes", ARRAY(integer(5), integer(4)), "the range [5,4] is empty");
    refuse("primes", ARRAY(integer(-1), integer(4)), "not [-1,4]");
    refuse("primes", integer(100000000000001), "up to 100000000000000");
    refuse("primes", ARRAY(integer(0), integer(100000000000001)), "up to 100000000000000");
    refuse("primes", ARRAY(integer(1)), "[first, last]");
    refuse("primes", ARRAY(integer(1), integer(2), integer(3)), "[first, last]");
    refuse("primes", ARRAY(integer(1), text("2")), "[first, last]");
}
