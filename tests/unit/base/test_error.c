/* SPDX-License-Identifier: MIT
 *
 * Error codes keep their wire numbers, and an error text is one bounded line whatever goes in.
 */
#include "base/error.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

Test(error, codes_are_the_negated_wire_numbers_of_the_protocol)
{
    cr_assert_eq(MUSTER_EINVALID, -1);
    cr_assert_eq(MUSTER_EVERSION, -5);
    cr_assert_eq(MUSTER_EFAILED, -11);
    cr_assert_eq(MUSTER_EQUARANTINED, -14);
    cr_assert_eq(MUSTER_EOUTPUT, -17);
}

Test(error, every_code_has_a_text_of_its_own)
{
    static const int codes[] = {
#define X(name, number, text) MUSTER_E##name,
        MUSTER_ERROR_MAP(X)
#undef X
    };
    size_t count = sizeof codes / sizeof *codes;

    for (size_t i = 0; i < count; i++) {
        cr_assert_str_neq(muster_error_name(codes[i]), "unknown error");
        for (size_t k = i + 1; k < count; k++)
            cr_assert_str_neq(muster_error_name(codes[i]), muster_error_name(codes[k]));
    }
}

Test(error, numbers_that_are_no_code_have_a_name_too)
{
    cr_assert_str_eq(muster_error_name(0), "unknown error");
    cr_assert_str_eq(muster_error_name(1), "unknown error");
    cr_assert_str_eq(muster_error_name(-1000), "unknown error");
}

Test(error, set_without_a_place_for_the_text_returns_the_code)
{
    cr_assert_eq(muster_error_set(NULL, MUSTER_ELIMIT, "%d", 1), MUSTER_ELIMIT);
    cr_assert_eq(muster_error_system(NULL, ENOENT, "%d", 1), MUSTER_ESYSTEM);
}

Test(error, control_characters_do_not_break_the_line)
{
    struct muster_error error;

    cr_assert_eq(muster_error_set(&error, MUSTER_EINVALID, "a\nb\tc\x1b[1m\x7f \xc3\xa9"), MUSTER_EINVALID);
    cr_assert_eq(error.code, MUSTER_EINVALID);
    cr_assert_str_eq(error.text, "a?b?c?[1m? \xc3\xa9");
}

Test(error, text_that_is_too_long_is_cut_at_the_buffer)
{
    struct muster_error error;
    char text[2 * MUSTER_ERROR_TEXT_BYTES];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    muster_error_set(&error, MUSTER_EINVALID, "%s", text);
    cr_assert_eq(strlen(error.text), MUSTER_ERROR_TEXT_BYTES - 1);
}

Test(error, system_error_says_what_the_kernel_said)
{
    struct muster_error error;

    cr_assert_eq(muster_error_system(&error, ENOENT, "cannot open %s", "a.so"), MUSTER_ESYSTEM);
    cr_assert_eq(error.code, MUSTER_ESYSTEM);
    cr_assert_str_eq(error.text, "cannot open a.so: No such file or directory");
}

Test(error, system_error_after_a_text_that_fills_the_buffer_stays_inside_it)
{
    struct {
        struct muster_error error;
        char behind[16];
    } guarded;
    char text[MUSTER_ERROR_TEXT_BYTES + 10];

    memset(guarded.behind, '#', sizeof guarded.behind);
    memset(text, 'y', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    muster_error_system(&guarded.error, ENOENT, "%s", text);
    cr_assert_eq(strlen(guarded.error.text), MUSTER_ERROR_TEXT_BYTES - 1);
    for (size_t i = 0; i < sizeof guarded.behind; i++)
        cr_assert_eq(guarded.behind[i], '#');
}
