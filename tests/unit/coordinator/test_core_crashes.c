/* SPDX-License-Identifier: MIT
 *
 * Workers that die with jobs in their hands: who is blamed, who runs again, and when a job has
 * killed often enough.
 */
#include "tests/support/core_harness.h"

#include <criterion/criterion.h>

TestSuite(core_crashes, .fini = end_core);

static void begin_with(unsigned workers, struct proto_submit settings)
{
    begin_ready(workers, 1);
    submit(CLIENT, &settings);
}

/* The worker comes back and says HELLO. */
static void respawn(unsigned slot, unsigned credit)
{
    expect_spawn(slot);
    worker_hello(slot, credit);
}

Test(core_crashes, worker_killed_mid_chunk_blames_only_the_running_job)
{
    struct proto_chunk chunk;

    begin_with(1, range_of(1, 5, 5));
    chunk = expect_chunk(1, 1, 5);
    worker_reports(1, &chunk, &(struct report){.first = 1, .count = 1});
    expect_results(1, 1, NULL);
    worker_crashes(1, &chunk, 3);
    respawn(1, 1);
    chunk = expect_chunk(1, 2, 1);
    cr_assert_eq(chunk.attempt, 1);
    worker_finishes(1, &chunk);
    expect_results(2, 1, NULL);
    chunk = expect_chunk(1, 3, 1);
    cr_assert_eq(chunk.attempt, 2);
    worker_finishes(1, &chunk);
    expect_results(3, 1, NULL);
    chunk = expect_chunk(1, 4, 2);
    cr_assert_eq(chunk.attempt, 1);
    worker_finishes(1, &chunk);
    expect_results(4, 2, NULL);
    cr_assert_eq(expect_ended(5, 0, 0).crashes, 1);
}

Test(core_crashes, third_crash_quarantines_the_job_and_says_how_it_died)
{
    struct proto_chunk chunk;
    struct proto_ended ended;

    begin_with(1, range_of(1, 1, 1));
    for (unsigned crash = 1; crash <= 2; crash++) {
        chunk = expect_chunk(1, 1, 1);
        cr_assert_eq(chunk.attempt, crash);
        worker_crashes(1, &chunk, 1);
        respawn(1, 1);
    }
    chunk = expect_chunk(1, 1, 1);
    worker_crashes(1, &chunk, 1);
    expect_failure(1, MUSTER_EQUARANTINED,
                   "crashed its worker 3 times and is quarantined; the last one: killed by SIGSEGV");
    expect_spawn(1);
    ended = expect_ended(0, 1, 0);
    cr_assert_eq(ended.crashes, 3);
    cr_assert_eq(ended.retried, 2);
}

Test(core_crashes, job_that_may_crash_once_only_fails_with_its_first_crash)
{
    struct proto_submit settings = range_of(1, 4, 4);
    struct proto_chunk chunk;

    settings.crash_limit = 1;
    settings.retries = 5; /* these are for failures */
    settings.timings = true;
    begin_with(1, settings);
    chunk = expect_chunk(1, 1, 4);
    worker_crashes(1, &chunk, 2);
    expect_failure(2, MUSTER_ECRASHED, "crashed its worker: killed by SIGSEGV");
    respawn(1, 1);
    chunk = expect_chunk(1, 1, 1);
    worker_finishes(1, &chunk);
    expect_results(1, 1, NULL);
    chunk = expect_chunk(1, 3, 2);
    worker_finishes(1, &chunk);
    expect_results(3, 2, NULL);
    cr_assert_eq(expect_ended(3, 1, 0).crashes, 1);
}

Test(core_crashes, failures_do_not_count_as_crashes_nor_crashes_as_failures)
{
    static const uint64_t failed[] = {1, 0};
    struct report report = {.first = 1, .count = 1, .final = true, .failed = failed, .code = MUSTER_EFAILED};
    struct proto_submit settings = range_of(1, 1, 1);
    struct proto_chunk chunk;

    settings.crash_limit = 2;
    settings.retries = 1;
    begin_with(1, settings);
    chunk = expect_chunk(1, 1, 1);
    worker_crashes(1, &chunk, 1);
    respawn(1, 1);
    chunk = expect_chunk(1, 1, 1);
    worker_reports(1, &chunk, &report);
    chunk = expect_chunk(1, 1, 1);
    cr_assert_eq(chunk.attempt, 3);
    worker_reports(1, &chunk, &report);
    cr_assert_eq(expect_results(1, 1, failed)->attempt, 3);
    expect_ended(0, 1, 0);
}

Test(core_crashes, job_past_its_time_is_tried_again_and_then_has_failed)
{
    struct proto_submit settings = range_of(1, 3, 3);
    struct proto_chunk chunk;
    struct proto_ended ended;

    settings.timeout_ms = 1500;
    settings.retries = 1;
    settings.crash_limit = 1;
    begin_with(1, settings);
    chunk = expect_chunk(1, 1, 3);
    cr_assert_eq(chunk.timeout_ms, 1500);
    worker_times_out(1, &chunk, 1);
    respawn(1, 1);
    chunk = expect_chunk(1, 1, 1);
    cr_assert_eq(chunk.attempt, 2);
    worker_times_out(1, &chunk, 1);
    expect_failure(1, MUSTER_ETIMEOUT, "timed out after 1.5 s, at 40%");
    respawn(1, 1);
    chunk = expect_chunk(1, 2, 2);
    cr_assert_eq(chunk.attempt, 1);
    worker_finishes(1, &chunk);
    expect_results(2, 2, NULL);
    ended = expect_ended(2, 1, 0);
    cr_assert_eq(ended.crashes, 0, "a time limit is no crash");
    cr_assert_eq(ended.retried, 1);
}

Test(core_crashes, every_chunk_of_the_dead_worker_runs_again_with_its_arguments)
{
    struct proto_submit settings = list_of(2);
    struct proto_chunk held[3], chunk;

    begin_ready(1, 3);
    submit(CLIENT, &settings);
    send_arguments(CLIENT, 1, 3);
    held[0] = expect_chunk(1, 1, 2);
    worker_finishes(1, &held[0]);
    expect_results(1, 2, NULL);
    held[0] = expect_chunk(1, 3, 1);
    send_arguments(CLIENT, 4, 4);
    held[1] = expect_chunk(1, 4, 2);
    held[2] = expect_chunk(1, 6, 2);
    worker_crashes(1, &held[1], 4);
    respawn(1, 3);
    expect_chunk(1, 3, 1);
    chunk = expect_chunk(1, 4, 1);
    cr_assert_eq(chunk.attempt, 2);
    expect_chunk(1, 5, 2);
    cr_assert_neq(held[2].chunk, chunk.chunk);
}

Test(core_crashes, jobs_of_the_dead_go_to_the_living_at_once)
{
    struct proto_chunk mine, other;

    begin_with(2, range_of(1, 4, 2));
    mine = expect_chunk(1, 1, 2);
    other = expect_chunk(2, 3, 2);
    worker_finishes(2, &other);
    expect_results(3, 2, NULL);
    worker_crashes(1, &mine, 2);
    expect_chunk(2, 1, 1);
    expect_spawn(1);
    worker_hello(1, 1);
    cr_assert_eq(expect_chunk(1, 2, 1).attempt, 2);
}

Test(core_crashes, worker_that_dies_after_its_last_result_blames_nobody)
{
    struct proto_chunk chunk;

    begin_with(1, range_of(1, 2, 1));
    chunk = expect_chunk(1, 1, 1);
    worker_finishes(1, &chunk);
    expect_results(1, 1, NULL);
    expect_chunk(1, 2, 1);
    worker_crashes(1, &chunk, 1); /* in what it did behind job 1, which has ended */
    respawn(1, 1);
    chunk = expect_chunk(1, 2, 1);
    cr_assert_eq(chunk.attempt, 1);
    worker_finishes(1, &chunk);
    expect_results(2, 1, NULL);
    expect_ended(2, 0, 0);
}

Test(core_crashes, idle_worker_that_dies_is_replaced_when_it_is_wanted)
{
    struct proto_submit settings = range_of(1, 1, 1);
    struct proto_chunk chunk;

    begin_lazy(1);
    submit(CLIENT, &settings);
    expect_spawn(1);
    worker_hello(1, 4);
    chunk = expect_chunk(1, 1, 1);
    worker_finishes(1, &chunk);
    expect_results(1, 1, NULL);
    expect_ended(1, 0, 0);
    step_exit(&(struct worker_exit){.slot = 1, .reason = "killed by SIGKILL"});
    expect_nothing();
    submit(CLIENT, &settings);
    expect_spawn(1);
    worker_hello(1, 4);
    expect_chunk(1, 1, 1);
}

Test(core_crashes, flight_recorder_that_names_no_job_of_the_chunk_blames_nobody)
{
    struct proto_chunk chunk;

    begin_with(1, range_of(1, 4, 4));
    chunk = expect_chunk(1, 1, 4);
    worker_crashes(1, &chunk, UINT64_MAX >> 1);
    respawn(1, 1);
    chunk = expect_chunk(1, 1, 4);
    cr_assert_eq(chunk.attempt, 1);
}

Test(core_crashes, job_that_workers_die_beside_is_given_up_in_the_end)
{
    struct proto_chunk chunk;

    begin_with(1, range_of(1, 1, 1));
    for (unsigned death = 1; death <= 9; death++) {
        chunk = expect_chunk(1, 1, 1);
        cr_assert_eq(chunk.attempt, 1, "it never was executed");
        step_exit(&(struct worker_exit){.slot = 1, .reason = "killed by SIGKILL"});
        respawn(1, 1);
    }
    expect_chunk(1, 1, 1);
    step_exit(&(struct worker_exit){.slot = 1, .reason = "killed by SIGKILL"});
    expect_failure(1, MUSTER_EQUARANTINED, "10 workers died");
    expect_spawn(1);
    cr_assert_eq(expect_ended(0, 1, 0).crashes, 10);
}

Test(core_crashes, job_whose_outcome_was_lost_is_the_suspect_rather_than_the_next)
{
    struct proto_chunk chunk;

    begin_with(1, range_of(1, 4, 4));
    chunk = expect_chunk(1, 1, 4);
    step_exit(
        &(struct worker_exit){.slot = 1, .reason = "killed by SIGKILL", .chunk = chunk.chunk, .index = 3});
    respawn(1, 1);
    chunk = expect_chunk(1, 1, 2);
    worker_finishes(1, &chunk);
    expect_results(1, 2, NULL);
    chunk = expect_chunk(1, 3, 1);
    cr_assert_eq(chunk.attempt, 1);
}

Test(core_crashes, one_death_counts_once_for_a_batch_whatever_else_the_worker_held)
{
    struct proto_submit settings = list_of(1);
    struct proto_chunk mine, other;

    begin_ready(1, 3);
    client_hello("other");
    submit(CLIENT, &settings);
    submit("other", &settings);
    send_arguments(CLIENT, 1, 1);
    mine = expect_chunk(1, 1, 1);
    worker_finishes(1, &mine);
    expect_results(1, 1, NULL);
    send_arguments("other", 1, 1);
    other = expect_chunk(1, 1, 1);
    worker_finishes(1, &other);
    expect_sent("other", PROTO_RESULTS);
    send_arguments(CLIENT, 2, 1);
    expect_chunk(1, 2, 1);
    send_arguments("other", 2, 1);
    other = expect_chunk(1, 2, 1);
    send_arguments(CLIENT, 3, 1);
    expect_chunk(1, 3, 1);
    worker_crashes(1, &other, 2);
    expect_spawn(1);
    cr_assert_eq(core->batches->totals.crashes, 1);
    cr_assert_eq(core->batches->next->totals.crashes, 1);
}
