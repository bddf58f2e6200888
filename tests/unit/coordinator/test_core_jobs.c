/* SPDX-License-Identifier: MIT
 *
 * The way of jobs through the core while no worker dies and none fails: handed out, reported in parts, with
 * their times.
 */
#include "tests/support/core_harness.h"

#include <criterion/criterion.h>

TestSuite(core_jobs, .fini = end_core);

Test(core_jobs, range_is_handed_out_and_every_result_passed_on_before_the_end)
{
    struct proto_submit settings = range_of(-2, 7, 5);
    struct proto_chunk a, b;
    struct proto_ended ended;

    begin_ready(2, 1);
    submit(CLIENT, &settings);
    a = expect_chunk(1, 1, 5);
    b = expect_chunk(2, 6, 5);
    cr_assert_eq(a.argument, -2);
    cr_assert_eq(b.argument, 3);
    cr_assert_eq(a.attempt, 1);
    cr_assert_neq(a.chunk, b.chunk);
    worker_finishes(2, &b);
    expect_results(6, 5, NULL);
    worker_finishes(1, &a);
    expect_results(1, 5, NULL);
    ended = expect_ended(10, 0, 0);
    cr_assert_eq(ended.code, 0);
    cr_assert_eq(ended.chunks, 2);
    cr_assert_eq(ended.execute_ns, 2000);
    cr_assert_eq(ended.retried + ended.crashes + ended.late, 0);
    cr_assert_eq(core_count(core).batches, 0);
}

Test(core_jobs, list_is_handed_out_as_it_comes_and_ends_with_its_seal)
{
    struct proto_submit settings = list_of(4);
    struct proto_chunk a, b;

    begin_ready(2, 1);
    submit(CLIENT, &settings);
    send_arguments(CLIENT, 1, 6);
    a = expect_chunk(1, 1, 4);
    b = expect_chunk(2, 5, 2);
    send_arguments(CLIENT, 7, 3);
    worker_finishes(2, &b);
    expect_results(5, 2, NULL);
    b = expect_chunk(2, 7, 3);
    worker_finishes(2, &b);
    expect_results(7, 3, NULL);
    worker_finishes(1, &a);
    expect_results(1, 4, NULL);
    seal(9);
    expect_ended(9, 0, 0);
}

Test(core_jobs, list_that_comes_with_its_submission_is_whole)
{
    struct blob *blob = pack_values(argument_of, 1, 3, NULL);
    struct proto_message message = {
        .type = PROTO_SUBMIT, .submit = list_of(2), .payload = {.blob = blob, .size = blob->size}};
    struct proto_chunk a, b;

    begin_ready(2, 1);
    message.submit.count = 3;
    step_message(CLIENT, &message);
    expect_sent(CLIENT, PROTO_ACCEPTED);
    a = expect_chunk(1, 1, 2);
    b = expect_chunk(2, 3, 1);
    blob_unref(blob);
    worker_finishes(2, &b);
    expect_results(3, 1, NULL);
    worker_finishes(1, &a);
    expect_results(1, 2, NULL);
    expect_ended(3, 0, 0);
}

Test(core_jobs, empty_list_ends_at_its_seal)
{
    struct proto_submit settings = list_of(0);

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    seal(0);
    expect_ended(0, 0, 0);
}

Test(core_jobs, worker_gets_no_more_chunks_than_its_credit)
{
    struct proto_submit settings = range_of(1, 20, 1);
    struct proto_chunk first, more[3];

    begin_ready(1, 3);
    submit(CLIENT, &settings);
    first = expect_chunk(1, 1, 1);
    worker_finishes(1, &first);
    expect_results(1, 1, NULL);
    for (unsigned i = 0; i < 3; i++)
        more[i] = expect_chunk(1, 2 + i, 1);
    worker_finishes(1, &more[0]);
    expect_results(2, 1, NULL);
    expect_chunk(1, 5, 1);
}

Test(core_jobs, idle_worker_gets_the_chunk_before_a_busy_one_gets_a_second)
{
    struct proto_submit settings = range_of(1, 6, 1);
    struct proto_chunk a, b;

    begin_ready(2, 16);
    submit(CLIENT, &settings);
    a = expect_chunk(1, 1, 1);
    b = expect_chunk(2, 2, 1);
    worker_finishes(1, &a);
    expect_results(1, 1, NULL);
    expect_chunk(1, 3, 1);
    expect_chunk(1, 4, 1);
    expect_chunk(2, 5, 1);
    expect_chunk(1, 6, 1);
    worker_finishes(2, &b);
    expect_results(2, 1, NULL);
}

Test(core_jobs, part_of_a_chunk_is_passed_on_while_the_rest_runs)
{
    struct proto_submit settings = range_of(1, 10, 10);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 10);
    worker_reports(1, &chunk, &(struct report){.first = 1, .count = 3});
    expect_results(1, 3, NULL);
    worker_reports(1, &chunk, &(struct report){.first = 4, .count = 7});
    expect_results(4, 7, NULL);
    expect_ended(10, 0, 0);
}

Test(core_jobs, chunk_is_over_when_all_its_jobs_are_reported_though_none_was_the_last_report)
{
    struct proto_submit settings = range_of(1, 8, 4);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 4);
    worker_reports(1, &chunk, &(struct report){.first = 1, .count = 4});
    expect_results(1, 4, NULL);
    expect_chunk(1, 5, 4);
    worker_reports(1, &chunk, &(struct report){.first = 5, .count = 0, .final = true});
    cr_assert_eq(core_count(core).late, 0);
}

Test(core_jobs, jobs_handed_back_unstarted_run_again_without_an_attempt)
{
    struct proto_submit settings = range_of(1, 4, 4);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 4);
    worker_reports(1, &chunk, &(struct report){.first = 1, .count = 1, .final = true});
    expect_results(1, 1, NULL);
    chunk = expect_chunk(1, 2, 3);
    cr_assert_eq(chunk.attempt, 1);
    cr_assert_eq(chunk.argument, 2);
    worker_finishes(1, &chunk);
    expect_results(2, 3, NULL);
    cr_assert_eq(expect_ended(4, 0, 0).retried, 0);
}

/* RESULTS of one job, with the times that the core knows. */
static void expect_times(uint64_t first, uint64_t queued_ns, uint64_t assigned_ns)
{
    const struct proto_results *results = &expect_sent(CLIENT, PROTO_RESULTS)->results;

    cr_assert_eq(results->outcome.first, first);
    cr_assert_eq(results->queued_ns, queued_ns);
    cr_assert_eq(results->assigned_ns, assigned_ns);
}

Test(core_jobs, results_say_when_the_block_of_their_arguments_came_and_not_the_batch)
{
    struct proto_submit settings = list_of(1);
    struct proto_chunk chunk;
    uint64_t first_ns, second_ns;

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    pass(1000);
    first_ns = now_ns;
    send_arguments(CLIENT, 1, 2);
    chunk = expect_chunk(1, 1, 1);
    pass(1000);
    second_ns = now_ns;
    send_arguments(CLIENT, 3, 1);
    pass(1000);
    worker_finishes(1, &chunk);
    expect_times(1, first_ns, first_ns);
    for (uint64_t first = 2; first <= 3; first++) {
        uint64_t assigned_ns = now_ns;

        chunk = expect_chunk(1, first, 1);
        pass(1000);
        worker_finishes(1, &chunk);
        expect_times(first, first == 2 ? first_ns : second_ns, assigned_ns);
    }
    seal(3);
    expect_ended(3, 0, 0);
}

Test(core_jobs, job_that_ran_again_was_assigned_when_it_last_was)
{
    static const uint64_t failed[] = {1, 0};
    struct proto_submit settings = range_of(1, 1, 1);
    struct proto_chunk chunk;
    uint64_t submitted_ns, again_ns;

    begin_ready(1, 1);
    settings.retries = 1;
    submitted_ns = now_ns;
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 1);
    pass(1000);
    again_ns = now_ns;
    worker_fails(1, &chunk, failed);
    chunk = expect_chunk(1, 1, 1);
    pass(1000);
    worker_crashes(1, &chunk, 1);
    expect_spawn(1);
    again_ns = now_ns;
    worker_hello(1, 1);
    chunk = expect_chunk(1, 1, 1);
    pass(1000);
    worker_finishes(1, &chunk);
    expect_times(1, submitted_ns, again_ns);
    expect_ended(1, 0, 0);
}

Test(core_jobs, empty_last_report_of_a_timed_batch_is_believed)
{
    struct proto_submit settings = range_of(1, 4, 4);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    settings.timings = true;
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 4);
    worker_reports(1, &chunk, &(struct report){.first = 1, .count = 2});
    expect_results(1, 2, NULL);
    worker_reports(1, &chunk, &(struct report){.first = 3, .count = 0, .final = true});
    expect_chunk(1, 3, 2);
}

/* What a worker process used is told as it has grown since it started. */
static void worker_finishes_having_used(struct proto_chunk *chunk, uint64_t cpu_ns, uint64_t voluntary,
                                        uint64_t involuntary)
{
    struct proto_message message =
        result_message(chunk, &(struct report){.first = chunk->first, .count = chunk->count, .final = true});

    message.result.process_cpu_ns = cpu_ns;
    message.result.process_voluntary = voluntary;
    message.result.process_involuntary = involuntary;
    step_message(worker_name(1), &message);
    expect_results(chunk->first, chunk->count, NULL);
}

Test(core_jobs, what_a_worker_used_for_an_earlier_batch_is_not_counted_again)
{
    struct proto_submit settings = range_of(1, 4, 4);
    struct proto_ended ended;
    struct proto_chunk chunk;

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 4);
    worker_finishes_having_used(&chunk, 1000, 50, 6);
    ended = expect_ended(4, 0, 0);
    cr_assert(ended.process_cpu_ns == 1000 && ended.voluntary == 50 && ended.involuntary == 6);
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 4);
    worker_finishes_having_used(&chunk, 1400, 53, 6);
    ended = expect_ended(4, 0, 0);
    cr_assert(ended.process_cpu_ns == 400 && ended.voluntary == 3 && ended.involuntary == 0);
}

Test(core_jobs, batch_of_another_client_does_not_wait_for_the_first_to_end)
{
    struct proto_submit first = range_of(1, 100, 1), second = range_of(1, 100, 1);
    struct proto_chunk a, b;
    uint64_t one, two;

    begin_ready(2, 1);
    client_hello("other");
    one = submit(CLIENT, &first);
    a = expect_chunk(1, 1, 1);
    b = expect_chunk(2, 2, 1);
    two = submit("other", &second);
    cr_assert_neq(one, two);
    worker_finishes(1, &a);
    expect_results(1, 1, NULL);
    cr_assert_eq(expect_chunk(1, 1, 1).batch, two);
    worker_finishes(2, &b);
    expect_results(2, 1, NULL);
    cr_assert_eq(expect_chunk(2, 3, 1).batch, one);
}
