/* SPDX-License-Identifier: MIT
 *
 * The cores of the calling thread, against what it was bound to.
 */
#include "base/cores.h"

#include <criterion/criterion.h>

/* Binds this process to `cpu`, which the kernel must grant. */
static void bind_to(int cpu)
{
    size_t bytes;
    cpu_set_t *set = cores_only(cpu, &bytes);

    cr_assert_not_null(set);
    cr_assert_eq(sched_setaffinity(0, bytes, set), 0);
    CPU_FREE(set);
}

Test(cores, each_of_them_comes_once_and_then_the_first_again)
{
    unsigned count;
    int before = -1, first, cpu;

    cr_assert_eq(cores_count(&count), 0);
    cr_assert_geq(count, 1);
    cr_assert_eq(cores_nth(0, &first), 0);
    for (unsigned k = 0; k < count; k++) {
        cr_assert_eq(cores_nth(k, &cpu), 0);
        cr_assert_gt(cpu, before);
        before = cpu;
    }
    cr_assert_eq(cores_nth(count, &cpu), 0);
    cr_assert_eq(cpu, first);
}

Test(cores, cores_that_the_process_may_not_use_are_not_counted)
{
    unsigned count;
    int last, cpu;

    cr_assert_eq(cores_count(&count), 0);
    cr_assert_eq(cores_nth(count - 1, &last), 0);
    bind_to(last);
    cr_assert_eq(cores_count(&count), 0);
    cr_assert_eq(count, 1);
    cr_assert_eq(cores_nth(7, &cpu), 0);
    cr_assert_eq(cpu, last);
}

Test(cores, core_beyond_a_fixed_set_is_in_the_set_of_it_alone)
{
    size_t bytes;
    cpu_set_t *set = cores_only(5000, &bytes);

    cr_assert_not_null(set);
    cr_assert_gt(bytes, sizeof(cpu_set_t));
    cr_assert_eq(CPU_COUNT_S(bytes, set), 1);
    cr_assert(CPU_ISSET_S(5000, bytes, set));
    CPU_FREE(set);
}
