/* SPDX-License-Identifier: MIT
 *
 * The ledger with a core and a store: what is promised and when, who reads what, and what a restart
 * finds.
 */
#include "proto/codec.h"
#include "tests/support/check.h"
#include "tests/support/ledger_harness.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct world w;

static struct proto_message submit_range(uint64_t ticket, int64_t last, bool attach)
{
    return (struct proto_message){
        .type = PROTO_SUBMIT,
        .submit = {.ticket = ticket,
                   .function = proto_text("noop"),
                   .kind = PROTO_RANGE,
                   .first = 1,
                   .last = last,
                   .chunk_jobs = 10,
                   .crash_limit = 3,
                   .window_bytes = 1 << 20,
                   .keep = true,
                   .attach = attach,
                   .ordered = true,
                   .cpus = 1},
    };
}

static struct proto_message submit_list(uint64_t ticket, bool attach)
{
    struct proto_message message = submit_range(ticket, 1, attach);

    message.submit.kind = PROTO_LIST;
    message.submit.first = message.submit.last = 0;
    return message;
}

static struct slice numbers(uint64_t first, uint32_t count)
{
    struct slice payload;
    msgpack_sbuffer buffer;
    msgpack_packer packer;

    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    for (uint32_t i = 0; i < count; i++)
        msgpack_pack_uint64(&packer, first + i);
    payload = (struct slice){.blob = blob_copy(buffer.data, buffer.size), .size = buffer.size};
    CHECK(payload.blob);
    msgpack_sbuffer_destroy(&buffer);
    return payload;
}

static void say_arguments(const char *client, uint64_t ticket, uint64_t first, uint32_t count)
{
    struct proto_message message = {
        .type = PROTO_ARGUMENTS,
        .arguments = {.ticket = ticket, .first = first, .count = count},
        .payload = numbers(first, count),
    };

    world_say(&w, client, &message);
    blob_unref(message.payload.blob);
}

static void say_seal(const char *client, uint64_t ticket, uint64_t total)
{
    world_say(&w, client,
              &(struct proto_message){.type = PROTO_SEAL, .seal = {.ticket = ticket, .total = total}});
}

static void say_attach(const char *client, uint64_t ticket, uint64_t batch, bool ordered, uint64_t window)
{
    world_say(&w, client,
              &(struct proto_message){.type = PROTO_ATTACH,
                                      .attach = {.ticket = ticket,
                                                 .batch = batch,
                                                 .first = 1,
                                                 .ordered = ordered,
                                                 .follow = true,
                                                 .results = true,
                                                 .window_bytes = window}});
}

static uint64_t accepted(const char *client)
{
    return world_expect(&w, client, PROTO_ACCEPTED)->accepted.batch;
}

/* All RESULTS that the client has: each of 1..jobs once; in order if asked for. */
static void check_results(const char *client, uint64_t jobs, bool ordered)
{
    char *seen = calloc(jobs + 1, 1);
    uint64_t next = 1, count = 0;

    CHECK(seen);
    while (world_has(&w, client, PROTO_RESULTS)) {
        const struct proto_outcome *outcome = &world_expect(&w, client, PROTO_RESULTS)->results.outcome;

        CHECK(!ordered || outcome->first == next);
        for (uint64_t job = outcome->first; job < outcome->first + outcome->count; job++, count++) {
            CHECK(job <= jobs && !seen[job]);
            seen[job] = 1;
        }
        next = outcome->first + outcome->count;
    }
    CHECK(count == jobs);
    free(seen);
}

static void check_ended(const char *client, uint64_t succeeded, uint64_t failed, uint64_t cancelled)
{
    const struct proto_ended *ended = &world_expect(&w, client, PROTO_ENDED)->ended;

    CHECK(ended->succeeded == succeeded && ended->failed == failed && ended->cancelled == cancelled);
}

static void range_runs_and_its_client_has_all_results_in_order(void)
{
    struct proto_message submit = submit_range(7, 1000, true);

    world_open(&w, NULL, 1, 2);
    world_hello(&w, "a", "ann");
    world_say(&w, "a", &submit);
    CHECK(accepted("a") == 1);
    check_results("a", 1000, true);
    check_ended("a", 1000, 0, 0);
    CHECK(ledger_count(w.ledger).open == 0 && ledger_count(w.ledger).readers == 0);
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
    world_work(&w, "worker-1.1", chunk);
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
    attach.attach.arguments = true;
    world_say(&w, "a", &attach);
    CHECK(world_expect(&w, "a", PROTO_ERROR)->error.code == MUSTER_ESTATE);
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

/* What the last of the answers says about the batch. */
static void check_state(const char *client, uint64_t batch, const char *state)
{
    const struct proto_message *answer;
    char word[32];

    world_say(&w, client,
              &(struct proto_message){
                  .type = PROTO_REQUEST,
                  .request = {.ticket = 99, .operation = PROTO_REQUEST_BATCHES, .batch = batch}});
    answer = world_expect(&w, client, PROTO_ANSWER);
    CHECK(answer->answer.code == 0);
    snprintf(word, sizeof word, "%c%s", (char)(0xa0 + strlen(state)), state);
    CHECK(memmem(slice_bytes(&answer->payload), answer->payload.size, word, strlen(word)));
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
                  &(struct proto_message){
                      .type = PROTO_REQUEST,
                      .request = {.ticket = 50 + batch, .operation = PROTO_REQUEST_CANCEL, .batch = batch}});
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

/* Kills the coordinator when so many chunks were done, again and again, until both batches are over. */
static void restart_runs_what_is_not_recorded_and_nothing_else(void)
{
    struct proto_message range = submit_range(1, 500, false), list = submit_list(2, false);
    uint64_t runs = 0;
    uint32_t epoch = 1;

    *strrchr(path, '/') = '\0';
    CHECK(mkdtemp(path));
    path[strlen(path)] = '/';
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
    unlink(path);
    *strrchr(path, '/') = '\0';
    CHECK(rmdir(path) == 0); /* nothing else is left there */
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
        C(late_reader_has_all_of_it_in_any_order),
        C(reader_that_comes_back_goes_on_where_it_was),
        C(slow_reader_holds_up_only_itself),
        C(batches_that_wait_are_not_in_memory_and_all_run),
        C(batch_waits_for_another_and_falls_with_it),
        C(delayed_batch_begins_at_its_time),
        C(cancelled_batch_ends_wherever_it_is),
        C(ended_batch_is_forgotten_on_request),
        C(restart_runs_what_is_not_recorded_and_nothing_else),
    };

    return check_all(checks, sizeof checks / sizeof *checks);
}
