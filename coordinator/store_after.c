/* SPDX-License-Identifier: MIT
 *
 * Batches that wait for others, or for their time: what becomes of them when those end, or that comes, and of
 * those that wait for them in turn. A batch names only batches that were there before it, so there are no
 * circles. One that is damaged holds up no other: it is answered, and stays what it is.
 */
#include "coordinator/store_entry.h"

#include "proto/limits.h"

/* Whether what it waits for has ended in a way that cancels it. */
static bool cancels(enum store_condition condition, enum store_state state)
{
    return condition == STORE_AFTER_OK && store_state_is_end(state) && state != STORE_SUCCEEDED;
}

/* 0 of one that is not there. */
static int read_state(struct store_database *database, struct store_entry *entry, uint64_t number,
                      enum store_state *ret_state)
{
    sqlite3_stmt *brief = database->statements[SQL_BRIEF];
    enum store_state state = (enum store_state)0;
    int result = MUSTER_EEND;

    if (!store_damage_find(entry, number)) {
        sql_bind_number(brief, 1, number);
        result = sql_row(database, brief);
    }
    if (result == 0) {
        state = store_column_state(brief, 0);
        result = sql_run(database, brief);
    } else if (result == MUSTER_EEND) {
        result = 0;
    } else {
        store_damage_note(database, entry, number);
    }
    if (result == 0)
        *ret_state = state;
    return result;
}

int store_judge(struct store_database *database, struct store_entry *entry, uint64_t number,
                uint64_t begin_ms, enum store_state *ret_state)
{
    sqlite3_stmt *after = database->statements[SQL_AFTER];
    bool waits = false, cancelled = false;
    int result;

    sql_bind_number(after, 1, number);
    while ((result = sql_row(database, after)) == 0) {
        enum store_state state;

        if (read_state(database, entry, sql_column(after, 0), &state) != 0) {
            sqlite.reset(after);
            return MUSTER_ESYSTEM;
        }
        cancelled |= cancels((enum store_condition)sql_column(after, 1), state);
        waits |= !store_state_is_end(state);
    }
    if (result != MUSTER_EEND) {
        store_damage_note(database, entry, number);
        return result;
    }
    *ret_state = cancelled                          ? STORE_CANCELLED
                 : waits                            ? STORE_BLOCKED
                 : begin_ms > entry->request.now_ms ? STORE_DELAYED
                                                    : STORE_QUEUED;
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

/* Adds a batch to the answer, of which it is not known yet what is with it. */
static int append(struct store_database *database, struct store_entry *entry, uint64_t number,
                  uint64_t begin_ms)
{
    void *list = entry->list;
    struct store_moved *moved = store_arena_append(&entry->answer, &list, entry->done.count, sizeof *moved);

    if (!moved)
        return store_no_memory(database);
    *moved = (struct store_moved){.batch = number, .begin_ms = begin_ms};
    entry->list = list;
    entry->done.moved = list;
    entry->done.count++;
    return 0;
}

/* Appends those that wait for a batch to the answer. */
static int gather(struct store_database *database, struct store_entry *entry, uint64_t number)
{
    sqlite3_stmt *waiters = database->statements[SQL_WAITERS];
    int result;

    sql_bind_number(waiters, 1, number);
    while ((result = sql_row(database, waiters)) == 0) {
        if (append(database, entry, sql_column(waiters, 0), 0) != 0) {
            sqlite.reset(waiters);
            return MUSTER_ESYSTEM;
        }
    }
    return result == MUSTER_EEND ? 0 : result;
}

/* What the row of a batch that may move says. */
struct row {
    enum store_state state; /* 0: there is none */
    uint64_t begin_ms, lane;
};

/* All of it is read, as it is when it is written anew. */
static int read_row(struct store_database *database, struct store_entry *entry, uint64_t number,
                    struct row *ret_row)
{
    sqlite3_stmt *moving = database->statements[SQL_MOVING];
    int result;

    *ret_row = (struct row){.begin_ms = 0};
    sql_bind_number(moving, 1, number);
    result = sql_row(database, moving);
    if (result == MUSTER_ESYSTEM)
        store_damage_note(database, entry, number);
    if (result != 0)
        return result == MUSTER_EEND ? 0 : result;
    *ret_row = (struct row){
        .state = store_column_state(moving, 0),
        .begin_ms = sql_column(moving, 1),
        .lane = sql_column(moving, 2),
    };
    return sql_run(database, moving);
}

static int read_lane(struct store_database *database, struct store_entry *entry, uint64_t number,
                     struct store_lane *ret_lane)
{
    sqlite3_stmt *lane = database->statements[SQL_LANE];
    const void *user;
    size_t size;
    int result;

    sql_bind_number(lane, 1, number);
    result = sql_row(database, lane);
    if (result != 0)
        return result == MUSTER_EEND ? sql_fail(database, SQLITE_CORRUPT) : result;
    ret_lane->priority = (int32_t)sqlite.column_int(lane, 0);
    result = sql_bytes(database, lane, 1, &user, &size);
    if (result == 0 && store_arena_text(&entry->answer, user, size, &ret_lane->user) != 0)
        result = store_no_memory(database);
    sqlite.reset(lane);
    return result;
}

/* Neither needs room in its page; but the row and the indexes may disagree. */
static int move(struct store_database *database, struct store_entry *entry, struct store_moved *moved,
                const struct row *row, enum store_state state)
{
    sqlite3_stmt *set = database->statements[SQL_SET_STATE];

    if (read_lane(database, entry, row->lane, &moved->lane) != 0)
        return MUSTER_ESYSTEM;
    moved->state = state;
    store_tally(database, row->state, state, 1);
    sql_bind_number(set, 1, moved->batch);
    sql_bind_number(set, 2, state);
    if (sql_run(database, set) == 0)
        return 0;
    store_damage_note(database, entry, moved->batch);
    return MUSTER_ESYSTEM;
}

/* Another one was cancelled, for which others may wait in turn. */
static int cancel(struct store_database *database, struct store_entry *entry, struct store_moved *moved)
{
    uint64_t number = moved->batch;

    if (store_cancel(database, number, STORE_BLOCKED, entry->request.now_ms, &moved->state) != 0) {
        store_damage_note(database, entry, number); /* it grows, for which its neighbours are read */
        return MUSTER_ESYSTEM;
    }
    return gather(database, entry, number);
}

/* Whether the batch of the answer is passed, which says so. */
static bool pass(const struct store_entry *entry, struct store_moved *moved)
{
    const struct store_damage *damage = store_damage_find(entry, moved->batch);

    if (damage) {
        moved->damaged = true;
        moved->total = damage->total;
    }
    return damage;
}

/* Gives a batch of the answer its new state; batch 0 when it has none. */
static int settle(struct store_database *database, struct store_entry *entry, struct store_moved *moved)
{
    enum store_state state = STORE_BLOCKED;
    struct row row;

    if (pass(entry, moved))
        return 0;
    if (read_row(database, entry, moved->batch, &row) != 0)
        return MUSTER_ESYSTEM;
    /* Others are not sealed yet, or moved when another of those that they waited for was looked at. */
    if (row.state == STORE_BLOCKED && store_judge(database, entry, moved->batch, row.begin_ms, &state) != 0)
        return MUSTER_ESYSTEM;
    if (state == STORE_CANCELLED)
        return cancel(database, entry, moved);
    if (state != STORE_BLOCKED)
        return move(database, entry, moved, &row, state);
    moved->batch = 0;
    return 0;
}

static int queue(struct store_database *database, struct store_entry *entry, struct store_moved *moved)
{
    struct row row;

    if (pass(entry, moved))
        return 0;
    if (read_row(database, entry, moved->batch, &row) != 0)
        return MUSTER_ESYSTEM;
    moved->damaged = row.state != STORE_DELAYED; /* it is in the index alone: nothing is wrong with its row */
    moved->state = row.state;
    return moved->damaged ? 0 : move(database, entry, moved, &row, STORE_QUEUED);
}

/* Does it with all of the answer, which may grow meanwhile. When one is damaged, the others are looked at
 * before all is done again. */
static int move_all(struct store_database *database, struct store_entry *entry,
                    int (*move_one)(struct store_database *, struct store_entry *, struct store_moved *))
{
    struct row row;
    int result = 0;

    for (uint32_t i = 0; i < entry->done.count; i++) {
        struct store_moved *moved = (struct store_moved *)entry->list + i;

        if (result == 0)
            result = move_one(database, entry, moved);
        else if (moved->batch)
            read_row(database, entry, moved->batch, &row);
    }
    return result;
}

int store_settle(struct store_database *database, struct store_entry *entry, uint64_t number)
{
    struct store_moved *list;
    uint32_t moved = 0;

    if (gather(database, entry, number) != 0 || move_all(database, entry, settle) != 0)
        return MUSTER_ESYSTEM;
    list = entry->list;
    for (uint32_t i = 0; i < entry->done.count; i++)
        if (list[i].batch)
            list[moved++] = list[i];
    entry->done.count = moved;
    return 0;
}

int store_earliest(struct store_database *database, const struct store_turn *turn, uint64_t *ret_ms)
{
    sqlite3_stmt *earliest = database->statements[SQL_EARLIEST];
    int result;

    sql_bind_number(earliest, 1, turn->begin_ms);
    sql_bind_number(earliest, 2, turn->number);
    result = sql_number(database, earliest, ret_ms);
    if (result == MUSTER_EEND)
        *ret_ms = 0;
    return result == MUSTER_EEND ? 0 : result;
}

int store_due(struct store_database *database, struct store_entry *entry)
{
    sqlite3_stmt *due = database->statements[SQL_DUE];
    struct store_turn turn = entry->request.page.turn;
    const struct store_moved *list;
    int result;

    sql_bind_number(due, 1, entry->request.now_ms);
    sql_bind_number(due, 2, turn.begin_ms);
    sql_bind_number(due, 3, turn.number);
    sql_bind_number(due, 4, STORE_PAGE_MAX);
    while ((result = sql_row(database, due)) == 0)
        if (append(database, entry, sql_column(due, 0), sql_column(due, 1)) != 0) {
            sqlite.reset(due);
            return MUSTER_ESYSTEM;
        }
    if (result != MUSTER_EEND || move_all(database, entry, queue) != 0)
        return MUSTER_ESYSTEM;
    list = entry->list;
    for (uint32_t i = 0; i < entry->done.count; i++)
        if (list[i].damaged)
            turn = (struct store_turn){.begin_ms = list[i].begin_ms, .number = list[i].batch};
    if (store_earliest(database, &turn, &entry->done.begin_ms) != 0)
        return MUSTER_ESYSTEM;
    entry->done.more = entry->done.begin_ms != 0 && entry->done.begin_ms <= entry->request.now_ms;
    return 0;
}
