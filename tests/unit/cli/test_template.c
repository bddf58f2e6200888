/* SPDX-License-Identifier: MIT
 *
 * The command template: expansion, what it refuses, sizes, and what runs without a shell.
 * tests/integration/template.py compares far more with GNU parallel itself.
 */
#include "cli/template.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct template t;
static struct muster_error error;
static struct command command;

#define WORD(text)                                \
    {                                             \
        .bytes = (text), .size = sizeof(text) - 1 \
    }

static void set_up(void)
{
    setenv("PARALLEL_SHELL", "/bin/bash", 1);
}

static void tear_down(void)
{
    template_fini(&t);
}

TestSuite(template, .init = set_up, .fini = tear_down);

static int begin(const char *text, const struct template_rules *rules)
{
    return template_init(&t, &text, text != NULL, rules, &error);
}

static void expect_line(const char *expected)
{
    cr_expect(command.line.size == strlen(expected) &&
                  memcmp(command.line.bytes, expected, command.line.size) == 0,
              "%s, not %s", command.line.bytes, expected);
}

static const struct word three[] = {WORD("a b.x"), WORD("c"), WORD("d/e.y")};
static const struct row rows[] = {{three, 1}, {three + 1, 1}, {three + 2, 1}};

Test(template, arguments_of_several_rows_are_joined_or_repeat_their_word)
{
    static const struct {
        const char *text, *joined, *repeated;
    } cases[] = {
        {"echo", "echo 'a b.x' c d/e.y", "echo 'a b.x' c d/e.y"},
        {"echo x{}y", "echo x'a b.x' c d/e.yy", "echo x'a b.x'y xcy xd/e.yy"},
        {"echo {1/.}-{-1//} {#}", "echo 'a b'-d 7", "echo 'a b'-d 7"},
        {"echo {#}{.}\t{}", "echo 7'a b' c d/e\t'a b.x' c d/e.y", "echo 7'a b' 7c 7d/e\t'a b.x' c d/e.y"},
        {"{} x", "a b.x c d/e.y x", "a b.x c d/e.y x"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (int context = 0; context < 2; context++) {
            cr_assert_eq(begin(cases[i].text, &(struct template_rules){.context = context}), 0);
            cr_assert_eq(template_expand(&t, rows, 3, 7, &command, &error), 0);
            expect_line(context ? cases[i].repeated : cases[i].joined);
            template_fini(&t);
        }
}

Test(template, row_without_arguments_inserts_nothing)
{
    const struct row none = {NULL, 0};

    cr_assert_eq(begin("echo x{}y {1} {.}", &(struct template_rules){.context = true}), 0);
    cr_assert_eq(template_expand(&t, &none, 1, 1, &command, &error), 0);
    expect_line("echo xy  ");
}

Test(template, longer_line_than_its_size_said)
{
    static const char *const texts[] = {"echo",          "echo x{}y", "echo {}{} {#}{.}",
                                        "x {1} {-1} {}", "{}",        "y {%}{2}"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        for (int bits = 0; bits < 4; bits++) {
            const struct template_rules rules = {.context = bits & 1, .quote = bits & 2};
            size_t size = 0;

            cr_assert_eq(begin(texts[i], &rules), 0);
            for (size_t count = 1; count <= 3; count++) {
                size += template_size(&t, &rows[count - 1], 12, count > 1);
                cr_assert_eq(template_expand(&t, rows, count, 12, &command, &error), 0);
                cr_expect_leq(command.line.size, size, "%s", texts[i]);
                if (!rules.quote && i < 3)
                    cr_expect_eq(command.line.size, size, "%s: %zu, not %zu", texts[i], size,
                                 command.line.size);
            }
            template_fini(&t);
        }
}

Test(template, template_that_cannot_be_is_taken)
{
    static const struct {
        const char *text;
        struct template_rules rules;
    } cases[] = {
        {"echo {= s/a/b/ =}", {.quote = false}},
        {"echo {= 1", {.quote = true}},
        {"echo", {.all = ""}},
        {"echo {0#}", {.plus = true}},
        {"echo {%.*}", {.plus = true}},
        {"echo {slot}", {.plus = true}},
        {"echo {", {.sequence = ""}},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (i == 1) {
            cr_expect_eq(begin(cases[i].text, &cases[i].rules), 0, "{= without =} is text");
            template_fini(&t);
        } else {
            cr_expect_eq(begin(cases[i].text, &cases[i].rules), MUSTER_EINVALID, "%s", cases[i].text);
        }
}

Test(template, argument_that_no_command_can_take_is_cut)
{
    static const struct word bad[] = {WORD("a\0b")};
    const struct row row = {bad, 1};

    cr_assert_eq(begin("echo", &(struct template_rules){.plus = false}), 0);
    cr_assert_eq(template_expand(&t, &row, 1, 1, &command, &error), MUSTER_EINVALID);
}

Test(template, argument_passes_for_the_workers_number)
{
    static const struct word whole[] = {WORD(TEMPLATE_SLOT_MARK)}, rest[] = {WORD("%\2")};

    cr_assert_eq(begin("x {%} {}", &(struct template_rules){.plus = false}), 0);
    cr_assert_eq(template_expand(&t, &(struct row){whole, 1}, 1, 1, &command, &error), MUSTER_EINVALID);
    cr_assert_eq(template_expand(&t, &(struct row){rest, 1}, 1, 1, &command, &error), 0);
    expect_line("x " TEMPLATE_SLOT_MARK " '%\2'");
    template_fini(&t);
    cr_assert_eq(begin("x '\1'{}", &(struct template_rules){.plus = false}), 0);
    cr_assert_eq(template_expand(&t, &(struct row){rest, 1}, 1, 1, &command, &error), 0);
    cr_expect(command.shell, "without quotes, the two would be the mark");
}

Test(template, newline_in_a_directory_gets_into_the_basename)
{
    static const struct word path[] = {WORD("d\ne/f\ng/h.i")};

    cr_assert_eq(begin("x {/} {/.}", &(struct template_rules){.plus = false}), 0);
    cr_assert_eq(template_expand(&t, &(struct row){path, 1}, 1, 1, &command, &error), 0);
    expect_line("x h.i h");
}

Test(template, column_named_like_another_form_is_not_found)
{
    static const struct word names[] = {WORD("2"), WORD("a b"), WORD(".")};

    cr_assert_eq(begin("x {2} {a b//} {.} {a b}", &(struct template_rules){.names = names, .name_count = 3}),
                 0);
    cr_assert_eq(template_expand(&t, &(struct row){three, 3}, 1, 1, &command, &error), 0);
    expect_line("x 'a b.x' . d/e.y c");
}

Test(template, plain_command_with_slot_runs_in_a_shell)
{
    cr_assert_eq(begin("x 'p q' --n={%} {}", &(struct template_rules){.plus = false}), 0);
    cr_assert_eq(template_expand(&t, rows, 1, 1, &command, &error), 0);
    cr_assert_not(command.shell);
    cr_assert_eq(command.argc, 4);
    cr_expect_str_eq(command.argv[1].bytes, "p q");
    cr_expect_str_eq(command.argv[2].bytes, "--n=" TEMPLATE_SLOT_MARK);
    cr_expect_str_eq(command.argv[3].bytes, "a b.x");
}

Test(template, exported_function_is_taken_for_a_program)
{
    setenv("BASH_FUNC_x%%", "() {  :; }", 1);
    cr_assert_eq(begin("x", &(struct template_rules){.plus = false}), 0);
    cr_assert_eq(template_expand(&t, rows, 1, 1, &command, &error), 0);
    cr_expect(command.shell);
}

/* What the shell makes of a program is looked up when it is another than before. */
Test(template, program_of_a_row_is_taken_for_that_of_the_next)
{
    static const struct word lines[] = {WORD("echo a"), WORD("cd /"),     WORD("echo b"), WORD("echo -n"),
                                        WORD("echo c"), WORD("/bin/x y"), WORD("cd /")};
    static const char *const programs[] = {"/bin/echo", NULL, "/bin/echo", NULL, "/bin/echo", "/bin/x", NULL};

    cr_assert_eq(begin("{}", &(struct template_rules){.plus = false}), 0);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        cr_assert_eq(template_expand(&t, &(struct row){lines + i, 1}, 1, 1, &command, &error), 0);
        cr_assert_eq(command.shell, programs[i] == NULL, "%s", lines[i].bytes);
        if (programs[i])
            cr_expect_str_eq(command.argv[0].bytes, programs[i]);
    }
}
