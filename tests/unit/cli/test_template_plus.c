/* SPDX-License-Identifier: MIT
 *
 * Replacement strings of --plus with operands: what they read, and what they make of arguments.
 */
#include "cli/template_plus.h"

#include <criterion/criterion.h>
#include <string.h>

static struct word word(const char *text)
{
    return (struct word){text, strlen(text)};
}

static void expect(const char *text, const char *argument, const char *expected)
{
    struct shell_line made = {.bytes = NULL};
    struct muster_error error;
    struct expansion e;
    struct word found;
    size_t size;

    cr_assert_eq(template_plus_read(word(text), &e, &size, &error), 0, "%s", text);
    cr_assert_eq(size, strlen(text), "%s: %zu", text, size);
    found = template_plus_expand(&e, word(argument), &made);
    cr_assert(found.size == strlen(expected) && memcmp(found.bytes, expected, found.size) == 0,
              "%s of %s: %.*s", text, argument, (int)found.size, found.bytes);
    shell_line_fini(&made);
}

Test(template_plus, expansions_are_those_of_a_shell)
{
    expect(":-x y}", "", "x y");
    expect(":-x}", "a", "a");
    expect(":2}", "abcd", "cd");
    expect(":9}", "abcd", "");
    expect(":1:2}", "abcd", "bc");
    expect(":1:99999999999999999999999}", "abcd", "bcd");
    expect(":99999999999999999999999}", "abcd", "");
    expect("#ab}", "abab", "ab");
    expect("##b}", "abab", "abab");
    expect("%ab}", "abab", "ab");
    expect("%%.x}", "a", "a");
    expect("/a/xy}", "abab", "xybab");
    expect("//a/xy}", "abab", "xybxyb");
    expect("//a/}", "aa", "");
    expect("^a}", "aba", "Aba");
    expect("^b}", "aba", "aba");
    expect("^^a}", "aba", "AbA");
    expect(",A}", "ABA", "aBA");
    expect(",,A}", "ABA", "aBa");
    expect("//b/x}", "", "");
}

Test(template_plus, what_has_no_operand_is_no_expansion)
{
    static const char *const texts[] = {"",       "}",  ":}",  ":-}", ":1:}", ":1",  ":x}", "#}",
                                        "##}",    "%}", "%",   "#a",  "/}",   "/a}", "//}", "/a/b",
                                        "/a}/b}", "^}", "^^}", ",}",  "x}",   ":-"};
    struct muster_error error;
    struct expansion e;
    size_t size;

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cr_assert_eq(template_plus_read(word(texts[i]), &e, &size, &error), MUSTER_ENOTFOUND, "%s", texts[i]);
}

Test(template_plus, regular_expressions_are_refused_not_taken_for_text)
{
    static const char *const texts[] = {"#a*}", "%.*}", "/[ab]/x}", "/a/$1}", "^^(a)}"};
    struct muster_error error;
    struct expansion e;
    size_t size;

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cr_assert_eq(template_plus_read(word(texts[i]), &e, &size, &error), MUSTER_EINVALID, "%s", texts[i]);
}
