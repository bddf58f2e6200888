/* SPDX-License-Identifier: MIT
 *
 * Numbers with units: their ends, and all that strtoull and strtod would let pass.
 */
#include "cli/quantity.h"

#include <criterion/criterion.h>
#include <string.h>

static struct muster_error error;

Test(quantity, integers_outside_of_their_limits_are_refused)
{
    static const char *const bad[] = {
        "", "0", "11", "-1", "+5", " 5", "5 ", "5x", "0x5", "1e1", "99999999999999999999"};
    uint64_t number = 77;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(quantity_integer(bad[i], 1, 10, &number, &error), MUSTER_EINVALID, "%s", bad[i]);
    cr_assert_eq(number, 77, "written on success only");
    cr_assert(strstr(error.text, "from 1 to 10"), "%s", error.text);
    cr_assert_eq(quantity_integer("1", 1, 10, &number, &error), 0);
    cr_assert_eq(number, 1);
    cr_assert_eq(quantity_integer("10", 1, 10, &number, &error), 0);
    cr_assert_eq(quantity_integer("18446744073709551615", 0, UINT64_MAX, &number, &error), 0);
    cr_assert_eq(number, UINT64_MAX);
}

Test(quantity, seconds_that_are_no_plain_number_are_refused)
{
    static const char *const bad[] = {"",   "-1", "0", "inf", "nan", "0x1p3", "1s",
                                      "1 ", " 1", ".", "e",   "1e9", "1-"};
    double seconds = 77;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(quantity_seconds(bad[i], 0.001, 1000, &seconds, &error), MUSTER_EINVALID, "%s", bad[i]);
    cr_assert_eq(seconds, 77);
    cr_assert_eq(quantity_seconds("0.25", 0.001, 1000, &seconds, &error), 0);
    cr_assert_eq(seconds, 0.25);
    cr_assert_eq(quantity_seconds("1e-3", 0.001, 1000, &seconds, &error), 0);
    cr_assert_eq(quantity_seconds("1000", 0.001, 1000, &seconds, &error), 0);
}

Test(quantity, sizes_that_overflow_or_have_other_units_are_refused)
{
    static const char *const bad[] = {"",    "0",  "0k",   "k",         "1x", "1kk",
                                      "1kB", "-1", "1.5G", "16777216T", "1 k"};
    uint64_t bytes = 77;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(quantity_size(bad[i], &bytes, &error), MUSTER_EINVALID, "%s", bad[i]);
    cr_assert_eq(bytes, 77);
    cr_assert_eq(quantity_size("500", &bytes, &error), 0);
    cr_assert_eq(bytes, 500);
    cr_assert_eq(quantity_size("1k", &bytes, &error), 0);
    cr_assert_eq(bytes, 1024);
    cr_assert_eq(quantity_size("2K", &bytes, &error), 0);
    cr_assert_eq(bytes, 2048);
    cr_assert_eq(quantity_size("3G", &bytes, &error), 0);
    cr_assert_eq(bytes, UINT64_C(3) << 30);
    cr_assert_eq(quantity_size("16777215T", &bytes, &error), 0);
    cr_assert_eq(bytes, UINT64_C(16777215) << 40);
}

Test(quantity, a_share_of_the_cores_is_at_least_one_worker)
{
    static const char *const bad[] = {"", "0", "0%", "-1", "%", "5x", "50%%", "65", "20000%", "99999999999%"};
    unsigned workers = 77;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(quantity_workers(bad[i], 8, 64, &workers, &error), MUSTER_EINVALID, "%s", bad[i]);
    cr_assert_eq(workers, 77);
    cr_assert_eq(quantity_workers("64", 8, 64, &workers, &error), 0);
    cr_assert_eq(workers, 64);
    cr_assert_eq(quantity_workers("50%", 8, 64, &workers, &error), 0);
    cr_assert_eq(workers, 4);
    cr_assert_eq(quantity_workers("1%", 8, 64, &workers, &error), 0);
    cr_assert_eq(workers, 1);
    cr_assert_eq(quantity_workers("200%", 8, 64, &workers, &error), 0);
    cr_assert_eq(workers, 16);
}

Test(quantity, halts_without_a_number_of_failures_are_refused)
{
    static const char *const bad[] = {"",
                                      "soon",
                                      "now",
                                      "soon,fail=",
                                      "soon,fail=0",
                                      "now,fail=x",
                                      "soon,done=1",
                                      "soon,fail=1,",
                                      "2",
                                      "never,fail=1",
                                      "soon,fail=-1"};
    uint64_t failures = 77;
    bool now = true;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(quantity_halt(bad[i], &failures, &now, &error), MUSTER_EINVALID, "%s", bad[i]);
    cr_assert_eq(failures, 77);
    cr_assert_eq(quantity_halt("soon,fail=3%", &failures, &now, &error), MUSTER_EINVALID);
    cr_assert(strstr(error.text, "percentage"), "%s", error.text);
    cr_assert_eq(quantity_halt("soon,fail=3", &failures, &now, &error), 0);
    cr_assert_eq(failures, 3);
    cr_assert_not(now);
    cr_assert_eq(quantity_halt("now,fail=1", &failures, &now, &error), 0);
    cr_assert_eq(failures, 1);
    cr_assert(now);
    cr_assert_eq(quantity_halt("never", &failures, &now, &error), 0);
    cr_assert_eq(failures, 0);
    cr_assert_not(now);
}
