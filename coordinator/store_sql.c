/* SPDX-License-Identifier: MIT
 *
 * Steps of statements, and what failed. See store_sql.h.
 */
#include "coordinator/store_sql.h"

#include <stdio.h>
#include <string.h>

int sql_fail(struct store_database *database, int code)
{
    if (database->failure)
        return MUSTER_ESYSTEM; /* the first says why */
    database->failure = code;
    snprintf(database->why, sizeof database->why, "%s", sqlite.errstr(code));
    if ((code & 0xff) == SQLITE_IOERR && sqlite.system_errno(database->handle) != 0) {
        char reason[128];
        size_t used = strlen(database->why);

        snprintf(database->why + used, sizeof database->why - used, " (%s)",
                 strerror_r(sqlite.system_errno(database->handle), reason, sizeof reason));
    }
    return MUSTER_ESYSTEM;
}

int sql_row(struct store_database *database, sqlite3_stmt *statement)
{
    int code = sqlite.step(statement);

    if (code == SQLITE_ROW)
        return 0;
    sqlite.reset(statement);
    sqlite.clear_bindings(statement);
    return code == SQLITE_DONE ? MUSTER_EEND : sql_fail(database, code);
}

int sql_run(struct store_database *database, sqlite3_stmt *statement)
{
    int result = sql_row(database, statement);

    return result == MUSTER_EEND ? 0 : result;
}

int sql_number(struct store_database *database, sqlite3_stmt *statement, uint64_t *ret_number)
{
    int result = sql_row(database, statement);
    uint64_t number;

    if (result != 0)
        return result;
    number = sql_column(statement, 0);
    result = sql_row(database, statement);
    if (result != MUSTER_EEND)
        return result;
    *ret_number = number;
    return 0;
}

int sql_bytes(struct store_database *database, sqlite3_stmt *row, int column, const void **ret_bytes,
              size_t *ret_size)
{
    const void *bytes = sqlite.column_blob(row, column);
    size_t size = (size_t)sqlite.column_bytes(row, column);

    if (!bytes && sqlite.errcode(database->handle) == SQLITE_NOMEM)
        return sql_fail(database, SQLITE_NOMEM);
    *ret_bytes = bytes;
    *ret_size = size;
    return 0;
}

void sql_bind_number(sqlite3_stmt *statement, int place, uint64_t number)
{
    sqlite.bind_int64(statement, place, (sqlite3_int64)number);
}

void sql_bind_any(sqlite3_stmt *statement, int place, uint64_t number)
{
    if (number)
        sql_bind_number(statement, place, number);
}

void sql_bind_text(sqlite3_stmt *statement, int place, struct proto_text text)
{
    sqlite.bind_text64(statement, place, text.size ? text.bytes : "", text.size, SQLITE_STATIC, SQLITE_UTF8);
}

void sql_bind_blob(sqlite3_stmt *statement, int place, const void *bytes, size_t size)
{
    sqlite.bind_blob64(statement, place, size ? bytes : "", size, SQLITE_STATIC);
}
