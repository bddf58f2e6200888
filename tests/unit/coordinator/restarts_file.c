/* SPDX-License-Identifier: MIT
 *
 * What the file of a coordinator that died says, read with SQLite alone. See restarts.h.
 */
#include "proto/codec.h"
#include "restarts.h"
#include "tests/support/check.h"

#include <sqlite3.h>
#include <string.h>

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

void look_at_file(const char *path, bool over)
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
