/* SPDX-License-Identifier: MIT
 *
 * Control characters are hidden, those of two bytes too, and nothing else is.
 */
#include "base/controls.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

static void check_hidden(const char *text, const char *shown)
{
    char copy[64];

    snprintf(copy, sizeof copy, "%s", text);
    controls_hide_string(copy);
    cr_assert_str_eq(copy, shown);
    cr_assert_eq(controls_in(text, strlen(text)), strcmp(text, shown) != 0);
}

Test(controls, each_becomes_a_question_mark)
{
    check_hidden("", "");
    check_hidden("a\nb\tc\x1b[1m\x7f", "a?b?c?[1m?");
    check_hidden("\x01\x02", "??");
}

Test(controls, introducer_of_two_bytes_is_one)
{
    check_hidden("\xc2\x9b"
                 "2Jx\xc2\x80\xc2\x9f",
                 "?2Jx??");
    check_hidden("\xe0\xc2\x9b"
                 "2J",
                 "\xe0?2J"); /* behind the beginning of another character, where a terminal starts afresh */
}

Test(controls, other_characters_stay)
{
    check_hidden("\xc2\xa0\xc3\xa9\xe2\x82\xac\xf0\x9f\x9a\x80",
                 "\xc2\xa0\xc3\xa9\xe2\x82\xac\xf0\x9f\x9a\x80");
    check_hidden("\xc3\x9b\xc4\x80", "\xc3\x9b\xc4\x80"); /* whose second bytes are those of controls */
    check_hidden("cut \xc2", "cut \xc2");
    check_hidden("\x9b", "\x9b"); /* no character at all */
}

Test(controls, nul_is_one_where_the_size_says_so)
{
    char bytes[] = {'a', '\0', '\xc2'};

    cr_assert(controls_in(bytes, 2));
    cr_assert_eq(controls_hide(bytes, 3), 3);
    cr_assert_eq(memcmp(bytes, "a?\xc2", 3), 0);
}
