/* SPDX-License-Identifier: MIT
 *
 * kernel: as long as its argument says, and nothing but integers are arguments.
 */
#include "rig.h"

#include "base/clock.h"
#include "jobs/builtin.h"

#include <criterion/criterion.h>

TestSuite(kernel, .init = rig_init, .fini = rig_fini);

/* CPU time of so many iterations, the shortest of a few. */
static uint64_t length_ns(int64_t iterations, int64_t low)
{
    uint64_t best_ns = UINT64_MAX;

    for (int i = 0; i < 5; i++) {
        uint64_t began_ns = clock_thread_cpu_ns(), took_ns;

        cr_assert_eq(run("kernel", integer(iterations << KERNEL_SHIFT | low)), 0);
        cr_assert_eq((int)rig.result.type, (int)MSGPACK_OBJECT_NIL);
        took_ns = clock_thread_cpu_ns() - began_ns;
        best_ns = took_ns < best_ns ? took_ns : best_ns;
    }
    return best_ns;
}

Test(kernel, lower_half_of_the_argument_makes_it_longer)
{
    uint64_t million_ns = length_ns(1000000, 0);

    /* An iteration takes a cycle at the very least; 10 GHz are not to be feared. */
    cr_assert_gt(million_ns, 100000);
    cr_assert_lt(length_ns(0, UINT32_MAX), million_ns);
    cr_assert_gt(length_ns(8000000, UINT32_MAX), 2 * million_ns);
}

/* CPU time of so many jobs in a bare loop, the shortest of a few. */
static double loop_ns(int jobs, uint64_t iterations)
{
    uint64_t best_ns = UINT64_MAX;

    for (int i = 0; i < 20; i++) {
        uint64_t began_ns = clock_thread_cpu_ns(), took_ns;

        for (int job = 0; job < jobs; job++)
            kernel_iterate(iterations);
        took_ns = clock_thread_cpu_ns() - began_ns;
        best_ns = took_ns < best_ns ? took_ns : best_ns;
    }
    return (double)best_ns;
}

#if defined(__x86_64__) || defined(__aarch64__)
/* They took 0.38 of their time where a core ran several at once. */
Test(kernel, short_jobs_overlap)
{
    cr_assert_gt(loop_ns(30000, 32) / loop_ns(1, 30000 * 32), 0.6);
}
#endif

Test(kernel, negative_or_fractional_length_is_taken)
{
    refuse("kernel", integer(-1), "kernel takes an integer from 0 to 2^63 - 1: ");
    refuse("kernel", number(1.5), "not 1.5");
}
