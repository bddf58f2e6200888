/* SPDX-License-Identifier: MIT
 *
 * Batches that wait for others: what becomes of them when those end, and of those that wait for
 * them in turn. A batch names only batches that were there before it, so there are no circles.
 */
#include "coordinator/store_entry.h"

#include "proto/limits.h"

/* Whether what it waits for has ended in a way that cancels it. */
static bool cancels(enum store_condition condition, enum store_state state)
{
    return condition == STORE_AFTER_OK && store_state_is_end(state) && state != STORE_SUCCEEDED;
}

int store_judge(struct store_database *database, uint64_t number, uint64_t begin_ms, uint64_t now_ms,
                enum store_state *ret_state)
{
    sqlite3_stmt *after = database->statements[SQL_AFTER];
    bool waits = false, cancelled = false;
    int result;

    sql_bind_number(after, 1, number);
    while ((result = sql_row(database, after)) == 0) {
        enum store_state state = store_column_state(after, 2);

        cancelled |= cancels((enum store_condition)sql_column(after, 1), state);
        waits |= !store_state_is_end(state);
    }
    if (result != MUSTER_EEND)
        return result;
    *ret_state = cancelled           ? STORE_CANCELLED
                 : waits             ? STORE_BLOCKED
                 : begin_ms > now_ms ? STORE_DELAYED
                                     : STORE_QUEUED;
    return 0;
}

int store_move(struct store_database *database, struct store_entry *entry, sqlite3_stmt *row)
{
    void *list = entry->list;
    struct store_moved *moved = store_arena_append(&entry->answer, &list, entry->done.count, sizeof *moved);

    const void *user;
    size_t size;
    int result = sql_bytes(database, row, 3, &user, &size);

    if (result != 0)
        return result;
    if (!moved || store_arena_text(&entry->answer, user, size, &moved->lane.user) != 0)
        return store_no_memory(database);
    moved->batch = sql_column(row, 0);
    moved->state = store_column_state(row, 1);
    moved->lane.priority = (int32_t)sqlite.column_int(row, 2);
    entry->list = list;
    entry->done.moved = list;
    entry->done.count++;
    return 0;
}

int store_recorded(struct store_database *database, uint64_t number, struct store_batch *ret_counts)
{
    sqlite3_stmt *row = database->statements[SQL_ENDED];
    uint64_t succeeded, failed, total;
    bool odd;

    sql_bind_number(row, 1, number);
    if (sql_row(database, row) != 0)
        return MUSTER_ESYSTEM;
    succeeded = sql_column(row, 0);
    failed = sql_column(row, 1);
    odd = sqlite.column_int64(row, 2) < 0; /* a record in which more failed than there are */
    total = sql_column(row, 3);
    if (sql_run(database, row) != 0)
        return MUSTER_ESYSTEM;
    if (odd || total > PROTO_BATCH_JOBS_MAX || failed > total || succeeded > total - failed)
        return MUSTER_EPROTOCOL;
    ret_counts->succeeded = succeeded;
    ret_counts->failed = failed;
    ret_counts->cancelled = total - succeeded - failed;
    return 0;
}

int store_cancelled(struct store_database *database, uint64_t number, struct store_batch *ret_counts,
                    enum store_state *ret_state)
{
    int result = store_recorded(database, number, ret_counts);

    if (result != 0 && result != MUSTER_EPROTOCOL)
        return result;
    *ret_state = result == 0 ? STORE_CANCELLED : STORE_LOST;
    if (result != 0)
        ret_counts->succeeded = ret_counts->failed = ret_counts->cancelled = 0;
    return 0;
}

int store_cancel(struct store_database *database, uint64_t number, enum store_state from, uint64_t now_ms,
                 enum store_state *ret_state)
{
    sqlite3_stmt *cancel = database->statements[SQL_CANCEL];
    struct store_batch counts;

    if (store_cancelled(database, number, &counts, ret_state) != 0)
        return MUSTER_ESYSTEM;
    store_tally(database, from, *ret_state, 1);
    sql_bind_number(cancel, 1, number);
    sql_bind_number(cancel, 2, *ret_state);
    sql_bind_number(cancel, 3, now_ms);
    sql_bind_number(cancel, 4, counts.succeeded);
    sql_bind_number(cancel, 5, counts.failed);
    sql_bind_number(cancel, 6, counts.cancelled);
    return sql_run(database, cancel);
}

/* Appends those that wait for a batch to the answer. */
static int gather(struct store_database *database, struct store_entry *entry, uint64_t number)
{
    sqlite3_stmt *waiters = database->statements[SQL_WAITERS];
    int result;

    sql_bind_number(waiters, 1, number);
    while ((result = sql_row(database, waiters)) == 0) {
        if (store_move(database, entry, waiters) != 0) {
            sqlite.reset(waiters);
            return MUSTER_ESYSTEM;
        }
    }
    return result == MUSTER_EEND ? 0 : result;
}

/* Gives a batch of the answer its new state; batch 0 when it has none. */
static int decide(struct store_database *database, struct store_entry *entry, uint32_t place)
{
    struct store_moved *moved = (struct store_moved *)entry->list + place;
    uint64_t number = moved->batch, now_ms = entry->request.now_ms;
    sqlite3_stmt *set = database->statements[SQL_SET_STATE];
    enum store_state state = STORE_BLOCKED;
    struct store_brief brief;

    if (store_brief(database, entry, number, &brief) != 0)
        return sql_fail(database, SQLITE_CORRUPT); /* a row that was there a moment ago */
    /* Others are not sealed yet, or moved when another of those that they waited for was looked at. */
    if (brief.state == STORE_BLOCKED && store_judge(database, number, brief.begin_ms, now_ms, &state) != 0)
        return MUSTER_ESYSTEM;
    moved->state = state;
    if (state == STORE_BLOCKED) {
        moved->batch = 0;
        return 0;
    }
    if (state == STORE_CANCELLED)
        return store_cancel(database, number, STORE_BLOCKED, now_ms, &moved->state) != 0
                   ? MUSTER_ESYSTEM
                   : gather(database, entry, number);
    store_tally(database, STORE_BLOCKED, state, 1);
    sql_bind_number(set, 1, number);
    sql_bind_number(set, 2, state);
    return sql_run(database, set);
}

int store_settle(struct store_database *database, struct store_entry *entry, uint64_t number)
{
    int result = gather(database, entry, number);
    struct store_moved *list;
    uint32_t moved = 0;

    /* The list grows at its end, by those that wait for what is cancelled. */
    for (uint32_t i = 0; i < entry->done.count && result == 0; i++)
        result = decide(database, entry, i);
    list = entry->list;
    for (uint32_t i = 0; i < entry->done.count && result == 0; i++)
        if (list[i].batch)
            list[moved++] = list[i];
    entry->done.count = moved;
    return result;
}
