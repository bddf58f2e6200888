/* SPDX-License-Identifier: MIT
 *
 * Numbers and sentences. See words.h.
 */
#include "lab/words.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

void words_say(struct words *words, const char *format, ...)
{
    size_t room = words->size - words->used;
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(words->text + words->used, room, format, arguments);
    va_end(arguments);
    if (size > 0)
        words->used += (size_t)size < room ? (size_t)size : room - 1;
}

void words_jobs(struct words *words, uint64_t jobs)
{
    char digits[WORDS_BYTES], grouped[2 * WORDS_BYTES];
    size_t used = 0, left = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, jobs);

    for (const char *digit = digits; *digit; digit++) {
        grouped[used++] = *digit;
        if (--left > 0 && left % 3 == 0)
            grouped[used++] = ',';
    }
    grouped[used] = '\0';
    words_say(words, "%s job%s", grouped, jobs == 1 ? "" : "s");
}

void words_time(double seconds, char text[WORDS_BYTES])
{
    static const struct {
        double unit;
        const char *name;
    } units[] = {{1, "s"}, {1e-3, "ms"}, {1e-6, "us"}, {1e-9, "ns"}};
    size_t i = 0;
    double amount;

    while (i + 1 < sizeof units / sizeof *units && seconds < 0.9995 * units[i].unit)
        i++;
    amount = seconds / units[i].unit;
    snprintf(text, WORDS_BYTES, "%.*f %s", amount < 9.95 ? 1 : 0, amount, units[i].name);
}
