/* SPDX-License-Identifier: MIT
 *
 * How many batches there are in each state, in a table of nine rows: to count ten million would keep
 * everybody waiting. What a transaction changes is summed up, and written once, ahead of its commit.
 */
#include "coordinator/store_entry.h"

#include <string.h>

void store_tally(struct store_database *database, enum store_state from, enum store_state to, int64_t batches)
{
    database->tally[from] -= batches;
    database->tally[to] += batches;
}

int store_tally_write(struct store_database *database)
{
    sqlite3_stmt *add = database->statements[SQL_ADD_TALLY];
    int result = 0;

    for (unsigned state = STORE_OPENING; state <= STORE_LOST && result == 0; state++) {
        if (database->tally[state] == 0)
            continue;
        sql_bind_number(add, 1, state);
        sqlite.bind_int64(add, 2, database->tally[state]);
        result = sql_run(database, add);
    }
    memset(database->tally, 0, sizeof database->tally);
    return result;
}

int store_tally_read(struct store_database *database, struct store_entry *entry)
{
    sqlite3_stmt *rows = database->statements[SQL_TALLY];
    uint64_t *tally = store_arena_take(&entry->answer, (STORE_LOST + 1) * sizeof *tally);
    int result;

    if (!tally)
        return store_no_memory(database);
    while ((result = sql_row(database, rows)) == 0)
        if (sql_column(rows, 0) <= STORE_LOST)
            tally[sql_column(rows, 0)] = sql_column(rows, 1);
    for (unsigned state = STORE_OPENING; state <= STORE_LOST; state++)
        tally[state] += (uint64_t)database->tally[state]; /* of this transaction */
    entry->done.tally = tally;
    return result == MUSTER_EEND ? 0 : result;
}
