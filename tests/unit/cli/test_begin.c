/* SPDX-License-Identifier: MIT
 *
 * When a batch begins: what `at` and `sbatch` users write, in a zone with daylight saving.
 */
#include "cli/begin.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* 2026-11-22 15:30:20 in Berlin. */
static const int64_t now_s = 1795357820;

static struct muster_error error;

static void in_berlin(void)
{
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
}

TestSuite(begin, .init = in_berlin);

static uint64_t read_at(const char *text, int64_t at_s)
{
    uint64_t begin_ms = 77;

    cr_assert_eq(begin_read(text, at_s * 1000, &begin_ms, &error), 0, "%s: %s", text, error.text);
    return begin_ms;
}

static void expect(const char *text, int64_t seconds_from_now)
{
    cr_assert_eq(read_at(text, now_s), (uint64_t)(now_s + seconds_from_now) * 1000, "%s: %llu", text,
                 (unsigned long long)read_at(text, now_s));
}

Test(begin, durations_count_from_now)
{
    expect("+90", 90);
    expect("+90s", 90);
    expect("now+10m", 600);
    expect("now + 10 minutes", 600);
    expect("now+1hour", 3600);
    expect("now+2days", 2 * 86400);
    expect("+1h30m", 5400);
    expect("+1w2d", 9 * 86400);
}

Test(begin, a_time_of_day_that_is_over_is_tomorrows)
{
    expect("15:31", 40);
    expect("15:30", 86400 - 20);
    expect("15:30:21", 1);
    expect("9:05", 17 * 3600 + 34 * 60 + 40);
    expect("midnight", 8 * 3600 + 29 * 60 + 40);
    expect("noon", 20 * 3600 + 29 * 60 + 40);
}

Test(begin, a_day_with_a_change_of_clocks_is_no_86400_seconds)
{
    /* 2026-10-24 12:00 there; the clock goes back the night after. */
    cr_assert_eq(read_at("11:59", 1792836000), (UINT64_C(1792836000) + 25 * 3600 - 60) * 1000);
}

Test(begin, dates_are_local_unless_they_have_a_zone)
{
    expect("2026-11-23T15:30:20", 86400);
    expect("2026-11-23 15:30:20", 86400);
    expect("2026-11-23", 8 * 3600 + 29 * 60 + 40);
    expect("2026-11-23T14:30:20Z", 86400);
    expect("2026-11-23T16:30:20+02:00", 86400);
    expect("2026-11-23T09:00:20-0530", 86400);
}

Test(begin, what_is_over_begins_at_once)
{
    cr_assert_eq(read_at("now", now_s), 0);
    cr_assert_eq(read_at("now+0", now_s), 0);
    cr_assert_eq(read_at("1999-12-31T23:59", now_s), 0);
    cr_assert_eq(read_at("2026-11-22T15:30:20", now_s), 0);
}

Test(begin, what_is_no_time_is_refused)
{
    static const char *const bad[] = {
        "",
        "later",
        "+",
        "now+",
        "now+x",
        "+5fortnights",
        "+-5",
        "-5",
        "5",
        "24:00",
        "12:60",
        "12:00:60",
        "12:",
        "12:00x",
        "2026-13-01",
        "2026-02-29",
        "2026-11-31",
        "2026-00-10",
        "1969-12-31",
        "26-11-23",
        "2026-11-23T",
        "2026-11-23x",
        "2026-11-23T08:00+15:00",
        "2026-11-23T08:00 Z",
        "nowish",
        "now10m",
        "+999999999999",
        "+999999999w",
        "2026-11-23T08:00+",
        "15:30 ",
        " 15:30",
    };
    uint64_t begin_ms = 77;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(begin_read(bad[i], now_s * 1000, &begin_ms, &error), MUSTER_EINVALID, "'%s'", bad[i]);
    cr_assert_eq(begin_ms, 77, "written on success only");
    cr_assert(strstr(error.text, "such as now+10m"), "%s", error.text);
}
