/* SPDX-License-Identifier: MIT
 *
 * From measured numbers to predictions, a choice and the break-even.
 */
#include "lab/advise_model.h"

#include <criterion/criterion.h>
#include <math.h>

#define EXPECT_NEAR(value, expected) cr_expect(is_near(value, expected), #value " is %g", (double)(value))

enum { CORES = 2 };

static bool is_near(double value, double expected)
{
    return fabs(value - expected) <= 1e-6 * fabs(expected);
}

static struct advise_job computing_job(double time_s)
{
    return (struct advise_job){.time_s = time_s, .longest_s = time_s, .computing = 1};
}

static struct advise_job waiting_job(double time_s, double computing)
{
    return (struct advise_job){.time_s = time_s, .longest_s = time_s, .computing = computing};
}

/* A way that was tried: wall time a job. */
static struct advise_way tried(enum muster_model model, unsigned workers, double job_s)
{
    return (struct advise_way){.model = model,
                               .workers = workers,
                               .concurrency = 1,
                               .tried = true,
                               .tried_concurrency = 1,
                               .tried_s = job_s,
                               .tried_low_s = job_s,
                               .tried_high_s = job_s,
                               .job_s = job_s,
                               .low_s = job_s,
                               .high_s = job_s};
}

/* Inline, processes and threads of jobs of 1 ms. */
static struct advise_choice choose(double processes_s, double threads_s, uint64_t jobs)
{
    struct advise_job job = computing_job(1e-3);
    struct advise_way ways[] = {tried(MUSTER_INLINE, 1, 1e-3), tried(MUSTER_PROCESSES, 2, processes_s),
                                tried(MUSTER_THREADS, 2, threads_s)};

    ways[1].start_s = 8e-3;
    return advise_choose(&job, ways, 3, jobs);
}

static const struct advise_way *find(const struct advise_way *ways, size_t count, enum muster_model model,
                                     bool many)
{
    for (size_t i = 0; i < count; i++)
        if (ways[i].model == model && (ways[i].concurrency > 1) == many)
            return &ways[i];
    return NULL;
}

Test(advise_model, kinds_are_confused)
{
    struct advise_job job = waiting_job(1, 0.95);

    cr_expect_eq((int)advise_kind(&job), ADVISE_CPU_BOUND);
    job.computing = 0.5;
    cr_expect_eq((int)advise_kind(&job), ADVISE_MIXED);
    job.computing = 0.01;
    cr_expect_eq((int)advise_kind(&job), ADVISE_IO_BOUND);
    cr_expect_str_eq(advise_kind_name(ADVISE_IO_BOUND), "I/O-bound");
}

Test(advise_model, loop_is_tried_for_jobs_that_compute)
{
    struct advise_job job = computing_job(1e-3);
    struct advise_way ways[ADVISE_WAYS_MAX];
    size_t count = advise_plan(&job, 2, ways);

    cr_assert_eq(count, 3);
    cr_expect_eq((int)ways[0].model, MUSTER_INLINE);
    cr_expect_eq((int)ways[1].model, MUSTER_PROCESSES);
    cr_expect_eq(ways[1].concurrency, 1);
    cr_expect_eq((int)ways[2].model, MUSTER_THREADS);
    cr_expect_eq(advise_plan(&job, 64, ways), 5, "half of many cores was not tried");
}

Test(advise_model, waits_are_not_overlapped)
{
    struct advise_job job = waiting_job(10e-3, 0.01);
    struct advise_way ways[ADVISE_WAYS_MAX];
    size_t count = advise_plan(&job, 2, ways);

    cr_assert_leq(count, ADVISE_WAYS_MAX);
    cr_assert(find(ways, count, MUSTER_LOOP, true));
    cr_expect_eq(find(ways, count, MUSTER_LOOP, true)->concurrency, 400,
                 "four times as many as keep a core busy");
    cr_assert(find(ways, count, MUSTER_PROCESSES, true));
    job.computing = 0.5;
    count = advise_plan(&job, 2, ways);
    cr_expect_eq(find(ways, count, MUSTER_PROCESSES, true)->concurrency, 100);
    job.computing = 1e-6;
    count = advise_plan(&job, 1024, ways);
    cr_assert_leq(count, ADVISE_WAYS_MAX);
    cr_expect_eq(find(ways, count, MUSTER_LOOP, true)->concurrency, MUSTER_LOOP_CONCURRENCY);
}

Test(advise_model, prediction_ignores_cores_or_places)
{
    struct advise_job job = computing_job(1e-3), waits = waiting_job(10e-3, 0.01);
    struct advise_way way = {.model = MUSTER_PROCESSES, .workers = 8, .concurrency = 1, .null_s = 1e-6};

    EXPECT_NEAR(advise_predict(&job, &way, 1, CORES), 0.501e-3);           /* cores bound it */
    EXPECT_NEAR(advise_predict(&waits, &way, 1, CORES), 10e-3 / 8 + 1e-6); /* places do */
    EXPECT_NEAR(advise_predict(&waits, &way, 1000, CORES), 0.05e-3 + 1e-6);
    way.model = MUSTER_INLINE;
    way.workers = 1;
    EXPECT_NEAR(advise_predict(&job, &way, 1, CORES), 1e-3);
}

Test(advise_model, more_places_than_were_tried_promise_more_than_the_cores_have)
{
    struct advise_job job = waiting_job(10e-3, 0.001);
    struct advise_way way = tried(MUSTER_LOOP, 1, 10e-3 / 64);

    way.concurrency = 2000;
    way.tried_concurrency = 64;
    way.tried_cpu_s = 20e-6;
    way.tried_low_s = 0.9 * way.tried_s;
    way.tried_high_s = 1.2 * way.tried_s;
    advise_settle(&job, &way, CORES);
    EXPECT_NEAR(way.job_s, 20e-6);
    EXPECT_NEAR(way.low_s, 18e-6);
    EXPECT_NEAR(way.high_s, 24e-6);
}

Test(advise_model, waits_that_were_found_not_to_overlap_are_predicted_to)
{
    struct advise_job job = waiting_job(10e-3, 0.001);
    struct advise_way way = tried(MUSTER_LOOP, 1, 10e-3); /* as slow as inline: it blocks */

    way.concurrency = 2000;
    way.tried_concurrency = 64;
    way.tried_cpu_s = 20e-6;
    advise_settle(&job, &way, CORES);
    cr_expect_gt(way.job_s, 0.3e-3);
}

Test(advise_model, waits_are_advised_too_few_places_by_what_one_alone_computes)
{
    struct advise_job job = waiting_job(1e-3, 0.02); /* 4 / 0.02: 200 places */
    struct advise_way way = tried(MUSTER_PROCESSES, 2, 4e-6);

    way.concurrency = 200;
    way.tried_concurrency = 128;
    way.tried_cpu_s = 5e-6;
    advise_settle(&job, &way, CORES);
    cr_expect_eq(way.concurrency, 400, "twice the 200 that keep a core busy with 5 us of each ms");
    EXPECT_NEAR(way.job_s, 2.5e-6);
    way.concurrency = 1;
    way.tried_concurrency = 1;
    advise_settle(&job, &way, CORES);
    cr_expect_eq(way.concurrency, 1, "one at a time is another way");
}

Test(advise_model, trial_asks_more_of_a_service_than_is_decent_or_too_much_time)
{
    struct advise_job waits = waiting_job(1e-3, 0.001), mixed = waiting_job(10e-3, 0.5);
    struct advise_way way = {.model = MUSTER_PROCESSES, .workers = 2, .concurrency = 4000};

    cr_expect_eq(advise_trial_concurrency(&waits, &way), 128);
    cr_expect_eq(advise_trial_concurrency(&mixed, &way), 32, "64 jobs of 10 ms, of which each computes 5");
    way.workers = 1000;
    cr_expect_eq(advise_trial_concurrency(&waits, &way), 1);
    way.concurrency = 1;
    way.workers = 16;
    cr_expect_eq(advise_trial_concurrency(&waits, &way), 1);
}

Test(advise_model, few_jobs_fill_all_places)
{
    struct advise_job job = computing_job(1);
    struct advise_way threads = tried(MUSTER_THREADS, 2, 0.5), inl = tried(MUSTER_INLINE, 1, 1);

    threads.start_s = 0.01;
    EXPECT_NEAR(advise_batch_s(&job, &threads, 0), 0.5);
    EXPECT_NEAR(advise_batch_s(&job, &threads, 1), 1.01);
    EXPECT_NEAR(advise_batch_s(&job, &threads, 3), 2.01);
    EXPECT_NEAR(advise_batch_s(&job, &threads, 1000), 500.01);
    EXPECT_NEAR(advise_batch_s(&job, &inl, 3), 3);
    job.longest_s = 3;
    EXPECT_NEAR(advise_batch_s(&job, &threads, 2), 3.01); /* the longest is among them */
}

Test(advise_model, isolation_is_given_away_for_little)
{
    struct advise_choice choice = choose(0.52e-3, 0.50e-3, 0);

    cr_expect_eq(choice.advised, 1);
    cr_expect_eq(choice.fastest, 2);
    cr_expect_eq((int)choice.reason, ADVISE_ISOLATED);
    choice = choose(0.60e-3, 0.50e-3, 0);
    cr_expect_eq(choice.advised, 2);
    cr_expect_eq((int)choice.reason, ADVISE_FASTEST);
}

Test(advise_model, trouble_is_advised_that_gains_nothing)
{
    struct advise_choice choice = choose(1.1e-3, 0.97e-3, 0);

    cr_expect_eq(choice.advised, 0);
    cr_expect_eq((int)choice.reason, ADVISE_SIMPLE);
    cr_expect_eq(choose(1.1e-3, 1.05e-3, 0).advised, 0);
}

Test(advise_model, start_up_is_forgotten_for_few_jobs)
{
    cr_expect_eq(choose(0.5e-3, 0.52e-3, 0).advised, 1);
    cr_expect_eq(choose(0.5e-3, 0.52e-3, 10).advised, 2, "8 ms of start-up for 10 jobs of 1 ms");
    cr_expect_eq(choose(0.5e-3, 0.52e-3, 1).advised, 0);
}

Test(advise_model, jobs_that_crash_are_run_where_that_costs_all)
{
    struct advise_job job = computing_job(1e-6);
    struct advise_way ways[] = {tried(MUSTER_INLINE, 1, 1e-6), tried(MUSTER_PROCESSES, 2, 3e-6)};
    struct advise_choice choice;

    job.unsafe = true;
    choice = advise_choose(&job, ways, 2, 0);
    cr_expect_eq(choice.advised, 1);
    cr_expect_eq((int)choice.reason, ADVISE_SAFE);
    job.unsafe = false;
    ways[0].fault = ADVISE_CRASHED;
    cr_expect_eq(advise_choose(&job, ways, 2, 0).advised, 1);
    ways[1].fault = ADVISE_REFUSED;
    cr_expect_eq(advise_choose(&job, ways, 2, 0).advised, 1, "none is sound: still a choice");
}

Test(advise_model, break_even_is_off)
{
    struct advise_job job = computing_job(1e-3);
    struct advise_way ways[] = {tried(MUSTER_INLINE, 1, 1e-3), tried(MUSTER_PROCESSES, 2, 0.5e-3),
                                tried(MUSTER_THREADS, 2, 0.5e-3)};
    struct advise_breaks breaks;

    ways[1].start_s = 10e-3;
    ways[0].null_s = 0.1e-6;
    ways[1].null_s = 1.09e-6;
    ways[2].null_s = 0.2e-6;
    breaks = advise_breaks(&job, ways, 3, CORES);
    EXPECT_NEAR(breaks.beats_inline_s, 0.99e-6 / (1 - 1.01 / 2)); /* T = T * 1.01 / 2 + 0.99 us */
    EXPECT_NEAR(breaks.near_threads_s, 0.88e-6 / (0.04 / 2)); /* T * 1.01 / 2 + 1.09 = 1.05 (T / 2 + 0.2) */
    EXPECT_NEAR(breaks.pays_start_jobs, 20);
    breaks = advise_breaks(&job, ways, 3, 1);
    cr_expect(isnan(breaks.beats_inline_s), "one core cannot compute two jobs at once");
    ways[2].fault = ADVISE_CRASHED;
    cr_expect(isnan(advise_breaks(&job, ways, 3, CORES).near_threads_s));
}
