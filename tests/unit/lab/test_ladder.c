/* SPDX-License-Identifier: MIT
 *
 * What is made of the ladder's figures: the scale, what is too noisy, the sentence.
 */
#include "lab/ladder.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static struct ladder_report report;

/* Each rung ten times the one below it. */
static void setup(void)
{
    double ns = 0.5;

    report = (struct ladder_report){.cycle_ns = ns};
    for (int i = 0; i < LADDER_RUNGS; i++, ns *= 10)
        report.figures[i] =
            (struct ladder_figure){.rung = (enum ladder_rung)i, .measured = true, .value_ns = ns};
}

TestSuite(ladder, .init = setup);

Test(ladder, scale_is_not_that_of_a_cycle)
{
    ladder_judge(&report);
    cr_assert_eq(report.figures[LADDER_REGISTER].scaled_s, 1);
    cr_assert_str_eq(report.figures[LADDER_REGISTER].scaled, "1 s");
    cr_assert_str_eq(report.figures[LADDER_L2].scaled, "1.7 minutes");
    cr_assert(strstr(report.sentence, "0.5 ns (2.00 GHz"), "%s", report.sentence);
    cr_assert_null(strstr(report.sentence, "noisy"), "%s", report.sentence);
}

Test(ladder, cache_that_is_faster_than_the_one_below_is_believed)
{
    report.figures[LADDER_L3].value_ns = report.figures[LADDER_L2].value_ns / 2;
    ladder_judge(&report);
    cr_assert(report.figures[LADDER_L2].noisy && report.figures[LADDER_L3].noisy);
    cr_assert_not(report.figures[LADDER_L1].noisy || report.figures[LADDER_RAM].noisy);
    cr_assert(strstr(report.sentence, "Too noisy to tell: L2 cache; L3 cache. "), "%s", report.sentence);
}

/* Which of a switch, a pipe and a disk is faster is the machine's affair. */
Test(ladder, order_is_asked_of_what_has_none)
{
    report.figures[LADDER_FSYNC].value_ns = 1;
    report.figures[LADDER_RAM_PAGES].value_ns = report.figures[LADDER_RAM].value_ns / 2;
    ladder_judge(&report);
    for (int i = 0; i < LADDER_RUNGS; i++)
        cr_assert_not(report.figures[i].noisy, "%s", ladder_name((enum ladder_rung)i));
}

Test(ladder, rung_that_is_missing_is_compared)
{
    report.figures[LADDER_L3] = (struct ladder_figure){.rung = LADDER_L3};
    ladder_judge(&report);
    cr_assert_eq(report.figures[LADDER_L3].scaled[0], '\0');
    cr_assert_not(report.figures[LADDER_L2].noisy || report.figures[LADDER_RAM].noisy);
}

Test(ladder, sentence_that_names_every_rung_is_cut)
{
    for (int i = 0; i < LADDER_RUNGS; i++)
        report.figures[i].noisy = true;
    ladder_judge(&report);
    cr_assert(strstr(report.sentence, "has less to do."), "%s", report.sentence);
}
