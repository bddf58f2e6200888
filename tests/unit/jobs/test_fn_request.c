/* SPDX-License-Identifier: MIT
 *
 * request: the square, after the wait.
 */
#include "rig.h"

#include "base/clock.h"

#include <criterion/criterion.h>

TestSuite(request, .init = rig_init, .fini = rig_fini);

static msgpack_object_kv members[2];

static msgpack_object request(int64_t operand, msgpack_object seconds)
{
    members[0] = (msgpack_object_kv)MEMBER("number", integer(operand));
    members[1] = (msgpack_object_kv)MEMBER("seconds", seconds);
    return map(2, members);
}

Test(request, wrong_square)
{
    cr_assert_eq(run_integer("request", request(7, integer(0))), 49);
    cr_assert_eq(run_integer("request", request(-7, integer(0))), 49);
    cr_assert_eq(run_integer("request", request(0, integer(0))), 0);
    cr_assert_eq(run_integer("request", request(3037000499, integer(0))), UINT64_C(9223372030926249001));
    cr_assert_eq(run_integer("request", request(-3037000499, integer(0))), UINT64_C(9223372030926249001));
}

Test(request, wait_is_skipped)
{
    uint64_t start_ns = clock_now_ns(), cpu_ns = clock_thread_cpu_ns();

    cr_assert_eq(run_integer("request", request(2, number(0.05))), 4);
    cr_assert_geq(clock_now_ns() - start_ns, 50 * CLOCK_NS_PER_MS);
    cr_assert_lt(clock_thread_cpu_ns() - cpu_ns, 40 * CLOCK_NS_PER_MS, "waiting took CPU time");
    start_ns = clock_now_ns();
    cr_assert_eq(run_integer("request", integer(3)), 9);
    cr_assert_geq(clock_now_ns() - start_ns, CLOCK_NS_PER_S, "a second is the default");
}

Test(request, number_without_a_square_or_a_negative_wait_is_refused)
{
    refuse("request", integer(3037000500), "request takes an integer from -3037000499 to 3037000499");
    refuse("request", integer(-3037000500), "not -3037000500");
    refuse("request", number(1.5), "not 1.5");
    refuse("request", request(1, number(-1)), "\"seconds\":-1.0");
    refuse("request", request(1, integer(86401)), "\"seconds\":86401");
    refuse("request", request(1, text("1")), "\"seconds\":\"1\"");
    refuse("request", MAP(MEMBER("seconds", integer(1))), "not {\"seconds\":1}");
}
