/* SPDX-License-Identifier: MIT
 *
 * The ledger with a core and a store: clients that read a batch late, again, from the middle on, slowly,
 * or while its own client dies.
 */
#include "proto/codec.h"
#include "tests/support/check.h"
#include "tests/support/ledger_steps.h"

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

/* All of its counts were 0. */
static void reader_that_does_not_follow_is_told_how_the_jobs_of_a_batch_that_runs_stand(void)
{
    struct proto_message submit = submit_range(1, 60, false), chunk;
    struct proto_message attach = {
        .type = PROTO_ATTACH,
        .attach = {.ticket = 2, .batch = 1, .first = 1, .results = true, .window_bytes = 1 << 20}};
    struct proto_message cancel = {.type = PROTO_CANCEL,
                                   .cancel = {.id = 3, .mode = PROTO_CANCEL_NOW, .first = 51, .count = 5}};
    const struct proto_ended *ended;

    world_open(&w, NULL, 1, 1);
    w.fail_every = 5;
    w.hold_workers = true;
    world_hello(&w, "a", "");
    world_say(&w, "a", &submit);
    accepted("a");
    chunk = *world_expect(&w, "worker-1.1.1", PROTO_CHUNK);
    world_work(&w, "worker-1.1.1", &chunk);
    say_attach("a", 3, 1, false, 1 << 20);
    world_say(&w, "a", &cancel);
    while (world_has(&w, "a", PROTO_RESULTS))
        world_expect(&w, "a", PROTO_RESULTS);
    world_say(&w, "a", &attach);
    for (uint64_t jobs = 15; jobs > 0;)
        jobs -= world_expect(&w, "a", PROTO_RESULTS)->results.outcome.count;
    ended = &world_expect(&w, "a", PROTO_ENDED)->ended;
    CHECK(ended->ticket == 2 && ended->code == MUSTER_EAGAIN);
    CHECK(ended->succeeded == 8 && ended->failed == 2 && ended->cancelled == 5);
    w.hold_workers = false;
    w.fail_every = 0;
    world_settle(&w);
    world_close(&w);
}

int main(void)
{
    static const struct check checks[] = {
#define C(name) {#name, name}
        C(reader_of_a_batch_whose_client_dies_in_mid_submission_is_told),
        C(late_reader_has_all_of_it_in_any_order),
        C(reader_that_comes_back_goes_on_where_it_was),
        C(reader_that_begins_behind_what_is_being_recorded_has_none_of_it),
        C(slow_reader_holds_up_only_itself),
        C(reader_that_does_not_follow_is_told_how_the_jobs_of_a_batch_that_runs_stand),
    };

    return check_all(checks, sizeof checks / sizeof *checks);
}
