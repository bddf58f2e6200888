/* SPDX-License-Identifier: MIT
 *
 * spin: burns what it is told to. CPU time, not wall time, is checked, so that a busy
 * machine does not fail the test; of many short spins the shortest counts.
 */
#include "rig.h"

#include "base/clock.h"

#include <criterion/criterion.h>

TestSuite(spin, .init = rig_init, .fini = rig_fini);

static uint64_t shortest_ns(double seconds, int times)
{
    uint64_t shortest = UINT64_MAX, start_ns, took_ns;

    while (times-- > 0) {
        start_ns = clock_thread_cpu_ns();
        cr_assert_eq(run("spin", number(seconds)), 0);
        took_ns = clock_thread_cpu_ns() - start_ns;
        shortest = took_ns < shortest ? took_ns : shortest;
    }
    return shortest;
}

static void check_burned(double seconds, int times, uint64_t most_ns)
{
    uint64_t took_ns = shortest_ns(seconds, times);

    cr_assert_geq(took_ns, (uint64_t)(seconds * 1e9));
    cr_assert_leq(took_ns, most_ns, "%g s took %llu ns", seconds, (unsigned long long)took_ns);
}

Test(spin, time_burned_is_not_the_time_asked_for)
{
    check_burned(0, 100, 10000);
    check_burned(10e-6, 200, 20000);
    check_burned(100e-6, 100, 120000);
    check_burned(1e-3, 50, 1100000);
    check_burned(30e-3, 3, 32000000);
}

Test(spin, result_depends_on_the_machine)
{
    cr_assert_eq(run_number("spin", number(1e-6)), 1e-6);
    cr_assert_eq(run_integer("spin", integer(0)), 0);
}

Test(spin, time_out_of_range_is_refused)
{
    refuse("spin", number(-0.001), "spin takes CPU seconds from 0 to 86400, such as 0.001, not -0.001");
    refuse("spin", integer(86401), "not 86401");
    refuse("spin", text("1"), "not \"1\"");
}
