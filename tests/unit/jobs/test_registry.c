/* SPDX-License-Identifier: MIT
 *
 * Functions by name: what is found, what is suggested, and tables that are refused whole.
 */
#include "rig.h"

#include "jobs/builtin.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(registry, .init = rig_init, .fini = rig_fini);

static int give_nil(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call;
    (void)argument;
    (void)ret_result;
    return 0;
}

static void refuse_table(const muster_plugin *table, int code, const char *fragment)
{
    struct muster_error error = {0};
    size_t count = registry_count(rig.registry);

    cr_assert_eq(registry_add(rig.registry, table, "tested", &error), code, "%s", error.text);
    cr_assert_eq(error.code, code);
    cr_assert_not_null(strstr(error.text, fragment), "\"%s\" does not say: %s", error.text, fragment);
    cr_assert_eq(registry_count(rig.registry), count, "a refused table left something behind");
}

static void refuse_function(muster_function function, const char *fragment)
{
    const muster_function functions[] = {
        {.name = "good", .summary = "before the bad one", .run = give_nil},
        function,
    };
    const muster_plugin table = MUSTER_PLUGIN(functions);

    refuse_table(&table, MUSTER_EINVALID, fragment);
    cr_assert_null(registry_find(rig.registry, "good", 4));
}

static void check_suggestion(const char *name, const char *expected)
{
    const muster_function *function = NULL;
    struct muster_error error;

    cr_assert_eq(registry_require(rig.registry, name, &function, &error), MUSTER_ENOTFOUND);
    cr_assert_str_eq(error.text, expected);
    cr_assert_null(function);
}

Test(registry, functions_that_ship_are_all_there_in_order_and_documented)
{
    const muster_function *function, *before = NULL;
    const char *origin;
    size_t i;

    cr_assert_eq(registry_count(rig.registry), BUILTIN_COUNT);
    for (i = 0; i < BUILTIN_COUNT; i++) {
        function = registry_at(rig.registry, i, &origin);
        cr_assert_str_eq(origin, "muster");
        cr_assert(!before || strcmp(before->name, function->name) < 0);
        cr_assert(*function->summary && *function->argument && *function->result && *function->example,
                  "%s is not documented", function->name);
        cr_assert_null(strchr(function->summary, '\n'));
        cr_assert_eq(registry_find(rig.registry, function->name, strlen(function->name)), function);
        before = function;
    }
    cr_assert_null(registry_at(rig.registry, i, NULL));
    cr_assert_null(registry_at(rig.registry, SIZE_MAX, NULL));
}

Test(registry, name_that_only_begins_alike_is_not_found)
{
    cr_assert_not_null(registry_find(rig.registry, "fibonacci", 3)); /* only three bytes count */
    cr_assert_null(registry_find(rig.registry, "fibonacci", 9));
    cr_assert_null(registry_find(rig.registry, "fi", 2));
    cr_assert_null(registry_find(rig.registry, "", 0));
    cr_assert_null(registry_find(rig.registry, "FIB", 3));
}

Test(registry, name_with_a_nul_byte_is_not_taken_for_what_stands_before_it)
{
    cr_assert_null(registry_find(rig.registry, "fib\0", 4));
    cr_assert_null(registry_find(rig.registry, "fib\0fib\0fib\0fib", 15));
    cr_assert_null(registry_find(rig.registry, "\0", 1));
}

Test(registry, misspelt_name_gets_the_nearest_names)
{
    check_suggestion("primse",
                     "there is no function \"primse\"; did you mean primes? (muster functions lists them)");
    check_suggestion("prime",
                     "there is no function \"prime\"; did you mean is_prime or primes? (muster functions "
                     "lists them)");
    check_suggestion("frobnicate", "there is no function \"frobnicate\" (muster functions lists them)");
    check_suggestion("", "there is no function \"\" (muster functions lists them)");
}

Test(registry, suggestions_are_the_three_nearest)
{
    static const muster_function functions[] = {
        {.name = "weather", .summary = "-", .run = give_nil},
        {.name = "leather", .summary = "-", .run = give_nil},
        {.name = "feather", .summary = "-", .run = give_nil},
        {.name = "heathers", .summary = "-", .run = give_nil},
        {.name = "featherx", .summary = "-", .run = give_nil},
    };
    const muster_plugin table = MUSTER_PLUGIN(functions);

    cr_assert_eq(registry_add(rig.registry, &table, "tested", NULL), 0);
    check_suggestion("heather",
                     "there is no function \"heather\"; did you mean feather, heathers or leather? (muster "
                     "functions lists them)");
}

Test(registry, overlong_unknown_name_gives_a_bounded_line)
{
    char longer[5000];
    const muster_function *function;
    struct muster_error error;

    memset(longer, 'q', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    cr_assert_eq(registry_require(rig.registry, longer, &function, &error), MUSTER_ENOTFOUND);
    cr_assert_not_null(strstr(error.text, "(muster functions lists them)"));
}

Test(registry, added_functions_stay_where_they_are_when_more_are_added)
{
    static const muster_function first[] = {{.name = "zebra", .summary = "last", .run = give_nil}},
                                 second[] = {{.name = "aardvark", .summary = "first", .run = give_nil}};
    const muster_plugin tables[] = {MUSTER_PLUGIN(first), MUSTER_PLUGIN(second)};
    const muster_function *zebra;
    const char *origin;

    cr_assert_eq(registry_add(rig.registry, &tables[0], "zoo", NULL), 0);
    zebra = registry_find(rig.registry, "zebra", 5);
    cr_assert_not_null(zebra);
    cr_assert_eq(registry_add(rig.registry, &tables[1], "savanna", NULL), 0);
    cr_assert_eq(registry_find(rig.registry, "zebra", 5), zebra);
    cr_assert_str_eq(registry_at(rig.registry, 0, &origin)->name, "aardvark");
    cr_assert_str_eq(origin, "savanna");
}

Test(registry, documentation_that_is_missing_is_empty_not_null)
{
    static const muster_function functions[] = {{.name = "sparse", .summary = "only this", .run = give_nil}};
    const muster_plugin table = MUSTER_PLUGIN(functions);
    const muster_function *function;

    cr_assert_eq(registry_add(rig.registry, &table, "tested", NULL), 0);
    function = registry_find(rig.registry, "sparse", 6);
    cr_assert_str_eq(function->argument, "");
    cr_assert_str_eq(function->result, "");
    cr_assert_str_eq(function->example, "");
}

Test(registry, function_that_cannot_be_used_refuses_its_whole_table)
{
    refuse_function((muster_function){.summary = "-", .run = give_nil}, "function 2 has no name");
    refuse_function((muster_function){.name = "quiet", .run = give_nil}, "quiet has no summary");
    refuse_function((muster_function){.name = "quiet", .summary = "", .run = give_nil},
                    "quiet has no summary");
    refuse_function((muster_function){.name = "idle", .summary = "-"}, "idle has nothing to run");
}

Test(registry, name_that_breaks_the_rules_is_refused)
{
    static const char *const bad[] = {"",     "Fib", "9fib", "-fib", "_fib",
                                      ".fib", "a b", "a/b",  "a\n",  "caf\xc3\xa9"};
    char longest[REGISTRY_NAME_MAX + 2];
    size_t i;

    for (i = 0; i < sizeof bad / sizeof *bad; i++)
        refuse_function((muster_function){.name = bad[i], .summary = "-", .run = give_nil}, "is no name");
    memset(longest, 'a', sizeof longest);
    longest[REGISTRY_NAME_MAX + 1] = '\0';
    refuse_function((muster_function){.name = longest, .summary = "-", .run = give_nil}, "is no name");
}

Test(registry, name_of_64_bytes_is_taken)
{
    char longest[REGISTRY_NAME_MAX + 1];
    const muster_function functions[] = {{.name = longest, .summary = "-", .run = give_nil}};
    const muster_plugin table = MUSTER_PLUGIN(functions);

    memset(longest, 'a', REGISTRY_NAME_MAX);
    longest[REGISTRY_NAME_MAX] = '\0';
    cr_assert_eq(registry_add(rig.registry, &table, "tested", NULL), 0);
    cr_assert_not_null(registry_find(rig.registry, longest, REGISTRY_NAME_MAX));
    check_suggestion(
        longest + 1,
        "there is no function \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\""
        "; did you mean aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa? "
        "(muster functions lists them)");
}

Test(registry, name_that_is_taken_refuses_the_table)
{
    refuse_function((muster_function){.name = "noop", .summary = "-", .run = give_nil},
                    "the name noop is taken by a function of muster");
    refuse_function((muster_function){.name = "good", .summary = "-", .run = give_nil},
                    "has two functions named good");
    refuse_function((muster_function){.name = "command", .summary = "-", .run = give_nil},
                    "the name command is taken by a function of muster");
}

Test(registry, command_is_found_but_on_no_list_and_runs_in_workers_only)
{
    cr_assert_eq(registry_find(rig.registry, "command", 7), &function_command);
    for (size_t i = 0; i < registry_count(rig.registry); i++)
        cr_assert_str_neq(registry_at(rig.registry, i, NULL)->name, "command");
    refuse("command", NIL, "commands run in worker processes only");
}

Test(registry, table_of_another_version_is_not_read)
{
    const muster_plugin newer = {MUSTER_JOB_ABI + 8, 8, 7, (const muster_function *)1},
                        wider = {MUSTER_JOB_ABI, sizeof(muster_function) + 8, 7, (const muster_function *)1};

    refuse_table(
        &newer, MUSTER_EVERSION,
        "plug-in \"tested\" was built for function ABI 9, this muster has 1: rebuild it against this "
        "muster_job.h");
    refuse_table(&wider, MUSTER_EVERSION, "rebuild it");
}

Test(registry, table_with_no_functions_or_an_absurd_count_is_not_read)
{
    const muster_function *nowhere = (const muster_function *)1;
    const muster_plugin empty = {MUSTER_JOB_ABI, sizeof(muster_function), 0, nowhere},
                        none = {MUSTER_JOB_ABI, sizeof(muster_function), 3, NULL},
                        absurd = {MUSTER_JOB_ABI, sizeof(muster_function), UINT32_MAX, nowhere},
                        one_more = {MUSTER_JOB_ABI, sizeof(muster_function),
                                    REGISTRY_PLUGIN_FUNCTIONS_MAX + 1, nowhere};

    refuse_table(&empty, MUSTER_EINVALID, "has 0 functions: 1 to 4096 are allowed");
    refuse_table(&none, MUSTER_EINVALID, "has 0 functions");
    refuse_table(&absurd, MUSTER_EINVALID, "has 4294967295 functions");
    refuse_table(&one_more, MUSTER_EINVALID, "has 4097 functions");
}

Test(registry, largest_table_is_taken_and_searched)
{
    static muster_function functions[REGISTRY_PLUGIN_FUNCTIONS_MAX];
    static char names[REGISTRY_PLUGIN_FUNCTIONS_MAX][8];
    const muster_plugin table = MUSTER_PLUGIN(functions);
    size_t i;

    for (i = 0; i < REGISTRY_PLUGIN_FUNCTIONS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "f%zu", i);
        functions[i] = (muster_function){.name = names[i], .summary = "-", .run = give_nil};
    }
    cr_assert_eq(registry_add(rig.registry, &table, "tested", NULL), 0);
    for (i = 0; i < REGISTRY_PLUGIN_FUNCTIONS_MAX; i++)
        cr_assert_str_eq(registry_find(rig.registry, names[i], strlen(names[i]))->name, names[i]);
}
