/* SPDX-License-Identifier: MIT
 *
 * Reports to the core that are late, which are dropped, or that cannot be true, which doom their worker.
 */
#include "tests/support/core_harness.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(core_late, .fini = end_core);

Test(core_late, result_of_a_chunk_that_is_over_is_counted_and_dropped)
{
    struct proto_submit settings = range_of(1, 9, 3);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 3);
    worker_finishes(1, &chunk);
    expect_results(1, 3, NULL);
    expect_chunk(1, 4, 3);
    worker_finishes(1, &chunk);
    cr_assert_eq(core_count(core).late, 3);
    cr_assert_eq(core->batches->totals.late, 3);
    cr_assert_eq(core_count(core).jobs_assigned, 3);
}

Test(core_late, result_of_a_buried_worker_is_late_and_its_jobs_end_once)
{
    struct proto_submit settings = range_of(1, 3, 3);
    struct proto_chunk old, chunk;
    struct proto_message late;
    char name[PROTO_PEER_NAME_MAX + 1];

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    old = expect_chunk(1, 1, 3);
    strcpy(name, worker_name(1));
    step_exit(&(struct worker_exit){.slot = 1, .reason = "killed by SIGKILL"});
    expect_spawn(1);
    worker_hello(1, 1);
    chunk = expect_chunk(1, 1, 1);
    cr_assert_neq(chunk.chunk, old.chunk);
    late = result_message(&old, &(struct report){.first = 1, .count = 3, .final = true});
    step_message(name, &late);
    cr_assert_eq(core_count(core).late, 3);
    worker_finishes(1, &chunk);
    expect_results(1, 1, NULL);
    chunk = expect_chunk(1, 2, 2);
    worker_finishes(1, &chunk);
    expect_results(2, 2, NULL);
    cr_assert_eq(expect_ended(3, 0, 0).late, 3);
}

Test(core_late, result_of_another_workers_chunk_is_not_taken)
{
    struct proto_submit settings = range_of(1, 6, 3);
    struct proto_chunk mine;

    begin_ready(2, 1);
    submit(CLIENT, &settings);
    mine = expect_chunk(1, 1, 3);
    expect_chunk(2, 4, 3);
    worker_finishes(2, &mine);
    cr_assert_eq(core_count(core).late, 3);
    worker_finishes(1, &mine);
    expect_results(1, 3, NULL);
}

/* Reports a chunk of jobs 1..4 of 8 in a way that cannot be true, as `change` makes it. */
static void check_refused(void (*change)(struct proto_message *message))
{
    struct proto_submit settings = range_of(1, 8, 4);
    struct proto_message message;
    struct proto_chunk chunk;

    begin_ready(2, 1);
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 4);
    expect_chunk(2, 5, 4);
    message = result_message(&chunk, &(struct report){.first = 1, .count = 4, .final = true});
    change(&message);
    step_message(worker_name(1), &message);
    expect_kill(1);
    cr_assert_eq(core_count(core).jobs_assigned, 8, "the report changed nothing");
    worker_crashes(1, &chunk, 2);
    expect_spawn(1);
    worker_hello(1, 1);
    chunk = expect_chunk(1, 1, 1);
    cr_assert_eq(chunk.attempt, 1);
}

static void other_first(struct proto_message *message)
{
    message->result.outcome.first = 2;
}

static void other_attempt(struct proto_message *message)
{
    message->result.outcome.attempt = 2;
}

static void other_batch(struct proto_message *message)
{
    message->result.batch = 7;
}

static void unasked_timings(struct proto_message *message)
{
    static const uint64_t timings[4 * PROTO_TIMINGS];

    message->result.outcome.timings = timings;
}

static void too_many(struct proto_message *message)
{
    static const uint8_t nils[] = {0xc0, 0xc0, 0xc0, 0xc0, 0xc0};
    static struct blob blob;

    blob_init(&blob, nils, sizeof nils, NULL);
    message->payload = (struct slice){.blob = &blob, .size = sizeof nils};
    message->result.outcome.count = 5;
}

Test(core_late, result_that_starts_elsewhere_dooms_its_worker)
{
    check_refused(other_first);
}

Test(core_late, result_of_another_attempt_dooms_its_worker)
{
    check_refused(other_attempt);
}

Test(core_late, result_for_another_batch_dooms_its_worker)
{
    check_refused(other_batch);
}

Test(core_late, result_with_timings_nobody_asked_for_dooms_its_worker)
{
    check_refused(unasked_timings);
}

Test(core_late, result_of_more_jobs_than_the_chunk_has_dooms_its_worker)
{
    check_refused(too_many);
}
