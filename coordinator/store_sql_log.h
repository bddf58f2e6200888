/* SPDX-License-Identifier: MIT
 *
 * Whether the log of a state file has all that was committed. SQLite reads it up to the first frame that is
 * not whole, which a power cut leaves at its end: a damaged one looks the same, and all behind it would be
 * gone without a word.
 */
#ifndef MUSTER_COORDINATOR_STORE_SQL_LOG_H
#define MUSTER_COORDINATOR_STORE_SQL_LOG_H

#include "coordinator/store_sqlite.h"

#include <stdint.h>

/* Of an open file that is in WAL mode, when something was read of it. SQLITE_CORRUPT when what was synced
 * lies behind a frame that cannot be read; not noticed is that in the last commit, which may have been cut
 * off. */
int sql_log_check(sqlite3 *handle, uint32_t page_bytes);

#endif
