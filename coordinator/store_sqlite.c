/* SPDX-License-Identifier: MIT
 *
 * Loading SQLite. See store_sqlite.h.
 */
#include "coordinator/store_sqlite.h"

#include "base/library.h"

#include <pthread.h>
#include <stdbool.h>

#define LIBRARY "libsqlite3.so.0"

/* As CMakeLists.txt asks of the headers. */
#define VERSION_MIN      3037000
#define VERSION_MIN_TEXT "3.37"

struct sqlite sqlite;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards `sqlite` until it is loaded */
static bool is_loaded;

static const struct library_symbol symbols[] = {
#define X(name) {"sqlite3_" #name, offsetof(struct sqlite, name)},
    SQLITE_SYMBOL_MAP(X)
#undef X
};

/* LOCKING: `lock` is held. */
static int load(struct muster_error *ret_error)
{
    const char *why;
    int code = library_load(LIBRARY, symbols, sizeof symbols / sizeof *symbols, &sqlite, &why);

    if (code == MUSTER_EVERSION)
        return muster_error_set(ret_error, code, "a store needs SQLite %s or later: this one has no %s",
                                VERSION_MIN_TEXT, why);
    if (code != 0)
        return muster_error_set(ret_error, code, "a store needs SQLite (Debian: libsqlite3-0): %s", why);
    if (sqlite.libversion_number() < VERSION_MIN)
        return muster_error_set(ret_error, MUSTER_EVERSION, "a store needs SQLite %s or later, not %s",
                                VERSION_MIN_TEXT, sqlite.libversion());
    is_loaded = true;
    return 0;
}

int sqlite_load(struct muster_error *ret_error)
{
    int code = 0;

    pthread_mutex_lock(&lock);
    if (!is_loaded)
        code = load(ret_error);
    pthread_mutex_unlock(&lock);
    return code;
}
