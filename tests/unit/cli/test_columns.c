/* SPDX-License-Identifier: MIT
 *
 * --colsep: columns as Perl's split makes them, and patterns that are refused.
 */
#include "cli/columns.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct muster_error error;

/* Columns with a `/` behind each. */
static void expect_columns(const char *pattern, const char *bytes, size_t size, const char *expected)
{
    struct columns columns;
    struct texts fields = {0};
    char text[256] = "";
    struct word field;

    cr_assert_eq(columns_init(&columns, pattern, &error), 0, "%s: %s", pattern, error.text);
    cr_assert_eq(columns_split(&columns, (struct word){.bytes = bytes, .size = size}, &fields), 0);
    for (size_t i = 0; i < fields.count; i++) {
        field = texts_get(&fields, i);
        strncat(text, field.bytes, field.size);
        strcat(text, "/");
    }
    cr_assert_str_eq(text, expected, "%s splits '%s' into %s", pattern, bytes, text);
    texts_fini(&fields);
    columns_fini(&columns);
}

static void expect_refused(const char *pattern, const char *words)
{
    struct columns columns;

    cr_assert_eq(columns_init(&columns, pattern, &error), MUSTER_EINVALID, "%s", pattern);
    cr_assert(strstr(error.text, words), "%s: %s", pattern, error.text);
}

/* As GNU parallel 20221122 splits them. */
Test(columns, patterns_mean_what_they_mean_in_perl)
{
    static const struct {
        const char *pattern, *value, *columns;
    } cases[] = {
        {",", "a,b,,", "a/b///"},
        {",", "", "/"},
        {"::", "a::b:::c", "a/b/:c/"},
        {"x", "xx", "///"},
        {"\\.", "a.b.c", "a/b/c/"},
        {"\\t", "a\tb", "a/b/"},
        {"\\x2c", "1,2", "1/2/"},
        {"\\054", "1,2", "1/2/"},
        {"\\|", "a|b", "a/b/"},
        {"|", "abc", "a/b/c//"},
        {"", "abc", "a/b/c//"},
        {"b*", "abc", "a/c//"},
        {"a?", "xay", "x/y//"},
        {"\\b", "ab cd", "ab/ /cd//"},
        {"$", "abc", "abc//"},
        {".", "a\nb", "/\n//"},
        {"\\d+", "a1b22c333", "a/b/c//"},
        {"\\D", "a1b22", "/1/22/"},
        {"\\h", "a b", "a/b/"},
        {"\\s*,\\s*", "a , b,c", "a/b/c/"},
        {"[0-9]{2}", "a12b3c456d", "a/b3c/6d/"},
        {"a{1", "xa{1y", "x/y/"},
        {"a{,2}", "xaay", "x/y//"},
        {"(\\d)|(x)", "a1bxc", "a/1//b//x/c/"},
        {"(?:\\d)", "a1b", "a/b/"},
        {"[]x]", "a]bxc", "a/b/c/"},
        {"[\\]x]", "a]bxc", "a/b/c/"},
        {"[^]x]", "a]bxc", "/]/x//"},
        {"[-+]", "a-b+c", "a/b/c/"},
        {"[a\\-c]", "xaybzcw-v", "x/ybz/w/v/"},
        {"[^a-c^]", "ax^b-c", "a/^b/c/"},
        {"[\\^]", "a^b", "a/b/"},
        {"[\\^-]", "a^b-c", "a/b/c/"},
        {"[[.]", "a[b.c", "a/b/c/"},
        {"[[:digit:]x]", "a1bxc", "a/b/c/"},
        {"[\\d\\s]", "a1b c", "a/b/c/"},
        {"[\\w]", "_-a", "/-//"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_columns(cases[i].pattern, cases[i].value, strlen(cases[i].value), cases[i].columns);
}

/* Perl takes the first alternative, POSIX the longest. */
Test(columns, longest_alternative_wins)
{
    expect_columns("a|ab", "xaby", 4, "x/y/");
}

Test(columns, nul_bytes_split_and_are_split)
{
    expect_columns("\\0", "a\0b", 3, "a/b/");
    expect_columns(",+", "\0,,b", 4, "/b/");
    expect_columns("[^a]", "a\0a", 3, "a/a/");
}

Test(columns, what_posix_does_not_have_is_refused)
{
    expect_refused("a*?", "lazy");
    expect_refused("a{2}+", "lazy");
    expect_refused("(?=a)", "(?:");
    expect_refused("(?i)a", "(?:");
    expect_refused("\\p{L}", "\\p");
    expect_refused("(a)\\1", "\\1");
    expect_refused("\\", "backslash");
}

Test(columns, broken_patterns_are_refused)
{
    expect_refused("(a", "--colsep: ");
    expect_refused("[a", "[");
    expect_refused("[", "[");
    expect_refused("[a\\", "[");
    expect_refused("[a-", "[");
    expect_refused("[b-a]", "[");
    expect_refused("[^", "[");
    expect_refused("a{2,1}", "--colsep: ");
    expect_refused("[\\0]", "NUL");
    expect_refused("\\0+", "NUL");
}

Test(columns, endless_patterns_are_refused)
{
    static char pattern[8192];

    memset(pattern, '(', sizeof pattern - 1);
    expect_refused(pattern, "too long");
    pattern[100] = '\0';
    expect_refused(pattern, "too many groups");
}

/* The set takes 90 times the pattern's bytes at most; this one is the worst. */
Test(columns, sets_of_nearly_all_bytes_fit)
{
    expect_columns("[\\x01-\\xff][\\x01-\\xff][\\x01-\\xff]", "abcd", 4, "/d/");
    expect_columns("[!-~][!-~][!-~][!-~]", "abcde", 5, "/e/");
}

Test(columns, values_are_not_read_beyond_their_end)
{
    char *value = malloc(3); /* the sanitizers know where it ends */

    memcpy(value, "a,b", 3);
    expect_columns(",+", value, 3, "a/b/");
    expect_columns("b+", value, 3, "a,//");
    free(value);
}
