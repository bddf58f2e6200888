/* SPDX-License-Identifier: MIT
 *
 * Durations in words. See scale.h.
 */
#include "lab/scale.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>

static const double SECONDS_MAX = 1e18; /* twice the age of the universe */

/* Rounded to two digits. */
static double round_off(double value)
{
    double unit = 0.1;

    while (value / unit >= 99.5)
        unit *= 10;
    return round(value / unit) * unit;
}

void scale_write(double seconds, char text[SCALE_TEXT_BYTES])
{
    static const struct {
        double seconds, most; /* `most` of it are written in the next unit */
        const char *one, *many;
    } units[] = {
        {1, 60, "s", "s"},
        {60, 60, "minute", "minutes"},
        {3600, 24, "hour", "hours"},
        {86400, 30, "day", "days"},
        {86400 * 365.25 / 12, 12, "month", "months"},
        {86400 * 365.25, INFINITY, "year", "years"},
    };
    size_t i = 0;
    double value;

    if (!(seconds < SECONDS_MAX)) { /* nor what is no number */
        snprintf(text, SCALE_TEXT_BYTES, "-");
        return;
    }
    while (round_off(seconds / units[i].seconds) >= units[i].most)
        i++;
    value = round_off(seconds / units[i].seconds);
    if (value >= 10000)
        snprintf(text, SCALE_TEXT_BYTES, "%.0f thousand years", value / 1000);
    else
        snprintf(text, SCALE_TEXT_BYTES, "%g %s", value, value == 1 ? units[i].one : units[i].many);
}
