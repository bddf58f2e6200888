/* SPDX-License-Identifier: MIT
 *
 * Reports as a table and as a document.
 */
#include "cli/advise_report.h"
#include "cli/report.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

static const uint64_t MS = 1000000;

static struct compare_report report;
static struct output output;

static void start(void)
{
    output_init(&output, STDOUT_FILENO, "standard output", OUTPUT_TEXT);
    report = (struct compare_report){.count = 2, .cores = 2, .computing = 1, .sentence = "It is so."};
    report.rows[0] = (struct compare_row){.model = MUSTER_INLINE,
                                          .workers = 1,
                                          .concurrency = 1,
                                          .jobs = 1,
                                          .wall_s = 2,
                                          .cpu_s = 2,
                                          .speedup = 1,
                                          .ideal_speedup = 1,
                                          .efficiency = 1};
    report.rows[1] = report.rows[0];
    report.rows[1].model = MUSTER_PROCESSES;
    report.rows[1].concurrency = 100;
    report.rows[1].overhead_us_per_job = -1500;
    report.rows[1].voluntary_switches = UINT64_MAX;
    report.rows[1].involuntary_switches = 123456;
}

static void end(void)
{
    compare_report_fini(&report);
    output_fini(&output);
}

TestSuite(report, .init = start, .fini = end);

static const char *print(unsigned rounds)
{
    cr_assert_eq(report_table(&report, "fib", rounds, &output), 0);
    cr_assert_eq(output_text(&output, "%c", '\0'), 0);
    return output.buffer.data;
}

Test(report, table_names_what_ran_and_how)
{
    const char *text = print(1);

    cr_expect(strstr(text, "1 job of fib, 2 cores, one round\n\nmodel "), "%s", text);
    cr_expect(strstr(text, "\n\nIt is so.\n"), "%s", text);
    cr_expect(strstr(text, "\nprocesses x100 "), "%s", text);
}

Test(report, numbers_of_any_size_fit_their_columns)
{
    const char *text = print(3);

    cr_expect(strstr(text, "the median of 3 rounds"), "%s", text);
    cr_expect(strstr(text, " -1.50 ms "), "%s", text);
    cr_expect(strstr(text, " 18446744073710M "), "%s", text);
    cr_expect(strstr(text, " 123k "), "%s", text);
}

Test(report, document_has_no_timelines_that_were_not_drawn)
{
    json_t *document = report_document(&report, "fib", 3), *row;

    cr_assert_not_null(document);
    row = json_array_get(json_object_get(document, "rows"), 1);
    cr_expect_str_eq(json_string_value(json_object_get(row, "name")), "processes x100");
    cr_expect_str_eq(json_string_value(json_object_get(row, "model")), "processes");
    cr_expect_null(json_object_get(row, "timeline"));
    json_decref(document);
}

Test(report, lanes_are_as_long_as_their_model_ran)
{
    json_t *document, *timeline, *lane;
    double part_s;

    for (size_t i = 0; i < 2; i++) {
        report.rows[i].timeline = timeline_create(1, 1);
        report.rows[i].timeline->wall_ns = 200 * MS / (i + 1);
        timeline_add(report.rows[i].timeline, 1, 1, 100 * MS, 50 * MS);
    }
    document = report_document(&report, "fib", 3);
    cr_assert_not_null(document);
    for (size_t i = 0; i < 2; i++) {
        timeline = json_object_get(json_array_get(json_object_get(document, "rows"), i), "timeline");
        lane = json_array_get(json_object_get(timeline, "lanes"), 0);
        part_s = json_real_value(json_object_get(timeline, "part_s"));
        cr_expect_str_eq(json_string_value(json_object_get(lane, "label")), "1");
        cr_expect_eq(json_array_size(json_object_get(lane, "computing")), i ? 150 : 300);
        cr_expect_eq(json_array_size(json_object_get(lane, "waiting")), i ? 150 : 300);
        cr_expect_float_eq(part_s * 300, 0.2, 1e-9);
        cr_expect_float_eq(json_real_value(json_array_get(json_object_get(lane, "waiting"), 75)), 0.5, 0.01);
    }
    json_decref(document);
}

Test(report, error_that_is_no_text_leaves_the_document_whole)
{
    json_t *document, *failure;

    report.failure_count = 1;
    strcpy(report.failures[0].text, "bytes \xff and \xc3"); /* the last one is cut in two */
    document = report_document(&report, "fib", 3);
    cr_assert_not_null(document);
    failure = json_array_get(json_object_get(document, "failures"), 0);
    cr_expect_str_eq(json_string_value(json_object_get(failure, "error")),
                     "bytes \xef\xbf\xbd and \xef\xbf\xbd");
    json_decref(document);
}

static const char mended[] = "bytes \xef\xbf\xbd and \xef\xbf\xbd";

Test(report, what_a_peer_says_leaves_the_document_of_bench_whole)
{
    struct bench_figure figures[2] = {{.figure = "a"}, {.figure = "b", .measured = true, .value = 1}};
    struct bench_report bench = {.figures = figures, .figure_count = 2};
    json_t *document;

    strcpy(figures[0].note, "bytes \xff and \xc3");
    strcpy(figures[1].note, figures[0].note);
    strcpy(bench.sentence, figures[0].note);
    document = report_bench_document(&bench);
    cr_assert_not_null(document);
    for (size_t i = 0; i < 2; i++)
        cr_expect_str_eq(json_string_value(json_object_get(
                             json_array_get(json_object_get(document, "figures"), i), "note")),
                         mended);
    cr_expect_str_eq(json_string_value(json_object_get(document, "sentence")), mended);
    json_decref(document);
}

Test(report, folder_whose_name_is_no_text_leaves_the_document_of_the_ladder_whole)
{
    static struct ladder_report ladder;
    json_t *document;

    strcpy(ladder.figures[0].note, "bytes \xff and \xc3");
    ladder.figures[1].measured = true;
    strcpy(ladder.figures[1].note, ladder.figures[0].note);
    document = report_ladder_document(&ladder);
    cr_assert_not_null(document);
    for (size_t i = 0; i < 2; i++)
        cr_expect_str_eq(json_string_value(json_object_get(
                             json_array_get(json_object_get(document, "figures"), i), "note")),
                         mended);
    json_decref(document);
}

Test(report, fault_of_a_model_that_is_no_text_leaves_the_document_of_advice_whole)
{
    static struct advise_report advice;
    json_t *document;

    advice.way_count = 1;
    strcpy(advice.sentence, "bytes \xff and \xc3");
    document = advise_report_document(&advice, "fib");
    cr_assert_not_null(document);
    cr_expect_str_eq(json_string_value(json_object_get(document, "sentence")), mended);
    json_decref(document);
}
