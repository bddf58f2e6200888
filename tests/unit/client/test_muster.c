/* SPDX-License-Identifier: MIT
 *
 * The public entry: what is refused before anything runs, and what every model is given.
 */
#include "client/muster.h"
#include "proto/limits.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static muster *open_inline(void)
{
    struct muster_options options = {.model = MUSTER_INLINE};
    struct muster_error error = {.text = ""};
    muster *m = NULL;

    cr_assert_eq(muster_open(&options, &m, &error), 0, "%s", error.text);
    return m;
}

static int map_code(const struct muster_batch *batch, struct muster_error *ret_error)
{
    muster *m = open_inline();
    struct muster_summary summary;
    int code = muster_map(m, batch, &summary, ret_error);

    muster_close(m);
    return code;
}

Test(muster, every_model_has_a_word_that_is_parsed_back)
{
    static const enum muster_model models[] = {MUSTER_INLINE, MUSTER_THREADS, MUSTER_GIL, MUSTER_LOOP,
                                               MUSTER_PROCESSES};
    struct muster_error error;

    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        enum muster_model model;

        cr_assert_eq(muster_model_parse(muster_model_name(models[i]), &model, &error), 0);
        cr_expect_eq(model, models[i]);
    }
}

Test(muster, unknown_model_is_refused_with_those_there_are)
{
    enum muster_model model = MUSTER_THREADS;
    struct muster_error error;

    cr_expect_eq(muster_model_parse("thread", &model, &error), MUSTER_EINVALID);
    cr_expect_str_eq(error.text, "no model 'thread'; there are: inline threads gil loop processes");
    cr_expect_eq(model, MUSTER_THREADS);
    cr_expect_null(muster_model_name((enum muster_model)99));
}

static int open_code(struct muster_options options, const char *expected)
{
    struct muster_error error = {.text = ""};
    muster *m = NULL;
    int code = muster_open(&options, &m, &error);

    cr_expect(strstr(error.text, expected), "'%s' lacks '%s'", error.text, expected);
    cr_expect_null(m);
    return code;
}

Test(muster, options_out_of_range_are_refused_with_their_value)
{
    cr_expect_eq(open_code((struct muster_options){.model = (enum muster_model)7}, "7"), MUSTER_EINVALID);
    cr_expect_eq(
        open_code((struct muster_options){.model = MUSTER_THREADS, .workers = 16385}, "16385 workers"),
        MUSTER_EINVALID);
    cr_expect_eq(open_code((struct muster_options){.crash_limit = 1001}, "1001"), MUSTER_EINVALID);
    cr_expect_eq(open_code((struct muster_options){.model = MUSTER_LOOP, .concurrency = 20001}, "20001"),
                 MUSTER_EINVALID);
    cr_expect_eq(open_code((struct muster_options){.heartbeat_s = NAN}, "heartbeat"), MUSTER_EINVALID);
    cr_expect_eq(open_code((struct muster_options){.heartbeat_s = -1}, "heartbeat"), MUSTER_EINVALID);
    cr_expect_eq(open_code((struct muster_options){.heartbeat_s = 1e300}, "heartbeat"), MUSTER_EINVALID);
    cr_expect_eq(open_code((struct muster_options){.away_s = NAN}, "wait for a coordinator"),
                 MUSTER_EINVALID);
    cr_expect_eq(open_code((struct muster_options){.away_s = INFINITY}, "wait for a coordinator"),
                 MUSTER_EINVALID);
    cr_expect_eq(open_code((struct muster_options){.start = (enum muster_start)9}, "number 9"),
                 MUSTER_EINVALID);
    cr_expect_eq(open_code((struct muster_options){.transport = (enum muster_transport)9}, "number 9"),
                 MUSTER_EINVALID);
    cr_expect_eq(open_code((struct muster_options){.plugin_count = 1}, "none given"), MUSTER_EINVALID);
}

Test(muster, memory_limit_that_no_worker_can_start_under_is_refused)
{
    cr_expect_eq(open_code((struct muster_options){.model = MUSTER_PROCESSES, .memory_bytes = (64 << 20) - 1},
                           "at least 64 MiB"),
                 MUSTER_EINVALID);
}

Test(muster, memory_limit_without_processes_is_refused_with_the_reason)
{
    cr_expect_eq(open_code((struct muster_options){.model = MUSTER_THREADS, .memory_bytes = 1 << 30},
                           "'threads' jobs share the memory"),
                 MUSTER_EINVALID);
}

Test(muster, missing_plugin_leaves_nothing_open)
{
    static const char *const plugins[] = {"/nonexistent/plugin.so"};

    cr_expect_neq(
        open_code((struct muster_options){.model = MUSTER_INLINE, .plugins = plugins, .plugin_count = 1},
                  "/nonexistent/plugin.so"),
        0);
}

Test(muster, time_limit_without_processes_is_refused_with_the_reason)
{
    struct muster_batch batch = {.function = "noop", .source = muster_source_range(1, 1), .timeout_s = 1};
    struct muster_error error;

    cr_expect_eq(map_code(&batch, &error), MUSTER_EINVALID);
    cr_expect(strstr(error.text, "'inline' a job cannot be ended"), "%s", error.text);
}

Test(muster, batch_fields_out_of_range_are_refused)
{
    struct muster_batch good = {.function = "noop", .source = muster_source_range(1, 1)}, batch;
    struct muster_error error;

    cr_expect_eq(map_code(&good, &error), 0);
    batch = good, batch.function = NULL;
    cr_expect_eq(map_code(&batch, &error), MUSTER_EINVALID);
    batch = good, batch.source.first = 2;
    cr_expect_eq(map_code(&batch, &error), MUSTER_EINVALID);
    batch = good, batch.source = muster_source_range(INT64_MIN, INT64_MAX);
    cr_expect_eq(map_code(&batch, &error), MUSTER_ELIMIT);
    batch = good, batch.source.kind = MUSTER_SOURCE_STREAM;
    cr_expect_eq(map_code(&batch, &error), MUSTER_EINVALID);
    batch = good, batch.source.kind = (enum muster_source_kind)5;
    cr_expect_eq(map_code(&batch, &error), MUSTER_EINVALID);
    batch = good, batch.chunk_jobs = PROTO_CHUNK_JOBS_MAX + 1;
    cr_expect_eq(map_code(&batch, &error), MUSTER_EINVALID);
    batch = good, batch.retries = PROTO_RETRIES_MAX + 1;
    cr_expect_eq(map_code(&batch, &error), MUSTER_EINVALID);
    batch = good, batch.timeout_s = INFINITY;
    cr_expect_eq(map_code(&batch, &error), MUSTER_EINVALID);
    batch = good, batch.backoff_s = NAN;
    cr_expect_eq(map_code(&batch, &error), MUSTER_EINVALID);
    batch = good, batch.backoff_s = 3601;
    cr_expect_eq(map_code(&batch, &error), MUSTER_EINVALID);
    batch = good, batch.priority = -PROTO_PRIORITY_MAX - 1;
    cr_expect_eq(map_code(&batch, &error), MUSTER_EINVALID);
    batch = good, batch.cpus = PROTO_WORKERS_MAX + 1;
    cr_expect_eq(map_code(&batch, &error), MUSTER_EINVALID);
}

Test(muster, unknown_function_is_refused_with_the_nearest_name)
{
    struct muster_batch batch = {.function = "is_prim", .source = muster_source_range(1, 1)};
    struct muster_error error;

    cr_expect_eq(map_code(&batch, &error), MUSTER_ENOTFOUND);
    cr_expect(strstr(error.text, "is_prime"), "%s", error.text);
}

Test(muster, batch_without_callbacks_is_counted_and_timed)
{
    struct muster_batch batch = {.function = "noop", .source = muster_source_range(1, 1000)};
    struct muster_summary summary = {.jobs = 0};
    struct muster_error error;
    muster *m = open_inline();

    cr_assert_eq(muster_map(m, &batch, &summary, &error), 0);
    cr_expect_eq(summary.jobs, 1000);
    cr_expect_eq(summary.succeeded, 1000);
    cr_expect_eq(summary.workers, 1);
    cr_expect_gt(summary.wall_ns, 0);
    cr_expect_gt(summary.cpu_ns, 0);
    cr_expect_geq(summary.wall_ns, summary.execute_ns);
    cr_expect_eq(muster_map(m, &batch, NULL, NULL), 0);
    muster_close(m);
    muster_close(NULL);
}

Test(muster, jobs_that_wait_are_counted_as_voluntary_switches)
{
    struct muster_batch batch = {.function = "request", .source = muster_source_range(1, 1)};
    struct muster_summary summary = {.jobs = 0};
    struct muster_error error;
    muster *m = open_inline();

    cr_assert_eq(muster_map(m, &batch, &summary, &error), 0);
    cr_expect_geq(summary.voluntary_switches, 1);
    muster_close(m);
}

Test(muster, this_process_may_use_a_core)
{
    cr_expect_geq(muster_cores(), 1);
}
