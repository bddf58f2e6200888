/* SPDX-License-Identifier: MIT
 *
 * The ledger with a core and a file: what the next coordinator goes on with, what it leaves alone, and what
 * it gives up because it cannot be read.
 */
#include "proto/codec.h"
#include "tests/support/check.h"
#include "tests/support/ledger_steps.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

static void cancel_that_was_answered_outlives_the_coordinator(void)
{
    struct proto_message range = submit_range(1, 500, false);

    make_folder();
    open_again(1);
    world_say(&w, "a", &range);
    CHECK(accepted("a") == 1 && world_has(&w, "worker-", PROTO_CHUNK));
    say_request("a", PROTO_REQUEST_CANCEL, 1, PROTO_CANCEL_SOON, "");
    CHECK(answered("a") == 0);
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
    say_request("b", PROTO_REQUEST_CANCEL, 1, PROTO_CANCEL_SOON, "");
    CHECK(!world_has(&w, "b", PROTO_ANSWER));
    w.hold_store = false;
    world_settle(&w);
    CHECK(answered("b") == 0);
    CHECK(accepted("a") == 1);
    world_close(&w);
    open_again(2);
    CHECK(!world_has(&w, "worker-", PROTO_CHUNK));
    check_state("a", 1, "cancelled");
    world_close(&w);
    remove_folder();
}

/* Runs the oldest chunk that a worker has, and lets everything happen that follows. */
static void run_next_chunk(void)
{
    const struct letter *letter;
    char name[PROTO_PEER_NAME_MAX + 1];

    DL_SEARCH_SCALAR(w.letters, letter, message.type, PROTO_CHUNK);
    CHECK(letter);
    memcpy(name, letter->peer, sizeof name);
    world_work(&w, name, world_expect(&w, name, PROTO_CHUNK));
    world_settle(&w);
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
        for (int i = 0; i < 7 && world_has(&w, "worker-", PROTO_CHUNK); i++)
            run_next_chunk();
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

/* Accepted, as batch 1. Its arguments have 64 KiB each. */
static void submit_large(uint64_t jobs)
{
    say_large_list("a", 1, jobs, 64 << 10);
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
    CHECK(ended->ended.text.size == strlen("a damaged page") &&
          memcmp(ended->ended.text.bytes, "a damaged page", ended->ended.text.size) == 0);
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
        world_open(&w, state_path, 1, 4);
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

/* The second life of a coordinator, which cannot read something of the batch so many times. */
static void check_put_off(enum store_operation unreadable, unsigned times, const char *state)
{
    uint64_t begin_ms;

    make_folder();
    open_again(1);
    submit_large(80);
    world_close(&w);
    w.unreadable = &unreadable;
    w.unreadable_now = true;
    open_again(2);
    w.hold_workers = false;
    begin_ms = w.now_ms;
    for (unsigned i = 1; i < times; i++)
        let_pass();
    CHECK(w.now_ms >= begin_ms + 15000);
    w.unreadable = NULL;
    w.unreadable_now = false;
    if (ledger_deadline_ms(w.ledger) != UINT64_MAX)
        let_pass();
    CHECK(ledger_ready(w.ledger) && ledger_deadline_ms(w.ledger) == UINT64_MAX);
    check_state("a", 1, state);
    world_close(&w);
    remove_folder();
}

/* It was given up when there were no memory, or no descriptors, for the thirtieth part of a second. */
static void accepted_batch_that_cannot_be_read_for_seconds_is_not_lost(void)
{
    check_put_off(STORE_GAPS, 5, "succeeded");
    check_put_off(STORE_LOAD, 5, "succeeded");
    check_put_off(STORE_GAPS, 7, "lost");
    check_put_off(STORE_LOAD, 7, "lost");
}

static void change_file(const char *text)
{
    sqlite3 *handle;

    CHECK(sqlite3_open_v2(state_path, &handle, SQLITE_OPEN_READWRITE, "muster") == SQLITE_OK);
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

/* It had fewer cancelled jobs than none. */
static void cancelled_batch_whose_counts_are_damaged_is_lost(void)
{
    static const char *const damages[] = {
        "UPDATE batch SET total = 1",
        "UPDATE record SET count = 501",
        "UPDATE record SET count = -1",
        "UPDATE record SET failed = count + 1",
        "UPDATE record SET count = 9223372036854775807; INSERT INTO record "
        "(batch, first, count, failed, header, payload) SELECT batch, 500, count, failed, header, payload "
        "FROM record",
    };

    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        struct proto_message range = submit_range(1, 500, false);

        make_folder();
        open_again(1);
        world_say(&w, "a", &range);
        CHECK(accepted("a") == 1);
        run_next_chunk();
        say_request("a", PROTO_REQUEST_CANCEL, 1, PROTO_CANCEL_SOON, "");
        CHECK(answered("a") == 0);
        world_close(&w);
        change_file(damages[i]);
        open_again(2);
        check_state("a", 1, "lost");
        world_close(&w);
        remove_folder();
    }
}

static void batch_of_wide_jobs_runs_on_fewer_cores_than_it_was_accepted_for(void)
{
    struct proto_message range = submit_range(1, 3, false);

    range.submit.cpus = 4;
    make_folder();
    w.hold_workers = true;
    world_open(&w, state_path, 1, 4);
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

/* What is recorded already is given to nobody, so nobody asked for more arguments behind it. */
static void restart_behind_more_recorded_jobs_than_the_core_takes_at_once_goes_on(void)
{
    enum { JOBS = 80, RECORDED = 75 };

    _Static_assert((uint64_t)RECORDED << 16 > PROTO_GRANT_BYTES, "they are more than is granted at once");
    make_folder();
    open_again(1);
    submit_large(JOBS);
    while (w.runs < RECORDED)
        run_next_chunk();
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
        C(cancel_that_was_answered_outlives_the_coordinator),
        C(cancel_of_a_list_that_is_sent_outlives_the_coordinator),
        C(cancelled_batch_whose_counts_are_damaged_is_lost),
        C(restart_runs_what_is_not_recorded_and_nothing_else),
        C(batch_that_cannot_be_read_is_given_up),
        C(accepted_batch_that_cannot_be_read_for_seconds_is_not_lost),
        C(batch_of_which_a_result_cannot_be_recorded_is_lost),
        C(batch_with_a_damaged_argument_is_given_up),
        C(batch_of_wide_jobs_runs_on_fewer_cores_than_it_was_accepted_for),
        C(restart_behind_more_recorded_jobs_than_the_core_takes_at_once_goes_on),
    };

    return check_all(checks, sizeof checks / sizeof *checks);
}
