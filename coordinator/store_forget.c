/* SPDX-License-Identifier: MIT
 *
 * Batches that are forgotten. To whoever asks, a batch is gone at once; the rows of its arguments and
 * records go in slices, one a transaction, so that nobody waits for those of a hundred million jobs. What is
 * left stands in `leaving` until it is gone, also over a restart: numbers are not given again, so it is
 * never taken for another batch's.
 */
#include "coordinator/store_entry.h"

/* What one slice deletes: 512 pages or a few more, each of which SQLite reads as it frees it, some 10 ms. */
enum { SLICE_ROWS = 500, SLICE_BYTES = 2 << 20 };

/* What is left of the slice. */
struct slice_room {
    uint32_t rows;
    uint64_t bytes;
};

/* Runs a statement on one number. */
static int run_on(struct store_database *database, enum store_sql statement, uint64_t number)
{
    sql_bind_number(database->statements[statement], 1, number);
    return sql_run(database, database->statements[statement]);
}

/* Deletes the first rows of the batch in a table: `find` has their first jobs and sizes. Whether there are
 * more. */
static int cut_table(struct store_database *database, uint64_t number, enum store_sql find,
                     enum store_sql delete, struct slice_room *room, bool *ret_more)
{
    sqlite3_stmt *rows = database->statements[find], *cut = database->statements[delete];
    uint64_t last = 0;
    bool any = false, more = false;
    int result;

    sql_bind_number(rows, 1, number);
    while ((result = sql_row(database, rows)) == 0) {
        uint64_t bytes = sql_column(rows, 1);

        more = room->rows == 0 || room->bytes == 0;
        if (more)
            break;
        last = sql_column(rows, 0);
        any = true;
        room->rows--;
        room->bytes -= bytes < room->bytes ? bytes : room->bytes;
    }
    sqlite.reset(rows);
    sqlite.clear_bindings(rows);
    if (result != 0 && result != MUSTER_EEND)
        return result;
    *ret_more = more;
    if (!any)
        return 0;
    sql_bind_number(cut, 1, number);
    sql_bind_number(cut, 2, last);
    return sql_run(database, cut);
}

/* One slice of the batch. Whether there are more. */
static int cut_slice(struct store_database *database, uint64_t number, bool *ret_more)
{
    struct slice_room room = {.rows = SLICE_ROWS, .bytes = SLICE_BYTES};
    int result = cut_table(database, number, SQL_RECORDS_LEFT, SQL_DROP_RECORDS, &room, ret_more);

    if (result != 0 || *ret_more)
        return result;
    return cut_table(database, number, SQL_ARGUMENTS_LEFT, SQL_DROP_ARGUMENTS, &room, ret_more);
}

/* All of a batch. That its number was used is kept, and that others waited for it: it is why they ended so.
 */
static int forget(struct store_database *database, uint64_t number, const struct store_brief *brief)
{
    static const enum store_sql of_batch[] = {SQL_DROP_FAILURES, SQL_DROP_AFTER, SQL_DROP_BATCH,
                                              SQL_NOTE_HIGHEST};
    bool more;
    int result = cut_slice(database, number, &more);

    if (result == 0 && more)
        result = run_on(database, SQL_ADD_LEAVING, number);
    if (result != 0)
        return result;
    store_tally(database, brief->state, (enum store_state)0, 1);
    for (size_t i = 0; i < sizeof of_batch / sizeof *of_batch; i++)
        if (run_on(database, of_batch[i], number) != 0)
            return MUSTER_ESYSTEM;
    if (run_on(database, SQL_LEAVE_LANE, brief->lane) != 0 ||
        run_on(database, SQL_LEAVE_WORK, brief->work) != 0 ||
        run_on(database, SQL_SWEEP_LANE, brief->lane) != 0)
        return MUSTER_ESYSTEM;
    return run_on(database, SQL_SWEEP_WORK, brief->work);
}

/* Whether anything is left of batches that were forgotten, and of which. */
static int find_leaving(struct store_database *database, struct store_entry *entry, uint64_t *ret_number)
{
    int result = sql_number(database, database->statements[SQL_LEAVING], ret_number);

    entry->done.more = result == 0;
    return result == MUSTER_EEND ? 0 : result;
}

int store_sweep(struct store_database *database, struct store_entry *entry)
{
    uint64_t number;
    bool more;
    int result = find_leaving(database, entry, &number);

    if (result != 0 || !entry->done.more)
        return result;
    result = cut_slice(database, number, &more);
    if (result == 0 && !more)
        result = run_on(database, SQL_DROP_LEAVING, number);
    return result != 0 ? result : find_leaving(database, entry, &number);
}

int store_drop(struct store_database *database, struct store_entry *entry)
{
    sqlite3_stmt *waiter = database->statements[SQL_WAITER];
    uint64_t number = entry->request.batch, other;
    struct store_brief brief;
    int result = store_brief(database, entry, number, &brief);

    if (result != 0)
        return result;
    if (!store_state_is_end(brief.state))
        return store_fail_state(entry, number, brief.state, ": cancel it first");
    sql_bind_number(waiter, 1, number);
    result = sql_number(database, waiter, &other);
    if (result == 0)
        return store_entry_fail(entry, MUSTER_ESTATE, "batch %llu waits for batch %llu",
                                (unsigned long long)other, (unsigned long long)number);
    if (result != MUSTER_EEND || (result = forget(database, number, &brief)) != 0)
        return result;
    return find_leaving(database, entry, &other);
}

int store_abandon(struct store_database *database, struct store_entry *entry)
{
    uint64_t number = entry->request.batch, other;
    struct store_brief brief;
    int result = store_brief(database, entry, number, &brief);

    if (result != 0)
        return result;
    if (brief.sealed)
        return store_fail_state(entry, number, brief.state, ", and was accepted");
    result = forget(database, number, &brief);
    return result != 0 ? result : find_leaving(database, entry, &other);
}

/* Batches that ran, and were to be cancelled, when the last coordinator died. */
static int cancel_marked(struct store_database *database, struct store_entry *entry)
{
    enum store_state state;
    uint64_t number;
    int result;

    while ((result = sql_number(database, database->statements[SQL_CANCELLED], &number)) == 0) {
        if (store_cancel(database, number, STORE_RUNNING, entry->request.now_ms, &state) != 0 ||
            store_settle(database, entry, number) != 0)
            return MUSTER_ESYSTEM;
    }
    return result == MUSTER_EEND ? 0 : result;
}

int store_reset(struct store_database *database, struct store_entry *entry)
{
    sqlite3_stmt *unsealed = database->statements[SQL_UNSEALED];
    struct store_brief brief;
    uint64_t number;
    int result;

    while ((result = sql_number(database, unsealed, &number)) == 0) {
        if (store_brief(database, entry, number, &brief) != 0)
            return sql_fail(database, SQLITE_CORRUPT); /* a row that was there a moment ago */
        if (forget(database, number, &brief) != 0)
            return MUSTER_ESYSTEM;
    }
    if (result != MUSTER_EEND || (result = cancel_marked(database, entry)) != 0)
        return result;
    return find_leaving(database, entry, &number);
}
