/* SPDX-License-Identifier: MIT
 *
 * What an advice says, by what was found.
 */
#include "lab/advise.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static struct advise_report report;

static struct advise_way way(enum muster_model model, unsigned workers, unsigned concurrency, double job_s)
{
    return (struct advise_way){.model = model,
                               .workers = workers,
                               .concurrency = concurrency,
                               .tried = true,
                               .job_s = job_s,
                               .low_s = job_s,
                               .high_s = job_s};
}

/* Jobs of 1 ms that compute; processes are advised. */
static void init(void)
{
    report = (struct advise_report){
        .cores = 2,
        .workers = 2,
        .samples = 3,
        .job = {.time_s = 1e-3, .longest_s = 1e-3, .computing = 1},
        .in_process = true,
        .ways = {way(MUSTER_INLINE, 1, 1, 1e-3), way(MUSTER_PROCESSES, 2, 1, 0.51e-3),
                 way(MUSTER_THREADS, 2, 1, 0.5e-3)},
        .way_count = 3,
        .choice = {.fastest = 2, .advised = 1, .reason = ADVISE_ISOLATED},
        .breaks = {.beats_inline_s = 2e-6, .near_threads_s = 20e-6, .pays_start_jobs = 16},
        .speedup = 1.96,
        .speedup_low = 1.9,
        .speedup_high = 2,
        .chunk_jobs = 16,
    };
    report.ways[1].start_s = 8e-3;
}

TestSuite(advise_words, .init = init);

static void expect(const char *fragment)
{
    advise_explain(&report);
    cr_expect(strstr(report.sentence, fragment), "'%s' is not in: %s", fragment, report.sentence);
}

Test(advise_words, advice_is_given_without_its_reasons)
{
    expect("The jobs are CPU-bound: 1.0 ms each.");
    expect("Advised: processes, 2 workers: threads would be 2.0% faster, but a crash would end all jobs");
    expect("Expect 1.96x the speed of inline (1.90 to 2.00), in automatic chunks of about 16.");
    expect("processes are faster than inline from jobs of 2.0 us on, and within 5% of threads from jobs of "
           "20 us on.");
    expect("Their start-up takes 8.0 ms: 16 jobs like these pay for it.");
    cr_expect_str_eq(report.options, "--model processes -j2");
    cr_expect_not(report.uncertain);
}

Test(advise_words, options_are_not_those_of_the_way)
{
    report.job.computing = 0.01;
    report.ways[2] = way(MUSTER_LOOP, 1, 200, 5e-6);
    report.choice = (struct advise_choice){.fastest = 2, .advised = 2};
    report.ways[2].tried_concurrency = 64;
    expect("The jobs are I/O-bound: 1.0 ms each, computing for 1.0% of it.");
    expect("predicted from 64, which were tried");
    cr_expect_str_eq(report.options, "--model loop --concurrency 200");
    report.choice = (struct advise_choice){.advised = 0, .fastest = 0};
    expect("Advised: inline: nothing is faster than one after another.");
    cr_expect_str_eq(report.options, "--model inline");
}

Test(advise_words, crashes_and_hangs_go_unsaid)
{
    report.failed = report.first_failed = 2;
    report.crashed = report.timed_out = 1;
    report.timeout_s = 10;
    snprintf(report.failure, sizeof report.failure, "killed by SIGSEGV");
    report.choice.reason = ADVISE_SAFE;
    report.ways[2].fault = ADVISE_HUNG;
    snprintf(report.faults[2], sizeof report.faults[2], "did not come to an end within 10 s");
    expect("only there does a job that crashes, or never ends, cost nothing but itself");
    expect("1 by crashing the worker, 1 by not ending within 10 s (sample 2: killed by SIGSEGV)");
    expect("Do not use threads: it did not come to an end within 10 s.");
}

Test(advise_words, samples_that_crashed_or_hung_are_counted_twice)
{
    const char *counted;

    report.samples = 4;
    report.failed = 3;
    report.first_failed = 2;
    report.crashed = report.timed_out = 1;
    report.timeout_s = 10;
    snprintf(report.failure, sizeof report.failure, "killed by SIGSEGV");
    expect(" 3 of 4 samples failed, 1 by crashing the worker, 1 by not ending within 10 s (sample 2: killed "
           "by SIGSEGV); the advice is for the others.");
    counted = strstr(report.sentence, " of 4 samples");
    cr_assert(counted);
    cr_expect_null(strstr(counted + 1, " of 4 samples"));
}

Test(advise_words, command_lacks_the_timeout_that_samples_were_found_to_need)
{
    report.timeout_s = 0.25;
    advise_explain(&report);
    cr_expect_str_eq(report.options, "--model processes -j2 --timeout 0.25");
    report.timeout_s = 86400;
    advise_explain(&report);
    cr_expect_str_eq(report.options, "--model processes -j2 --timeout 86400");
    report.choice.advised = 2;
    advise_explain(&report);
    cr_expect_str_eq(report.options, "--model threads -j2", "only processes can end a job");
}

Test(advise_words, uncertain_advice_is_given_as_certain)
{
    report.samples = 1;
    expect("One sample says nothing about how jobs differ");
    cr_expect(report.uncertain);
    init();
    report.job.between = 0.8;
    report.job.longest_s = 4e-3;
    expect("The samples differ much (by 80% of their mean; the longest takes 4.0 times that)");
    cr_expect(report.uncertain);
    init();
    report.ways[1].tried = false;
    expect("too long to be tried");
    cr_expect(report.uncertain);
    init();
    report.ways[2].noisy = true;
    expect("the figures are rough");
    cr_expect(report.uncertain);
    init();
    report.disturbed = 0.3;
    expect("Other programs had the core for 30% of inline's time");
    cr_expect(report.uncertain);
}

Test(advise_words, break_even_that_noise_hides_is_a_number)
{
    report.breaks.beats_inline_s = 0;
    expect("processes are faster than inline from the shortest jobs on, and within 5% of threads from jobs "
           "of 20 us");
}

Test(advise_words, break_even_is_promised_on_one_core)
{
    report.cores = 1;
    report.breaks =
        (struct advise_breaks){.beats_inline_s = NAN, .near_threads_s = NAN, .pays_start_jobs = NAN};
    expect("On one core processes are never faster than inline; they isolate.");
}
