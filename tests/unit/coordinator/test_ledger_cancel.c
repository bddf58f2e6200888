/* SPDX-License-Identifier: MIT
 *
 * The ledger with a core and a store: batches that are cancelled, wherever they are by then; each of their
 * jobs is counted.
 */
#include "proto/codec.h"
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

static void say_cancel_jobs(uint64_t ticket, uint64_t first, uint64_t count)
{
    world_say(&w, "a",
              &(struct proto_message){
                  .type = PROTO_CANCEL,
                  .cancel = {.id = ticket, .mode = PROTO_CANCEL_NOW, .first = first, .count = count}});
}

static void expect_refusal(uint64_t ticket, int code)
{
    const struct proto_error *error = &world_expect(&w, "a", PROTO_ERROR)->error;

    CHECK(error->ticket == ticket && error->code == code);
}

/* The batch was lost, with sums of which nothing was true. */
static void cancel_of_more_jobs_than_a_message_names_is_refused_and_the_batch_goes_on(void)
{
    struct proto_message range = submit_range(1, 200, true);

    w.hold_workers = true;
    world_open(&w, NULL, 0, 1);
    world_hello(&w, "a", "");
    world_say(&w, "a", &range);
    CHECK(accepted("a") == 1);
    say_cancel_jobs(1, 1, PROTO_CHUNK_JOBS_MAX + 1);
    expect_refusal(1, MUSTER_ELIMIT);
    w.hold_workers = false;
    world_settle(&w);
    check_ended("a", 200, 0, 0);
    check_state("a", 1, "succeeded");
    world_close(&w);
}

/* They ran, and nobody was told. */
static void jobs_of_a_batch_that_does_not_run_are_not_cancelled_and_its_client_is_told(void)
{
    struct proto_message range = submit_range(0, 30, true), list = submit_list(9, true);

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    w.hold_workers = true;
    for (uint64_t ticket = 1; ticket <= 6; ticket++) { /* of which the last waits in the store */
        range.submit.ticket = ticket;
        range.submit.begin_ms = ticket == 1 ? w.now_ms + 1000000 : 0;
        world_say(&w, "a", &range);
        accepted("a");
    }
    w.hold_store = true;
    world_say(&w, "a", &list);
    say_arguments("a", 9, 1, 10);
    for (uint64_t ticket = 1; ticket <= 9; ticket += ticket == 1 ? 5 : 3) {
        say_cancel_jobs(ticket, 3, 2);
        expect_refusal(ticket, MUSTER_ESTATE);
    }
    w.hold_store = w.hold_workers = false;
    say_seal("a", 9, 10);
    world_settle(&w);
    check_state("a", 6, "succeeded");
    say_cancel_jobs(6, 3, 2); /* it is over by now */
    CHECK(!world_has(&w, "a", PROTO_ERROR));
    world_close(&w);
}

/* It has its arguments while more of them come. */
static void jobs_of_a_list_that_runs_before_it_is_sealed_are_cancelled(void)
{
    struct proto_message list = submit_list(1, true);

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    w.hold_workers = true;
    world_say(&w, "a", &list);
    say_arguments("a", 1, 1, 30);
    say_cancel_jobs(1, 21, 10);
    CHECK(!world_has(&w, "a", PROTO_ERROR));
    w.hold_workers = false;
    say_seal("a", 1, 30);
    world_settle(&w);
    check_ended("a", 20, 0, 10);
    world_close(&w);
}

/* Of what the core says of a batch that it has, only ENDED ends it. */
static void batch_of_which_the_core_refuses_a_message_is_lost_with_sums_that_are_true(void)
{
    struct proto_message range = submit_range(1, 30, true), chunk;
    struct proto_message error = {
        .type = PROTO_ERROR,
        .error = {.ticket = 1, .code = MUSTER_EPROTOCOL, .text = proto_text("does not follow")}};

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    w.hold_workers = true;
    world_say(&w, "a", &range);
    CHECK(accepted("a") == 1);
    chunk = *world_expect(&w, "worker-1.1.1", PROTO_CHUNK);
    ledger_told(w.ledger, w.now_ms, &error, &w.outbox);
    world_settle(&w);
    world_work(&w, "worker-1.1.1", &chunk);
    w.hold_workers = false;
    world_settle(&w);
    check_results("a", 10, true);
    check_ended("a", 10, 0, 20);
    check_state("a", 1, "lost");
    CHECK(ledger_count(w.ledger).open == 0);
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
        C(cancel_of_more_jobs_than_a_message_names_is_refused_and_the_batch_goes_on),
        C(jobs_of_a_batch_that_does_not_run_are_not_cancelled_and_its_client_is_told),
        C(jobs_of_a_list_that_runs_before_it_is_sealed_are_cancelled),
        C(batch_of_which_the_core_refuses_a_message_is_lost_with_sums_that_are_true),
    };

    return check_all(checks, sizeof checks / sizeof *checks);
}
