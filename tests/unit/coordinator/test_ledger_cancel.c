/* SPDX-License-Identifier: MIT
 *
 * The ledger with a core and a store: batches that are cancelled, wherever they are by then; each of their
 * jobs is counted.
 */
#include "tests/support/check.h"
#include "tests/support/ledger_steps.h"

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
        say_request("a", PROTO_REQUEST_CANCEL, batch, PROTO_CANCEL_NOW, "");
        CHECK(answered("a") == 0);
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

    submit.submit.count = 40;
    submit.payload = numbers(1, 40);
    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    w.hold_store = w.hold_workers = true;
    world_say(&w, "a", &submit);
    say_cancel("a", 1, PROTO_CANCEL_NOW);
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

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    world_say(&w, "a", &submit);
    say_arguments("a", 1, 1, 5);
    w.hold_store = true;
    say_arguments("a", 1, 6, 5);
    say_seal("a", 1, 10);
    say_cancel("a", 1, PROTO_CANCEL_NOW);
    w.hold_store = false;
    world_settle(&w);
    accepted("a");
    check_ended("a", 5, 0, 5);
    check_state("a", 1, "cancelled");
    CHECK(!w.ledger->lanes);
    world_close(&w);
}

static void cancel_ahead_of_seal_ends_the_batch(void)
{
    struct proto_message submit = submit_list(1, true), chunk;

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    w.hold_workers = true;
    world_say(&w, "a", &submit);
    say_arguments("a", 1, 1, 30);
    chunk = *world_expect(&w, "worker-1.1.1", PROTO_CHUNK);
    say_cancel("a", 1, PROTO_CANCEL_SOON);
    say_arguments("a", 1, 31, 10); /* was on its way */
    say_cancel("a", 1, PROTO_CANCEL_NOW);
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
    say_cancel("a", 1, PROTO_CANCEL_NOW);
    CHECK(world_expect(&w, "a", PROTO_ERROR)->error.code == MUSTER_ECANCELLED);
    CHECK(ledger_count(w.ledger).open == 0 && ledger_count(w.ledger).readers == 0);
    world_close(&w);
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
    say_request("b", PROTO_REQUEST_CANCEL, 1, PROTO_CANCEL_SOON, "");
    w.hold_store = false;
    world_settle(&w);
    CHECK(answered("b") == 0);
    CHECK(accepted("a") == 1 && w.runs == 0);
    check_ended("a", 0, 0, 20);
    check_state("a", 1, "cancelled");
    CHECK(ledger_count(w.ledger).open == 0 && !w.ledger->lanes);
    world_close(&w);
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

int main(void)
{
    static const struct check checks[] = {
#define C(name) {#name, name}
        C(cancelled_batch_ends_wherever_it_is),
        C(list_cancelled_before_the_core_has_all_of_it_counts_every_job),
        C(list_cancelled_while_its_seal_is_recorded_counts_every_job_and_leaves_its_lane),
        C(cancel_ahead_of_seal_ends_the_batch),
        C(cancel_of_a_submission_that_waits_is_answered),
        C(cancel_of_a_list_that_is_being_added_ends_it),
        C(jobs_cancelled_by_their_numbers_are_recorded_with_their_texts),
    };

    return check_all(checks, sizeof checks / sizeof *checks);
}
