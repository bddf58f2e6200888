/* SPDX-License-Identifier: MIT
 *
 * Numbers of bytes as people read them. See size.h.
 */
#include "base/size.h"

#include <stdio.h>

const char *size_text(uint64_t bytes, char ret_text[SIZE_TEXT_BYTES])
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1024) {
        value /= 1024;
        unit++;
    }
    snprintf(ret_text, SIZE_TEXT_BYTES, "%.4g %s", value, units[unit]);
    return ret_text;
}
