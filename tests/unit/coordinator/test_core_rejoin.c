/* SPDX-License-Identifier: MIT
 *
 * A host that cannot be reached for a while, and is back: its workers have what they had, less what was lost
 * on the way.
 */
#include "tests/unit/coordinator/rejoin_fixture.h"

#include <criterion/criterion.h>

/* One worker of the coordinator's own and one of the host, each with a chunk of so many jobs of one batch. */
static void begin(struct proto_chunk chunks[2], uint32_t chunk_jobs, uint32_t jobs)
{
    struct proto_submit settings = range_of(1, jobs, chunk_jobs);

    settings.crash_limit = 1;
    begin_lazy(1);
    submit(CLIENT, &settings);
    expect_spawn(1);
    worker_hello(1, 1);
    chunks[0] = expect_chunk(1, 1, chunk_jobs);
    cr_assert_eq(step_join(HOST, 1), 1);
    expect_spawn(2);
    worker_hello(2, 1);
    chunks[1] = expect_chunk(2, chunk_jobs + 1, chunk_jobs);
}

Test(core_rejoin, job_of_a_host_that_is_away_waits_for_it_and_its_result_counts)
{
    struct proto_chunk chunks[2];

    begin(chunks, 1, 2);
    step_away(HOST);
    cr_assert_eq(core_count(core).workers_ready, 1);
    finishes(1, &chunks[0]);
    cr_assert(core_count(core).busy);
    pass(3 * HEARTBEAT_NS);
    step_tick();
    expect_nothing(); /* nobody else has its job, nor is it silent */
    cr_assert(step_back(HOST, second, 1));
    says_hello(2, 1);
    stands_by(2, &chunks[1], 1);
    expect_nothing();
    finishes(2, &chunks[1]);
    expect_ended(2, 0, 0);
    end_core();
}

Test(core_rejoin, worker_that_comes_back_with_another_number_of_places_is_given_up)
{
    struct proto_chunk chunks[2];

    begin(chunks, 1, 2);
    step_away(HOST);
    cr_assert(step_back(HOST, second, 1));
    step_message(worker_name(2), &(struct proto_message){.type = PROTO_HELLO,
                                                         .hello = {.version = PROTO_VERSION,
                                                                   .role = PROTO_WORKER,
                                                                   .credit = 10,
                                                                   .concurrency = 4,
                                                                   .standing = 1}});
    expect_kill(2);
    step_exit(&(struct worker_exit){.slot = 2, .reason = "killed by SIGKILL", .killed = true});
    expect_spawn(2);
    finishes(1, &chunks[0]);
}

Test(core_rejoin, chunk_that_never_arrived_goes_to_others)
{
    struct proto_chunk chunks[2], again;

    begin(chunks, 1, 2);
    step_away(HOST);
    finishes(1, &chunks[0]);
    cr_assert(step_back(HOST, second, 1));
    says_hello(2, 0);
    again = expect_chunk(1, 2, 1);
    finishes(1, &again);
    cr_assert_eq(expect_ended(2, 0, 0).retried, 0);
    end_core();
}

Test(core_rejoin, jobs_that_came_back_while_nobody_heard_go_to_others)
{
    struct proto_chunk chunks[2], again;

    begin(chunks, 3, 6);
    step_away(HOST);
    finishes(1, &chunks[0]);
    cr_assert(step_back(HOST, second, 1));
    says_hello(2, 1);
    stands_by(2, &chunks[1], 1); /* it has given back two */
    again = expect_chunk(1, 5, 2);
    worker_reports(2, &chunks[1], &(struct report){.first = 4, .count = 1, .final = true});
    expect_results(4, 1, NULL);
    finishes(1, &again);
    expect_ended(6, 0, 0);
    end_core();
}

Test(core_rejoin, report_that_came_twice_counts_once)
{
    struct proto_chunk chunks[2];

    begin(chunks, 2, 4);
    worker_reports(2, &chunks[1], &(struct report){.first = 3, .count = 1});
    expect_results(3, 1, NULL);
    step_away(HOST);
    cr_assert(step_back(HOST, second, 1));
    says_hello(2, 1);
    stands_by(2, &chunks[1], 2);
    worker_reports(2, &chunks[1], &(struct report){.first = 3, .count = 1}); /* not KEPT */
    expect_nothing();
    worker_reports(2, &chunks[1], &(struct report){.first = 4, .count = 1, .final = true});
    expect_results(4, 1, NULL);
    finishes(1, &chunks[0]);
    cr_assert_eq(expect_ended(4, 0, 0).late, 1);
    end_core();
}

Test(core_rejoin, what_was_cancelled_meanwhile_is_cancelled_there)
{
    struct proto_chunk chunks[2];

    begin(chunks, 1, 2);
    step_away(HOST);
    cancel_some(2, 1);
    expect_nothing();
    cr_assert(step_back(HOST, second, 1));
    says_hello(2, 1);
    stands_by(2, &chunks[1], 1);
    expect_cancel(2, PROTO_CANCEL_NOW, 2, 1);
    step_part(HOST);
    expect_failure(2, MUSTER_ECANCELLED, "cancelled");
    finishes(1, &chunks[0]);
    expect_ended(1, 0, 1);
    end_core();
}

Test(core_rejoin, job_that_was_to_run_on_when_it_was_cancelled_is_not_asked_to_end)
{
    struct proto_chunk chunks[2];

    begin(chunks, 4, 8);
    step_message(CLIENT, &(struct proto_message){
                             .type = PROTO_CANCEL,
                             .cancel = {.id = 1, .mode = PROTO_CANCEL_SOON, .first = 5, .count = 4}});
    expect_cancel(2, PROTO_CANCEL_SOON, 5, 4);
    cancel_some(6, 2);
    expect_cancel(2, PROTO_CANCEL_NOW, 6, 2);
    step_away(HOST);
    cr_assert(step_back(HOST, second, 1));
    says_hello(2, 1);
    stands_by(2, &chunks[1], 4);
    expect_cancel(2, PROTO_CANCEL_SOON, 5, 1);
    expect_cancel(2, PROTO_CANCEL_NOW, 6, 2);
    expect_cancel(2, PROTO_CANCEL_SOON, 8, 1);
    worker_reports(2, &chunks[1],
                   &(struct report){.first = 5,
                                    .count = 4,
                                    .final = true,
                                    .failed = (const uint64_t[]){6, 7, 8, 0},
                                    .code = MUSTER_ECANCELLED});
    expect_results(5, 1, NULL);
    expect_failure(6, MUSTER_ECANCELLED, "cancelled");
    expect_failure(7, MUSTER_ECANCELLED, "cancelled");
    expect_failure(8, MUSTER_ECANCELLED, "cancelled");
    finishes(1, &chunks[0]);
    expect_ended(5, 0, 3);
    end_core();
}

/* The batch of begin(), of which another worker has done its part, is over; the host's worker is back, and
 * still has a job of it. */
static void cancel_unheard(struct proto_chunk chunks[2])
{
    begin(chunks, 1, 2);
    step_away(HOST);
    finishes(1, &chunks[0]);
    cancel(PROTO_CANCEL_NOW);
    expect_ended(1, 0, 1);
    cr_assert(step_back(HOST, second, 1));
    says_hello(2, 1);
    expect_nothing();
    stands_by(2, &chunks[1], 1);
    expect_cancel(2, PROTO_CANCEL_NOW, 2, 1);
}

Test(core_rejoin, batch_that_is_cancelled_while_its_host_is_away_does_not_wait_for_it)
{
    struct proto_chunk chunks[2];

    cancel_unheard(chunks);
    worker_reports(2, &chunks[1],
                   &(struct report){.first = 2,
                                    .count = 1,
                                    .final = true,
                                    .failed = (const uint64_t[]){2, 0},
                                    .code = MUSTER_ECANCELLED});
    pass(CLOCK_NS_PER_S);
    step_tick();
    end_core();
}

Test(core_rejoin, job_that_was_cancelled_unheard_and_does_not_end_ends_with_its_worker)
{
    struct proto_chunk chunks[2];

    cancel_unheard(chunks);
    pass(CLOCK_NS_PER_S);
    step_tick();
    expect_kill(2);
    end_core();
}

Test(core_rejoin, job_that_was_cancelled_unheard_is_cancelled_again_if_that_is_lost_too)
{
    struct proto_chunk chunks[2];

    cancel_unheard(chunks);
    step_away(HOST);
    pass(CLOCK_NS_PER_S);
    step_tick();
    cr_assert(step_back(HOST, second, 1));
    says_hello(2, 1);
    stands_by(2, &chunks[1], 1);
    expect_cancel(2, PROTO_CANCEL_NOW, 2, 1);
    end_core();
}

Test(core_rejoin, job_that_was_cancelled_alone_is_asked_to_end_though_its_batch_may_run_on)
{
    struct proto_chunk chunks[2];

    begin(chunks, 1, 2);
    step_away(HOST);
    cancel_some(2, 1);
    cancel(PROTO_CANCEL_SOON);
    expect_cancel(1, PROTO_CANCEL_SOON, 0, 0);
    cr_assert(step_back(HOST, second, 1));
    says_hello(2, 1);
    stands_by(2, &chunks[1], 1);
    expect_cancel(2, PROTO_CANCEL_SOON, 0, 0);
    expect_cancel(2, PROTO_CANCEL_NOW, 2, 1);
    end_core();
}

Test(core_rejoin, jobs_of_others_do_not_die_for_one_that_was_cancelled_unheard_and_does_not_end)
{
    struct proto_submit settings = range_of(1, 1, 1);
    struct proto_chunk cancelled, other;

    begin_lazy(1);
    cr_assert_eq(step_join(HOST, 1), 1);
    submit(CLIENT, &settings);
    expect_spawn(1);
    settings.ticket = 2;
    submit(CLIENT, &settings);
    expect_spawn(2);
    says_hello_of_several(2, 0, 8);
    cancelled = expect_chunk(2, 1, 1);
    other = expect_chunk(2, 1, 1);
    step_away(HOST);
    cancel(PROTO_CANCEL_NOW);
    expect_ended(0, 0, 1);
    cr_assert(step_back(HOST, second, 1));
    says_hello_of_several(2, 2, 8);
    stands_by(2, &cancelled, 1);
    expect_cancel(2, PROTO_CANCEL_NOW, 1, 1);
    stands_by(2, &other, 1);
    pass(CLOCK_NS_PER_S);
    step_tick();
    expect_nothing();
    end_core();
}

/* What it has kept may be much, and comes first. */
Test(core_rejoin, worker_that_has_more_to_say_is_not_killed_for_what_it_was_to_end)
{
    struct proto_chunk chunks[2];

    cancel_unheard(chunks);
    pass(CLOCK_NS_PER_S);
    worker_reports(2, &chunks[1], &(struct report){.first = 2, .count = 1, .final = false});
    step_tick();
    expect_nothing();
    pass(CLOCK_NS_PER_S);
    step_tick();
    expect_kill(2);
    end_core();
}

Test(core_rejoin, worker_that_was_to_be_killed_is_killed_when_it_is_back)
{
    struct proto_chunk chunks[2];

    begin(chunks, 1, 2);
    finishes(1, &chunks[0]);
    cancel(PROTO_CANCEL_NOW);
    expect_sent(worker_name(2), PROTO_CANCEL);
    pass(CLOCK_NS_PER_S / 2);
    step_tick();
    expect_kill(2);
    step_away(HOST);
    expect_ended(1, 0, 1); /* it need not wait for that */
    cr_assert(step_back(HOST, second, 1));
    expect_kill(2);
    step_exit(&(struct worker_exit){.slot = 2, .killed = true, .reason = "killed by SIGKILL"});
    end_core();
}

Test(core_rejoin, worker_that_died_unheard_is_nobodys_fault)
{
    struct proto_chunk chunks[2], again;

    begin(chunks, 1, 2);
    step_away(HOST);
    finishes(1, &chunks[0]);
    cr_assert(step_back(HOST, NULL, 0));
    again = expect_chunk(1, 2, 1);
    finishes(1, &again);
    cr_assert_eq(expect_ended(2, 0, 0).retried, 0);
    end_core();
}

Test(core_rejoin, worker_of_a_host_that_is_back_has_to_speak)
{
    struct proto_chunk chunks[2];

    begin(chunks, 1, 2);
    step_away(HOST);
    finishes(1, &chunks[0]);
    cr_assert(step_back(HOST, second, 1));
    step_deadline(AWAY_NS);
    expect_kill(2);
    step_exit(&(struct worker_exit){.slot = 2, .killed = true, .reason = "killed by SIGKILL"});
    chunks[0] = expect_chunk(1, 2, 1);
    finishes(1, &chunks[0]);
    expect_ended(2, 0, 0);
    end_core();
}

Test(core_rejoin, no_worker_is_spawned_on_a_host_that_is_away)
{
    struct proto_chunk chunks[2], again;

    begin(chunks, 1, 2);
    step_away(HOST);
    step_part(HOST);
    expect_nothing();
    cr_assert_eq(step_join(HOST, 1), 1);
    expect_spawn(2); /* its job waits again */
    step_away(HOST);
    cr_assert(step_back(HOST, NULL, 0)); /* it never heard of that */
    expect_spawn(2);
    worker_hello(2, 1);
    again = expect_chunk(2, 2, 1);
    finishes(2, &again);
    finishes(1, &chunks[0]);
    expect_ended(2, 0, 0);
    end_core();
}

Test(core_rejoin, host_with_a_worker_that_it_was_not_given_is_not_back)
{
    static const unsigned own[] = {1};
    struct proto_chunk chunks[2];

    begin(chunks, 1, 2);
    step_away(HOST);
    cr_assert_not(step_back(HOST, own, 1));
    step_part(HOST);
    finishes(1, &chunks[0]);
    chunks[1] = expect_chunk(1, 2, 1);
    finishes(1, &chunks[1]);
    expect_ended(2, 0, 0);
    end_core();
}

Test(core_rejoin, jobs_that_were_asked_for_are_asked_for_again)
{
    struct proto_chunk chunks[2], again;

    begin(chunks, 4, 8);
    finishes(1, &chunks[0]);
    pass(CLOCK_NS_PER_S / 2);
    step_tick();
    expect_recall(2, 6, 3);
    step_away(HOST);
    cr_assert(step_back(HOST, second, 1));
    says_hello(2, 1);
    expect_recall(2, 6, 3); /* it has not heard of that */
    stands_by(2, &chunks[1], 4);
    worker_returns(2, &chunks[1], 6, 3);
    again = expect_chunk(1, 6, 3);
    finishes(1, &again);
    worker_reports(2, &chunks[1], &(struct report){.first = 5, .count = 1, .final = true});
    expect_results(5, 1, NULL);
    expect_ended(8, 0, 0);
    end_core();
}

Test(core_rejoin, jobs_that_were_not_begun_when_a_drain_began_are_asked_for)
{
    struct proto_chunk chunks[2];

    begin(chunks, 3, 6);
    finishes(1, &chunks[0]);
    step_away(HOST);
    step_drain(true);
    cr_assert(step_back(HOST, second, 1));
    says_hello(2, 1);
    expect_nothing();
    stands_by(2, &chunks[1], 3);
    expect_recall(2, 5, 2);
    worker_returns(2, &chunks[1], 5, 2);
    worker_reports(2, &chunks[1], &(struct report){.first = 4, .count = 1, .final = true});
    expect_results(4, 1, NULL);
    end_core();
}

/* Its HELLO may be behind a value that takes long to cross. */
Test(core_rejoin, worker_whose_hello_is_on_its_way_is_not_killed)
{
    struct proto_chunk chunks[2];

    begin(chunks, 1, 2);
    step_away(HOST);
    finishes(1, &chunks[0]);
    cr_assert(step_back(HOST, second, 1));
    pass(AWAY_NS - 1);
    step_heard(HOST);
    step_deadline(AWAY_NS);
    expect_kill(2);
    end_core();
}

Test(core_rejoin, worker_that_starts_behind_a_slow_line_is_not_killed)
{
    struct proto_submit settings = range_of(1, 2, 1);

    begin_lazy(1);
    cr_assert_eq(step_join(HOST, 1), 1);
    submit(CLIENT, &settings);
    expect_spawn(1);
    expect_spawn(2);
    pass(WORKER_START_NS - 1);
    step_heard(HOST);
    pass(1);
    step_tick();
    expect_kill(1); /* which is not behind it */
    end_core();
}

Test(core_rejoin, worker_that_stands_by_less_than_it_promised_is_killed)
{
    struct proto_chunk chunks[2], again;

    begin(chunks, 1, 2);
    step_away(HOST);
    finishes(1, &chunks[0]);
    cr_assert(step_back(HOST, second, 1));
    says_hello(2, 2);
    stands_by(2,
              &(struct proto_chunk){.batch = 1,
                                    .chunk = chunks[1].chunk + 1, /* as if it was reported */
                                    .first = 2,
                                    .attempt = 1},
              1);
    step_deadline(AWAY_NS);
    expect_kill(2);
    step_exit(&(struct worker_exit){.slot = 2, .killed = true, .reason = "killed by SIGKILL"});
    again = expect_chunk(1, 2, 1);
    finishes(1, &again);
    expect_ended(2, 0, 0);
    end_core();
}
