/* SPDX-License-Identifier: MIT
 *
 * Batches that end early: what is cancelled, what still counts, and who is killed for it.
 */
#include "tests/support/core_harness.h"

#include <criterion/criterion.h>

TestSuite(core_cancel, .fini = end_core);

static const uint64_t GRACE_NS = 250 * CLOCK_NS_PER_MS;

/* A batch of jobs 1..10 in chunks of 4 on one worker, cancelled while the first chunk runs. */
static struct proto_chunk begin_cancelled(enum proto_cancel_mode mode, uint32_t retries)
{
    struct proto_submit settings = range_of(1, 10, 4);
    struct proto_chunk chunk;
    uint64_t batch;

    begin_ready(1, 1);
    settings.retries = retries;
    batch = submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 4);
    cancel(mode);
    cr_assert_eq(expect_sent(worker_name(1), PROTO_CANCEL)->cancel.id, batch);
    return chunk;
}

Test(core_cancel, job_that_was_running_may_finish_and_counts)
{
    struct proto_chunk chunk = begin_cancelled(PROTO_CANCEL_SOON, 0);

    cr_assert_eq(core->batches->cancel_deadline_ns, CLOCK_NEVER);
    worker_reports(1, &chunk, &(struct report){.first = 1, .count = 1, .final = true});
    expect_results(1, 1, NULL);
    expect_ended(1, 0, 9);
}

Test(core_cancel, job_that_fails_after_the_cancel_is_not_tried_again)
{
    static const uint64_t failed[] = {1, 0};
    struct proto_chunk chunk = begin_cancelled(PROTO_CANCEL_SOON, 3);

    worker_reports(
        1, &chunk,
        &(struct report){.first = 1, .count = 2, .final = true, .failed = failed, .code = MUSTER_EFAILED});
    expect_results(1, 2, failed);
    cr_assert_eq(expect_ended(1, 1, 8).retried, 0);
}

Test(core_cancel, job_that_gave_up_because_of_the_cancel_is_cancelled_and_not_failed)
{
    static const uint64_t failed[] = {2, 0};
    struct proto_chunk chunk = begin_cancelled(PROTO_CANCEL_NOW, 3);

    worker_reports(
        1, &chunk,
        &(struct report){.first = 1, .count = 2, .final = true, .failed = failed, .code = MUSTER_ECANCELLED});
    expect_results(1, 1, NULL);
    expect_ended(1, 0, 9);
}

Test(core_cancel, job_that_gave_up_and_one_that_failed_are_told_apart_in_one_report)
{
    static const uint64_t failed[] = {2, 3, 0};
    struct proto_chunk chunk = begin_cancelled(PROTO_CANCEL_SOON, 0);

    worker_reports(1, &chunk,
                   &(struct report){.first = 1,
                                    .count = 4,
                                    .final = true,
                                    .failed = failed,
                                    .code = MUSTER_EFAILED,
                                    .first_code = MUSTER_ECANCELLED});
    expect_results(1, 1, NULL);
    expect_results(3, 2, failed + 1);
    expect_ended(2, 1, 7);
}

Test(core_cancel, worker_that_does_not_let_go_is_killed_after_the_grace)
{
    struct proto_chunk chunk = begin_cancelled(PROTO_CANCEL_NOW, 0);
    struct proto_ended ended;

    worker_reports(1, &chunk, &(struct report){.first = 1, .count = 1});
    expect_results(1, 1, NULL);
    step_deadline(GRACE_NS);
    expect_kill(1);
    worker_crashes(1, &chunk, 2);
    expect_spawn(1);
    ended = expect_ended(1, 0, 9);
    cr_assert_eq(ended.crashes, 0, "we killed it");
}

Test(core_cancel, worker_that_lets_go_in_time_lives)
{
    struct proto_chunk chunk = begin_cancelled(PROTO_CANCEL_NOW, 0);

    pass(GRACE_NS - 1);
    worker_reports(1, &chunk, &(struct report){.first = 1, .count = 0, .final = true});
    expect_ended(0, 0, 10);
    pass(GRACE_NS);
    step_tick();
    expect_nothing();
}

Test(core_cancel, worker_that_crashes_during_a_soft_cancel_fails_its_job_and_cancels_the_rest)
{
    struct proto_chunk chunk = begin_cancelled(PROTO_CANCEL_SOON, 0);

    worker_crashes(1, &chunk, 2);
    expect_failure(2, MUSTER_ECRASHED, "crashed its worker: killed by SIGSEGV");
    expect_spawn(1);
    expect_ended(0, 1, 9);
}

Test(core_cancel, hard_cancel_after_a_soft_one_starts_the_grace)
{
    struct proto_chunk chunk = begin_cancelled(PROTO_CANCEL_SOON, 0);

    cancel(PROTO_CANCEL_NOW);
    cr_assert_eq(expect_sent(worker_name(1), PROTO_CANCEL)->cancel.mode, PROTO_CANCEL_NOW);
    cancel(PROTO_CANCEL_SOON);
    cancel(PROTO_CANCEL_NOW);
    expect_nothing();
    step_deadline(GRACE_NS);
    expect_kill(1);
    worker_crashes(1, &chunk, 1);
    expect_spawn(1);
    expect_ended(0, 0, 10);
}

Test(core_cancel, batch_with_nothing_in_flight_ends_at_once)
{
    struct proto_submit settings = list_of(4);

    begin_lazy(1);
    submit(CLIENT, &settings);
    send_arguments(CLIENT, 1, 3);
    expect_spawn(1);
    cancel(PROTO_CANCEL_SOON);
    expect_ended(0, 0, 3);
}

Test(core_cancel, arguments_that_crossed_the_cancel_are_ignored)
{
    struct proto_submit settings = list_of(2);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    send_arguments(CLIENT, 1, 5);
    chunk = expect_chunk(1, 1, 2);
    cancel(PROTO_CANCEL_SOON);
    expect_sent(worker_name(1), PROTO_CANCEL);
    send_arguments(CLIENT, 6, 5);
    seal(10);
    expect_nothing();
    worker_finishes(1, &chunk);
    expect_results(1, 2, NULL);
    expect_ended(2, 0, 3);
    send_arguments(CLIENT, 11, 5);
    consumed(0);
    cancel(PROTO_CANCEL_NOW);
    expect_nothing();
}

Test(core_cancel, jobs_that_wait_to_run_again_are_cancelled_too)
{
    static const uint64_t failed[] = {1, 3, 0};
    struct proto_submit settings = range_of(1, 4, 4);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    settings.retries = 1;
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 4);
    worker_fails(1, &chunk, failed);
    expect_results(2, 1, NULL);
    expect_results(4, 1, NULL);
    chunk = expect_chunk(1, 1, 1);
    cancel(PROTO_CANCEL_SOON);
    expect_sent(worker_name(1), PROTO_CANCEL);
    worker_finishes(1, &chunk);
    expect_results(1, 1, NULL);
    expect_ended(3, 0, 1);
}

/* One worker with a chunk of the other's batch (running) and one of CLIENT's (waiting). */
static void begin_behind(struct proto_chunk *ret_other, struct proto_chunk *ret_mine)
{
    struct proto_submit settings = list_of(1);
    struct proto_chunk chunk;

    begin_ready(1, 3);
    client_hello("other");
    submit(CLIENT, &settings);
    settings.crash_limit = 1;
    submit("other", &settings);
    send_arguments(CLIENT, 1, 1);
    chunk = expect_chunk(1, 1, 1);
    worker_finishes(1, &chunk);
    expect_results(1, 1, NULL);
    send_arguments("other", 1, 1);
    *ret_other = expect_chunk(1, 1, 1);
    send_arguments(CLIENT, 2, 1);
    *ret_mine = expect_chunk(1, 2, 1);
    cancel(PROTO_CANCEL_NOW);
    expect_sent(worker_name(1), PROTO_CANCEL);
}

Test(core_cancel, job_of_another_batch_is_not_killed_for_what_waits_behind_it)
{
    struct proto_chunk other, mine;

    begin_behind(&other, &mine);
    step_deadline(GRACE_NS);
    expect_nothing();
    worker_finishes(1, &other);
    expect_sent("other", PROTO_RESULTS);
    worker_reports(1, &mine, &(struct report){.first = 2, .count = 0, .final = true});
    expect_ended(1, 0, 1);
}

Test(core_cancel, job_that_starts_behind_another_batch_does_not_escape_the_kill)
{
    struct proto_chunk other, mine;

    begin_behind(&other, &mine);
    step_deadline(GRACE_NS);
    expect_nothing();
    worker_finishes(1, &other);
    expect_sent("other", PROTO_RESULTS);
    step_deadline(GRACE_NS);
    expect_kill(1);
    worker_crashes(1, &mine, 2);
    expect_spawn(1);
    expect_ended(1, 0, 1);
}

Test(core_cancel, job_of_another_batch_that_a_kill_hits_is_not_blamed)
{
    struct proto_submit settings = list_of(1);
    struct proto_chunk mine, other;

    begin_ready(1, 3);
    client_hello("other");
    submit(CLIENT, &settings);
    settings.crash_limit = 1;
    submit("other", &settings);
    send_arguments("other", 1, 1);
    other = expect_chunk(1, 1, 1);
    worker_finishes(1, &other);
    expect_sent("other", PROTO_RESULTS);
    send_arguments(CLIENT, 1, 1);
    mine = expect_chunk(1, 1, 1);
    send_arguments("other", 2, 1);
    other = expect_chunk(1, 2, 1);
    cancel(PROTO_CANCEL_NOW);
    expect_sent(worker_name(1), PROTO_CANCEL);
    step_deadline(GRACE_NS);
    expect_kill(1);
    cr_assert_lt(mine.chunk, other.chunk);
    worker_crashes(1, &other, 2); /* it had just begun */
    expect_ended(0, 0, 1);
    expect_spawn(1);
    worker_hello(1, 1);
    cr_assert_eq(expect_chunk(1, 2, 1).attempt, 1);
}

Test(core_cancel, client_that_stops_gives_up_its_batches_only)
{
    struct proto_submit settings = range_of(1, 4, 1);
    struct proto_chunk mine;

    begin_ready(2, 1);
    client_hello("other");
    submit(CLIENT, &settings);
    mine = expect_chunk(1, 1, 1);
    expect_chunk(2, 2, 1);
    submit("other", &settings);
    stop_client("other");
    expect_nothing();
    cr_assert_not(core_stopped(core));
    cr_assert_eq(core_count(core).batches, 1);
    worker_finishes(1, &mine);
    expect_results(1, 1, NULL);
    expect_chunk(1, 3, 1);
    step_message("other", &(struct proto_message){.type = PROTO_STOP});
    expect_error("other", 0, MUSTER_ESTATE, "say HELLO first");
}

Test(core_cancel, client_that_stopped_is_sent_nothing_of_its_running_jobs)
{
    struct proto_submit settings = range_of(1, 3, 1);
    struct proto_chunk chunks[2];

    begin_ready(2, 1);
    client_hello("other");
    submit("other", &settings);
    for (unsigned i = 0; i < 2; i++)
        chunks[i] = expect_chunk(i + 1, i + 1, 1);
    stop_client("other");
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(expect_sent(worker_name(i + 1), PROTO_CANCEL)->cancel.mode, PROTO_CANCEL_NOW);
    worker_finishes(1, &chunks[0]);
    expect_nothing();
    step_deadline(GRACE_NS);
    expect_kill(2);
    worker_crashes(2, &chunks[1], 2);
    expect_spawn(2);
    cr_assert_eq(core_count(core).batches, 0);
}

Test(core_cancel, name_that_left_is_a_new_client_when_it_comes_back)
{
    struct proto_submit settings = range_of(1, 1, 1);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    client_hello("other");
    submit("other", &settings);
    chunk = expect_chunk(1, 1, 1);
    stop_client("other");
    expect_sent(worker_name(1), PROTO_CANCEL);
    client_hello("other");
    submit("other", &settings); /* the ticket is free */
    worker_finishes(1, &chunk);
    expect_chunk(1, 1, 1);
    cr_assert_eq(core_count(core).batches, 1);
}

Test(core_cancel, stop_of_the_owner_ends_the_coordinator)
{
    begin_ready(1, 1);
    client_hello(OWNER);
    stop_client(CLIENT);
    cr_assert_not(core_stopped(core));
    stop_client(OWNER);
    cr_assert(core_stopped(core));
}

Test(core_cancel, no_worker_is_spawned_after_a_stop)
{
    struct proto_submit settings = range_of(1, 4, 1);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    client_hello(OWNER);
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 1);
    stop_client(OWNER);
    worker_crashes(1, &chunk, 1);
    expect_nothing();
}

Test(core_cancel, failing_coordinator_tells_every_client_and_an_owner_that_is_none_yet)
{
    struct outbox outbox;

    begin_ready(1, 1);
    client_hello("other");
    cr_assert_eq(outbox_init(&outbox), 0);
    core_fail(core, MUSTER_ENOMEM, "the coordinator is out of memory", &outbox);
    cr_assert_eq(outbox.count, 3);
    cr_assert_str_eq(outbox.items[2].peer, OWNER);
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(outbox.items[i].message.type, PROTO_ERROR);
        cr_assert_eq(outbox.items[i].message.error.code, MUSTER_ENOMEM);
    }
    outbox_fini(&outbox);
}
