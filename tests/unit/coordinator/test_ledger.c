/* SPDX-License-Identifier: MIT
 *
 * The ledger with a core and a store: what is promised and when, who reads what, and what a restart
 * finds.
 */
#include "proto/codec.h"
#include "tests/support/check.h"
#include "tests/support/ledger_steps.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void range_runs_and_its_client_has_all_results_in_order(void)
{
    struct proto_message submit = submit_range(7, 1000, true);
    uint64_t cost;

    world_open(&w, NULL, 1, 2);
    world_hello(&w, "a", "ann");
    world_say(&w, "a", &submit);
    CHECK(accepted("a") == 1);
    cost = check_results("a", 1000, true);
    check_ended("a", 1000, 0, 0);
    say_consumed("a", 7, cost);
    CHECK(ledger_count(w.ledger).open == 0 && ledger_count(w.ledger).readers == 0);
    world_close(&w);
}

/* It was sent before the client could know of the end: ahead of that, it is about room in the window alone.
 */
static void consumed_of_all_results_forgets_only_a_batch_whose_end_was_sent(void)
{
    struct proto_message submit = submit_range(7, 10, true);
    uint64_t cost;

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    w.hold_store = true;
    world_say(&w, "a", &submit);
    while (!world_has(&w, "a", PROTO_RESULTS))
        CHECK(world_step_store(&w) || world_step_worker(&w, NULL));
    CHECK(!world_has(&w, "a", PROTO_ENDED));
    cost = check_results("a", 10, true);
    say_consumed("a", 7, cost);
    w.hold_store = false;
    world_settle(&w);
    check_state("a", 1, "succeeded");
    CHECK(world_has(&w, "a", PROTO_ENDED) && ledger_count(w.ledger).readers == 1);
    say_consumed("a", 7, cost);
    CHECK(ledger_count(w.ledger).readers == 0);
    say_attach("a", 8, 1, true, 1 << 20);
    CHECK(world_expect(&w, "a", PROTO_ERROR)->error.code == MUSTER_ENOTFOUND);
    world_close(&w);
}

static void nothing_is_accepted_before_the_store_has_it(void)
{
    struct proto_message submit = submit_range(1, 5, true);

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    w.hold_store = true;
    world_say(&w, "a", &submit);
    CHECK(!world_has(&w, "a", PROTO_ACCEPTED) && w.runs == 0);
    w.hold_store = false;
    world_settle(&w);
    accepted("a");
    check_results("a", 5, true);
    world_close(&w);
}

static void no_result_is_told_before_the_store_has_it(void)
{
    struct proto_message submit = submit_range(1, 5, true);
    const struct proto_message *chunk;

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    w.hold_workers = true;
    world_say(&w, "a", &submit);
    chunk = world_expect(&w, "worker-", PROTO_CHUNK);
    w.hold_store = true;
    world_work(&w, "worker-1.1.1", chunk);
    CHECK(!world_has(&w, "a", PROTO_RESULTS));
    w.hold_store = false;
    world_settle(&w);
    check_results("a", 5, true);
    check_ended("a", 5, 0, 0);
    world_close(&w);
}

static void list_is_accepted_with_its_seal_and_runs_before_it_for_a_client_that_waits(void)
{
    struct proto_message submit = submit_list(1, true);

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    world_say(&w, "a", &submit);
    say_arguments("a", 1, 1, 20);
    check_results("a", 20, true);
    CHECK(!world_has(&w, "a", PROTO_ACCEPTED));
    say_arguments("a", 1, 21, 5);
    say_seal("a", 1, 25);
    accepted("a");
    CHECK(world_expect(&w, "a", PROTO_RESULTS)->results.outcome.first == 21);
    check_ended("a", 25, 0, 0);
    world_close(&w);
}

static void client_that_dies_in_mid_submission_leaves_nothing(void)
{
    static const bool attached[] = {false, true};

    for (int i = 0; i < 2; i++) {
        struct proto_message submit = submit_list(1, attached[i]), one = submit_range(1, 1, true);

        world_open(&w, NULL, 1, 1);
        world_hello(&w, "a", "");
        world_hello(&w, "b", "");
        w.hold_workers = true;
        world_say(&w, "a", &submit);
        say_arguments("a", 1, 1, 20);
        ledger_gone(w.ledger, w.now_ms, "a", &w.outbox);
        w.hold_workers = false;
        world_settle(&w);
        CHECK(ledger_count(w.ledger).open == 0);
        say_attach("b", 9, 1, true, 1000);
        CHECK(world_expect(&w, "b", PROTO_ERROR)->error.code == MUSTER_ENOTFOUND);
        world_say(&w, "b", &one);
        accepted("b");
        check_results("b", 1, true);
        world_close(&w);
    }
}

/* It waited for ever. */
static void reader_of_a_batch_whose_client_dies_in_mid_submission_is_told(void)
{
    static const bool attached[] = {false, true};

    for (int i = 0; i < 2; i++) {
        struct proto_message submit = submit_list(1, attached[i]);

        world_open(&w, NULL, 1, 1);
        world_hello(&w, "a", "");
        world_hello(&w, "b", "");
        world_say(&w, "a", &submit);
        say_attach("b", 9, 1, true, 1000);
        world_expect(&w, "b", PROTO_ATTACHED);
        world_gone(&w, "a");
        world_settle(&w);
        CHECK(world_expect(&w, "b", PROTO_ERROR)->error.code == MUSTER_ENOTFOUND);
        CHECK(ledger_count(w.ledger).readers == 0 && w.ledger->promised == 0);
        world_close(&w);
    }
}

/* The reader that it came with stayed, and held its ticket. */
static void client_whose_arguments_are_rejected_may_use_its_ticket_again(void)
{
    struct proto_message submit = submit_list(1, true), range = submit_range(1, 3, true);

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    world_say(&w, "a", &submit);
    say_arguments("a", 1, 5, 1);
    CHECK(world_expect(&w, "a", PROTO_ERROR)->error.code == MUSTER_EPROTOCOL);
    CHECK(ledger_count(w.ledger).readers == 0);
    world_say(&w, "a", &range);
    CHECK(accepted("a") == 2);
    world_close(&w);
}

static void late_reader_has_all_of_it_in_any_order(void)
{
    struct proto_message submit = submit_range(1, 3000, false);

    world_open(&w, NULL, 1, 2);
    w.fail_every = 7;
    world_hello(&w, "a", "");
    world_say(&w, "a", &submit);
    CHECK(accepted("a") == 1);
    CHECK(!world_has(&w, "a", PROTO_RESULTS));
    for (uint64_t ticket = 2; ticket < 4; ticket++) {
        say_attach("a", ticket, 1, ticket == 2, 1 << 30);
        CHECK(world_expect(&w, "a", PROTO_ATTACHED)->attached.total == 3000);
        check_results("a", 3000, ticket == 2);
        check_ended("a", 3000 - 3000 / 7, 3000 / 7, 0);
    }
    world_close(&w);
}

static void reader_that_comes_back_goes_on_where_it_was(void)
{
    struct proto_message submit = submit_range(1, 50, false);
    struct proto_message attach = {
        .type = PROTO_ATTACH,
        .attach = {
            .ticket = 2, .batch = 1, .first = 4, .follow = true, .results = true, .window_bytes = 1 << 20}};
    uint64_t all[5], count = 0;

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    world_say(&w, "a", &submit);
    accepted("a");
    say_attach("a", 3, 1, false, 1 << 20);
    while (world_has(&w, "a", PROTO_RESULTS)) {
        CHECK(count < 5);
        all[count++] = world_expect(&w, "a", PROTO_RESULTS)->results.outcome.first;
    }
    CHECK(count == 5); /* chunks of 10 */
    check_ended("a", 50, 0, 0);
    world_say(&w, "a", &attach);
    for (count = 3; count < 5; count++)
        CHECK(world_expect(&w, "a", PROTO_RESULTS)->results.outcome.first == all[count]);
    CHECK(!world_has(&w, "a", PROTO_RESULTS));
    check_ended("a", 50, 0, 0);
    world_close(&w);
}

static void reader_that_begins_behind_what_is_being_recorded_has_none_of_it(void)
{
    struct proto_message submit = submit_range(1, 50, false);
    struct proto_message attach = {.type = PROTO_ATTACH,
                                   .attach = {.ticket = 2,
                                              .batch = 1,
                                              .first = 21,
                                              .ordered = true,
                                              .follow = true,
                                              .results = true,
                                              .window_bytes = 1 << 20}};

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    w.hold_workers = true;
    world_say(&w, "a", &submit);
    accepted("a");
    world_say(&w, "a", &attach);
    w.hold_workers = false;
    world_settle(&w);
    for (uint64_t first = 21; first <= 41; first += 10) /* chunks of 10 */
        CHECK(world_expect(&w, "a", PROTO_RESULTS)->results.outcome.first == first);
    CHECK(!world_has(&w, "a", PROTO_RESULTS));
    world_close(&w);
}

static void slow_reader_holds_up_only_itself(void)
{
    struct proto_message submit = submit_range(1, 1000, true);
    uint64_t cost = 0, next = 1;

    submit.submit.window_bytes = 1;
    world_open(&w, NULL, 1, 2);
    world_hello(&w, "slow", "");
    world_hello(&w, "fast", "");
    world_say(&w, "slow", &submit);
    accepted("slow");
    CHECK(w.runs == 1000);
    say_attach("fast", 1, 1, true, 1 << 30);
    world_expect(&w, "fast", PROTO_ATTACHED);
    check_results("fast", 1000, true);
    check_ended("fast", 1000, 0, 0);
    while (next <= 1000) {
        const struct proto_message *results = world_expect(&w, "slow", PROTO_RESULTS);

        CHECK(results->results.outcome.first == next && !world_has(&w, "slow", PROTO_RESULTS));
        next += results->results.outcome.count;
        cost += proto_cost(results);
        world_say(&w, "slow",
                  &(struct proto_message){.type = PROTO_CONSUMED, .consumed = {.ticket = 1, .bytes = cost}});
    }
    check_ended("slow", 1000, 0, 0);
    world_close(&w);
}

static void batches_that_wait_are_not_in_memory_and_all_run(void)
{
    struct proto_message submit = submit_list(0, false);

    world_open(&w, NULL, 1, 2);
    world_hello(&w, "a", "ann");
    world_hello(&w, "b", "bob");
    w.hold_workers = true;
    submit.submit.count = 1;
    submit.payload = numbers(1, 1);
    for (uint64_t i = 1; i <= 500; i++) {
        submit.submit.ticket = i;
        submit.submit.priority = i % 3 ? 0 : 5;
        world_say(&w, i % 2 ? "a" : "b", &submit);
        accepted(i % 2 ? "a" : "b");
    }
    CHECK(ledger_count(w.ledger).open == 4 * 4 && ledger_count(w.ledger).waiting == 500 - 4 * 4);
    w.hold_workers = false;
    world_settle(&w);
    CHECK(ledger_count(w.ledger).open == 0 && ledger_count(w.ledger).waiting == 0 && w.runs == 500);
    blob_unref(submit.payload.blob);
    world_close(&w);
}

static void batch_waits_for_another_and_falls_with_it(void)
{
    struct proto_message first = submit_range(1, 7, false), second = submit_range(2, 3, true),
                         third = submit_range(3, 3, true);
    struct proto_after ok = {1, PROTO_AFTER_OK}, any = {1, PROTO_AFTER_ANY};

    second.submit.after = &ok;
    third.submit.after = &any;
    second.submit.after_count = third.submit.after_count = 1;
    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    w.fail_every = 7;
    w.hold_workers = true;
    world_say(&w, "a", &first);
    world_say(&w, "a", &second);
    world_say(&w, "a", &third);
    check_state("a", 2, "blocked");
    w.hold_workers = false;
    world_settle(&w);
    check_state("a", 1, "failed");
    check_state("a", 2, "cancelled");
    check_state("a", 3, "succeeded");
    check_ended("a", 0, 0, 3);
    check_results("a", 3, true);
    check_ended("a", 3, 0, 0);
    world_close(&w);
}

static void check_unmet(const char *client, uint64_t ticket, const char *text)
{
    const struct proto_ended *ended = &world_expect(&w, client, PROTO_ENDED)->ended;

    CHECK(ended->ticket == ticket && ended->code == MUSTER_ECANCELLED && ended->cancelled == 3);
    CHECK(ended->text.size == strlen(text) && memcmp(ended->text.bytes, text, ended->text.size) == 0);
}

static void reader_of_a_batch_whose_condition_failed_is_told_which(void)
{
    struct proto_message first = submit_range(1, 7, false), waits = submit_range(2, 3, true);
    struct proto_after after[] = {{1, PROTO_AFTER_OK}, {2, PROTO_AFTER_OK}, {1, PROTO_AFTER_ANY}};

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    w.fail_every = 7;
    w.hold_workers = true;
    world_say(&w, "a", &first);
    waits.submit.after = after;
    waits.submit.after_count = 1;
    world_say(&w, "a", &waits); /* 2, for 1 */
    waits.submit.ticket = 3;
    waits.submit.after = after + 1;
    waits.submit.after_count = 2;
    world_say(&w, "a", &waits); /* 3, for 2, which falls with 1; and for 1, that it ends */
    waits.submit.ticket = 4;
    waits.submit.after = after;
    world_say(&w, "a", &waits); /* 4, for both */
    w.hold_workers = false;
    world_settle(&w);
    check_unmet("a", 2, "batch 1, for which it waited, did not succeed");
    check_unmet("a", 3, "batch 2, for which it waited, did not succeed");
    check_unmet("a", 4, "one of the batches 1, 2, for which it waited, did not succeed");
    waits.submit.ticket = 5;
    waits.submit.after_count = 1;
    world_say(&w, "a", &waits); /* 5, for 1, which is over */
    check_unmet("a", 5, "batch 1, for which it waited, did not succeed");
    world_close(&w);
}

/* Runs the chunk of this batch, wherever it is. */
static void run_chunk(uint64_t batch)
{
    struct letter *letter;

    DL_FOREACH(w.letters, letter)
        if (letter->message.type == PROTO_CHUNK && letter->message.chunk.batch == batch)
            break;
    CHECK(letter);
    DL_DELETE(w.letters, letter);
    world_work(&w, letter->peer, &letter->message);
    world_free(letter);
}

/* A lane is at number 6 when number 2, which waited for another lane's batch, comes into it, while the store
 * looks for what is behind 6. */
static void batch_queued_while_its_lane_looks_further_is_not_passed_over(void)
{
    struct proto_message submit = submit_range(1, 1, false), wait = submit_range(2, 1, false);
    struct proto_after any = {1, PROTO_AFTER_ANY};

    world_open(&w, NULL, 1, 8);
    world_hello(&w, "a", "");
    w.hold_workers = true;
    world_say(&w, "a", &submit);
    wait.submit.priority = submit.submit.priority = 5;
    wait.submit.after = &any;
    wait.submit.after_count = 1;
    world_say(&w, "a", &wait);
    for (uint64_t i = 3; i <= 12; i++) {
        submit.submit.ticket = i;
        world_say(&w, "a", &submit);
    }
    run_chunk(3); /* so that the lane has asked once */
    world_settle(&w);
    w.hold_store = true;
    run_chunk(4);
    run_chunk(1);
    w.hold_store = false;
    w.hold_workers = false;
    world_settle(&w);
    check_state("a", 2, "succeeded");
    CHECK(w.runs == 12 && ledger_count(w.ledger).open == 0);
    world_close(&w);
}

static void delayed_batch_begins_at_its_time(void)
{
    struct proto_message submit = submit_range(1, 3, true);

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    submit.submit.begin_ms = w.now_ms + 5000;
    world_say(&w, "a", &submit);
    accepted("a");
    CHECK(w.runs == 0 && ledger_deadline_ms(w.ledger) == w.now_ms + 5000);
    w.now_ms += 5000;
    ledger_tick(w.ledger, w.now_ms, &w.outbox);
    world_settle(&w);
    check_results("a", 3, true);
    check_ended("a", 3, 0, 0);
    CHECK(ledger_deadline_ms(w.ledger) == UINT64_MAX);
    world_close(&w);
}

/* Whose time had not come when the batch ended that it waited for: nothing else may wake the ledger. */
static void batch_that_waits_for_another_and_for_its_time_begins(void)
{
    struct proto_message first = submit_range(1, 3, true), second = submit_range(2, 3, true);
    struct proto_after after = {.batch = 1, .condition = PROTO_AFTER_ANY};

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    w.hold_workers = true;
    world_say(&w, "a", &first);
    accepted("a");
    second.submit.begin_ms = w.now_ms + 5000;
    second.submit.after = &after;
    second.submit.after_count = 1;
    world_say(&w, "a", &second);
    accepted("a");
    w.hold_workers = false;
    world_settle(&w);
    check_results("a", 3, true);
    check_ended("a", 3, 0, 0);
    ledger_tick(w.ledger, w.now_ms, &w.outbox);
    world_settle(&w);
    CHECK(w.runs == 3 && ledger_deadline_ms(w.ledger) == w.now_ms + 5000);
    w.now_ms += 5000;
    ledger_tick(w.ledger, w.now_ms, &w.outbox);
    world_settle(&w);
    check_results("a", 3, true);
    check_ended("a", 3, 0, 0);
    world_close(&w);
}

static void batch_that_could_not_begin_says_so_when_the_other_is_forgotten(void)
{
    struct proto_message first = submit_range(1, 30, false), second = submit_range(2, 3, false);
    struct proto_message request = {
        .type = PROTO_REQUEST,
        .request = {.ticket = 5, .operation = PROTO_REQUEST_CANCEL, .batch = 1, .number = 2}};
    struct proto_after after = {.batch = 1, .condition = PROTO_AFTER_OK};

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    w.hold_workers = true;
    world_say(&w, "a", &first);
    accepted("a");
    second.submit.after = &after;
    second.submit.after_count = 1;
    world_say(&w, "a", &second);
    accepted("a");
    world_say(&w, "a", &request);
    CHECK(world_expect(&w, "a", PROTO_ANSWER)->answer.code == 0);
    w.hold_workers = false;
    world_settle(&w);
    request.request.operation = PROTO_REQUEST_FORGET;
    request.request.number = 0;
    world_say(&w, "a", &request);
    CHECK(world_expect(&w, "a", PROTO_ANSWER)->answer.code == 0);
    say_attach("a", 6, 2, true, 1000);
    CHECK(world_expect(&w, "a", PROTO_ENDED)->ended.code == MUSTER_ECANCELLED);
    world_close(&w);
}

static void cancelled_batch_ends_wherever_it_is(void)
{
    struct proto_message submit = submit_range(0, 30, true);

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    w.hold_workers = true;
    for (uint64_t i = 1; i <= 6; i++) {
        submit.submit.ticket = i;
        world_say(&w, "a", &submit);
    }
    for (uint64_t batch = 1; batch <= 6; batch += 5) { /* one that runs, and one that waits */
        world_say(&w, "a",
                  &(struct proto_message){.type = PROTO_REQUEST,
                                          .request = {.ticket = 50 + batch,
                                                      .operation = PROTO_REQUEST_CANCEL,
                                                      .batch = batch,
                                                      .number = 2}});
        CHECK(world_expect(&w, "a", PROTO_ANSWER)->answer.code == 0);
    }
    w.hold_workers = false;
    world_settle(&w);
    check_state("a", 6, "cancelled");
    check_state("a", 1, "cancelled");
    check_state("a", 2, "succeeded");
    CHECK(ledger_count(w.ledger).open == 0);
    world_close(&w);
}

/* The core hears of the cancellation ahead of the first argument. */
static void list_cancelled_before_the_core_has_all_of_it_counts_every_job(void)
{
    struct proto_message submit = submit_list(1, true);
    struct proto_message cancel = {.type = PROTO_CANCEL, .cancel = {.id = 1, .mode = PROTO_CANCEL_NOW}};

    submit.submit.count = 40;
    submit.payload = numbers(1, 40);
    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    w.hold_store = w.hold_workers = true;
    world_say(&w, "a", &submit);
    world_say(&w, "a", &cancel);
    w.hold_store = w.hold_workers = false;
    world_settle(&w);
    accepted("a");
    check_ended("a", 0, 0, 40);
    check_state("a", 1, "cancelled");
    CHECK(w.runs == 0);
    blob_unref(submit.payload.blob);
    world_close(&w);
}

/* It has run from its first arguments on, and ends while the last ones and its SEAL are being recorded. */
static void list_cancelled_while_its_seal_is_recorded_counts_every_job_and_leaves_its_lane(void)
{
    struct proto_message submit = submit_list(1, true);
    struct proto_message cancel = {.type = PROTO_CANCEL, .cancel = {.id = 1, .mode = PROTO_CANCEL_NOW}};

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    world_say(&w, "a", &submit);
    say_arguments("a", 1, 1, 5);
    w.hold_store = true;
    say_arguments("a", 1, 6, 5);
    say_seal("a", 1, 10);
    world_say(&w, "a", &cancel);
    w.hold_store = false;
    world_settle(&w);
    accepted("a");
    check_ended("a", 5, 0, 5);
    check_state("a", 1, "cancelled");
    CHECK(w.ledger->lanes->open == 0);
    world_close(&w);
}

static void cancel_ahead_of_seal_ends_the_batch(void)
{
    struct proto_message submit = submit_list(1, true), chunk;
    struct proto_message cancel = {.type = PROTO_CANCEL, .cancel = {.id = 1, .mode = PROTO_CANCEL_SOON}};

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    w.hold_workers = true;
    world_say(&w, "a", &submit);
    say_arguments("a", 1, 1, 30);
    chunk = *world_expect(&w, "worker-1.1.1", PROTO_CHUNK);
    world_say(&w, "a", &cancel);
    say_arguments("a", 1, 31, 10); /* was on its way */
    cancel.cancel.mode = PROTO_CANCEL_NOW;
    world_say(&w, "a", &cancel);
    CHECK(accepted("a") == 1);
    world_work(&w, "worker-1.1.1", &chunk);
    w.hold_workers = false;
    world_settle(&w);
    CHECK(world_expect(&w, "a", PROTO_RESULTS)->results.outcome.count == 10);
    check_ended("a", 10, 0, 20);
    check_state("a", 1, "cancelled");
    CHECK(ledger_count(w.ledger).open == 0);
    world_close(&w);
}

static void cancel_of_a_submission_that_waits_is_answered(void)
{
    struct proto_message submit = submit_list(1, true);

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    submit.submit.begin_ms = w.now_ms + 1000000;
    world_say(&w, "a", &submit);
    say_arguments("a", 1, 1, 30);
    world_say(&w, "a",
              &(struct proto_message){.type = PROTO_CANCEL, .cancel = {.id = 1, .mode = PROTO_CANCEL_NOW}});
    CHECK(world_expect(&w, "a", PROTO_ERROR)->error.code == MUSTER_ECANCELLED);
    CHECK(ledger_count(w.ledger).open == 0 && ledger_count(w.ledger).readers == 0);
    world_close(&w);
}

static void ended_batch_is_forgotten_on_request(void)
{
    struct proto_message submit = submit_range(1, 3, false);
    struct proto_message forget = {.type = PROTO_REQUEST,
                                   .request = {.ticket = 5, .operation = PROTO_REQUEST_FORGET, .batch = 1}};

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    w.hold_workers = true;
    world_say(&w, "a", &submit);
    world_say(&w, "a", &forget);
    CHECK(world_expect(&w, "a", PROTO_ANSWER)->answer.code == MUSTER_ESTATE);
    w.hold_workers = false;
    world_settle(&w);
    world_say(&w, "a", &forget);
    CHECK(world_expect(&w, "a", PROTO_ANSWER)->answer.code == 0);
    say_attach("a", 2, 1, true, 1000);
    CHECK(world_expect(&w, "a", PROTO_ERROR)->error.code == MUSTER_ENOTFOUND);
    world_close(&w);
}

static char path[] = "/tmp/muster-test-XXXXXX/store";

static void open_again(uint32_t epoch)
{
    w.hold_workers = true;
    world_open(&w, path, epoch, 2);
    world_hello(&w, "a", "");
}

static void make_folder(void)
{
    *strrchr(path, '/') = '\0';
    memcpy(path + strlen(path) - 6, "XXXXXX", 6);
    CHECK(mkdtemp(path));
    path[strlen(path)] = '/';
}

/* Nothing else is left there. */
static void remove_folder(void)
{
    unlink(path);
    *strrchr(path, '/') = '\0';
    CHECK(rmdir(path) == 0);
    path[strlen(path)] = '/';
}

static void cancel_that_was_answered_outlives_the_coordinator(void)
{
    struct proto_message range = submit_range(1, 500, false);

    make_folder();
    open_again(1);
    world_say(&w, "a", &range);
    CHECK(accepted("a") == 1 && world_has(&w, "worker-", PROTO_CHUNK));
    world_say(&w, "a",
              &(struct proto_message){
                  .type = PROTO_REQUEST,
                  .request = {.ticket = 2, .operation = PROTO_REQUEST_CANCEL, .batch = 1, .number = 1}});
    CHECK(world_expect(&w, "a", PROTO_ANSWER)->answer.code == 0);
    world_close(&w);
    open_again(2);
    CHECK(!world_has(&w, "worker-", PROTO_CHUNK));
    check_state("a", 1, "cancelled");
    world_close(&w);
    remove_folder();
}

/* The next coordinator ran the rest of it. */
static void cancel_of_a_list_that_is_sent_outlives_the_coordinator(void)
{
    struct proto_message list = submit_list(1, true);

    make_folder();
    open_again(1);
    world_hello(&w, "b", "");
    world_say(&w, "a", &list);
    say_arguments("a", 1, 1, 500);
    CHECK(world_has(&w, "worker-", PROTO_CHUNK));
    w.hold_store = true;
    world_say(&w, "b",
              &(struct proto_message){
                  .type = PROTO_REQUEST,
                  .request = {.ticket = 2, .operation = PROTO_REQUEST_CANCEL, .batch = 1, .number = 1}});
    CHECK(!world_has(&w, "b", PROTO_ANSWER));
    w.hold_store = false;
    world_settle(&w);
    CHECK(world_expect(&w, "b", PROTO_ANSWER)->answer.code == 0);
    CHECK(accepted("a") == 1);
    world_close(&w);
    open_again(2);
    CHECK(!world_has(&w, "worker-", PROTO_CHUNK));
    check_state("a", 1, "cancelled");
    world_close(&w);
    remove_folder();
}

/* Before the store has anything of it. */
static void cancel_of_a_list_that_is_being_added_ends_it(void)
{
    struct proto_message list = submit_list(1, true);

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    world_hello(&w, "b", "");
    w.hold_store = true;
    world_say(&w, "a", &list);
    say_arguments("a", 1, 1, 20);
    world_say(&w, "b",
              &(struct proto_message){
                  .type = PROTO_REQUEST,
                  .request = {.ticket = 2, .operation = PROTO_REQUEST_CANCEL, .batch = 1, .number = 1}});
    w.hold_store = false;
    world_settle(&w);
    CHECK(world_expect(&w, "b", PROTO_ANSWER)->answer.code == 0);
    CHECK(accepted("a") == 1 && w.runs == 0);
    check_ended("a", 0, 0, 20);
    check_state("a", 1, "cancelled");
    CHECK(ledger_count(w.ledger).open == 0 && w.ledger->lanes->open == 0);
    world_close(&w);
}

/* Kills the coordinator when so many chunks were done, again and again, until both batches are over. */
static void restart_runs_what_is_not_recorded_and_nothing_else(void)
{
    struct proto_message range = submit_range(1, 500, false), list = submit_list(2, false);
    uint64_t runs = 0;
    uint32_t epoch = 1;

    make_folder();
    open_again(epoch);
    world_say(&w, "a", &range);
    CHECK(accepted("a") == 1);
    world_say(&w, "a", &list);
    say_arguments("a", 2, 1, 200);
    say_arguments("a", 2, 201, 100);
    say_seal("a", 2, 300);
    CHECK(accepted("a") == 2);
    while (world_has(&w, "worker-", PROTO_CHUNK)) {
        for (int i = 0; i < 7 && world_has(&w, "worker-", PROTO_CHUNK); i++) {
            char name[PROTO_PEER_NAME_MAX + 1];
            const struct letter *letter;

            DL_SEARCH_SCALAR(w.letters, letter, message.type, PROTO_CHUNK);
            memcpy(name, letter->peer, sizeof name);
            world_work(&w, name, world_expect(&w, name, PROTO_CHUNK));
            world_settle(&w);
        }
        runs += w.runs;
        world_close(&w);
        CHECK(epoch < 100);
        open_again(++epoch);
    }
    CHECK(runs == 800 && epoch > 5);
    for (uint64_t batch = 1; batch <= 2; batch++) {
        say_attach("a", 10 + batch, batch, true, 1 << 30);
        check_results("a", batch == 1 ? 500 : 300, true);
        check_ended("a", batch == 1 ? 500 : 300, 0, 0);
    }
    world_close(&w);
    remove_folder();
}

/* An argument of 64 KiB in a block of its own. */
static void say_large(const char *client, uint64_t ticket, uint64_t index)
{
    static const char zeroes[64 << 10];
    struct proto_message message = {.type = PROTO_ARGUMENTS,
                                    .arguments = {.ticket = ticket, .first = index, .count = 1}};
    msgpack_sbuffer buffer;
    msgpack_packer packer;

    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    msgpack_pack_bin_with_body(&packer, zeroes, sizeof zeroes);
    message.payload = (struct slice){.blob = blob_copy(buffer.data, buffer.size), .size = buffer.size};
    msgpack_sbuffer_destroy(&buffer);
    world_say(&w, client, &message);
    blob_unref(message.payload.blob);
}

/* Accepted, as batch 1. */
static void submit_large(uint64_t jobs)
{
    struct proto_message list = submit_list(1, false);

    world_say(&w, "a", &list);
    for (uint64_t job = 1; job <= jobs; job++)
        say_large("a", 1, job);
    say_seal("a", 1, jobs);
    CHECK(accepted("a") == 1);
}

static void check_given_up(enum store_operation unreadable)
{
    enum { JOBS = 80 };
    const struct proto_message *ended;

    make_folder();
    open_again(1);
    submit_large(JOBS);
    world_close(&w);
    w.unreadable = &unreadable;
    open_again(2);
    w.hold_workers = false;
    world_settle(&w);
    check_state("a", 1, "lost");
    say_attach("a", 9, 1, true, 1000);
    ended = world_expect(&w, "a", PROTO_ENDED);
    CHECK(ended->ended.code == MUSTER_ESYSTEM && ended->ended.succeeded + ended->ended.cancelled == JOBS);
    world_close(&w);
    w.unreadable = NULL;
    remove_folder();
}

/* It was taken for done, or its arguments asked for without end. */
static void batch_that_cannot_be_read_is_given_up(void)
{
    check_given_up(STORE_GAPS);
    check_given_up(STORE_LOAD);
}

/* It was taken for recorded: the batch succeeded without it. */
static void batch_of_which_a_result_cannot_be_recorded_is_lost(void)
{
    enum store_operation damaged = STORE_RESULT;

    for (uint64_t jobs = 1; jobs <= 3000; jobs += 2999) {
        struct proto_message range = submit_range(1, jobs, false);

        make_folder();
        w.unreadable = &damaged;
        world_open(&w, path, 1, 4);
        world_hello(&w, "a", "");
        world_say(&w, "a", &range);
        CHECK(accepted("a") == 1);
        world_settle(&w);
        check_state("a", 1, "lost");
        world_close(&w);
        w.unreadable = NULL;
        remove_folder();
    }
}

static void change_file(const char *text)
{
    sqlite3 *handle;

    CHECK(sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE, "muster") == SQLITE_OK);
    CHECK(sqlite3_exec(handle, text, NULL, NULL, NULL) == SQLITE_OK && sqlite3_changes(handle) > 0);
    CHECK(sqlite3_close(handle) == SQLITE_OK);
}

/* The coordinator ended, in each of its lives, or asked for what is missing without end. */
static void check_damaged(const char *damage)
{
    make_folder();
    open_again(1);
    submit_large(80);
    world_close(&w);
    change_file(damage);
    open_again(2);
    w.hold_workers = false;
    world_settle(&w);
    check_state("a", 1, "lost");
    world_close(&w);
    remove_folder();
}

static void batch_with_a_damaged_argument_is_given_up(void)
{
    check_damaged("UPDATE argument SET payload = x'c1'");
    check_damaged("DELETE FROM argument WHERE first > 40");
}

static void batch_of_wide_jobs_runs_on_fewer_cores_than_it_was_accepted_for(void)
{
    struct proto_message range = submit_range(1, 3, false);

    range.submit.cpus = 4;
    make_folder();
    w.hold_workers = true;
    world_open(&w, path, 1, 4);
    world_hello(&w, "a", "");
    world_say(&w, "a", &range);
    CHECK(accepted("a") == 1);
    world_close(&w);
    open_again(2);
    w.hold_workers = false;
    world_settle(&w);
    check_state("a", 1, "succeeded");
    world_close(&w);
    remove_folder();
}

/* Their texts were read after the message that they came in was gone. */
static void jobs_cancelled_by_their_numbers_are_recorded_with_their_texts(void)
{
    struct proto_message range = submit_range(1, 4000, true);
    struct proto_message cancel = {
        .type = PROTO_CANCEL, .cancel = {.id = 1, .mode = PROTO_CANCEL_NOW, .first = 1001, .count = 2000}};

    w.hold_workers = true;
    world_open(&w, NULL, 0, 2);
    world_hello(&w, "a", "");
    world_say(&w, "a", &range);
    CHECK(accepted("a") == 1);
    world_say(&w, "a", &cancel);
    w.hold_workers = false;
    world_settle(&w);
    check_ended("a", 2000, 0, 2000);
    world_close(&w);
}

static void ledger_that_cannot_read_its_queue_says_so_and_does_not_begin(void)
{
    struct ledger_options options = {.keeps = PROTO_KEEPS_ON_DISK, .epoch = 1, .workers_max = 2, .open = 4};
    struct ledger *ledger;
    struct outbox outbox;

    CHECK(ledger_create(&options, &ledger) == 0 && outbox_init(&outbox) == 0);
    ledger_done(ledger, 1,
                &(struct store_done){.operation = STORE_COUNTS, .code = MUSTER_ESYSTEM, .text = "damaged"},
                &outbox);
    CHECK(!ledger_ready(ledger) && strcmp(ledger_failure(ledger), "damaged") == 0);
    outbox_fini(&outbox);
    ledger_destroy(ledger);
}

/* Its client was told that it had ended, and that all was well. */
static void check_refused(int code)
{
    CHECK(world_expect(&w, "a", PROTO_ERROR)->error.code == code);
    CHECK(!world_has(&w, "a", PROTO_ENDED));
    CHECK(ledger_count(w.ledger).open == 0 && ledger_count(w.ledger).readers == 0);
    CHECK(w.ledger->lanes->open == 0);
    say_attach("a", 9, 1, true, 1000);
    CHECK(world_expect(&w, "a", PROTO_ERROR)->error.code == MUSTER_ENOTFOUND);
    world_close(&w);
}

static void list_that_cannot_be_read_while_it_is_sent_is_refused(void)
{
    enum store_operation unreadable = STORE_LOAD;
    struct proto_message submit = submit_list(1, true);

    w.unreadable = &unreadable;
    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    world_say(&w, "a", &submit);
    say_arguments("a", 1, 1, 20);
    w.unreadable = NULL;
    check_refused(MUSTER_ESYSTEM);
}

static void list_that_no_worker_starts_for_while_it_is_sent_is_refused(void)
{
    struct proto_message submit = submit_list(1, true);

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    w.hold_workers = true;
    world_say(&w, "a", &submit);
    say_arguments("a", 1, 1, 20);
    w.unstartable = true;
    world_kill_worker(&w, 1);
    for (int i = 0; i < 10 && !world_has(&w, "a", PROTO_ERROR); i++) {
        w.now_ns += 60 * CLOCK_NS_PER_S;
        core_tick(w.core, w.now_ns, &w.outbox);
        world_settle(&w);
    }
    check_refused(MUSTER_ELOST);
}

/* What is recorded already is given to nobody, so nobody asked for more arguments behind it. */
static void restart_behind_more_recorded_jobs_than_the_core_takes_at_once_goes_on(void)
{
    enum { JOBS = 80, RECORDED = 75 };

    _Static_assert((uint64_t)RECORDED << 16 > PROTO_GRANT_BYTES, "they are more than is granted at once");
    make_folder();
    open_again(1);
    submit_large(JOBS);
    while (w.runs < RECORDED) {
        const struct letter *letter;
        char name[PROTO_PEER_NAME_MAX + 1];

        DL_SEARCH_SCALAR(w.letters, letter, message.type, PROTO_CHUNK);
        CHECK(letter);
        memcpy(name, letter->peer, sizeof name);
        world_work(&w, name, world_expect(&w, name, PROTO_CHUNK));
        world_settle(&w);
    }
    world_close(&w);
    open_again(2);
    w.hold_workers = false;
    world_settle(&w);
    CHECK(w.runs == JOBS - RECORDED);
    check_state("a", 1, "succeeded");
    world_close(&w);
    remove_folder();
}

int main(void)
{
    static const struct check checks[] = {
#define C(name) {#name, name}
        C(range_runs_and_its_client_has_all_results_in_order),
        C(nothing_is_accepted_before_the_store_has_it),
        C(no_result_is_told_before_the_store_has_it),
        C(list_is_accepted_with_its_seal_and_runs_before_it_for_a_client_that_waits),
        C(client_that_dies_in_mid_submission_leaves_nothing),
        C(reader_of_a_batch_whose_client_dies_in_mid_submission_is_told),
        C(client_whose_arguments_are_rejected_may_use_its_ticket_again),
        C(late_reader_has_all_of_it_in_any_order),
        C(reader_that_comes_back_goes_on_where_it_was),
        C(reader_that_begins_behind_what_is_being_recorded_has_none_of_it),
        C(slow_reader_holds_up_only_itself),
        C(batches_that_wait_are_not_in_memory_and_all_run),
        C(batch_waits_for_another_and_falls_with_it),
        C(reader_of_a_batch_whose_condition_failed_is_told_which),
        C(batch_queued_while_its_lane_looks_further_is_not_passed_over),
        C(delayed_batch_begins_at_its_time),
        C(batch_that_waits_for_another_and_for_its_time_begins),
        C(batch_that_could_not_begin_says_so_when_the_other_is_forgotten),
        C(cancelled_batch_ends_wherever_it_is),
        C(list_cancelled_before_the_core_has_all_of_it_counts_every_job),
        C(list_cancelled_while_its_seal_is_recorded_counts_every_job_and_leaves_its_lane),
        C(cancel_ahead_of_seal_ends_the_batch),
        C(cancel_of_a_submission_that_waits_is_answered),
        C(ended_batch_is_forgotten_on_request),
        C(consumed_of_all_results_forgets_only_a_batch_whose_end_was_sent),
        C(cancel_that_was_answered_outlives_the_coordinator),
        C(cancel_of_a_list_that_is_sent_outlives_the_coordinator),
        C(cancel_of_a_list_that_is_being_added_ends_it),
        C(restart_runs_what_is_not_recorded_and_nothing_else),
        C(batch_that_cannot_be_read_is_given_up),
        C(batch_of_which_a_result_cannot_be_recorded_is_lost),
        C(batch_with_a_damaged_argument_is_given_up),
        C(batch_of_wide_jobs_runs_on_fewer_cores_than_it_was_accepted_for),
        C(jobs_cancelled_by_their_numbers_are_recorded_with_their_texts),
        C(ledger_that_cannot_read_its_queue_says_so_and_does_not_begin),
        C(list_that_cannot_be_read_while_it_is_sent_is_refused),
        C(list_that_no_worker_starts_for_while_it_is_sent_is_refused),
        C(restart_behind_more_recorded_jobs_than_the_core_takes_at_once_goes_on),
    };

    return check_all(checks, sizeof checks / sizeof *checks);
}
