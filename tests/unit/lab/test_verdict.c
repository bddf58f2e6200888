/* SPDX-License-Identifier: MIT
 *
 * The sentence of a comparison for every way it can turn out.
 */
#include "lab/verdict.h"

#include <criterion/criterion.h>
#include <string.h>

/* A report of `jobs` jobs under inline and, where their time is not 0, threads and
 * processes, with two workers each. */
static struct compare_report report_of(uint64_t jobs, double inline_s, double threads_s, double processes_s,
                                       unsigned workers, unsigned cores)
{
    const struct {
        enum muster_model model;
        double wall_s;
    } runs[] = {{MUSTER_INLINE, inline_s}, {MUSTER_THREADS, threads_s}, {MUSTER_PROCESSES, processes_s}};
    struct compare_report report = {.count = 0};

    for (size_t i = 0; i < 3; i++) {
        struct compare_row *row = &report.rows[report.count];
        unsigned used;

        if (runs[i].wall_s == 0)
            continue;
        row->model = runs[i].model;
        row->workers = row->model == MUSTER_INLINE ? 1 : workers;
        used = row->workers < cores ? row->workers : cores;
        row->jobs = jobs;
        row->wall_s = runs[i].wall_s;
        row->speedup = inline_s / row->wall_s;
        row->overhead_us_per_job = (row->wall_s * used - inline_s) / (double)jobs * 1e6;
        report.count++;
    }
    report.cores = cores;
    verdict_write(&report);
    return report;
}

#define EXPECT_SENTENCE(report, expected)             \
    do {                                              \
        struct compare_report written = (report);     \
        cr_expect_str_eq(written.sentence, expected); \
    } while (0)

Test(verdict, boundary_is_what_processes_cost_beyond_threads)
{
    EXPECT_SENTENCE(
        report_of(1000, 1.0, 0.505, 0.51, 2, 2),
        "threads ran the 1,000 jobs fastest, 1.98x as fast as inline on 2 workers, processes 1.96x; "
        "the process boundary cost 10 us a job, 1.0% of a 1.0 ms job.");
}

Test(verdict, faster_processes_are_no_negative_boundary)
{
    EXPECT_SENTENCE(
        report_of(1000000, 10, 5.5, 5.1, 2, 2),
        "processes ran the 1,000,000 jobs fastest, 1.96x as fast as inline on 2 workers, threads 1.82x; "
        "the process boundary cost nothing that could be measured.");
}

Test(verdict, processes_alone_are_charged_for_all_they_do)
{
    EXPECT_SENTENCE(report_of(1000, 1.0, 0, 0.51, 2, 2),
                    "processes ran the 1,000 jobs fastest, 1.96x as fast as inline on 2 workers; dispatch, "
                    "serialization and waiting cost 20 us a job, 2.0% of a 1.0 ms job.");
}

Test(verdict, threads_alone_serialize_nothing)
{
    EXPECT_SENTENCE(report_of(1000, 1.0, 0.51, 0, 2, 2),
                    "threads ran the 1,000 jobs fastest, 1.96x as fast as inline on 2 workers; dispatch and "
                    "waiting cost 20 us a job, 2.0% of a 1.0 ms job.");
}

Test(verdict, jobs_too_short_for_processes_are_said_to_be)
{
    struct compare_report report = report_of(1000, 100e-6, 60e-6, 400e-6, 2, 2);

    cr_expect(strstr(report.sentence, "threads ran the 1,000 jobs fastest, 1.67x"), "%s", report.sentence);
    cr_expect(strstr(report.sentence, "the process boundary cost 680 ns a job, 680% of a 100 ns job"), "%s",
              report.sentence);
    cr_expect(
        strstr(report.sentence, "; jobs of 100 ns, or so few of them, are too short for processes to pay."),
        "%s", report.sentence);
}

Test(verdict, jobs_too_short_for_anything_are_said_to_be)
{
    struct compare_report report = report_of(1000, 25e-6, 60e-6, 400e-6, 2, 2);

    cr_expect(strstr(report.sentence,
                     "inline ran the 1,000 jobs fastest; threads 0.42x as fast on 2 workers, "
                     "processes 0.06x"),
              "%s", report.sentence);
    cr_expect(strstr(report.sentence, "; jobs of 25 ns are too short to pay in parallel."), "%s",
              report.sentence);
}

Test(verdict, long_jobs_that_do_not_scale_are_not_called_short)
{
    struct compare_report report = report_of(1000, 1.0, 0.99, 1.01, 2, 2);

    cr_expect(strstr(report.sentence, "more workers did not pay"), "%s", report.sentence);
    cr_expect_not(strstr(report.sentence, "too short"), "%s", report.sentence);
}

Test(verdict, one_job_and_one_core_explain_themselves)
{
    struct compare_report one_job = report_of(1, 1.0, 1.001, 1.01, 2, 2);
    struct compare_report one_worker = report_of(10, 1.0, 1.001, 1.01, 1, 2);
    struct compare_report one_core = report_of(10, 1.0, 1.001, 1.01, 4, 1);

    cr_expect(strstr(one_job.sentence, "the 1 job fastest"), "%s", one_job.sentence);
    cr_expect(strstr(one_job.sentence, "; one job cannot run in parallel."), "%s", one_job.sentence);
    cr_expect(strstr(one_worker.sentence, "on 1 worker,"), "%s", one_worker.sentence);
    cr_expect(strstr(one_worker.sentence, "; one worker cannot run two jobs at once."), "%s",
              one_worker.sentence);
    cr_expect(strstr(one_core.sentence, "on 4 workers and 1 core,"), "%s", one_core.sentence);
    cr_expect(strstr(one_core.sentence, "; one core cannot run two jobs at once."), "%s", one_core.sentence);
}

Test(verdict, inline_alone_has_nothing_to_be_compared_with)
{
    EXPECT_SENTENCE(report_of(12345678, 1234567.8, 0, 0, 2, 2),
                    "inline ran the 12,345,678 jobs, 100 ms each; there was no other model to compare with.");
}

Test(verdict, longest_sentence_fits)
{
    struct compare_report report = report_of(UINT64_MAX, 1e-9, 1e9, 1e12, 1024, 512);

    cr_expect_eq(report.sentence[strlen(report.sentence) - 1], '.', "%s", report.sentence);
}
