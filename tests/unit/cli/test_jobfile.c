/* SPDX-License-Identifier: MIT
 *
 * Job files: what becomes of a step, in which order steps come, and what is said of wrong files, in both
 * formats.
 */
#include "cli/jobfile.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct jobfile file;
static struct muster_error error;

static int read_as(enum jobfile_format format, const char *text)
{
    return jobfile_read("jobs", "dir/", format, text, strlen(text), &file, &error);
}

/* The words of a step, with a blank between them. */
static const char *words(size_t place)
{
    static char text[4096];
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < file.steps[place].word_count; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? " " : "",
                                 file.steps[place].words[i]);
    return text;
}

static void expect_words(const char *step, const char *wanted)
{
    char text[4096];

    snprintf(text, sizeof text, "[[step]]\nname = \"s\"\n%s", step);
    cr_assert_eq(read_as(JOBFILE_TOML, text), 0, "%s: %s", step, error.text);
    cr_assert_str_eq(words(0), wanted, "%s: %s", step, words(0));
    jobfile_fini(&file);
}

static void expect_refused(enum jobfile_format format, const char *text, const char *said)
{
    cr_assert_neq(read_as(format, text), 0, "%s", text);
    cr_assert(strstr(error.text, said), "%s: %s", text, error.text);
}

/* A step of TOML that is wrong in itself. */
static void expect_step_refused(const char *step, const char *said)
{
    char text[4096];

    snprintf(text, sizeof text, "\n[[step]]\nname = \"s\"\n%s", step);
    expect_refused(JOBFILE_TOML, text, said);
    cr_assert(strstr(error.text, "jobs:2: step 's': "), "%s", error.text);
}

Test(jobfile, function_becomes_a_line_of_map)
{
    expect_words("function = 'f'\narguments = [1, -2.5, 'a b', '1..3', [true, {k = 'v'}]]",
                 "map --detach --name=s -- f ::: 1 -2.5 \"a b\" \"1..3\" [true,{\"k\":\"v\"}]");
    expect_words("function = '-f'\narguments = []", "map --detach --name=s -- -f :::");
    expect_words("function = 'f'\nrange = [-3, 100000000]", "map --detach --name=s -- f ::: -3..100000000");
    expect_words("function = 'f'\narguments_file = ['a', '/b']",
                 "map --detach --name=s -- f :::: ./dir/a /b");
}

Test(jobfile, command_becomes_a_line_of_exec)
{
    expect_words("command = 'a {} > b'\narguments = ['x y', 3]",
                 "exec --detach -0 --name=s -- a {} > b ::: x y 3");
    expect_words("command = ['a', '$b']\nrange = [1, 3]", "exec --detach --name=s -q -- a $b ::: 1 2 3");
    expect_words("command = 'a'\narguments_file = 'l'", "exec --detach --name=s -- a :::: ./dir/l");
    expect_words("command = 'a'", "exec --detach -n0 --name=s -- a ::: ");
}

Test(jobfile, options_are_those_of_the_verb)
{
    expect_words("function = 'f'\nrange = [1, 1]\npriority = -5\nmax_running = 2\ncpus = 3\nmemory = '1G'\n"
                 "begin = 'now+1h'\nbackoff = 1.5\ntimeout = 10\nretries = 2",
                 "map --detach --name=s --priority=-5 --max-running=2 --cpus=3 --memory=1G --begin=now+1h "
                 "--backoff=1.5 "
                 "--timeout=10 --retries=2 -- f ::: 1..1");
    expect_words("command = 'c'\nmax_running = 2\nmemory = 5000\nbackoff = 2\ntimeout = 0.5\nretries = 0",
                 "exec --detach -n0 --name=s --jobs=2 --memory=5000 --backoff=2 --timeout=0.5 "
                 "--retries=1 -- c ::: ");
}

Test(jobfile, dates_of_toml_are_times_to_begin_at)
{
    expect_words("function = 'f'\narguments = []\nbegin = 2026-11-23T08:00:30",
                 "map --detach --name=s --begin=2026-11-23T08:00:30 -- f :::");
    expect_words("function = 'f'\narguments = []\nbegin = 2026-11-23 08:00:00-05:30",
                 "map --detach --name=s --begin=2026-11-23T08:00:00-05:30 -- f :::");
    expect_words("function = 'f'\narguments = [2026-11-23, 07:15:00]\nbegin = 08:00:00",
                 "map --detach --name=s --begin=08:00:00 -- f ::: \"2026-11-23\" \"07:15:00\"");
}

Test(jobfile, json_says_the_same)
{
    cr_assert_eq(read_as(JOBFILE_JSON,
                         "{\"step\": [{\"name\": \"s\", \"function\": \"f\", \"arguments\": [1, null], "
                         "\"after\": [7, \"t:any\"]}, {\"name\": \"t\", \"command\": [\"c\"]}]}"),
                 0, "%s", error.text);
    cr_assert_str_eq(words(0), "map --detach --name=s -- f ::: 1 null");
    cr_assert(!file.steps[0].after[0].name && file.steps[0].after[0].batch == 7 &&
              !file.steps[0].after[0].any);
    cr_assert(file.steps[0].after[1].step == 1 && file.steps[0].after[1].any);
    jobfile_fini(&file);
}

Test(jobfile, format_is_known_by_name_or_by_text)
{
    cr_assert_eq(jobfile_format("a.toml", "{", 1), JOBFILE_TOML);
    cr_assert_eq(jobfile_format("a.json", "[[step]]", 8), JOBFILE_JSON);
    cr_assert_eq(jobfile_format("-", " \n{", 3), JOBFILE_JSON);
    cr_assert_eq(jobfile_format("-", "[[step]]", 8), JOBFILE_TOML);
    cr_assert_eq(jobfile_format("a", "", 0), JOBFILE_TOML);
}

#define STEP(name, after) "[[step]]\nname='" name "'\ncommand='c'\nafter=" after "\n"

Test(jobfile, steps_come_behind_those_they_wait_for_and_else_as_in_the_file)
{
    static const char text[] =
        STEP("a", "['d:any', 12]") STEP("b", "[]") STEP("c", "'a'") STEP("d", "'b:ok'");
    static const size_t wanted[] = {1, 3, 0, 2};

    cr_assert_eq(read_as(JOBFILE_TOML, text), 0, "%s", error.text);
    cr_assert_arr_eq(file.order, wanted, sizeof wanted);
    jobfile_fini(&file);
}

Test(jobfile, circles_are_named)
{
    expect_refused(JOBFILE_TOML, STEP("a", "'a'"), "jobs: steps wait for each other: a -> a");
    expect_refused(JOBFILE_TOML,
                   STEP("x", "'a'") STEP("a", "['y', 'b:any']") STEP("b", "'c'") STEP("c", "'a'")
                       STEP("y", "[]"),
                   "wait for each other: ");
    cr_assert(strstr(error.text, "a -> b -> c -> a") || strstr(error.text, "b -> c -> a -> b") ||
                  strstr(error.text, "c -> a -> b -> c"),
              "%s", error.text);
}

Test(jobfile, names_that_are_not_unique_or_not_there_are_refused)
{
    expect_refused(JOBFILE_TOML, STEP("a", "[]") STEP("b", "[]") STEP("a", "[]"),
                   "another step has this name");
    expect_refused(JOBFILE_TOML, STEP("squares", "[]") STEP("b", "'sqares'"),
                   "jobs:5: step 'b': after: there is no step 'sqares' (did you mean squares?)");
    expect_refused(JOBFILE_TOML, STEP("a", "'zebra:any'"), "there is no step 'zebra'");
}

Test(jobfile, step_that_says_too_little_or_too_much_is_refused)
{
    expect_step_refused("", "neither a function nor a command");
    expect_step_refused("function='f'\ncommand='c'", "both a function and a command");
    expect_step_refused("function='f'", "a function needs arguments");
    expect_step_refused("function='f'\nrange=[1,2]\narguments=[]",
                        "one of arguments, range and arguments_file");
    expect_step_refused("function='f'\nrange=[1,2]\nprioriti=3",
                        "no key 'prioriti' (did you mean priority?)");
    expect_refused(JOBFILE_TOML, "[[step]]\ncommand='c'", "jobs:1: step 1: it has no name");
    expect_refused(JOBFILE_TOML, "[[step]]\nname='a:b'\ncommand='c'", "has a colon");
    expect_refused(JOBFILE_TOML, "[[step]]\nname=''\ncommand='c'", "name: a name of 1 to 200 bytes");
    expect_refused(JOBFILE_TOML, "step=[1]", "step 1: it is no table");
}

Test(jobfile, values_of_the_wrong_type_are_refused)
{
    expect_step_refused("function=1", "function: a name is expected");
    expect_step_refused("command=[]", "command: a line for the shell");
    expect_step_refused("command=['a', 1]", "command: a line for the shell");
    expect_step_refused("function='f'\narguments='a'", "arguments: an array is expected");
    expect_step_refused("function='f'\nrange=[2, 1]", "range: an array [FIRST, LAST]");
    expect_step_refused("function='f'\nrange=[1]", "range: an array [FIRST, LAST]");
    expect_step_refused("function='f'\nrange='1..2'", "range: an array [FIRST, LAST]");
    expect_step_refused("command='c'\nrange=[1, 10001]", "range: of commands it has at most 10000");
    expect_step_refused("command='c'\nrange=[-9223372036854775807, 9223372036854775807]", "at most 10000");
    expect_step_refused("command='c'\narguments=[true]", "a text or a number");
    expect_step_refused("command='c'\narguments=[':::+']", "would begin arguments");
    expect_step_refused("command='c'\narguments_file=[]", "arguments_file: a name");
    expect_step_refused("command='c'\npriority=1.5", "priority: a whole number is expected");
    expect_step_refused("command='c'\nmemory=true", "memory: a text such as");
    expect_step_refused("command='c'\ntimeout='1'", "timeout: a number is expected");
    expect_step_refused("command='c'\nretries=-1", "retries: a whole number from 0 to 1000");
    expect_step_refused("command='c'\nbegin=7", "begin: a text is expected");
    expect_step_refused("command='c'\nafter=0", "after: the name of a step");
    expect_step_refused("command='c'\nafter=[[]]", "after: the name of a step");
    expect_step_refused("command='c'\nafter=':any'", "after: the name of a step");
    expect_step_refused("command='c'\nafter='a:all'", "after: 'a:all': :ok or :any");
}

Test(jobfile, what_is_no_such_file_is_refused_where_it_is_wrong)
{
    expect_refused(JOBFILE_TOML, "", "jobs: there is no step");
    expect_refused(JOBFILE_TOML, "# nothing\n", "jobs: there is no step");
    expect_refused(JOBFILE_TOML, "step=[]", "jobs: there is no step");
    expect_refused(JOBFILE_TOML, "step=3", "jobs: there is no step");
    expect_refused(JOBFILE_TOML, "[steps]\n", "jobs: there is no key 'steps'");
    expect_refused(JOBFILE_TOML, "[[step]]\nname = \n", "jobs:2:");
    expect_refused(JOBFILE_TOML, "[[step]]\nname='a'\nname='b'\n", "jobs:3:");
    expect_refused(JOBFILE_TOML, "[[step]]\nx=inf\n", "jobs:2:3: this is no number");
    expect_refused(JOBFILE_TOML, "[[step]]\nx=\"\\u0000\"\n", "jobs:2:3: a text has a NUL");
    expect_refused(JOBFILE_TOML, "[[step]]\n\"\\u0000\"=1\n", "a key has a NUL");
    expect_refused(JOBFILE_TOML, "\xff", "jobs:1:1:");
    expect_refused(JOBFILE_JSON, "", "jobs:1:0:");
    expect_refused(JOBFILE_JSON, "{\"step\":\n[1,]}", "jobs:2:");
    expect_refused(JOBFILE_JSON, "{\"step\":[], \"step\":[]}", "jobs:1:");
    expect_refused(JOBFILE_JSON, "[]", "jobs: there is no step");
    expect_refused(JOBFILE_JSON, "{\"step\":[{\"name\":\"\\u0000\"}]}", "jobs:1:");
}

Test(jobfile, nesting_that_would_exhaust_the_stack_is_refused)
{
    static char text[1 << 20];

    memset(text, '[', sizeof text - 1);
    expect_refused(JOBFILE_JSON, text, "maximum parsing depth");
    memcpy(text, "x=", 2);
    expect_refused(JOBFILE_TOML, text, "depth");
    for (size_t i = 0; i < sizeof text - 2; i += 2)
        memcpy(text + i, "a.", 2);
    expect_refused(JOBFILE_TOML, text, "a key of so many parts is too long");
}

Test(jobfile, file_that_is_too_large_is_refused)
{
    cr_assert_eq(jobfile_read("jobs", "", JOBFILE_TOML, "", JOBFILE_BYTES_MAX + 1, &file, &error),
                 MUSTER_ELIMIT);
    cr_assert(strstr(error.text, "a file of their own"), "%s", error.text);
}
