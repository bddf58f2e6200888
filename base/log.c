/* SPDX-License-Identifier: MIT
 *
 * Lines on standard error. See log.h. Safe from any thread.
 */
#include "base/log.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LINE_BYTES = 2048 };

__attribute__((format(printf, 2, 0))) static void write_line(const char *prefix, const char *format,
                                                             va_list arguments)
{
    char line[LINE_BYTES];
    int used, more;

    used = snprintf(line, sizeof line, "%s", prefix);
    more = vsnprintf(line + used, sizeof line - (size_t)used - 1, format, arguments);
    if (more < 0)
        return;
    used += more;
    if (used > LINE_BYTES - 2)
        used = LINE_BYTES - 2;
    for (int i = 0; i < used; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    line[used++] = '\n';
    if (write(STDERR_FILENO, line, (size_t)used) < 0)
        return; /* there is nowhere left to say so */
}

void log_error(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    write_line("muster: ", format, arguments);
    va_end(arguments);
}

void log_debug(const char *format, ...)
{
    va_list arguments;
    char prefix[64];
    uint64_t now_ns;

    if (!getenv("MUSTER_DEBUG"))
        return;
    now_ns = clock_now_ns();
    snprintf(prefix, sizeof prefix, "muster[%d] %llu.%06llu ", (int)getpid(),
             (unsigned long long)(now_ns / CLOCK_NS_PER_S),
             (unsigned long long)(now_ns % CLOCK_NS_PER_S / CLOCK_NS_PER_US));
    va_start(arguments, format);
    write_line(prefix, format, arguments);
    va_end(arguments);
}
