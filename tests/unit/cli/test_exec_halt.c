/* SPDX-License-Identifier: MIT
 *
 * --halt of exec: what it takes, when it is time, and which exit status that makes.
 */
#include "cli/exec_halt.h"

#include <criterion/criterion.h>

static struct exec_halt parse(const char *text)
{
    struct exec_halt halt = {.cause = HALT_NEVER};
    struct muster_error error;

    cr_assert_eq(exec_halt_parse(text, &halt, &error), 0, "%s: %s", text, error.text);
    return halt;
}

Test(exec_halt, words_of_all_ages_are_known)
{
    static const struct {
        const char *text;
        struct exec_halt halt;
    } cases[] = {
        {"never", {HALT_NEVER, false, 0, 0}},
        {"0", {HALT_NEVER, false, 0, 0}},
        {"1", {HALT_FAIL, false, 1, 0}},
        {"2", {HALT_FAIL, true, 1, 0}},
        {"-1", {HALT_SUCCESS, false, 1, 0}},
        {"-2", {HALT_SUCCESS, true, 1, 0}},
        {"soon,fail=3", {HALT_FAIL, false, 3, 0}},
        {"now,success=1", {HALT_SUCCESS, true, 1, 0}},
        {"now,done=50%", {HALT_DONE, true, 0, 50}},
        {"10%", {HALT_FAIL, false, 0, 10}},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct exec_halt halt = parse(cases[i].text), wanted = cases[i].halt;

        cr_expect(halt.cause == wanted.cause && halt.now == wanted.now && halt.count == wanted.count &&
                      halt.percent == wanted.percent,
                  "%s", cases[i].text);
    }
}

Test(exec_halt, anything_else_is_refused)
{
    static const char *const bad[] = {
        "",           "later",         "now",        "now,", "now,fail",    "now,fail=",   "now,fail=0",
        "now,fail=x", "now,fail=101%", "now,fail=%", "3",    "soon,fall=1", "now,fail=1 ", "-3",
        "%"};
    struct exec_halt halt;
    struct muster_error error;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_eq(exec_halt_parse(bad[i], &halt, &error), MUSTER_EINVALID, "'%s'", bad[i]);
}

Test(exec_halt, numbers_and_shares_are_due_when_they_are_reached)
{
    struct exec_halt third = parse("soon,fail=3"), half = parse("now,done=50%"), first = parse("-1");

    cr_expect(!exec_halt_due(&third, 100, 2, 0) && exec_halt_due(&third, 0, 3, 0));
    cr_expect(!exec_halt_due(&half, 4, 0, 10) && exec_halt_due(&half, 4, 1, 10));
    cr_expect(!exec_halt_due(&half, 100, 0, 0), "no share of a number that is not known");
    cr_expect(!exec_halt_due(&first, 0, 9, 0) && exec_halt_due(&first, 1, 9, 0));
    cr_expect(!exec_halt_due(&(struct exec_halt){.cause = HALT_NEVER}, 5, 5, 10));
}

Test(exec_halt, the_status_is_how_many_failed_unless_it_was_about_something_else)
{
    struct exec_halt never = parse("never"), success = parse("now,success=1"), share = parse("soon,fail=20%"),
                     done = parse("soon,done=20%");

    cr_expect_eq(exec_halt_status(&never, 5, 0, 5), 0);
    cr_expect_eq(exec_halt_status(&never, 5, 100, 0), 100);
    cr_expect_eq(exec_halt_status(&never, 5, 101, 0), 101);
    cr_expect_eq(exec_halt_status(&success, 1, 7, 0), 0);
    cr_expect_eq(exec_halt_status(&success, 0, 7, 7), 7);
    cr_expect_eq(exec_halt_status(&share, 3, 1, 4), 25);
    cr_expect_eq(exec_halt_status(&done, 1, 1, 5), 20, "a share of what is done is no count of failures");
}
