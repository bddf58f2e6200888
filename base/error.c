/* SPDX-License-Identifier: MIT
 *
 * Error codes and one-line error texts. No state, safe from any thread.
 */
#include "base/error.h"

#include "base/controls.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *muster_error_name(int code)
{
    switch (code) {
#define X(name, number, text) \
    case -(number):           \
        return text;
        MUSTER_ERROR_MAP(X)
#undef X
    default:
        return "unknown error";
    }
}

int muster_error_set(struct muster_error *ret_error, int code, const char *format, ...)
{
    va_list arguments;

    if (!ret_error)
        return code;
    ret_error->code = code;
    va_start(arguments, format);
    vsnprintf(ret_error->text, sizeof ret_error->text, format, arguments);
    va_end(arguments);
    controls_hide_string(ret_error->text);
    return code;
}

int muster_error_system(struct muster_error *ret_error, int errno_value, const char *format, ...)
{
    va_list arguments;
    size_t used;
    char reason[128];

    if (!ret_error)
        return MUSTER_ESYSTEM;
    ret_error->code = MUSTER_ESYSTEM;
    va_start(arguments, format);
    vsnprintf(ret_error->text, sizeof ret_error->text, format, arguments);
    va_end(arguments);
    used = strlen(ret_error->text);
    snprintf(ret_error->text + used, sizeof ret_error->text - used, ": %s",
             strerror_r(errno_value, reason, sizeof reason));
    controls_hide_string(ret_error->text);
    return MUSTER_ESYSTEM;
}
