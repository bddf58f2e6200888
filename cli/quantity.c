/* SPDX-License-Identifier: MIT
 *
 * Numbers with units. Signs, blanks and hexadecimal forms that strtoull and strtod would
 * let pass are refused before they are asked.
 */
#include "cli/quantity.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Digits at the start of `text`; false when there are none or too many. */
static bool leading_integer(const char *text, uint64_t *ret_number, const char **ret_rest)
{
    uint64_t number;
    char *end;

    if (!isdigit((unsigned char)text[0]))
        return false;
    errno = 0;
    number = strtoull(text, &end, 10);
    if (errno)
        return false;
    *ret_number = number;
    *ret_rest = end;
    return true;
}

int quantity_integer(const char *text, uint64_t least, uint64_t most, uint64_t *ret_number,
                     struct muster_error *ret_error)
{
    const char *rest;
    uint64_t number;

    if (!leading_integer(text, &number, &rest) || *rest || number < least || number > most)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "a whole number from %" PRIu64 " to %" PRIu64 " is expected", least, most);
    *ret_number = number;
    return 0;
}

int quantity_seconds(const char *text, double least, double most, double *ret_seconds,
                     struct muster_error *ret_error)
{
    char *end;
    double number = strtod(text, &end);

    if (text[strspn(text, "0123456789.eE+-")] || end == text || *end || !isfinite(number) || number < least ||
        number > most)
        return muster_error_set(ret_error, MUSTER_EINVALID, "seconds from %g to %.10g are expected", least,
                                most);
    *ret_seconds = number;
    return 0;
}

int quantity_duration(const char *text, double most, double *ret_seconds, struct muster_error *ret_error)
{
    static const struct {
        char letter;
        double seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    double total = 0, number;
    const char *rest = text;
    char piece[32];

    while (*rest) {
        size_t size = strspn(rest, "0123456789.");
        double factor = rest[size] == '\0' ? 1 : 0;

        for (size_t i = 0; i < sizeof units / sizeof *units; i++)
            factor = rest[size] == units[i].letter ? units[i].seconds : factor;
        if (factor == 0 || size == 0 || size >= sizeof piece)
            return muster_error_set(ret_error, MUSTER_EINVALID, "a duration is expected: 2, 0.5, 1m30s, 2h");
        snprintf(piece, sizeof piece, "%.*s", (int)size, rest);
        if (quantity_seconds(piece, 0, most, &number, ret_error))
            return MUSTER_EINVALID;
        total += number * factor;
        rest += size + (rest[size] != '\0');
    }
    if (total <= 0 || total > most)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "a duration above 0 is expected: 2, 0.5, 1m30s, 2h");
    *ret_seconds = total;
    return 0;
}

int quantity_size(const char *text, uint64_t *ret_bytes, struct muster_error *ret_error)
{
    static const char units[] = "kMGT";
    const char *rest, *unit;
    unsigned shift = 0;
    uint64_t number;

    if (!leading_integer(text, &number, &rest))
        goto refuse;
    if (*rest) {
        unit = strchr(units, *rest == 'K' ? 'k' : *rest);
        if (!unit || rest[1])
            goto refuse;
        shift = 10 * (unsigned)(unit - units + 1);
    }
    if (number == 0 || number > UINT64_MAX >> shift)
        goto refuse;
    *ret_bytes = number << shift;
    return 0;
refuse:
    return muster_error_set(ret_error, MUSTER_EINVALID,
                            "a size in bytes is expected, such as 500000, 64k, 512M or 2G");
}

int quantity_workers(const char *text, unsigned cores, unsigned most, unsigned *ret_workers,
                     struct muster_error *ret_error)
{
    const char *rest;
    uint64_t number;

    if (!leading_integer(text, &number, &rest) || number == 0)
        goto refuse;
    if (strcmp(rest, "%") == 0 && number <= UINT32_MAX) {
        number = number * cores / 100;
        number = number > 0 ? number : 1;
    } else if (*rest) {
        goto refuse;
    }
    if (number > most)
        goto refuse;
    *ret_workers = (unsigned)number;
    return 0;
refuse:
    return muster_error_set(
        ret_error, MUSTER_EINVALID,
        "a number of workers from 1 to %u is expected, or a share of the cores such as 50%%", most);
}

int quantity_halt(const char *text, uint64_t *ret_failures, bool *ret_now, struct muster_error *ret_error)
{
    bool now = strncmp(text, "now,fail=", 9) == 0;
    const char *rest;
    uint64_t number;

    if (strcmp(text, "never") == 0) {
        *ret_failures = 0;
        *ret_now = false;
        return 0;
    }
    if (!now && strncmp(text, "soon,fail=", 10) != 0)
        goto refuse;
    if (!leading_integer(strchr(text, '=') + 1, &number, &rest) || number == 0)
        goto refuse;
    if (strcmp(rest, "%") == 0)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "a percentage is not supported: give a number of failures");
    if (*rest)
        goto refuse;
    *ret_failures = number;
    *ret_now = now;
    return 0;
refuse:
    return muster_error_set(ret_error, MUSTER_EINVALID,
                            "never, soon,fail=N or now,fail=N is expected, N from 1");
}
