/* SPDX-License-Identifier: MIT
 *
 * Workers of other hosts: which slots are theirs, what they are given, and what becomes of their jobs when
 * the host is lost.
 */
#include "proto/codec.h"
#include "tests/support/core_harness.h"

#include <criterion/criterion.h>

enum { HOST = 7, OTHER = 8 };

static struct core_worker look(unsigned slot)
{
    struct core_worker worker = {.slot = 0};

    cr_assert(core_next_worker(core, slot - 1, &worker));
    cr_assert_eq(worker.slot, slot);
    return worker;
}

/* A core with one worker of its own that has the first job of a batch of so many. */
static struct proto_chunk begin_with(uint32_t jobs)
{
    struct proto_submit settings = range_of(1, jobs, 1);

    settings.crash_limit = 1;
    begin_lazy(1);
    submit(CLIENT, &settings);
    expect_spawn(1);
    worker_hello(1, 1);
    return expect_chunk(1, 1, 1);
}

static void finishes(unsigned slot, const struct proto_chunk *chunk)
{
    worker_finishes(slot, chunk);
    expect_results(chunk->first, 1, NULL);
}

Test(core_join, workers_of_a_host_are_spawned_for_what_waits)
{
    struct proto_chunk chunks[3] = {begin_with(3)};

    cr_assert_eq(step_join(HOST, 3), 3);
    expect_spawn(2);
    expect_spawn(3);
    cr_assert_eq(core_where(core, 2).host, HOST);
    cr_assert_eq(core_where(core, 3).place, 2);
    cr_assert_eq(core_slot_at(core, HOST, 2), 3);
    cr_assert_eq(core_slot_at(core, HOST, 3), 0);
    cr_assert_eq(core_host_of(core, worker_name(3)), HOST);
    cr_assert_eq(core_host_of(core, worker_name(1)), 0);
    cr_assert_str_eq(look(3).host, "node7");
    cr_assert_str_eq(look(1).host, "");
    worker_hello(2, 1);
    chunks[1] = expect_chunk(2, 2, 1);
    worker_hello(3, 1);
    chunks[2] = expect_chunk(3, 3, 1);
    for (unsigned i = 0; i < 3; i++)
        finishes(i + 1, &chunks[i]);
    expect_ended(3, 0, 0);
    cr_assert_eq(core_count(core).workers, 4);
    end_core();
}

Test(core_join, host_gets_no_more_places_than_there_are)
{
    unsigned most;

    begin_lazy(1);
    most = core->options.workers_max;
    cr_assert_eq(step_join(HOST, most), most - 1);
    cr_assert_eq(step_join(OTHER, 1), 0);
    cr_assert_eq(core_joined(core), most - 1);
    step_part(HOST);
    cr_assert_eq(core_joined(core), 0);
    cr_assert_eq(step_join(OTHER, 1), 1);
    cr_assert_eq(core_count(core).workers, 2);
    end_core();
}

Test(core_join, lost_host_is_nobodys_fault_and_its_jobs_go_to_others)
{
    struct proto_chunk own = begin_with(2), again;

    step_join(HOST, 1);
    expect_spawn(2);
    worker_hello(2, 1);
    expect_chunk(2, 2, 1);
    step_part(HOST);
    expect_nothing();
    finishes(1, &own);
    again = expect_chunk(1, 2, 1);
    finishes(1, &again);
    cr_assert_eq(expect_ended(2, 0, 0).retried, 0);
    end_core();
}

Test(core_join, host_that_is_lost_while_its_workers_start_is_no_worker_that_fails_to_start)
{
    struct proto_chunk own = begin_with(2);

    for (int i = 0; i < 4; i++) {
        step_join(HOST, 1);
        expect_spawn(2);
        step_part(HOST);
    }
    cr_assert_eq(core->failed_starts, 0);
    finishes(1, &own);
    own = expect_chunk(1, 2, 1);
    finishes(1, &own);
    expect_ended(2, 0, 0);
    end_core();
}

Test(core_join, crash_on_a_host_blames_the_job_that_ran)
{
    struct proto_chunk own = begin_with(2), theirs;

    step_join(HOST, 1);
    expect_spawn(2);
    worker_hello(2, 1);
    theirs = expect_chunk(2, 2, 1);
    step_exit(&(struct worker_exit){
        .slot = 2, .executing = true, .chunk = theirs.chunk, .index = 2, .reason = "killed by SIGSEGV"});
    expect_failure(2, MUSTER_ECRASHED, "crashed its worker: killed by SIGSEGV");
    finishes(1, &own);
    expect_ended(1, 1, 0);
    end_core();
}

Test(core_join, commands_stay)
{
    struct proto_chunk own = begin_with(1);
    struct proto_submit command = range_of(1, 1, 1);

    step_join(HOST, 1);
    command.ticket = 2;
    command.function = proto_text("command");
    submit(CLIENT, &command);
    expect_spawn(2); /* for it counts as one that waits; it is given nothing */
    worker_hello(2, 1);
    expect_nothing();
    finishes(1, &own);
    expect_ended(1, 0, 0);
    own = expect_chunk(1, 1, 1);
    worker_finishes(1, &own);
    expect_sent(CLIENT, PROTO_RESULTS);
    expect_sent(CLIENT, PROTO_ENDED);
    end_core();
}

/* More of them than are tried in vain for each message. */
Test(core_join, commands_that_wait_keep_no_function_from_other_hosts)
{
    struct proto_chunk own = begin_with(1), theirs;
    struct proto_submit command = range_of(1, 1, 1), function = range_of(1, 1, 1);

    step_join(HOST, 1);
    command.function = proto_text("command");
    for (command.ticket = 2; command.ticket < 102; command.ticket++) {
        submit(CLIENT, &command);
        if (command.ticket == 2)
            expect_spawn(2);
    }
    worker_hello(2, 1);
    function.ticket = command.ticket;
    submit(CLIENT, &function);
    theirs = expect_chunk(2, 1, 1);
    worker_finishes(2, &theirs);
    expect_sent(CLIENT, PROTO_RESULTS);
    expect_sent(CLIENT, PROTO_ENDED);
    finishes(1, &own);
    expect_ended(1, 0, 0);
    expect_chunk(1, 1, 1); /* the first of those that wait */
    end_core();
}

Test(core_join, jobs_that_take_more_than_a_worker_stay)
{
    struct proto_submit demanding = range_of(1, 2, 1);
    struct proto_chunk chunk;

    demanding.cpus = 2;
    begin_lazy(2);
    step_join(HOST, 1);
    submit(CLIENT, &demanding);
    cr_assert(core->batches->stays);
    expect_spawn(1);
    worker_hello(1, 1);
    for (uint64_t i = 1; i <= 2; i++) {
        chunk = expect_chunk(1, i, 1);
        finishes(1, &chunk);
    }
    expect_ended(2, 0, 0);
    end_core();
}

Test(core_join, jobs_that_ask_for_memory_stay_where_that_is_not_known)
{
    struct proto_submit demanding = range_of(1, 2, 1);
    struct proto_chunk chunk = begin_with(1);

    demanding.ticket = 2;
    demanding.memory_bytes = 1 << 20;
    cr_assert_eq(core->capacity.has.memory_bytes, 0);
    step_join(HOST, 1);
    submit(CLIENT, &demanding);
    expect_spawn(2);
    worker_hello(2, 1);
    expect_nothing();
    finishes(1, &chunk);
    expect_ended(1, 0, 0);
    for (uint64_t i = 1; i <= 2; i++) {
        chunk = expect_chunk(1, i, 1);
        worker_finishes(1, &chunk);
        expect_sent(CLIENT, PROTO_RESULTS);
    }
    expect_sent(CLIENT, PROTO_ENDED);
    end_core();
}

Test(core_join, own_worker_is_spawned_for_what_stays_though_others_are_idle)
{
    struct proto_submit command = range_of(1, 1, 1);
    struct proto_chunk own = begin_with(2), theirs;

    step_join(HOST, 1);
    expect_spawn(2);
    worker_hello(2, 1);
    theirs = expect_chunk(2, 2, 1);
    finishes(1, &own);
    finishes(2, &theirs);
    expect_ended(2, 0, 0);
    step_exit(&(struct worker_exit){.slot = 1, .reason = "killed by SIGKILL"});
    expect_nothing();
    command.ticket = 2;
    command.function = proto_text("command");
    submit(CLIENT, &command);
    expect_spawn(1);
    worker_hello(1, 1);
    own = expect_chunk(1, 1, 1);
    worker_finishes(1, &own);
    expect_sent(CLIENT, PROTO_RESULTS);
    expect_sent(CLIENT, PROTO_ENDED);
    end_core();
}

Test(core_join, worker_that_is_to_leave_stays_rather_than_that_another_starts_beside_it)
{
    struct proto_chunk chunks[3] = {begin_with(9)};

    step_join(HOST, 1);
    expect_spawn(2);
    worker_hello(2, 1);
    chunks[1] = expect_chunk(2, 2, 1);
    step_scale(2);
    expect_spawn(3);
    worker_hello(3, 1);
    chunks[2] = expect_chunk(3, 3, 1);
    step_scale(1);
    step_part(HOST); /* so that a slot ahead of it is free */
    step_scale(2);
    expect_nothing();
    finishes(3, &chunks[2]);
    chunks[2] = expect_chunk(3, 2, 1);
    cr_assert_eq(core_count(core).workers, 2);
    cr_assert_eq(core->workers[1].state, WORKER_ABSENT);
    end_core();
}

Test(core_join, scale_is_about_the_coordinators_own_workers)
{
    begin_lazy(1);
    step_join(HOST, 2);
    step_scale(2);
    cr_assert_eq(core_count(core).workers, 4);
    cr_assert_eq(core_joined(core), 2);
    cr_assert_eq(core_where(core, 4).host, 0);
    step_scale(1);
    cr_assert_eq(core_count(core).workers, 3);
    cr_assert_eq(core_where(core, 2).host, HOST);
    step_part(HOST);
    cr_assert_eq(core_count(core).workers, 1);
    end_core();
}
