/* SPDX-License-Identifier: MIT
 *
 * What a round of the race counts as, and what is said of all of them.
 */
#include "lab/race.h"

#include <criterion/criterion.h>
#include <string.h>

static struct race_row row = {.lowest_balance = RACE_BALANCE};

Test(race, one_withdrawal_counts_as_an_overdraft)
{
    race_count(&row, 20, 1);
    cr_assert_eq(row.overdrawn, 0);
    cr_assert_eq(row.miscounted, 0);
    cr_assert_eq(row.lowest_balance, 20);
}

Test(race, overdraft_that_the_balance_hides_is_not_counted)
{
    race_count(&row, 20, 2); /* both wrote 20: what was paid last is lost */
    cr_assert_eq(row.overdrawn, 1);
    cr_assert_eq(row.miscounted, 1);
    cr_assert_eq(row.lowest_balance, -60);
    race_count(&row, -60, 2);
    cr_assert_eq(row.overdrawn, 2);
    cr_assert_eq(row.miscounted, 1);
    race_count(&row, 20, 1);
    cr_assert_eq(row.lowest_balance, -60, "the worst round");
}

Test(race, money_that_vanished_is_not_counted)
{
    race_count(&row, 20, 0);
    cr_assert_eq(row.overdrawn, 0);
    cr_assert_eq(row.miscounted, 1);
    cr_assert_eq(row.lowest_balance, 100);
}

static struct race_report report = {.rows = {[RACE_UNPROTECTED] = {.rounds = UINT64_MAX, .overdrawn = 7},
                                             [RACE_PROCESSES] = {.rounds = 300, .stale = 299}}};

Test(race, sentence_has_the_wrong_figures)
{
    race_judge(&report, NULL, 2);
    cr_assert(strstr(report.sentence, "in 7 of 18446744073709551615 rounds"), "%s", report.sentence);
    cr_assert(strstr(report.sentence, "299 of 899 came too late"), "%s", report.sentence);
    cr_assert_eq(report.sentence[strlen(report.sentence) - 1], '.', "it is cut: %s", report.sentence);
}

Test(race, no_overdraft_is_taken_for_safety)
{
    report.rows[RACE_UNPROTECTED].overdrawn = 0;
    race_judge(&report, NULL, 2);
    cr_assert(strstr(report.sentence, "proves nothing: more --rounds"), "%s", report.sentence);
    race_judge(&report, NULL, 1);
    cr_assert(strstr(report.sentence, "on the one core"), "%s", report.sentence);
    cr_assert_eq(report.sentence[strlen(report.sentence) - 1], '.', "it is cut: %s", report.sentence);
}

Test(race, processes_that_were_left_out_are_praised)
{
    report.rows[RACE_PROCESSES] = (struct race_row){.rounds = 0};
    race_judge(&report, "there are 3 threads", 2);
    cr_assert(strstr(report.sentence, " The processes were left out: there are 3 threads."), "%s",
              report.sentence);
    cr_assert_null(strstr(report.sentence, "owner"), "%s", report.sentence);
}
