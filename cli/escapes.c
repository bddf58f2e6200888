/* SPDX-License-Identifier: MIT
 *
 * Text with escapes.
 */
#include "cli/escapes.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool is_octal(char digit)
{
    return digit >= '0' && digit <= '7';
}

/* The byte that the escape behind a backslash stands for, and how many characters name it:
 * 0 when it is none. */
static size_t read_escape(const char *text, char *ret_byte)
{
    static const char names[] = "ntr", bytes[] = "\n\t\r";
    const char *name = *text != '\0' ? strchr(names, *text) : NULL;
    char digits[3];

    if (name) {
        *ret_byte = bytes[name - names];
        return 1;
    }
    if (text[0] == 'x' && isxdigit((unsigned char)text[1]) && isxdigit((unsigned char)text[2])) {
        memcpy(digits, (char[]){text[1], text[2], '\0'}, sizeof digits);
        *ret_byte = (char)strtol(digits, NULL, 16);
        return 3;
    }
    if (text[0] >= '0' && text[0] <= '3' && is_octal(text[1]) && is_octal(text[2])) {
        *ret_byte = (char)((text[0] - '0') * 64 + (text[1] - '0') * 8 + (text[2] - '0'));
        return 3;
    }
    if (!is_octal(text[0]))
        return 0;
    *ret_byte = (char)(text[0] - '0');
    return 1;
}

size_t escapes_read(const char *text, char *ret_bytes)
{
    size_t size = 0, length;
    char byte;

    while (*text != '\0') {
        length = *text == '\\' ? read_escape(text + 1, &byte) : 0;
        if (length == 0)
            byte = *text;
        ret_bytes[size++] = byte;
        text += length + 1;
    }
    ret_bytes[size] = '\0';
    return size;
}
