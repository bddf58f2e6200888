/* SPDX-License-Identifier: MIT
 *
 * Durations in words: units, digits, and the steps between units.
 */
#include "lab/scale.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static void expect(double seconds, const char *words)
{
    char text[SCALE_TEXT_BYTES];

    scale_write(seconds, text);
    cr_assert_str_eq(text, words, "%g: %s, not %s", seconds, text, words);
}

Test(scale, wrong_unit_or_digits)
{
    expect(0, "0 s");
    expect(0.26, "0.3 s");
    expect(1, "1 s");
    expect(4.84, "4.8 s");
    expect(13.7, "14 s");
    expect(100, "1.7 minutes");
    expect(3600, "1 hour");
    expect(86400 * 2.0, "2 days");
    expect(86400 * 45.0, "1.5 months");
    expect(86400 * 365.25, "1 year");
    expect(86400 * 365.25 * 11.4, "11 years");
    expect(86400 * 365.25 * 123, "120 years");
    expect(86400 * 365.25 * 123456, "120 thousand years");
}

Test(scale, sixty_of_a_unit_are_written)
{
    expect(59.4, "59 s");
    expect(59.6, "1 minute");
    expect(60 * 59.7, "1 hour");
    expect(3600 * 23.8, "1 day");
    expect(86400 * 29.8, "1 month");
    expect(9.96, "10 s");
}

Test(scale, what_is_no_duration_is_written_as_one)
{
    expect(NAN, "-");
    expect(INFINITY, "-");
    expect(1e300, "-");
}

Test(scale, longest_text_overflows)
{
    char text[SCALE_TEXT_BYTES];

    for (double seconds = 1e-3; seconds < 1e15; seconds *= 1.01) {
        scale_write(seconds, text);
        cr_assert_lt(strlen(text), sizeof text);
    }
}
