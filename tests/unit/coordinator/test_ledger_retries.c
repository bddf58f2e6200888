/* SPDX-License-Identifier: MIT
 *
 * Batches that are tried again on request: which jobs of them run once more, and on which arguments.
 */
#include "proto/value.h"
#include "requests_fixture.h"
#include "tests/support/check.h"

/* A list whose jobs have the numbers from 1001 on, in blocks of so many. */
static uint64_t accept_list(uint32_t jobs, uint32_t block)
{
    struct proto_message list = held_list(1);

    list.submit.chunk_jobs = 1000;
    world_say(&w, "a", &list);
    for (uint32_t first = 1; first <= jobs; first += block) {
        uint32_t count = jobs - first + 1 < block ? jobs - first + 1 : block;
        struct proto_message message = {
            .type = PROTO_ARGUMENTS,
            .arguments = {.ticket = 1, .first = first, .count = count},
            .payload = numbers(1000 + first, count),
        };

        world_say(&w, "a", &message);
        blob_unref(message.payload.blob);
    }
    world_say(&w, "a", &(struct proto_message){.type = PROTO_SEAL, .seal = {.ticket = 1, .total = jobs}});
    return world_expect(&w, "a", PROTO_ACCEPTED)->accepted.batch;
}

/* The number of the new batch, which has so many jobs. */
static uint64_t retry(uint64_t batch, uint64_t number, uint64_t jobs)
{
    msgpack_object map;
    uint64_t again;

    ask(PROTO_REQUEST_RETRY, batch, number, "");
    map = told(MSGPACK_OBJECT_MAP);
    CHECK(map.via.map.size == 1);
    again = count_of(&map, "batch");
    map = status_of(again);
    CHECK(count_of(&map, "origin") == batch && count_of(&map, "total") == jobs);
    CHECK(is_text(find(&map, "user"), "ann") && is_text(find(&map, "function"), "noop"));
    return again;
}

/* All arguments of a list are given to the worker in order: from `first` on, each `step` more. */
static void check_arguments(uint64_t batch, uint64_t jobs, uint64_t first, uint64_t step)
{
    uint64_t count = 0;

    while (count < jobs) {
        const struct proto_message *chunk = world_expect(&w, "worker-1.3.1", PROTO_CHUNK);
        size_t offset = 0;

        CHECK(chunk->chunk.batch == batch && chunk->chunk.kind == PROTO_LIST);
        for (uint32_t i = 0; i < chunk->chunk.count; i++, count++) {
            msgpack_object value;

            CHECK(value_unpack(slice_bytes(&chunk->payload), chunk->payload.size, &offset, &answer_zone,
                               &value) == 0);
            CHECK(value.type == MSGPACK_OBJECT_POSITIVE_INTEGER && value.via.u64 == first + count * step);
        }
        world_work(&w, "worker-1.3.1", chunk);
        world_settle(&w);
    }
    CHECK(count == jobs && !world_has(&w, "worker-1.3.1", PROTO_CHUNK));
}

static void failed_jobs_of_a_range_are_a_list_of_values(void)
{
    uint64_t again;

    open_world(1);
    w.fail_every = 7;
    CHECK(accept_range(30) == 1);
    w.hold_workers = true;
    w.fail_every = 0;
    again = retry(1, 1, 4);
    check_arguments(again, 4, 7, 7);
    check_jobs(again, "succeeded", 4, 0, 0);
    check_jobs(1, "failed", 26, 4, 0);
    close_world();
}

static void whole_range_that_is_tried_again_is_a_range(void)
{
    open_world(1);
    accept_range(30);
    w.hold_workers = true;
    retry(1, 2, 30);
    CHECK(world_expect(&w, "worker-1.3.1", PROTO_CHUNK)->chunk.kind == PROTO_RANGE);
    close_world();
}

static void failed_jobs_of_a_list_have_their_own_arguments_again(void)
{
    static const uint32_t blocks[] = {1, 9, 500, 4000};
    uint64_t again;

    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        open_world(1);
        w.fail_every = 3;
        CHECK(accept_list(1500, blocks[i]) == 1);
        w.hold_workers = true;
        w.fail_every = 0;
        again = retry(1, 1, 500);
        check_arguments(again, 500, 1003, 3);
        check_jobs(again, "succeeded", 500, 0, 0);
        w.hold_workers = false;
        close_world();
    }
}

static void failed_jobs_of_a_list_that_came_whole_have_their_own_arguments_again(void)
{
    struct proto_message list = held_list(1);
    uint64_t again;

    list.submit.count = 50;
    list.payload = numbers(1001, 50);
    open_world(1);
    w.fail_every = 5;
    CHECK(submit(&list) == 1);
    blob_unref(list.payload.blob);
    w.hold_workers = true;
    w.fail_every = 0;
    again = retry(1, 1, 10);
    check_arguments(again, 10, 1005, 5);
    w.hold_workers = false;
    close_world();
}

static void long_list_is_copied_page_by_page(void)
{
    uint64_t again;

    open_world(1);
    CHECK(accept_list(20000, 3000) == 1);
    w.hold_workers = true;
    again = retry(1, 2, 20000);
    check_arguments(again, 20000, 1001, 1);
    check_jobs(again, "succeeded", 20000, 0, 0);
    w.hold_workers = false;
    close_world();
}

static void jobs_that_never_ran_are_tried_again_and_those_that_succeeded_are_not(void)
{
    uint64_t again;

    w.hold_workers = true;
    open_world(1);
    accept_range(60);
    world_work(&w, "worker-1.3.1", world_expect(&w, "worker-1.3.1", PROTO_CHUNK));
    world_settle(&w);
    ask(PROTO_REQUEST_CANCEL, 1, PROTO_CANCEL_SOON, "");
    check_code(0);
    w.hold_workers = false;
    world_settle(&w);
    w.hold_workers = true;
    again = retry(1, 1, 60 - count_of((msgpack_object[]){status_of(1)}, "succeeded"));
    w.hold_workers = false;
    world_settle(&w);
    check_jobs(again, "succeeded", 60 - count_of((msgpack_object[]){status_of(1)}, "succeeded"), 0, 0);
    close_world();
}

static void retry_of_what_runs_or_succeeded_is_refused(void)
{
    w.hold_workers = true;
    open_world(1);
    accept_range(3);
    ask(PROTO_REQUEST_RETRY, 1, 1, "");
    check_code(MUSTER_ESTATE);
    w.hold_workers = false;
    world_settle(&w);
    ask(PROTO_REQUEST_RETRY, 1, 1, "");
    check_code(MUSTER_ESTATE);
    CHECK(retry(1, 2, 3) == 2); /* the others left no number unused */
    close_world();
}

/* It has more than two pages, so that one is asked for when the store knows that it is full. */
static void retry_that_fills_the_store_is_refused_and_leaves_nothing(void)
{
    uint32_t jobs = 4 * PROTO_BLOCK_JOBS_MAX;

    open_world(1);
    accept_list(jobs, jobs / 4);
    w.hold_store = true;
    ask(PROTO_REQUEST_RETRY, 1, 2, "");
    for (int i = 0; i < 2; i++) /* FIND, ADD */
        CHECK(world_step_store(&w));
    store_limit(w.store, 1);
    w.hold_store = false;
    world_settle(&w);
    check_code(MUSTER_ELIMIT);
    ask(PROTO_REQUEST_STATUS, 2, 0, "");
    check_code(MUSTER_ENOTFOUND);
    CHECK(ledger_count(w.ledger).open == 0);
    close_world();
}

/* The store copied them, for ever. */
static void rest_of_an_endless_range_is_no_list(void)
{
    w.hold_workers = true;
    open_world(1);
    accept_range(INT64_C(99999999999999));
    world_work(&w, "worker-1.3.1", world_expect(&w, "worker-1.3.1", PROTO_CHUNK));
    world_settle(&w);
    ask(PROTO_REQUEST_CANCEL, 1, PROTO_CANCEL_NOW, "");
    check_code(0);
    w.hold_workers = false;
    world_settle(&w);
    ask(PROTO_REQUEST_RETRY, 1, 1, "");
    check_code(MUSTER_ESTATE);
    close_world();
}

static void client_that_leaves_before_its_retry_leaves_nothing(void)
{
    open_world(1);
    w.fail_every = 2;
    accept_list(20, 5);
    w.hold_store = true;
    ask(PROTO_REQUEST_RETRY, 1, 1, "");
    ledger_gone(w.ledger, w.now_ms, "a", &w.outbox);
    w.hold_store = false;
    world_settle(&w);
    world_hello(&w, "a", "ann");
    CHECK(ledger_count(w.ledger).open == 0);
    check_jobs(1, "failed", 10, 10, 0);
    close_world();
}

int main(void)
{
    static const struct check checks[] = {
#define C(name) {#name, name}
        C(failed_jobs_of_a_range_are_a_list_of_values),
        C(whole_range_that_is_tried_again_is_a_range),
        C(failed_jobs_of_a_list_have_their_own_arguments_again),
        C(failed_jobs_of_a_list_that_came_whole_have_their_own_arguments_again),
        C(long_list_is_copied_page_by_page),
        C(jobs_that_never_ran_are_tried_again_and_those_that_succeeded_are_not),
        C(retry_of_what_runs_or_succeeded_is_refused),
        C(retry_that_fills_the_store_is_refused_and_leaves_nothing),
        C(rest_of_an_endless_range_is_no_list),
        C(client_that_leaves_before_its_retry_leaves_nothing),
    };

    return check_all(checks, sizeof checks / sizeof *checks);
}
