/* SPDX-License-Identifier: MIT
 *
 * nbody against the energies that the Computer Language Benchmarks Game publishes.
 */
#include "rig.h"

#include <criterion/criterion.h>
#include <math.h>

TestSuite(nbody, .init = rig_init, .fini = rig_fini);

Test(nbody, wrong_energy)
{
    cr_assert_lt(fabs(run_number("nbody", integer(0)) - -0.169075164), 5e-10);
    cr_assert_lt(fabs(run_number("nbody", integer(1000)) - -0.169087605), 5e-10);
}

Test(nbody, negative_or_fractional_steps_are_refused)
{
    refuse("nbody", integer(-1), "nbody takes an integer from 0 to 10000000000, the steps, not -1");
    refuse("nbody", integer(10000000001), "not 10000000001");
    refuse("nbody", number(0.5), "not 0.5");
}
