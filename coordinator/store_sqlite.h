/* SPDX-License-Identifier: MIT
 *
 * SQLite, loaded when the first store is opened: linking it would take a tenth of the time of every start of
 * muster, and most commands have no store. Once it is loaded it stays.
 */
#ifndef MUSTER_COORDINATOR_STORE_SQLITE_H
#define MUSTER_COORDINATOR_STORE_SQLITE_H

#include "base/error.h"

#include <sqlite3.h>

/* What is used of it: the names, without "sqlite3_". */
#define SQLITE_SYMBOL_MAP(X) \
    X(bind_blob64)           \
    X(bind_int)              \
    X(bind_int64)            \
    X(bind_text64)           \
    X(busy_timeout)          \
    X(clear_bindings)        \
    X(close)                 \
    X(column_blob)           \
    X(column_bytes)          \
    X(column_int)            \
    X(column_int64)          \
    X(column_text)           \
    X(column_type)           \
    X(database_file_object)  \
    X(db_config)             \
    X(errcode)               \
    X(errmsg)                \
    X(errstr)                \
    X(exec)                  \
    X(extended_result_codes) \
    X(file_control)          \
    X(finalize)              \
    X(get_autocommit)        \
    X(last_insert_rowid)     \
    X(libversion)            \
    X(libversion_number)     \
    X(open_v2)               \
    X(prepare_v2)            \
    X(prepare_v3)            \
    X(reset)                 \
    X(step)                  \
    X(system_errno)          \
    X(vfs_find)              \
    X(vfs_register)

struct sqlite {
#define X(name) __typeof__(sqlite3_##name) *name;
    SQLITE_SYMBOL_MAP(X)
#undef X
};

/* Whoever has a connection may use it. */
extern struct sqlite sqlite;

/* Before the first connection; any thread. 0; MUSTER_ENOTFOUND when there is none, MUSTER_EVERSION when it is
 * too old. */
int sqlite_load(struct muster_error *ret_error);

#endif
