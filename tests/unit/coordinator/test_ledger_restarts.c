/* SPDX-License-Identifier: MIT
 *
 * A coordinator with a store that dies between any two things that it does, hundreds of times, among
 * clients and workers that do anything that they might. After each death the file is looked at with
 * SQLite alone: what clients were told is there, each job has one result at most, its own, and nothing
 * is there that nobody submitted. What was recorded never runs again. At the end everything has ended
 * as it should. A failure names its seed: MUSTER_SEED=N runs that one alone, and MUSTER_SEEDS=N the
 * first N.
 */
#include "base/sanitize.h"
#include "jobs/random.h"
#include "proto/codec.h"
#include "tests/support/check.h"
#include "tests/support/ledger_steps.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SEEDS = SANITIZE_THREAD    ? 2
            : SANITIZE_ADDRESS ? 4
                               : 12,
    LIVES = 40,
    EVENTS_MAX = 250,  /* of a life; half of that on average, which is some ten batches */
    STEPS_MAX = 20000, /* of a life: it has died or all is over by then */
    SUBMISSIONS_MAX = 400,
    JOBS_MAX = 48,
    CLIENTS = 3,
    WORKERS = 3,
    READERS_MAX = 40, /* tickets of a client in a life */
    FAIL_EVERY = 7,
};

#define SAY(condition, ...)                                                                     \
    do {                                                                                        \
        if (!(condition)) {                                                                     \
            fprintf(stderr, "seed %llu, life %u, event %llu: ", (unsigned long long)seed, life, \
                    (unsigned long long)w.events);                                              \
            fprintf(stderr, __VA_ARGS__);                                                       \
            fprintf(stderr, "\n");                                                              \
            abort();                                                                            \
        }                                                                                       \
    } while (0)

/* What somebody submitted, and what all that take part know of it. */
struct submission {
    uint64_t number; /* that it has if it is there */
    uint64_t jobs;
    bool list, sealed;         /* its client said all of it */
    bool accepted;             /* told; from then on it is promised */
    bool refused;              /* told */
    bool cancelled, forgotten; /* somebody asked for it, */
    unsigned told_cancelled;   /* in which life it was answered that it is cancelled; 0: in none */
    bool told_forgotten;       /* and it was answered that it is done */
    bool hold;
    bool ended;     /* told */
    uint32_t after; /* which one it waits for; 0: none */
    bool after_ok;
    bool recorded[JOBS_MAX + 1]; /* in the file, or told */
};

/* What a client uses a ticket for. */
struct use {
    uint32_t submission; /* 0: the ticket is free */
    bool submits, reads, ordered, follows, ended;
    bool asks_cancel, asks_forget;
    uint64_t sent; /* arguments */
    uint64_t next; /* ordered: the job that comes next */
    uint64_t count, failed, cost;
    bool told[JOBS_MAX + 1];
};

struct client {
    char name[PROTO_PEER_NAME_MAX + 1];
    struct use uses[READERS_MAX + 1]; /* by ticket */
    uint64_t tickets;
};

static struct random chance;
static uint64_t seed;
static unsigned life, names;
static struct submission submissions[SUBMISSIONS_MAX + 1]; /* from 1 */
static uint32_t submission_count;
static struct client clients[CLIENTS];
static char folder[64],
    path[sizeof folder + 8]; /* in memory, where that is possible: nobody pulls the plug */

static uint64_t below(uint64_t bound)
{
    return random_next(&chance) % bound;
}

static bool once_in(uint64_t times)
{
    return below(times) == 0;
}

static bool fails(uint64_t job)
{
    return job % FAIL_EVERY == 0;
}

/* --- what the file says */

static struct submission *by_name(const unsigned char *name)
{
    unsigned long which = name ? strtoul((const char *)name + 1, NULL, 10) : 0;

    SAY(which >= 1 && which <= submission_count, "a batch by the name %s, which nobody submitted",
        name ? (const char *)name : "(none)");
    return &submissions[which];
}

static sqlite3_stmt *query(sqlite3 *file, const char *text)
{
    sqlite3_stmt *statement;

    CHECK(sqlite3_prepare_v2(file, text, -1, &statement, NULL) == SQLITE_OK);
    return statement;
}

/* A record's header and payload say how these jobs ended. */
static void look_at_record(struct submission *batch, sqlite3_stmt *row, uint64_t *counts)
{
    struct muster_error error;
    struct proto_message message;
    msgpack_zone zone;
    uint64_t first = (uint64_t)sqlite3_column_int64(row, 1);
    uint32_t count = (uint32_t)sqlite3_column_int64(row, 2), failure = 0;
    const char *payload = sqlite3_column_blob(row, 4);
    size_t size = (size_t)sqlite3_column_bytes(row, 4), offset = 0;

    CHECK(msgpack_zone_init(&zone, 1024));
    CHECK(proto_decode(sqlite3_column_blob(row, 3), (size_t)sqlite3_column_bytes(row, 3), &zone, &message,
                       &error) == 0);
    SAY(message.results.outcome.first == first && message.results.outcome.count == count,
        "the header of a record is of other jobs");
    for (uint64_t job = first; job < first + count; job++) {
        msgpack_object value;

        SAY(job <= batch->jobs, "a record of job %llu", (unsigned long long)job);
        counts[fails(job)]++;
        batch->recorded[job] = true;
        if (fails(job)) {
            SAY(failure < message.results.outcome.failure_count &&
                    message.results.outcome.failures[failure++].index == job,
                "job %llu did not fail", (unsigned long long)job);
            if (!message.results.outcome.failures[failure - 1].valued)
                continue;
        }
        CHECK(msgpack_unpack(payload, size, &offset, &zone, &value) >= 0);
        SAY(value.via.u64 == job, "job %llu has the result of %llu", (unsigned long long)job,
            (unsigned long long)value.via.u64);
    }
    SAY(failure == message.results.outcome.failure_count && offset == size, "a record has more than it says");
    msgpack_zone_destroy(&zone);
}

/* Each job once: what is in the file, of which all that was in it before has to be a part. */
static void look_at_records(sqlite3 *file, uint64_t number, struct submission *batch, uint64_t *counts)
{
    sqlite3_stmt *rows = query(file, "SELECT sequence, first, count, header, payload FROM record "
                                     "WHERE batch = ?1 ORDER BY first");
    bool before[JOBS_MAX + 1];
    uint64_t end = 1;

    memcpy(before, batch->recorded, sizeof before);
    memset(batch->recorded, 0, sizeof batch->recorded);
    sqlite3_bind_int64(rows, 1, (sqlite3_int64)number);
    while (sqlite3_step(rows) == SQLITE_ROW) {
        uint64_t first = (uint64_t)sqlite3_column_int64(rows, 1);

        SAY(first >= end, "job %llu of batch %llu has two results", (unsigned long long)first,
            (unsigned long long)number);
        look_at_record(batch, rows, counts);
        end = first + (uint64_t)sqlite3_column_int64(rows, 2);
    }
    sqlite3_finalize(rows);
    for (uint64_t job = 1; job <= batch->jobs; job++)
        SAY(!before[job] || batch->recorded[job] || !batch->accepted,
            "the result of job %llu of batch %llu is gone", (unsigned long long)job,
            (unsigned long long)number);
}

static void look_at_end(const struct submission *batch, uint64_t number, enum store_state state,
                        const uint64_t *counts, sqlite3_stmt *row)
{
    uint64_t succeeded = (uint64_t)sqlite3_column_int64(row, 4),
             failed = (uint64_t)sqlite3_column_int64(row, 5),
             cancelled = (uint64_t)sqlite3_column_int64(row, 6);

    SAY(succeeded == counts[0] && failed == counts[1] && succeeded + failed + cancelled == batch->jobs,
        "batch %llu has ended with %llu, %llu, %llu of %llu jobs, and has records of %llu and %llu",
        (unsigned long long)number, (unsigned long long)succeeded, (unsigned long long)failed,
        (unsigned long long)cancelled, (unsigned long long)batch->jobs, (unsigned long long)counts[0],
        (unsigned long long)counts[1]);
    if (state == STORE_CANCELLED)
        SAY(batch->cancelled || batch->after_ok, "batch %llu is cancelled, which nobody asked for",
            (unsigned long long)number);
    else
        SAY(cancelled == 0 && state == (failed ? STORE_FAILED : STORE_SUCCEEDED), "batch %llu is %s",
            (unsigned long long)number, store_state_name(state));
}

/* A list that its client cancels ahead of its SEAL is as long as it was then. */
static void look_at_total(struct submission *batch, uint64_t total)
{
    SAY(batch->list && batch->cancelled ? total <= batch->jobs : batch->sealed && total == batch->jobs,
        "batch %llu was accepted in part", (unsigned long long)batch->number);
    batch->jobs = total;
}

static void look_at_batch(sqlite3 *file, sqlite3_stmt *row, bool over)
{
    uint64_t number = (uint64_t)sqlite3_column_int64(row, 0), counts[2] = {0};
    enum store_state state = (enum store_state)sqlite3_column_int64(row, 2);
    struct submission *batch = by_name(sqlite3_column_text(row, 1));

    SAY(batch->number == number, "batch %llu has become %llu", (unsigned long long)batch->number,
        (unsigned long long)number);
    SAY(!batch->told_forgotten, "batch %llu was forgotten, and is there", (unsigned long long)number);
    if (sqlite3_column_type(row, 3) != SQLITE_NULL)
        look_at_total(batch, (uint64_t)sqlite3_column_int64(row, 3));
    else
        SAY(!batch->accepted, "batch %llu was accepted, and is not whole", (unsigned long long)number);
    look_at_records(file, number, batch, counts);
    if (store_state_is_end(state))
        look_at_end(batch, number, state, counts, row);
    SAY(store_state_is_end(state) || (!over && !batch->ended), "batch %llu has not ended, but is %s",
        (unsigned long long)number, store_state_name(state));
}

/* The file, while nobody has it open. `over`: everything has to have ended. */
static void look_at_file(bool over)
{
    bool there[SUBMISSIONS_MAX + 1] = {0};
    sqlite3_stmt *rows;
    sqlite3 *file;

    CHECK(sqlite3_open(path, &file) == SQLITE_OK);
    rows = query(file, "SELECT number, name, state, total, succeeded, failed, cancelled FROM batch");
    while (sqlite3_step(rows) == SQLITE_ROW) {
        there[by_name(sqlite3_column_text(rows, 1)) - submissions] = true;
        look_at_batch(file, rows, over);
    }
    sqlite3_finalize(rows);
    rows = query(file, "PRAGMA integrity_check");
    CHECK(sqlite3_step(rows) == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(rows, 0), "ok") == 0);
    sqlite3_finalize(rows);
    CHECK(sqlite3_close(file) == SQLITE_OK);
    for (uint32_t i = 1; i <= submission_count; i++)
        SAY(there[i] || !submissions[i].accepted || submissions[i].forgotten || !submissions[i].hold,
            "batch %llu was accepted, and is gone", (unsigned long long)submissions[i].number);
}

/* --- what clients hear */

static void hear_results(struct client *client, struct use *use, const struct proto_message *message)
{
    const struct proto_outcome *outcome = &message->results.outcome;
    struct submission *batch = &submissions[use->submission];

    SAY(!use->ordered || outcome->first == use->next || (outcome->first > use->next && batch->cancelled),
        "job %llu comes where %llu was expected", (unsigned long long)outcome->first,
        (unsigned long long)use->next);
    for (uint64_t job = outcome->first; job < outcome->first + outcome->count; job++) {
        SAY(!use->told[job], "%s is told of job %llu twice", client->name, (unsigned long long)job);
        use->told[job] = batch->recorded[job] = true;
    }
    use->next = outcome->first + outcome->count;
    use->count += outcome->count;
    use->failed += outcome->failure_count;
    use->cost += proto_cost(message);
}

static void hear_end(struct use *use, const struct proto_ended *ended)
{
    struct submission *batch = &submissions[use->submission];

    SAY(ended->code == 0 || (ended->code == MUSTER_EAGAIN && !use->follows) ||
            (ended->code == MUSTER_ECANCELLED && batch->after_ok),
        "batch %llu is given up: %d", (unsigned long long)batch->number, ended->code);
    if (ended->code != MUSTER_EAGAIN) {
        SAY(!use->reads || (ended->succeeded + ended->failed == use->count && ended->failed == use->failed),
            "ENDED counts %llu and %llu, where %llu results came", (unsigned long long)ended->succeeded,
            (unsigned long long)ended->failed, (unsigned long long)use->count);
        batch->ended = true;
    }
    use->submission = 0;
}

static void hear_error(struct use *use, const struct proto_error *error)
{
    struct submission *batch = &submissions[use->submission];

    if (use->submits && !batch->accepted) {
        batch->refused = true;
        SAY(error->code == MUSTER_ENOTFOUND || (batch->cancelled && error->code == MUSTER_ECANCELLED),
            "a batch is refused: %.*s", (int)error->text.size, error->text.bytes);
        use->submission = 0;
    } else if (use->reads) {
        SAY(error->code == MUSTER_ENOTFOUND && (!batch->accepted || batch->forgotten || !batch->hold),
            "batch %llu cannot be read: %.*s", (unsigned long long)batch->number, (int)error->text.size,
            error->text.bytes);
        use->submission = 0;
    }
}

static void hear_answer(struct use *use, int code)
{
    struct submission *batch = &submissions[use->submission];

    SAY(code == 0 || code == MUSTER_ESTATE || code == MUSTER_ENOTFOUND, "a request is answered %d", code);
    if (use->asks_cancel && code == 0 && batch->told_cancelled == 0)
        batch->told_cancelled = life;
    batch->told_forgotten |= use->asks_forget && code == 0;
    use->submission = 0;
}

static void hear(struct client *client, const struct proto_message *message)
{
    uint64_t ticket = message->type == PROTO_RESULTS    ? message->results.ticket
                      : message->type == PROTO_ENDED    ? message->ended.ticket
                      : message->type == PROTO_ERROR    ? message->error.ticket
                      : message->type == PROTO_ACCEPTED ? message->accepted.ticket
                      : message->type == PROTO_ANSWER   ? message->answer.ticket
                                                        : 0;
    struct use *use = ticket <= READERS_MAX ? &client->uses[ticket] : NULL;

    if (!use || ticket == 0 || use->submission == 0)
        return;
    if (message->type == PROTO_ACCEPTED) {
        SAY(submissions[use->submission].number == message->accepted.batch, "a batch was numbered twice");
        submissions[use->submission].accepted = true;
        use->submits = false;
        if (!use->reads)
            use->submission = 0;
    } else if (message->type == PROTO_RESULTS) {
        hear_results(client, use, message);
    } else if (message->type == PROTO_ENDED) {
        hear_end(use, &message->ended);
    } else if (message->type == PROTO_ERROR) {
        hear_error(use, &message->error);
    } else {
        hear_answer(use, message->answer.code);
    }
}

/* Takes one message; most of the time says that it is done with it. */
static bool listen_once(struct client *client)
{
    struct letter *letter = world_take(&w, client->name);
    struct proto_message consumed = {.type = PROTO_CONSUMED};

    if (!letter)
        return false;
    hear(client, &letter->message);
    if (letter->message.type == PROTO_RESULTS && !w.dead) {
        consumed.consumed.ticket = letter->message.results.ticket;
        consumed.consumed.bytes = client->uses[consumed.consumed.ticket].cost;
        if (client->uses[consumed.consumed.ticket].submission)
            world_message(&w, client->name, &consumed);
    }
    world_free(letter);
    return true;
}

/* --- what clients do */

static void say_hello(struct client *client)
{
    struct proto_message hello = {
        .type = PROTO_HELLO,
        .hello = {.version = PROTO_VERSION,
                  .role = PROTO_CLIENT,
                  .pid = 1,
                  .user = proto_text(once_in(2) ? "ann" : "bob")},
    };

    memset(client, 0, sizeof *client);
    snprintf(client->name, sizeof client->name, "client %u", ++names);
    world_message(&w, client->name, &hello);
}

/* A ticket for this submission; NULL when the client has used all of them. */
static struct use *take_ticket(struct client *client, uint32_t submission)
{
    struct use *use = client->tickets < READERS_MAX ? &client->uses[++client->tickets] : NULL;

    if (use)
        *use = (struct use){.submission = submission, .next = 1};
    return use;
}

/* Which batch another is to wait for; 0: none. */
static uint32_t choose_after(struct proto_after *ret_after)
{
    uint32_t which = submission_count ? 1 + (uint32_t)below(submission_count) : 0;

    if (!once_in(4) || which == 0 || !submissions[which].accepted)
        return 0;
    *ret_after =
        (struct proto_after){submissions[which].number, once_in(2) ? PROTO_AFTER_OK : PROTO_AFTER_ANY};
    return which;
}

static void submit(struct client *client)
{
    struct submission *batch = &submissions[submission_count + 1];
    struct use *use = submission_count < SUBMISSIONS_MAX ? take_ticket(client, submission_count + 1) : NULL;
    struct proto_message message = {.type = PROTO_SUBMIT};
    struct proto_after after;
    char name[16];

    if (!use)
        return;
    submission_count++;
    *batch = (struct submission){.jobs = 1 + below(JOBS_MAX), .list = once_in(2), .hold = true};
    batch->sealed = !batch->list || once_in(2);
    batch->after = choose_after(&after);
    batch->after_ok = batch->after && after.condition == PROTO_AFTER_OK;
    snprintf(name, sizeof name, "b%u", submission_count);
    use->submits = true;
    use->reads = use->follows = once_in(2);
    use->ordered = once_in(2);
    message.submit = (struct proto_submit){
        .ticket = client->tickets,
        .function = proto_text("noop"),
        .kind = batch->list ? PROTO_LIST : PROTO_RANGE,
        .first = batch->list ? 0 : 1,
        .last = batch->list ? 0 : (int64_t)batch->jobs,
        .chunk_jobs = 1 + (uint32_t)below(12),
        .crash_limit = 1000,
        .window_bytes = once_in(3) ? 1 : 1 << 20,
        .count = batch->list && batch->sealed ? (uint32_t)batch->jobs : 0,
        .keep = true,
        .hold = true,
        .attach = use->reads,
        .ordered = use->ordered,
        .name = proto_text(name),
        .priority = (int32_t)below(3),
        .cpus = 1,
        .begin_ms = once_in(8) ? w.now_ms + below(40) : 0,
        .after = &after,
        .after_count = batch->after ? 1 : 0,
    };
    if (message.submit.count)
        message.payload = numbers(1, message.submit.count);
    world_message(&w, client->name, &message);
    batch->number = w.ledger->last_batch; /* that it was given, if it ever comes to be there */
    blob_unref(message.payload.blob);
}

/* The next arguments of a list, or its SEAL. */
static void go_on(struct client *client)
{
    for (uint64_t ticket = 1; ticket <= client->tickets; ticket++) {
        struct use *use = &client->uses[ticket];
        struct submission *batch = &submissions[use->submission];
        struct proto_message message = {.type = PROTO_SEAL, .seal = {.ticket = ticket, .total = batch->jobs}};

        if (!use->submits || use->submission == 0 || batch->sealed || once_in(3))
            continue;
        if (use->sent < batch->jobs) {
            uint32_t count = (uint32_t)(1 + below(batch->jobs - use->sent));

            message = (struct proto_message){
                .type = PROTO_ARGUMENTS,
                .arguments = {.ticket = ticket, .first = use->sent + 1, .count = count},
                .payload = numbers(use->sent + 1, count),
            };
            use->sent += count;
        } else {
            batch->sealed = true;
        }
        world_message(&w, client->name, &message);
        blob_unref(message.payload.blob);
        return;
    }
}

static void attach(struct client *client, uint32_t which)
{
    struct use *use = take_ticket(client, which);

    if (!use)
        return;
    use->reads = !once_in(5);
    use->ordered = once_in(2);
    use->follows = !once_in(4);
    world_message(&w, client->name,
                  &(struct proto_message){.type = PROTO_ATTACH,
                                          .attach = {.ticket = client->tickets,
                                                     .batch = submissions[which].number,
                                                     .first = 1,
                                                     .ordered = use->ordered,
                                                     .follow = use->follows,
                                                     .results = use->reads,
                                                     .window_bytes = !use->reads  ? 0
                                                                     : once_in(3) ? 1
                                                                                  : 1 << 20}});
}

static void request(struct client *client, uint32_t which, enum proto_operation operation)
{
    struct use *use = take_ticket(client, which);

    if (!use)
        return;
    use->asks_cancel = operation == PROTO_REQUEST_CANCEL;
    use->asks_forget = operation == PROTO_REQUEST_FORGET;
    submissions[which].cancelled |= use->asks_cancel;
    submissions[which].forgotten |= use->asks_forget;
    world_message(&w, client->name,
                  &(struct proto_message){.type = PROTO_REQUEST,
                                          .request = {.ticket = client->tickets,
                                                      .operation = operation,
                                                      .batch = submissions[which].number,
                                                      .number = use->asks_cancel ? 1 + below(2) : 0}});
}

static void cancel_by_ticket(struct client *client)
{
    uint64_t ticket = 1 + below(client->tickets + 1);
    struct use *use = ticket <= client->tickets ? &client->uses[ticket] : NULL;

    if (!use || use->submission == 0 || use->asks_cancel || use->asks_forget)
        return;
    submissions[use->submission].cancelled = true;
    world_message(&w, client->name,
                  &(struct proto_message){.type = PROTO_CANCEL, .cancel = {ticket, PROTO_CANCEL_NOW, 0, 0}});
}

static void leave(struct client *client)
{
    world_gone(&w, client->name);
    for (struct letter *letter = world_take(&w, client->name); letter; letter = world_take(&w, client->name))
        world_free(letter);
    say_hello(client);
}

/* A batch that anybody may know. */
static uint32_t some_batch(void)
{
    uint32_t back = 1 + (uint32_t)below(submission_count < 30 ? submission_count + 1 : 30);
    uint32_t which = submission_count >= back ? submission_count - back + 1 : 0;

    return which && submissions[which].accepted && !submissions[which].told_forgotten ? which : 0;
}

static void act(struct client *client)
{
    uint64_t what = below(100);
    uint32_t which = some_batch();

    if (what < 25)
        submit(client);
    else if (what < 60)
        go_on(client);
    else if (what < 75 && which)
        attach(client, which);
    else if (what < 80 && which)
        request(client, which, PROTO_REQUEST_CANCEL);
    else if (what < 84)
        cancel_by_ticket(client);
    else if (what < 90 && which)
        request(client, which, PROTO_REQUEST_FORGET);
    else if (what < 95 && which)
        request(client, which, PROTO_REQUEST_BATCHES);
    else if (what < 98)
        leave(client);
}

/* --- workers */

static void check_job(const struct submission *batch, uint64_t job)
{
    SAY(!batch->accepted || !batch->recorded[job],
        "job %llu of batch %llu runs again, and its result is recorded", (unsigned long long)job,
        (unsigned long long)batch->number);
    SAY(batch->told_cancelled == 0 || batch->told_cancelled == life,
        "batch %llu runs, and was cancelled in life %u", (unsigned long long)batch->number,
        batch->told_cancelled);
}

static void check_chunk(const struct proto_chunk *chunk)
{
    for (uint32_t i = 1; i <= submission_count; i++)
        if (submissions[i].number == chunk->batch && !submissions[i].refused)
            for (uint64_t job = chunk->first; job < chunk->first + chunk->count; job++)
                check_job(&submissions[i], job);
}

/* --- lives */

static void step(void)
{
    uint64_t who = below(10);

    if (who < 3)
        act(&clients[below(CLIENTS)]);
    else if (who < 6)
        world_step_store(&w);
    else if (who < 8)
        world_step_worker(&w, check_chunk);
    else if (who < 9)
        listen_once(&clients[below(CLIENTS)]);
    else if (once_in(10))
        world_kill_worker(&w, 1 + (unsigned)below(WORKERS));
    w.now_ms += once_in(4);
    ledger_tick(w.ledger, w.now_ms, &w.outbox);
}

static void begin(uint64_t die_at, uint64_t now_ms)
{
    w.hold_workers = true;
    w.die_at = die_at;
    world_open(&w, path, ++life, WORKERS);
    w.now_ms = now_ms;
    w.fail_every = FAIL_EVERY;
    for (int i = 0; i < CLIENTS && !w.dead; i++)
        say_hello(&clients[i]);
}

/* What is not accepted when the coordinator dies may have come to be there, or not: only the file knows. */
static void die(void)
{
    for (int i = 0; i < CLIENTS; i++)
        if (once_in(2))
            while (listen_once(&clients[i])) {
            }
    world_close(&w);
}

static void all_ends(void)
{
    const struct lane *lane;

    begin(0, w.now_ms + 1000);
    for (uint32_t i = 1; i <= submission_count; i++)
        if (submissions[i].accepted && i % 10 == 0)
            attach(&clients[0], i);
    w.hold_workers = false;
    do {
        ledger_tick(w.ledger, w.now_ms, &w.outbox);
        world_settle(&w);
    } while (listen_once(&clients[0]) || listen_once(&clients[1]) || listen_once(&clients[2]));
    SAY(ledger_count(w.ledger).open == 0 && ledger_count(w.ledger).waiting == 0,
        "%llu batches are open, %llu wait", (unsigned long long)ledger_count(w.ledger).open,
        (unsigned long long)ledger_count(w.ledger).waiting);
    DL_FOREACH(w.ledger->lanes, lane)
        SAY(lane->open == 0, "%u batches of a lane are said to be open", lane->open);
    SAY(ledger_count(w.ledger).readers == 0, "somebody waits for what is over");
    world_close(&w);
    look_at_file(true);
}

static void live_through(uint64_t which)
{
    uint64_t now_ms = 1700000000000, deaths = 0;

    seed = which;
    random_seed(&chance, seed);
    life = submission_count = 0;
    snprintf(folder, sizeof folder, "%s/muster-test-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    CHECK(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/store", folder);
    while (life < LIVES) {
        begin(1 + below(EVENTS_MAX), now_ms);
        for (int i = 0; i < STEPS_MAX && !w.dead; i++)
            step();
        deaths += w.dead;
        now_ms = w.now_ms;
        die();
        look_at_file(false);
    }
    CHECK(deaths > LIVES / 2 && submission_count > LIVES);
    all_ends();
    unlink(path);
    CHECK(rmdir(folder) == 0);
}

static void every_job_ends_once_whenever_the_coordinator_dies(void)
{
    const char *only = getenv("MUSTER_SEED"), *number = getenv("MUSTER_SEEDS");
    uint64_t seeds = number ? strtoull(number, NULL, 10) : SEEDS;

    if (only)
        live_through(strtoull(only, NULL, 10));
    for (uint64_t i = 1; !only && i <= seeds; i++)
        live_through(i);
}

int main(void)
{
    static const struct check checks[] = {
        {"every_job_ends_once_whenever_the_coordinator_dies",
         every_job_ends_once_whenever_the_coordinator_dies},
    };

    return check_all(checks, sizeof checks / sizeof *checks);
}
