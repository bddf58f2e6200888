/* SPDX-License-Identifier: MIT
 *
 * The store as a queue: who is next in a lane, what waits for other batches or for its time, what is
 * forgotten, and what a start finds. A deep queue costs what a short one costs.
 */
#include "tests/unit/coordinator/store_fixture.h"

#include "coordinator/store_entry.h"
#include "coordinator/store_schema.h"

#include <string.h>

static struct store *store;
static struct blob *argument;

static void open_store(void)
{
    argument = fixture_slice("1").blob;
    store = fixture_open(NULL);
}

static void close_store(void)
{
    store_destroy(store);
    blob_unref(argument);
}

/* Adds a batch that waits for up to two others (0: none). Returns the completion's code. */
static int add_after(uint64_t number, uint64_t first, enum store_condition condition, uint64_t second,
                     enum store_state *ret_state)
{
    const struct store_after after[] = {{first, condition}, {second, condition}};
    struct store_request request = fixture_single(number, argument);
    struct store_done *done;
    int code;

    request.add.after = after;
    request.add.after_count = second ? 2 : first ? 1 : 0;
    done = fixture_ask(store, &request);
    code = done->code;
    *ret_state = done->state;
    store_done_free(done);
    return code;
}

static void add(uint64_t number, int32_t priority, const char *user)
{
    struct store_request request = fixture_single(number, argument);

    request.add.lane = (struct store_lane){.priority = priority, .user = fixture_text(user)};
    CHECK(fixture_code(store, &request) == 0);
}

static int set(enum store_operation operation, uint64_t number, enum store_state state)
{
    struct store_request request = fixture_state(operation, number, state);

    return fixture_code(store, &request);
}

static int ask(enum store_operation operation, uint64_t number)
{
    return set(operation, number, STORE_OPENING);
}

/* Asks NEXT or LIST, and compares the numbers. */
static void check_numbers(const struct store_request *request, const uint64_t *numbers, uint32_t count)
{
    struct store_done *done = fixture_ask(store, request);

    CHECK(done->code == 0 && done->count == count);
    for (uint32_t i = 0; i < count; i++)
        CHECK(done->batches[i].number == numbers[i]);
    store_done_free(done);
}

static void lane_is_served_in_order_of_numbers(void)
{
    struct store_request request = {.operation = STORE_NEXT,
                                    .page = {.lane = {.priority = 2, .user = fixture_text("ann")}}};

    open_store();
    add(5, 2, "ann");
    add(3, 2, "ann");
    add(4, 2, "bob");
    add(6, 1, "ann");
    add(8, 2, "ann");
    check_numbers(&request, (uint64_t[]){3, 5, 8}, 3);
    request.page.count_max = 2;
    check_numbers(&request, (uint64_t[]){3, 5}, 2);
    request.page.from = 3;
    check_numbers(&request, (uint64_t[]){5, 8}, 2);
    CHECK(set(STORE_STATE, 5, STORE_RUNNING) == 0);
    check_numbers(&request, (uint64_t[]){8}, 1);
    CHECK(set(STORE_STATE, 5, STORE_RUNNING) == MUSTER_ESTATE);
    CHECK(set(STORE_STATE, 5, STORE_QUEUED) == 0);
    check_numbers(&request, (uint64_t[]){5, 8}, 2);
    request.page.lane.user = fixture_text("nobody");
    check_numbers(&request, NULL, 0);
    close_store();
}

static void counts_are_of_what_waits_in_each_lane(void)
{
    struct store_request request = {.operation = STORE_COUNTS};
    struct store_done *done;

    open_store();
    done = fixture_ask(store, &request);
    CHECK(done->count == 0 && done->highest == 0 && done->begin_ms == 0);
    store_done_free(done);
    add(5, 2, "ann");
    add(6, 2, "ann");
    add(9, 0, "bob");
    add(7, 2, "ann");
    CHECK(set(STORE_STATE, 7, STORE_RUNNING) == 0);
    done = fixture_ask(store, &request);
    CHECK(done->count == 2 && done->highest == 9);
    for (uint32_t i = 0; i < 2; i++)
        CHECK(done->waiting[i].batches == (done->waiting[i].lane.priority == 2 ? 2 : 1));
    store_done_free(done);
    close_store();
}

static void number_of_a_forgotten_batch_is_not_given_again(void)
{
    struct store_request request = {.operation = STORE_COUNTS};
    struct store_done *done;

    open_store();
    add(41, 0, "ann");
    CHECK(set(STORE_END, 41, STORE_SUCCEEDED) == 0);
    CHECK(ask(STORE_DROP, 41) == 0);
    CHECK(ask(STORE_FIND, 41) == MUSTER_ENOTFOUND);
    done = fixture_ask(store, &request);
    CHECK(done->count == 0 && done->highest == 41);
    store_done_free(done);
    close_store();
}

/* Ends a batch and compares what moved: pairs of number and state. */
static void check_end(uint64_t number, enum store_state state, const uint64_t *moved, uint32_t count)
{
    struct store_request request = fixture_state(STORE_END, number, state);
    struct store_done *done = fixture_ask(store, &request);

    CHECK_SAYING(done->code == 0, done->text);
    CHECK(done->count == count);
    for (uint32_t i = 0; i < count; i++) {
        CHECK(done->moved[i].batch == moved[2 * i] && done->moved[i].state == moved[2 * i + 1]);
        CHECK(store_state_is_end(done->moved[i].state) ||
              (done->moved[i].lane.user.size == 3 && memcmp(done->moved[i].lane.user.bytes, "ann", 3) == 0));
        CHECK(fixture_find(store, moved[2 * i]) == done->moved[i].state);
    }
    store_done_free(done);
}

static void batch_waits_until_all_of_the_others_have_ended(void)
{
    enum store_state state;

    open_store();
    add(1, 0, "ann");
    add(2, 0, "ann");
    CHECK(add_after(3, 1, STORE_AFTER_OK, 2, &state) == 0 && state == STORE_BLOCKED);
    CHECK(add_after(4, 3, STORE_AFTER_ANY, 0, &state) == 0 && state == STORE_BLOCKED);
    check_end(1, STORE_SUCCEEDED, NULL, 0);
    CHECK(fixture_find(store, 3) == STORE_BLOCKED);
    check_end(2, STORE_SUCCEEDED, (uint64_t[]){3, STORE_QUEUED}, 1);
    CHECK(set(STORE_END, 2, STORE_SUCCEEDED) == MUSTER_ESTATE);
    check_end(3, STORE_FAILED, (uint64_t[]){4, STORE_QUEUED}, 1);
    close_store();
}

static void failed_condition_cancels_all_that_hang_on_it_each_once(void)
{
    enum store_state state;

    open_store();
    add(1, 0, "ann");
    CHECK(add_after(2, 1, STORE_AFTER_OK, 0, &state) == 0);
    CHECK(add_after(3, 1, STORE_AFTER_OK, 0, &state) == 0);
    CHECK(add_after(4, 2, STORE_AFTER_ANY, 3, &state) == 0); /* both of which are cancelled */
    CHECK(add_after(5, 2, STORE_AFTER_OK, 4, &state) == 0);
    CHECK(add_after(6, 1, STORE_AFTER_ANY, 0, &state) == 0);
    check_end(1, STORE_LOST,
              (uint64_t[]){2, STORE_CANCELLED, 3, STORE_CANCELLED, 6, STORE_QUEUED, 4, STORE_QUEUED, 5,
                           STORE_CANCELLED},
              5);
    close_store();
}

static void conditions_that_are_decided_already_are_heeded_at_once(void)
{
    enum store_state state;

    open_store();
    add(1, 0, "ann");
    add(2, 0, "ann");
    check_end(1, STORE_FAILED, NULL, 0);
    check_end(2, STORE_SUCCEEDED, NULL, 0);
    CHECK(add_after(3, 1, STORE_AFTER_OK, 0, &state) == 0 && state == STORE_CANCELLED);
    CHECK(add_after(4, 1, STORE_AFTER_ANY, 2, &state) == 0 && state == STORE_QUEUED);
    CHECK(add_after(5, 2, STORE_AFTER_OK, 3, &state) == 0 && state == STORE_CANCELLED);
    CHECK(add_after(6, 99, STORE_AFTER_ANY, 0, &state) == MUSTER_ENOTFOUND);
    CHECK(ask(STORE_FIND, 6) == MUSTER_ENOTFOUND);
    close_store();
}

static void batch_that_another_waits_for_is_not_forgotten(void)
{
    enum store_state state;

    open_store();
    add(1, 0, "ann");
    add(2, 0, "ann");
    CHECK(ask(STORE_DROP, 1) == MUSTER_ESTATE); /* it has not ended */
    CHECK(add_after(3, 1, STORE_AFTER_OK, 2, &state) == 0);
    check_end(1, STORE_SUCCEEDED, NULL, 0);
    CHECK(ask(STORE_DROP, 1) == MUSTER_ESTATE);
    check_end(2, STORE_SUCCEEDED, (uint64_t[]){3, STORE_QUEUED}, 1);
    CHECK(ask(STORE_DROP, 1) == 0);
    CHECK(ask(STORE_DROP, 1) == MUSTER_ENOTFOUND);
    CHECK(fixture_find(store, 3) == STORE_QUEUED);
    close_store();
}

static void delayed_batch_is_queued_when_its_time_comes(void)
{
    struct store_request due = {.operation = STORE_DUE, .now_ms = 1700000005000};
    struct store_done *done;

    open_store();
    for (uint64_t i = 1; i <= 3; i++) {
        struct store_request request = fixture_single(i, argument);

        request.add.begin_ms = 1700000000000 + (4 - i) * 2000;
        CHECK(fixture_code(store, &request) == 0);
        CHECK(fixture_find(store, i) == STORE_DELAYED);
    }
    done = fixture_ask(store, &due);
    CHECK(done->count == 2 && !done->more && done->begin_ms == 1700000006000);
    CHECK(done->moved[0].batch == 3 && done->moved[1].batch == 2);
    CHECK(done->moved[0].state == STORE_QUEUED);
    store_done_free(done);
    CHECK(fixture_find(store, 3) == STORE_QUEUED && fixture_find(store, 1) == STORE_DELAYED);
    due.now_ms = 1700000006000;
    done = fixture_ask(store, &due);
    CHECK(done->count == 1 && done->begin_ms == 0);
    store_done_free(done);
    close_store();
}

static void start_forgets_what_was_not_sealed_and_says_what_ran(void)
{
    struct store_request unsealed, resume = {.operation = STORE_RESUME};

    open_store();
    unsealed = fixture_single(2, argument);
    unsealed.add.sealed = false;
    add(1, 0, "ann");
    CHECK(fixture_code(store, &unsealed) == 0);
    unsealed.add.number = 3;
    CHECK(fixture_code(store, &unsealed) == 0);
    unsealed.add.number = 4;
    CHECK(fixture_code(store, &unsealed) == 0);
    CHECK(set(STORE_STATE, 1, STORE_RUNNING) == 0);
    CHECK(set(STORE_STATE, 4, STORE_RUNNING) == 0);
    add(5, 0, "ann");
    add(6, 7, "bob");
    CHECK(set(STORE_STATE, 6, STORE_RUNNING) == 0);
    CHECK(ask(STORE_ABANDON, 1) == MUSTER_ESTATE);
    CHECK(ask(STORE_ABANDON, 3) == 0);
    CHECK(ask(STORE_RESET, 0) == 0);
    check_numbers(&resume, (uint64_t[]){1, 6}, 2);
    resume.page.from = 1;
    check_numbers(&resume, (uint64_t[]){6}, 1);
    for (uint64_t i = 2; i <= 4; i++)
        CHECK(ask(STORE_FIND, i) == MUSTER_ENOTFOUND);
    close_store();
}

/* It would wait for ever should that be abandoned: nothing is ever said of its end. */
static void batch_that_is_not_accepted_yet_cannot_be_waited_for(void)
{
    struct store_request unsealed;
    enum store_state state;

    open_store();
    unsealed = fixture_single(1, argument);
    unsealed.add.sealed = false;
    CHECK(fixture_code(store, &unsealed) == 0);
    CHECK(add_after(2, 1, STORE_AFTER_ANY, 0, &state) == MUSTER_ENOTFOUND);
    CHECK(set(STORE_STATE, 1, STORE_RUNNING) == 0); /* its jobs may run ahead of that */
    CHECK(add_after(2, 1, STORE_AFTER_OK, 0, &state) == MUSTER_ENOTFOUND);
    CHECK(ask(STORE_ABANDON, 1) == 0);
    CHECK(add_after(2, 1, STORE_AFTER_ANY, 0, &state) == MUSTER_ENOTFOUND);
    close_store();
}

/* Adds a list of blocks of 3 MiB that is not sealed. */
static void add_large(uint64_t number, uint32_t blocks)
{
    static char bytes[3 << 20];
    struct store_request request = fixture_single(number, argument);

    request.add.sealed = false;
    request.add.block = (struct store_block){0};
    CHECK(fixture_code(store, &request) == 0);
    request = (struct store_request){.operation = STORE_ARGUMENTS, .batch = number};
    for (uint32_t i = 0; i < blocks; i++) {
        request.block =
            (struct store_block){.first = i + 1,
                                 .count = 1,
                                 .payload = {.blob = blob_copy(bytes, sizeof bytes), .size = sizeof bytes}};
        CHECK(request.block.payload.blob && fixture_code(store, &request) == 0);
        blob_unref(request.block.payload.blob);
    }
}

/* Whether it says that more is left behind it. */
static bool leaves_more(enum store_operation operation, uint64_t batch)
{
    struct store_done *done =
        fixture_ask(store, &(struct store_request){.operation = operation, .batch = batch, .now_ms = 9});
    bool more = done->more;

    CHECK_SAYING(done->code == 0, done->text);
    store_done_free(done);
    return more;
}

static void forgetting_a_large_batch_is_not_done_at_one_stroke(void)
{
    unsigned slices = 0;

    open_store();
    add_large(1, 8);
    add_large(2, 1);
    CHECK(leaves_more(STORE_ABANDON, 1));
    CHECK(ask(STORE_FIND, 1) == MUSTER_ENOTFOUND); /* but it is gone */
    CHECK(ask(STORE_LOAD, 1) == MUSTER_ENOTFOUND);
    CHECK(leaves_more(STORE_SWEEP, 0));
    CHECK(leaves_more(STORE_ABANDON, 2)); /* of the other one, still */
    while (leaves_more(STORE_SWEEP, 0))
        slices++;
    CHECK(slices >= 3);
    close_store();
}

static void what_is_left_of_a_forgotten_batch_outlives_the_coordinator(void)
{
    const char *path = fixture_path("leaving");

    argument = fixture_slice("1").blob;
    store = fixture_open(path);
    add_large(1, 8);
    add_large(2, 4);
    CHECK(leaves_more(STORE_ABANDON, 1));
    store_destroy(store);
    store = fixture_open(path);
    CHECK(leaves_more(STORE_RESET, 0)); /* and batch 2 was not sealed */
    add(3, 0, "ann");
    while (leaves_more(STORE_SWEEP, 0)) {
    }
    close_store();
    CHECK(fixture_count(path, "argument") == 0 && fixture_count(path, "leaving") == 0);
    CHECK(fixture_count(path, "batch") == 1);
}

static void list_shows_only_what_was_asked_for(void)
{
    struct store_request request = {.operation = STORE_LIST, .page = {.downwards = true}};

    open_store();
    add(1, 0, "ann");
    add(2, 0, "bob");
    add(3, 0, "ann");
    check_end(3, STORE_FAILED, NULL, 0);
    check_numbers(&request, (uint64_t[]){3, 2, 1}, 3);
    request.page.from = 3;
    check_numbers(&request, (uint64_t[]){2, 1}, 2);
    request.page = (struct store_page){.user = fixture_text("ann")};
    check_numbers(&request, (uint64_t[]){1, 3}, 2);
    request.page = (struct store_page){.states = 1 << STORE_FAILED};
    check_numbers(&request, (uint64_t[]){3}, 1);
    request.page = (struct store_page){.name = fixture_text("none")};
    check_numbers(&request, NULL, 0);
    close_store();
}

static void list_of_rare_batches_stops_and_goes_on(void)
{
    struct store_request request = {.operation = STORE_LIST, .page = {.states = 1 << STORE_FAILED}};
    unsigned pages = 0, found = 0;
    bool more = true;

    open_store();
    for (uint64_t i = 1; i <= 2 * STORE_SCAN_MAX + 1; i++) {
        struct store_request single = fixture_single(i, argument);

        CHECK(store_submit(store, &single) == 0);
    }
    for (uint64_t i = 1; i <= 2 * STORE_SCAN_MAX + 1; i++)
        store_done_free(fixture_done(store));
    check_end(2 * STORE_SCAN_MAX + 1, STORE_FAILED, NULL, 0);
    while (more) {
        struct store_done *done = fixture_ask(store, &request);

        found += done->count;
        pages++;
        more = done->more;
        request.page.from = done->next;
        store_done_free(done);
    }
    CHECK(pages == 3 && found == 1);
    close_store();
}

/* What a request costs: steps of SQLite's machine, and pages that are looked at. */
struct cost {
    long steps, pages;
};

static struct cost cost_of(struct store_database *database, const struct store_request *request)
{
    int hits, misses, high;
    struct store_entry *entry;
    struct cost cost = {0};

    CHECK(store_entry_create(request, &entry) == 0);
    for (int i = 0; i < SQL_COUNT; i++)
        sqlite3_stmt_status(database->statements[i], SQLITE_STMTSTATUS_VM_STEP, 1);
    sqlite3_db_status(database->handle, SQLITE_DBSTATUS_CACHE_HIT, &hits, &high, 1);
    sqlite3_db_status(database->handle, SQLITE_DBSTATUS_CACHE_MISS, &misses, &high, 1);
    CHECK(store_write(database, entry) == 0 && !database->failure);
    for (int i = 0; i < SQL_COUNT; i++)
        cost.steps += sqlite3_stmt_status(database->statements[i], SQLITE_STMTSTATUS_VM_STEP, 1);
    sqlite3_db_status(database->handle, SQLITE_DBSTATUS_CACHE_HIT, &hits, &high, 1);
    sqlite3_db_status(database->handle, SQLITE_DBSTATUS_CACHE_MISS, &misses, &high, 1);
    cost.pages = hits + misses;
    store_entry_destroy(entry);
    return cost;
}

/* A sanitizer looks at every row of a million for many seconds, and finds no more in them. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DEEP 100000
#else
#define DEEP 1000000
#endif

static void deep_queue_costs_more_than_an_empty_one(void)
{
    char fill[512];
    struct store_request next = {.operation = STORE_NEXT,
                                 .page = {.lane = {.user = fixture_text("ann")}, .count_max = 1}};
    struct store_request single;
    struct store_database database;
    struct muster_error error;
    struct cost add_short, add_deep, next_short, next_deep;

    argument = fixture_slice("1").blob;
    single = fixture_single(1, argument);
    CHECK_SAYING(store_database_open(NULL, &database, &error) == 0, error.text);
    cost_of(&database, &single);
    single.add.number = 2;
    add_short = cost_of(&database, &single);
    next_short = cost_of(&database, &next);
    snprintf(fill, sizeof fill,
             "WITH RECURSIVE n (i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
             "INSERT INTO batch (number, state, lane, work, submitted_ms, total, argument_count, argument) "
             "SELECT i, 4, 1, 1, 1700000000000, 1, 1, '1' FROM n",
             DEEP);
    CHECK(sqlite3_exec(database.handle, fill, NULL, NULL, NULL) == SQLITE_OK);
    single.add.number = DEEP + 1;
    add_deep = cost_of(&database, &single);
    next_deep = cost_of(&database, &next);
    printf("    add %ld steps, %ld pages; deep %ld, %ld; next %ld, %ld; deep %ld, %ld\n", add_short.steps,
           add_short.pages, add_deep.steps, add_deep.pages, next_short.steps, next_short.pages,
           next_deep.steps, next_deep.pages);
    /* The same work; two trees are up to two pages deeper, and each of them may split a page. */
    CHECK(add_deep.steps <= add_short.steps + 10 && add_deep.pages <= add_short.pages + 12);
    CHECK(next_deep.steps <= next_short.steps + 10 && next_deep.pages <= next_short.pages + 6);
    store_database_close(&database);
    blob_unref(argument);
}

int main(void)
{
    static const struct check checks[] = {
#define TEST(name) {#name, name}
        TEST(lane_is_served_in_order_of_numbers),
        TEST(counts_are_of_what_waits_in_each_lane),
        TEST(number_of_a_forgotten_batch_is_not_given_again),
        TEST(batch_waits_until_all_of_the_others_have_ended),
        TEST(failed_condition_cancels_all_that_hang_on_it_each_once),
        TEST(conditions_that_are_decided_already_are_heeded_at_once),
        TEST(batch_that_another_waits_for_is_not_forgotten),
        TEST(delayed_batch_is_queued_when_its_time_comes),
        TEST(start_forgets_what_was_not_sealed_and_says_what_ran),
        TEST(batch_that_is_not_accepted_yet_cannot_be_waited_for),
        TEST(forgetting_a_large_batch_is_not_done_at_one_stroke),
        TEST(what_is_left_of_a_forgotten_batch_outlives_the_coordinator),
        TEST(list_shows_only_what_was_asked_for),
        TEST(list_of_rare_batches_stops_and_goes_on),
        TEST(deep_queue_costs_more_than_an_empty_one),
    };

    return check_all(checks, sizeof checks / sizeof *checks);
}
