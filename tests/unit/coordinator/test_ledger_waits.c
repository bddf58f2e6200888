/* SPDX-License-Identifier: MIT
 *
 * The ledger with a core and a store: batches that wait for their turn, for other batches, or for their time.
 */
#include "tests/support/check.h"
#include "tests/support/ledger_steps.h"

#include <string.h>

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

/* Anybody may think of as many priorities as there are numbers: they are not remembered when their batches
 * are over. */
static void lanes_that_have_no_batch_are_not_kept_for_good(void)
{
    struct proto_message submit = submit_range(1, 1, false);
    const struct lane *lane;
    unsigned lanes = 0;

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "ann");
    w.hold_workers = true;
    for (uint64_t i = 1; i <= 100; i++) {
        submit.submit.ticket = i;
        submit.submit.priority = (int32_t)(i / 10); /* more of each than are open at once */
        world_say(&w, "a", &submit);
        accepted("a");
    }
    DL_COUNT(w.ledger->lanes, lane, lanes);
    CHECK(lanes == 11);
    w.hold_workers = false;
    world_settle(&w);
    CHECK(w.runs == 100 && ledger_count(w.ledger).waiting == 0 && !w.ledger->lanes);
    submit.submit.ticket = 101;
    world_say(&w, "a", &submit); /* of a lane that was forgotten */
    accepted("a");
    world_settle(&w);
    CHECK(w.runs == 101 && !w.ledger->lanes);
    world_close(&w);
}

/* Nothing of its lane is open, so no batch that ends would have the lane looked at. */
static void batch_that_could_not_be_read_runs_when_it_can(void)
{
    static const enum store_operation next[] = {STORE_NEXT, 0};
    struct proto_message first = submit_range(1, 1, false), waits = submit_range(2, 3, true);
    struct proto_after after = {1, PROTO_AFTER_OK};
    uint64_t begin_ms;

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    w.hold_workers = true;
    world_say(&w, "a", &first);
    waits.submit.after = &after;
    waits.submit.after_count = waits.submit.priority = 1;
    world_say(&w, "a", &waits);
    w.unreadable = next;
    w.hold_workers = false;
    world_settle(&w);
    CHECK(w.runs == 1);
    begin_ms = w.now_ms;
    for (unsigned i = 0; i < 10; i++)
        let_pass();
    CHECK(w.runs == 1 && w.now_ms > begin_ms + 5 * 8000 && w.now_ms <= begin_ms + 10 * 8000);
    w.unreadable = NULL;
    let_pass();
    CHECK(w.runs > 1 && ledger_count(w.ledger).waiting == 0);
    CHECK(ledger_deadline_ms(w.ledger) == UINT64_MAX && !w.ledger->lanes);
    world_close(&w);
}

/* Delayed batches were not looked at any more, until something else had them looked at. */
static void delayed_batches_begin_though_the_store_has_failed_before(void)
{
    static const enum store_operation due[] = {STORE_DUE, 0};
    struct proto_message submit = submit_range(1, 3, false);
    uint64_t begin_ms;

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    for (uint64_t i = 1; i <= 2; i++) {
        submit.submit.ticket = i;
        submit.submit.begin_ms = w.now_ms + 10000 * i;
        world_say(&w, "a", &submit);
    }
    w.unreadable = due;
    let_pass();
    begin_ms = w.now_ms;
    for (uint64_t pause_ms = 1000; pause_ms <= 4000; pause_ms *= 2) {
        CHECK(w.now_ms == begin_ms + pause_ms - 1000 && ledger_deadline_ms(w.ledger) == w.now_ms + pause_ms);
        let_pass();
    }
    w.unreadable = NULL;
    let_pass();
    CHECK(w.runs == 6 && ledger_deadline_ms(w.ledger) == UINT64_MAX);
    world_close(&w);
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
    say_request("a", PROTO_REQUEST_CANCEL, 1, PROTO_CANCEL_NOW, "");
    CHECK(answered("a") == 0);
    w.hold_workers = false;
    world_settle(&w);
    say_request("a", PROTO_REQUEST_FORGET, 1, 0, "");
    CHECK(answered("a") == 0);
    say_attach("a", 6, 2, true, 1000);
    CHECK(world_expect(&w, "a", PROTO_ENDED)->ended.code == MUSTER_ECANCELLED);
    world_close(&w);
}

int main(void)
{
    static const struct check checks[] = {
#define C(name) {#name, name}
        C(batches_that_wait_are_not_in_memory_and_all_run),
        C(batch_waits_for_another_and_falls_with_it),
        C(reader_of_a_batch_whose_condition_failed_is_told_which),
        C(lanes_that_have_no_batch_are_not_kept_for_good),
        C(batch_that_could_not_be_read_runs_when_it_can),
        C(delayed_batches_begin_though_the_store_has_failed_before),
        C(batch_queued_while_its_lane_looks_further_is_not_passed_over),
        C(delayed_batch_begins_at_its_time),
        C(batch_that_waits_for_another_and_for_its_time_begins),
        C(batch_that_could_not_begin_says_so_when_the_other_is_forgotten),
    };

    return check_all(checks, sizeof checks / sizeof *checks);
}
