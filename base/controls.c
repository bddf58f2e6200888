/* SPDX-License-Identifier: MIT
 *
 * Control characters. See controls.h. No state, safe from any thread.
 */
#include "base/controls.h"

#include <string.h>

size_t controls_at(const char *bytes, size_t size)
{
    unsigned char first = size > 0 ? (unsigned char)bytes[0] : ' ';
    unsigned char second = size > 1 ? (unsigned char)bytes[1] : ' ';

    if (first < 0x20 || first == 0x7f)
        return 1;
    return first == 0xc2 && second >= 0x80 && second < 0xa0 ? 2 : 0;
}

bool controls_in(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (controls_at(bytes + i, size - i) > 0)
            return true;
    return false;
}

size_t controls_hide(char *bytes, size_t size)
{
    size_t used = 0, length;

    for (size_t i = 0; i<size; i += length> 0 ? length : 1) {
        length = controls_at(bytes + i, size - i);
        bytes[used++] = bytes[i];
        if (length > 0)
            bytes[used - 1] = '?';
    }
    return used;
}

void controls_hide_string(char *text)
{
    text[controls_hide(text, strlen(text))] = '\0';
}
