/* SPDX-License-Identifier: MIT
 *
 * The ledger with a core and a store: what passes through to the core unrecorded, and what is forgotten
 * by itself.
 */
#include "proto/codec.h"
#include "tests/support/check.h"
#include "tests/support/ledger_steps.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What streams of single jobs send. */
static struct proto_message submit_unkept(uint64_t ticket, int64_t last)
{
    struct proto_message message = submit_range(ticket, last, true);

    message.submit.keep = message.submit.ordered = false;
    return message;
}

static void open_world(void)
{
    world_open(&w, NULL, 0, 2);
    world_hello(&w, "a", "ann");
    world_hello(&w, "b", "bob");
}

static void expect_refusal(const char *client, uint64_t ticket, int code)
{
    const struct proto_message *message = world_expect(&w, client, PROTO_ERROR);

    CHECK(message->error.ticket == ticket && message->error.code == code);
}

static void expect_unknown(uint64_t batch)
{
    say_attach("b", 99, batch, true, 1 << 20);
    expect_refusal("b", 99, MUSTER_ENOTFOUND);
}

static void batch_that_is_not_kept_runs_and_leaves_nothing(void)
{
    struct proto_message submit = submit_unkept(1, 1000);
    uint64_t number;

    open_world();
    world_say(&w, "a", &submit);
    number = accepted("a");
    check_results("a", 1000, false);
    check_ended("a", 1000, 0, 0);
    expect_unknown(number);
    world_close(&w);
}

static void list_that_is_not_kept_is_granted_fed_and_consumed_past_the_ledger(void)
{
    struct proto_message submit = submit_list(1, true);

    open_world();
    submit.submit.keep = submit.submit.ordered = false;
    submit.submit.window_bytes = 1;
    world_say(&w, "a", &submit);
    accepted("a");
    CHECK(world_expect(&w, "a", PROTO_GRANT)->grant.bytes == PROTO_GRANT_BYTES);
    say_arguments("a", 1, 1, 20);
    say_seal("a", 1, 20);
    for (uint64_t cost = 0, next = 1; next <= 20;) {
        const struct proto_message *results = world_expect(&w, "a", PROTO_RESULTS);

        next += results->results.outcome.count;
        cost += proto_cost(results);
        say_consumed("a", 1, cost);
    }
    check_ended("a", 20, 0, 0);
    world_close(&w);
}

static void batches_of_both_kinds_have_different_numbers(void)
{
    struct proto_message kept = submit_range(1, 20, true), unkept = submit_unkept(2, 20);
    uint64_t numbers[4];

    open_world();
    for (int i = 0; i < 4; i++) {
        world_say(&w, "a", i % 2 ? &unkept : &kept);
        numbers[i] = accepted("a");
        check_results("a", 20, false);
        check_ended("a", 20, 0, 0);
        for (int k = 0; k < i; k++)
            CHECK(numbers[i] != numbers[k]);
    }
    CHECK(numbers[2] == numbers[0] + 1); /* people count those that are kept */
    world_close(&w);
}

static void batch_that_is_not_kept_ends_with_its_client(void)
{
    struct proto_message unkept = submit_unkept(1, 20), kept = submit_range(2, 20, true);

    open_world();
    w.hold_workers = true;
    world_say(&w, "a", &unkept);
    world_say(&w, "a", &kept);
    accepted("a");
    accepted("a");
    ledger_gone(w.ledger, w.now_ms, "a", &w.outbox);
    w.hold_workers = false;
    world_settle(&w);
    CHECK(core_count(w.core).batches == 0 && !core_has_client(w.core, "a"));
    CHECK(!world_has(&w, "a", PROTO_RESULTS));
    check_state("b", 1, "succeeded");
    world_close(&w);
}

static void ticket_of_a_batch_that_is_not_kept_is_not_given_to_another(void)
{
    struct proto_message unkept = submit_unkept(1, 20), kept = submit_range(1, 20, true);

    open_world();
    w.hold_workers = true;
    world_say(&w, "a", &unkept);
    accepted("a");
    world_say(&w, "a", &kept);
    expect_refusal("a", 1, MUSTER_ESTATE);
    say_attach("a", 1, 1, true, 1000);
    expect_refusal("a", 1, MUSTER_ESTATE);
    w.hold_workers = false;
    world_settle(&w);
    check_ended("a", 20, 0, 0);
    world_close(&w);
}

static void detach_of_what_cannot_go_on_is_refused(void)
{
    struct proto_message detach = {.type = PROTO_DETACH, .detach = {.ticket = 1}};
    struct proto_message unkept = submit_unkept(1, 20), list = submit_list(2, true);

    open_world();
    world_say(&w, "a", &detach); /* means nothing */
    CHECK(!world_has(&w, "a", PROTO_ERROR));
    w.hold_workers = true;
    world_say(&w, "a", &unkept);
    world_say(&w, "a", &detach);
    expect_refusal("a", 1, MUSTER_ESTATE);
    world_say(&w, "a", &list);
    detach.detach.ticket = 2;
    world_say(&w, "a", &detach);
    expect_refusal("a", 2, MUSTER_ESTATE);
    say_seal("a", 2, 0);
    world_close(&w);
}

static void client_that_calls_itself_the_ledger_is_not_heard(void)
{
    struct proto_message submit = submit_range(1, 5, true), stop = {.type = PROTO_STOP};

    open_world();
    world_say(&w, LEDGER_PEER, &stop);
    CHECK(core_has_client(w.core, LEDGER_PEER));
    world_say(&w, "a", &submit);
    accepted("a");
    check_results("a", 5, true);
    world_close(&w);
}

static void one_client_too_many_is_refused_and_forgotten(void)
{
    struct proto_message hello = {.type = PROTO_HELLO,
                                  .hello = {.version = PROTO_VERSION, .role = PROTO_CLIENT, .pid = 1}};
    struct proto_message old = hello;

    w.clients = 2;
    open_world();
    world_say(&w, "c", &hello);
    expect_refusal("c", 0, MUSTER_ELIMIT);
    CHECK(!ledger_has_client(w.ledger, "c"));
    world_say(&w, "a", &(struct proto_message){.type = PROTO_STOP});
    old.hello.version++;
    world_say(&w, "d", &old);
    expect_refusal("d", 0, MUSTER_EVERSION);
    world_say(&w, "c", &hello);
    world_expect(&w, "c", PROTO_WELCOME);
    CHECK(ledger_has_client(w.ledger, "c") && !ledger_has_client(w.ledger, "d"));
    w.clients = 0;
    world_close(&w);
}

static void batch_without_hold_is_forgotten_when_all_of_it_is_consumed(void)
{
    struct proto_message submit = submit_range(1, 100, true);
    uint64_t cost;

    open_world();
    world_say(&w, "a", &submit);
    accepted("a");
    cost = check_results("a", 100, true);
    check_ended("a", 100, 0, 0);
    say_consumed("a", 1, cost - 1);
    check_state("b", 1, "succeeded");
    say_consumed("a", 1, cost);
    expect_unknown(1);
    world_say(&w, "a", &submit); /* the ticket is free, the number is not */
    CHECK(accepted("a") == 2);
    world_close(&w);
}

static void batch_stays_when_it_is_held_or_its_client_leaves_before_the_end(void)
{
    struct proto_message held = submit_range(1, 20, true), left = submit_range(2, 20, true),
                         again = submit_range(3, 20, true);
    uint64_t cost;

    open_world();
    held.submit.hold = true;
    world_say(&w, "a", &held);
    accepted("a");
    cost = check_results("a", 20, true);
    check_ended("a", 20, 0, 0);
    say_consumed("a", 1, cost);
    world_say(&w, "a", &again);
    accepted("a");
    check_results("a", 20, true);
    check_ended("a", 20, 0, 0);
    world_say(&w, "a", &again); /* of the first under this ticket nothing more will be said */
    accepted("a");
    check_results("a", 20, true);
    check_ended("a", 20, 0, 0);
    world_say(&w, "a", &left);
    accepted("a");
    check_results("a", 20, true);
    world_say(&w, "a", &(struct proto_message){.type = PROTO_STOP});
    for (uint64_t batch = 1; batch <= 4; batch++)
        check_state("b", batch, "succeeded");
    CHECK(ledger_count(w.ledger).readers == 0);
    world_close(&w);
}

static void batch_that_waits_is_cancelled_by_its_ticket(void)
{
    struct proto_message submit = submit_range(0, 30, true);

    open_world();
    w.hold_workers = true;
    for (uint64_t i = 1; i <= 6; i++) {
        submit.submit.ticket = i;
        world_say(&w, "a", &submit);
    }
    say_cancel("a", 6, PROTO_CANCEL_NOW);
    check_state("b", 6, "cancelled");
    check_ended("a", 0, 0, 30);
    world_close(&w);
}

static void batch_whose_jobs_could_never_run_is_refused_and_not_recorded(void)
{
    struct proto_message submit = submit_range(1, 5, true);

    open_world();
    submit.submit.cpus = 3;
    world_say(&w, "a", &submit);
    expect_refusal("a", 1, MUSTER_ELIMIT);
    expect_unknown(1);
    CHECK(!world_has(&w, "a", PROTO_ACCEPTED));
    world_close(&w);
}

/* Results that nobody consumes wait in the store, and jobs wait for room there. */
static void full_store_holds_jobs_up_until_something_is_forgotten(void)
{
    enum { LIMIT_BYTES = 400 << 10 };
    struct proto_message first = submit_range(1, 60000, true), second = submit_range(2, 4000000, true);
    uint64_t cost, runs;

    first.submit.chunk_jobs = second.submit.chunk_jobs = 60000;
    first.submit.window_bytes = 1 << 30;
    open_world();
    store_limit(w.store, LIMIT_BYTES);
    world_say(&w, "a", &first);
    accepted("a");
    cost = check_results("a", 60000, true);
    check_ended("a", 60000, 0, 0);
    world_say(&w, "a", &second);
    accepted("a");
    runs = w.runs;
    CHECK(runs < 4060000); /* its window of 16 MiB was used up */
    world_say(&w, "b", &first);
    expect_refusal("b", 1, MUSTER_ELIMIT);
    store_limit(w.store, 1 << 30); /* as if others had been forgotten, too */
    say_consumed("a", 1, cost);
    expect_unknown(1);
    CHECK(w.runs == 4060000);
    world_close(&w);
}

/* Whether a request to the store to delete something more finds no more than one slice. */
static bool is_swept(void)
{
    struct pollfd item = {.fd = store_fd(w.store), .events = POLLIN};
    struct store_done *done;
    bool more;

    CHECK(store_submit(w.store, &(struct store_request){.operation = STORE_SWEEP}) == 0);
    while (!(done = store_take(w.store)))
        CHECK(poll(&item, 1, 60000) == 1);
    more = done->more;
    store_done_free(done);
    return !more;
}

static void forget_large_batch(void)
{
    say_large_list("a", 1, 30, 1 << 20);
    say_cancel("a", 1, PROTO_CANCEL_NOW);
    expect_refusal("a", 1, MUSTER_ECANCELLED);
    CHECK(!w.ledger->sweeping);
}

static void tick(void)
{
    ledger_tick(w.ledger, w.now_ms, &w.outbox);
    world_settle(&w);
}

static void store_is_swept_when_a_large_batch_is_forgotten(void)
{
    open_world();
    forget_large_batch();
    CHECK(ledger_count(w.ledger).open == 0);
    CHECK(is_swept());
    world_close(&w);
}

/* What it had stayed for good. */
static void sweep_that_failed_is_tried_again(void)
{
    enum store_operation failing = STORE_SWEEP;

    w.unreadable = &failing;
    open_world();
    forget_large_batch();
    CHECK(ledger_deadline_ms(w.ledger) == w.now_ms + 1000);
    w.unreadable = NULL;
    tick();
    CHECK(ledger_deadline_ms(w.ledger) == w.now_ms + 1000);
    CHECK(!is_swept());
    w.now_ms += 1000;
    tick();
    CHECK(ledger_deadline_ms(w.ledger) == UINT64_MAX);
    CHECK(is_swept());
    world_close(&w);
}

/* It was taken for a failure of what the start needs. */
static void sweep_that_fails_at_the_start_does_not_end_the_coordinator(void)
{
    enum store_operation failing = STORE_SWEEP;
    char folder[] = "/tmp/muster-test-XXXXXX", path[sizeof folder + 8];

    CHECK(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/store", folder);
    world_open(&w, path, 1, 2);
    world_hello(&w, "a", "ann");
    say_large_list("a", 1, 30, 1 << 20);
    world_close(&w);
    w.unreadable = &failing;
    world_open(&w, path, 2, 2); /* forgets the batch, which was not sealed */
    CHECK(ledger_deadline_ms(w.ledger) == w.now_ms);
    tick();
    CHECK(!ledger_failure(w.ledger) && ledger_ready(w.ledger));
    CHECK(ledger_deadline_ms(w.ledger) == w.now_ms + 1000);
    w.unreadable = NULL;
    w.now_ms += 1000;
    tick();
    CHECK(is_swept());
    world_close(&w);
    CHECK(unlink(path) == 0 && rmdir(folder) == 0);
}

static void what_clients_have_on_their_way_is_bounded_and_given_back(void)
{
    struct proto_message submit = submit_range(1, 5, true), list = submit_list(2, false),
                         unkept = submit_unkept(3, 20);
    uint64_t cost;

    w.promise_max = PROTO_GRANT_BYTES + PROTO_MESSAGE_COST_BYTES;
    open_world();
    submit.submit.window_bytes = PROTO_GRANT_BYTES;
    world_say(&w, "a", &submit);
    accepted("a");
    world_say(&w, "b", &list);
    expect_refusal("b", 2, MUSTER_ELIMIT);
    say_attach("b", 5, 1, true, 1 << 20);
    expect_refusal("b", 5, MUSTER_ELIMIT);
    submit.submit.ticket = 4;
    submit.submit.window_bytes = UINT64_MAX;
    world_say(&w, "b", &submit);
    expect_refusal("b", 4, MUSTER_ELIMIT);
    cost = check_results("a", 5, true);
    check_ended("a", 5, 0, 0);
    say_consumed("a", 1, cost);
    CHECK(w.ledger->promised == 0);
    unkept.submit.window_bytes = PROTO_GRANT_BYTES;
    for (int i = 0; i < 3; i++) { /* those that have ended do not count */
        world_say(&w, "b", &unkept);
        accepted("b");
        check_results("b", 20, false);
        check_ended("b", 20, 0, 0);
    }
    world_say(&w, "b", &list);
    CHECK(w.ledger->promised == PROTO_GRANT_BYTES && !world_has(&w, "b", PROTO_ERROR));
    say_arguments("b", 2, 1, 7);
    say_seal("b", 2, 7);
    accepted("b");
    CHECK(w.ledger->promised == 0);
    w.promise_max = 0;
    world_close(&w);
}

/* Many short submissions of commands kept an environment each, which nothing bounded. */
static void what_jobs_of_an_unkept_batch_have_in_common_counts_while_it_is_there(void)
{
    enum { BYTES = 0x1000 };
    static char common[3 + BYTES] = {(char)0xc5, BYTES >> 8, 0}; /* a bin */
    struct proto_message plain = submit_list(2, true), submit = submit_list(1, true);

    w.promise_max = 2 * PROTO_GRANT_BYTES + BYTES + BYTES / 2;
    open_world();
    plain.submit.keep = submit.submit.keep = plain.submit.ordered = submit.submit.ordered = false;
    plain.submit.window_bytes = submit.submit.window_bytes = 1;
    submit.submit.common = (struct proto_text){.bytes = common, .size = sizeof common};
    world_say(&w, "a", &submit);
    accepted("a");
    world_say(&w, "b", &submit);
    expect_refusal("b", 1, MUSTER_ELIMIT);
    world_say(&w, "b", &plain); /* there is room for what it has itself */
    accepted("b");
    say_seal("b", 2, 0);
    check_ended("b", 0, 0, 0);
    say_seal("a", 1, 0);
    check_ended("a", 0, 0, 0);
    world_say(&w, "b", &submit);
    accepted("b");
    w.promise_max = 0;
    world_close(&w);
}

/* Each job's argument in one block, which came ahead of its result; with CONSUMED of all that came. */
static void follow_with_arguments(uint64_t ticket, uint64_t jobs, bool ordered)
{
    enum { JOBS = 9000 };
    static char known[JOBS + 1];
    uint64_t cost = 0, told = 0;

    memset(known, 0, sizeof known);
    CHECK(world_expect(&w, "b", PROTO_ATTACHED)->attached.kind == PROTO_LIST);
    for (uint64_t results = 0, next = 1; results < jobs;) {
        bool argues = world_has(&w, "b", PROTO_ARGUMENTS);
        const struct proto_message *message;

        if (!argues && !world_has(&w, "b", PROTO_RESULTS)) {
            CHECK(cost > told); /* else nothing would ever come */
            told = cost;
            say_consumed("b", ticket, cost);
            continue;
        }
        message = world_expect(&w, "b", argues ? PROTO_ARGUMENTS : PROTO_RESULTS);
        cost += proto_cost(message);
        for (uint32_t i = 0; argues && i < message->arguments.count; i++)
            CHECK(!known[message->arguments.first + i]++);
        if (argues)
            continue;
        CHECK(!ordered || message->results.outcome.first == next);
        next = message->results.outcome.first + message->results.outcome.count;
        for (uint32_t i = 0; i < message->results.outcome.count; i++)
            CHECK(known[message->results.outcome.first + i]++ == 1);
        results += message->results.outcome.count;
    }
    if (!world_has(&w, "b", PROTO_ENDED))
        say_consumed("b", ticket, cost);
    check_ended("b", jobs, 0, 0);
}

static void reader_has_arguments_once_and_ahead_of_results(void)
{
    struct proto_message list = submit_list(1, false);
    struct proto_message attach = {
        .type = PROTO_ATTACH,
        .attach = {.batch = 1, .first = 1, .follow = true, .arguments = true, .results = true}};

    open_world();
    list.submit.chunk_jobs = 700; /* which is not where blocks end */
    world_say(&w, "a", &list);
    say_arguments("a", 1, 1, 10);
    for (uint64_t first = 11; first < 9000; first += 1000)
        say_arguments("a", 1, first, first < 8011 ? 1000 : 990);
    say_seal("a", 1, 9000);
    accepted("a");
    for (unsigned i = 0; i < 4; i++) {
        attach.attach.ticket = 10 + i;
        attach.attach.ordered = i % 2;
        attach.attach.window_bytes = i < 2 ? 1 : 1 << 30; /* one message at a time, or all at once */
        world_say(&w, "b", &attach);
        follow_with_arguments(10 + i, 9000, i % 2);
    }
    world_close(&w);
}

static void reader_that_waits_for_results_has_arguments_with_them(void)
{
    struct proto_message list = submit_list(1, false);
    struct proto_message attach = {.type = PROTO_ATTACH,
                                   .attach = {.ticket = 5,
                                              .batch = 1,
                                              .first = 1,
                                              .follow = true,
                                              .arguments = true,
                                              .results = true,
                                              .window_bytes = 1 << 20}};

    open_world();
    w.hold_workers = true;
    world_say(&w, "a", &list);
    say_arguments("a", 1, 1, 25);
    say_seal("a", 1, 25);
    world_say(&w, "b", &attach);
    CHECK(!world_has(&w, "b", PROTO_ARGUMENTS));
    w.hold_workers = false;
    world_settle(&w);
    follow_with_arguments(5, 25, false);
    world_close(&w);
}

static void reader_of_a_range_has_no_arguments(void)
{
    struct proto_message submit = submit_range(1, 20, false);
    struct proto_message attach = {.type = PROTO_ATTACH,
                                   .attach = {.ticket = 5,
                                              .batch = 1,
                                              .first = 1,
                                              .ordered = true,
                                              .arguments = true,
                                              .results = true,
                                              .window_bytes = 1 << 20}};

    open_world();
    world_say(&w, "a", &submit);
    world_say(&w, "b", &attach);
    check_results("b", 20, true);
    check_ended("b", 20, 0, 0);
    CHECK(!world_has(&w, "b", PROTO_ARGUMENTS));
    world_close(&w);
}

int main(void)
{
    static const struct check checks[] = {
#define C(name) {#name, name}
        C(batch_that_is_not_kept_runs_and_leaves_nothing),
        C(list_that_is_not_kept_is_granted_fed_and_consumed_past_the_ledger),
        C(batches_of_both_kinds_have_different_numbers),
        C(batch_that_is_not_kept_ends_with_its_client),
        C(ticket_of_a_batch_that_is_not_kept_is_not_given_to_another),
        C(detach_of_what_cannot_go_on_is_refused),
        C(client_that_calls_itself_the_ledger_is_not_heard),
        C(one_client_too_many_is_refused_and_forgotten),
        C(batch_without_hold_is_forgotten_when_all_of_it_is_consumed),
        C(batch_stays_when_it_is_held_or_its_client_leaves_before_the_end),
        C(batch_that_waits_is_cancelled_by_its_ticket),
        C(batch_whose_jobs_could_never_run_is_refused_and_not_recorded),
        C(full_store_holds_jobs_up_until_something_is_forgotten),
        C(store_is_swept_when_a_large_batch_is_forgotten),
        C(sweep_that_failed_is_tried_again),
        C(sweep_that_fails_at_the_start_does_not_end_the_coordinator),
        C(what_clients_have_on_their_way_is_bounded_and_given_back),
        C(what_jobs_of_an_unkept_batch_have_in_common_counts_while_it_is_there),
        C(reader_has_arguments_once_and_ahead_of_results),
        C(reader_that_waits_for_results_has_arguments_with_them),
        C(reader_of_a_range_has_no_arguments),
    };

    return check_all(checks, sizeof checks / sizeof *checks);
}
