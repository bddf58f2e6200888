/* SPDX-License-Identifier: MIT
 *
 * The ledger with a core and a file that is damaged under it: what waits there and cannot be read is lost, or
 * stays as it is where nothing can be written, and holds up nobody else.
 */
#include "proto/codec.h"
#include "tests/support/check.h"
#include "tests/support/ledger_steps.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A bit of the page, wherever it is in the file. */
static void flip_page_with(const char *word)
{
    FILE *file = fopen(state_path, "r+e");
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
enum { NEIGHBOURS = 240 }; /* at most, on either side: of these pages */

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
    ssize_t size;

    CHECK(before >= 0 && log >= 0 && dup2(log, STDERR_FILENO) >= 0);
    world_settle(&w);
    CHECK(dup2(before, STDERR_FILENO) >= 0 && (size = pread(log, text, sizeof text - 1, 0)) > 0);
    text[size] = '\0';
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

    CHECK(sqlite3_open_v2(state_path, &handle, SQLITE_OPEN_READWRITE, "muster") == SQLITE_OK);
    CHECK(sqlite3_prepare_v2(handle, text, -1, &statement, NULL) == SQLITE_OK);
    CHECK_SAYING(sqlite3_step(statement) == SQLITE_ROW, sqlite3_errmsg(handle));
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
    run_damaged("name-250-", "batch 250 cannot be recorded as lost");
    CHECK(w.runs < 3 * (QUEUED - 1) && w.runs > 3 * (QUEUED - 150));
    submit_more();
    check_state("a", DAMAGED - NEIGHBOURS, "succeeded");
    check_state("a", DAMAGED + NEIGHBOURS, "succeeded");
    world_close(&w);
    CHECK(look_up("SELECT state FROM batch WHERE number = 500") == STORE_BLOCKED);
    remove_folder();
}

enum { WAITER = 400 }; /* that is to be damaged, and of which client b takes results */

/* The others wait for the first one, or for their time. */
static void submit_waiting(bool delayed)
{
    struct proto_after after = {.batch = 1, .condition = PROTO_AFTER_OK};
    char name[16];

    make_folder();
    open_again(1);
    world_hello(&w, "b", "");
    for (uint64_t i = 1; i <= QUEUED; i++) {
        struct proto_message range = submit_range(i, 3, i == WAITER);

        snprintf(name, sizeof name, "name-%llu-", (unsigned long long)i);
        range.submit.name = proto_text(name);
        range.submit.after = &after;
        range.submit.after_count = i > 1 && !delayed;
        range.submit.begin_ms = delayed ? w.now_ms + 1000 + i / 2 : 0;
        world_message(&w, i == WAITER ? "b" : "a", &range);
    }
    world_settle(&w);
    say_large_list("a", QUEUED + 1, 2 * CACHE_BYTES / (1 << 20), 1 << 20);
}

static uint64_t count_in(enum store_state state)
{
    char text[80];

    snprintf(text, sizeof text, "SELECT coalesce(sum(batches), 0) FROM tally WHERE state = %d", state);
    return (uint64_t)look_up(text);
}

/* None of them began, until another one was submitted. */
static void delayed_batch_whose_row_is_damaged_holds_up_no_other(void)
{
    struct proto_message later = submit_range(2 * QUEUED, 3, false);

    submit_waiting(true);
    flip_page_with("name-400-");
    w.hold_workers = false;
    w.now_ms += 2000;
    ledger_tick(w.ledger, w.now_ms, &w.outbox);
    settle_saying("batch 400 cannot be recorded as lost");
    CHECK(w.runs < 3 * QUEUED && w.runs > 3 * (QUEUED - 180));
    CHECK(ledger_count(w.ledger).waiting == 0 && ledger_deadline_ms(w.ledger) == UINT64_MAX);
    CHECK(world_expect(&w, "b", PROTO_ERROR)->error.code == MUSTER_ESYSTEM);
    check_state("a", 1, "succeeded");
    check_state("a", WAITER - NEIGHBOURS, "succeeded");
    w.runs = 0;
    later.submit.begin_ms = w.now_ms + 1000;
    world_say(&w, "a", &later);
    let_pass();
    CHECK(w.runs == 3 && ledger_deadline_ms(w.ledger) == UINT64_MAX);
    world_close(&w);
    CHECK(count_in(STORE_DELAYED) > 0 && count_in(STORE_DELAYED) < 180);
    remove_folder();
}

/* Ends the one that the others wait for. */
static void end_first(const char *damage, const char *logged, const char *state)
{
    submit_waiting(false);
    flip_page_with(damage);
    w.fail_every = strcmp(state, "failed") == 0;
    w.hold_workers = false;
    settle_saying(logged);
    check_state("a", 1, state);
    CHECK(world_expect(&w, "b", PROTO_ERROR)->error.code == MUSTER_ESYSTEM);
    CHECK(ledger_count(w.ledger).waiting == 0 && ledger_deadline_ms(w.ledger) == UINT64_MAX);
}

/* Its end was not recorded, and none of them went on. */
static void batch_ends_whose_waiter_has_a_damaged_row_and_the_others_go_on(void)
{
    end_first("name-400-", "batch 400 cannot be recorded as lost", "succeeded");
    CHECK(w.runs < 3 * QUEUED && w.runs > 3 * (QUEUED - 180));
    check_state("a", WAITER - NEIGHBOURS, "succeeded");
    world_close(&w);
    CHECK(count_in(STORE_BLOCKED) > 0 && count_in(STORE_BLOCKED) < 180);
    remove_folder();
    end_first("name-400-", "batch 400 cannot be recorded as lost", "failed");
    CHECK(w.runs == 3);
    check_state("a", WAITER - NEIGHBOURS, "cancelled");
    world_close(&w);
    CHECK(count_in(STORE_BLOCKED) > 0 && count_in(STORE_BLOCKED) < 300);
    CHECK(count_in(STORE_BLOCKED) + count_in(STORE_CANCELLED) == QUEUED - 1);
    remove_folder();
}

/* Nobody can say any more what else they wait for. */
static void batches_are_lost_of_which_it_is_damaged_what_they_wait_for(void)
{
    end_first("\x04\x02\x09\x09\x01\x90", "batch 400 is lost", "succeeded"); /* the number in the row: 400 */
    world_close(&w);
    CHECK(count_in(STORE_LOST) > 0 && count_in(STORE_LOST) < QUEUED - 1);
    CHECK(count_in(STORE_LOST) + count_in(STORE_SUCCEEDED) == QUEUED);
    CHECK(look_up("SELECT cancelled FROM batch WHERE number = 400") == 3);
    CHECK(w.runs == 3 * count_in(STORE_SUCCEEDED));
    remove_folder();
}

/* With the index of what has not ended left as it is, as if a page of it had not been written. */
static void change_rows_alone(const char *change)
{
    char text[640];
    sqlite3 *handle;

    snprintf(text, sizeof text,
             "PRAGMA writable_schema = ON;"
             "CREATE TEMP TABLE kept AS SELECT * FROM sqlite_schema WHERE name = 'batch_active';"
             "DELETE FROM sqlite_schema WHERE name = 'batch_active'; PRAGMA writable_schema = RESET; %s;"
             "PRAGMA writable_schema = ON; INSERT INTO sqlite_schema SELECT * FROM kept",
             change);
    CHECK(sqlite3_open_v2(state_path, &handle, SQLITE_OPEN_READWRITE, "muster") == SQLITE_OK);
    CHECK_SAYING(sqlite3_exec(handle, text, NULL, NULL, NULL) == SQLITE_OK, sqlite3_errmsg(handle));
    CHECK(sqlite3_close(handle) == SQLITE_OK);
}

/* Three batches that begin in a second, of which rows are changed while there is no coordinator. */
static void begin_changed(const char *change)
{
    make_folder();
    open_again(1);
    for (uint64_t i = 1; i <= 3; i++) {
        struct proto_message range = submit_range(i, 3, false);

        range.submit.begin_ms = w.now_ms + 1000;
        world_message(&w, "a", &range);
    }
    world_settle(&w);
    world_close(&w);
    change_rows_alone(change);
    open_again(2);
    w.hold_workers = false;
    w.now_ms += 2000;
    ledger_tick(w.ledger, w.now_ms, &w.outbox);
}

/* None of them began. */
static void delayed_batch_that_the_index_has_at_another_time_holds_up_no_other(void)
{
    begin_changed("UPDATE batch SET begin_ms = begin_ms + 3 WHERE number = 2");
    settle_saying("batch 2 cannot be recorded as lost");
    CHECK(w.runs == 6 && ledger_deadline_ms(w.ledger) == UINT64_MAX);
    check_state("a", 1, "succeeded");
    check_state("a", 3, "succeeded");
    world_close(&w);
    remove_folder();
}

/* It was given up, and its counts were gone. */
static void batch_that_has_ended_and_that_the_index_has_as_delayed_stays_what_it_is(void)
{
    begin_changed("UPDATE batch SET state = 6, succeeded = 3, failed = 0, cancelled = 0, ended_ms = 1 "
                  "WHERE number = 2");
    world_settle(&w);
    CHECK(w.runs == 6 && ledger_deadline_ms(w.ledger) == UINT64_MAX);
    check_state("a", 2, "succeeded");
    check_state("a", 3, "succeeded");
    world_close(&w);
    CHECK(look_up("SELECT succeeded FROM batch WHERE number = 2") == 3);
    remove_folder();
}

int main(void)
{
    static const struct check checks[] = {
#define C(name) {#name, name}
        C(batch_that_waits_and_cannot_be_read_is_lost_and_those_behind_it_run),
        C(batch_whose_row_is_damaged_holds_up_nobody_behind_it),
        C(delayed_batch_whose_row_is_damaged_holds_up_no_other),
        C(batch_ends_whose_waiter_has_a_damaged_row_and_the_others_go_on),
        C(batches_are_lost_of_which_it_is_damaged_what_they_wait_for),
        C(delayed_batch_that_the_index_has_at_another_time_holds_up_no_other),
        C(batch_that_has_ended_and_that_the_index_has_as_delayed_stays_what_it_is),
    };

    return check_all(checks, sizeof checks / sizeof *checks);
}
