/* SPDX-License-Identifier: MIT
 *
 * Terms of a batch: what is no list of batches, no name, and what nobody could keep.
 */
#include "cli/terms.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct terms terms;
static struct muster_error error;

Test(terms, batches_are_waited_for_until_they_succeed_or_end)
{
    cr_assert_eq(terms_take_after(&terms, "12", &error), 0);
    cr_assert_eq(terms_take_after(&terms, "3:any,4:ok,5", &error), 0);
    cr_assert_eq(terms.after_count, 4);
    cr_assert(terms.after[0].batch == 12 && !terms.after[0].any);
    cr_assert(terms.after[1].batch == 3 && terms.after[1].any);
    cr_assert(terms.after[2].batch == 4 && !terms.after[2].any);
    cr_assert(terms.after[3].batch == 5 && !terms.after[3].any);
}

Test(terms, what_is_no_list_of_batches_is_refused)
{
    static const char *const bad[] = {"",
                                      "0",
                                      "x",
                                      "-1",
                                      "1,",
                                      ",1",
                                      "1,,2",
                                      "1:",
                                      "1 ",
                                      " 1",
                                      "1:",
                                      "1:any:ok",
                                      "1:all",
                                      "1:an",
                                      "9223372036854775808",
                                      "99999999999999999999999999"};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(terms_take_after(&terms, bad[i], &error), MUSTER_EINVALID, "'%s'", bad[i]);
}

Test(terms, more_batches_than_can_be_waited_for_are_refused)
{
    char text[16];

    for (int i = 1; i <= PROTO_AFTER_MAX; i++) {
        snprintf(text, sizeof text, "%d", i);
        cr_assert_eq(terms_take_after(&terms, text, &error), 0);
    }
    cr_assert_eq(terms_take_after(&terms, "1000", &error), MUSTER_EINVALID);
    cr_assert(strstr(error.text, "at most 64"), "%s", error.text);
}

Test(terms, names_that_would_spoil_a_table_are_refused)
{
    static const char *const bad[] = {"a\xc2\x9bxy", "", "a\nb", "a\tb", "\x7f", "\xff", "a\xc3"};
    char longest[PROTO_NAME_MAX + 2] = "";

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(terms_take_name(&terms, bad[i], &error), MUSTER_EINVALID, "%zu", i);
    memset(longest, 'x', PROTO_NAME_MAX + 1);
    cr_assert_eq(terms_take_name(&terms, longest, &error), MUSTER_EINVALID);
    cr_assert_null(terms.name);
    longest[PROTO_NAME_MAX] = '\0';
    cr_assert_eq(terms_take_name(&terms, longest, &error), 0);
    cr_assert_eq(terms_take_name(&terms, "Größe 2", &error), 0);
    cr_assert_str_eq(terms.name, "Größe 2");
}

Test(terms, waiting_without_somebody_who_keeps_batches_is_refused)
{
    cr_assert_eq(terms_check(&terms, false, &error), 0);
    cr_assert_eq(terms_take_begin(&terms, "+5", &error), 0);
    cr_assert_eq(terms_check(&terms, false, &error), MUSTER_EINVALID);
    cr_assert(strstr(error.text, "--begin needs a coordinator"), "%s", error.text);
    cr_assert_eq(terms_take_after(&terms, "5", &error), 0);
    cr_assert_eq(terms_check(&terms, false, &error), MUSTER_EINVALID);
    cr_assert(strstr(error.text, "--after needs a coordinator"), "%s", error.text);
    cr_assert_eq(terms_check(&terms, true, &error), 0);
}
