/* SPDX-License-Identifier: MIT
 *
 * What clients ask the ledger, and tell it to do: each answer has the keys that PROTOCOL.md says, and
 * says what is true at that moment.
 */
#include "proto/codec.h"
#include "requests_fixture.h"
#include "tests/support/check.h"

#include <string.h>

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
    CHECK(find(&map, "draining")->via.boolean == false && find(&map, "busy")->via.boolean);
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
    struct proto_message list = held_list(1), later = held_range(2, 1), behind = held_range(3, 1),
                         wide = held_range(4, 10);
    struct proto_after after = {6, PROTO_AFTER_OK};

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
    struct proto_message named = held_range(1, 1);

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
    struct proto_message ok = held_range(2, 3), any = held_range(3, 3), later = held_range(4, 3);
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
    struct proto_message list = held_list(7);

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
    };

    return check_all(checks, sizeof checks / sizeof *checks);
}
