/* SPDX-License-Identifier: MIT
 *
 * What is said of a comparison, for every way it can turn out.
 */
#include "lab/verdict.h"

#include <criterion/criterion.h>
#include <string.h>

static struct compare_report report;

/* Starts a report with inline; its jobs compute for this part of their time. */
static void start(uint64_t jobs, double wall_s, double computing, unsigned cores)
{
    report = (struct compare_report){.count = 1, .cores = cores, .computing = computing};
    report.rows[0] = (struct compare_row){.model = MUSTER_INLINE,
                                          .workers = 1,
                                          .concurrency = 1,
                                          .jobs = jobs,
                                          .wall_s = wall_s,
                                          .speedup = 1,
                                          .efficiency = 1};
}

static struct compare_row *add(enum muster_model model, unsigned workers, double wall_s)
{
    const struct compare_row *baseline = &report.rows[0];
    struct compare_row *row = &report.rows[report.count++];
    unsigned used = workers < report.cores ? workers : report.cores;

    *row = (struct compare_row){.model = model, .workers = workers, .concurrency = 1, .wall_s = wall_s};
    row->jobs = baseline->jobs;
    row->speedup = baseline->wall_s / wall_s;
    row->efficiency = row->speedup / used;
    row->overhead_us_per_job = (wall_s * used - baseline->wall_s) / (double)row->jobs * 1e6;
    return row;
}

static void expect(const char *sentence)
{
    verdict_write(&report);
    cr_expect_str_eq(report.sentence, sentence);
}

static void expect_said(const char *part)
{
    verdict_write(&report);
    cr_expect(strstr(report.sentence, part), "'%s' is not in: %s", part, report.sentence);
}

static void expect_not_said(const char *part)
{
    verdict_write(&report);
    cr_expect_not(strstr(report.sentence, part), "'%s' is in: %s", part, report.sentence);
}

/* --- jobs that compute */

Test(verdict, computing_jobs_under_every_model)
{
    start(1000, 1.0, 1, 2);
    add(MUSTER_THREADS, 2, 0.505);
    add(MUSTER_GIL, 2, 1.03);
    add(MUSTER_LOOP, 1, 1.01)->concurrency = 10000;
    add(MUSTER_PROCESSES, 2, 0.51);
    expect("threads ran the 1,000 jobs fastest, 1.98x as fast as inline on 2 workers, gil 0.97x, loop 0.99x, "
           "processes 1.96x; the process boundary cost 10 us a job, 1.0% of a 1.0 ms job. The jobs are "
           "CPU-bound. Threads help, as no lock holds them back; under an interpreter lock (gil) one thread "
           "computes at a time, and only processes help. An event loop has one thread to compute with, and "
           "does not help.");
}

Test(verdict, faster_processes_are_no_negative_boundary)
{
    start(1000000, 10, 1, 2);
    add(MUSTER_THREADS, 2, 5.5);
    add(MUSTER_PROCESSES, 2, 5.1);
    expect_said(
        "processes ran the 1,000,000 jobs fastest, 1.96x as fast as inline on 2 workers, threads 1.82x; "
        "the process boundary cost nothing that could be measured.");
}

Test(verdict, processes_alone_are_charged_for_all_they_do)
{
    start(1000, 1.0, 1, 2);
    add(MUSTER_PROCESSES, 2, 0.51);
    expect("processes ran the 1,000 jobs fastest, 1.96x as fast as inline on 2 workers; dispatch, "
           "serialization and waiting cost 20 us a job, 2.0% of a 1.0 ms job. The jobs are CPU-bound.");
}

Test(verdict, threads_alone_serialize_nothing)
{
    start(1000, 1.0, 1, 2);
    add(MUSTER_THREADS, 2, 0.51);
    expect(
        "threads ran the 1,000 jobs fastest, 1.96x as fast as inline on 2 workers; dispatch and waiting cost "
        "20 us a job, 2.0% of a 1.0 ms job. The jobs are CPU-bound. Threads help: they share nothing that "
        "holds them back.");
}

Test(verdict, lock_alone_is_said_to_hold_threads_back)
{
    start(1000, 1.0, 1, 2);
    add(MUSTER_GIL, 2, 1.02);
    expect(
        "inline ran the 1,000 jobs fastest; gil 0.98x as fast on 2 workers. The jobs are CPU-bound. Under an "
        "interpreter lock (gil) one thread computes at a time.");
}

Test(verdict, threads_that_share_something_leave_processes)
{
    start(1000, 1.0, 1, 2);
    add(MUSTER_THREADS, 2, 0.99);
    add(MUSTER_GIL, 2, 1.05);
    add(MUSTER_PROCESSES, 2, 0.52);
    expect_said(
        " Under an interpreter lock (gil) one thread computes at a time, and only processes help. Only "
        "processes help even without that lock: threads wait for something they share");
}

Test(verdict, jobs_too_short_for_processes_are_said_to_be)
{
    start(100000, 10e-3, 1, 2);
    add(MUSTER_THREADS, 2, 6e-3);
    add(MUSTER_PROCESSES, 2, 40e-3);
    expect_said("threads ran the 100,000 jobs fastest, 1.67x");
    expect_said("the process boundary cost 680 ns a job, 680% of a 100 ns job.");
    expect_said(" Jobs of 100 ns, or so few of them, are too short for processes to pay.");
}

Test(verdict, jobs_too_short_for_anything_are_said_to_be)
{
    start(1000, 25e-6, 1, 2);
    add(MUSTER_THREADS, 2, 60e-6);
    add(MUSTER_PROCESSES, 2, 400e-6);
    expect_said("inline ran the 1,000 jobs fastest; threads 0.42x as fast on 2 workers, processes 0.06x");
    expect_said(" Jobs of 25 ns are too short to pay in parallel.");
    expect_said(" All of it took inline 25 us: more jobs would tell more.");
}

Test(verdict, long_jobs_that_do_not_scale_are_not_called_short)
{
    start(1000, 1.0, 1, 2);
    add(MUSTER_THREADS, 2, 0.99);
    add(MUSTER_PROCESSES, 2, 1.01);
    expect_said("More workers did not pay");
    expect_not_said("short");
    expect_not_said("more jobs would tell more");
}

Test(verdict, one_job_one_worker_and_one_core_explain_themselves)
{
    start(1, 1.0, 1, 2);
    add(MUSTER_THREADS, 2, 1.01);
    expect_said("the 1 job fastest");
    expect_said(" One job cannot run in parallel.");
    start(10, 1.0, 1, 2);
    add(MUSTER_THREADS, 1, 1.01);
    expect_said("on 1 worker;");
    expect_said(" One worker cannot run two jobs at once.");
    start(10, 1.0, 1, 1);
    add(MUSTER_THREADS, 4, 1.01);
    expect_said("on 4 workers and 1 core;");
    expect_said(" One core cannot compute two jobs at once.");
    expect_said(" 4 workers cannot compute more than 1 core can: threads took turns");
}

Test(verdict, workers_beyond_the_cores_take_turns)
{
    start(1000, 1.0, 1, 2);
    add(MUSTER_THREADS, 8, 0.52)->involuntary_switches = 321;
    expect_said(
        " 8 workers cannot compute more than 2 cores can: threads took turns, preempted 321 times, and "
        "reached 96% of what the cores can do.");
    start(1000, 1.0, 1, 2);
    add(MUSTER_THREADS, 8, 0.52)->involuntary_switches = 1;
    expect_said(" preempted 1 time, and");
}

/* --- jobs that wait */

Test(verdict, waiting_jobs_under_every_model)
{
    start(3, 3.003, 0.0004, 2);
    add(MUSTER_THREADS, 3, 1.002);
    add(MUSTER_GIL, 3, 1.003);
    add(MUSTER_LOOP, 1, 1.001)->concurrency = 10000;
    add(MUSTER_PROCESSES, 3, 1.004);
    expect("loop ran the 3 jobs fastest, 3.00x as fast as inline on 1 worker, threads 3.00x, gil 2.99x, "
           "processes 2.99x; the process boundary cost 1.3 ms a job, 0.1% of a 1.0 s job. The jobs are "
           "I/O-bound: they wait nearly all the time. An event loop is enough: its one thread waits for all "
           "of them at once. Threads help as far as they go, each waiting for one job, also under an "
           "interpreter lock (gil), which is free meanwhile. 3 workers on 2 cores paid: while some wait, "
           "others compute.");
}

Test(verdict, loop_that_computes_too_much_is_not_called_enough)
{
    start(1000, 10.0, 0.3, 2);
    add(MUSTER_LOOP, 1, 3.1)->concurrency = 10000;
    add(MUSTER_PROCESSES, 2, 1.6)->concurrency = 100;
    expect_said(
        "processes x100 ran the 1,000 jobs fastest, 6.25x as fast as inline on 2 workers, loop 3.23x. The "
        "jobs are I/O-bound: they wait 70% of their time. An event loop helps, but its one thread is not "
        "enough for what they compute. Processes of 100 coroutines each wait for many jobs and compute on "
        "every core.");
}

Test(verdict, boundary_is_not_told_from_models_that_wait_for_more_at_once)
{
    start(1000, 10.0, 0.1, 2);
    add(MUSTER_THREADS, 2, 5.0);
    add(MUSTER_PROCESSES, 2, 1.0)->concurrency = 100;
    expect_not_said("boundary");
}

Test(verdict, jobs_that_do_both_are_said_to)
{
    start(100, 1.0, 0.7, 2);
    add(MUSTER_THREADS, 2, 0.5);
    add(MUSTER_LOOP, 1, 0.72);
    expect_said(" The jobs compute 70% of their time and wait for the rest. Threads help");
    expect_said(" An event loop helps, as far as they wait.");
}

/* --- doubts */

Test(verdict, failures_are_not_passed_over)
{
    start(10, 1.0, 1, 2);
    add(MUSTER_THREADS, 2, 0.5);
    report.rows[0].failed = 10;
    expect_said(" All jobs failed: what was compared is how they fail.");
    report.rows[0].failed = 5;
    expect_said(" 50% of the jobs failed, which may have cut their work short.");
    report.rows[0].failed = 0;
    expect_not_said("fail");
}

Test(verdict, busy_machine_is_said_to_blur_the_figures)
{
    start(10, 1.0, 1, 2);
    add(MUSTER_THREADS, 2, 0.5);
    report.rows[0].delay_s = 0.2;
    expect_said(" Other programs had the core for 20% of inline's time: these figures are rough.");
    expect_said(" Threads help");
    report.rows[0].delay_s = 0.05;
    expect_not_said("Other programs had");
}

Test(verdict, figures_that_say_little_are_not_explained)
{
    start(10, 1.0, 1, 2);
    add(MUSTER_THREADS, 2, 1.1);
    add(MUSTER_GIL, 2, 1.2);
    add(MUSTER_PROCESSES, 2, 0.4);
    report.rows[0].delay_s = 0.6;
    expect_said(
        " Other programs had the core for 60% of inline's time: these figures say little; more jobs, or a "
        "quiet machine, would tell more.");
    expect_not_said("help");
}

Test(verdict, rounds_that_differ_are_said_to_and_not_explained)
{
    start(10, 1.0, 1, 2);
    add(MUSTER_THREADS, 2, 0.5)->spread = 0.15;
    add(MUSTER_PROCESSES, 2, 0.5)->spread = 0.05;
    expect_said(" Threads help");
    expect_said(" Rounds of threads differ by 15%: these figures are rough.");
    report.rows[2].spread = 0.8;
    expect_said(" Rounds of processes differ by 80%: these figures say little; more jobs, or a quiet "
                "machine, would tell more.");
    expect_not_said("help");
}

Test(verdict, noise_does_not_free_the_lock)
{
    start(1000, 1.0, 1, 2);
    add(MUSTER_THREADS, 2, 0.5);
    add(MUSTER_GIL, 2, 0.93);
    add(MUSTER_LOOP, 1, 0.94);
    expect_said(
        " under an interpreter lock (gil) one thread computes at a time. An event loop has one thread");
}

Test(verdict, coroutines_that_gain_nothing_get_no_credit)
{
    start(1000, 10.0, 0.1, 2);
    add(MUSTER_LOOP, 1, 1.0)->concurrency = 10000;
    add(MUSTER_PROCESSES, 2, 5.0)->concurrency = 100;
    expect_not_said("coroutines");
}

Test(verdict, inline_alone_has_nothing_to_be_compared_with)
{
    start(12345678, 1234567.8, 1, 2);
    expect(
        "inline ran the 12,345,678 jobs, 100 ms each; there was no other model to compare with. The jobs are "
        "CPU-bound.");
}

Test(verdict, longest_sentence_fits)
{
    start(UINT64_MAX, 1e-9, 0.3, 512);
    add(MUSTER_THREADS, 1024, 1e12);
    add(MUSTER_GIL, 1024, 1e12);
    add(MUSTER_LOOP, 1, 1e12);
    add(MUSTER_PROCESSES, 1024, 1e12)->concurrency = 20000;
    report.rows[0].failed = 1;
    report.rows[0].delay_s = 1e-9;
    verdict_write(&report);
    cr_expect_eq(report.sentence[strlen(report.sentence) - 1], '.', "%s", report.sentence);
    cr_expect_lt(strlen(report.sentence), COMPARE_SENTENCE_BYTES - 1);
}
