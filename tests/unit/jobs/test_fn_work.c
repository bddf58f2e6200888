/* SPDX-License-Identifier: MIT
 *
 * work: each part of the order is carried out, and nothing that was not ordered.
 */
#include "rig.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(work, .init = rig_init, .fini = rig_fini);

Test(work, time_to_compute_is_waited)
{
    uint64_t cpu_ns = clock_thread_cpu_ns();

    cr_assert_eq(run("work", MAP(MEMBER("compute", number(0.01)))), 0);
    cr_assert_geq(clock_thread_cpu_ns() - cpu_ns, 10 * CLOCK_NS_PER_MS);
    cr_assert_eq((int)rig.result.type, (int)MSGPACK_OBJECT_NIL);
}

Test(work, time_to_wait_is_computed)
{
    uint64_t start_ns = clock_now_ns(), cpu_ns = clock_thread_cpu_ns();

    cr_assert_eq(run("work", MAP(MEMBER("wait", number(0.05)))), 0);
    cr_assert_geq(clock_now_ns() - start_ns, 50 * CLOCK_NS_PER_MS);
    cr_assert_lt(clock_thread_cpu_ns() - cpu_ns, 40 * CLOCK_NS_PER_MS);
}

Test(work, result_has_another_size_than_ordered)
{
    cr_assert_str_eq(run_text("work", MAP(MEMBER("bytes", integer(3)), MEMBER("data", text("ignored")))),
                     "xxx");
    cr_assert_str_eq(run_text("work", MAP(MEMBER("bytes", integer(0)))), "");
    cr_assert_eq(run("work", MAP(MEMBER("data", ARRAY(integer(1), NIL)))), 0);
    cr_assert_eq((int)rig.result.type, (int)MSGPACK_OBJECT_NIL);
}

Test(work, order_that_cannot_be_carried_out_is_accepted)
{
    refuse("work", MAP(MEMBER("compute", number(-1))), "work takes {\"compute\":S");
    refuse("work", MAP(MEMBER("wait", text("1"))), "not {\"wait\":\"1\"}");
    refuse("work", MAP(MEMBER("bytes", integer(268435457))), "268435457");
    refuse("work", MAP(MEMBER("compute", number(0)), MEMBER("colour", NIL)), "colour");
}
