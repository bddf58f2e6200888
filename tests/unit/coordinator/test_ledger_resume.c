/* SPDX-License-Identifier: MIT
 *
 * The ledger with a core and a file: what the next coordinator goes on with, what it leaves alone, and what
 * it gives up because it is damaged.
 */
#include "proto/codec.h"
#include "tests/support/check.h"
#include "tests/support/ledger_steps.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char path[] = "/tmp/muster-test-XXXXXX/store";

static void open_again(uint32_t epoch)
{
    w.hold_workers = true;
    world_open(&w, path, epoch, 2);
    world_hello(&w, "a", "");
}

static void make_folder(void)
{
    *strrchr(path, '/') = '\0';
    memcpy(path + strlen(path) - 6, "XXXXXX", 6);
    CHECK(mkdtemp(path));
    path[strlen(path)] = '/';
}

/* Nothing else is left there. */
static void remove_folder(void)
{
    unlink(path);
    *strrchr(path, '/') = '\0';
    CHECK(rmdir(path) == 0);
    path[strlen(path)] = '/';
}

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
        world_open(&w, path, 1, 4);
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

/* To the next thing that is to happen by itself. */
static void let_pass(void)
{
    CHECK(ledger_deadline_ms(w.ledger) != UINT64_MAX);
    w.now_ms = ledger_deadline_ms(w.ledger);
    ledger_tick(w.ledger, w.now_ms, &w.outbox);
    world_settle(&w);
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

    CHECK(sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE, "muster") == SQLITE_OK);
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

/* A bit of the page, wherever it is in the file. */
static void flip_page_with(const char *word)
{
    FILE *file = fopen(path, "r+e");
    size_t size = 64 << 20, flipped = 0;
    char *bytes = malloc(size), *at = bytes;

    CHECK(file && bytes);
    size = fread(bytes, 1, size, file);
    while ((at = memmem(at, size - (size_t)(at - bytes), word, strlen(word)))) {
        CHECK(fseek(file, at - bytes, SEEK_SET) == 0 && fputc(*at ^ 4, file) != EOF);
        at++;
        flipped++;
    }
    CHECK(flipped > 0 && fclose(file) == 0);
    free(bytes);
}

enum { QUEUED = 500, DAMAGED = 250, COMMON_BYTES = 20000, CACHE_BYTES = 16 << 20 };

/* All in one lane, which is read as far as batches of it may run at once. Of the one that is to be damaged
 * client b takes results, and another batch waits for it. No page of theirs is in SQLite's cache then. */
static void submit_queue(void)
{
    struct proto_after after = {.batch = DAMAGED, .condition = PROTO_AFTER_OK};
    char *common = calloc(1, COMMON_BYTES + 3), name[16];

    CHECK(common);
    snprintf(common, COMMON_BYTES, "\xc5%c%cxx", (char)(COMMON_BYTES >> 8), (char)(COMMON_BYTES & 0xff));
    memcpy(common + COMMON_BYTES - 100, "common-of-one", 13); /* not in the page of the row */
    for (uint64_t i = 1; i <= QUEUED; i++) {
        struct proto_message range = submit_range(i, 3, i == DAMAGED);

        snprintf(name, sizeof name, "name-%llu-", (unsigned long long)i);
        range.submit.name = proto_text(name);
        if (i == DAMAGED)
            range.submit.common = (struct proto_text){common, COMMON_BYTES + 3};
        range.submit.after = &after;
        range.submit.after_count = i == QUEUED;
        world_message(&w, i == DAMAGED ? "b" : "a", &range);
    }
    world_settle(&w);
    say_large_list("a", QUEUED + 1, 2 * CACHE_BYTES / (1 << 20), 1 << 20);
    free(common);
}

/* Lets everything happen; it is logged once that a batch is said to be so. */
static void settle_saying(const char *words)
{
    static char text[1 << 20];
    int before = dup(STDERR_FILENO), log = memfd_create("log", MFD_CLOEXEC);
    const char *found;

    CHECK(before >= 0 && log >= 0 && dup2(log, STDERR_FILENO) >= 0);
    world_settle(&w);
    CHECK(dup2(before, STDERR_FILENO) >= 0 && pread(log, text, sizeof text - 1, 0) > 0);
    close(before);
    close(log);
    found = strstr(text, words);
    CHECK_SAYING(found && !strstr(found + 1, words), text);
}

/* Runs all that can be run, with a page of the file damaged under a coordinator that has not read it. */
static void run_damaged(const char *word, const char *logged)
{
    make_folder();
    open_again(1);
    world_hello(&w, "b", "");
    submit_queue();
    flip_page_with(word);
    w.hold_workers = false;
    settle_saying(logged);
    CHECK(ledger_count(w.ledger).waiting == 0 && w.runs % 3 == 0);
    CHECK(world_expect(&w, "b", PROTO_ERROR)->error.code == MUSTER_ESYSTEM);
    say_request("a", PROTO_REQUEST_STATUS, DAMAGED, 0, "");
    CHECK(answered("a") == MUSTER_ESYSTEM);
}

/* One number out of the file. */
static int64_t look_up(const char *text)
{
    sqlite3_stmt *statement;
    sqlite3 *handle;
    int64_t number;

    CHECK(sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE, "muster") == SQLITE_OK);
    CHECK(sqlite3_prepare_v2(handle, text, -1, &statement, NULL) == SQLITE_OK);
    CHECK(sqlite3_step(statement) == SQLITE_ROW);
    number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    CHECK(sqlite3_close(handle) == SQLITE_OK);
    return number;
}

/* It held up all that waited behind it in its lane. */
static void batch_that_waits_and_cannot_be_read_is_lost_and_those_behind_it_run(void)
{
    run_damaged("common-of-one", "batch 250 is lost");
    CHECK(w.runs == 3 * (QUEUED - 2));
    check_state("a", DAMAGED + 1, "succeeded");
    check_state("a", QUEUED, "cancelled"); /* it waited for the success of that one */
    world_close(&w);
    CHECK(look_up("SELECT state FROM batch WHERE number = 250") == STORE_LOST);
    CHECK(look_up("SELECT cancelled FROM batch WHERE number = 250") == 3);
    remove_folder();
}

/* Into the lane, which was over, and finds in the store what it has passed. */
static void submit_more(void)
{
    enum { MORE = 20 };
    uint64_t before = w.runs;

    w.hold_workers = true;
    for (uint64_t i = 1; i <= MORE; i++) {
        struct proto_message range = submit_range(2 * QUEUED + i, 3, false);

        world_say(&w, "a", &range);
    }
    CHECK(ledger_count(w.ledger).waiting > 0);
    w.hold_workers = false;
    world_settle(&w);
    CHECK(w.runs == before + 3 * MORE && ledger_count(w.ledger).waiting == 0 && !w.ledger->lanes);
}

/* With others of its page: they stay what they are, in the file, since nothing can be written there; nor in
 * the pages beside it, when their rows do not fit into these any more, but all that can be read runs. */
static void batch_whose_row_is_damaged_holds_up_nobody_behind_it(void)
{
    enum { NEIGHBOURS = 200 }; /* at most, on either side: of these pages */

    run_damaged("name-250-", "batch 250 cannot be recorded as lost");
    CHECK(w.runs < 3 * (QUEUED - 1) && w.runs > 3 * (QUEUED - 150));
    submit_more();
    check_state("a", DAMAGED - NEIGHBOURS, "succeeded");
    check_state("a", DAMAGED + NEIGHBOURS, "succeeded");
    world_close(&w);
    CHECK(look_up("SELECT state FROM batch WHERE number = 500") == STORE_BLOCKED);
    remove_folder();
}

static void batch_of_wide_jobs_runs_on_fewer_cores_than_it_was_accepted_for(void)
{
    struct proto_message range = submit_range(1, 3, false);

    range.submit.cpus = 4;
    make_folder();
    w.hold_workers = true;
    world_open(&w, path, 1, 4);
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
        C(batch_that_waits_and_cannot_be_read_is_lost_and_those_behind_it_run),
        C(batch_whose_row_is_damaged_holds_up_nobody_behind_it),
        C(batch_of_wide_jobs_runs_on_fewer_cores_than_it_was_accepted_for),
        C(restart_behind_more_recorded_jobs_than_the_core_takes_at_once_goes_on),
    };

    return check_all(checks, sizeof checks / sizeof *checks);
}
