/* SPDX-License-Identifier: MIT
 *
 * Makes the store of which docs/STORE.md shows the answers: `store_driver FILE`. It keeps it open, as
 * a coordinator does, until its standard input ends; "ready" says that all is in it.
 */
#include "tests/unit/coordinator/store_fixture.h"

#include <unistd.h>

/* 2026-01-05, 08:00 UTC. */
#define MORNING UINT64_C(1767600000000)

static struct store *store;
static struct blob *value;

static void ask(struct store_request request)
{
    struct store_done *done = fixture_ask(store, &request);

    CHECK_SAYING(done->code == 0, done->text);
    store_done_free(done);
}

static struct store_request batch(uint64_t number, const char *user, const char *function, uint32_t jobs)
{
    struct store_request request = fixture_single(number, value);

    request.now_ms = request.add.submitted_ms = MORNING + number * 60000;
    request.add.lane.user = fixture_text(user);
    request.add.function = fixture_text(function);
    request.add.total = request.add.block.count = jobs;
    return request;
}

static void run(uint64_t number)
{
    struct store_request request = fixture_state(STORE_STATE, number, STORE_RUNNING);

    request.now_ms = MORNING + number * 60000 + 1000;
    ask(request);
}

static void end(uint64_t number, enum store_state state, uint64_t seconds, uint64_t succeeded,
                uint64_t failed)
{
    struct store_request request = fixture_state(STORE_END, number, state);

    request.now_ms = MORNING + number * 60000 + 1000 + seconds * 1000;
    request.add.succeeded = succeeded;
    request.add.failed = failed;
    ask(request);
}

static void add_failed(void)
{
    static const struct proto_failure failures[] = {
        {.index = 2, .code = MUSTER_ECRASHED, .text = {"killed by signal 11 (Segmentation fault)", 40}},
        {.index = 5, .code = MUSTER_ETIMEOUT, .text = {"took longer than 10 s", 21}}};
    struct store_request request = batch(1, "ann", "sort", 5);

    request.add.name = fixture_text("nightly");
    ask(request);
    run(1);
    request = fixture_record(1, 1, 5, value);
    request.record.failed = request.failure_count = 2;
    request.failures = failures;
    ask(request);
    end(1, STORE_FAILED, 95, 3, 2);
}

static void add_running(void)
{
    struct store_request request = batch(2, "bob", "is_prime", 0);

    request.add.kind = PROTO_RANGE;
    request.add.first = 1;
    request.add.last = request.add.total = 1000000;
    request.add.lane.priority = 5;
    ask(request);
    run(2);
    ask(fixture_record(2, 1, 1000, value));
    ask(fixture_record(2, 3001, 2000, value));
}

static void add_waiting(void)
{
    const struct store_after after[] = {{1, STORE_AFTER_ANY}, {2, STORE_AFTER_OK}};
    struct store_request request = batch(3, "ann", "sort", 2);

    request.add.after = after;
    request.add.after_count = 2;
    ask(request);
    request = batch(4, "bob", "burn", 1);
    request.add.begin_ms = MORNING + 12 * 3600000;
    ask(request);
    request = batch(5, "ann", "sort", 2);
    request.add.name = fixture_text("nightly");
    request.add.origin = 1;
    ask(request);
}

int main(int count, char **words)
{
    char byte;

    CHECK(count == 2);
    value = fixture_slice("value").blob;
    store = fixture_open(words[1]);
    add_failed();
    add_running();
    add_waiting();
    ask(batch(6, "cyd", "noop", 1));
    run(6);
    ask(fixture_record(6, 1, 1, value));
    end(6, STORE_SUCCEEDED, 1, 1, 0);
    puts("ready");
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        continue;
    store_destroy(store);
    blob_unref(value);
    return 0;
}
