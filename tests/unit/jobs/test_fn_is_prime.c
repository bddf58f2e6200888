/* SPDX-License-Identifier: MIT
 *
 * is_prime against trial division and against the numbers that weaker tests take for primes.
 */
#include "rig.h"

#include <criterion/criterion.h>

TestSuite(is_prime, .init = rig_init, .fini = rig_fini);

static msgpack_object natural(uint64_t number)
{
    msgpack_object object = {.type = MSGPACK_OBJECT_POSITIVE_INTEGER};

    object.via.u64 = number;
    return object;
}

static bool divides_nothing(uint64_t number)
{
    uint64_t divisor;

    for (divisor = 2; divisor * divisor <= number; divisor++)
        if (number % divisor == 0)
            return false;
    return number >= 2;
}

Test(is_prime, disagreement_with_trial_division)
{
    uint64_t n;

    for (n = 0; n < 5000; n++)
        cr_assert_eq(run_boolean("is_prime", natural(n)), divides_nothing(n), "%llu", (unsigned long long)n);
    for (n = 4294967296 - 50; n < 4294967296 + 50; n++)
        cr_assert_eq(run_boolean("is_prime", natural(n)), divides_nothing(n), "%llu", (unsigned long long)n);
}

Test(is_prime, carmichael_number_is_taken_for_a_prime)
{
    static const uint64_t numbers[] = {561,  1105, 1729,   2465,      2821,
                                       6601, 8911, 825265, 321197185, 9746347772161};
    size_t i;

    for (i = 0; i < sizeof numbers / sizeof *numbers; i++)
        cr_assert_not(run_boolean("is_prime", natural(numbers[i])));
}

/* The least strong pseudoprimes to the first 1, 2, 3... prime bases (OEIS A014233). */
Test(is_prime, strong_pseudoprime_is_taken_for_a_prime)
{
    static const uint64_t numbers[] = {
        2047,          1373653,       25326001,        3215031751,
        2152302898747, 3474749660383, 341550071728321, UINT64_C(3825123056546413051)};
    size_t i;

    for (i = 0; i < sizeof numbers / sizeof *numbers; i++)
        cr_assert_not(run_boolean("is_prime", natural(numbers[i])));
}

Test(is_prime, large_prime_is_missed)
{
    cr_assert(run_boolean("is_prime", natural(2147483647)));
    cr_assert(run_boolean("is_prime", natural(UINT64_C(2305843009213693951))));  /* 2^61 - 1 */
    cr_assert(run_boolean("is_prime", natural(UINT64_C(18446744073709551557)))); /* the largest below 2^64 */
}

Test(is_prime, products_overflow_64_bits)
{
    cr_assert_not(run_boolean("is_prime", natural(UINT64_MAX)));
    cr_assert_not(run_boolean("is_prime", natural(UINT64_C(18446744073709551559))));
    cr_assert_not(run_boolean("is_prime", natural(UINT64_C(18446744030759878681)))); /* 4294967291 squared */
}

Test(is_prime, negative_number_is_refused)
{
    refuse("is_prime", integer(-7), "is_prime takes an integer from 0 to 18446744073709551615, not -7");
}
