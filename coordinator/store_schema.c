/* SPDX-License-Identifier: MIT
 *
 * The file: who may have it open, whether it is a store that this muster knows, and its tables. See
 * store_schema.h.
 *
 * A lock on the file itself (flock, which SQLite does not use) keeps a second muster out, while other
 * programs may read. Its descriptor is closed after SQLite's: to close any of a file ends the locks
 * that SQLite has on it.
 */
#include "coordinator/store_schema.h"

#include "base/log.h"
#include "coordinator/store_lock.h"
#include "coordinator/store_request.h"
#include "coordinator/store_sql_log.h"
#include "coordinator/store_sql_sums.h"
#include "proto/limits.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BUSY_MS = 2000,             /* for another program that writes or makes a copy */
    CACHE_KIB = 16 << 10,       /* of pages; a queue of any length is read at its two ends */
    CHECKPOINT_PAGES = 1000,    /* 4 MB of log, then it is carried over into the file */
    FRAME_BYTES = 4096 + 24,    /* of a page in the log */
    LOG_BYTES_MAX = 64 << 20,   /* that stay on disk after a larger one */
    CHECK_BYTES_MAX = 64 << 20, /* of a file that is checked wholly when it is opened */
};

/* Each brings a file of the version before it, which is its place here, to the next. A step that was
 * released never changes; a file is what all of them made. */
static const char *const steps[] = {
    "CREATE TABLE lane (lane INTEGER PRIMARY KEY, priority INTEGER NOT NULL, user TEXT NOT NULL, "
    "  uses INTEGER NOT NULL, UNIQUE (priority, user));"
    "CREATE TABLE work (work INTEGER PRIMARY KEY, function TEXT NOT NULL, settings BLOB NOT NULL, "
    "  uses INTEGER NOT NULL, UNIQUE (function, settings));"
    "CREATE TABLE batch (number INTEGER PRIMARY KEY, state INTEGER NOT NULL, lane INTEGER NOT NULL, "
    "  work INTEGER NOT NULL, submitted_ms INTEGER NOT NULL, total INTEGER, argument_count INTEGER, "
    "  first INTEGER, last INTEGER, begin_ms INTEGER, name TEXT, origin INTEGER, started_ms INTEGER, "
    "  ended_ms INTEGER, succeeded INTEGER, failed INTEGER, cancelled INTEGER, totals BLOB, argument BLOB);"
    "CREATE INDEX batch_queued ON batch (lane) WHERE state = 4;"
    "CREATE INDEX batch_active ON batch (state, begin_ms) WHERE " STORE_SQL_ACTIVE ";"
    "CREATE TABLE after (waiter INTEGER NOT NULL, batch INTEGER NOT NULL, condition INTEGER NOT NULL, "
    "  PRIMARY KEY (waiter, batch)) WITHOUT ROWID;"
    "CREATE INDEX after_batch ON after (batch);"
    "CREATE TABLE argument (batch INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL, "
    "  payload BLOB NOT NULL);"
    "CREATE INDEX argument_of_batch ON argument (batch, first, count);"
    "CREATE TABLE record (sequence INTEGER PRIMARY KEY, batch INTEGER NOT NULL, first INTEGER NOT NULL, "
    "  count INTEGER NOT NULL, failed INTEGER NOT NULL, header BLOB NOT NULL, payload BLOB NOT NULL);"
    "CREATE INDEX record_of_batch ON record (batch, first, count);"
    "CREATE INDEX record_in_order ON record (batch);"
    "CREATE TABLE failure (batch INTEGER NOT NULL, job INTEGER NOT NULL, code INTEGER NOT NULL, "
    "  text TEXT NOT NULL, PRIMARY KEY (batch, job)) WITHOUT ROWID;"
    "CREATE TABLE forgotten (highest INTEGER NOT NULL);"
    "INSERT INTO forgotten VALUES (0);",

    "CREATE TABLE life (lives INTEGER NOT NULL, identity INTEGER NOT NULL);"
    "INSERT INTO life VALUES (0, random());",

    "CREATE TABLE tally (state INTEGER PRIMARY KEY, batches INTEGER NOT NULL);"
    "INSERT INTO tally SELECT state, count(*) FROM batch GROUP BY state;",

    "CREATE TABLE leaving (batch INTEGER PRIMARY KEY);",

    /* The tables stay; but a header may have failures with values, which an older muster cannot read; */
    "",

    /* and pages have sums, which an older muster does not write. */
    "",
};

enum { VERSION = sizeof steps / sizeof *steps };

#define NAME_OF(number, text)          " WHEN " #number " THEN '" text "'"
#define STATE_NAME(name, number, text) NAME_OF(number, text)
#define ERROR_NAME(name, number, text) NAME_OF(-number, text)
#define ISO(column)                    "strftime('%Y-%m-%dT%H:%M:%fZ', " column " / 1000.0, 'unixepoch')"

/* For people; made anew by whoever changes the schema. */
static const char views[] =
    "DROP VIEW IF EXISTS batches; DROP VIEW IF EXISTS results; DROP VIEW IF EXISTS failures;"
    "CREATE VIEW batches AS SELECT b.number AS batch, b.name AS name, l.user AS user, "
    "  l.priority AS priority, w.function AS function, "
    "  CASE b.state" STORE_STATE_MAP(
        STATE_NAME) " END AS state, b.total AS jobs, b.succeeded AS succeeded, "
                    "  b.failed AS failed, b.cancelled AS cancelled, b.first AS first, b.last AS last, "
                    "  " ISO("b.submitted_ms") " AS submitted, " ISO(
                        "b.begin_ms") " AS begins, "
                                      "  " ISO("b.started_ms") " AS started, " ISO(
                                          "b.ended_ms") " AS ended, "
                                                        "  (SELECT group_concat(a.batch, ' ') FROM after a "
                                                        "WHERE a.waiter = b.number) AS after, "
                                                        "  b.origin AS origin FROM batch b JOIN lane l ON "
                                                        "l.lane = b.lane JOIN work w ON w.work = b.work;"
                                                        "CREATE VIEW results AS SELECT batch, first, first + "
                                                        "count - 1 AS last, count AS jobs, failed, "
                                                        "  length(payload) AS bytes, sequence FROM record "
                                                        "WHERE batch NOT IN (SELECT batch FROM leaving);"
                                                        "CREATE VIEW failures AS SELECT batch, job, CASE "
                                                        "code" MUSTER_ERROR_MAP(
                                                            ERROR_NAME) " END AS error, "
                                                                        "  text FROM failure;";

static const char *const statements[SQL_COUNT] = {
#define X(name, text) [SQL_##name] = (text),
    STORE_SQL_MAP(X)
#undef X
};

/* Says what SQLite says, of the file. */
static int fail(const struct store_database *database, int code, struct muster_error *ret_error)
{
    switch (code & 0xff) {
    case SQLITE_NOTADB:
        return muster_error_set(ret_error, MUSTER_EINVALID, "%s: not a database: give another file",
                                database->path);
    case SQLITE_CORRUPT:
        return muster_error_set(
            ret_error, MUSTER_EINVALID,
            "%s: the file is damaged, or another program has changed it: restore a copy, or give "
            "another file",
            database->path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return muster_error_set(ret_error, MUSTER_ESTATE, "%s: another program has the file locked",
                                database->path);
    case SQLITE_READONLY:
        return muster_error_set(ret_error, MUSTER_ESYSTEM, "%s: the file cannot be written", database->path);
    case SQLITE_NOMEM:
        return muster_error_set(ret_error, MUSTER_ENOMEM, "%s: out of memory", database->path);
    case SQLITE_IOERR:
        return muster_error_system(ret_error, sqlite.system_errno(database->handle), "%s", database->path);
    default:
        return muster_error_set(ret_error, MUSTER_ESYSTEM, "%s: %s", database->path,
                                database->handle ? sqlite.errmsg(database->handle) : sqlite.errstr(code));
    }
}

static int execute(struct store_database *database, const char *text, struct muster_error *ret_error)
{
    int code = sqlite.exec(database->handle, text, NULL, NULL, NULL);

    return code == SQLITE_OK ? 0 : fail(database, code, ret_error);
}

/* The first column of the first row. */
static int ask(struct store_database *database, const char *text, char *ret_text, size_t size,
               struct muster_error *ret_error)
{
    sqlite3_stmt *statement = NULL;
    const unsigned char *found;
    int code = sqlite.prepare_v2(database->handle, text, -1, &statement, NULL);

    if (code == SQLITE_OK)
        code = sqlite.step(statement);
    if (code == SQLITE_ROW && !(found = sqlite.column_text(statement, 0)))
        code = SQLITE_NOMEM; /* none of the answers is NULL */
    if (code == SQLITE_ROW)
        snprintf(ret_text, size, "%s", (const char *)found);
    sqlite.finalize(statement);
    return code == SQLITE_ROW ? 0 : fail(database, code == SQLITE_DONE ? SQLITE_ERROR : code, ret_error);
}

static int ask_number(struct store_database *database, const char *text, long long *ret_number,
                      struct muster_error *ret_error)
{
    char answer[32];
    int result = ask(database, text, answer, sizeof answer, ret_error);

    if (result == 0)
        *ret_number = strtoll(answer, NULL, 10);
    return result;
}

/* Whether it is a store, and of which version; 0 for an empty file. Only reads. */
static int check_kind(struct store_database *database, long long *ret_version, struct muster_error *ret_error)
{
    long long id, tables, version;
    int result = ask_number(database, "PRAGMA application_id", &id, ret_error);

    if (result == 0)
        result = ask_number(database, "SELECT count(*) FROM sqlite_schema", &tables, ret_error);
    if (result == 0)
        result = ask_number(database, "PRAGMA user_version", &version, ret_error);
    if (result != 0)
        return result;
    if (id == 0 && tables == 0 && version == 0) {
        *ret_version = 0;
        return 0;
    }
    if (id != SQL_SUMS_APPLICATION)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "%s: a database of another program: give another file", database->path);
    if (version < 1 || version > VERSION)
        return muster_error_set(
            ret_error, MUSTER_EVERSION,
            "%s: written by a newer muster (schema %lld; this one knows %d): use that one, "
            "or give another file",
            database->path, version, VERSION);
    *ret_version = version;
    return 0;
}

/* What was committed last is still there. */
static int check_log(struct store_database *database, struct muster_error *ret_error)
{
    long long page_bytes;
    char mode[16];
    int code, result = ask(database, "PRAGMA journal_mode", mode, sizeof mode, ret_error);

    if (result == 0)
        result = ask_number(database, "PRAGMA page_size", &page_bytes, ret_error);
    if (result != 0 || strcmp(mode, "wal") != 0)
        return result;
    code = sql_log_check(database->handle, (uint32_t)page_bytes);
    return code == SQLITE_OK ? 0 : fail(database, code, ret_error);
}

/* A file that is small enough is looked at wholly; of others, damage shows when it is met. */
static int check_whole(struct store_database *database, struct muster_error *ret_error)
{
    static const char cause_word[] = "error code=";
    long long pages, page_bytes;
    char answer[256];
    const char *cause;
    int result = ask_number(database, "PRAGMA page_count", &pages, ret_error);

    if (result == 0)
        result = ask_number(database, "PRAGMA page_size", &page_bytes, ret_error);
    if (result != 0 || pages * page_bytes > CHECK_BYTES_MAX)
        return result;
    result = ask(database, "PRAGMA quick_check(1)", answer, sizeof answer, ret_error);
    if (result != 0 || strcmp(answer, "ok") == 0)
        return result;
    cause = strstr(answer, cause_word); /* a page that cannot be read, now, is not damaged */
    return fail(database, cause ? (int)strtol(cause + sizeof cause_word - 1, NULL, 10) : SQLITE_CORRUPT,
                ret_error);
}

/* In one transaction: all of the steps, or none. */
static int migrate(struct store_database *database, long long version, struct muster_error *ret_error)
{
    char pragmas[96];
    int result;

    if (version == VERSION)
        return 0;
    snprintf(pragmas, sizeof pragmas, "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
             SQL_SUMS_APPLICATION, (int)VERSION);
    result = execute(database, "BEGIN EXCLUSIVE", ret_error);
    for (size_t i = (size_t)version; i < VERSION && result == 0; i++)
        result = execute(database, steps[i], ret_error);
    if (result == 0)
        result = execute(database, views, ret_error);
    if (result == 0)
        result = execute(database, pragmas, ret_error);
    if (!sqlite.get_autocommit(database->handle))
        sqlite.exec(database->handle, "ROLLBACK", NULL, NULL, NULL);
    return result;
}

static int prepare(struct store_database *database, struct muster_error *ret_error)
{
    for (int i = 0; i < SQL_COUNT; i++) {
        int code = sqlite.prepare_v3(database->handle, statements[i], -1, SQLITE_PREPARE_PERSISTENT,
                                     &database->statements[i], NULL);

        if (code == SQLITE_ERROR) /* a table or column is missing */
            code = SQLITE_CORRUPT;
        if (code != SQLITE_OK)
            return fail(database, code, ret_error);
    }
    return 0;
}

/* What holds for this connection. Nothing in a file may run code: no triggers, and only plain functions in
 * views. A file that is refused is not touched when it is closed. */
static int configure(struct store_database *database, struct muster_error *ret_error)
{
    char pragmas[256];

    sqlite.extended_result_codes(database->handle, 1);
    sqlite.busy_timeout(database->handle, BUSY_MS);
    sqlite.db_config(database->handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite.db_config(database->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite.db_config(database->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    snprintf(pragmas, sizeof pragmas,
             "PRAGMA synchronous = FULL; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY; "
             "PRAGMA cache_size = -%d; PRAGMA wal_autocheckpoint = %d; PRAGMA journal_size_limit = %d",
             CACHE_KIB, CHECKPOINT_PAGES, LOG_BYTES_MAX);
    return execute(database, pragmas, ret_error);
}

/* So that there is room in each page. Where the disk has none for that, or no folder for temporary files, the
 * file stays as it is: an older muster does not open it any more, and this one tries again at its next start.
 */
static int rewrite_pages(struct store_database *database, bool *ret_done, struct muster_error *ret_error)
{
    int result, code = sqlite.exec(database->handle, "PRAGMA temp_store = FILE; VACUUM", NULL, NULL, NULL);
    int kind = code & 0xff;

    if (kind == SQLITE_FULL || kind == SQLITE_IOERR)
        log_error(
            "%s: its pages get no checksums, for which it has to be written anew: %s: tried again at the "
            "next start",
            database->path, sqlite.errmsg(database->handle));
    else if (code != SQLITE_OK)
        return fail(database, code, ret_error);
    result = execute(database, "PRAGMA temp_store = MEMORY", ret_error);
    if (result == 0)
        *ret_done = code == SQLITE_OK;
    return result;
}

/* There is room in each page for its sum: an empty file is given it. One that an older muster wrote, or
 * SQLite made of what could be saved of another, is written anew, or goes on without if it may not, or
 * cannot. */
static int use_sums(struct store_database *database, bool rewrite, struct muster_error *ret_error)
{
    long long page_bytes, pages;
    bool fit = sql_sums_fit(database->handle);
    int code, result = ask_number(database, "PRAGMA page_size", &page_bytes, ret_error);

    if (result == 0)
        result = ask_number(database, "PRAGMA page_count", &pages, ret_error);
    if (result != 0 || (!fit && pages > 0 && !rewrite))
        return result;
    if (!fit) {
        sql_sums_make_room(database->handle);
        fit = pages == 0;
        if (!fit)
            result = rewrite_pages(database, &fit, ret_error);
    }
    if (result != 0 || !fit)
        return result;
    code = sql_sums_begin(database->handle, (uint32_t)page_bytes);
    return code == SQLITE_OK ? 0 : fail(database, code, ret_error);
}

/* The log comes before the schema: what is in a file of the present version is in WAL mode. */
static int use_log(struct store_database *database, struct muster_error *ret_error)
{
    char mode[16];
    int result = ask(database, "PRAGMA journal_mode = WAL", mode, sizeof mode, ret_error);

    if (result != 0 || strcmp(mode, "wal") == 0 || database->lock_fd < 0)
        return result;
    return muster_error_set(
        ret_error, MUSTER_ESYSTEM,
        "%s: this file system does not let SQLite keep its log: give a file on a local disk", database->path);
}

/* Gives the log the size that it has when it is carried over. To sync a file that grows costs the file
 * system a transaction of its own, 3.5 ms where one that is written over takes 0.1; zeros are no frames to
 * SQLite. Where there is no room it stays as it is, and grows when it has to. */
static void stretch_log(struct store_database *database)
{
    static const char zeros[64 << 10];
    const sqlite3_int64 end = (sqlite3_int64)CHECKPOINT_PAGES * FRAME_BYTES;
    sqlite3_file *log = NULL;
    sqlite3_int64 size;
    int code = sqlite.file_control(database->handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);

    if (code != SQLITE_OK || !log || !log->pMethods || log->pMethods->xFileSize(log, &size) != SQLITE_OK)
        return;
    for (sqlite3_int64 at = size; at < end && code == SQLITE_OK; at += (int)sizeof zeros)
        code = log->pMethods->xWrite(log, zeros, sizeof zeros, at);
    if (code != SQLITE_OK)
        log->pMethods->xTruncate(log, size);
    else if (size < end)
        log->pMethods->xSync(log, SQLITE_SYNC_NORMAL);
}

/* One life more, of this very file: a copy has another inode. */
static int begin_life(struct store_database *database, struct muster_error *ret_error)
{
    long long lives = 0, identity = 0;
    struct stat status;
    char text[96];
    int result;

    snprintf(text, sizeof text, "UPDATE life SET lives = lives %% %d + 1", (int)PROTO_EPOCH_MAX);
    result = execute(database, text, ret_error);
    if (result == 0)
        result = ask_number(database, "SELECT lives FROM life", &lives, ret_error);
    if (result == 0)
        result = ask_number(database, "SELECT identity FROM life", &identity, ret_error);
    if (result == 0 && (lives < 1 || lives > PROTO_EPOCH_MAX))
        result = fail(database, SQLITE_CORRUPT, ret_error);
    if (result == 0 && fstat(database->lock_fd, &status) != 0)
        result = muster_error_system(ret_error, errno, "%s", database->path);
    if (result != 0)
        return result;
    database->epoch = (uint32_t)lives;
    database->identity = ((uint64_t)identity + status.st_dev) ^ (uint64_t)status.st_ino << 24;
    return 0;
}

/* The file is what it is said to be, and whole. Then it has what this version needs, and is written. */
static int bring_up(struct store_database *database, struct muster_error *ret_error)
{
    bool is_file = database->lock_fd >= 0;
    long long version;
    int result = check_kind(database, &version, ret_error);

    if (result == 0)
        result = check_log(database, ret_error);
    if (result == 0)
        result = check_whole(database, ret_error);
    if (result == 0 && is_file)
        result = use_sums(database, false, ret_error);
    if (result == 0)
        result = use_log(database, ret_error);
    if (result == 0)
        result = migrate(database, version, ret_error);
    if (result == 0 && is_file)
        result = use_sums(database, true, ret_error);
    if (result == 0)
        result = prepare(database, ret_error);
    if (result == 0 && is_file)
        stretch_log(database);
    return result == 0 && is_file ? begin_life(database, ret_error) : result;
}

int store_database_open(const char *path, struct store_database *ret_database, struct muster_error *ret_error)
{
    struct store_database database = {.lock_fd = -1};
    char resolved[PATH_MAX] = ":memory:"; /* else with a folder: never one of SQLite's special names */
    int result, code;

    database.path = strdup(path ? path : "the store in memory");
    if (!database.path)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    result = sqlite_load(ret_error);
    if (result == 0 && path)
        result = store_lock(path, &database.lock_fd, ret_error);
    if (result == 0 && path && !realpath(path, resolved))
        result = muster_error_system(ret_error, errno, "%s", path);
    if (result != 0)
        goto out;
    code = sql_sums_register();
    if (code == SQLITE_OK)
        code = sqlite.open_v2(resolved, &database.handle,
                              SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (path ? 0 : SQLITE_OPEN_CREATE),
                              path ? SQL_SUMS_NAME : NULL);
    result = code == SQLITE_OK ? configure(&database, ret_error) : fail(&database, code, ret_error);
    if (result == 0)
        result = bring_up(&database, ret_error);
    if (result == 0) {
        sqlite.db_config(database.handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
        *ret_database = database;
    }
out:
    if (result != 0)
        store_database_close(&database);
    return result;
}

void store_database_close(struct store_database *database)
{
    for (int i = 0; database->handle && i < SQL_COUNT; i++)
        sqlite.finalize(database->statements[i]);
    if (database->handle)
        sqlite.close(database->handle);
    if (database->lock_fd >= 0)
        close(database->lock_fd); /* behind SQLite's */
    free(database->path);
    *database = (struct store_database){.lock_fd = -1};
}
