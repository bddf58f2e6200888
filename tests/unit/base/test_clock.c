/* SPDX-License-Identifier: MIT
 *
 * Deadline arithmetic at its edges: a poll that wakes early spins, one that wakes never hangs.
 */
#include "base/clock.h"

#include <criterion/criterion.h>
#include <limits.h>

Test(clock, deadline_that_never_comes_polls_without_a_limit)
{
    cr_assert_eq(clock_poll_ms(0, CLOCK_NEVER), -1);
    cr_assert_eq(clock_poll_ms(CLOCK_NEVER - 1, CLOCK_NEVER), -1);
}

Test(clock, deadline_that_has_passed_does_not_wait)
{
    cr_assert_eq(clock_poll_ms(5, 5), 0);
    cr_assert_eq(clock_poll_ms(CLOCK_NS_PER_S, 1), 0);
}

Test(clock, wait_is_rounded_up_so_that_poll_does_not_spin)
{
    cr_assert_eq(clock_poll_ms(0, 1), 1);
    cr_assert_eq(clock_poll_ms(0, CLOCK_NS_PER_MS), 1);
    cr_assert_eq(clock_poll_ms(0, CLOCK_NS_PER_MS + 1), 2);
    cr_assert_eq(clock_poll_ms(7, 7 + 250 * CLOCK_NS_PER_MS), 250);
}

Test(clock, wait_longer_than_an_int_of_milliseconds_is_cut)
{
    cr_assert_eq(clock_poll_ms(0, (uint64_t)INT_MAX * CLOCK_NS_PER_MS), INT_MAX);
    cr_assert_eq(clock_poll_ms(0, (uint64_t)INT_MAX * CLOCK_NS_PER_MS + 1), INT_MAX);
    cr_assert_eq(clock_poll_ms(0, CLOCK_NEVER - 1), INT_MAX);
}

Test(clock, duration_past_the_end_of_time_is_never)
{
    cr_assert_eq(clock_after(10, 20), 30);
    cr_assert_eq(clock_after(1, CLOCK_NEVER), CLOCK_NEVER);
    cr_assert_eq(clock_after(CLOCK_NEVER, 0), CLOCK_NEVER);
    cr_assert_eq(clock_after(2, CLOCK_NEVER - 2), CLOCK_NEVER);
    cr_assert_eq(clock_after(2, CLOCK_NEVER - 3), CLOCK_NEVER - 1);
}

Test(clock, monotonic_time_does_not_go_back)
{
    uint64_t before_ns = clock_now_ns();

    for (int i = 0; i < 10000; i++) {
        uint64_t now_ns = clock_now_ns();

        cr_assert_geq(now_ns, before_ns);
        before_ns = now_ns;
    }
}

Test(clock, cpu_time_grows_with_work, .timeout = 10)
{
    uint64_t thread_ns = clock_thread_cpu_ns(), process_ns = clock_process_cpu_ns();

    while (clock_thread_cpu_ns() - thread_ns < CLOCK_NS_PER_MS)
        continue;
    while (clock_process_cpu_ns() - process_ns < CLOCK_NS_PER_MS)
        continue;
}
