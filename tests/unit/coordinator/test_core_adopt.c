/* SPDX-License-Identifier: MIT
 *
 * The second life of a coordinator: workers of the first one come back, with what they hold, or
 * not.
 */
#include "coordinator/room.h"
#include "tests/support/core_harness.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define AWAY_NS (10 * CLOCK_NS_PER_S)

/* A chunk of the life before. */
static struct proto_chunk old_chunk(uint64_t first, uint32_t count, uint32_t attempt)
{
    return (struct proto_chunk){.batch = 1,
                                .chunk = (UINT64_C(1) << CHUNKS_OF_EPOCH_BITS) + first,
                                .first = first,
                                .count = count,
                                .attempt = attempt,
                                .kind = PROTO_RANGE};
}

static void submit_range(int64_t last, uint32_t chunk_jobs)
{
    struct proto_submit settings = range_of(1, last, chunk_jobs);

    submit(CLIENT, &settings);
    expect_nothing();
}

static void says_hello(unsigned slot, unsigned credit, uint32_t standing)
{
    const struct proto_message *welcome;
    struct proto_message hello = {.type = PROTO_HELLO,
                                  .hello = {.version = PROTO_VERSION,
                                            .role = PROTO_WORKER,
                                            .pid = 100 + slot,
                                            .credit = credit,
                                            .concurrency = 1,
                                            .standing = standing}};

    step_message(worker_name(slot), &hello);
    welcome = expect_sent(worker_name(slot), PROTO_WELCOME);
    cr_assert_eq(welcome->welcome.epoch, 2);
}

static void stands_by(unsigned slot, const struct proto_chunk *chunk)
{
    step_message(worker_name(slot), &(struct proto_message){.type = PROTO_STANDING,
                                                            .standing = {.batch = chunk->batch,
                                                                         .chunk = chunk->chunk,
                                                                         .first = chunk->first,
                                                                         .count = chunk->count,
                                                                         .attempt = chunk->attempt}});
}

static void reports(unsigned slot, const struct proto_chunk *chunk, const struct report *report,
                    uint64_t number)
{
    struct proto_message message = result_message(chunk, report);

    message.result.number = number;
    step_message(worker_name(slot), &message);
    expect_keep(slot, number);
}

/* All of the chunk. */
static void finishes(unsigned slot, const struct proto_chunk *chunk, uint64_t number)
{
    reports(slot, chunk, &(struct report){.first = chunk->first, .count = chunk->count, .final = true},
            number);
}

static void expect_cancel(unsigned slot, uint64_t batch, uint64_t first, uint64_t count)
{
    const struct proto_cancel *cancel = &expect_sent(worker_name(slot), PROTO_CANCEL)->cancel;

    cr_assert_eq(cancel->id, batch);
    cr_assert_eq(cancel->mode, PROTO_CANCEL_NOW);
    cr_assert_eq(cancel->first, first);
    cr_assert_eq(cancel->count, count);
}

Test(adopt, job_in_flight_runs_on_and_its_result_counts)
{
    struct proto_chunk old = old_chunk(1, 2, 1), next;

    begin_again(1);
    step_adopt(1);
    submit_range(4, 2);
    says_hello(1, 2, 1);
    expect_nothing(); /* it has not said what it holds */
    cr_assert(core_count(core).busy);
    stands_by(1, &old);
    expect_nothing(); /* it has enough */
    finishes(1, &old, 7);
    expect_results(1, 2, NULL);
    next = expect_chunk(1, 3, 2);
    cr_assert_eq(next.chunk, (UINT64_C(2) << CHUNKS_OF_EPOCH_BITS) + 1);
    worker_finishes(1, &next);
    expect_results(3, 2, NULL);
    expect_ended(4, 0, 0);
    end_core();
}

Test(adopt, worker_is_told_what_is_on_disk_while_it_lives)
{
    begin_again(1);
    step_adopt(1);
    step_committed(1, 3);
    expect_nothing(); /* nobody listens */
    says_hello(1, 2, 0);
    step_committed(1, 3);
    cr_assert_eq(expect_sent(worker_name(1), PROTO_KEPT)->kept.number, 3);
    end_core();
}

Test(adopt, job_is_not_given_to_another_one_while_its_worker_may_come_back)
{
    struct proto_chunk old = old_chunk(1, 1, 1), next;

    begin_again(2);
    step_adopt(1);
    step_adopt(2);
    submit_range(2, 1);
    says_hello(2, 1, 0);
    expect_nothing();
    says_hello(1, 1, 1);
    stands_by(1, &old);
    next = expect_chunk(2, 2, 1);
    finishes(1, &old, 1);
    expect_results(1, 1, NULL);
    worker_finishes(2, &next);
    expect_results(2, 1, NULL);
    expect_ended(2, 0, 0);
    end_core();
}

Test(adopt, worker_that_does_not_come_back_is_killed_and_its_jobs_run_elsewhere)
{
    struct proto_chunk chunk;

    begin_again(2);
    step_adopt(1);
    step_adopt(2);
    submit_range(1, 1);
    says_hello(2, 1, 0);
    step_deadline(AWAY_NS);
    expect_kill(1);
    step_exit(&(struct worker_exit){.slot = 1, .reason = "killed by SIGKILL"});
    chunk = expect_chunk(2, 1, 1);
    worker_finishes(2, &chunk);
    expect_results(1, 1, NULL);
    expect_ended(1, 0, 0);
    end_core();
}

/* It may take long until the books are open. */
Test(adopt, worker_has_its_time_from_when_it_can_be_heard)
{
    begin_again(1);
    step_adopt(1);
    pass(6 * AWAY_NS);
    core_listen(core, now_ns);
    step_deadline(AWAY_NS);
    expect_kill(1);
    end_core();
}

Test(adopt, worker_that_says_less_than_it_promised_is_killed)
{
    struct proto_chunk chunk;

    begin_again(1);
    step_adopt(1);
    submit_range(1, 1);
    says_hello(1, 1, 1);
    step_deadline(AWAY_NS);
    expect_kill(1);
    step_exit(&(struct worker_exit){.slot = 1, .reason = "killed by SIGKILL"});
    expect_spawn(1);
    cr_assert_str_eq(worker_name(1), "worker-1.2.1", "a name of its own epoch");
    worker_hello(1, 1);
    chunk = expect_chunk(1, 1, 1);
    worker_finishes(1, &chunk);
    expect_results(1, 1, NULL);
    expect_ended(1, 0, 0);
    end_core();
}

/* It stands by all jobs of the chunk in which the job failed, and by the one in which it is tried again. */
Test(adopt, job_that_its_worker_tries_again_is_ended_for_the_attempt_that_failed)
{
    struct proto_chunk first = old_chunk(1, 2, 1), again = old_chunk(1, 1, 2);
    struct proto_submit settings = range_of(1, 2, 1);

    again.chunk = first.chunk + 1;
    settings.retries = 1;
    begin_again(1);
    step_adopt(1);
    submit(CLIENT, &settings);
    says_hello(1, 2, 2);
    stands_by(1, &first);
    stands_by(1, &again);
    expect_nothing(); /* nothing is to end */
    reports(1, &first, &(struct report){.first = 2, .count = 1, .final = true}, 7);
    expect_results(2, 1, NULL);
    expect_nothing(); /* nobody else gets the other */
    finishes(1, &again, 8);
    expect_results(1, 1, NULL);
    expect_ended(2, 0, 0);
    end_core();
}

/* STOP would have it finish what it runs. */
Test(adopt, worker_that_has_not_said_what_it_holds_is_asked_to_stop_as_if_it_was_idle)
{
    struct outbox end;

    begin_again(1);
    step_adopt(1);
    says_hello(1, 1, 1);
    cr_assert_eq(outbox_init(&end), 0);
    core_stop(core, &end);
    cr_assert_eq(end.items[0].kind, OUTBOX_KILL);
    cr_assert_eq(end.items[0].slot, 1);
    outbox_fini(&end);
    end_core();
}

Test(adopt, jobs_that_are_over_are_cancelled_at_the_worker_and_the_rest_runs_on)
{
    struct proto_chunk old = old_chunk(1, 4, 1);

    begin_again(1);
    step_adopt(1);
    submit_range(4, 4);
    cancel_some(2, 2);
    expect_results(2, 2, (uint64_t[]){2, 3, 0});
    says_hello(1, 2, 1);
    stands_by(1, &old);
    expect_cancel(1, 1, 2, 2);
    reports(1, &old, &(struct report){.first = 1, .count = 1}, 1);
    expect_results(1, 1, NULL);
    reports(1, &old, &(struct report){.first = 4, .count = 1, .final = true}, 2);
    expect_results(4, 1, NULL);
    expect_ended(2, 0, 2);
    end_core();
}

/* A report of which the life before recorded a part is of no use, and no reason to kill the worker. */
Test(adopt, report_of_which_some_jobs_are_over_is_late_and_the_others_run_again)
{
    struct proto_chunk old = old_chunk(1, 3, 1), again;

    begin_again(1);
    step_adopt(1);
    submit_range(3, 3);
    cancel_some(2, 1);
    expect_failure(2, MUSTER_ECANCELLED, "");
    says_hello(1, 1, 1);
    stands_by(1, &old);
    expect_cancel(1, 1, 2, 1);
    finishes(1, &old, 1);
    cr_assert_eq(core_count(core).late, 3);
    again = expect_chunk(1, 1, 1);
    worker_finishes(1, &again);
    expect_results(1, 1, NULL);
    again = expect_chunk(1, 3, 1);
    worker_finishes(1, &again);
    expect_results(3, 1, NULL);
    expect_ended(2, 0, 1);
    end_core();
}

Test(adopt, result_of_a_chunk_that_is_recorded_is_late_and_kept)
{
    struct proto_chunk old = old_chunk(1, 2, 1);

    begin_again(1);
    step_adopt(1);
    says_hello(1, 1, 1);
    stands_by(1, &old);
    expect_cancel(1, 1, 1, 2);
    finishes(1, &old, 9);
    cr_assert_eq(core_count(core).late, 2);
    end_core();
}

Test(adopt, second_worker_that_stands_by_a_job_is_told_to_end_it)
{
    struct proto_chunk first = old_chunk(1, 2, 1), second = old_chunk(2, 1, 1);

    second.chunk += 100;
    begin_again(2);
    step_adopt(1);
    step_adopt(2);
    submit_range(2, 2);
    says_hello(1, 1, 1);
    says_hello(2, 1, 1);
    stands_by(1, &first);
    stands_by(2, &second);
    expect_cancel(2, 1, 2, 1);
    finishes(2, &second, 1);
    finishes(1, &first, 1);
    expect_results(1, 2, NULL);
    expect_ended(2, 0, 0);
    end_core();
}

/* It is deaf: of the batch nothing is known here, nothing else would ever end it. */
Test(adopt, worker_that_does_not_end_what_nobody_wants_is_killed)
{
    struct proto_chunk old = old_chunk(1, 1, 1);

    begin_again(1);
    step_adopt(1);
    says_hello(1, 1, 1);
    stands_by(1, &old);
    expect_cancel(1, 1, 1, 1);
    now_ns += 250 * CLOCK_NS_PER_MS;
    cr_assert_eq(core_deadline(core), now_ns);
    step_tick();
    expect_kill(1);
    end_core();
}

Test(adopt, job_that_runs_ahead_of_what_nobody_wants_is_not_killed_for_it)
{
    struct proto_chunk wanted = old_chunk(1, 1, 1), unwanted = old_chunk(2, 1, 1);

    begin_again(1);
    step_adopt(1);
    submit_range(1, 1);
    unwanted.batch = 7;
    says_hello(1, 2, 2);
    stands_by(1, &wanted);
    stands_by(1, &unwanted);
    expect_cancel(1, 7, 2, 1);
    now_ns += 250 * CLOCK_NS_PER_MS;
    step_tick();
    expect_nothing();
    finishes(1, &wanted, 1);
    expect_results(1, 1, NULL);
    expect_ended(1, 0, 0);
    finishes(1, &unwanted, 2);
    cr_assert_eq(core_deadline(core), CLOCK_NEVER);
    end_core();
}

Test(adopt, what_was_said_to_the_life_before_is_passed_over)
{
    struct proto_chunk old = old_chunk(1, 1, 1);
    struct proto_message message =
        result_message(&old, &(struct report){.first = 1, .count = 1, .final = true});

    begin_again(1);
    step_adopt(1);
    submit_range(1, 1);
    message.result.number = 1;
    step_message(worker_name(1), &message);
    step_message(worker_name(1), &(struct proto_message){.type = PROTO_PONG});
    expect_nothing();
    says_hello(1, 1, 1);
    stands_by(1, &old);
    finishes(1, &old, 1);
    expect_results(1, 1, NULL);
    expect_ended(1, 0, 0);
    end_core();
}

Test(adopt, job_with_which_a_worker_died_meanwhile_is_blamed)
{
    struct proto_submit settings = range_of(1, 3, 3);
    struct proto_chunk chunk;

    settings.crash_limit = 1;
    begin_again(1);
    step_adopt(1);
    submit(CLIENT, &settings);
    step_exit(&(struct worker_exit){.slot = 1,
                                    .reason = "an end of which nobody knows how",
                                    .executing = true,
                                    .batch = 1,
                                    .chunk = (UINT64_C(1) << CHUNKS_OF_EPOCH_BITS) + 5,
                                    .index = 2,
                                    .attempt = 1});
    expect_failure(2, MUSTER_ECRASHED, "nobody knows how");
    expect_spawn(1);
    worker_hello(1, 1);
    chunk = expect_chunk(1, 1, 1);
    worker_finishes(1, &chunk);
    expect_results(1, 1, NULL);
    chunk = expect_chunk(1, 3, 1);
    worker_finishes(1, &chunk);
    expect_results(3, 1, NULL);
    expect_ended(2, 1, 0);
    end_core();
}

Test(adopt, deaths_of_adopted_workers_are_no_failed_starts)
{
    struct proto_chunk chunk;

    begin_again(3);
    for (unsigned slot = 1; slot <= 3; slot++)
        step_adopt(slot);
    submit_range(1, 1);
    for (unsigned slot = 1; slot <= 3; slot++)
        step_exit(&(struct worker_exit){.slot = slot, .reason = "an end"});
    expect_spawn(1); /* for one job, when nobody is left */
    worker_hello(1, 1);
    chunk = expect_chunk(1, 1, 1);
    worker_finishes(1, &chunk);
    expect_results(1, 1, NULL);
    expect_ended(1, 0, 0);
    end_core();
}

/* The store may have cut the arguments elsewhere than the client had. */
Test(adopt, jobs_of_a_chunk_may_be_of_several_blocks_of_arguments)
{
    static const uint32_t first[] = {4, 5, 1, 7}, count[] = {1, 2, 2, 2};
    struct proto_submit settings = list_of(8);
    struct proto_chunk old = old_chunk(3, 4, 1), again[4];

    begin_again(1);
    step_adopt(1);
    submit(CLIENT, &settings);
    send_arguments(CLIENT, 1, 4);
    send_arguments(CLIENT, 5, 4);
    seal(8);
    says_hello(1, 8, 1);
    stands_by(1, &old);
    reports(1, &old, &(struct report){.first = 3, .count = 1, .final = true}, 1); /* the rest comes back */
    expect_results(3, 1, NULL);
    for (unsigned i = 0; i < 4; i++)
        again[i] = expect_chunk(1, first[i], count[i]);
    for (unsigned i = 0; i < 4; i++) {
        worker_finishes(1, &again[i]);
        expect_results(first[i], count[i], NULL);
    }
    expect_ended(8, 0, 0);
    end_core();
}

Test(adopt, attempts_of_the_life_before_count)
{
    struct proto_submit settings = range_of(1, 1, 1);
    struct proto_chunk old = old_chunk(1, 1, 2);

    settings.retries = 1;
    begin_again(1);
    step_adopt(1);
    submit(CLIENT, &settings);
    says_hello(1, 1, 1);
    stands_by(1, &old);
    reports(1, &old,
            &(struct report){
                .first = 1, .count = 1, .final = true, .failed = (uint64_t[]){1, 0}, .code = MUSTER_EFAILED},
            1);
    expect_results(1, 1, (uint64_t[]){1, 0});
    expect_ended(0, 1, 0);
    end_core();
}

Test(adopt, worker_that_stands_by_what_this_life_never_gave_away_is_killed)
{
    struct proto_chunk young = old_chunk(1, 1, 1);

    begin_again(1);
    step_adopt(1);
    young.chunk = (UINT64_C(2) << CHUNKS_OF_EPOCH_BITS) + 1;
    says_hello(1, 1, 1);
    stands_by(1, &young);
    expect_error(worker_name(1), 0, MUSTER_ESTATE, "another life");
    expect_kill(1);
    end_core();
}

Test(adopt, worker_that_stands_by_more_than_it_said_is_killed)
{
    struct proto_chunk old = old_chunk(1, 1, 1), more = old_chunk(2, 1, 1);

    begin_again(1);
    step_adopt(1);
    says_hello(1, 1, 1);
    stands_by(1, &old);
    expect_cancel(1, 1, 1, 1);
    stands_by(1, &more);
    expect_error(worker_name(1), 0, MUSTER_ESTATE, "another life");
    expect_kill(1);
    end_core();
}

Test(adopt, more_memory_taken_than_there_is_leaves_no_room)
{
    struct capacity capacity = {.has = {3, 100}, .used = {1, 144}};
    struct demand job = {1, 48}, none = {0, 0}, most = {1, 144};

    cr_assert_eq(capacity_room(&capacity, &job, &none, 1), 0);
    cr_assert_eq(capacity_room(&capacity, &job, &none, 3), 0);
    cr_assert_eq(capacity_room(&capacity, &job, &most, 1), 0);
    capacity.used.memory_bytes = 52;
    cr_assert_eq(capacity_room(&capacity, &job, &none, 1), UINT64_MAX);
    cr_assert_eq(capacity_room(&capacity, &job, &none, 3), 1);
}

Test(adopt, more_cpus_taken_than_there_are_leave_no_room_for_idle_workers)
{
    static struct core taken = {.demanding = 1, .capacity = {.has = {2, 100}, .used = {3, 0}}};

    cr_assert_eq(room_for_idle(&taken, 4), 0);
    taken.capacity.used.cpus = 1;
    cr_assert_eq(room_for_idle(&taken, 4), 1);
}
