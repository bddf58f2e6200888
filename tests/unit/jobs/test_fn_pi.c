/* SPDX-License-Identifier: MIT
 *
 * pi: near it, the same again for the same seed, and refused arguments.
 */
#include "rig.h"

#include <criterion/criterion.h>
#include <math.h>

TestSuite(pi, .init = rig_init, .fini = rig_fini);

static msgpack_object_kv members[2];

static msgpack_object seeded(int64_t samples, int64_t seed)
{
    members[0] = (msgpack_object_kv)MEMBER("samples", integer(samples));
    members[1] = (msgpack_object_kv)MEMBER("seed", integer(seed));
    return map(2, members);
}

/* 0.0016 is the standard deviation; five of them are missed once in two million. */
Test(pi, estimate_is_off)
{
    int64_t seed;

    for (seed = 0; seed < 5; seed++)
        cr_assert_lt(fabs(run_number("pi", seeded(1000000, seed)) - M_PI), 5 * 0.0016);
}

Test(pi, estimate_changes_between_builds_or_machines)
{
    cr_assert_eq(run_number("pi", integer(10000000)), 4.0 * 7852357 / 10000000); /* counted elsewhere */
}

Test(pi, seed_has_no_effect)
{
    double first = run_number("pi", seeded(100000, 1));

    cr_assert_eq(run_number("pi", seeded(100000, 1)), first);
    cr_assert_neq(run_number("pi", seeded(100000, 2)), first);
    cr_assert_eq(run_number("pi", seeded(100000, 0)), run_number("pi", integer(100000)));
}

Test(pi, fewest_samples)
{
    double estimate = run_number("pi", integer(1));

    cr_assert(estimate == 0 || estimate == 4);
}

Test(pi, samples_out_of_range_are_refused)
{
    refuse("pi", integer(0), "pi takes samples from 1 to 1000000000000");
    refuse("pi", integer(1000000000001), "not 1000000000001");
    refuse("pi", seeded(10, -1), "\"seed\":-1");
    refuse("pi", MAP(MEMBER("sample", integer(10))), "{\"sample\":10}");
}
