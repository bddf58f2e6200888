/* SPDX-License-Identifier: MIT
 *
 * The store's database as its own files see it: the connection, its statements (all prepared when it
 * is opened), and what went wrong with it. A failure of the database (not of a request) is noted in it, and
 * whoever runs the transaction undoes it. One thread at a time.
 */
#ifndef MUSTER_COORDINATOR_STORE_SQL_H
#define MUSTER_COORDINATOR_STORE_SQL_H

#include "base/error.h"
#include "coordinator/store_sqlite.h"
#include "proto/messages.h"

/* Columns of a batch, for store_read.c; joined in the order in which they are looked up. */
#define STORE_SQL_BATCH                                                                                  \
    "SELECT b.number, b.state, b.total, b.submitted_ms, b.begin_ms, b.started_ms, b.ended_ms, b.first, " \
    "b.last, b.origin, b.succeeded, b.failed, b.cancelled, b.totals, b.argument_count, b.argument, "     \
    "b.name, l.priority, l.user, w.function, w.settings FROM batch b "                                   \
    "CROSS JOIN lane l ON l.lane = b.lane CROSS JOIN work w ON w.work = b.work "

/* Of a record, and of a search for the last one that begins at or before a job. */
#define STORE_SQL_RECORD "SELECT sequence, first, count, failed, header, payload FROM record "
#define STORE_SQL_BEFORE(table) \
    "(SELECT first FROM " table " WHERE batch = ?1 AND first <= ?2 ORDER BY first DESC LIMIT 1)"

/* Jobs of a record, for a sum that no damaged one takes beyond an integer, which is an error. */
#define STORE_SQL_JOBS(column) "max(0, min(" column ", 4294967296))"

/* The conditions of the partial indexes stand as in store_schema.c, or they are not used. NEXT reads the row
 * of the lane, which all of its batches need, and of these the index alone, as DUE and WAITERS do: a row that
 * is read by itself names its batch when it is damaged. */
#define STORE_SQL_ACTIVE "state IN (1, 2, 3, 5)"

#define STORE_SQL_MAP(X)                                                                                     \
    X(BEGIN, "BEGIN")                                                                                        \
    X(BEGIN_WRITE, "BEGIN IMMEDIATE")                                                                        \
    X(COMMIT, "COMMIT")                                                                                      \
    X(ROLLBACK, "ROLLBACK")                                                                                  \
    X(BRIEF, "SELECT state, total, begin_ms, lane, work, argument_count, first IS NULL FROM batch "          \
             "WHERE number = ?1")                                                                            \
    X(FIND_LANE, "SELECT lane FROM lane WHERE priority = ?1 AND user = ?2")                                  \
    X(FIND_WORK, "SELECT work FROM work WHERE function = ?1 AND settings = ?2")                              \
    X(ADD_LANE, "INSERT INTO lane (priority, user, uses) VALUES (?1, ?2, 1)")                                \
    X(ADD_WORK, "INSERT INTO work (function, settings, uses) VALUES (?1, ?2, 1)")                            \
    X(USE_LANE, "UPDATE lane SET uses = uses + 1 WHERE lane = ?1")                                           \
    X(USE_WORK, "UPDATE work SET uses = uses + 1 WHERE work = ?1")                                           \
    X(LEAVE_LANE, "UPDATE lane SET uses = uses - 1 WHERE lane = ?1")                                         \
    X(LEAVE_WORK, "UPDATE work SET uses = uses - 1 WHERE work = ?1")                                         \
    X(SWEEP_LANE, "DELETE FROM lane WHERE lane = ?1 AND uses = 0")                                           \
    X(SWEEP_WORK, "DELETE FROM work WHERE work = ?1 AND uses = 0")                                           \
    X(ADD, "INSERT INTO batch (number, state, lane, work, submitted_ms, total, argument_count, argument, "   \
           "first, last, begin_ms, name, origin) "                                                           \
           "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)")                                \
    X(ADD_AFTER, "INSERT INTO after (waiter, batch, condition) VALUES (?1, ?2, ?3) ON CONFLICT "             \
                 "(waiter, batch) DO UPDATE SET condition = min(condition, excluded.condition)")             \
    X(ADD_ARGUMENTS, "INSERT INTO argument (batch, first, count, payload) VALUES (?1, ?2, ?3, ?4)")          \
    X(ADD_RECORD, "INSERT INTO record (batch, first, count, failed, header, payload) "                       \
                  "VALUES (?1, ?2, ?3, ?4, ?5, ?6)")                                                         \
    X(ADD_FAILURE, "INSERT OR IGNORE INTO failure (batch, job, code, text) VALUES (?1, ?2, ?3, ?4)")         \
    X(FAILURES, "SELECT count(*) FROM failure WHERE batch = ?1")                                             \
    X(ARGUMENTS_END, "SELECT first + count FROM argument WHERE batch = ?1 ORDER BY first DESC LIMIT 1")      \
    X(RECORD_END, "SELECT first + count FROM record WHERE batch = ?1 AND first < ?2 "                        \
                  "ORDER BY first DESC LIMIT 1")                                                             \
    X(SET_STATE, "UPDATE batch SET state = ?2 WHERE number = ?1")                                            \
    X(SET_STARTED, "UPDATE batch SET state = ?2, started_ms = coalesce(started_ms, ?3) WHERE number = ?1")   \
    X(SET_TOTAL, "UPDATE batch SET total = ?2 WHERE number = ?1")                                            \
    X(SET_END, "UPDATE batch SET state = ?2, ended_ms = ?3, succeeded = ?4, failed = ?5, cancelled = ?6, "   \
               "totals = ?7 WHERE number = ?1")                                                              \
    X(CANCEL, "UPDATE batch SET state = ?2, ended_ms = ?3, succeeded = ?4, failed = ?5, cancelled = ?6 "     \
              "WHERE number = ?1")                                                                           \
    X(SET_CANCELLED, "UPDATE batch SET cancelled = 0 WHERE number = ?1")                                     \
    X(CANCELLED, "SELECT number FROM batch WHERE " STORE_SQL_ACTIVE " AND state = 5 "                        \
                 "AND cancelled IS NOT NULL LIMIT 1")                                                        \
    X(AFTER, "SELECT batch, condition FROM after WHERE waiter = ?1 ORDER BY batch")                          \
    X(WAITERS, "SELECT waiter FROM after WHERE batch = ?1 ORDER BY waiter")                                  \
    X(MOVING, "SELECT state, begin_ms, lane, argument FROM batch WHERE number = ?1")                         \
    X(LANE, "SELECT priority, user FROM lane WHERE lane = ?1")                                               \
    X(WAITER, "SELECT a.waiter FROM after a JOIN batch b ON b.number = a.waiter "                            \
              "WHERE a.batch = ?1 AND b.state IN (1, 2) LIMIT 1")                                            \
    X(DUE, "SELECT number, begin_ms FROM batch b INDEXED BY batch_active "                                   \
           "WHERE b." STORE_SQL_ACTIVE " AND state = 3 AND begin_ms <= ?1 AND (begin_ms, number) > (?2, ?3)" \
           " ORDER BY begin_ms, number LIMIT ?4")                                                            \
    X(EARLIEST, "SELECT begin_ms FROM batch INDEXED BY batch_active WHERE " STORE_SQL_ACTIVE                 \
                " AND state = 3 AND (begin_ms, number) > (?1, ?2) ORDER BY begin_ms, number LIMIT 1")        \
    X(UNSEALED, "SELECT number FROM batch WHERE " STORE_SQL_ACTIVE " AND state IN (1, 5) "                   \
                "AND total IS NULL LIMIT 1")                                                                 \
    X(DROP_FAILURES, "DELETE FROM failure WHERE batch = ?1")                                                 \
    X(RECORDS_LEFT,                                                                                          \
      "SELECT first, length(header) + length(payload) FROM record WHERE batch = ?1 ORDER BY first")          \
    X(ARGUMENTS_LEFT, "SELECT first, length(payload) FROM argument WHERE batch = ?1 ORDER BY first")         \
    X(DROP_RECORDS, "DELETE FROM record WHERE batch = ?1 AND first <= ?2")                                   \
    X(DROP_ARGUMENTS, "DELETE FROM argument WHERE batch = ?1 AND first <= ?2")                               \
    X(DROP_AFTER, "DELETE FROM after WHERE waiter = ?1")                                                     \
    X(DROP_BATCH, "DELETE FROM batch WHERE number = ?1")                                                     \
    X(ADD_LEAVING, "INSERT INTO leaving VALUES (?1)")                                                        \
    X(LEAVING, "SELECT batch FROM leaving LIMIT 1")                                                          \
    X(DROP_LEAVING, "DELETE FROM leaving WHERE batch = ?1")                                                  \
    X(NOTE_HIGHEST, "UPDATE forgotten SET highest = max(highest, ?1)")                                       \
    X(HIGHEST, "SELECT max(highest, coalesce((SELECT max(number) FROM batch), 0)) FROM forgotten")           \
    X(USED, "SELECT (page_count - freelist_count) * page_size "                                              \
            "FROM pragma_page_count, pragma_freelist_count, pragma_page_size")                               \
    X(COUNTS, "SELECT priority, user, "                                                                      \
              "(SELECT count(*) FROM batch WHERE state = 4 AND batch.lane = lane.lane) FROM lane")           \
    X(NEXT, "SELECT b.number FROM lane l CROSS JOIN batch b INDEXED BY batch_queued ON b.lane = l.lane "     \
            "WHERE l.priority = ?1 AND l.user = ?2 AND l.uses > 0 AND b.state = 4 AND b.number > ?3 "        \
            "ORDER BY b.number")                                                                             \
    X(RESUME, STORE_SQL_BATCH "WHERE b." STORE_SQL_ACTIVE " AND b.state = 5 AND b.number > ?1 "              \
                              "ORDER BY b.number")                                                           \
    X(LIST_UP, STORE_SQL_BATCH "WHERE b.number > ?1 ORDER BY b.number")                                      \
    X(LIST_DOWN, STORE_SQL_BATCH "WHERE b.number < ?1 ORDER BY b.number DESC")                               \
    X(ADD_TALLY, "INSERT INTO tally (state, batches) VALUES (?1, ?2) ON CONFLICT (state) "                   \
                 "DO UPDATE SET batches = batches + excluded.batches")                                       \
    X(TALLY, "SELECT state, batches FROM tally")                                                             \
    X(FIND, STORE_SQL_BATCH "WHERE b.number = ?1")                                                           \
    X(INLINE, "SELECT argument_count, argument FROM batch WHERE number = ?1")                                \
    X(LOAD, "SELECT first, count, payload FROM argument WHERE batch = ?1 "                                   \
            "AND first >= coalesce(" STORE_SQL_BEFORE("argument") ", 0) ORDER BY first")                     \
    X(READ_JOBS, STORE_SQL_RECORD "WHERE batch = ?1 "                                                        \
                                  "AND first >= coalesce(" STORE_SQL_BEFORE("record") ", 0) "                \
                                                                                      "ORDER BY first")      \
    X(READ_SEQUENCE, STORE_SQL_RECORD "INDEXED BY record_in_order "                                          \
                                      "WHERE batch = ?1 AND sequence >= ?2 ORDER BY sequence")               \
    X(ENDED,                                                                                                 \
      "SELECT coalesce(sum(" STORE_SQL_JOBS("count") " - " STORE_SQL_JOBS(                                   \
          "failed") "), 0), "                                                                                \
                    "coalesce(sum(" STORE_SQL_JOBS("failed") "), 0), coalesce(min(count - failed), 0), "     \
                                                             "(SELECT total FROM batch WHERE number = ?1) "  \
                                                             "FROM record WHERE batch = ?1")                 \
    X(SPANS, "SELECT first, count FROM record WHERE batch = ?1 "                                             \
             "AND first >= coalesce(" STORE_SQL_BEFORE("record") ", 0) ORDER BY first")

enum store_sql {
#define X(name, text) SQL_##name,
    STORE_SQL_MAP(X)
#undef X
        SQL_COUNT
};

struct store_database {
    char *path;      /* owned; what messages call it */
    int lock_fd;     /* -1: in memory */
    sqlite3 *handle; /* owned */
    uint32_t epoch;  /* see store.h; 0: in memory, as */
    uint64_t identity;
    uint64_t limit_bytes; /* of what is kept; 0: none */
    bool full;            /* there is more */
    sqlite3_stmt *statements[SQL_COUNT];
    int64_t tally[10]; /* of batches in each state, what the transaction changes; see store_tally.c */
    struct store_lacking *lacking;         /* owned; see store_lacking.c */
    int failure;                           /* SQLite's code since it was last cleared; 0: none */
    char why[MUSTER_ERROR_TEXT_BYTES / 2]; /* of it */
};

/* Notes a failure and returns MUSTER_ESYSTEM. */
int sql_fail(struct store_database *database, int code);

/* Runs a statement that has no rows. 0 or MUSTER_ESYSTEM. */
int sql_run(struct store_database *database, sqlite3_stmt *statement);

/* The next row. 0; MUSTER_EEND: there is none; MUSTER_ESYSTEM. But for 0, the statement has been reset. */
int sql_row(struct store_database *database, sqlite3_stmt *statement);

/* The one row of a query with a number; NULL is 0. 0, MUSTER_EEND or MUSTER_ESYSTEM. */
int sql_number(struct store_database *database, sqlite3_stmt *statement, uint64_t *ret_number);

void sql_bind_number(sqlite3_stmt *statement, int place, uint64_t number);

/* 0 is NULL. */
void sql_bind_any(sqlite3_stmt *statement, int place, uint64_t number);

/* The text, or the blob, must live until the statement is reset. An empty one is not NULL. */
void sql_bind_text(sqlite3_stmt *statement, int place, struct proto_text text);
void sql_bind_blob(sqlite3_stmt *statement, int place, const void *bytes, size_t size);

/* The bytes of a blob or a text, as long as the row stands; NULL is none. 0 or MUSTER_ESYSTEM: SQLite got no
 * memory for them, which looks like an empty one otherwise. */
int sql_bytes(struct store_database *database, sqlite3_stmt *row, int column, const void **ret_bytes,
              size_t *ret_size);

static inline uint64_t sql_column(sqlite3_stmt *statement, int column)
{
    return (uint64_t)sqlite.column_int64(statement, column);
}

#endif
