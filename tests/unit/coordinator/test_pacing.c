/* SPDX-License-Identifier: MIT
 *
 * Chunk sizes and depths: the properties that hold for every measurement, and that a batch
 * settles on chunks of a few milliseconds and ends with small ones.
 */
#include "coordinator/pacing.h"
#include "proto/limits.h"

#include <criterion/criterion.h>

static const uint64_t queues[] = {1, 2, 3, 7, 100, 4096, 1000000, (uint64_t)PROTO_BATCH_JOBS_MAX};
static const unsigned crews[] = {1, 2, 7, 64, PROTO_WORKERS_MAX};
static const uint64_t means_ns[] = {0, 1, 10, 1000, 100000, 7999999, 8000001, 20000000, UINT64_MAX / 2};

enum {
    CREDIT = 16,
    QUEUES = sizeof queues / sizeof *queues,
    CREWS = sizeof crews / sizeof *crews,
    MEANS = sizeof means_ns / sizeof *means_ns,
};

/* Pacing after one report of a chunk of `jobs` jobs that took mean_ns each. */
static struct pacing reported(uint32_t fixed, uint32_t jobs, uint64_t mean_ns)
{
    struct pacing pacing;

    pacing_init(&pacing, fixed);
    pacing_report(&pacing, jobs, mean_ns > UINT64_MAX / jobs ? UINT64_MAX : mean_ns * jobs);
    return pacing;
}

Test(pacing, chunk_is_never_empty_nor_beyond_queue_or_limit)
{
    static const uint32_t fixed[] = {0, 1, 1000, PROTO_CHUNK_JOBS_MAX};
    static const uint32_t jobs[] = {1, 500, PROTO_CHUNK_JOBS_MAX};

    for (unsigned f = 0; f < 4; f++)
        for (unsigned j = 0; j < 3; j++)
            for (unsigned m = 0; m < MEANS; m++)
                for (unsigned q = 0; q < QUEUES; q++)
                    for (unsigned c = 0; c < CREWS; c++) {
                        struct pacing pacing = reported(fixed[f], jobs[j], means_ns[m]);
                        uint32_t chunk = pacing_chunk(&pacing, queues[q], crews[c]);

                        cr_assert_geq(chunk, 1);
                        cr_assert_leq(chunk, queues[q]);
                        cr_assert_leq(chunk, PROTO_CHUNK_JOBS_MAX);
                    }
}

Test(pacing, first_chunk_is_one_job_because_nothing_is_known)
{
    struct pacing pacing;

    pacing_init(&pacing, 0);
    for (unsigned q = 0; q < QUEUES; q++)
        cr_assert_eq(pacing_chunk(&pacing, queues[q], 2), 1);
}

Test(pacing, size_that_the_user_set_is_kept_whatever_is_measured)
{
    for (unsigned m = 0; m < MEANS; m++) {
        struct pacing pacing = reported(10, 10, means_ns[m]);

        cr_assert_eq(pacing_chunk(&pacing, 1000, 2), 10);
        cr_assert_eq(pacing_chunk(&pacing, 25, 64), 10);
        cr_assert_eq(pacing_chunk(&pacing, 4, 2), 4);
    }
}

Test(pacing, one_cold_measurement_does_not_blow_a_chunk_up)
{
    struct pacing pacing = reported(0, 1, 0); /* the clock saw nothing */
    uint32_t chunk = pacing_chunk(&pacing, UINT64_C(1) << 40, 1);

    cr_assert_gt(chunk, 1);
    cr_assert_leq(chunk, 32);
    pacing_report(&pacing, chunk, 1);
    cr_assert_leq(pacing_chunk(&pacing, UINT64_C(1) << 40, 1), 32 * chunk);
}

Test(pacing, report_of_no_jobs_is_no_measurement)
{
    struct pacing pacing;

    pacing_init(&pacing, 0);
    pacing_report(&pacing, 0, 1000000);
    cr_assert_eq(pacing_chunk(&pacing, 1000, 2), 1);
    cr_assert_eq(pacing_depth(&pacing, 1, CREDIT), 1);
}

Test(pacing, slower_jobs_never_get_larger_chunks)
{
    uint32_t before = UINT32_MAX;

    for (unsigned m = 0; m < MEANS; m++) {
        struct pacing pacing = reported(0, PROTO_CHUNK_JOBS_MAX, means_ns[m]);
        uint32_t chunk = pacing_chunk(&pacing, UINT64_C(1) << 50, 2);

        cr_assert_leq(chunk, before);
        before = chunk;
    }
    cr_assert_eq(before, 1);
}

/* Gives `queued` jobs away as chunks to four workers; returns how many chunks those are. */
static unsigned give_away(const struct pacing *pacing, uint64_t queued, uint32_t least)
{
    uint32_t before = UINT32_MAX;
    unsigned chunks = 0;

    while (queued > 0) {
        uint32_t chunk = pacing_chunk(pacing, queued, 4);

        cr_assert_leq(chunk, before);
        cr_assert(chunk <= queued / 8 || chunk <= least, "%u of %lu jobs", chunk, (unsigned long)queued);
        before = chunk;
        queued -= chunk;
        chunks++;
    }
    return chunks;
}

Test(pacing, chunks_shrink_with_the_queue_so_that_workers_finish_together)
{
    struct pacing pacing = reported(0, 4000, 1000);

    cr_assert_lt(give_away(&pacing, 40000, 100), 60, "the tail is logarithmic, not a job at a time");
}

Test(pacing, tail_of_tiny_jobs_is_not_cut_into_chunks_that_cost_more_than_they_even_out)
{
    struct pacing pacing = reported(0, PROTO_CHUNK_JOBS_MAX, 30);

    cr_assert_lt(give_away(&pacing, 10000000, 3333), 200);
    cr_assert_geq(pacing_chunk(&pacing, 20000, 2), 3333, "these are 100 us");
}

/* Pacing after a hundred chunks of `jobs` jobs of 10 us on average, each so far from that. */
static struct pacing scattered(uint32_t jobs, double apart)
{
    struct pacing pacing;

    pacing_init(&pacing, 0);
    for (int i = 0; i < 100; i++)
        pacing_report(&pacing, jobs, (uint64_t)(jobs * 1e4 * (i % 2 ? 1 + apart : 1 - apart)));
    return pacing;
}

Test(pacing, tail_shrinks_earlier_the_less_alike_jobs_are)
{
    uint32_t before = UINT32_MAX;

    for (int i = 0; i < 10; i++) {
        struct pacing pacing = scattered(1000, i / 10.0);
        uint32_t chunk = pacing_chunk(&pacing, 8000, 4);

        cr_assert_lt(chunk, before);
        before = chunk;
        give_away(&pacing, 8000, 10);
    }
    cr_assert_lt(before, 600);
}

/* Chunks of few jobs that are as far apart as those of many show that the jobs are more alike. */
Test(pacing, spread_of_chunks_counts_for_the_spread_of_the_jobs_in_them)
{
    struct pacing few = scattered(100, 0.5), many = scattered(1000, 0.5);

    cr_assert_gt(pacing_chunk(&few, 8000, 4), pacing_chunk(&many, 8000, 4));
}

Test(pacing, one_long_job_does_not_make_chunks_of_single_jobs)
{
    struct pacing pacing = scattered(1000, 0.1);
    uint32_t before = pacing_chunk(&pacing, UINT64_C(1) << 40, 2);

    pacing_report(&pacing, 1, 100000000);
    cr_assert_geq(pacing_chunk(&pacing, UINT64_C(1) << 40, 2), before / 5);
}

Test(pacing, depth_stays_between_one_and_the_credit)
{
    static const uint32_t jobs[] = {1, 500, PROTO_CHUNK_JOBS_MAX};

    for (unsigned m = 0; m < MEANS; m++)
        for (unsigned j = 0; j < 3; j++)
            for (unsigned credit = 1; credit <= CREDIT; credit++) {
                struct pacing automatic = reported(0, jobs[j], means_ns[m]);
                struct pacing set = reported(jobs[j], jobs[j], means_ns[m]);

                cr_assert_geq(pacing_depth(&automatic, jobs[j], credit), 1);
                cr_assert_leq(pacing_depth(&automatic, jobs[j], credit), credit);
                cr_assert_geq(pacing_depth(&set, jobs[j], credit), 1);
                cr_assert_leq(pacing_depth(&set, jobs[j], credit), credit);
            }
}

Test(pacing, nothing_is_queued_behind_an_unknown_or_a_long_job)
{
    struct pacing unknown, longer = reported(0, 1, 50000000), set = reported(4, 4, 50000000);

    pacing_init(&unknown, 0);
    cr_assert_eq(pacing_depth(&unknown, 1, CREDIT), 1);
    cr_assert_eq(pacing_depth(&longer, 1, CREDIT), 1);
    cr_assert_eq(pacing_depth(&set, 4, CREDIT), 1);
}

Test(pacing, worker_of_short_jobs_always_has_a_next_chunk)
{
    for (unsigned m = 0; means_ns[m] < 20000000; m++) {
        struct pacing pacing = reported(0, 1, means_ns[m]);

        cr_assert_geq(pacing_depth(&pacing, 1, 2), 2);
        cr_assert_geq(pacing_depth(&pacing, 1, CREDIT), 2);
        cr_assert_geq(pacing_depth(&pacing, PROTO_CHUNK_JOBS_MAX, CREDIT), 2);
    }
}

Test(pacing, tiny_chunks_fill_the_credit_to_hide_the_round_trip)
{
    struct pacing pacing = reported(1, 1, 1000);

    cr_assert_eq(pacing_depth(&pacing, 1, CREDIT), CREDIT);
}

/* Runs a batch of `total` jobs of cost_ns by one worker, and returns the number of chunks;
 * the longest of them, in time, is written to ret_longest_ns. */
static unsigned simulate(uint64_t total, uint64_t cost_ns, uint64_t *ret_longest_ns)
{
    struct pacing pacing;
    unsigned chunks = 0;

    *ret_longest_ns = 0;
    pacing_init(&pacing, 0);
    while (total > 0) {
        uint32_t chunk = pacing_chunk(&pacing, total, 2);
        uint64_t took_ns = chunk * cost_ns;

        pacing_report(&pacing, chunk, took_ns);
        if (took_ns > *ret_longest_ns)
            *ret_longest_ns = took_ns;
        total -= chunk;
        chunks++;
    }
    return chunks;
}

Test(pacing, chunks_settle_at_some_ten_milliseconds_for_any_cost)
{
    static const uint64_t costs_ns[] = {150, 1000, 10000, 100000, 1000000, 3000000};

    for (unsigned i = 0; i < sizeof costs_ns / sizeof *costs_ns; i++) {
        uint64_t total = UINT64_C(20000000000) / costs_ns[i], longest_ns;
        unsigned chunks = simulate(total, costs_ns[i], &longest_ns);

        cr_assert_leq(longest_ns, 22000000, "jobs of %lu ns", (unsigned long)costs_ns[i]);
        cr_assert_geq(longest_ns, 8000000, "jobs of %lu ns", (unsigned long)costs_ns[i]);
        cr_assert_lt(chunks, 20000000000 / 8000000, "jobs of %lu ns", (unsigned long)costs_ns[i]);
    }
}

Test(pacing, jobs_that_become_slow_shrink_chunks_within_a_few_reports)
{
    struct pacing pacing = reported(0, 40000, 100);
    uint32_t chunk = pacing_chunk(&pacing, UINT64_C(1) << 40, 2);

    cr_assert_geq(chunk, 10000);
    for (int i = 0; i < 4; i++) {
        pacing_report(&pacing, chunk, (uint64_t)chunk * 10000000);
        chunk = pacing_chunk(&pacing, UINT64_C(1) << 40, 2);
    }
    cr_assert_leq(chunk, 2);
}

/* As a worker reports them that is in the middle of a chunk: what ended in 50 ms. */
Test(pacing, jobs_that_become_slow_are_known_from_the_reports_of_one_second)
{
    struct pacing pacing = reported(0, 2000, 10000);

    for (int i = 0; i < 20; i++)
        pacing_report(&pacing, 5, 50000000);
    cr_assert_leq(pacing_chunk(&pacing, UINT64_C(1) << 40, 2), 3);
}

/* --- workers that run several jobs at once */

static struct pacing waited(double share)
{
    struct pacing pacing;

    pacing_init(&pacing, 0);
    pacing_report_waits(&pacing, 10, UINT64_C(10000000), (uint64_t)(1e7 * share));
    return pacing;
}

Test(pacing, places_are_filled_by_jobs_that_wait_and_not_by_jobs_that_compute)
{
    struct pacing waits = waited(0.001), half = waited(0.5), computes = waited(0.95), unknown;

    pacing_init(&unknown, 0);
    cr_assert_eq(pacing_fill(&unknown, 5000, 1000000, 0, 2).jobs, 5000);
    cr_assert_eq(pacing_fill(&waits, 100, 1000000, 0, 2).running, 100);
    cr_assert_eq(pacing_fill(&half, 100, 1000000, 0, 2).running, 4);
    cr_assert_eq(pacing_fill(&computes, 100, 1000000, 0, 2).running, pacing_chunk(&computes, 1000000, 2));
}

Test(pacing, no_worker_is_filled_beyond_its_share)
{
    for (unsigned q = 0; q < QUEUES; q++)
        for (unsigned c = 0; c < CREWS; c++) {
            struct pacing pacing = waited(0.001);
            struct pacing_fill fill = pacing_fill(&pacing, 20000, queues[q], 1000, crews[c]);

            cr_assert_geq(fill.jobs, 1);
            cr_assert_leq((fill.jobs - 1) * crews[c], queues[q] + 1000);
        }
}
