/* SPDX-License-Identifier: MIT
 *
 * Workers that run several jobs at once: outcomes in any order, who is blamed among jobs that
 * wait, how much each worker is given, and jobs that are cancelled one by one.
 */
#include "tests/support/core_harness.h"

#include <criterion/criterion.h>

TestSuite(core_concurrent, .fini = end_core);

static struct proto_chunk begin_chunk(unsigned jobs)
{
    struct proto_submit settings = range_of(1, jobs, 0);

    begin_concurrent(1, jobs);
    submit(CLIENT, &settings);
    return expect_chunk(1, 1, jobs);
}

static void report(const struct proto_chunk *chunk, uint64_t first, uint32_t count)
{
    worker_reports(1, chunk, &(struct report){.first = first, .count = count, .execute_ns = 1000});
}

/* --- outcomes in any order */

Test(core_concurrent, outcomes_count_in_the_order_in_which_they_come)
{
    struct proto_chunk chunk = begin_chunk(10);

    report(&chunk, 4, 2);
    expect_results(4, 2, NULL);
    report(&chunk, 9, 2);
    expect_results(9, 2, NULL);
    report(&chunk, 1, 1);
    expect_results(1, 1, NULL);
    report(&chunk, 6, 3);
    expect_results(6, 3, NULL);
    report(&chunk, 2, 2);
    expect_results(2, 2, NULL);
    expect_ended(10, 0, 0);
}

Test(core_concurrent, job_that_is_reported_twice_ends_its_worker)
{
    struct proto_chunk chunk = begin_chunk(10);

    report(&chunk, 4, 2);
    expect_results(4, 2, NULL);
    report(&chunk, 3, 2); /* 4 is one of them */
    expect_kill(1);
    cancel(PROTO_CANCEL_SOON);
    step_exit(&(struct worker_exit){.slot = 1, .reason = "killed by SIGKILL"});
    expect_ended(2, 0, 8);
    expect_spawn(1);
}

Test(core_concurrent, final_report_gives_every_hole_back)
{
    struct proto_chunk chunk = begin_chunk(6), again;

    report(&chunk, 2, 1);
    expect_results(2, 1, NULL);
    report(&chunk, 5, 1);
    expect_results(5, 1, NULL);
    worker_reports(1, &chunk, &(struct report){.first = 1, .final = true});
    expect_chunk(1, 1, 1);
    again = expect_chunk(1, 3, 2);
    cr_assert_eq(again.attempt, 1, "it was never started");
    expect_chunk(1, 6, 1);
    worker_finishes(1, &again);
    expect_results(3, 2, NULL);
    cancel(PROTO_CANCEL_NOW);
    expect_sent(worker_name(1), PROTO_CANCEL);
}

/* --- deaths */

Test(core_concurrent, crash_among_jobs_that_wait_blames_the_one_that_ran)
{
    struct proto_submit settings = range_of(1, 8, 0);
    struct proto_chunk chunk;

    settings.crash_limit = 1;
    begin_concurrent(1, 8);
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 8);
    report(&chunk, 3, 1);
    expect_results(3, 1, NULL);
    worker_crashes(1, &chunk, 5);
    expect_failure(5, MUSTER_ECRASHED, "SIGSEGV");
    expect_spawn(1);
    worker_hello_concurrent(1, 24, 8);
    expect_chunk(1, 1, 2);
    cr_assert_eq(expect_chunk(1, 4, 1).attempt, 1, "it only waited");
    cr_assert_eq(expect_chunk(1, 6, 3).attempt, 1, "they only waited");
    cancel(PROTO_CANCEL_NOW);
    expect_sent(worker_name(1), PROTO_CANCEL);
}

Test(core_concurrent, job_that_waits_for_long_is_not_the_suspect_of_every_death)
{
    struct proto_submit settings = range_of(1, 8, 4);

    begin_concurrent(1, 8);
    submit(CLIENT, &settings);
    expect_chunk(1, 1, 4);
    expect_chunk(1, 5, 4);
    step_exit(&(struct worker_exit){.slot = 1, .reason = "killed by SIGKILL"});
    expect_spawn(1);
    worker_hello_concurrent(1, 24, 8);
    expect_chunk(1, 1, 4);
    expect_chunk(1, 5, 1); /* suspects run in chunks of their own */
    expect_chunk(1, 6, 3);
    cancel(PROTO_CANCEL_NOW);
    expect_sent(worker_name(1), PROTO_CANCEL);
}

/* --- how much a worker gets */

Test(core_concurrent, jobs_fill_the_places_of_both_workers_evenly_before_anything_is_known)
{
    struct proto_submit settings = range_of(1, 10000, 0);

    begin_concurrent(2, 5000);
    submit(CLIENT, &settings);
    expect_chunk(1, 1, 5000);
    expect_chunk(2, 5001, 5000);
    cancel(PROTO_CANCEL_NOW);
    expect_sent(worker_name(1), PROTO_CANCEL);
    expect_sent(worker_name(2), PROTO_CANCEL);
}

Test(core_concurrent, limit_of_commands_counts_the_one_that_each_worker_runs)
{
    struct proto_submit settings = range_of(1, 4, 0);

    settings.function = (struct proto_text){"command", 7};
    settings.most_running = 2;
    begin_concurrent(2, 4);
    submit(CLIENT, &settings);
    expect_chunk(1, 1, 1);
    expect_chunk(2, 2, 1);
    cr_assert_eq(core_running(core, 1), 2);
    cancel(PROTO_CANCEL_NOW);
    expect_sent(worker_name(1), PROTO_CANCEL);
    expect_sent(worker_name(2), PROTO_CANCEL);
}

Test(core_concurrent, few_jobs_are_shared_although_one_worker_has_places_for_all)
{
    struct proto_submit settings = range_of(1, 6, 0);

    begin_concurrent(2, 100);
    submit(CLIENT, &settings);
    expect_chunk(1, 1, 3);
    expect_chunk(2, 4, 3);
    cancel(PROTO_CANCEL_NOW);
    expect_sent(worker_name(1), PROTO_CANCEL);
    expect_sent(worker_name(2), PROTO_CANCEL);
}

Test(core_concurrent, long_jobs_that_compute_are_handed_out_as_to_workers_of_one_place)
{
    struct proto_submit settings = range_of(1, 1000, 0);
    struct proto_chunk chunk[2];

    begin_concurrent(2, 4);
    submit(CLIENT, &settings);
    chunk[0] = expect_chunk(1, 1, 4);
    chunk[1] = expect_chunk(2, 5, 4);
    for (uint32_t job = 0; job < 4; job++) {
        struct report done = {
            .first = 1 + job, .count = 1, .execute_ns = CLOCK_NS_PER_S, .cpu_ns = CLOCK_NS_PER_S};

        worker_reports(1, &chunk[0], &done);
        expect_results(1 + job, 1, NULL);
        if (job < 3)
            expect_nothing(); /* it has enough */
    }
    expect_chunk(1, 9, 1);
    cancel(PROTO_CANCEL_NOW);
    expect_sent(worker_name(1), PROTO_CANCEL);
    expect_sent(worker_name(2), PROTO_CANCEL);
}

Test(core_concurrent, place_of_a_job_that_waited_is_filled_when_it_ends)
{
    struct proto_submit settings = range_of(1, 1000, 0);
    struct proto_chunk chunk;

    begin_concurrent(1, 4);
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 4);
    worker_reports(1, &chunk,
                   &(struct report){.first = 3, .count = 1, .execute_ns = CLOCK_NS_PER_S, .cpu_ns = 1000});
    expect_results(3, 1, NULL);
    expect_chunk(1, 5, 1);
    cancel(PROTO_CANCEL_NOW);
    expect_sent(worker_name(1), PROTO_CANCEL);
}

Test(core_concurrent, short_jobs_do_not_cost_a_message_each)
{
    struct proto_submit settings = range_of(1, 1000000, 0);
    struct proto_chunk chunk, next;

    begin_concurrent(1, 100);
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 100);
    worker_reports(
        1, &chunk,
        &(struct report){.first = 1, .count = 100, .execute_ns = 100 * CLOCK_NS_PER_MS, .cpu_ns = 100000});
    expect_results(1, 100, NULL);
    next = expect_chunk(1, 101, 200); /* 100 run, 100 end within some round trips */
    worker_reports(1, &next,
                   &(struct report){.first = 101, .count = 1, .execute_ns = CLOCK_NS_PER_MS, .cpu_ns = 1000});
    expect_results(101, 1, NULL);
    expect_nothing();
    cancel(PROTO_CANCEL_NOW);
    expect_sent(worker_name(1), PROTO_CANCEL);
}

/* One job of another client, wherever it goes. */
static void expect_taken(unsigned slot, const char *client)
{
    struct proto_submit settings = range_of(1, 1, 0);

    client_hello(client);
    submit(client, &settings);
    expect_sent(worker_name(slot), PROTO_CHUNK);
}

/* A job of CLIENT, whose batch is a list; it took so long. */
static void take_and_report(unsigned slot, uint64_t index, uint64_t took_ns, uint64_t cpu_ns)
{
    struct proto_chunk chunk = expect_chunk(slot, index, 1);

    pass(took_ns);
    worker_reports(slot, &chunk,
                   &(struct report){.first = index, .count = 1, .execute_ns = took_ns, .cpu_ns = cpu_ns});
    expect_results(index, 1, NULL);
}

Test(core_concurrent, worker_that_has_enough_of_a_batch_does_not_speak_for_one_with_jobs_of_another)
{
    struct proto_submit settings = list_of(0);

    begin_concurrent(2, 4);
    submit(CLIENT, &settings);
    send_arguments(CLIENT, 1, 1);
    take_and_report(1, 1, 30 * CLOCK_NS_PER_MS, 30 * CLOCK_NS_PER_MS);
    send_arguments(CLIENT, 2, 1);
    expect_chunk(1, 2, 1);
    expect_taken(2, "other");
    send_arguments(CLIENT, 3, 1); /* the first worker, with as much to do, has enough: it computes */
    expect_chunk(2, 3, 1);
}

Test(core_concurrent, worker_full_of_other_jobs_does_not_speak_for_one_that_may_be_supplied_ahead)
{
    struct proto_submit settings = list_of(0);

    begin_concurrent(2, 2);
    submit(CLIENT, &settings);
    send_arguments(CLIENT, 1, 1);
    take_and_report(1, 1, CLOCK_NS_PER_MS / 10, CLOCK_NS_PER_MS / 100);
    expect_taken(1, "other");
    send_arguments(CLIENT, 2, 1);
    expect_chunk(2, 2, 1);
    expect_taken(1, "third");
    send_arguments(CLIENT, 3, 5); /* 6 jobs, 3 for each of two workers */
    expect_chunk(2, 3, 2);
    send_arguments(CLIENT, 8, 4); /* 10 jobs, 5 for each */
    expect_chunk(2, 5, 2);
}

/* Of commands one runs at a time, however many the worker has. */
Test(core_concurrent, commands_that_a_worker_is_supplied_with_ahead_take_one_place)
{
    struct proto_submit settings = list_of(0), functions = range_of(1, 9, 0);

    settings.function = (struct proto_text){"command", 7};
    begin_concurrent(2, 4);
    submit(CLIENT, &settings);
    send_arguments(CLIENT, 1, 1);
    take_and_report(1, 1, CLOCK_NS_PER_MS / 10, CLOCK_NS_PER_MS / 10);
    send_arguments(CLIENT, 2, 20);
    expect_chunk(1, 2, 15);
    expect_chunk(2, 17, 5);
    client_hello("other");
    submit("other", &functions);
    expect_chunk(2, 1, 3);
    expect_chunk(1, 4, 3);
}

/* To give more of what runs one at a time takes no further place. */
Test(core_concurrent, commands_are_supplied_ahead_where_functions_have_the_other_places)
{
    struct proto_submit settings = list_of(0), functions = range_of(1, 3, 0);

    settings.function = (struct proto_text){"command", 7};
    begin_concurrent(1, 4);
    client_hello("other");
    submit("other", &functions);
    expect_chunk(1, 1, 3);
    submit(CLIENT, &settings);
    send_arguments(CLIENT, 1, 1);
    take_and_report(1, 1, CLOCK_NS_PER_MS / 10, CLOCK_NS_PER_MS / 10);
    send_arguments(CLIENT, 2, 10);
    expect_chunk(1, 2, 10);
}

/* One worker of four places: commands 2 to 7. */
static struct proto_chunk begin_commands(void)
{
    struct proto_submit settings = list_of(0);

    settings.function = (struct proto_text){"command", 7};
    begin_concurrent(1, 4);
    submit(CLIENT, &settings);
    send_arguments(CLIENT, 1, 1);
    take_and_report(1, 1, CLOCK_NS_PER_MS / 10, CLOCK_NS_PER_MS / 10);
    send_arguments(CLIENT, 2, 6);
    return expect_chunk(1, 2, 6);
}

/* Likewise, and functions of another client. */
static struct proto_chunk begin_both(void)
{
    struct proto_submit functions = range_of(1, 2, 0);
    struct proto_chunk chunk = begin_commands();

    client_hello("other");
    submit("other", &functions);
    expect_chunk(1, 1, 2);
    return chunk;
}

Test(core_concurrent, command_that_ran_is_suspected_when_its_worker_is_killed)
{
    struct proto_chunk chunk = begin_both();

    step_exit(&(struct worker_exit){
        .slot = 1, .reason = "killed by SIGKILL", .chunk = chunk.chunk, .index = 3, .batch = chunk.batch});
    expect_spawn(1);
    worker_hello_concurrent(1, 24, 4);
    expect_chunk(1, 2, 1);
    expect_chunk(1, 1, 2);
    expect_chunk(1, 3, 1); /* suspects run in chunks of their own */
    expect_chunk(1, 4, 4);
}

Test(core_concurrent, command_that_ran_is_not_suspected_when_its_worker_faults)
{
    struct proto_chunk chunk = begin_both();

    step_exit(&(struct worker_exit){.slot = 1,
                                    .reason = "killed by SIGSEGV",
                                    .faulted = true,
                                    .chunk = chunk.chunk,
                                    .index = 3,
                                    .batch = chunk.batch});
    expect_spawn(1);
    worker_hello_concurrent(1, 24, 4);
    expect_chunk(1, 2, 6);
    expect_chunk(1, 1, 1);
    expect_chunk(1, 2, 1);
}

Test(core_concurrent, command_is_suspected_of_a_fault_when_its_worker_has_nothing_else)
{
    struct proto_chunk chunk = begin_commands();

    step_exit(&(struct worker_exit){.slot = 1,
                                    .reason = "killed by SIGSEGV",
                                    .faulted = true,
                                    .chunk = chunk.chunk,
                                    .index = 3,
                                    .batch = chunk.batch});
    expect_spawn(1);
    worker_hello_concurrent(1, 24, 4);
    expect_chunk(1, 2, 1);
    expect_chunk(1, 3, 1);
    expect_chunk(1, 4, 4);
}

static void report_all(unsigned slot, const struct proto_chunk *chunk)
{
    worker_reports(slot, chunk,
                   &(struct report){.first = chunk->first,
                                    .count = chunk->count,
                                    .execute_ns = chunk->count * CLOCK_NS_PER_MS / 10,
                                    .cpu_ns = chunk->count * CLOCK_NS_PER_MS / 100});
    expect_results(chunk->first, chunk->count, NULL);
}

/* The silent one has less to do than the one that takes its jobs. */
Test(core_concurrent, worker_that_gave_jobs_back_does_not_speak_for_the_one_that_takes_them)
{
    struct proto_submit settings = list_of(0);
    struct proto_chunk silent[2], busy;

    begin_concurrent(2, 3);
    submit(CLIENT, &settings);
    send_arguments(CLIENT, 1, 6);
    silent[0] = expect_chunk(1, 1, 3);
    busy = expect_chunk(2, 4, 3);
    report_all(2, &busy);
    send_arguments(CLIENT, 7, 7); /* 10 jobs, 5 for each of two workers */
    busy = expect_chunk(2, 7, 5);
    silent[1] = expect_chunk(1, 12, 2);
    pass(10 * CLOCK_NS_PER_MS);
    report_all(2, &busy);
    expect_recall(1, 12, 2);
    expect_recall(1, 2, 2);
    worker_returns(1, &silent[1], 12, 2);
    expect_chunk(2, 12, 2);
    worker_returns(1, &silent[0], 2, 2); /* 5 jobs, 3 for each */
    expect_chunk(2, 2, 1);
}

/* --- single jobs cancelled */

static void expect_cancelled(uint64_t first, uint32_t count)
{
    const struct proto_outcome *outcome = &expect_sent(CLIENT, PROTO_RESULTS)->results.outcome;

    cr_assert_eq(outcome->first, first, "from job %lu", (unsigned long)outcome->first);
    cr_assert_eq(outcome->count, count);
    cr_assert_eq(outcome->failure_count, count);
    for (uint32_t i = 0; i < count; i++)
        cr_assert_eq(outcome->failures[i].code, MUSTER_ECANCELLED);
}

Test(core_concurrent, queued_jobs_that_are_cancelled_end_at_once_and_are_passed_over)
{
    struct proto_submit settings = list_of(2);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    send_arguments(CLIENT, 1, 4);
    chunk = expect_chunk(1, 1, 2);
    send_arguments(CLIENT, 5, 4);
    cancel_some(4, 2);
    expect_cancelled(4, 1);
    expect_cancelled(5, 1); /* of another block */
    cancel_some(4, 2);
    expect_nothing();
    worker_finishes(1, &chunk);
    expect_results(1, 2, NULL);
    chunk = expect_chunk(1, 3, 1);
    worker_finishes(1, &chunk);
    expect_results(3, 1, NULL);
    chunk = expect_chunk(1, 6, 2);
    cancel_some(8, 1);
    expect_cancelled(8, 1);
    worker_finishes(1, &chunk);
    expect_results(6, 2, NULL);
    seal(8);
    expect_ended(5, 0, 3);
}

Test(core_concurrent, running_job_that_is_cancelled_ends_when_its_worker_says_so)
{
    static const uint64_t failed[] = {3, 0};
    struct proto_chunk chunk = begin_chunk(4);
    const struct proto_cancel *told;

    cancel_some(3, 1);
    told = &expect_sent(worker_name(1), PROTO_CANCEL)->cancel;
    cr_assert(told->first == 3 && told->count == 1 && told->mode == PROTO_CANCEL_NOW);
    worker_reports(1, &chunk,
                   &(struct report){.first = 2, .count = 3, .failed = failed, .code = MUSTER_EFAILED});
    expect_results(2, 1, NULL);
    expect_cancelled(3, 1); /* however it failed */
    expect_results(4, 1, NULL);
    report(&chunk, 1, 1);
    expect_results(1, 1, NULL);
    expect_ended(3, 0, 1);
}

Test(core_concurrent, job_that_succeeds_in_spite_of_its_cancel_succeeds)
{
    struct proto_chunk chunk = begin_chunk(2);

    cancel_some(1, 2);
    expect_sent(worker_name(1), PROTO_CANCEL);
    worker_finishes(1, &chunk);
    expect_results(1, 2, NULL);
    expect_ended(2, 0, 0);
}

Test(core_concurrent, cancelled_job_that_dies_with_its_worker_is_not_run_again_nor_blamed)
{
    struct proto_chunk chunk = begin_chunk(3);

    cancel_some(2, 1);
    expect_sent(worker_name(1), PROTO_CANCEL);
    worker_crashes(1, &chunk, 2);
    expect_cancelled(2, 1);
    expect_spawn(1);
    worker_hello_concurrent(1, 19, 3);
    expect_chunk(1, 1, 1);
    chunk = expect_chunk(1, 3, 1);
    cr_assert_eq(chunk.attempt, 1);
    worker_finishes(1, &chunk);
    expect_results(3, 1, NULL);
    cancel(PROTO_CANCEL_NOW);
    expect_sent(worker_name(1), PROTO_CANCEL);
}

/* All of the batch was cancelled. */
Test(core_concurrent, cancelling_more_jobs_than_a_message_tells_of_is_refused_and_the_batch_goes_on)
{
    struct proto_submit settings = range_of(1, 1000000, 1);

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    expect_chunk(1, 1, 1);
    cancel_some(2, PROTO_CHUNK_JOBS_MAX + 1);
    expect_error(CLIENT, 1, MUSTER_ELIMIT, "");
    expect_nothing();
    cr_assert(!core->batches->cancel);
}

Test(core_concurrent, thousands_of_cancelled_jobs_leave_nothing_behind)
{
    struct proto_submit settings = list_of(1);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    send_arguments(CLIENT, 1, 1);
    chunk = expect_chunk(1, 1, 1);
    for (unsigned block = 0; block < 50; block++) {
        uint64_t first = 2 + 100 * (uint64_t)block;

        send_arguments(CLIENT, first, 100);
        for (uint64_t job = first + 100; job-- > first;) {
            cancel_some(job, 1);
            expect_cancelled(job, 1);
        }
        cr_assert_eq(core->batches->skipped.count, 0);
        cr_assert_eq(core->batches->blocks->next, NULL, "arguments that nobody needs are kept");
    }
    worker_finishes(1, &chunk);
    expect_results(1, 1, NULL);
    seal(5001);
    expect_ended(1, 0, 5000);
}
