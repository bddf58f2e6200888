/* SPDX-License-Identifier: MIT
 *
 * Who runs next, among batches that differ in priority, user, limit and in what their jobs take of
 * the host; and failed jobs that wait before they are tried again.
 */
#include "tests/support/core_harness.h"

#include <criterion/criterion.h>

static const uint64_t MS = CLOCK_NS_PER_MS;

TestSuite(core_schedule, .fini = end_core);

/* A batch of many jobs, one in a chunk. */
static struct proto_submit many(void)
{
    return range_of(1, 1000, 1);
}

/* The only job of the chunk took so long, and the client is told. */
static void finish(unsigned slot, const struct proto_chunk *chunk, const char *client, uint64_t took_ns)
{
    pass(took_ns);
    worker_reports(slot, chunk,
                   &(struct report){.first = chunk->first, .count = 1, .final = true, .execute_ns = took_ns});
    expect_sent(client, PROTO_RESULTS);
}

/* What the worker is sent next, if it is a chunk of one job. */
static struct proto_chunk next_chunk(unsigned slot)
{
    struct proto_chunk chunk = expect_sent(worker_name(slot), PROTO_CHUNK)->chunk;

    cr_assert_eq(chunk.count, 1);
    return chunk;
}

static uint64_t submit_as(const char *client, const struct proto_submit *settings)
{
    client_hello(client);
    return submit(client, settings);
}

/* --- priority */

Test(core_schedule, free_worker_goes_to_a_lower_priority_while_a_higher_one_has_jobs)
{
    struct proto_submit low = many(), high = range_of(1, 2, 1);
    uint64_t first, second;
    struct proto_chunk chunk;

    high.priority = 3;
    begin_ready(1, 1);
    first = submit(CLIENT, &low);
    chunk = next_chunk(1);
    second = submit_as("other", &high);
    for (unsigned i = 0; i < 2; i++) {
        finish(1, &chunk, i == 0 ? CLIENT : "other", MS);
        chunk = next_chunk(1);
        cr_assert_eq(chunk.batch, second);
    }
    finish(1, &chunk, "other", MS);
    expect_sent("other", PROTO_ENDED);
    cr_assert_eq(next_chunk(1).batch, first);
}

/* Short jobs are supplied ahead, long ones are not: they would be ahead of what matters more. */
Test(core_schedule, worker_is_supplied_ahead_with_jobs_of_a_lower_priority)
{
    struct proto_submit low = many(), high = many();
    struct proto_chunk chunk;
    uint64_t second;

    high.priority = 1;
    begin_ready(1, 16);
    submit(CLIENT, &low);
    chunk = next_chunk(1);
    client_hello("other");
    pacing_report(&core->batches->pacing, 100, 100 * CLOCK_NS_PER_US);
    second = submit("other", &high);
    finish(1, &chunk, CLIENT, CLOCK_NS_PER_US);
    cr_assert_eq(next_chunk(1).batch, second);
    expect_nothing();
}

/* --- shares */

Test(core_schedule, user_of_long_jobs_gets_more_time_than_one_of_short_jobs)
{
    struct proto_submit settings = many();
    uint64_t long_ns = 0, short_ns = 0, first;
    struct proto_chunk chunk;

    begin_ready(1, 1);
    first = submit(CLIENT, &settings);
    chunk = next_chunk(1);
    submit_as("other", &settings);
    for (unsigned i = 0; i < 200; i++) {
        bool is_first = chunk.batch == first;

        finish(1, &chunk, is_first ? CLIENT : "other", is_first ? 50 * MS : 2 * MS);
        *(is_first ? &long_ns : &short_ns) += is_first ? 50 * MS : 2 * MS;
        chunk = next_chunk(1);
    }
    cr_assert(long_ns <= short_ns + 100 * MS && short_ns <= long_ns + 100 * MS, "%lu ms and %lu ms",
              (unsigned long)(long_ns / MS), (unsigned long)(short_ns / MS));
}

Test(core_schedule, job_that_killed_its_worker_after_long_costs_its_user_nothing)
{
    struct proto_submit settings = many();
    struct proto_chunk chunk;
    uint64_t first;

    settings.crash_limit = 1;
    begin_ready(1, 1);
    first = submit(CLIENT, &settings);
    chunk = next_chunk(1);
    submit_as("other", &settings);
    pass(1000 * MS);
    worker_crashes(1, &chunk, 1);
    expect_failure(1, MUSTER_ECRASHED, "crashed");
    expect_spawn(1);
    worker_hello(1, 1);
    for (unsigned i = 0; i < 10; i++) {
        chunk = next_chunk(1);
        cr_assert_neq(chunk.batch, first);
        finish(1, &chunk, "other", 10 * MS);
    }
    next_chunk(1);
}

/* Nothing of it waited while its job ran: it is raised to the virtual time, which has what the job took in
 * it. */
Test(core_schedule, crashed_job_of_a_limited_batch_is_charged_on_top_of_the_virtual_time)
{
    struct proto_submit limited = many(), other = many();
    struct proto_chunk a, b;
    uint64_t first;

    limited.most_running = 1;
    begin_ready(2, 1);
    first = submit(CLIENT, &limited);
    a = next_chunk(1);
    submit_as("other", &other);
    b = next_chunk(2);
    for (unsigned i = 0; i < 10; i++) {
        finish(2, &b, "other", 10 * MS);
        b = next_chunk(2);
    }
    worker_crashes(1, &a, 1);
    expect_spawn(1);
    finish(2, &b, "other", 10 * MS);
    cr_assert_eq(next_chunk(2).batch, first);
}

/* What came back ahead of the crash, of another chunk of the same worker, had its batch raised already. */
static void crash_in_one_of_two_chunks(unsigned which)
{
    struct proto_submit two = many(), other = many();
    struct proto_chunk a[2], b;
    uint64_t first;

    two.most_running = 2;
    other.most_running = 1;
    begin_warm(2);
    expect_spawn(1);
    expect_spawn(2);
    worker_hello(1, 1);
    worker_hello_concurrent(2, 18, 2);
    client_hello(CLIENT);
    submit_as("other", &other);
    b = next_chunk(1);
    first = submit(CLIENT, &two);
    a[0] = next_chunk(2);
    a[1] = next_chunk(2);
    for (unsigned i = 0; i < 10; i++) {
        finish(1, &b, "other", 10 * MS);
        b = next_chunk(1);
        cr_assert_neq(b.batch, first);
    }
    worker_crashes(2, &a[which], a[which].first);
    expect_spawn(2);
    finish(1, &b, "other", 10 * MS);
    cr_assert_eq(next_chunk(1).batch, first);
}

Test(core_schedule, crash_is_charged_on_top_of_the_virtual_time_when_its_chunk_comes_back_first)
{
    crash_in_one_of_two_chunks(0);
}

Test(core_schedule, crash_is_charged_on_top_of_the_virtual_time_when_its_chunk_comes_back_last)
{
    crash_in_one_of_two_chunks(1);
}

Test(core_schedule, batch_is_charged_for_jobs_that_it_did_not_run)
{
    struct proto_submit settings = range_of(1, 100, 4);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 4);
    pass(100 * MS);
    worker_reports(1, &chunk,
                   &(struct report){.first = 1, .count = 2, .final = false, .execute_ns = 30 * MS});
    expect_results(1, 2, NULL);
    step_exit(&(struct worker_exit){.slot = 1, .reason = "killed by SIGKILL"});
    expect_spawn(1);
    cr_assert_float_eq(core->batches->turn.place.tag_ns, 30 * MS, 1); /* two did not run */
    worker_hello(1, 1);
    expect_chunk(1, 3, 1);
    cr_assert_float_eq(core->batches->turn.place.tag_ns, 45 * MS, 1); /* as long as the others */
}

/* --- limits */

Test(core_schedule, more_jobs_of_a_batch_run_than_its_limit_allows)
{
    struct proto_submit limited = many(), other = many();
    struct proto_chunk a;
    uint64_t first, second;

    limited.most_running = 2;
    begin_ready(4, 1);
    first = submit(CLIENT, &limited);
    a = expect_chunk(1, 1, 1);
    expect_chunk(2, 2, 1);
    expect_nothing();
    second = submit_as("other", &other); /* and the other workers are not kept for it */
    cr_assert_eq(next_chunk(3).batch, second);
    cr_assert_eq(next_chunk(4).batch, second);
    finish(1, &a, CLIENT, MS);
    cr_assert_eq(next_chunk(1).batch, first);
}

Test(core_schedule, chunk_for_a_worker_of_many_places_is_larger_than_the_limit)
{
    struct proto_submit limited = range_of(1, 1000, 0);

    limited.most_running = 5;
    begin_concurrent(2, 3);
    submit(CLIENT, &limited);
    expect_chunk(1, 1, 3);
    expect_chunk(2, 4, 2);
}

Test(core_schedule, worker_is_asked_for_jobs_that_no_other_may_run)
{
    struct proto_submit limited = range_of(1, 10, 10);

    limited.most_running = 1;
    begin_ready(2, 4);
    submit(CLIENT, &limited);
    expect_chunk(1, 1, 10);
    pacing_report(&core->batches->pacing, 100, 100 * MS);
    pass(20 * MS);
    step_tick();
    expect_nothing();
}

Test(core_schedule, workers_are_spawned_that_a_limited_batch_cannot_use)
{
    struct proto_submit limited = many();

    limited.most_running = 1;
    begin_lazy(4);
    submit(CLIENT, &limited);
    expect_spawn(1);
}

Test(core_schedule, workers_are_spawned_that_the_host_has_no_cpus_for)
{
    struct proto_submit wide = many();

    wide.cpus = 3;
    begin_lazy(7);
    submit(CLIENT, &wide);
    expect_spawn(1);
    expect_spawn(2);
}

/* --- the host */

Test(core_schedule, jobs_take_more_cpus_than_the_host_has)
{
    struct proto_submit wide = many(), narrow = many();
    struct proto_chunk a, b, c;
    uint64_t second;

    wide.cpus = 2;
    begin_ready(5, 1);
    submit(CLIENT, &wide);
    a = next_chunk(1);
    b = next_chunk(2);
    expect_nothing();
    second = submit_as("other", &narrow); /* one is left */
    c = next_chunk(3);
    cr_assert_eq(c.batch, second);
    expect_nothing();
    finish(1, &a, CLIENT, MS); /* its user had less before than the newcomer */
    cr_assert_eq(next_chunk(1).batch, second);
    cr_assert_eq(next_chunk(4).batch, second);
    expect_nothing();
    (void)b;
}

/* One after another they leave workers idle until all of them are. */
Test(core_schedule, wide_job_waits_for_ever_behind_narrow_ones)
{
    struct proto_submit wide = many(), narrow = many();
    struct proto_chunk held[4];
    uint64_t first;

    wide.cpus = 4;
    begin_ready(4, 2);
    submit(CLIENT, &narrow);
    for (unsigned i = 0; i < 4; i++)
        held[i] = next_chunk(i + 1);
    client_hello("other");
    pacing_report(&core->batches->pacing, 100, 100 * CLOCK_NS_PER_US);
    first = submit("other", &wide);
    for (unsigned i = 0; i < 4; i++) {
        expect_nothing();
        finish(i + 1, &held[i], CLIENT, MS);
    }
    cr_assert_eq(next_chunk(1).batch, first);
    cr_assert_neq(next_chunk(1).batch, first); /* for when it is over */
}

Test(core_schedule, jobs_take_more_memory_than_the_host_has)
{
    struct proto_submit large = many(), small = many();
    struct proto_chunk a;
    uint64_t first, second;

    large.memory_bytes = 60;
    begin_ready(4, 1);
    core->capacity.has.memory_bytes = 100;
    first = submit(CLIENT, &large);
    a = next_chunk(1);
    expect_nothing();
    second = submit_as("other", &small); /* which waits for none */
    cr_assert_eq(next_chunk(2).batch, second);
    cr_assert_eq(next_chunk(3).batch, second);
    cr_assert_eq(next_chunk(4).batch, second);
    finish(1, &a, CLIENT, MS);
    cr_assert_eq(next_chunk(1).batch, first);
}

Test(core_schedule, jobs_of_one_worker_take_more_memory_than_the_host_has)
{
    struct proto_submit large = range_of(1, 100, 0);

    large.memory_bytes = 30;
    begin_concurrent(2, 2);
    core->capacity.has.memory_bytes = 100;
    submit(CLIENT, &large);
    expect_chunk(1, 1, 2);
    expect_chunk(2, 3, 1);
}

static void expect_refused(const struct proto_submit *settings, const char *text)
{
    step_message(CLIENT, &(struct proto_message){.type = PROTO_SUBMIT, .submit = *settings});
    expect_error(CLIENT, 1, MUSTER_ELIMIT, text);
}

Test(core_schedule, job_that_can_never_run_is_waited_for)
{
    struct proto_submit wide = many(), large = many();

    wide.cpus = 5;
    large.memory_bytes = 3 << 20;
    begin_ready(4, 1);
    core->capacity.has.memory_bytes = 2 << 20;
    expect_refused(&wide, "a job of 5 CPUs can never run here: jobs may take 4 together");
    expect_refused(&large, "a job of 3 MiB of memory can never run here: jobs may take 2 MiB together");
    wide.cpus = 4;
    submit(CLIENT, &wide);
    expect_chunk(1, 1, 1);
}

/* --- backoff */

static struct proto_chunk submit_backoff(uint32_t backoff_ms)
{
    struct proto_submit settings = range_of(1, 1, 1);

    settings.backoff_ms = backoff_ms;
    settings.retries = 5;
    begin_ready(1, 1);
    submit(CLIENT, &settings);
    return expect_chunk(1, 1, 1);
}

static void fail(const struct proto_chunk *chunk)
{
    worker_reports(
        1, chunk,
        &(struct report){
            .first = 1, .count = 1, .final = true, .failed = (uint64_t[]){1, 0}, .code = MUSTER_EFAILED});
}

Test(core_schedule, failed_job_runs_again_before_its_time_or_never)
{
    struct proto_chunk chunk = submit_backoff(700);

    for (unsigned i = 0; i < 4; i++) {
        fail(&chunk);
        expect_nothing();
        step_deadline((700 * MS) << i); /* nothing else wakes the core before */
        chunk = expect_chunk(1, 1, 1);
        cr_assert_eq(chunk.attempt, i + 2);
    }
    worker_finishes(1, &chunk);
    expect_results(1, 1, NULL);
    cr_assert_eq(expect_ended(1, 0, 0).retried, 4);
    cr_assert_eq(core_deadline(core), CLOCK_NEVER);
}

Test(core_schedule, job_that_crashed_runs_again_at_once)
{
    struct proto_chunk chunk = submit_backoff(700);

    worker_crashes(1, &chunk, 1);
    expect_spawn(1);
    worker_hello(1, 1);
    step_deadline(700 * MS);
    expect_chunk(1, 1, 1);
}

Test(core_schedule, delayed_job_outlives_the_cancel_of_its_batch)
{
    struct proto_chunk chunk = submit_backoff(700);

    fail(&chunk);
    cancel(PROTO_CANCEL_SOON);
    expect_ended(0, 0, 1);
    cr_assert_eq(core_deadline(core), CLOCK_NEVER);
}

Test(core_schedule, delayed_job_cannot_be_cancelled_by_itself)
{
    struct proto_chunk chunk = submit_backoff(700);

    fail(&chunk);
    cancel_some(1, 1);
    expect_failure(1, MUSTER_ECANCELLED, "");
    expect_ended(0, 0, 1);
}

/* --- workers with several places */

/* It had waited there for as long as that took, though another worker might have had nothing to do. */
Test(core_schedule, command_does_not_wait_at_a_worker_for_one_of_another_batch)
{
    struct proto_submit settings = range_of(1, 1, 0);
    struct proto_chunk chunk;
    uint64_t second;

    settings.function = (struct proto_text){"command", 7};
    settings.most_running = 1;
    begin_concurrent(1, 4);
    submit(CLIENT, &settings);
    chunk = next_chunk(1);
    second = submit_as("other", &settings);
    expect_nothing();
    finish(1, &chunk, CLIENT, MS);
    expect_sent(CLIENT, PROTO_ENDED);
    cr_assert_eq(next_chunk(1).batch, second);
}
