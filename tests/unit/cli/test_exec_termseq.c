/* SPDX-License-Identifier: MIT
 *
 * --termseq of exec: which signals, how long each is waited for, and what is refused.
 */
#include "cli/exec_termseq.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

Test(exec_termseq, signals_by_name_and_number_with_their_times)
{
    struct command_steps steps;
    struct muster_error error;

    cr_assert_eq(exec_termseq_parse("TERM,200,SIGINT,0,9,25", &steps, &error), 0);
    cr_assert_eq(steps.count, 3);
    cr_expect(steps.steps[0].signal == SIGTERM && steps.steps[0].wait_ms == 200);
    cr_expect(steps.steps[1].signal == SIGINT && steps.steps[1].wait_ms == 0);
    cr_expect(steps.steps[2].signal == SIGKILL && steps.steps[2].wait_ms == 25);
    cr_expect_eq(exec_termseq_ms(&steps), 225);
}

Test(exec_termseq, last_time_may_be_left_out)
{
    struct command_steps steps;
    struct muster_error error;

    cr_assert_eq(exec_termseq_parse("INT,100,KILL", &steps, &error), 0);
    cr_expect(steps.count == 2 && steps.steps[1].signal == SIGKILL && steps.steps[1].wait_ms > 0);
}

Test(exec_termseq, anything_else_is_refused_and_changes_nothing)
{
    static const char *const bad[] = {"",      "foo",       "TERM,",        "TERM,x",   "TERM,1,",
                                      "0,100", "65,1",      "TERM,-1",      ",100",     "TERM,1,foo,2",
                                      "term",  "TERM,1 00", "TERM,3600001", "TERM,1,,1"};
    struct command_steps steps = {.count = 77};
    struct muster_error error;
    char many[(COMMAND_STEPS_MAX + 1) * 6];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_eq(exec_termseq_parse(bad[i], &steps, &error), MUSTER_EINVALID, "'%s'", bad[i]);
    for (size_t i = 0; i <= COMMAND_STEPS_MAX; i++)
        memcpy(many + 6 * i, "INT,1,", 6);
    many[sizeof many - 1] = '\0';
    cr_expect_eq(exec_termseq_parse(many, &steps, &error), MUSTER_EINVALID);
    cr_expect_eq(steps.count, 77);
}
