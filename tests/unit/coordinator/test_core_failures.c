/* SPDX-License-Identifier: MIT
 *
 * Jobs that fail in the core while no worker dies: they are tried again or are told beside their neighbours,
 * with the values that they have.
 */
#include "tests/support/core_harness.h"

#include <criterion/criterion.h>

TestSuite(core_failures, .fini = end_core);

Test(core_failures, failures_go_to_the_client_inside_the_results_of_their_neighbours)
{
    static const uint64_t failed[] = {1, 4, 6, 0};
    struct proto_submit settings = range_of(1, 6, 6);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 6);
    worker_fails(1, &chunk, failed);
    cr_assert_eq(expect_results(1, 6, failed)->failures[0].code, MUSTER_EFAILED);
    expect_ended(3, 3, 0);
}

Test(core_failures, job_that_fails_is_tried_again_and_then_has_failed)
{
    static const uint64_t failed[] = {1, 0};
    struct report report = {.first = 1, .count = 1, .final = true, .failed = failed, .code = MUSTER_EFAILED};
    struct proto_submit settings = range_of(41, 41, 1);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    settings.retries = 2;
    submit(CLIENT, &settings);
    for (uint32_t attempt = 1; attempt <= 2; attempt++) {
        chunk = expect_chunk(1, 1, 1);
        cr_assert_eq(chunk.attempt, attempt);
        cr_assert_eq(chunk.argument, 41);
        worker_reports(1, &chunk, &report);
    }
    chunk = expect_chunk(1, 1, 1);
    cr_assert_eq(chunk.attempt, 3);
    worker_reports(1, &chunk, &report);
    cr_assert_eq(expect_results(1, 1, failed)->attempt, 3);
    cr_assert_eq(expect_ended(0, 1, 0).retried, 2);
}

Test(core_failures, jobs_tried_again_are_holes_between_the_results_that_are_final)
{
    static const uint64_t failed[] = {1, 4, 5, 9, 0};
    struct proto_submit settings = list_of(9);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    settings.retries = 1;
    settings.timings = true;
    submit(CLIENT, &settings);
    send_arguments(CLIENT, 1, 9);
    chunk = expect_chunk(1, 1, 9);
    worker_fails(1, &chunk, failed);
    expect_results(2, 2, NULL);
    expect_results(6, 3, NULL);
    for (unsigned i = 0; i < 3; i++) {
        static const struct {
            uint64_t first;
            uint32_t count;
        } again[] = {{1, 1}, {4, 2}, {9, 1}};

        chunk = expect_chunk(1, again[i].first, again[i].count);
        cr_assert_eq(chunk.attempt, 2);
        worker_finishes(1, &chunk);
        expect_results(again[i].first, again[i].count, NULL);
    }
    seal(9);
    cr_assert_eq(expect_ended(9, 0, 0).retried, 4);
}

Test(core_failures, values_of_jobs_that_failed_stay_with_them)
{
    static const uint64_t failed[] = {1, 3, 4, 6, 0}, valued[] = {1, 4, 6, 0};
    const struct proto_outcome *outcome;
    struct proto_submit settings = range_of(1, 6, 6);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 6);
    worker_reports(1, &chunk,
                   &(struct report){.first = 1,
                                    .count = 6,
                                    .final = true,
                                    .failed = failed,
                                    .valued = valued,
                                    .code = MUSTER_EFAILED});
    outcome = expect_results(1, 6, failed);
    for (uint32_t i = 0; i < 4; i++)
        cr_assert_eq(outcome->failures[i].valued, i != 1);
    expect_ended(2, 4, 0);
}

Test(core_failures, value_of_a_job_that_is_tried_again_is_not_taken_for_that_of_its_neighbour)
{
    static const uint64_t failed[] = {1, 4, 5, 9, 0}, valued[] = {1, 5, 9, 0};
    struct proto_submit settings = range_of(1, 9, 9);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    settings.retries = 1;
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 9);
    worker_reports(1, &chunk,
                   &(struct report){.first = 1,
                                    .count = 9,
                                    .final = true,
                                    .failed = failed,
                                    .valued = valued,
                                    .code = MUSTER_EFAILED,
                                    .shared_bytes = 600});
    expect_release(1, 1);
    expect_results(2, 2, NULL);
    expect_release(5, 1);
    expect_results(6, 3, NULL);
    expect_release(9, 1);
    chunk = expect_chunk(1, 1, 1);
    cr_assert_eq(chunk.attempt, 2);
}

Test(core_failures, job_that_failed_with_a_value_as_it_was_cancelled_has_failed)
{
    static const uint64_t failed[] = {1, 2, 3, 0}, valued[] = {2, 0}, told[] = {2, 0};
    struct proto_submit settings = range_of(1, 4, 4);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    settings.retries = 5;
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 4);
    cancel(PROTO_CANCEL_NOW);
    expect_sent(worker_name(1), PROTO_CANCEL);
    worker_reports(1, &chunk,
                   &(struct report){.first = 1,
                                    .count = 4,
                                    .final = true,
                                    .failed = failed,
                                    .valued = valued,
                                    .code = MUSTER_EFAILED});
    expect_results(2, 1, told);
    expect_results(4, 1, NULL);
    expect_ended(1, 1, 2);
}

/* A chunk whose jobs have all failed once already, and of which two do so again. */
Test(core_failures, job_with_no_retry_left_fails_beside_one_that_is_tried_again)
{
    static const uint64_t first[] = {1, 2, 3, 4, 0}, second[] = {1, 3, 0};
    struct proto_submit settings = range_of(1, 4, 4);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    settings.retries = 1;
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 4);
    worker_fails(1, &chunk, first);
    chunk = expect_chunk(1, 1, 4);
    worker_fails(1, &chunk, second);
    expect_results(1, 4, second);
    expect_ended(2, 2, 0);
}

Test(core_failures, time_of_a_report_is_told_once_though_its_results_are_in_parts)
{
    static const uint64_t failed[] = {1, 4, 0};
    struct proto_submit settings = range_of(1, 6, 6);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    settings.retries = 1;
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 6);
    worker_reports(1, &chunk,
                   &(struct report){.first = 1,
                                    .count = 6,
                                    .final = true,
                                    .failed = failed,
                                    .code = MUSTER_EFAILED,
                                    .execute_ns = 600});
    cr_assert_eq(expect_results(2, 2, NULL)->execute_ns, 600);
    cr_assert_eq(expect_results(5, 2, NULL)->execute_ns, 0);
    expect_chunk(1, 1, 1);
}

Test(core_failures, every_part_of_a_report_says_that_there_may_be_references)
{
    static const uint64_t failed[] = {1, 4, 0};
    struct proto_submit settings = range_of(1, 6, 6);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    settings.retries = 1;
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 6);
    worker_reports(1, &chunk,
                   &(struct report){.first = 1,
                                    .count = 6,
                                    .final = true,
                                    .failed = failed,
                                    .code = MUSTER_EFAILED,
                                    .shared_bytes = 600});
    cr_assert_eq(expect_results(2, 2, NULL)->shared_bytes, 600);
    cr_assert_eq(expect_results(5, 2, NULL)->shared_bytes, 1);
    expect_chunk(1, 1, 1);
}
