/* SPDX-License-Identifier: MIT
 *
 * fib against known numbers, on both sides of where it begins to ask for cancellation.
 */
#include "rig.h"

#include <criterion/criterion.h>

TestSuite(fib, .init = rig_init, .fini = rig_fini);

Test(fib, wrong_number)
{
    cr_assert_eq(run_integer("fib", integer(0)), 0);
    cr_assert_eq(run_integer("fib", integer(1)), 1);
    cr_assert_eq(run_integer("fib", integer(2)), 1);
    cr_assert_eq(run_integer("fib", integer(10)), 55);
    cr_assert_eq(run_integer("fib", integer(24)), 46368);
    cr_assert_eq(run_integer("fib", integer(25)), 75025);
    cr_assert_eq(run_integer("fib", integer(30)), 832040);
}

Test(fib, number_that_would_take_hours_is_refused)
{
    refuse("fib", integer(51), "fib takes an integer from 0 to 50, not 51");
    refuse("fib", integer(-1), "not -1");
    refuse("fib", number(3), "not 3.0");
}
