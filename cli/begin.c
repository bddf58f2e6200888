/* SPDX-License-Identifier: MIT
 *
 * Points in time. See begin.h.
 */
#include "cli/begin.h"

#include "proto/limits.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DIGITS_MAX = 9 }; /* of a number: any of them is an int */

static void skip_blanks(const char **at)
{
    *at += strspn(*at, " ");
}

static bool skip_sign(const char **at, char sign)
{
    if (**at != sign)
        return false;
    ++*at;
    return true;
}

/* At most so many digits. */
static bool take_number(const char **at, size_t digits_max, int *ret_number)
{
    size_t digits = strspn(*at, "0123456789");

    if (digits == 0 || digits > digits_max)
        return false;
    *ret_number = (int)strtol(*at, NULL, 10);
    *at += digits;
    return true;
}

/* The word ahead is one of a unit's names; none is seconds. */
static bool take_unit(const char **at, int64_t *ret_seconds)
{
    static const struct {
        const char *name;
        int64_t seconds;
    } units[] = {
        {"", 1},
        {"s", 1},
        {"sec", 1},
        {"second", 1},
        {"seconds", 1},
        {"m", 60},
        {"min", 60},
        {"minute", 60},
        {"minutes", 60},
        {"h", 3600},
        {"hour", 3600},
        {"hours", 3600},
        {"d", 86400},
        {"day", 86400},
        {"days", 86400},
        {"w", 7 * 86400},
        {"week", 7 * 86400},
        {"weeks", 7 * 86400},
    };
    size_t size = strspn(*at, "abcdefghijklmnopqrstuvwxyz");

    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strlen(units[i].name) == size && strncmp(units[i].name, *at, size) == 0) {
            *ret_seconds = units[i].seconds;
            *at += size;
            return true;
        }
    }
    return false;
}

/* What stands behind "now+": "90", "10m", "1h30m", "2 hours". */
static bool take_duration(const char *at, int64_t *ret_seconds)
{
    int64_t total = 0, unit;
    int number;

    do {
        skip_blanks(&at);
        if (!take_number(&at, DIGITS_MAX, &number))
            return false;
        skip_blanks(&at);
        if (!take_unit(&at, &unit))
            return false;
        total += number * unit;
    } while (*at);
    *ret_seconds = total;
    return true;
}

/* "15:30" or "15:30:05", or a name. */
static bool take_clock(const char **at, struct tm *time)
{
    time->tm_sec = 0;
    if (strcmp(*at, "noon") == 0 || strcmp(*at, "midnight") == 0) {
        time->tm_hour = **at == 'n' ? 12 : 0;
        time->tm_min = 0;
        *at += strlen(*at);
        return true;
    }
    if (!take_number(at, 2, &time->tm_hour) || !skip_sign(at, ':') || !take_number(at, 2, &time->tm_min))
        return false;
    if (skip_sign(at, ':') && !take_number(at, 2, &time->tm_sec))
        return false;
    return time->tm_hour <= 23 && time->tm_min <= 59 && time->tm_sec <= 59;
}

/* "Z", "+01:00", "+0100" or "+01". */
static bool take_zone(const char **at, int *ret_seconds)
{
    bool east = **at == '+';
    int hours, minutes = 0;

    if (skip_sign(at, 'Z')) {
        *ret_seconds = 0;
        return true;
    }
    if (!east && **at != '-')
        return false;
    ++*at;
    if (!take_number(at, 4, &hours))
        return false;
    if (hours > 99) {
        minutes = hours % 100;
        hours /= 100;
    } else if (skip_sign(at, ':') && !take_number(at, 2, &minutes)) {
        return false;
    }
    *ret_seconds = (hours * 60 + minutes) * (east ? 60 : -60);
    return hours <= 14 && minutes <= 59;
}

static bool take_date(const char **at, struct tm *time)
{
    if (!take_number(at, 4, &time->tm_year) || !skip_sign(at, '-') || !take_number(at, 2, &time->tm_mon) ||
        !skip_sign(at, '-') || !take_number(at, 2, &time->tm_mday))
        return false;
    time->tm_year -= 1900;
    time->tm_mon -= 1;
    return time->tm_year >= 70;
}

/* A day, and a time of it if one is given. */
static bool read_date(const char *at, int64_t *ret_s)
{
    struct tm time = {.tm_isdst = -1}, given;
    int zone_s = 0;
    bool zoned = false;

    if (!take_date(&at, &time))
        return false;
    if (*at) {
        if ((!skip_sign(&at, 'T') && !skip_sign(&at, ' ')) || !take_clock(&at, &time))
            return false;
        zoned = *at != '\0';
        if (zoned && (!take_zone(&at, &zone_s) || *at))
            return false;
    }
    given = time;
    *ret_s = (zoned ? timegm(&time) : mktime(&time)) - zone_s;
    return given.tm_mon == time.tm_mon && given.tm_mday == time.tm_mday; /* else there is no such day */
}

/* The next time that the clock shows it. */
static bool read_clock(const char *at, int64_t now_s, int64_t *ret_s)
{
    time_t now = now_s;
    struct tm today, time = {.tm_isdst = -1};

    if (!take_clock(&at, &time) || *at)
        return false;
    localtime_r(&now, &today);
    for (int days = 0; days <= 1; days++) {
        struct tm wanted = time;

        wanted.tm_year = today.tm_year;
        wanted.tm_mon = today.tm_mon;
        wanted.tm_mday = today.tm_mday + days;
        *ret_s = mktime(&wanted);
        if (*ret_s > now_s)
            break;
    }
    return true;
}

int begin_read(const char *text, int64_t now_ms, uint64_t *ret_ms, struct muster_error *ret_error)
{
    const char *at = strncmp(text, "now", 3) == 0 ? text + 3 : text;
    bool now = at != text, good;
    int64_t seconds = 0, begin_ms;

    if (now)
        skip_blanks(&at);
    if (now && *at == '\0') {
        *ret_ms = 0;
        return 0;
    }
    if (skip_sign(&at, '+')) {
        good = take_duration(at, &seconds);
        begin_ms = now_ms + seconds * 1000;
    } else {
        good = !now && (read_date(at, &seconds) || read_clock(at, now_ms / 1000, &seconds));
        begin_ms = seconds * 1000;
    }
    if (!good || begin_ms > PROTO_BEGIN_MS_MAX)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "a time is expected, such as now+10m, +90s, 15:30 or 2026-11-23T08:00");
    *ret_ms = begin_ms <= now_ms ? 0 : (uint64_t)begin_ms;
    return 0;
}
