/* SPDX-License-Identifier: MIT
 *
 * Lines on standard error. See log.h. Safe from any thread.
 */
#include "base/log.h"

#include "base/controls.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_BYTES = 2048 };

void log_error(const char *format, ...)
{
    static const char prefix[] = "muster: ";
    char line[LINE_BYTES];
    int used = sizeof prefix - 1, more;
    va_list arguments;

    memcpy(line, prefix, sizeof prefix);
    va_start(arguments, format);
    more = vsnprintf(line + used, sizeof line - (size_t)used - 1, format, arguments);
    va_end(arguments);
    if (more < 0)
        return;
    used += more;
    if (used > LINE_BYTES - 2)
        used = LINE_BYTES - 2;
    used = (int)controls_hide(line, (size_t)used);
    line[used++] = '\n';
    if (write(STDERR_FILENO, line, (size_t)used) < 0)
        return; /* there is nowhere left to say so */
}
