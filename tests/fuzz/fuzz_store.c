/* SPDX-License-Identifier: MIT
 *
 * A coordinator whose store says anything: rows of one batch, its arguments and its records, as a damaged
 * file may hold them, and requests of a client about it. What the client and workers are sent is sound; what
 * cannot be had is refused. The database is in memory, without its thread, and forgets each input.
 */
#include "coordinator/core.h"
#include "coordinator/ledger.h"
#include "coordinator/store_entry.h"
#include "coordinator/store_schema.h"
#include "fuzz.h"
#include "input.h"
#include "proto/codec.h"

enum { STEPS_MAX = 400, DEEDS_MAX = 12, QUEUE_MAX = 1024, BATCH = 1 };

#define CLIENT "fuzz"
#define NOW_NS (UINT64_C(1) << 30)
#define NOW_MS UINT64_C(1700000000000)

struct world {
    struct core *core;
    struct ledger *ledger;
    struct outbox outbox, spare;
    struct store_entry *asked[QUEUE_MAX]; /* of the store, in their order */
    unsigned first, count;
    unsigned steps;
    struct proto_chunk chunk; /* that the worker has */
    char worker[PROTO_PEER_NAME_MAX + 1];
    bool works, failed; /* the latter: of the database */
};

static struct store_database database;

/* --- rows */

static sqlite3_stmt *prepare(const char *text)
{
    sqlite3_stmt *statement;

    FUZZ_CHECK(sqlite.prepare_v3(database.handle, text, -1, 0, &statement, NULL) == SQLITE_OK);
    return statement;
}

static void finish(sqlite3_stmt *statement)
{
    sqlite.step(statement); /* a row that the schema refuses is not there */
    sqlite.finalize(statement);
}

static void begin(const char *text)
{
    finish(prepare(text));
}

/* Small ones in a byte. */
static uint64_t number_of(struct input *input)
{
    unsigned byte = input_byte(input);

    return byte < 0xf0 ? byte : byte < 0xf8 ? input_number(input, 4) : input_number(input, 8);
}

static void bind_blob(sqlite3_stmt *statement, int place, struct input *input)
{
    const uint8_t *bytes;
    size_t size = input_bytes(input, input_number(input, 2), &bytes);

    sql_bind_blob(statement, place, bytes, size);
}

static void add_batch(struct input *input)
{
    sqlite3_stmt *batch, *work = prepare("INSERT INTO work VALUES (1, 'noop', ?1, 1)");
    unsigned is = input_byte(input);

    begin("INSERT INTO lane VALUES (1, 0, 'fuzz', 1)");
    bind_blob(work, 1, input);
    finish(work);
    batch = prepare(
        "INSERT INTO batch (number, state, lane, work, submitted_ms, total, argument_count, first, last, "
        "started_ms, succeeded, failed, cancelled, totals, argument) "
        "VALUES (1, ?1, 1, 1, 5, ?2, ?3, ?4, ?5, 6, ?6, ?7, ?8, ?9, ?10)");
    sql_bind_number(batch, 1, is & 15);
    for (int place = 2; place <= 8; place++)
        if (is & 16 || (place != 4 && place != 5)) /* of a list there is no range */
            sql_bind_number(batch, place, number_of(input));
    if (is & 32) /* not sealed */
        sql_bind_any(batch, 2, 0);
    bind_blob(batch, 9, input);
    bind_blob(batch, 10, input);
    finish(batch);
    begin("INSERT INTO tally SELECT state, 1 FROM batch");
}

static void add_rows(struct input *input)
{
    unsigned counts = input_byte(input);

    for (unsigned i = counts & 3; i > 0; i--) {
        sqlite3_stmt *row = prepare("INSERT INTO argument VALUES (1, ?1, ?2, ?3)");

        sql_bind_number(row, 1, number_of(input));
        sql_bind_number(row, 2, number_of(input));
        bind_blob(row, 3, input);
        finish(row);
    }
    for (unsigned i = counts >> 2 & 3; i > 0; i--) {
        sqlite3_stmt *row = prepare("INSERT INTO record (batch, first, count, failed, header, payload) "
                                    "VALUES (1, ?1, ?2, ?3, ?4, ?5)");

        for (int place = 1; place <= 3; place++)
            sql_bind_number(row, place, number_of(input));
        bind_blob(row, 4, input);
        bind_blob(row, 5, input);
        finish(row);
    }
}

/* --- what leaves */

/* As the wire would bring it. */
static void check_message(const struct proto_message *message)
{
    struct proto_message back;
    struct muster_error error;
    msgpack_sbuffer buffer;
    msgpack_zone zone;

    FUZZ_CHECK(msgpack_zone_init(&zone, 1024));
    msgpack_sbuffer_init(&buffer);
    if (proto_encode(message, &buffer) != 0) {
        fprintf(stderr, "this %s is no message\n", proto_type_name(message->type));
        abort();
    }
    FUZZ_CHECK(proto_decode(buffer.data, buffer.size, &zone, &back, &error) == 0);
    back.payload = message->payload;
    FUZZ_CHECK(proto_check_payload(&back, &error) == 0);
    msgpack_sbuffer_destroy(&buffer);
    msgpack_zone_destroy(&zone);
}

static void ask_store(struct world *w, const struct store_request *request)
{
    struct store_entry *entry;

    FUZZ_CHECK(w->count < QUEUE_MAX && store_entry_create(request, &entry) == 0);
    w->asked[(w->first + w->count++) % QUEUE_MAX] = entry;
}

static void start_worker(struct world *w, const struct outbox_item *item)
{
    memcpy(w->worker, item->peer, sizeof w->worker);
    core_message(w->core, NOW_NS, item->peer,
                 &(struct proto_message){.type = PROTO_HELLO,
                                         .hello = {.version = PROTO_VERSION,
                                                   .role = PROTO_WORKER,
                                                   .pid = 1,
                                                   .credit = 1,
                                                   .concurrency = 1}},
                 &w->outbox);
}

static void deliver(struct world *w, const char *peer, const struct proto_message *message)
{
    check_message(message);
    if (message->type != PROTO_CHUNK || strcmp(peer, w->worker) != 0)
        return;
    w->chunk = message->chunk;
    w->works = true;
}

static void carry_out_item(struct world *w, const struct outbox_item *item)
{
    if (item->kind == OUTBOX_STORE)
        ask_store(w, item->request);
    else if (item->kind == OUTBOX_CORE && item->message.type == PROTO_SUBMIT)
        core_submit_known(w->core, NOW_NS, LEDGER_PEER, item, &w->outbox);
    else if (item->kind == OUTBOX_CORE)
        core_message(w->core, NOW_NS, LEDGER_PEER, &item->message, &w->outbox);
    else if (item->kind == OUTBOX_FORWARD)
        core_message(w->core, NOW_NS, item->peer, &item->message, &w->outbox);
    else if (item->kind == OUTBOX_SPAWN)
        start_worker(w, item);
    else if (item->kind == OUTBOX_SEND && strcmp(item->peer, LEDGER_PEER) == 0)
        ledger_told(w->ledger, NOW_MS, &item->message, &w->outbox);
    else if (item->kind == OUTBOX_SEND)
        deliver(w, item->peer, &item->message);
}

/* --- what comes */

/* The worker's jobs all fail: their values would be of no batch that is looked at here. */
static void work(struct world *w)
{
    static struct proto_failure failures[16]; /* the outbox may point to them when this has returned */
    uint32_t count = w->chunk.count < 16 ? w->chunk.count : 16;

    for (uint32_t i = 0; i < count; i++)
        failures[i] =
            (struct proto_failure){.index = w->chunk.first + i, .code = MUSTER_EFAILED, .text = {"no", 2}};
    w->works = false;
    core_message(w->core, NOW_NS, w->worker,
                 &(struct proto_message){.type = PROTO_RESULT,
                                         .result = {.batch = w->chunk.batch,
                                                    .chunk = w->chunk.chunk,
                                                    .final = true,
                                                    .outcome = {.first = w->chunk.first,
                                                                .count = count,
                                                                .attempt = w->chunk.attempt,
                                                                .failures = failures,
                                                                .failure_count = count}}},
                 &w->outbox);
}

static void answer(struct world *w)
{
    struct store_entry *entry = w->asked[w->first];

    w->first = (w->first + 1) % QUEUE_MAX;
    w->count--;
    store_write(&database, entry);
    w->failed = database.failure != 0; /* the group would be undone, and not be told of */
    if (!w->failed)
        ledger_done(w->ledger, NOW_MS, &entry->done, &w->outbox);
    store_entry_destroy(entry);
}

static void settle(struct world *w)
{
    while (w->steps++ < STEPS_MAX && !w->failed) {
        struct outbox decided = w->outbox;

        FUZZ_CHECK(!decided.failed);
        w->outbox = w->spare;
        w->spare = decided;
        for (size_t i = 0; i < w->spare.count; i++)
            carry_out_item(w, &w->spare.items[i]);
        outbox_clear(&w->spare);
        if (w->outbox.count > 0)
            continue;
        if (w->count > 0)
            answer(w);
        else if (w->works)
            work(w);
        else
            return;
    }
}

static void say(struct world *w, const struct proto_message *message)
{
    ledger_message(w->ledger, NOW_MS, CLIENT, message, &w->outbox);
    settle(w);
}

/* One thing that a client asks. */
static void act(struct world *w, struct input *input, uint64_t ticket)
{
    unsigned what = input_byte(input);
    uint64_t number = number_of(input);
    struct proto_message message = {.type = PROTO_REQUEST};

    if (what & 128) {
        message.type = PROTO_ATTACH;
        message.attach = (struct proto_attach){.ticket = ticket,
                                               .batch = BATCH,
                                               .first = number ? number : 1,
                                               .ordered = what & 1,
                                               .follow = what & 2,
                                               .arguments = what & 4,
                                               .results = what & 8,
                                               .window_bytes = what & 8 ? 1 << 20 : 0};
    } else if (what & 64) {
        message.type = PROTO_CONSUMED;
        message.consumed = (struct proto_consumed){.ticket = ticket - 1, .bytes = number};
    } else {
        message.request = (struct proto_request){.ticket = ticket,
                                                 .operation = (enum proto_operation)(what % 6 + 1),
                                                 .batch = what % 6 + 1 >= PROTO_REQUEST_CANCEL ? BATCH : 0,
                                                 .number = number % 4};
    }
    say(w, &message);
}

static uint64_t wall_ms(uint64_t ns)
{
    return NOW_MS + ns / 1000000;
}

static void run(struct input *input)
{
    const struct core_options core_options = {
        .workers = 1, .heartbeat_ns = UINT64_C(5) << 30, .keeps = PROTO_KEEPS_ON_DISK, .epoch = 1};
    struct ledger_options options = {.keeps = PROTO_KEEPS_ON_DISK,
                                     .epoch = 1,
                                     .workers_max = 1,
                                     .wall_ms = wall_ms,
                                     .pid = 4711,
                                     .open = 4};
    struct world w = {.steps = 0};

    FUZZ_CHECK(core_create(&core_options, &w.core) == 0);
    options.core = w.core;
    FUZZ_CHECK(ledger_create(&options, &w.ledger) == 0);
    FUZZ_CHECK(outbox_init(&w.outbox) == 0 && outbox_init(&w.spare) == 0);
    ledger_start(w.ledger, NOW_MS, &w.outbox);
    settle(&w);
    if (ledger_ready(w.ledger)) {
        say(&w,
            &(struct proto_message){
                .type = PROTO_HELLO,
                .hello = {.version = PROTO_VERSION, .role = PROTO_CLIENT, .pid = 1, .user = {"fuzz", 4}}});
        for (uint64_t ticket = 1; ticket <= DEEDS_MAX && input->size > 0; ticket++)
            act(&w, input, ticket);
    }
    while (w.count-- > 0)
        store_entry_destroy(w.asked[w.first++ % QUEUE_MAX]);
    ledger_destroy(w.ledger);
    core_destroy(w.core);
    outbox_fini(&w.outbox);
    outbox_fini(&w.spare);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = {bytes, size};
    struct muster_error error;

    if (!database.handle)
        FUZZ_CHECK(store_database_open(NULL, &database, &error) == 0);
    begin("BEGIN");
    database.failure = 0;
    memset(database.tally, 0, sizeof database.tally);
    add_batch(&input);
    add_rows(&input);
    run(&input);
    sql_run(&database, database.statements[SQL_ROLLBACK]);
    return 0;
}
