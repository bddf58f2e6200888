/* SPDX-License-Identifier: MIT
 *
 * Comparisons of inline and threads: what agrees gets rows, what does not an error. A plain
 * executable, since there are threads.
 */
#include "lab/compare.h"

#include "tests/support/check.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct muster_error error;
static struct compare_report report;

static struct compare_spec spec_of(const char *function, struct muster_source source)
{
    struct compare_spec spec = {
        .options = {.workers = 3},
        .batch = {.function = function, .source = source},
        .models = {MUSTER_THREADS, MUSTER_INLINE, MUSTER_THREADS},
        .model_count = 3,
    };

    error.text[0] = '\0';
    return spec;
}

static int compare(const struct compare_spec *spec)
{
    return compare_run(spec, &report, &error);
}

static void every_model_gets_one_row_and_inline_is_first(void)
{
    struct compare_spec spec = spec_of("is_prime", muster_source_range(1, 30000));

    CHECK_SAYING(compare(&spec) == 0 && report.count == 2, error.text);
    CHECK_SAYING(report.rows[0].model == MUSTER_INLINE && report.rows[1].model == MUSTER_THREADS, error.text);
    CHECK_SAYING(report.rows[0].workers == 1 && report.rows[1].workers == 3, error.text);
    CHECK_SAYING(report.rows[0].jobs == 30000 && report.rows[1].jobs == 30000 && report.rows[1].failed == 0,
                 error.text);
    CHECK_SAYING(report.rows[0].speedup == 1 && report.rows[0].efficiency == 1 &&
                     report.rows[1].concurrency == 1,
                 error.text);
    CHECK_SAYING(report.rows[0].overhead_us_per_job == 0, error.text);
    CHECK_SAYING(report.rows[1].wall_s > 0 && report.rows[1].cpu_s > 0 && report.rows[1].speedup > 0,
                 error.text);
    CHECK_SAYING(strstr(report.sentence, "30,000 jobs") &&
                     report.sentence[strlen(report.sentence) - 1] == '.',
                 error.text);
}

static void inline_runs_even_when_it_was_not_named(void)
{
    struct compare_spec spec = spec_of("noop", muster_source_range(1, 10));

    spec.model_count = 1;
    CHECK_SAYING(compare(&spec) == 0 && report.count == 2 && report.rows[0].model == MUSTER_INLINE,
                 error.text);
}

/* A stream of arguments from a list. */
struct list {
    const char *const *texts; /* a text that begins with '[' stands for an array of it and 0 */
    size_t count, next;
    unsigned rewinds;
};

static int list_next(void *context, msgpack_zone *zone, msgpack_object *ret_argument,
                     struct muster_error *ret_error)
{
    struct list *list = context;
    msgpack_object *items, text = {.type = MSGPACK_OBJECT_STR};

    (void)ret_error;
    if (list->next == list->count)
        return MUSTER_EEND;
    text.via.str.ptr = list->texts[list->next++];
    text.via.str.size = (uint32_t)strlen(text.via.str.ptr);
    *ret_argument = text;
    if (text.via.str.ptr[0] != '[')
        return 0;
    if (!(items = msgpack_zone_malloc(zone, 2 * sizeof *items)))
        return MUSTER_ENOMEM;
    text.via.str.ptr++;
    text.via.str.size--;
    items[0] = text;
    items[1].type = MSGPACK_OBJECT_POSITIVE_INTEGER;
    items[1].via.u64 = 0;
    ret_argument->type = MSGPACK_OBJECT_ARRAY;
    ret_argument->via.array.ptr = items;
    ret_argument->via.array.size = 2;
    return 0;
}

static int list_rewind(void *context)
{
    struct list *list = context;

    list->next = 0;
    list->rewinds++;
    return 0;
}

static struct compare_spec spec_of_list(const char *function, struct list *list)
{
    struct muster_source source = {
        .kind = MUSTER_SOURCE_STREAM, .next = list_next, .context = list, .fd = -1};
    struct compare_spec spec = spec_of(function, source);

    spec.rewind = list_rewind;
    return spec;
}

static void jobs_that_fail_alike_are_counted_and_not_disputed(void)
{
    static const char *const texts[] = {"no number", "nor this"};
    struct list list = {.texts = texts, .count = 2};
    struct compare_spec spec = spec_of_list("is_prime", &list);

    spec.batch.halt_failures = 1;
    CHECK_SAYING(compare(&spec) == 0 && report.rows[0].failed == 2 && report.rows[1].failed == 2, error.text);
    CHECK_SAYING(report.failure_count == 2 && report.failures[0].index == 1 && report.failures[1].index == 2,
                 error.text);
    CHECK_SAYING(strstr(report.failures[0].text, "is_prime takes"), error.text);
}

static unsigned runs;

static void count_run(void *context, enum muster_model model, unsigned round)
{
    CHECK_SAYING(context == &runs && round == runs / 2 + 1, error.text);
    CHECK_SAYING(model == (runs % 2 ? MUSTER_THREADS : MUSTER_INLINE), error.text);
    runs++;
}

static void models_take_turns_and_a_stream_starts_over_for_each(void)
{
    static const char *const texts[] = {"a", "b", "c"};
    struct list list = {.texts = texts, .count = 3};
    struct compare_spec spec = spec_of_list("echo", &list);

    spec.rounds = 3;
    spec.on_run = count_run;
    spec.context = &runs;
    CHECK_SAYING(compare(&spec) == 0 && runs == 6 && list.rewinds == 5 && report.rows[1].jobs == 3,
                 error.text);
}

/* faulty's fail_times counts its calls in a file: no two results are alike. */
static void disagreement_names_the_job_the_models_and_both_results(void)
{
    static const char *const plugins[] = {FAULTY_PLUGIN};
    char counter[] = "[/tmp/muster-compare-XXXXXX";
    const char *texts[] = {"no array", counter, "no array either"};
    struct list list = {.texts = texts, .count = 3};
    struct compare_spec spec = spec_of_list("fail_times", &list);
    int fd = mkstemp(counter + 1);

    CHECK_SAYING(fd >= 0, error.text);
    close(fd);
    spec.options.plugins = plugins;
    spec.options.plugin_count = 1;
    report.count = 0;
    CHECK_SAYING(compare(&spec) == MUSTER_ESTATE && report.count == 0, error.text);
    CHECK_SAYING(strcmp(error.text, "the models disagree on job 2: inline returned 3, threads returned 2") ==
                     0,
                 error.text);
    unlink(counter + 1);
}

static void no_arguments_are_nothing_to_compare(void)
{
    struct list list = {.count = 0};
    struct compare_spec spec = spec_of_list("echo", &list);

    CHECK_SAYING(compare(&spec) == MUSTER_EINVALID && strstr(error.text, "no arguments"), error.text);
}

static int shrink(void *context)
{
    struct list *list = context;

    list->count--;
    return list_rewind(list);
}

static void models_that_ran_different_jobs_are_not_compared(void)
{
    static const char *const texts[] = {"a", "b", "c"};
    struct list list = {.texts = texts, .count = 3};
    struct compare_spec spec = spec_of_list("echo", &list);

    spec.rewind = shrink;
    CHECK_SAYING(compare(&spec) == MUSTER_ESTATE, error.text);
    CHECK_SAYING(strcmp(error.text, "threads ran 2 of the 3 jobs") == 0, error.text);
}

static void what_cannot_be_compared_is_refused_before_it_runs(void)
{
    struct list list = {.count = 0};
    struct compare_spec spec = spec_of_list("echo", &list);

    spec.rewind = NULL;
    CHECK_SAYING(compare(&spec) == MUSTER_EINVALID && strstr(error.text, "cannot be read again"), error.text);
    spec = spec_of("noop", muster_source_range(0, COMPARE_JOBS_MAX));
    CHECK_SAYING(compare(&spec) == MUSTER_ELIMIT && strstr(error.text, "too many jobs"), error.text);
    spec = spec_of("noop", muster_source_range(INT64_MIN, INT64_MAX));
    CHECK_SAYING(compare(&spec) == MUSTER_ELIMIT, error.text);
    spec = spec_of("noop", muster_source_range(1, 10));
    spec.rounds = COMPARE_ROUNDS_MAX + 1;
    CHECK_SAYING(compare(&spec) == MUSTER_EINVALID && strstr(error.text, "rounds"), error.text);
    spec = spec_of("nope", muster_source_range(1, 10));
    CHECK_SAYING(compare(&spec) == MUSTER_ENOTFOUND && strstr(error.text, "nope"), error.text);
    spec = spec_of("noop", muster_source_range(1, 10));
    spec.batch.timeout_s = 1;
    CHECK_SAYING(compare(&spec) == MUSTER_EINVALID && strstr(error.text, "time limit"), error.text);
}

static void interrupt_ends_the_comparison(void)
{
    struct compare_spec spec = spec_of("noop", muster_source_range(1, COMPARE_JOBS_MAX));

    spec.batch.interrupt_fd = eventfd(1, EFD_CLOEXEC);
    CHECK_SAYING(spec.batch.interrupt_fd >= 0, error.text);
    CHECK_SAYING(compare(&spec) == MUSTER_ECANCELLED, error.text);
    close(spec.batch.interrupt_fd);
}

int main(void)
{
    static const struct check tests[] = {
#define TEST(name) {#name, name}
        TEST(every_model_gets_one_row_and_inline_is_first),
        TEST(inline_runs_even_when_it_was_not_named),
        TEST(jobs_that_fail_alike_are_counted_and_not_disputed),
        TEST(models_take_turns_and_a_stream_starts_over_for_each),
        TEST(disagreement_names_the_job_the_models_and_both_results),
        TEST(no_arguments_are_nothing_to_compare),
        TEST(models_that_ran_different_jobs_are_not_compared),
        TEST(what_cannot_be_compared_is_refused_before_it_runs),
        TEST(interrupt_ends_the_comparison),
#undef TEST
    };

    return check_all(tests, sizeof tests / sizeof *tests);
}
