/* SPDX-License-Identifier: MIT
 *
 * is_prime: the Miller-Rabin test, deterministic for 64 bits: no composite number below
 * 318,665,857,834,031,151,167,461 > 2^64 is a strong pseudoprime to the first twelve primes
 * (Sorenson and Webster, "Strong pseudoprimes to twelve prime bases", Math. Comp. 86, 2017).
 */
#include "jobs/builtin.h"

#include "jobs/argument.h"

static uint64_t multiply(uint64_t a, uint64_t b, uint64_t modulus)
{
    return (uint64_t)((unsigned __int128)a * b % modulus);
}

static uint64_t power(uint64_t base, uint64_t exponent, uint64_t modulus)
{
    uint64_t result = 1;

    for (; exponent; exponent >>= 1) {
        if (exponent & 1)
            result = multiply(result, base, modulus);
        base = multiply(base, base, modulus);
    }
    return result;
}

/* Whether `base` proves that n = odd * 2^twos + 1 is composite. */
static bool is_witness(uint64_t base, uint64_t n, uint64_t odd, int twos)
{
    uint64_t x = power(base, odd, n);

    if (x == 1 || x == n - 1)
        return false;
    while (--twos > 0) {
        x = multiply(x, x, n);
        if (x == n - 1)
            return false;
    }
    return true;
}

static bool is_prime_number(uint64_t n)
{
    static const uint8_t primes[] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37};
    size_t i;
    int twos;

    if (n < 2)
        return false;
    for (i = 0; i < sizeof primes; i++)
        if (n % primes[i] == 0)
            return n == primes[i];
    twos = __builtin_ctzll(n - 1);
    for (i = 0; i < sizeof primes; i++)
        if (is_witness(primes[i], n, (n - 1) >> twos, twos))
            return false;
    return true;
}

static int is_prime(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    if (argument->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return argument_refuse(call, &function_is_prime, argument);
    ret_result->type = MSGPACK_OBJECT_BOOLEAN;
    ret_result->via.boolean = is_prime_number(argument->via.u64);
    return 0;
}

const muster_function function_is_prime = {
    .name = "is_prime",
    .summary = "whether a number is prime, by deterministic Miller-Rabin",
    .argument = "an integer from 0 to 18446744073709551615",
    .result = "true or false",
    .example = "2305843009213693951",
    .run = is_prime,
};
