/* SPDX-License-Identifier: MIT
 *
 * Escapes of delimiters and tags.
 */
#include "cli/escapes.h"

#include <criterion/criterion.h>
#include <string.h>

Test(escapes, bytes_are_those_that_printf_would_write)
{
    static const struct {
        const char *text, *bytes;
        size_t size;
    } cases[] = {
        {"", "", 0},
        {",", ",", 1},
        {"\\n\\t\\r", "\n\t\r", 3},
        {"\\0", "\0", 1},
        {"\\0001", "\0001", 2},
        {"\\054", ",", 1},
        {"\\377\\400", "\377\00400", 4},
        {"\\8", "\\8", 2},
        {"\\x2c\\xFf", ",\xff", 2},
        {"\\x2", "\\x2", 3},
        {"\\\\n", "\\\n", 2},
        {"\\q\\", "\\q\\", 3},
    };
    char bytes[32];
    size_t size;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size = escapes_read(cases[i].text, bytes);
        cr_assert_eq(size, cases[i].size, "%s: %zu", cases[i].text, size);
        cr_assert_eq(memcmp(bytes, cases[i].bytes, size + 1), 0, "%s", cases[i].text);
    }
}

Test(escapes, text_may_be_replaced_in_place)
{
    char text[] = "a\\tb\\x41";

    cr_assert_eq(escapes_read(text, text), 4);
    cr_assert_str_eq(text, "a\tbA");
}
