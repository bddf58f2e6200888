/* SPDX-License-Identifier: MIT
 *
 * Command lines: where options may stand, and what is said of wrong ones.
 */
#include "cli/options.h"

#include <criterion/criterion.h>
#include <string.h>

enum { WORDS_MAX = 32, WORD_BYTES = 64 };

static struct options options;
static struct muster_error error;
static char words[WORDS_MAX][WORD_BYTES];
static char *argv[WORDS_MAX + 1];

/* Splits at blanks. */
static int parse(enum verb verb, const char *line)
{
    int argc = 0;

    for (size_t size; *line; line += size + (line[size] == ' ')) {
        size = strcspn(line, " ");
        cr_assert(argc < WORDS_MAX && size < WORD_BYTES);
        memcpy(words[argc], line, size);
        words[argc][size] = '\0';
        argv[argc] = words[argc];
        argc++;
    }
    argv[argc] = NULL;
    return options_parse(&options, verb, argc, argv, &error);
}

static void expect_ok(enum verb verb, const char *line)
{
    cr_assert_eq(parse(verb, line), 0, "%s: %s", line, error.text);
}

static void expect_refused(enum verb verb, const char *line, const char *word)
{
    cr_assert_eq(parse(verb, line), MUSTER_EINVALID, "%s", line);
    cr_assert(strstr(error.text, word), "%s: %s", line, error.text);
}

Test(options, defaults_are_those_of_the_help)
{
#define X(name, word) +1
    const size_t models = 0 MUSTER_MODEL_MAP(X);
#undef X

    expect_ok(VERB_MAP, "map f");
    cr_assert_str_eq(options.function, "f");
    cr_assert_eq(options.family, ARGUMENTS_STDIN);
    cr_assert_eq(options.open.model, MUSTER_PROCESSES);
    cr_assert_eq(options.open.workers, 0);
    cr_assert_eq(options.chunk_jobs, 0);
    cr_assert_eq(options.halt_failures, 0);
    cr_assert_eq(options.format, OUTPUT_TEXT);
    expect_ok(VERB_COMPARE, "compare f");
    cr_assert_eq(options.model_count, models);
    cr_assert_eq(options.models[0], MUSTER_INLINE);
    cr_assert_eq(options.rounds, 3);
    cr_assert_eq(options.open.concurrency, 0);
    cr_assert_not(options.timeline);
    cr_assert_null(options.html);
}

Test(options, options_stand_before_and_after_the_function_and_the_arguments)
{
    static const char *const lines[] = {
        "map -j 3 --model threads -o none f ::: 1 2",        "map f -j3 --model=threads -onone ::: 1 2",
        "map -j3 f --mod threads --output none ::: 1 2",     "map f ::: 1 2 -j 3 --model threads -o none",
        "map -o none f ::: 1 2 --workers=3 --model=threads",
    };

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        expect_ok(VERB_MAP, lines[i]);
        cr_assert_str_eq(options.function, "f");
        cr_assert_eq(options.open.workers, 3, "%s", lines[i]);
        cr_assert_eq(options.open.model, MUSTER_THREADS, "%s", lines[i]);
        cr_assert_eq(options.format, OUTPUT_NONE, "%s", lines[i]);
        cr_assert_eq(options.item_count, 2, "%s", lines[i]);
        cr_assert_str_eq(options.items[0], "1");
        cr_assert_str_eq(options.items[1], "2");
    }
}

Test(options, arguments_that_only_resemble_options_stay_arguments)
{
    expect_ok(VERB_MAP, "map f ::: -1 -x --chunky --chun -jx -on - -- --models");
    cr_assert_eq(options.item_count, 9);
    expect_ok(VERB_MAP, "map f :::");
    cr_assert_eq(options.family, ARGUMENTS_WORDS);
    cr_assert_eq(options.item_count, 0);
    expect_ok(VERB_MAP, "map f :::: a b");
    cr_assert_eq(options.family, ARGUMENTS_FILES);
    cr_assert_eq(options.item_count, 2);
}

Test(options, words_that_belong_nowhere_are_refused)
{
    expect_refused(VERB_MAP, "map", "no FUNCTION");
    expect_refused(VERB_MAP, "map ::: 1", "no FUNCTION");
    expect_refused(VERB_MAP, "map f g", "unexpected word 'g'");
    expect_refused(VERB_MAP, "map f g ::: 1 -o none", "unexpected word 'g'");
    expect_refused(VERB_MAP, "map f ::: 1 -o none 2", "unexpected word '2'");
    expect_refused(VERB_MAP, "map f ::: 1 ::: 2", "only one");
    expect_refused(VERB_MAP, "map f ::: 1 :::: 2", "only one");
    expect_refused(VERB_MAP, "map f :::+ 1", "not supported");
    expect_refused(VERB_FUNCTIONS, "functions f g", "unexpected word 'g'");
    expect_refused(VERB_FUNCTIONS, "functions ::: 1", "takes no arguments");
    expect_refused(VERB_WORKER, "worker f", "unexpected word 'f'");
    expect_refused(VERB_LAB, "lab race x", "unexpected word 'x'");
    cr_assert_not(strstr(error.text, ":::"), "%s", error.text);
    expect_refused(VERB_LAB, "lab race ::: 1", "takes no arguments");
}

Test(options, unknown_options_are_named)
{
    expect_refused(VERB_MAP, "map --foo f", "--foo");
    expect_refused(VERB_MAP, "map -z f", "-z");
    expect_refused(VERB_MAP, "map --models inline f", "--models");
    expect_refused(VERB_MAP, "map --p f", "ambiguous option --p");
    expect_refused(VERB_MAP, "map --pin=1 f", "--pin takes no value");
    expect_refused(VERB_MAP, "map --timeline f", "--timeline");
    expect_refused(VERB_MAP, "map f -j ::: 1", "-j needs a value");
    expect_refused(VERB_MAP, "map f --chunk", "--chunk needs a value");
    expect_refused(VERB_COMPARE, "compare --retries 1 f", "--retries");
}

Test(options, bad_values_name_the_option_and_what_it_got)
{
    expect_refused(VERB_MAP, "map -j 0 f", "-j 0: ");
    expect_refused(VERB_MAP, "map --workers 16385 f", "16385");
    expect_refused(VERB_MAP, "map --chunk 65537 f", "--chunk 65537: ");
    expect_refused(VERB_MAP, "map --chunk 0 f", "--chunk 0: ");
    expect_refused(VERB_MAP, "map --timeout 0 f", "--timeout 0: ");
    expect_refused(VERB_MAP, "map --retries 1001 f", "--retries 1001: ");
    expect_refused(VERB_MAP, "map --crash-limit 0 f", "--crash-limit 0: ");
    expect_refused(VERB_MAP, "map --backoff 3601 f", "--backoff 3601: ");
    expect_refused(VERB_MAP, "map --priority 1001 f", "--priority 1001: a whole number from -1000 to 1000");
    expect_refused(VERB_MAP, "map --priority=- f", "--priority");
    expect_refused(VERB_MAP, "map --priority=--5 f", "--priority");
    expect_refused(VERB_MAP, "map --max-running 0 f", "--max-running 0: ");
    expect_refused(VERB_MAP, "map --cpus 16385 f", "--cpus 16385: ");
    expect_refused(VERB_MAP, "map --concurrency 0 f", "--concurrency 0: ");
    expect_refused(VERB_WORKER, "worker --concurrency 20001", "--concurrency 20001: ");
    expect_refused(VERB_MAP, "map --halt soon f", "--halt soon: ");
    expect_refused(VERB_MAP, "map --memory 0 f", "--memory 0: ");
    expect_refused(VERB_MAP, "map --heartbeat x f", "--heartbeat x: ");
    expect_refused(VERB_MAP, "map --model fork f", "--model fork: ");
    expect_refused(VERB_MAP, "map -o xml f", "-o xml: text, json or none");
    expect_refused(VERB_COMPARE, "compare -o none f", "-o none: text or json");
    expect_refused(VERB_COMPARE, "compare --rounds 0 f", "--rounds 0: ");
    expect_refused(VERB_COMPARE, "compare --models inline,,threads f", "no model ''");
    expect_refused(VERB_COMPARE, "compare --models inline,inline f", "twice");
    expect_refused(VERB_COMPARE, "compare --models a-name-that-is-longer-than-any-model f", "no model");
    expect_refused(VERB_WORKER, "worker --cpu -1", "--cpu -1: ");
}

Test(options, concurrency_of_a_model_without_coroutines_is_ignored)
{
    expect_refused(VERB_MAP, "map f --concurrency 2 --model threads",
                   "needs the model 'processes' or 'loop'");
    expect_refused(VERB_MAP, "map f --model gil --concurrency 2", "under 'gil'");
    expect_refused(VERB_MAP, "map f --concurrency 2 --model inline", "under 'inline'");
    expect_ok(VERB_MAP, "map f --concurrency 2 --model loop");
    expect_ok(VERB_MAP, "map f --concurrency 2");
    expect_ok(VERB_COMPARE, "compare f --models threads --concurrency 2");
}

Test(options, when_jobs_have_their_turn_arrives)
{
    expect_ok(VERB_MAP, "map f --backoff 1.5 --priority -7 --max-running 9 --cpus 3");
    cr_assert_eq(options.terms.backoff_s, 1.5);
    cr_assert_eq(options.terms.priority, -7);
    cr_assert_eq(options.terms.most_running, 9);
    cr_assert_eq(options.terms.cpus, 3);
}

Test(options, what_a_coordinator_keeps_arrives)
{
    expect_ok(VERB_MAP, "map f --coordinator default --name n --after 3,4:any --begin +60 --memory 1G");
    cr_assert_str_eq(options.terms.name, "n");
    cr_assert_eq(options.terms.after_count, 2);
    cr_assert_gt(options.terms.begin_ms, 0);
    cr_assert_eq(options.terms.memory_bytes, 1 << 30, "of a job");
    cr_assert_eq(options.open.memory_bytes, 0, "not of workers");
    expect_refused(VERB_MAP, "map f --after 3 --coordinator none", "--after needs a coordinator");
    expect_refused(VERB_MAP, "map f --begin +60", "--begin needs a coordinator");
    expect_refused(VERB_MAP, "map f --after 0", "--after 0: numbers of batches");
    expect_refused(VERB_MAP, "map f --begin never", "--begin never: a time is expected");
    expect_refused(VERB_MAP, "map f --coordinator default -j 2", "-j/--workers belongs to");
}

Test(options, help_and_its_value_are_told_apart)
{
    expect_refused(VERB_MAP, "map f --help=x", "--help takes no value");
}

Test(options, every_value_arrives)
{
    expect_ok(VERB_MAP,
              "map f --chunk 8 --timeout 0.5 --retries 2 --crash-limit 4 --halt now,fail=3 --memory 1M "
              "--heartbeat 2 --concurrency 500 --pin --plugin a.so --plugin b.so --unordered --stats - "
              "--no-progress");
    cr_assert_eq(options.chunk_jobs, 8);
    cr_assert_eq(options.timeout_s, 0.5);
    cr_assert_eq(options.retries, 2);
    cr_assert_eq(options.open.crash_limit, 4);
    cr_assert_eq(options.halt_failures, 3);
    cr_assert(options.halt_now);
    cr_assert_eq(options.open.memory_bytes, 1 << 20);
    cr_assert_eq(options.open.heartbeat_s, 2);
    cr_assert_eq(options.open.concurrency, 500);
    cr_assert(options.open.pin);
    cr_assert_eq(options.open.plugin_count, 2);
    cr_assert_str_eq(options.open.plugins[1], "b.so");
    cr_assert(options.unordered);
    cr_assert_str_eq(options.stats, "-");
    cr_assert_eq(options.progress, PROGRESS_NEVER);
    expect_ok(VERB_COMPARE,
              "compare f --models processes,threads --rounds 7 --concurrency 2 --timeline --html p.html");
    cr_assert_eq(options.model_count, 2);
    cr_assert_eq(options.models[0], MUSTER_PROCESSES);
    cr_assert_eq(options.models[1], MUSTER_THREADS);
    cr_assert_eq(options.rounds, 7);
    cr_assert_eq(options.open.concurrency, 2);
    cr_assert(options.timeline);
    cr_assert_str_eq(options.html, "p.html");
}

Test(options, lab_has_rounds_of_its_own)
{
    expect_ok(VERB_LAB, "lab race");
    cr_assert_str_eq(options.function, "race");
    cr_assert_eq(options.rounds, 0);
    expect_ok(VERB_LAB, "lab --rounds 1000000000 race -o json");
    cr_assert_eq(options.rounds, 1000000000);
    cr_assert_eq(options.format, OUTPUT_JSON);
    expect_refused(VERB_LAB, "lab race --rounds 1000000001", "--rounds 1000000001: ");
    expect_refused(VERB_COMPARE, "compare f --rounds 1001", "--rounds 1001: ");
    expect_refused(VERB_LAB, "lab race -o none", "-o none: text or json");
}

Test(options, bench_takes_a_folder_workers_and_rounds)
{
    expect_ok(VERB_BENCH, "bench memory --dir /x -o json");
    cr_assert_str_eq(options.function, "memory");
    cr_assert_str_eq(options.folder, "/x");
    expect_ok(VERB_BENCH, "bench");
    cr_assert_null(options.folder);
    cr_assert(options.rounds == 0 && options.open.workers == 0 && !options.peers);
    expect_ok(VERB_BENCH, "bench all --rounds 32 -j 3 --peers --html p.html");
    cr_assert_str_eq(options.html, "p.html");
    cr_assert(options.rounds == 32 && options.open.workers == 3 && options.peers);
    expect_refused(VERB_BENCH, "bench all --rounds 33", "--rounds 33");
    expect_refused(VERB_MAP, "map f --dir /x", "--dir");
}

Test(options, worker_options_arrive_and_default_to_none)
{
    expect_ok(VERB_WORKER, "worker --connect ipc:///x --name w1");
    cr_assert_str_eq(options.worker.endpoint, "ipc:///x");
    cr_assert_str_eq(options.worker.name, "w1");
    cr_assert_eq(options.worker.parent_pid, 0);
    cr_assert_eq(options.worker.flight_fd, -1);
    cr_assert_eq(options.worker.heap_fd, -1);
    cr_assert_eq(options.worker.slots_fd, -1);
    cr_assert_eq(options.worker.bell_fd, -1);
    cr_assert_eq(options.worker.cpu, -1);
    cr_assert_eq(options.worker.memory_bytes, 0);
    cr_assert_eq(options.worker.plugin_count, 0);
    expect_ok(VERB_WORKER, "worker --connect e --name n --parent 12 --flight-fd 5 --slots-fd 6 --bell-fd 7 "
                           "--heap-fd 8 --plugin p.so --memory 4096 --cpu 0 "
                           "--concurrency 20000");
    cr_assert_eq(options.worker.parent_pid, 12);
    cr_assert_eq(options.worker.flight_fd, 5);
    cr_assert_eq(options.worker.slots_fd, 6);
    cr_assert_eq(options.worker.bell_fd, 7);
    cr_assert_eq(options.worker.heap_fd, 8);
    cr_assert_eq(options.worker.cpu, 0);
    cr_assert_eq(options.worker.memory_bytes, 4096);
    cr_assert_eq(options.worker.concurrency, 20000);
    cr_assert_eq(options.worker.plugin_count, 1);
    cr_assert_str_eq(options.worker.plugins[0], "p.so");
}

Test(options, help_is_given_whatever_else_is_wrong)
{
    expect_ok(VERB_MAP, "map --help");
    cr_assert(options.help);
    expect_ok(VERB_MAP, "map f g -h --foo");
    cr_assert(options.help);
    expect_ok(VERB_MAP, "map f ::: 1 --help");
    cr_assert(options.help);
}

Test(options, too_many_plugins_are_refused)
{
    char *many[2 * OPTIONS_PLUGINS_MAX + 5] = {words[0], words[1]};
    int argc = 2;

    strcpy(words[0], "map");
    strcpy(words[1], "f");
    for (int i = 0; i <= OPTIONS_PLUGINS_MAX; i++) {
        many[argc++] = strcpy(words[2], "--plugin");
        many[argc++] = strcpy(words[3], "p.so");
    }
    cr_assert_eq(options_parse(&options, VERB_MAP, argc, many, &error), MUSTER_EINVALID);
    cr_assert(strstr(error.text, "at most 64"), "%s", error.text);
    cr_assert_eq(options_parse(&options, VERB_MAP, argc - 2, many, &error), 0, "%s", error.text);
}
