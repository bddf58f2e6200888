/* SPDX-License-Identifier: MIT
 *
 * What clients ask the ledger, and tell it to do: each answer has the keys that PROTOCOL.md says, and
 * says what is true at that moment.
 */
#include "proto/codec.h"
#include "proto/value.h"
#include "tests/support/check.h"
#include "tests/support/ledger_steps.h"

#include <stdlib.h>
#include <string.h>

static msgpack_zone zone; /* of the last answer */

/* --- what is said */

static struct proto_message range(uint64_t ticket, int64_t last)
{
    struct proto_message message = submit_range(ticket, last, false);

    message.submit.hold = true;
    message.submit.ordered = false;
    return message;
}

static uint64_t submit(const struct proto_message *message)
{
    world_say(&w, "a", message);
    return world_expect(&w, "a", PROTO_ACCEPTED)->accepted.batch;
}

static uint64_t accept_range(int64_t last)
{
    struct proto_message message = range(1, last);

    return submit(&message);
}

static void ask(enum proto_operation operation, uint64_t batch, uint64_t number, const char *text)
{
    say_request("a", operation, batch, number, text);
}

static struct proto_answer take_answer(msgpack_object *ret_value)
{
    const struct proto_message *message = world_expect(&w, "a", PROTO_ANSWER);
    size_t offset = 0;

    CHECK(message->answer.ticket == 99);
    msgpack_zone_clear(&zone);
    CHECK(value_unpack_copy(slice_bytes(&message->payload), message->payload.size, &offset, &zone,
                            ret_value) == 0);
    CHECK(offset == message->payload.size);
    return message->answer;
}

static void check_code(int code)
{
    msgpack_object value;
    struct proto_answer answer = take_answer(&value);

    CHECK_SAYING(answer.code == code, muster_error_name(answer.code));
    CHECK(code != 0 || value.type == MSGPACK_OBJECT_NIL);
    CHECK((code == 0) == (answer.text.size == 0));
}

static msgpack_object told(msgpack_object_type type)
{
    msgpack_object value;

    CHECK(take_answer(&value).code == 0);
    CHECK(value.type == type);
    return value;
}

/* --- maps */

static bool is_text(const msgpack_object *value, const char *text)
{
    return value->type == MSGPACK_OBJECT_STR && value->via.str.size == strlen(text) &&
           memcmp(value->via.str.ptr, text, strlen(text)) == 0;
}

static const msgpack_object *find(const msgpack_object *map, const char *key)
{
    for (uint32_t i = 0; i < map->via.map.size; i++)
        if (is_text(&map->via.map.ptr[i].key, key))
            return &map->via.map.ptr[i].val;
    CHECK_SAYING(false, key);
    return NULL;
}

static uint64_t count_of(const msgpack_object *map, const char *key)
{
    const msgpack_object *value = find(map, key);

    CHECK_SAYING(value->type == MSGPACK_OBJECT_POSITIVE_INTEGER, key);
    return value->via.u64;
}

static msgpack_object status_of(uint64_t batch)
{
    ask(PROTO_REQUEST_STATUS, batch, 0, "");
    return told(MSGPACK_OBJECT_MAP);
}

static void check_jobs(uint64_t batch, const char *state, uint64_t succeeded, uint64_t failed,
                       uint64_t cancelled)
{
    msgpack_object map = status_of(batch);

    CHECK_SAYING(is_text(find(&map, "state"), state), state);
    CHECK(count_of(&map, "succeeded") == succeeded);
    CHECK(count_of(&map, "failed") == failed);
    CHECK(count_of(&map, "cancelled") == cancelled);
}

/* The table behind this line of PROTOCOL.md has a row for each key of the map, and no other. */
static void check_keys(const msgpack_object *map, const char *line)
{
    static char page[1 << 17];
    FILE *file = fopen(PROTO_FOLDER "/PROTOCOL.md", "r");
    char *rest, *row;
    uint32_t keys = 0;

    CHECK(file);
    page[fread(page, 1, sizeof page - 1, file)] = '\0';
    fclose(file);
    rest = strstr(page, line);
    CHECK_SAYING(rest && (rest = strstr(rest, "| --- |")), line);
    strsep(&rest, "\n");
    while ((row = strsep(&rest, "\n")) && row[0] == '|') {
        char *names = row + 1, *name;

        strchr(names, '|')[0] = '\0';
        while ((name = strsep(&names, ", ")))
            if (name[0]) {
                find(map, name);
                keys++;
            }
    }
    CHECK(keys == map->via.map.size && keys > 6);
}

static void open_world(unsigned workers)
{
    world_open(&w, NULL, 3, workers);
    world_hello(&w, "a", "ann");
    CHECK(msgpack_zone_init(&zone, 4096));
}

static void close_world(void)
{
    msgpack_zone_destroy(&zone);
    world_close(&w);
    w.fail_every = 0;
}

/* --- questions */

static void maps_have_the_keys_that_the_protocol_says(void)
{
    msgpack_object map, list;

    w.hold_workers = true;
    open_world(2);
    accept_range(20);
    map = status_of(0);
    check_keys(&map, "The map of the **coordinator**");
    CHECK(count_of(&map, "workers") == 2 && count_of(&map, "workers_ready") == 2);
    CHECK(count_of(&map, "clients") == 1 && count_of(&map, "pid") == 4711 && count_of(&map, "epoch") == 3);
    CHECK(find(&map, "draining")->via.boolean == false);
    CHECK(count_of(find(&map, "batches"), "running") == 1);
    map = status_of(1);
    check_keys(&map, "The map of a **batch**");
    CHECK(is_text(find(&map, "user"), "ann") && is_text(find(&map, "function"), "noop"));
    ask(PROTO_REQUEST_WORKERS, 0, 0, "");
    list = told(MSGPACK_OBJECT_ARRAY);
    CHECK(list.via.array.size == 2);
    check_keys(&list.via.array.ptr[0], "The map of a **worker**");
    for (uint64_t i = 0; i < 2; i++) {
        CHECK(count_of(&list.via.array.ptr[i], "worker") == i + 1);
        CHECK(count_of(&list.via.array.ptr[i], "jobs") == 10 &&
              count_of(&list.via.array.ptr[i], "batch") == 1);
        CHECK(is_text(find(&list.via.array.ptr[i], "state"), "busy"));
        CHECK(count_of(&list.via.array.ptr[i], "since_ms") == w.now_ms + 1000); /* the core is as old */
    }
    close_world();
}

/* So many batches are in the state, as the coordinator says. */
static void check_tally(const char *state, uint64_t batches)
{
    msgpack_object map = status_of(0);

    CHECK_SAYING(count_of(find(&map, "batches"), state) == batches, state);
}

static void batches_are_counted_in_each_state(void)
{
    struct proto_message list = range(1, 1), later = range(2, 1), behind = range(3, 1), wide = range(4, 10);
    struct proto_after after = {6, PROTO_AFTER_OK};

    list.submit.kind = PROTO_LIST;
    list.submit.first = list.submit.last = 0;
    w.hold_workers = true;
    open_world(1);
    for (int i = 0; i < 6; i++)
        submit(&wide);
    later.submit.begin_ms = w.now_ms + 1000;
    behind.submit.after = &after;
    behind.submit.after_count = 1;
    submit(&later);
    submit(&behind);
    world_say(&w, "a", &list);
    check_tally("running", 4);
    check_tally("queued", 2);
    check_tally("delayed", 1);
    check_tally("blocked", 1);
    check_tally("opening", 1);
    ask(PROTO_REQUEST_CANCEL, 9, 2, "");
    check_code(0);
    ask(PROTO_REQUEST_CANCEL, 6, 2, "");
    check_code(0);
    w.hold_workers = false;
    w.now_ms += 1000;
    ledger_tick(w.ledger, w.now_ms, &w.outbox);
    world_settle(&w);
    check_tally("opening", 0);
    check_tally("cancelled", 2); /* and what waited for it */
    check_tally("succeeded", 6);
    check_tally("running", 0);
    check_tally("queued", 0);
    ask(PROTO_REQUEST_FORGET, 2, 0, "");
    check_code(0);
    check_tally("succeeded", 5);
    close_world();
}

static void counts_of_a_batch_are_true_while_it_runs(void)
{
    msgpack_object map;

    w.hold_workers = true;
    open_world(1);
    w.fail_every = 7;
    accept_range(30);
    map = status_of(1);
    CHECK(count_of(&map, "running") == 1 && count_of(&map, "total") == 30);
    world_work(&w, "worker-1.3.1", world_expect(&w, "worker-1.3.1", PROTO_CHUNK));
    world_settle(&w);
    check_jobs(1, "running", 9, 1, 0);
    w.hold_workers = false;
    world_settle(&w);
    check_jobs(1, "failed", 26, 4, 0);
    map = status_of(1);
    CHECK(count_of(&map, "running") == 0);
    close_world();
}

static void batches_come_page_by_page_and_no_more_than_were_asked_for(void)
{
    uint64_t next = 600;
    msgpack_object list;
    struct proto_answer answer;

    open_world(2);
    for (int i = 0; i < 600; i++)
        accept_range(1);
    ask(PROTO_REQUEST_BATCHES, 0, 0, "");
    do {
        answer = take_answer(&list);
        CHECK(answer.code == 0 && list.via.array.size <= 256);
        for (uint32_t i = 0; i < list.via.array.size; i++)
            CHECK(count_of(&list.via.array.ptr[i], "batch") == next--);
    } while (answer.more);
    CHECK(next == 0);
    ask(PROTO_REQUEST_BATCHES, 500, 3, "");
    list = told(MSGPACK_OBJECT_ARRAY);
    CHECK(list.via.array.size == 3 && count_of(&list.via.array.ptr[0], "batch") == 499);
    close_world();
}

static void batches_are_filtered_by_state_user_and_name(void)
{
    static const struct {
        const char *filter;
        uint32_t count;
    } filters[] = {
        {"", 4},
        {"state=succeeded", 2},
        {"state=succeeded state=failed", 4},
        {"user=ann", 4},
        {"user=bob", 0},
        {"name=a b", 1},
        {"state=failed name=a b", 0},
        {"state=succeeded user=ann name=a b", 1},
    };
    static const char *const wrong[] = {"state=none", "states=failed", "user=a user=b", "failed",
                                        " ",          "name"};
    struct proto_message named = range(1, 1);

    open_world(1);
    named.submit.name = proto_text("a b");
    submit(&named);
    accept_range(1);
    w.fail_every = 1;
    accept_range(1);
    accept_range(1);
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        ask(PROTO_REQUEST_BATCHES, 0, 0, filters[i].filter);
        CHECK_SAYING(told(MSGPACK_OBJECT_ARRAY).via.array.size == filters[i].count, filters[i].filter);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ask(PROTO_REQUEST_BATCHES, 0, 0, wrong[i]);
        check_code(MUSTER_EINVALID);
    }
    close_world();
}

static void numbers_that_mean_nothing_are_refused(void)
{
    static const struct {
        enum proto_operation operation;
        uint64_t number;
        int code;
    } wrong[] = {
        {PROTO_REQUEST_CANCEL, 0, MUSTER_EINVALID},    {PROTO_REQUEST_CANCEL, 3, MUSTER_EINVALID},
        {PROTO_REQUEST_RETRY, 0, MUSTER_EINVALID},     {PROTO_REQUEST_SCALE, 0, MUSTER_EINVALID},
        {PROTO_REQUEST_SCALE, 16385, MUSTER_EINVALID}, {PROTO_REQUEST_SCALE, 7, MUSTER_ELIMIT},
        {PROTO_REQUEST_DRAIN, 2, MUSTER_EINVALID},     {PROTO_REQUEST_STOP, 0, MUSTER_EINVALID},
    };
    static const enum proto_operation of_batch[] = {PROTO_REQUEST_STATUS, PROTO_REQUEST_CANCEL,
                                                    PROTO_REQUEST_FORGET, PROTO_REQUEST_RETRY};

    open_world(2);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ask(wrong[i].operation, 0, wrong[i].number, "");
        check_code(wrong[i].code);
    }
    for (size_t i = 0; i < sizeof of_batch / sizeof *of_batch; i++) {
        ask(of_batch[i], 77, 2, "");
        check_code(MUSTER_ENOTFOUND);
    }
    close_world();
}

static void client_that_asks_without_end_is_refused(void)
{
    unsigned refused = 0;

    open_world(1);
    accept_range(1);
    w.hold_store = true;
    for (int i = 0; i < 300; i++)
        ask(PROTO_REQUEST_STATUS, 1, 0, "");
    while (world_has(&w, "a", PROTO_ANSWER)) {
        check_code(MUSTER_ELIMIT);
        refused++;
    }
    CHECK(refused == 300 - 256);
    w.hold_store = false;
    world_settle(&w);
    status_of(1);
    close_world();
}

static void client_that_left_is_not_answered(void)
{
    open_world(1);
    accept_range(1);
    w.hold_store = true;
    ask(PROTO_REQUEST_STATUS, 1, 0, "");
    ask(PROTO_REQUEST_BATCHES, 0, 0, "");
    ledger_gone(w.ledger, w.now_ms, "a", &w.outbox);
    w.hold_store = false;
    world_settle(&w);
    CHECK(!world_has(&w, "a", PROTO_ANSWER));
    world_hello(&w, "a", "ann");
    check_jobs(1, "succeeded", 1, 0, 0);
    close_world();
}

/* --- orders */

static void cancelled_batch_says_why_and_takes_along_what_waits_for_it(void)
{
    struct proto_message ok = range(2, 3), any = range(3, 3), later = range(4, 3);
    struct proto_after after[] = {{1, PROTO_AFTER_OK}, {1, PROTO_AFTER_ANY}};
    msgpack_object map;

    ok.submit.after = &after[0];
    any.submit.after = &after[1];
    ok.submit.after_count = any.submit.after_count = 1;
    w.hold_workers = true;
    open_world(1);
    later.submit.begin_ms = w.now_ms + 60000;
    accept_range(30);
    submit(&ok);
    submit(&any);
    submit(&later);
    ask(PROTO_REQUEST_CANCEL, 4, 2, "");
    check_code(0);
    check_jobs(4, "cancelled", 0, 0, 3);
    map = status_of(4);
    CHECK(is_text(find(&map, "text"), "a client cancelled it before it began"));
    ask(PROTO_REQUEST_CANCEL, 1, PROTO_CANCEL_SOON, "");
    check_code(0);
    check_jobs(1, "running", 0, 0, 0);
    w.hold_workers = false;
    world_settle(&w);
    map = status_of(1);
    CHECK(is_text(find(&map, "state"), "cancelled") && is_text(find(&map, "text"), "a client cancelled it"));
    CHECK(count_of(&map, "succeeded") + count_of(&map, "cancelled") == 30 &&
          count_of(&map, "succeeded") >= 10);
    check_jobs(2, "cancelled", 0, 0, 3);
    map = status_of(2);
    CHECK(is_text(find(&map, "text"), "a batch that it waited for did not succeed"));
    CHECK(find(&map, "after")->via.array.size == 1);
    check_jobs(3, "succeeded", 3, 0, 0);
    ask(PROTO_REQUEST_CANCEL, 3, 2, "");
    check_code(0); /* it means nothing */
    check_jobs(3, "succeeded", 3, 0, 0);
    close_world();
}

static void submission_that_is_cancelled_is_forgotten_and_its_client_told(void)
{
    struct proto_message list = range(7, 1);

    list.submit.kind = PROTO_LIST;
    list.submit.first = list.submit.last = 0;
    open_world(1);
    world_hello(&w, "b", "");
    world_say(&w, "b", &list);
    ask(PROTO_REQUEST_CANCEL, 1, 2, "");
    check_code(0);
    CHECK(world_expect(&w, "b", PROTO_ERROR)->error.code == MUSTER_ECANCELLED);
    ask(PROTO_REQUEST_STATUS, 1, 0, "");
    check_code(MUSTER_ENOTFOUND);
    CHECK(ledger_count(w.ledger).open == 0);
    close_world();
}

/* It ran before a restart, and waits again. */
static void batch_that_ran_before_and_is_cancelled_while_it_waits_keeps_what_it_did(void)
{
    struct store_request record = {
        .operation = STORE_RESULT,
        .batch = 9,
        .record = {.first = 1, .count = 4, .failed = 1, .header = proto_text("h")}};

    w.hold_workers = true;
    open_world(1);
    for (int i = 0; i < 8; i++) /* more than are open at once */
        accept_range(10);
    accept_range(10);
    CHECK(store_submit(w.store, &record) == 0);
    w.asked++;
    ask(PROTO_REQUEST_CANCEL, 9, 2, "");
    check_code(0);
    check_jobs(9, "cancelled", 3, 1, 6);
    close_world();
}

static void workers_come_and_go_as_they_are_asked_for(void)
{
    msgpack_object map, list;

    open_world(2);
    w.hold_workers = true;
    ask(PROTO_REQUEST_SCALE, 0, 3, "");
    check_code(0);
    accept_range(90);
    ask(PROTO_REQUEST_WORKERS, 0, 0, "");
    list = told(MSGPACK_OBJECT_ARRAY);
    CHECK(list.via.array.size == 3);
    ask(PROTO_REQUEST_SCALE, 0, 1, "");
    check_code(0);
    map = status_of(0);
    CHECK(count_of(&map, "workers") == 1);
    ask(PROTO_REQUEST_WORKERS, 0, 0, "");
    list = told(MSGPACK_OBJECT_ARRAY);
    CHECK(list.via.array.size == 3 && is_text(find(&list.via.array.ptr[0], "state"), "busy"));
    CHECK(is_text(find(&list.via.array.ptr[2], "state"), "stopping"));
    close_world();
}

static void draining_coordinator_takes_batches_and_starts_none(void)
{
    msgpack_object map;

    open_world(1);
    ask(PROTO_REQUEST_DRAIN, 0, 1, "");
    check_code(0);
    accept_range(5);
    CHECK(w.runs == 0);
    map = status_of(0);
    CHECK(find(&map, "draining")->via.boolean);
    ask(PROTO_REQUEST_DRAIN, 0, 0, "");
    check_code(0);
    CHECK(w.runs == 5);
    ask(PROTO_REQUEST_STOP, 0, PROTO_STOP_SOON, "");
    check_code(0);
    CHECK(core_stopped(w.core));
    ask(PROTO_REQUEST_DRAIN, 0, 0, "");
    check_code(MUSTER_ESTATE);
    close_world();
}

/* --- retries */

/* A list whose jobs have the numbers from 1001 on, in blocks of so many. */
static uint64_t accept_list(uint32_t jobs, uint32_t block)
{
    struct proto_message list = range(1, 1);

    list.submit.kind = PROTO_LIST;
    list.submit.first = list.submit.last = 0;
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

            CHECK(value_unpack(slice_bytes(&chunk->payload), chunk->payload.size, &offset, &zone, &value) ==
                  0);
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
    struct proto_message list = range(1, 1);
    uint64_t again;

    list.submit.kind = PROTO_LIST;
    list.submit.first = list.submit.last = 0;
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
        C(maps_have_the_keys_that_the_protocol_says),
        C(batches_are_counted_in_each_state),
        C(counts_of_a_batch_are_true_while_it_runs),
        C(batches_come_page_by_page_and_no_more_than_were_asked_for),
        C(batches_are_filtered_by_state_user_and_name),
        C(numbers_that_mean_nothing_are_refused),
        C(client_that_asks_without_end_is_refused),
        C(client_that_left_is_not_answered),
        C(cancelled_batch_says_why_and_takes_along_what_waits_for_it),
        C(submission_that_is_cancelled_is_forgotten_and_its_client_told),
        C(batch_that_ran_before_and_is_cancelled_while_it_waits_keeps_what_it_did),
        C(workers_come_and_go_as_they_are_asked_for),
        C(draining_coordinator_takes_batches_and_starts_none),
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
