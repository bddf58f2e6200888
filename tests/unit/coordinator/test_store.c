/* SPDX-License-Identifier: MIT
 *
 * What goes into a store comes out of it: batches, arguments, results, in memory and from a file that
 * was closed in between; what cannot be done is refused and changes nothing. A plain executable,
 * since a store has a thread.
 */
#include "tests/unit/coordinator/store_fixture.h"

#include <string.h>

static bool is(struct proto_text text, const char *words)
{
    return text.size == strlen(words) && memcmp(text.bytes, words, text.size) == 0;
}

static bool holds(struct slice slice, const char *words)
{
    return slice.size == strlen(words) && memcmp(slice_bytes(&slice), words, slice.size) == 0;
}

static struct blob *blob_of(const char *text)
{
    return fixture_slice(text).blob;
}

static void add_single(struct store *store, uint64_t number)
{
    struct blob *argument = blob_of("1");
    struct store_request request = fixture_single(number, argument);

    CHECK(fixture_code(store, &request) == 0);
    blob_unref(argument);
}

/* Adds an unsealed list with `blocks` blocks of ten arguments, of `size` bytes each. */
static void add_list(struct store *store, uint64_t number, uint32_t blocks, size_t size)
{
    char *bytes = malloc(size);
    struct blob *blob;
    struct store_request request;

    CHECK(bytes);
    memset(bytes, 'x', size);
    blob = blob_take(bytes, size);
    CHECK(blob);
    request = fixture_single(number, blob);
    request.add.sealed = false;
    request.add.total = 0;
    request.add.block = (struct store_block){.first = 0};
    CHECK(fixture_code(store, &request) == 0);
    for (uint32_t i = 0; i < blocks; i++) {
        request = (struct store_request){
            .operation = STORE_ARGUMENTS,
            .batch = number,
            .block = {.first = 1 + 10 * (uint64_t)i, .count = 10, .payload = {.blob = blob, .size = size}}};
        CHECK(fixture_code(store, &request) == 0);
    }
    blob_unref(blob);
}

static int seal(struct store *store, uint64_t number, uint64_t total)
{
    struct store_request request = {.operation = STORE_SEAL, .batch = number, .total = total};

    return fixture_code(store, &request);
}

static int set(struct store *store, enum store_operation operation, uint64_t number, enum store_state state)
{
    struct store_request request = fixture_state(operation, number, state);

    return fixture_code(store, &request);
}

static int record(struct store *store, uint64_t batch, uint64_t first, uint32_t count, const char *payload)
{
    struct blob *blob = blob_of(payload);
    struct store_request request = fixture_record(batch, first, count, blob);
    int code = fixture_code(store, &request);

    blob_unref(blob);
    return code;
}

static void check_found(struct store *store)
{
    struct store_request request = {.operation = STORE_FIND, .batch = 7};
    struct store_done *done = fixture_ask(store, &request);
    const struct store_batch *batch = done->batches;

    CHECK_SAYING(done->code == 0 && done->count == 1, done->text);
    CHECK(batch->number == 7 && batch->state == STORE_QUEUED && batch->sealed && batch->total == 1);
    CHECK(batch->lane.priority == -3 && is(batch->lane.user, "ann") && is(batch->name, "a name"));
    CHECK(is(batch->function, "noop") && is(batch->settings, "settings"));
    CHECK(batch->kind == PROTO_LIST && batch->origin == 5 && batch->submitted_ms == 1700000000000);
    CHECK(batch->block.first == 1 && batch->block.count == 1 && holds(batch->block.payload, "argument"));
    CHECK(batch->after_count == 0 && batch->started_ms == 0 && batch->ended_ms == 0);
    store_done_free(done);
}

static void batch_comes_back_as_it_was_added(void)
{
    const char *paths[] = {NULL, fixture_path("round")};

    for (size_t i = 0; i < 2; i++) {
        struct store *store = fixture_open(paths[i]);
        struct blob *argument = blob_of("argument");
        struct store_request request = fixture_single(7, argument);

        request.tag = 99;
        request.add.name = fixture_text("a name");
        request.add.lane.priority = -3;
        request.add.origin = 5;
        CHECK(fixture_code(store, &request) == 0);
        blob_unref(argument);
        check_found(store);
        if (paths[i]) { /* and when it was closed in between */
            store_destroy(store);
            store = fixture_open(paths[i]);
            check_found(store);
        }
        store_destroy(store);
    }
}

static void range_keeps_its_ends(void)
{
    struct store *store = fixture_open(NULL);
    struct store_request add = {.operation = STORE_ADD,
                                .add = {.number = 1,
                                        .lane = {.user = fixture_text("")},
                                        .function = fixture_text("f"),
                                        .kind = PROTO_RANGE,
                                        .first = INT64_MIN,
                                        .last = INT64_MIN + 4,
                                        .sealed = true,
                                        .total = 5}};
    struct store_request find = {.operation = STORE_FIND, .batch = 1};
    struct store_done *done;

    CHECK(fixture_code(store, &add) == 0);
    done = fixture_ask(store, &find);
    CHECK(done->count == 1 && done->batches->kind == PROTO_RANGE && done->batches->first == INT64_MIN);
    CHECK(done->batches->last == INT64_MIN + 4 && done->batches->total == 5);
    store_done_free(done);
    store_destroy(store);
}

/* Loads from a job on, and checks that blocks follow each other until the last. */
static void check_load(struct store *store, uint64_t from, uint64_t first, uint64_t last, uint64_t bytes_max)
{
    struct store_request request = {
        .operation = STORE_LOAD, .batch = 1, .page = {.from = from, .bytes_max = bytes_max}};
    bool more = true;

    while (more) {
        struct store_done *done = fixture_ask(store, &request);

        CHECK(done->code == 0 && done->count >= 1);
        for (uint32_t i = 0; i < done->count; i++) {
            CHECK(done->blocks[i].first == first && done->blocks[i].count == 10);
            first += done->blocks[i].count;
        }
        CHECK(done->next == first);
        request.page.from = done->next;
        more = done->more;
        store_done_free(done);
    }
    CHECK(first == last + 1);
}

static void arguments_load_from_the_block_that_holds_the_job(void)
{
    struct store *store = fixture_open(NULL);
    struct store_request beyond = {.operation = STORE_LOAD, .batch = 1, .page = {.from = 51}};
    struct store_done *done;

    add_list(store, 1, 5, 5000);
    CHECK(seal(store, 1, 50) == 0);
    check_load(store, 1, 1, 50, 0);
    check_load(store, 10, 1, 50, 1);
    check_load(store, 11, 11, 50, 10000);
    check_load(store, 50, 41, 50, 1);
    done = fixture_ask(store, &beyond);
    CHECK(done->code == 0 && done->count == 0 && !done->more);
    store_done_free(done);
    store_destroy(store);
}

static void first_arguments_too_large_for_a_row_load_too(void)
{
    struct store *store = fixture_open(NULL);
    struct store_request request, find = {.operation = STORE_FIND, .batch = 1};
    struct store_done *done;
    struct blob *blob = blob_take(calloc(1, STORE_INLINE_BYTES_MAX + 1), STORE_INLINE_BYTES_MAX + 1);

    CHECK(blob && blob->bytes);
    request = fixture_single(1, blob);
    request.add.total = request.add.block.count = 10;
    CHECK(fixture_code(store, &request) == 0);
    blob_unref(blob);
    done = fixture_ask(store, &find);
    CHECK(done->count == 1 && done->batches->block.count == 0);
    store_done_free(done);
    check_load(store, 1, 1, 10, 0);
    store_destroy(store);
}

static void arguments_with_a_gap_are_refused(void)
{
    struct store *store = fixture_open(NULL);
    struct store_request request = {
        .operation = STORE_ARGUMENTS, .batch = 1, .block = {.first = 22, .count = 1}};

    add_list(store, 1, 2, 10);
    CHECK(fixture_code(store, &request) == MUSTER_ESTATE);
    request.block.first = 20;
    CHECK(fixture_code(store, &request) == MUSTER_ESTATE);
    CHECK(seal(store, 1, 19) == MUSTER_EINVALID);
    CHECK(fixture_find(store, 1) == STORE_OPENING);
    CHECK(seal(store, 1, 20) == 0);
    CHECK(seal(store, 1, 20) == MUSTER_ESTATE);
    request.block.first = 21;
    CHECK(fixture_code(store, &request) == MUSTER_ESTATE);
    request.batch = 2;
    CHECK(fixture_code(store, &request) == MUSTER_ENOTFOUND);
    store_destroy(store);
}

static void list_without_arguments_is_sealed_as_empty(void)
{
    struct store *store = fixture_open(NULL);

    add_list(store, 1, 0, 1);
    CHECK(seal(store, 1, 0) == 0);
    CHECK(fixture_find(store, 1) == STORE_QUEUED);
    store_destroy(store);
}

static void number_that_is_taken_is_refused(void)
{
    struct store *store = fixture_open(NULL);
    struct blob *argument = blob_of("1");
    struct store_request request = fixture_single(3, argument);

    add_single(store, 3);
    CHECK(fixture_code(store, &request) == MUSTER_ESTATE);
    request.add.number = 0;
    CHECK(fixture_code(store, &request) == MUSTER_EINVALID);
    request.add.number = UINT64_MAX;
    CHECK(fixture_code(store, &request) == MUSTER_EINVALID);
    blob_unref(argument);
    store_destroy(store);
}

/* A batch of 100 jobs that runs. */
static struct store *open_running(void)
{
    struct store *store = fixture_open(NULL);

    add_list(store, 1, 10, 10);
    CHECK(seal(store, 1, 100) == 0);
    CHECK(set(store, STORE_STATE, 1, STORE_RUNNING) == 0);
    return store;
}

static void record_that_overlaps_another_is_refused(void)
{
    struct store *store = open_running();

    CHECK(record(store, 1, 11, 10, "a") == 0);
    CHECK(record(store, 1, 11, 10, "a") == MUSTER_ESTATE);
    CHECK(record(store, 1, 20, 1, "a") == MUSTER_ESTATE);
    CHECK(record(store, 1, 2, 10, "a") == MUSTER_ESTATE);
    CHECK(record(store, 1, 1, 100, "a") == MUSTER_ESTATE);
    CHECK(record(store, 1, 15, 2, "a") == MUSTER_ESTATE);
    CHECK(record(store, 1, 21, 80, "b") == 0);
    CHECK(record(store, 1, 1, 10, "c") == 0);
    store_destroy(store);
}

static void record_of_jobs_that_are_not_there_is_refused(void)
{
    struct store *store = open_running();

    CHECK(record(store, 1, 0, 1, "a") == MUSTER_EINVALID);
    CHECK(record(store, 1, 1, 0, "a") == MUSTER_EINVALID);
    CHECK(record(store, 1, 101, 1, "a") == MUSTER_EINVALID);
    CHECK(record(store, 1, 100, 2, "a") == MUSTER_EINVALID);
    CHECK(record(store, 1, UINT64_MAX, 2, "a") == MUSTER_EINVALID);
    CHECK(record(store, 2, 1, 1, "a") == MUSTER_ENOTFOUND);
    CHECK(set(store, STORE_END, 1, STORE_CANCELLED) == 0);
    CHECK(record(store, 1, 1, 1, "a") == MUSTER_ESTATE);
    store_destroy(store);
}

static void batch_cancelled_while_it_waits_to_go_on_counts_what_it_had_recorded(void)
{
    struct store *store = open_running();
    struct store_done *done;

    CHECK(record(store, 1, 11, 10, "a") == 0);
    CHECK(set(store, STORE_STATE, 1, STORE_QUEUED) == 0);
    CHECK(fixture_code(store,
                       &(struct store_request){
                           .operation = STORE_END, .batch = 1, .now_ms = 9, .state = STORE_CANCELLED}) == 0);
    done = fixture_ask(store, &(struct store_request){.operation = STORE_FIND, .batch = 1});
    CHECK(done->batches[0].state == STORE_CANCELLED && done->batches[0].succeeded == 10);
    CHECK(done->batches[0].failed == 0 && done->batches[0].cancelled == 90);
    store_done_free(done);
    store_destroy(store);
}

static void running_batch_that_was_to_be_cancelled_ends_so_with_what_waits_for_it(void)
{
    struct store *store = open_running();
    struct blob *argument = blob_copy("\x01", 1);
    struct store_request waiter = fixture_single(2, argument);
    struct store_after ok = {1, STORE_AFTER_OK};

    waiter.add.after = &ok;
    waiter.add.after_count = 1;
    CHECK(fixture_code(store, &waiter) == 0 && fixture_find(store, 2) == STORE_BLOCKED);
    CHECK(record(store, 1, 1, 10, "a") == 0);
    CHECK(set(store, STORE_STATE, 1, STORE_CANCELLED) == 0);
    CHECK(fixture_find(store, 1) == STORE_RUNNING);
    CHECK(fixture_code(store, &(struct store_request){.operation = STORE_RESET, .now_ms = 9}) == 0);
    CHECK(fixture_find(store, 1) == STORE_CANCELLED && fixture_find(store, 2) == STORE_CANCELLED);
    CHECK(set(store, STORE_STATE, 1, STORE_CANCELLED) == MUSTER_ESTATE);
    CHECK(set(store, STORE_STATE, 3, STORE_CANCELLED) == MUSTER_ENOTFOUND);
    blob_unref(argument);
    store_destroy(store);
}

/* Reads page by page, and checks the payloads' one letter each. */
static void check_read(struct store *store, uint64_t from, bool by_sequence, uint32_t count_max,
                       const char *letters)
{
    struct store_request request = {
        .operation = STORE_READ,
        .batch = 1,
        .page = {.from = from, .by_sequence = by_sequence, .count_max = count_max}};
    bool more = true;

    while (more) {
        struct store_done *done = fixture_ask(store, &request);

        CHECK(done->code == 0 && (count_max == 0 || done->count <= count_max));
        for (uint32_t i = 0; i < done->count; i++) {
            CHECK(*letters && *slice_bytes(&done->records[i].payload) == (uint8_t)*letters++);
            CHECK(is(done->records[i].header, "header"));
        }
        request.page.from = done->next;
        more = done->more;
        store_done_free(done);
    }
    CHECK(!*letters);
}

static void records_are_read_in_order_of_jobs_and_of_commit(void)
{
    struct store *store = open_running();

    CHECK(record(store, 1, 21, 10, "c") == 0);
    CHECK(record(store, 1, 1, 10, "a") == 0);
    CHECK(record(store, 1, 91, 10, "z") == 0);
    CHECK(record(store, 1, 11, 10, "b") == 0);
    for (uint32_t page = 0; page < 3; page++) {
        check_read(store, 0, false, page, "abcz");
        check_read(store, 0, true, page, "cazb");
        check_read(store, 30, false, page, "cz");
        check_read(store, 31, false, page, "z");
    }
    store_destroy(store);
}

static void check_gaps(struct store *store, uint64_t from, const struct span *gaps, uint32_t count)
{
    struct store_request request = {
        .operation = STORE_GAPS, .batch = 1, .page = {.from = from, .count_max = 1}};
    bool more = true;

    while (more) {
        struct store_done *done = fixture_ask(store, &request);

        CHECK(done->code == 0 && done->count <= 2);
        for (uint32_t i = 0; i < done->count; i++, gaps++, count--)
            CHECK(count && done->gaps[i].first == gaps->first && done->gaps[i].count == gaps->count);
        request.page.from = done->next;
        more = done->more;
        store_done_free(done);
    }
    CHECK(count == 0);
}

static void gaps_are_the_jobs_without_a_record(void)
{
    struct store *store = open_running();

    check_gaps(store, 0, (struct span[]){{1, 100}}, 1);
    CHECK(record(store, 1, 11, 10, "a") == 0);
    CHECK(record(store, 1, 21, 10, "a") == 0);
    CHECK(record(store, 1, 50, 1, "a") == 0);
    check_gaps(store, 0, (struct span[]){{1, 10}, {31, 19}, {51, 50}}, 3);
    check_gaps(store, 15, (struct span[]){{31, 19}, {51, 50}}, 2);
    check_gaps(store, 35, (struct span[]){{35, 15}, {51, 50}}, 2);
    CHECK(record(store, 1, 51, 50, "a") == 0);
    check_gaps(store, 40, (struct span[]){{40, 10}}, 1);
    CHECK(record(store, 1, 31, 19, "a") == 0);
    check_gaps(store, 11, NULL, 0);
    store_destroy(store);
}

int main(void)
{
    static const struct check checks[] = {
#define TEST(name) {#name, name}
        TEST(batch_comes_back_as_it_was_added),
        TEST(range_keeps_its_ends),
        TEST(arguments_load_from_the_block_that_holds_the_job),
        TEST(first_arguments_too_large_for_a_row_load_too),
        TEST(arguments_with_a_gap_are_refused),
        TEST(list_without_arguments_is_sealed_as_empty),
        TEST(number_that_is_taken_is_refused),
        TEST(record_that_overlaps_another_is_refused),
        TEST(record_of_jobs_that_are_not_there_is_refused),
        TEST(running_batch_that_was_to_be_cancelled_ends_so_with_what_waits_for_it),
        TEST(batch_cancelled_while_it_waits_to_go_on_counts_what_it_had_recorded),
        TEST(records_are_read_in_order_of_jobs_and_of_commit),
        TEST(gaps_are_the_jobs_without_a_record),
    };

    return check_all(checks, sizeof checks / sizeof *checks);
}
