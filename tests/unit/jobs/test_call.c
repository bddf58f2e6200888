/* SPDX-License-Identifier: MIT
 *
 * What a function may say, ask and wait for in its call, and what its runner hears of it.
 */
#include "rig.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

TestSuite(call, .init = rig_init, .fini = rig_fini);

static int run_function(muster_function_run *function)
{
    const muster_function wrapped = {.name = "tested", .run = function};
    msgpack_object argument = NIL;

    return call_run(&rig.call, &wrapped, &argument, &rig.result);
}

static int fail_formatted(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)argument;
    *ret_result = text("half a result");
    return muster_call_fail(call, "disk %d is %s", 3, "full");
}

static int fail_with_a_value(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)argument;
    *ret_result = text("what there is");
    muster_call_fail(call, "not all");
    return CALL_FAILED_VALUED;
}

static int fail_in_lines(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)argument;
    (void)ret_result;
    return muster_call_fail(call, "one\ntwo\r\x1b[31m\x7f");
}

static int fail_silently(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call;
    (void)argument;
    (void)ret_result;
    return 42;
}

static int fail_empty(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)argument;
    (void)ret_result;
    return muster_call_fail(call, "%s", "");
}

static int succeed_after_complaint(muster_call *call, const msgpack_object *argument,
                                   msgpack_object *ret_result)
{
    (void)argument;
    (void)ret_result;
    muster_call_fail(call, "tried one way");
    return 0;
}

static int return_nothing(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call;
    (void)argument;
    (void)ret_result;
    return 0;
}

Test(call, failure_carries_its_message_and_no_half_result)
{
    cr_assert_eq(run_function(fail_formatted), MUSTER_EFAILED);
    cr_assert_str_eq(rig.call.text, "disk 3 is full");
    cr_assert_eq((int)rig.result.type, (int)MSGPACK_OBJECT_NIL);
}

Test(call, message_of_several_lines_becomes_one)
{
    run_function(fail_in_lines);
    cr_assert_str_eq(rig.call.text, "one?two??[31m?");
}

Test(call, failure_without_a_message_still_says_which_function_and_code)
{
    cr_assert_eq(run_function(fail_silently), MUSTER_EFAILED);
    cr_assert_str_eq(rig.call.text, "tested failed with code 42");
    cr_assert_eq(run_function(fail_empty), MUSTER_EFAILED);
    cr_assert_str_eq(rig.call.text, "tested failed with code -11");
}

Test(call, message_of_one_call_does_not_outlive_it)
{
    run_function(fail_formatted);
    cr_assert_eq(run_function(return_nothing), 0);
    cr_assert_str_empty(rig.call.text);
    cr_assert_eq(run_function(succeed_after_complaint), 0);
    cr_assert_eq(run_function(fail_silently), MUSTER_EFAILED);
    cr_assert_str_eq(rig.call.text, "tested failed with code 42");
}

Test(call, result_of_the_call_before_is_not_returned_again)
{
    rig.result = integer(7);
    cr_assert_eq(run_function(return_nothing), 0);
    cr_assert_eq((int)rig.result.type, (int)MSGPACK_OBJECT_NIL);
}

Test(call, long_message_is_cut_at_1000_bytes)
{
    char longer[3000];

    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    cr_assert_eq(muster_call_fail(&rig.call.base, "%.1000s", longer), MUSTER_JOB_FAILED);
    cr_assert_eq(strlen(rig.call.text), 1000);
    muster_call_fail(&rig.call.base, "%.1001s", longer);
    cr_assert_eq(strlen(rig.call.text), 1000);
    muster_call_fail(&rig.call.base, "%s", longer);
    cr_assert_eq(strlen(rig.call.text), 1000);
}

Test(call, long_message_is_not_cut_inside_a_character)
{
    char longer[3000];
    size_t shift, i;

    for (shift = 0; shift < 3; shift++) {
        memset(longer, 'x', shift);
        for (i = shift; i + 3 < sizeof longer; i += 3)
            memcpy(longer + i, "\xe2\x82\xac", 3); /* a euro sign */
        longer[i] = '\0';
        muster_call_fail(&rig.call.base, "%s", longer);
        cr_assert_eq((strlen(rig.call.text) - shift) % 3, 0);
        cr_assert_gt(strlen(rig.call.text), 997);
        cr_assert_leq(strlen(rig.call.text), 1000);
    }
}

Test(call, failure_after_cancellation_is_told_from_a_failure)
{
    cr_assert_not(muster_call_cancelled(&rig.call.base));
    call_cancel_raise(&rig.cancel);
    cr_assert(muster_call_cancelled(&rig.call.base));
    cr_assert_eq(run_function(fail_formatted), MUSTER_ECANCELLED);
}

Test(call, failure_with_a_value_keeps_it_also_after_cancellation)
{
    for (int cancelled = 0; cancelled < 2; cancelled++) {
        cr_assert_eq(run_function(fail_with_a_value), MUSTER_EFAILED);
        cr_assert(rig.call.valued);
        cr_assert_eq((int)rig.result.type, (int)MSGPACK_OBJECT_STR);
        cr_assert_str_eq(rig.call.text, "not all");
        call_cancel_raise(&rig.cancel);
    }
    run_function(fail_formatted);
    cr_assert_not(rig.call.valued);
    cr_assert_eq((int)rig.result.type, (int)MSGPACK_OBJECT_NIL);
}

Test(call, success_after_cancellation_is_still_a_success)
{
    call_cancel_raise(&rig.cancel);
    cr_assert_eq(run_function(return_nothing), 0);
}

Test(call, progress_out_of_range_is_clamped)
{
    muster_call_progress(&rig.call.base, 0.5);
    cr_assert_eq(rig.progress, 500);
    muster_call_progress(&rig.call.base, -3);
    cr_assert_eq(rig.progress, 0);
    muster_call_progress(&rig.call.base, 1e300);
    cr_assert_eq(rig.progress, 1000);
    muster_call_progress(&rig.call.base, NAN);
    cr_assert_eq(rig.progress, 0);
}

Test(call, progress_that_nobody_looks_at_is_harmless)
{
    call_init(&rig.call, &rig.zone, &rig.cancel, NULL);
    muster_call_progress(&rig.call.base, 0.5);
    cr_assert_eq(rig.progress, 0);
}

Test(call, sleep_lasts_as_long_as_asked)
{
    uint64_t start_ns = clock_now_ns();

    cr_assert_eq(muster_call_sleep(&rig.call.base, 0.02), 0);
    cr_assert_geq(clock_now_ns() - start_ns, 20 * CLOCK_NS_PER_MS);
    cr_assert_eq(muster_call_sleep(&rig.call.base, 0), 0);
}

Test(call, sleep_of_no_length_is_refused)
{
    cr_assert_eq(muster_call_sleep(&rig.call.base, -0.001), MUSTER_JOB_FAILED);
    cr_assert_str_eq(rig.call.text, "cannot wait for -0.001 seconds");
    cr_assert_eq(muster_call_sleep(&rig.call.base, NAN), MUSTER_JOB_FAILED);
}

Test(call, sleep_after_cancellation_does_not_begin)
{
    call_cancel_raise(&rig.cancel);
    cr_assert_eq(muster_call_sleep(&rig.call.base, 1e18), MUSTER_ECANCELLED);
    cr_assert_eq(muster_call_sleep(&rig.call.base, INFINITY), MUSTER_ECANCELLED);
    cr_assert_eq(muster_call_sleep(&rig.call.base, 0), MUSTER_ECANCELLED);
}
