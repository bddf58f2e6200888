/* SPDX-License-Identifier: MIT
 *
 * The page: nothing in a report gets out of the place it has, and command lines read as they
 * were given.
 */
#include "cli/page.h"

#include "cli/json_write.h"

#include <criterion/criterion.h>
#include <string.h>

static msgpack_sbuffer page;

static void start(void)
{
    msgpack_sbuffer_init(&page);
}

static void end(void)
{
    msgpack_sbuffer_destroy(&page);
}

TestSuite(page, .init = start, .fini = end);

/* The JSON in the page, NUL-terminated in place. */
static char *report_in_page(void)
{
    static const char begin[] = "id=\"report\">";
    char *found;

    cr_assert_eq(json_write_raw("", 1, &page), 0);
    found = strstr(page.data, begin);
    cr_assert_not_null(found);
    found += strlen(begin);
    cr_assert_not_null(strchr(found, '<'));
    *strchr(found, '<') = '\0';
    return found;
}

static void check_stays_inside(enum page kind)
{
    static const char nasty[] = "</script><!--<script>&lt;\"'\\u003c";
    json_t *report = json_pack("{s:s}", nasty, nasty), *back;

    page.size = 0;
    cr_assert_eq(page_write(kind, report, &page), 0);
    back = json_loads(report_in_page(), 0, NULL);
    cr_assert_not_null(back);
    cr_expect(json_equal(report, back));
    json_decref(report);
    json_decref(back);
}

Test(page, text_that_ends_a_script_stays_inside_and_comes_back)
{
    check_stays_inside(PAGE_COMPARE);
    check_stays_inside(PAGE_BENCH);
}

static void check_filled_once(enum page kind)
{
    json_t *report = json_pack("{s:s}", "text", "@REPORT@");
    char *text;

    page.size = 0;
    cr_assert_eq(page_write(kind, report, &page), 0);
    text = report_in_page();
    cr_expect_str_eq(text, "{\"text\":\"@REPORT@\"}");
    text += strlen(text) + 1;
    cr_expect_null(strstr(text, "@REPORT@"));
    cr_expect_null(strstr(page.data, "@STYLE@"));
    cr_expect_null(strstr(text, "@SCRIPT@"));
    json_decref(report);
}

Test(page, every_place_is_filled_and_that_of_the_report_once)
{
    check_filled_once(PAGE_COMPARE);
    check_filled_once(PAGE_BENCH);
}

Test(page, command_reads_as_a_shell_would_read_it)
{
    char words[][8] = {"compare", "echo", "it's", "", "a b", "$HOME", "1..3", ":::", "*"};
    char *argv[sizeof words / sizeof *words], text[PAGE_COMMAND_BYTES];

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        argv[i] = words[i];
    page_command(sizeof argv / sizeof *argv, argv, text);
    cr_expect_str_eq(text, "muster compare echo 'it'\\''s' '' 'a b' '$HOME' 1..3 ::: '*'");
}

Test(page, command_line_of_any_length_is_cut)
{
    static char *argv[PAGE_COMMAND_BYTES];
    char first[] = "abcdefgh", quote[] = "'", plain[] = "x", text[PAGE_COMMAND_BYTES];

    for (unsigned shift = 0; shift < 8; shift++) {
        argv[0] = first + shift;
        for (size_t i = 1; i < PAGE_COMMAND_BYTES; i++)
            argv[i] = i % 2 ? quote : plain;
        page_command(PAGE_COMMAND_BYTES, argv, text);
        cr_expect_lt(strlen(text), PAGE_COMMAND_BYTES);
        cr_expect_str_eq(text + strlen(text) - 4, " ...");
    }
}

Test(page, bytes_that_are_no_text_are_replaced_in_facts)
{
    json_t *facts = page_facts("muster compare echo ::: \xff");

    cr_assert_not_null(facts);
    cr_expect_str_eq(json_string_value(json_object_get(facts, "command")),
                     "muster compare echo ::: \xef\xbf\xbd");
    cr_expect_gt(json_string_length(json_object_get(facts, "kernel")), 0);
    cr_expect_gt(json_string_length(json_object_get(facts, "date")), 0);
    json_decref(facts);
}
