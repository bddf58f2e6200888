/* SPDX-License-Identifier: MIT
 *
 * A checksum at the end of each page of a state file, as a file system of SQLite's: pages are summed as they
 * are written to the file, and a page that is not what was written is not read: SQLITE_CORRUPT. The sum
 * stands in bytes that SQLite leaves free in each page, so that other programs read the file as ever.
 *
 * Pages of the log have sums of SQLite's own until they are carried over into the file. Another program does
 * that, too, if it is the last one to close the file: it leaves pages without a sum then, and takes the log
 * away. So a file that is closed here is sealed, which its first page says: each page has a sum. Where there
 * is no seal and no log, pages without a sum are given theirs as the file is opened. Any other page without
 * is damaged. While the file is open nobody else can carry its log over.
 */
#ifndef MUSTER_COORDINATOR_STORE_SQL_SUMS_H
#define MUSTER_COORDINATOR_STORE_SQL_SUMS_H

#include "coordinator/store_sqlite.h"

#include <stdbool.h>
#include <stdint.h>

/* What connections to a state file are opened with. */
#define SQL_SUMS_NAME "muster"

/* In the header of a state file: "mstr". */
#define SQL_SUMS_APPLICATION 0x6d737472

/* Makes SQLite know it, once in a process. An SQLite code. */
int sql_sums_register(void);

/* Whether the pages of the open file have room for sums. */
bool sql_sums_fit(sqlite3 *handle);

/* The next pages that are written first, of an empty file or by VACUUM, have room for them. */
void sql_sums_make_room(sqlite3 *handle);

/* Pages of the file have sums from now on, whatever its header on disk says so far, and will be written.
 * Again when there is room since. An SQLite code. */
int sql_sums_begin(sqlite3 *handle, uint32_t page_bytes);

#endif
