/* SPDX-License-Identifier: MIT
 *
 * The generator is the published one, so that results can be had again elsewhere.
 */
#include "jobs/random.h"

#include <criterion/criterion.h>

Test(random, seeding_is_splitmix64)
{
    struct random random;

    random_seed(&random, 0);
    cr_assert_eq(random.state[0], UINT64_C(0xe220a8397b1dcdaf));
    cr_assert_eq(random.state[1], UINT64_C(0x6e789e6aa1b965f4));
    cr_assert_eq(random.state[2], UINT64_C(0x06c45d188009454f));
    cr_assert_eq(random.state[3], UINT64_C(0xf88bb8a8724c81ec));
}

Test(random, numbers_are_those_of_xoshiro256starstar)
{
    struct random random = {{1, 2, 3, 4}};

    cr_assert_eq(random_next(&random), 11520);
    cr_assert_eq(random_next(&random), 0);
    cr_assert_eq(random_next(&random), 1509978240);
    cr_assert_eq(random_next(&random), UINT64_C(1215971899390074240));
}
