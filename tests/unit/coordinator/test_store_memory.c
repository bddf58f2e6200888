/* SPDX-License-Identifier: MIT
 *
 * A store whose memory runs out for a moment, at any allocation of its own or of SQLite.
 */
#include "tests/support/scarce.h"
#include "tests/unit/coordinator/store_fixture.h"

#include <string.h>

enum { PAYLOAD_BYTES = 100000 }; /* over many pages: SQLite needs memory to put it together */

static bool is_whole(const struct store_done *done, const struct slice *payload)
{
    return done->count == 1 && done->records[0].payload.size == PAYLOAD_BYTES &&
           memcmp(slice_bytes(&done->records[0].payload), slice_bytes(payload), PAYLOAD_BYTES) == 0 &&
           done->records[0].header.size > 0;
}

static void result_is_read_whole_though_memory_runs_out_for_a_moment(void)
{
    const char *path = fixture_path("result");
    struct slice payload = {.blob = blob_take(calloc(1, PAYLOAD_BYTES), PAYLOAD_BYTES),
                            .size = PAYLOAD_BYTES};
    struct slice argument = fixture_slice("1");
    struct store_request add = fixture_single(1, argument.blob),
                         record = fixture_record(1, 1, 1, payload.blob);
    struct store_request read = {.operation = STORE_READ, .batch = 1};
    struct store *store = fixture_open(path);
    unsigned reads = 0;
    bool failed = true;

    CHECK(fixture_code(store, &add) == 0 && fixture_code(store, &record) == 0);
    store_destroy(store);
    for (long call = 1; failed; call += 1 + call / 16) { /* there are thousands */
        struct store_done *done;

        store = fixture_open(path); /* with nothing in its cache */
        scarce_begin(call);
        if (store_submit(store, &read) == 0) {
            done = fixture_done(store);
            CHECK_SAYING(done->code == 0 && is_whole(done, &payload), done->text);
            reads++;
            store_done_free(done);
        }
        failed = scarce_end();
        store_destroy(store);
    }
    CHECK(reads > 10);
    blob_unref(payload.blob);
    blob_unref(argument.blob);
}

static void store_that_is_opened_without_memory_says_so_or_is_whole(void)
{
    const char *path = fixture_path("opened");
    struct slice argument = fixture_slice("1");
    struct store_request add = fixture_single(1, argument.blob);
    struct store *store = fixture_open(path);
    bool failed = true;

    CHECK(fixture_code(store, &add) == 0);
    store_destroy(store);
    for (long call = 1; failed; call += 1 + call / 16) { /* there are thousands */
        struct muster_error error = {0};
        int code;

        scarce_begin(call);
        code = store_create(path, &store, &error);
        failed = scarce_end();
        CHECK_SAYING(code == 0 || (error.text[0] && !strstr(error.text, "damaged") &&
                                   !strstr(error.text, "another program")),
                     error.text);
        if (code != 0)
            continue;
        CHECK(fixture_find(store, 1) == STORE_QUEUED);
        store_destroy(store);
    }
    blob_unref(argument.blob);
}

int main(void)
{
    static const struct check checks[] = {
#define TEST(name) {#name, name}
        TEST(result_is_read_whole_though_memory_runs_out_for_a_moment),
        TEST(store_that_is_opened_without_memory_says_so_or_is_whole),
    };

    return check_all(checks, sizeof checks / sizeof *checks);
}
