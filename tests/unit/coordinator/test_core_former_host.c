/* SPDX-License-Identifier: MIT
 *
 * A host of the life before of a coordinator, and what its workers say that they have.
 */
#include "tests/unit/coordinator/rejoin_fixture.h"

#include <criterion/criterion.h>

static const char *const former[] = {"worker-2.1.1"};

/* A chunk of one job of the batch 1 that the life before gave. */
static struct proto_chunk old_chunk(uint64_t job, uint32_t attempt)
{
    return (struct proto_chunk){.batch = 1,
                                .chunk = (UINT64_C(1) << CHUNKS_OF_EPOCH_BITS) + job,
                                .first = job,
                                .count = 1,
                                .attempt = attempt,
                                .kind = PROTO_RANGE};
}

/* The second life of a coordinator of one worker, which a host has joined with one of the first. */
static void begin_second_life(const struct proto_submit *settings)
{
    begin_again(1);
    cr_assert(step_join_again(HOST, 1, former, 1));
    submit(CLIENT, settings);
}

static void says_last_words(unsigned slot, const struct proto_chunk *chunk)
{
    step_exit(&(struct worker_exit){.slot = slot,
                                    .killed = true,
                                    .executing = true,
                                    .batch = chunk->batch,
                                    .chunk = chunk->chunk,
                                    .index = chunk->first,
                                    .attempt = chunk->attempt,
                                    .reason = "killed by SIGKILL"});
}

Test(core_former_host, job_that_does_not_travel_is_not_claimed_by_a_host)
{
    struct proto_submit settings = range_of(1, 1, 1);
    struct proto_chunk claimed = old_chunk(1, 1), chunk;

    settings.function = (struct proto_text){"command", 7};
    begin_second_life(&settings);
    expect_spawn(1);
    says_hello(2, 1);
    stands_by(2, &claimed, 1);
    expect_cancel(2, PROTO_CANCEL_NOW, 1, 1);
    worker_hello(1, 1);
    chunk = expect_chunk(1, 1, 1);
    finishes(1, &chunk);
    expect_ended(1, 0, 0);
    end_core();
}

Test(core_former_host, job_that_does_not_travel_is_not_failed_by_last_words_of_a_host)
{
    struct proto_submit settings = range_of(1, 1, 1);
    struct proto_chunk claimed = old_chunk(1, 1), chunk;

    settings.function = (struct proto_text){"command", 7};
    settings.crash_limit = 1;
    begin_second_life(&settings);
    expect_spawn(1);
    says_last_words(2, &claimed);
    worker_hello(1, 1);
    chunk = expect_chunk(1, 1, 1);
    finishes(1, &chunk);
    expect_ended(1, 0, 0);
    end_core();
}

/* It would be the attempt 0 when it runs again, which no message can say. */
Test(core_former_host, attempt_that_nobody_can_have_come_to_is_not_taken_over)
{
    struct proto_submit settings = range_of(1, 1, 1);
    struct proto_chunk claimed = old_chunk(1, UINT32_MAX), chunk;

    settings.retries = 3;
    begin_second_life(&settings);
    says_hello(2, 1);
    stands_by(2, &claimed, 1);
    expect_cancel(2, PROTO_CANCEL_NOW, 1, 1);
    chunk = expect_chunk(2, 1, 1);
    cr_assert_eq(chunk.attempt, 1);
    finishes(2, &chunk);
    expect_ended(1, 0, 0);
    end_core();
}

Test(core_former_host, attempt_that_nobody_can_have_come_to_is_not_failed_by_last_words)
{
    struct proto_submit settings = range_of(1, 1, 1);
    struct proto_chunk claimed = old_chunk(1, UINT32_MAX), chunk;

    begin_second_life(&settings);
    says_last_words(2, &claimed);
    expect_spawn(1);
    worker_hello(1, 1);
    chunk = expect_chunk(1, 1, 1);
    finishes(1, &chunk);
    expect_ended(1, 0, 0);
    end_core();
}

Test(core_former_host, attempt_after_crashes_of_the_life_before_is_taken_over)
{
    struct proto_submit settings = range_of(1, 1, 1);
    struct proto_chunk claimed = old_chunk(1, 3);

    begin_second_life(&settings);
    says_hello(2, 1);
    stands_by(2, &claimed, 1);
    expect_nothing();
    finishes(2, &claimed);
    expect_ended(1, 0, 0);
    end_core();
}

Test(core_former_host, worker_of_a_name_that_this_life_would_give_is_not_taken_over)
{
    static const char *const names[] = {"worker-2.2.1",  "worker-2.3.1",   "worker-2.1",    "worker-2",
                                        "worker-",       "worker-2.01.1",  "worker-2.1.1.", "worker- 2.1.1",
                                        "worker-2.-1.1", "worker-2.1.1.1", "client",        "worker-2..1"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        begin_again(1);
        cr_assert_not(step_join_again(HOST, 1, &names[i], 1), "%s", names[i]);
        expect_nothing();
        end_core();
    }
}

/* Others would wait for it ten seconds each time that it comes. */
Test(core_former_host, host_that_nobody_expected_holds_up_no_jobs)
{
    struct proto_submit settings = range_of(1, 3, 1);
    struct proto_chunk claimed[2] = {old_chunk(1, 1), old_chunk(2, 1)}, chunk, other;

    begin_again(1);
    cr_assert(step_join_unexpected(HOST, 1, former, 1));
    cr_assert(core_count(core).busy); /* but what it runs is not ended by who asks for an end in order */
    submit(CLIENT, &settings);
    expect_spawn(1);
    worker_hello(1, 1);
    chunk = expect_chunk(1, 1, 1);
    says_hello(2, 2);
    expect_nothing(); /* it is not given more than it takes before it has said all */
    stands_by(2, &claimed[0], 1);
    expect_cancel(2, PROTO_CANCEL_NOW, 1, 1);
    stands_by(2, &claimed[1], 1);
    finishes(1, &chunk);
    other = expect_chunk(1, 3, 1);
    finishes(2, &claimed[1]);
    finishes(1, &other);
    expect_ended(3, 0, 0);
    end_core();
}

Test(core_former_host, host_that_is_lost_again_and_again_holds_up_no_jobs)
{
    struct proto_submit settings = range_of(1, 1, 1);
    struct proto_chunk chunk;

    begin_second_life(&settings);
    pass(AWAY_NS - 1);
    step_away(HOST);
    expect_spawn(1);
    worker_hello(1, 1);
    expect_nothing();
    cr_assert(step_back(HOST, second, 1));
    pass(AWAY_NS - 1);
    step_away(HOST);
    chunk = expect_chunk(1, 1, 1);
    cr_assert(step_back(HOST, second, 1));
    says_hello(2, 0);
    finishes(1, &chunk);
    expect_ended(1, 0, 0);
    end_core();
}

Test(core_former_host, worker_that_nobody_expected_has_to_speak)
{
    struct proto_submit settings = range_of(1, 1, 1);
    struct proto_chunk chunk;

    begin_again(1);
    cr_assert(step_join_unexpected(HOST, 1, former, 1));
    submit(CLIENT, &settings);
    expect_spawn(1);
    worker_hello(1, 1);
    chunk = expect_chunk(1, 1, 1);
    finishes(1, &chunk);
    expect_ended(1, 0, 0);
    step_deadline(AWAY_NS);
    expect_kill(2);
    end_core();
}

/* They have not said yet what they hold. */
Test(core_former_host, jobs_of_a_host_that_is_away_right_after_a_restart_wait_for_it)
{
    struct proto_submit settings = range_of(1, 2, 1);
    struct proto_chunk claimed = old_chunk(1, 1), chunk;

    begin_second_life(&settings);
    expect_spawn(1);
    worker_hello(1, 1);
    step_away(HOST);
    pass(AWAY_NS / 2);
    step_tick();
    expect_nothing();
    cr_assert(step_back(HOST, second, 1));
    says_hello(2, 1);
    expect_nothing();
    stands_by(2, &claimed, 1);
    chunk = expect_chunk(1, 2, 1);
    finishes(2, &claimed);
    finishes(1, &chunk);
    expect_ended(2, 0, 0);
    end_core();
}

Test(core_former_host, jobs_do_not_wait_for_ever_for_a_host_that_is_away_right_after_a_restart)
{
    struct proto_submit settings = range_of(1, 2, 1);
    struct proto_chunk claimed = old_chunk(1, 1), chunk, other;

    begin_second_life(&settings);
    expect_spawn(1);
    worker_hello(1, 1);
    step_away(HOST);
    step_deadline(AWAY_NS);
    chunk = expect_chunk(1, 1, 1);
    cr_assert(step_back(HOST, second, 1)); /* it is not killed */
    says_hello(2, 1);
    expect_nothing();
    stands_by(2, &claimed, 1);
    expect_cancel(2, PROTO_CANCEL_NOW, 1, 1);
    other = expect_chunk(2, 2, 1);
    finishes(1, &chunk);
    finishes(2, &other);
    expect_ended(2, 0, 0);
    end_core();
}

Test(core_former_host, worker_that_ended_unheard_what_nobody_wants_is_not_killed_for_it)
{
    struct proto_submit settings = range_of(1, 1, 1);
    struct proto_chunk claimed = old_chunk(2, 1), chunk;

    begin_second_life(&settings);
    says_hello(2, 1);
    stands_by(2, &claimed, 1);
    expect_cancel(2, PROTO_CANCEL_NOW, 2, 1);
    chunk = expect_chunk(2, 1, 1);
    step_away(HOST);
    cr_assert(step_back(HOST, second, 1));
    says_hello(2, 1);
    stands_by(2, &chunk, 1);
    pass(500 * CLOCK_NS_PER_MS);
    step_tick();
    expect_nothing();
    finishes(2, &chunk);
    expect_ended(1, 0, 0);
    end_core();
}

Test(core_former_host, job_that_it_was_to_end_is_not_its_own_when_it_is_back)
{
    struct proto_submit settings = range_of(1, 1, 1);
    struct proto_chunk claimed = old_chunk(1, 1), chunk;

    begin_again(1);
    cr_assert(step_join_unexpected(HOST, 1, former, 1));
    submit(CLIENT, &settings);
    expect_spawn(1);
    worker_hello(1, 1);
    expect_chunk(1, 1, 1);
    says_hello(2, 1);
    stands_by(2, &claimed, 1);
    expect_cancel(2, PROTO_CANCEL_NOW, 1, 1);
    step_away(HOST);
    step_exit(&(struct worker_exit){.slot = 1, .killed = true, .reason = "killed by SIGKILL"});
    expect_spawn(1); /* and its job waits again */
    cr_assert(step_back(HOST, second, 1));
    says_hello(2, 1);
    stands_by(2, &claimed, 1);
    expect_cancel(2, PROTO_CANCEL_NOW, 1, 1);
    chunk = expect_chunk(2, 1, 1);
    worker_reports(2, &claimed,
                   &(struct report){.first = 1,
                                    .count = 1,
                                    .final = true,
                                    .failed = (const uint64_t[]){1, 0},
                                    .code = MUSTER_ECANCELLED});
    expect_nothing();
    finishes(2, &chunk);
    expect_ended(1, 0, 0);
    end_core();
}
