/* SPDX-License-Identifier: MIT
 *
 * Timelines as text: lanes to one scale, shares as columns, and what the reader's terminal can
 * show.
 */
#include "cli/draw.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WIDTH = 49 };

static const uint64_t MS = 1000000;
static const struct draw_style plain = {.width = WIDTH};

static struct compare_report report;
static struct output output;

/* Appends a row with a timeline of `wall_ms`; `lanes` 0: a lane for each job under way. */
static struct timeline *add_row(enum muster_model model, unsigned workers, unsigned lanes, uint64_t wall_ms)
{
    struct compare_row *row = &report.rows[report.count++];

    *row = (struct compare_row){.model = model, .workers = workers, .concurrency = lanes ? 1 : 50};
    row->timeline = timeline_create(lanes, 1);
    cr_assert_not_null(row->timeline);
    row->timeline->wall_ns = wall_ms * MS;
    return row->timeline;
}

static const char *draw(const struct draw_style *style)
{
    cr_assert_eq(draw_timelines(&report, style, &output), 0);
    cr_assert_eq(output_text(&output, "%c", '\0'), 0);
    return output.buffer.data;
}

static void start(void)
{
    output_init(&output, STDOUT_FILENO, "standard output", OUTPUT_TEXT);
}

static void end(void)
{
    compare_report_fini(&report);
    output_fini(&output);
}

TestSuite(draw, .init = start, .fini = end);

Test(draw, models_have_one_scale_and_end_where_they_ended)
{
    struct timeline *one = add_row(MUSTER_INLINE, 1, 1, 40), *two = add_row(MUSTER_THREADS, 2, 2, 20);
    const char *text;

    timeline_add(one, 1, 1, 40 * MS, 40 * MS);
    timeline_add(two, 1, 1, 20 * MS, 20 * MS);
    timeline_add(two, 2, 1 + 10 * MS, 10 * MS, 0);
    text = draw(&plain);
    cr_expect(strstr(text, "\ninline: 40.00 ms, computing 100%, waiting 0%, idle 0%\n"
                           "       1 ########################################\n"
                           "threads: 20.00 ms, computing 50%, waiting 25%, idle 25%\n"
                           "       1 ####################\n"
                           "       2 ..........----------\n"
                           "         0                               40.00 ms\n"),
              "%s", text);
    cr_expect(strstr(text, "# computing   - waiting, also for a core or a lock   . idle\n"), "%s", text);
}

Test(draw, workers_that_hand_one_lock_over_take_turns)
{
    struct timeline *timeline = add_row(MUSTER_THREADS, 2, 2, 40);
    const char *text;

    timeline_add(timeline, 1, 1, 40 * MS, 20 * MS);
    timeline_add(timeline, 2, 1, 40 * MS, 20 * MS);
    text = draw(&plain);
    cr_expect(strstr(text, " 1 #-#-#-#-#-#-"), "%s", text);
    cr_expect(strstr(text, " 2 -#-#-#-#-#-#"), "%s", text);
}

Test(draw, rest_says_how_many_jobs_or_workers_it_stands_for)
{
    struct timeline *coroutines = add_row(MUSTER_PROCESSES, 1, 0, 40);
    struct timeline *many = add_row(MUSTER_THREADS, 20, 20, 40);
    const char *text;

    for (unsigned i = 0; i < 1000; i++)
        timeline_add(coroutines, 1, 1, 40 * MS, 0);
    for (unsigned worker = 1; worker <= 20; worker++)
        timeline_add(many, worker, 1, 40 * MS, 0);
    text = draw(&plain);
    cr_expect(strstr(text, "processes x50: 40.00 ms, computing 0%, 1000.0 jobs under way at once\n"), "%s",
              text);
    cr_expect(strstr(text, "\n    +984 ----------------------------------------\n"), "%s", text);
    cr_expect(strstr(text, "\n      +4 ----------------------------------------\n"), "%s", text);
}

Test(draw, timeline_without_times_says_so)
{
    struct timeline *timeline = add_row(MUSTER_THREADS, 2, 2, 40);
    const char *text;

    timeline_add(timeline, 1, 0, 40 * MS, 40 * MS);
    text = draw(&plain);
    cr_expect(strstr(text, "when its jobs ran is not known\n"), "%s", text);
}

Test(draw, run_of_no_time_draws_nothing_and_divides_by_nothing)
{
    struct timeline *timeline = add_row(MUSTER_INLINE, 1, 1, 0);

    timeline_add(timeline, 1, 1, 0, 0);
    cr_expect(strstr(draw(&plain), "inline: 0.00 us, computing 0%, waiting 0%, idle 100%\n       1 \n"));
}

Test(draw, colours_and_blocks_only_where_they_can_be_shown)
{
    struct draw_style style = {.width = WIDTH, .utf8 = true, .coloured = true};
    const char *text;

    timeline_add(add_row(MUSTER_INLINE, 1, 1, 40), 1, 1, 40 * MS, 40 * MS);
    text = draw(&style);
    cr_expect(strstr(text, "\033[34m\u2588\u2588"), "%s", text);
    output_fini(&output);
    start();
    cr_expect_null(strchr(draw(&plain), '\033'));
    for (const char *at = output.buffer.data; *at; at++)
        cr_assert((unsigned char)*at < 0x80, "%s", output.buffer.data);
}

Test(draw, style_follows_the_environment)
{
    struct draw_style style;
    int ends[2];

    cr_assert_eq(pipe(ends), 0);
    setenv("LC_ALL", "C", 1);
    setenv("COLUMNS", "123", 1);
    style = draw_style_of(ends[1]);
    cr_expect_eq(style.width, 123);
    cr_expect_not(style.utf8);
    cr_expect_not(style.coloured);
    setenv("LC_ALL", "C.UTF-8", 1);
    setenv("COLUMNS", "1000000000000", 1);
    style = draw_style_of(ends[1]);
    cr_expect_leq(style.width, 400);
    cr_expect(style.utf8);
    setenv("COLUMNS", "-3", 1);
    cr_expect_eq(draw_style_of(ends[1]).width, 80);
    unsetenv("COLUMNS");
    cr_expect_eq(draw_style_of(ends[1]).width, 80);
}
