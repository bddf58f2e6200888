/* SPDX-License-Identifier: MIT
 *
 * Jobs that are taken back from one worker for another: when they are asked for, what becomes of
 * those that come and of those that do not, and what crosses the question on its way.
 */
#include "tests/support/core_harness.h"

#include <criterion/criterion.h>

static const uint64_t MS = CLOCK_NS_PER_MS;

/* Worker 1 has a batch of so many jobs, in one chunk; the others have nothing. */
static struct proto_chunk give_all(unsigned workers, uint32_t jobs, uint32_t retries)
{
    struct proto_submit settings = range_of(1, jobs, jobs);

    settings.retries = retries;
    begin_ready(workers, 4);
    submit(CLIENT, &settings);
    return expect_chunk(1, 1, jobs);
}

/* Jobs are known to take a millisecond each. */
static void measure(void)
{
    pacing_report(&core->batches->pacing, 100, 100 * MS);
}

/* As if the user had not set the size of chunks. */
static void free_size(void)
{
    core->batches->pacing.fixed = 0;
}

/* Worker 1 has ten jobs of a millisecond, is late, and is asked for all but the first. */
static struct proto_chunk ask_for_nine(uint32_t retries)
{
    struct proto_chunk chunk = give_all(2, 10, retries);

    measure();
    step_tick();
    step_deadline(11 * MS);
    expect_recall(1, 2, 9);
    return chunk;
}

/* The jobs of a chunk succeeded, each in a millisecond. */
static void finishes(unsigned slot, const struct proto_chunk *chunk, uint64_t first, uint32_t count)
{
    worker_reports(slot, chunk,
                   &(struct report){.first = first,
                                    .count = count,
                                    .final = first + count == chunk->first + chunk->count,
                                    .execute_ns = count * MS,
                                    .cpu_ns = count * MS});
    expect_results(first, count, NULL);
}

static void end_batch(void)
{
    cancel(PROTO_CANCEL_SOON);
    for (unsigned i = 0; core->batches && i < core->slots; i++)
        if (core->batches->held[i] > 0)
            expect_sent(worker_name(i + 1), PROTO_CANCEL);
    if (!core->batches)
        expect_sent(CLIENT, PROTO_ENDED);
    end_core();
}

/* --- when */

Test(core_recall, idle_worker_gets_half_of_what_another_has_before_it)
{
    struct proto_chunk chunk = give_all(2, 10, 0), single;

    measure();
    free_size();
    step_tick();
    expect_recall(1, 6, 5);
    worker_returns(1, &chunk, 6, 5);
    single = expect_chunk(2, 6, 1);
    finishes(2, &single, 6, 1);
    expect_chunk(2, 7, 1);
    end_batch();
}

Test(core_recall, two_idle_workers_get_two_thirds)
{
    give_all(3, 9, 0);
    measure();
    free_size();
    step_tick();
    expect_recall(1, 4, 6);
    end_batch();
}

Test(core_recall, what_was_done_meanwhile_is_not_asked_for)
{
    give_all(2, 10, 0);
    measure();
    free_size();
    pass(6 * MS);
    step_tick();
    expect_recall(1, 9, 2); /* of the four that are left */
    end_batch();
}

Test(core_recall, less_than_a_round_trip_is_left_alone)
{
    give_all(2, 10, 0);
    pacing_report(&core->batches->pacing, 100, 9 * MS);
    free_size();
    step_tick();
    expect_nothing();
    end_batch();
}

Test(core_recall, worker_that_is_late_is_asked_for_all_that_it_has_not_begun)
{
    struct proto_chunk chunk = ask_for_nine(0);

    worker_returns(1, &chunk, 2, 9);
    expect_chunk(2, 2, 9);
    end_batch();
}

Test(core_recall, worker_that_is_silent_is_late_though_no_time_is_known)
{
    give_all(2, 10, 0);
    step_deadline(101 * MS);
    expect_recall(1, 2, 9);
    end_batch();
}

Test(core_recall, report_shows_that_a_worker_is_not_late)
{
    struct proto_chunk chunk = give_all(2, 10, 0);

    measure();
    pass(10 * MS);
    finishes(1, &chunk, 1, 5);
    step_deadline(6 * MS); /* five of them are left, and a millisecond of patience */
    expect_recall(1, 7, 4);
    end_batch();
}

Test(core_recall, chunk_of_a_set_size_is_not_cut_but_goes_as_a_whole)
{
    struct proto_submit settings = range_of(1, 12, 4);
    struct proto_chunk second;

    begin_ready(2, 4);
    submit(CLIENT, &settings);
    expect_chunk(1, 1, 4);
    second = expect_chunk(2, 5, 4);
    measure();
    step_tick();
    expect_chunk(1, 9, 4);
    finishes(2, &second, 5, 4);
    expect_recall(1, 9, 4);
    end_batch();
}

Test(core_recall, single_jobs_of_a_stream_do_not_wait_behind_a_long_one)
{
    struct proto_submit settings = list_of(0);
    struct proto_chunk chunk, behind;

    begin_ready(2, 16);
    submit(CLIENT, &settings);
    send_arguments(CLIENT, 1, 1);
    expect_chunk(1, 1, 1);
    send_arguments(CLIENT, 2, 1);
    chunk = expect_chunk(2, 2, 1);
    pacing_report(&core->batches->pacing, 1, MS / 5);
    send_arguments(CLIENT, 3, 4);
    behind = expect_chunk(1, 3, 1);
    expect_chunk(2, 4, 1);
    expect_chunk(1, 5, 1);
    expect_chunk(2, 6, 1);
    pass(2 * MS);
    finishes(2, &chunk, 2, 1);
    chunk = (struct proto_chunk){.batch = 1, .chunk = 4, .first = 4, .count = 1, .attempt = 1};
    finishes(2, &chunk, 4, 1);
    chunk = (struct proto_chunk){.batch = 1, .chunk = 6, .first = 6, .count = 1, .attempt = 1};
    finishes(2, &chunk, 6, 1);
    pass(10 * MS);
    step_tick();
    expect_recall(1, 5, 1);
    expect_recall(1, 3, 1);
    worker_returns(1, &behind, 3, 1);
    expect_chunk(2, 3, 1);
    end_batch();
}

Test(core_recall, stuck_worker_of_several_jobs_gives_others_what_it_did_not_begin)
{
    struct proto_submit settings = range_of(1, 10, 0);
    struct proto_chunk first, second;

    begin_concurrent(2, 8);
    submit(CLIENT, &settings);
    first = expect_chunk(1, 1, 5);
    second = expect_chunk(2, 6, 5);
    finishes(2, &second, 6, 5); /* and so does not wait: five of them take 5 ms */
    expect_recall(1, 3, 3);
    worker_returns(1, &first, 5, 1); /* it began the others */
    expect_chunk(2, 5, 1);           /* not to the worker that it comes from */
    end_batch();
}

/* --- what comes, and what does not */

Test(core_recall, worker_that_keeps_the_jobs_is_not_asked_again)
{
    struct proto_chunk chunk = ask_for_nine(0);

    step_deadline(10 * MS); /* from now on somebody else may be asked */
    expect_nothing();
    cr_assert_eq(core_deadline(core), now_ns - 21 * MS + HEARTBEAT_NS / 3, "only a ping is due");
    finishes(1, &chunk, 1, 10);
    expect_ended(10, 0, 0);
    end_core();
}

Test(core_recall, job_that_comes_back_keeps_its_attempt)
{
    static const uint64_t all[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0};
    struct proto_chunk chunk = give_all(2, 10, 1);

    worker_reports(
        1, &chunk,
        &(struct report){.first = 1, .count = 10, .final = true, .failed = all, .code = MUSTER_EFAILED});
    chunk = expect_chunk(1, 1, 10);
    cr_assert_eq(chunk.attempt, 2);
    pass(101 * MS);
    step_tick();
    expect_recall(1, 2, 9);
    worker_returns(1, &chunk, 2, 9);
    chunk = expect_chunk(2, 2, 9);
    cr_assert_eq(chunk.attempt, 2, "it did not end, and did not fail again");
    finishes(2, &chunk, 2, 9);
    cr_assert_eq(core->batches->totals.retried, 10);
    end_batch();
}

Test(core_recall, report_of_all_that_did_not_come_back_ends_the_chunk)
{
    struct proto_chunk chunk = ask_for_nine(0), back;

    worker_returns(1, &chunk, 5, 6);
    back = expect_chunk(2, 5, 6);
    worker_reports(1, &chunk, &(struct report){.first = 1, .count = 4, .execute_ns = 4 * MS});
    expect_results(1, 4, NULL);
    cr_assert_eq(core->workers[0].holds, 0);
    worker_reports(1, &chunk, &(struct report){.first = 1, .final = true});
    expect_nothing();
    finishes(2, &back, 5, 6);
    expect_ended(10, 0, 0);
    end_core();
}

Test(core_recall, answer_that_comes_behind_the_final_report_does_not_run_jobs_twice)
{
    struct proto_chunk chunk = ask_for_nine(0), back;

    worker_reports(1, &chunk, &(struct report){.first = 1, .count = 3, .final = true, .execute_ns = 3 * MS});
    expect_results(1, 3, NULL);
    back = expect_chunk(1, 4, 7);
    worker_returns(1, &chunk, 6, 5);
    expect_nothing();
    cr_assert_eq(core->batches->assigned, 7);
    cr_assert_eq(back.attempt, 1);
    end_batch();
}

Test(core_recall, job_does_not_travel_for_ever)
{
    struct proto_chunk chunk = give_all(2, 40, 0), next;
    unsigned travels = 0;

    measure();
    step_tick();
    for (unsigned at = 1;; at = 3 - at) { /* who has all and begins only one job */
        pass(100 * MS);
        step_tick();
        expect_recall(at, chunk.first + 1, chunk.count - 1);
        worker_returns(at, &chunk, chunk.first + 1, chunk.count - 1);
        travels++;
        if (travels == 16)
            break;
        next = expect_chunk(3 - at, chunk.first + 1, chunk.count - 1);
        finishes(at, &chunk, chunk.first, 1);
        chunk = next;
    }
    expect_chunk(1, 17, 1); /* alone, and begun at once */
    cr_assert_eq(core->batches->queued, 23);
    end_batch();
}

/* --- what crosses it */

/* Another batch keeps all workers supplied; none of them would ever have nothing. */
Test(core_recall, jobs_that_come_back_do_not_wait_until_another_batch_is_over)
{
    struct proto_submit settings = range_of(1, 10, 10), other = range_of(1, 1000, 1);
    struct proto_chunk chunk, first, second;

    begin_ready(2, 2);
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 10);
    measure();
    step_tick();
    step_deadline(11 * MS);
    expect_recall(1, 2, 9);
    other.ticket = 2;
    submit(CLIENT, &other);
    first = expect_chunk(2, 1, 1);
    pacing_report(&core->batches->next->pacing, 100, 10 * MS);
    step_tick();
    expect_chunk(1, 2, 1);
    second = expect_chunk(2, 3, 1);
    worker_returns(1, &chunk, 2, 9);
    expect_nothing();
    worker_reports(2, &first, &(struct report){.first = 1, .count = 1, .final = true, .execute_ns = MS});
    expect_sent(CLIENT, PROTO_RESULTS);
    expect_nothing(); /* it is let run dry */
    worker_reports(2, &second, &(struct report){.first = 3, .count = 1, .final = true, .execute_ns = MS});
    expect_sent(CLIENT, PROTO_RESULTS);
    cr_assert_eq(expect_chunk(2, 2, 9).batch, chunk.batch);
    expect_chunk(2, 4, 1); /* and goes on */
    stop_client(CLIENT);
    expect_sent(worker_name(1), PROTO_CANCEL);
    expect_sent(worker_name(2), PROTO_CANCEL);
    expect_sent(worker_name(1), PROTO_CANCEL);
    expect_sent(worker_name(2), PROTO_CANCEL);
    end_core();
}

Test(core_recall, crash_of_a_worker_that_was_asked_is_blamed_on_the_job_that_ran)
{
    struct proto_chunk chunk = ask_for_nine(0);
    char name[PROTO_PEER_NAME_MAX + 1];

    strcpy(name, worker_name(1));
    worker_returns(1, &chunk, 6, 5);
    expect_chunk(2, 6, 5);
    worker_crashes(1, &chunk, 1);
    expect_spawn(1);
    cr_assert_eq(expect_chunk(2, 1, 1).attempt, 2);
    cr_assert_eq(core->batches->queued, 4);
    cr_assert_eq(core->batches->requeued->run.attempts, 0);
    step_message(name, &(struct proto_message){
                           .type = PROTO_RETURNED,
                           .returned = {.batch = 1, .chunk = chunk.chunk, .first = 2, .count = 4}});
    expect_nothing();
    end_batch();
}

Test(core_recall, job_that_was_cancelled_meanwhile_is_over_when_it_comes_back)
{
    struct proto_chunk chunk = ask_for_nine(0);

    cancel_some(8, 1);
    expect_sent(worker_name(1), PROTO_CANCEL);
    worker_returns(1, &chunk, 2, 9);
    expect_failure(8, MUSTER_ECANCELLED, "cancelled");
    expect_chunk(2, 2, 6);
    end_batch();
}

Test(core_recall, batch_that_was_cancelled_meanwhile_does_not_start_again)
{
    struct proto_chunk chunk = ask_for_nine(0);

    cancel(PROTO_CANCEL_SOON);
    expect_sent(worker_name(1), PROTO_CANCEL);
    worker_returns(1, &chunk, 2, 9);
    finishes(1, &chunk, 1, 1);
    expect_ended(1, 0, 9);
    end_core();
}

Test(core_recall, nothing_is_asked_for_of_a_batch_that_was_cancelled)
{
    give_all(2, 10, 0);
    cancel(PROTO_CANCEL_SOON);
    expect_sent(worker_name(1), PROTO_CANCEL);
    pass(101 * MS);
    step_tick();
    expect_nothing();
    end_core();
}

/* --- workers that say what cannot be */

static void expect_end_of_worker(const struct proto_chunk *chunk, uint64_t first, uint32_t count)
{
    worker_returns(1, chunk, first, count);
    expect_kill(1);
    end_core();
}

Test(core_recall, worker_that_returns_what_nobody_asked_for_is_killed)
{
    struct proto_chunk chunk = give_all(2, 10, 0);

    expect_end_of_worker(&chunk, 2, 9);
}

Test(core_recall, worker_that_returns_more_than_was_asked_for_is_killed)
{
    struct proto_chunk chunk = ask_for_nine(0);

    expect_end_of_worker(&chunk, 1, 10);
}

Test(core_recall, worker_that_returns_jobs_twice_is_killed)
{
    struct proto_chunk chunk = ask_for_nine(0);

    worker_returns(1, &chunk, 6, 5);
    expect_chunk(2, 6, 5);
    expect_end_of_worker(&chunk, 6, 5);
}

Test(core_recall, worker_that_returns_what_it_reported_is_killed)
{
    struct proto_chunk chunk = ask_for_nine(0);

    finishes(1, &chunk, 1, 5);
    expect_end_of_worker(&chunk, 5, 6);
}

Test(core_recall, worker_that_reports_what_it_returned_is_killed)
{
    struct proto_chunk chunk = ask_for_nine(0);

    worker_returns(1, &chunk, 6, 5);
    expect_chunk(2, 6, 5);
    worker_reports(1, &chunk, &(struct report){.first = 1, .count = 6, .execute_ns = 6 * MS});
    expect_kill(1);
    end_core();
}

Test(core_recall, client_that_asks_for_jobs_is_refused)
{
    begin_lazy(1);
    step_message(CLIENT, &(struct proto_message){
                             .type = PROTO_CANCEL,
                             .cancel = {.id = 1, .mode = PROTO_CANCEL_RETURN, .first = 1, .count = 1}});
    expect_error(CLIENT, 0, MUSTER_EPROTOCOL, "does not send");
    step_message(CLIENT,
                 &(struct proto_message){.type = PROTO_RETURNED,
                                         .returned = {.batch = 1, .chunk = 1, .first = 1, .count = 1}});
    expect_error(CLIENT, 0, MUSTER_EPROTOCOL, "does not send");
    end_core();
}
