/* SPDX-License-Identifier: MIT
 *
 * Workers as processes: when they are spawned, how long they may be silent, and what happens
 * when they do not start.
 */
#include "tests/support/core_harness.h"

#include <criterion/criterion.h>

TestSuite(core_workers, .fini = end_core);

static const uint64_t PING_NS = HEARTBEAT_NS / 3;

/* --- how many */

Test(core_workers, no_worker_is_spawned_before_there_is_work)
{
    struct proto_submit settings = range_of(1, 2, 0);

    begin_lazy(4);
    expect_nothing();
    cr_assert_eq(core_deadline(core), CLOCK_NEVER);
    submit(CLIENT, &settings);
    expect_spawn(1);
    expect_spawn(2);
}

Test(core_workers, more_jobs_than_integers_can_count_still_want_workers)
{
    struct proto_submit settings = range_of(1, PROTO_BATCH_JOBS_MAX, 0);

    begin_lazy(2);
    submit(CLIENT, &settings);
    expect_spawn(1);
    expect_spawn(2);
    for (settings.ticket = 2; settings.ticket <= 4; settings.ticket++)
        submit(CLIENT, &settings);
    worker_hello(2, 1);
    expect_chunk(2, 1, 1);
    step_exit(&(struct worker_exit){.slot = 2, .reason = "killed by SIGKILL"});
    expect_spawn(2);
}

Test(core_workers, warm_client_is_welcomed_when_every_worker_is_ready_and_not_before)
{
    struct proto_message hello = {.type = PROTO_HELLO,
                                  .hello = {.version = PROTO_VERSION, .role = PROTO_CLIENT}};

    begin_warm(2);
    expect_spawn(1);
    expect_spawn(2);
    step_message(CLIENT, &hello);
    expect_nothing();
    worker_hello(2, 1);
    step_exit(&(struct worker_exit){.slot = 2, .reason = "killed by SIGKILL"});
    expect_spawn(2);
    worker_hello(1, 1);
    expect_nothing();
    worker_hello(2, 1);
    expect_sent(CLIENT, PROTO_WELCOME);
}

Test(core_workers, worker_ahead_of_its_jobs_is_one_of_those_that_they_want)
{
    struct proto_submit settings = range_of(1, 2, 1);

    begin_ahead(3, 1);
    expect_spawn(1);
    worker_hello(1, 1);
    client_hello(CLIENT);
    expect_nothing();
    submit(CLIENT, &settings);
    expect_spawn(2);
    expect_chunk(1, 1, 1);
}

Test(core_workers, client_does_not_wait_for_a_worker_that_is_only_ahead)
{
    begin_ahead(1, 1);
    expect_spawn(1);
    client_hello(CLIENT);
}

Test(core_workers, names_are_never_used_twice)
{
    struct proto_submit settings = range_of(1, 1, 1);
    char first[PROTO_PEER_NAME_MAX + 1];

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    expect_chunk(1, 1, 1);
    strcpy(first, worker_name(1));
    step_exit(&(struct worker_exit){.slot = 1, .reason = "killed by SIGKILL"});
    expect_spawn(1);
    cr_assert_str_neq(worker_name(1), first);
}

/* --- heartbeats */

Test(core_workers, silent_worker_is_pinged_then_killed_and_its_job_is_blamed)
{
    struct proto_submit settings = range_of(1, 2, 2);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    settings.crash_limit = 1;
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 2);
    step_deadline(PING_NS);
    expect_sent(worker_name(1), PROTO_PING);
    step_deadline(HEARTBEAT_NS - PING_NS);
    expect_kill(1);
    cr_assert_eq(core_deadline(core), CLOCK_NEVER, "its end is awaited");
    worker_crashes(1, &chunk, 1);
    expect_failure(1, MUSTER_ECRASHED, "crashed its worker: not answering for 3 s, and killed");
    expect_spawn(1);
    worker_hello(1, 1);
    expect_chunk(1, 2, 1);
}

Test(core_workers, pong_saves_a_worker_until_it_is_silent_again)
{
    struct proto_submit settings = range_of(1, 1, 1);
    uint64_t nonce;

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    expect_chunk(1, 1, 1);
    for (int i = 0; i < 3; i++) {
        step_deadline(PING_NS);
        nonce = expect_sent(worker_name(1), PROTO_PING)->ping.nonce;
        pass(HEARTBEAT_NS - PING_NS - 1);
        step_message(worker_name(1), &(struct proto_message){.type = PROTO_PONG, .ping = {.nonce = nonce}});
        expect_nothing();
    }
    step_deadline(PING_NS);
    expect_sent(worker_name(1), PROTO_PING);
    step_deadline(HEARTBEAT_NS - PING_NS);
    expect_kill(1);
}

Test(core_workers, result_is_a_sign_of_life_too)
{
    struct proto_submit settings = range_of(1, 4, 4);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 4);
    step_deadline(PING_NS);
    expect_sent(worker_name(1), PROTO_PING);
    pass(1000);
    worker_reports(1, &chunk, &(struct report){.first = 1, .count = 1});
    expect_results(1, 1, NULL);
    step_deadline(PING_NS);
    expect_sent(worker_name(1), PROTO_PING);
}

Test(core_workers, worker_has_time_to_answer_though_the_coordinator_overslept)
{
    struct proto_submit settings = range_of(1, 1, 1);

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    expect_chunk(1, 1, 1);
    pass(10 * HEARTBEAT_NS); /* stopped by SIGSTOP, say, while the worker worked on */
    step_tick();
    expect_sent(worker_name(1), PROTO_PING);
    step_tick();
    expect_nothing();
    step_deadline(HEARTBEAT_NS - PING_NS);
    expect_kill(1);
}

Test(core_workers, worker_is_asked_again_when_the_coordinator_overslept_the_answer)
{
    struct proto_submit settings = range_of(1, 1, 1);

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    expect_chunk(1, 1, 1);
    step_deadline(PING_NS);
    expect_sent(worker_name(1), PROTO_PING);
    pass(2 * HEARTBEAT_NS); /* both were stopped: the worker had no time to answer */
    step_tick();
    expect_sent(worker_name(1), PROTO_PING);
    step_deadline(HEARTBEAT_NS - PING_NS);
    expect_kill(1);
}

Test(core_workers, idle_worker_is_never_pinged_and_an_idle_core_never_wakes)
{
    struct proto_submit settings = range_of(1, 1, 1);
    struct proto_chunk chunk;

    begin_ready(2, 1);
    cr_assert_eq(core_deadline(core), CLOCK_NEVER);
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 1);
    worker_finishes(1, &chunk);
    expect_results(1, 1, NULL);
    expect_ended(1, 0, 0);
    cr_assert_eq(core_deadline(core), CLOCK_NEVER);
    pass(100 * HEARTBEAT_NS);
    step_tick();
    expect_nothing();
}

Test(core_workers, work_after_a_long_idle_time_starts_a_new_silence)
{
    struct proto_submit settings = range_of(1, 1, 1);

    begin_ready(1, 1);
    pass(100 * HEARTBEAT_NS);
    submit(CLIENT, &settings);
    expect_chunk(1, 1, 1);
    step_tick();
    expect_nothing();
    step_deadline(PING_NS);
    expect_sent(worker_name(1), PROTO_PING);
}

/* --- workers that do not start */

/* ENDED to CLIENT: no worker could be had, for this reason, and so many jobs are cancelled. */
static void expect_given_up(const char *reason, uint64_t cancelled)
{
    const struct proto_ended *ended = &expect_sent(CLIENT, PROTO_ENDED)->ended;

    cr_assert_eq(ended->code, MUSTER_ELOST);
    cr_assert_eq(ended->cancelled, cancelled);
    cr_assert_eq(ended->succeeded + ended->failed, 0);
    cr_assert_eq(ended->text.size, strlen(reason), "%.*s", (int)ended->text.size, ended->text.bytes);
    cr_assert_eq(memcmp(ended->text.bytes, reason, ended->text.size), 0);
}

static void dies_starting(unsigned slot)
{
    step_exit(&(struct worker_exit){.slot = slot, .reason = "ended with exit status 1"});
}

Test(core_workers, three_failed_starts_end_the_batch_with_their_reason)
{
    struct proto_submit settings = range_of(1, 5, 0);

    begin_lazy(1);
    submit(CLIENT, &settings);
    expect_spawn(1);
    dies_starting(1);
    step_deadline(100 * CLOCK_NS_PER_MS);
    expect_spawn(1);
    dies_starting(1);
    step_deadline(200 * CLOCK_NS_PER_MS);
    expect_spawn(1);
    dies_starting(1);
    expect_given_up("workers do not start (the last one: ended with exit status 1)", 5);
    step_deadline(400 * CLOCK_NS_PER_MS);
    expect_nothing();
    cr_assert_eq(core_deadline(core), CLOCK_NEVER, "nobody waits for workers any more");
}

Test(core_workers, worker_that_cannot_be_spawned_is_a_failed_start)
{
    struct proto_submit settings = range_of(1, 5, 0);

    begin_lazy(3);
    submit(CLIENT, &settings);
    for (unsigned slot = 1; slot <= 3; slot++)
        expect_spawn(slot);
    step_spawn_failed(1, "no more processes");
    step_spawn_failed(2, "no more processes");
    step_spawn_failed(3, "no more processes");
    expect_given_up("no more processes", 5);
}

Test(core_workers, warm_client_that_waits_is_told_that_workers_do_not_start)
{
    struct proto_message hello = {.type = PROTO_HELLO,
                                  .hello = {.version = PROTO_VERSION, .role = PROTO_CLIENT}};

    begin_warm(1);
    expect_spawn(1);
    step_message(CLIENT, &hello);
    dies_starting(1);
    step_deadline(100 * CLOCK_NS_PER_MS);
    expect_spawn(1);
    dies_starting(1);
    step_deadline(200 * CLOCK_NS_PER_MS);
    expect_spawn(1);
    dies_starting(1);
    expect_error(CLIENT, 0, MUSTER_ELOST, "ended with exit status 1");
}

Test(core_workers, failed_starts_beside_a_ready_worker_give_nothing_up)
{
    struct proto_submit settings = range_of(1, 10, 5);
    struct proto_chunk chunk;

    begin_lazy(2);
    submit(CLIENT, &settings);
    expect_spawn(1);
    expect_spawn(2);
    worker_hello(1, 1);
    chunk = expect_chunk(1, 1, 5);
    for (unsigned i = 1; i <= 4; i++) {
        step_spawn_failed(2, "no more processes");
        worker_reports(1, &chunk, &(struct report){.first = i, .count = 1});
        expect_results(i, 1, NULL);
        pass((50 * CLOCK_NS_PER_MS) << i);
        step_tick();
        expect_spawn(2);
    }
    worker_hello(2, 1);
    expect_chunk(2, 6, 5);
}

Test(core_workers, start_that_succeeds_forgives_those_that_failed)
{
    struct proto_submit settings = range_of(1, 10, 5);

    begin_lazy(1);
    submit(CLIENT, &settings);
    for (unsigned round = 0; round < 2; round++) {
        expect_spawn(1);
        dies_starting(1);
        step_deadline(100 * CLOCK_NS_PER_MS);
        expect_spawn(1);
        dies_starting(1);
        step_deadline(200 * CLOCK_NS_PER_MS);
        expect_spawn(1);
        worker_hello(1, 1);
        expect_chunk(1, 1, round ? 1 : 5);
        step_exit(&(struct worker_exit){.slot = 1, .reason = "killed by SIGKILL"});
    }
    expect_spawn(1);
}

/* A worker is killed for what it sent, and before its end is seen, others fail to start. */
Test(core_workers, batch_given_up_while_a_killed_worker_holds_jobs_ends_with_the_reason)
{
    struct proto_submit settings = range_of(1, 10, 4);
    struct proto_chunk chunk;

    begin_lazy(4);
    submit(CLIENT, &settings);
    for (unsigned slot = 1; slot <= 4; slot++)
        expect_spawn(slot);
    worker_hello(1, 1);
    chunk = expect_chunk(1, 1, 4);
    step_malformed(worker_name(1));
    expect_kill(1);
    for (unsigned slot = 2; slot <= 4; slot++)
        step_spawn_failed(slot, "no more processes");
    expect_nothing();
    pass(CLOCK_NS_PER_S);
    step_tick();
    expect_nothing();
    worker_crashes(1, &chunk, 2);
    expect_given_up("no more processes", 10);
}

Test(core_workers, worker_that_never_says_hello_is_killed_after_a_minute_and_that_is_the_reason)
{
    struct proto_submit settings = range_of(1, 1, 0);

    begin_lazy(1);
    submit(CLIENT, &settings);
    for (unsigned start = 1; start <= 3; start++) {
        expect_spawn(1);
        step_deadline(60 * CLOCK_NS_PER_S);
        expect_kill(1);
        step_message(
            worker_name(1),
            &(struct proto_message){
                .type = PROTO_HELLO,
                .hello = {.version = PROTO_VERSION, .role = PROTO_WORKER, .credit = 1, .concurrency = 1}});
        expect_nothing(); /* too late */
        step_exit(&(struct worker_exit){.slot = 1, .reason = "killed by SIGKILL"});
        if (start < 3)
            step_deadline((50 * CLOCK_NS_PER_MS) << start);
    }
    expect_given_up("workers do not start (the last one: not saying HELLO for 60 s, and killed)", 1);
}

Test(core_workers, worker_of_another_version_is_refused_and_counts_as_a_failed_start)
{
    struct proto_message hello = {
        .type = PROTO_HELLO,
        .hello = {.version = PROTO_VERSION + 1, .role = PROTO_WORKER, .credit = 1, .concurrency = 1}};
    struct proto_submit settings = range_of(1, 1, 0);

    begin_lazy(1);
    submit(CLIENT, &settings);
    expect_spawn(1);
    step_message(worker_name(1), &hello);
    expect_error(worker_name(1), 0, MUSTER_EVERSION, "another protocol version");
    expect_kill(1);
    step_exit(&(struct worker_exit){.slot = 1, .reason = "killed by SIGKILL"});
    expect_nothing();
    cr_assert_eq(core_deadline(core), now_ns + 100 * CLOCK_NS_PER_MS);
}

Test(core_workers, worker_that_stands_by_chunks_of_another_coordinator_is_refused)
{
    struct proto_message hello = {
        .type = PROTO_HELLO,
        .hello = {
            .version = PROTO_VERSION, .role = PROTO_WORKER, .credit = 1, .concurrency = 1, .standing = 1}};
    struct proto_message standing = {
        .type = PROTO_STANDING, .standing = {.batch = 1, .chunk = 1, .first = 1, .count = 1, .attempt = 1}};

    begin_warm(2);
    expect_spawn(1);
    expect_spawn(2);
    step_message(worker_name(1), &hello);
    expect_error(worker_name(1), 0, MUSTER_ESTATE, "gave this worker no chunks");
    expect_kill(1);
    worker_hello(2, 1);
    step_message(worker_name(2), &standing);
    expect_error(worker_name(2), 0, MUSTER_ESTATE, "gave this worker no chunks");
    expect_kill(2);
}

/* --- workers that are not to be trusted */

Test(core_workers, malformed_bytes_doom_their_worker_and_blame_its_job)
{
    struct proto_submit settings = range_of(1, 2, 2);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    settings.crash_limit = 1;
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 2);
    step_malformed(worker_name(1));
    expect_kill(1);
    step_malformed(worker_name(1));
    expect_nothing();
    worker_crashes(1, &chunk, 2);
    expect_failure(2, MUSTER_ECRASHED, "sending what no worker sends");
    expect_spawn(1);
    worker_hello(1, 1);
    expect_chunk(1, 1, 1);
}

Test(core_workers, worker_of_another_version_is_doomed_for_that)
{
    struct proto_message hello = {.type = PROTO_HELLO, .hello = {.version = PROTO_VERSION + 1}};
    struct proto_submit settings = range_of(1, 1, 0);

    begin_lazy(1);
    submit(CLIENT, &settings);
    for (unsigned start = 1; start <= 3; start++) {
        expect_spawn(1);
        step_message(worker_name(1), &hello);
        expect_error(worker_name(1), 0, MUSTER_EVERSION, "another protocol version");
        expect_kill(1);
        step_exit(&(struct worker_exit){.slot = 1, .reason = "killed by SIGKILL"});
        if (start < 3)
            step_deadline((50 * CLOCK_NS_PER_MS) << start);
    }
    expect_given_up("workers do not start (the last one: killed for speaking another protocol version)", 1);
}

Test(core_workers, second_hello_dooms_a_worker)
{
    begin_ready(1, 1);
    step_message(
        worker_name(1),
        &(struct proto_message){
            .type = PROTO_HELLO,
            .hello = {.version = PROTO_VERSION, .role = PROTO_WORKER, .credit = 1, .concurrency = 1}});
    expect_kill(1);
}

Test(core_workers, message_that_only_others_send_dooms_a_worker)
{
    begin_ready(1, 1);
    step_message(worker_name(1), &(struct proto_message){.type = PROTO_STOP});
    expect_kill(1);
    cr_assert_not(core_stopped(core));
}

Test(core_workers, end_asks_idle_workers_kills_others_and_tells_clients)
{
    struct proto_submit settings = range_of(1, 1, 1);
    struct outbox outbox;

    begin_ready(2, 1);
    submit(CLIENT, &settings);
    expect_chunk(1, 1, 1);
    cr_assert_eq(outbox_init(&outbox), 0);
    core_stop(core, &outbox);
    cr_assert_eq(outbox.count, 3);
    cr_assert_eq(outbox.items[0].kind, OUTBOX_KILL);
    cr_assert_eq(outbox.items[0].slot, 1);
    cr_assert_eq(outbox.items[1].kind, OUTBOX_SEND);
    cr_assert_eq(outbox.items[1].message.type, PROTO_STOP);
    cr_assert_str_eq(outbox.items[1].peer, worker_name(2));
    cr_assert_str_eq(outbox.items[2].peer, CLIENT);
    cr_assert_eq(outbox.items[2].message.type, PROTO_ERROR);
    cr_assert_eq(outbox.items[2].message.error.code, MUSTER_ELOST);
    outbox_fini(&outbox);
}
