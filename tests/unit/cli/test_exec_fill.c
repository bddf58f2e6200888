/* SPDX-License-Identifier: MIT
 *
 * Rows of a command: as many as are allowed, as many as fit, dealt out at the end of the input, and waited
 * for. tests/integration/fill.py compares the commands with GNU parallel's.
 */
#include "cli/exec_fill.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct exec_fill fill;
static struct sources sources;
static struct template command;
static struct muster_error error;

static void tear_down(void)
{
    exec_fill_fini(&fill);
    template_fini(&command);
    sources_fini(&sources);
}

TestSuite(exec_fill, .fini = tear_down);

static const char *const digits[] = {"1", "2", "3", "4", "5", "6", "7", "8", "9"};

static void begin(const struct source_spec *source, const struct exec_fill_options *options, unsigned slots)
{
    const char *word = "echo";
    struct template_rules rules = {.context = exec_fill_repeats(options)};

    cr_assert_eq(sources_init(&sources, &(struct sources_spec){.sources = source, .source_count = 1}, &error),
                 0, "%s", error.text);
    cr_assert_eq(template_init(&command, &word, 1, &rules, &error), 0, "%s", error.text);
    exec_fill_init(&fill, options, slots, &sources, &command);
}

static void expect_next(const char *expected)
{
    char text[256] = "";
    struct row row;
    int code = exec_fill_next(&fill, &row, &error);

    if (code == MUSTER_EAGAIN || code == MUSTER_EEND) {
        cr_assert_str_eq(code == MUSTER_EAGAIN ? "(again)" : "(end)", expected);
        return;
    }
    cr_assert_eq(code, 0, "%s", error.text);
    for (size_t i = 0; i < row.count; i++) {
        strncat(text, row.args[i].bytes, row.args[i].size);
        strcat(text, i + 1 < row.count ? " " : "");
    }
    cr_assert_str_eq(text, expected);
}

/* Of the digits up to `count`, commands apart by ';'. */
static void expect_commands(size_t count, struct exec_fill_options options, unsigned slots,
                            const char *expected)
{
    struct source_spec source = {.words = digits, .count = count};
    char *copy = strdup(expected), *rest = copy, *text;

    begin(&source, &options, slots);
    while ((text = strsep(&rest, ";")) && *text)
        expect_next(text);
    expect_next("(end)");
    expect_next("(end)");
    free(copy);
    tear_down();
}

Test(exec_fill, last_command_may_have_fewer_rows)
{
    expect_commands(3, (struct exec_fill_options){.max_bytes = 0}, 4, "1;2;3;");
    expect_commands(5, (struct exec_fill_options){.max_args = 2}, 4, "1 2;3 4;5;");
    expect_commands(4, (struct exec_fill_options){.max_lines = 2}, 4, "1 2;3 4;");
    expect_commands(0, (struct exec_fill_options){.xargs = true}, 4, "");
}

/* "echo 1 2" and its NUL are 9 bytes. */
Test(exec_fill, row_without_room_is_the_first_of_the_next_command)
{
    expect_commands(5, (struct exec_fill_options){.xargs = true, .max_bytes = 9}, 4, "1 2;3 4;5;");
    expect_commands(5, (struct exec_fill_options){.xargs = true, .max_bytes = 10}, 4, "1 2;3 4;5;");
    expect_commands(5, (struct exec_fill_options){.xargs = true, .max_bytes = 11}, 4, "1 2 3;4 5;");
    expect_commands(5, (struct exec_fill_options){.max_args = 3, .max_bytes = 9}, 4, "1 2;3 4;5;");
    expect_commands(3, (struct exec_fill_options){.xargs = true, .max_bytes = 1}, 4, "1;2;3;");
}

Test(exec_fill, last_rows_are_dealt_out_evenly_to_the_slots)
{
    expect_commands(9, (struct exec_fill_options){.words = true}, 4, "1 2 3;4 5 6;7 8 9;");
    expect_commands(5, (struct exec_fill_options){.all = true}, 4, "1 2;3 4;5;");
    expect_commands(2, (struct exec_fill_options){.words = true}, 4, "1;2;");
    expect_commands(9, (struct exec_fill_options){.xargs = true}, 4, "1 2 3 4 5 6 7 8 9;");
    expect_commands(8, (struct exec_fill_options){.words = true, .max_bytes = 11}, 4, "1 2 3;4 5 6;7;8;");
    expect_commands(6, (struct exec_fill_options){.words = true, .max_args = 3}, 2, "1 2 3;4 5;6;");
}

Test(exec_fill, too_few_rows_are_an_error_where_so_many_are_wanted)
{
    struct source_spec source = {.words = digits, .count = 3};
    struct row row;

    begin(&source, &(struct exec_fill_options){.max_args = 3, .max_bytes = 9, .exact = true}, 4);
    cr_assert_eq(exec_fill_next(&fill, &row, &error), MUSTER_ELIMIT);
    cr_assert(strstr(error.text, "job 1.1"), "%s", error.text);
}

Test(exec_fill, too_long_a_line_names_its_job)
{
    struct source_spec source = {.words = digits, .count = 2};

    begin(&source, &(struct exec_fill_options){.max_bytes = 7}, 4);
    expect_next("1");
    expect_next("2");
    cr_assert_eq(exec_fill_check(&fill, (struct word){"echo 2", 6}, &error), 0);
    cr_assert_eq(exec_fill_check(&fill, (struct word){"echo 22", 7}, &error), MUSTER_ELIMIT);
    cr_assert(strstr(error.text, "job 1.2 (echo 22"), "%s", error.text);
}

/* Whatever -s says, and however large the environment is. */
Test(exec_fill, limit_is_never_above_that_of_the_kernel)
{
    struct source_spec source = {.words = digits, .count = 1};
    size_t longest = exec_fill_longest();
    char *value = malloc(3 << 20);

    begin(&source, &(struct exec_fill_options){.max_bytes = SIZE_MAX}, 4);
    cr_assert_eq(fill.max_bytes, longest + 1);
    cr_assert_leq(longest, 131071);
    memset(value, 'x', 3 << 20);
    value[(3 << 20) - 1] = '\0';
    setenv("MUSTER_TEST_LARGE", value, 1);
    cr_assert_leq(exec_fill_longest(), longest);
    cr_assert_gt(exec_fill_longest(), 0);
    free(value);
}

/* {#} takes no row: a million of them would be gathered for one command, or any number. */
Test(exec_fill, rows_that_take_no_room_come_to_an_end)
{
    struct source_spec source = {.words = digits, .count = 9};
    const char *word = "echo {#}";
    struct row row;

    begin(&source, &(struct exec_fill_options){.xargs = true, .max_bytes = 10}, 4);
    template_fini(&command);
    cr_assert_eq(template_init(&command, &word, 1, &(struct template_rules){.context = false}, &error), 0);
    cr_assert_eq(exec_fill_next(&fill, &row, &error), 0);
    cr_assert_lt(row.count, 9);
}

static void feed(int fd, const char *text)
{
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

Test(exec_fill, half_a_command_waits_for_the_rest_of_it)
{
    char path[32];
    int ends[2];

    cr_assert_eq(pipe(ends), 0);
    sprintf(path, "/dev/fd/%d", ends[0]);
    begin(&(struct source_spec){.path = path}, &(struct exec_fill_options){.max_args = 2}, 4);
    expect_next("(again)");
    feed(ends[1], "a\n");
    cr_assert_eq(poll(&(struct pollfd){.fd = sources.fd, .events = POLLIN}, 1, 0), 1);
    expect_next("(again)");
    cr_assert_eq(poll(&(struct pollfd){.fd = sources.fd, .events = POLLIN}, 1, 0), 0);
    feed(ends[1], "b\nc");
    expect_next("a b");
    expect_next("(again)");
    close(ends[1]);
    expect_next("c");
    expect_next("(end)");
    cr_assert_eq(exec_fill_total(&fill), 2);
    close(ends[0]);
}

Test(exec_fill, total_is_known_as_soon_as_rows_of_commands_are)
{
    struct source_spec source = {.words = digits, .count = 9};

    begin(&source, &(struct exec_fill_options){.max_args = 2}, 4);
    expect_next("1 2");
    cr_assert_eq(exec_fill_total(&fill), 5);
    tear_down();
    begin(&source, &(struct exec_fill_options){.words = true, .max_bytes = 15}, 3);
    expect_next("1 2 3 4 5");
    cr_assert_eq(exec_fill_total(&fill), 0); /* how many fit is not known */
    expect_next("6 7");
    cr_assert_eq(exec_fill_total(&fill), 3);
    expect_next("8 9");
    expect_next("(end)");
    cr_assert_eq(exec_fill_total(&fill), 3);
}
