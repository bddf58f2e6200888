/* SPDX-License-Identifier: MIT
 *
 * More workers and fewer, and jobs that do not start: what becomes of workers that are too many, and
 * of what they hold.
 */
#include "tests/support/core_harness.h"

#include <criterion/criterion.h>

static void expect_stop(unsigned slot)
{
    expect_sent(worker_name(slot), PROTO_STOP);
}

static void exits(unsigned slot)
{
    step_exit(&(struct worker_exit){.slot = slot, .reason = "ended with exit status 0"});
}

static struct core_worker look(unsigned slot)
{
    struct core_worker worker = {.slot = 0};

    cr_assert(core_next_worker(core, slot - 1, &worker));
    cr_assert_eq(worker.slot, slot);
    return worker;
}

Test(core_scale, more_workers_are_spawned_for_what_waits)
{
    struct proto_submit settings = range_of(1, 3, 1);
    struct proto_chunk chunks[3];

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    chunks[0] = expect_chunk(1, 1, 1);
    step_scale(3);
    expect_spawn(2);
    expect_spawn(3);
    worker_hello(2, 1);
    chunks[1] = expect_chunk(2, 2, 1);
    worker_hello(3, 1);
    chunks[2] = expect_chunk(3, 3, 1);
    for (unsigned i = 0; i < 3; i++) {
        worker_finishes(i + 1, &chunks[i]);
        expect_results(i + 1, 1, NULL);
    }
    expect_ended(3, 0, 0);
    end_core();
}

Test(core_scale, idle_worker_that_is_too_many_stops_and_is_not_spawned_again)
{
    begin_ready(2, 1);
    step_scale(1);
    expect_stop(2);
    cr_assert_eq(look(2).state, CORE_WORKER_STOPPING);
    exits(2);
    cr_assert_eq(core_count(core).workers, 1);
    expect_nothing();
    end_core();
}

Test(core_scale, busy_worker_that_is_too_many_ends_what_it_runs_and_gives_back_the_rest)
{
    struct proto_submit settings = range_of(1, 20, 10);
    struct proto_chunk first, second, back;

    begin_ready(2, 1);
    submit(CLIENT, &settings);
    first = expect_chunk(1, 1, 10);
    second = expect_chunk(2, 11, 10);
    step_scale(1);
    expect_recall(2, 12, 9);
    cr_assert_eq(look(2).state, CORE_WORKER_STOPPING);
    worker_returns(2, &second, 12, 9);
    worker_finishes(1, &first);
    expect_results(1, 10, NULL);
    back = expect_chunk(1, 12, 9);
    worker_reports(2, &second, &(struct report){.first = 11, .count = 1, .final = true});
    expect_results(11, 1, NULL);
    expect_stop(2);
    exits(2);
    worker_finishes(1, &back);
    expect_results(12, 9, NULL);
    expect_ended(20, 0, 0);
    end_core();
}

Test(core_scale, job_of_a_worker_that_is_too_many_keeps_the_core_busy)
{
    struct proto_submit settings = range_of(1, 2, 1);
    struct proto_chunk first, second;

    begin_ready(2, 1);
    cr_assert_not(core_count(core).busy);
    submit(CLIENT, &settings);
    first = expect_chunk(1, 1, 1);
    second = expect_chunk(2, 2, 1);
    step_scale(1);
    worker_finishes(1, &first);
    expect_results(1, 1, NULL);
    cr_assert(core_count(core).busy);
    worker_finishes(2, &second);
    expect_results(2, 1, NULL);
    expect_ended(2, 0, 0);
    expect_stop(2);
    cr_assert_not(core_count(core).busy);
    exits(2);
    end_core();
}

Test(core_scale, worker_that_was_too_many_goes_on_when_it_is_not_any_more)
{
    struct proto_submit settings = range_of(1, 3, 1);
    struct proto_chunk first, second, third;

    begin_ready(2, 1);
    submit(CLIENT, &settings);
    first = expect_chunk(1, 1, 1);
    second = expect_chunk(2, 2, 1);
    step_scale(1);
    step_scale(2);
    worker_finishes(2, &second);
    expect_results(2, 1, NULL);
    third = expect_chunk(2, 3, 1);
    worker_finishes(1, &first);
    expect_results(1, 1, NULL);
    worker_finishes(2, &third);
    expect_results(3, 1, NULL);
    expect_ended(3, 0, 0);
    end_core();
}

Test(core_scale, worker_that_is_wanted_again_while_it_stops_is_spawned_when_it_is_gone)
{
    struct proto_submit settings = range_of(1, 2, 1);
    struct proto_chunk first, second;

    begin_ready(2, 1);
    step_scale(1);
    expect_stop(2);
    step_scale(2);
    submit(CLIENT, &settings);
    first = expect_chunk(1, 1, 1);
    expect_nothing();
    exits(2);
    expect_spawn(2);
    worker_hello(2, 1);
    second = expect_chunk(2, 2, 1);
    worker_finishes(1, &first);
    expect_results(1, 1, NULL);
    worker_finishes(2, &second);
    expect_results(2, 1, NULL);
    expect_ended(2, 0, 0);
    end_core();
}

Test(core_scale, worker_that_does_not_stop_is_killed_in_the_end)
{
    begin_ready(2, 1);
    step_scale(1);
    expect_stop(2);
    step_deadline(5 * CLOCK_NS_PER_S);
    expect_kill(2);
    exits(2);
    end_core();
}

Test(core_scale, worker_that_says_hello_when_it_is_too_many_stops_at_once)
{
    struct proto_submit settings = range_of(1, 2, 1);
    struct proto_chunk chunk;

    begin_lazy(2);
    submit(CLIENT, &settings);
    expect_spawn(1);
    expect_spawn(2);
    step_scale(1);
    worker_hello(2, 1);
    expect_stop(2);
    exits(2);
    worker_hello(1, 1);
    chunk = expect_chunk(1, 1, 1);
    worker_finishes(1, &chunk);
    expect_results(1, 1, NULL);
    chunk = expect_chunk(1, 2, 1);
    worker_finishes(1, &chunk);
    expect_results(2, 1, NULL);
    expect_ended(2, 0, 0);
    end_core();
}

Test(core_scale, job_of_a_worker_that_crashes_when_it_is_too_many_runs_elsewhere)
{
    struct proto_submit settings = range_of(1, 2, 1);
    struct proto_chunk first, second;

    begin_ready(2, 1);
    submit(CLIENT, &settings);
    first = expect_chunk(1, 1, 1);
    second = expect_chunk(2, 2, 1);
    step_scale(1);
    worker_crashes(2, &second, 2);
    worker_finishes(1, &first);
    expect_results(1, 1, NULL);
    second = expect_chunk(1, 2, 1);
    worker_finishes(1, &second);
    expect_results(2, 1, NULL);
    expect_ended(2, 0, 0);
    end_core();
}

Test(core_scale, more_workers_may_take_more_cpus_together)
{
    struct proto_submit settings = range_of(1, 2, 1);
    struct proto_chunk first, second;

    settings.cpus = 2;
    begin_ready(2, 1);
    submit(CLIENT, &settings);
    first = expect_chunk(1, 1, 1);
    expect_nothing();
    step_scale(4);
    expect_spawn(3); /* all are wanted from the start */
    expect_spawn(4);
    second = expect_chunk(2, 2, 1);
    worker_finishes(1, &first);
    expect_results(1, 1, NULL);
    worker_finishes(2, &second);
    expect_results(2, 1, NULL);
    expect_ended(2, 0, 0);
    end_core();
}

Test(core_scale, no_job_starts_while_it_drains_and_those_that_wait_do_behind_that)
{
    struct proto_submit settings = range_of(1, 10, 5);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 5);
    step_drain(true);
    expect_recall(1, 2, 4);
    worker_returns(1, &chunk, 2, 4);
    worker_reports(1, &chunk, &(struct report){.first = 1, .count = 1, .final = true});
    expect_results(1, 1, NULL);
    expect_nothing();
    cr_assert(core_count(core).draining && core_deadline(core) == CLOCK_NEVER);
    step_drain(false);
    chunk = expect_chunk(1, 2, 4);
    worker_finishes(1, &chunk);
    expect_results(2, 4, NULL);
    chunk = expect_chunk(1, 6, 5);
    worker_finishes(1, &chunk);
    expect_results(6, 5, NULL);
    expect_ended(10, 0, 0);
    end_core();
}

Test(core_scale, batch_is_taken_while_it_drains_and_no_worker_is_spawned_for_it)
{
    struct proto_submit settings = range_of(1, 1, 1);
    struct proto_chunk chunk;

    begin_lazy(1);
    step_drain(true);
    submit(CLIENT, &settings);
    expect_nothing();
    step_scale(2);
    expect_nothing();
    step_drain(false);
    expect_spawn(1);
    worker_hello(1, 1);
    chunk = expect_chunk(1, 1, 1);
    worker_finishes(1, &chunk);
    expect_results(1, 1, NULL);
    expect_ended(1, 0, 0);
    end_core();
}

Test(core_scale, coordinator_that_finishes_ends_when_no_job_runs)
{
    struct proto_submit settings = range_of(1, 2, 1);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 1);
    step_finish();
    cr_assert_not(core_stopped(core));
    step_drain(false); /* there is no way back */
    worker_finishes(1, &chunk);
    expect_results(1, 1, NULL);
    expect_nothing();
    cr_assert(core_stopped(core));
    end_core();
}

Test(core_scale, worker_says_what_it_does)
{
    struct proto_submit settings = range_of(1, 3, 1);
    struct proto_chunk chunk;
    struct core_worker none;

    begin_lazy(1);
    cr_assert_not(core_next_worker(core, 0, &none));
    submit(CLIENT, &settings);
    expect_spawn(1);
    cr_assert_eq(look(1).state, CORE_WORKER_STARTING);
    worker_hello(1, 1);
    chunk = expect_chunk(1, 1, 1);
    cr_assert_eq(look(1).state, CORE_WORKER_BUSY);
    cr_assert(look(1).chunks == 1 && look(1).jobs == 1 && look(1).batch == 1);
    cr_assert(core_running(core, 1) == 1 && core_running(core, 2) == 0);
    step_drain(true);
    worker_finishes(1, &chunk);
    expect_results(1, 1, NULL);
    cr_assert_eq(look(1).state, CORE_WORKER_IDLE);
    cr_assert(look(1).batch == 0 && look(1).since_ns == now_ns);
    cancel(PROTO_CANCEL_NOW);
    expect_ended(1, 0, 2);
    end_core();
}
