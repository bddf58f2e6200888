/* SPDX-License-Identifier: MIT
 *
 * The table of exec's options: every spelling is known to the parser, and none stands for two options.
 */
#include "cli/exec_option.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* Calls `see` with each spelling, as it stands on a command line, and its option. */
static unsigned for_each_spelling(void (*see)(const char *spelling, const struct exec_option *option))
{
    unsigned count = 0;

    for (const struct exec_option *option = exec_option_table; option->names; option++) {
        char names[256], spelling[264], *rest, *name;

        cr_assert_lt(strlen(option->names), sizeof names);
        strcpy(names, option->names);
        for (name = strtok_r(names, " ", &rest); name; name = strtok_r(NULL, " ", &rest), count++) {
            snprintf(spelling, sizeof spelling, "%s%s", name[1] ? "--" : "-", name);
            see(spelling, option);
        }
    }
    return count;
}

static void is_known(const char *spelling, const struct exec_option *option)
{
    bool alone = option->kind == OPTION_FLAG || option->kind == OPTION_ALONE;
    char words[4][264] = {"exec", "", "1", "true"};
    char *argv[] = {words[0], words[1], alone ? words[3] : words[2], words[3], NULL};
    struct exec_options options;
    struct muster_error error = {.text = ""};

    strcpy(words[1], spelling);
    exec_options_parse(&options, 4, argv, &error);
    cr_expect(!strstr(error.text, "unknown"), "%s: %s", spelling, error.text);
    cr_expect(!strstr(error.text, "needs a value"), "%s: %s", spelling, error.text);
    exec_options_fini(&options);
}

Test(exec_option, spelling_of_the_table_is_unknown_to_the_parser)
{
    cr_assert_gt(for_each_spelling(is_known), 100);
}

static const char *seen_spelling;
static unsigned times_seen;

static void count_seen(const char *spelling, const struct exec_option *option)
{
    (void)option;
    times_seen += strcmp(spelling, seen_spelling) == 0;
}

static void is_once(const char *spelling, const struct exec_option *option)
{
    (void)option;
    seen_spelling = spelling;
    times_seen = 0;
    for_each_spelling(count_seen);
    cr_expect_eq(times_seen, 1, "%s is there %u times", spelling, times_seen);
}

Test(exec_option, spelling_stands_for_two_options)
{
    for_each_spelling(is_once);
}
