/* SPDX-License-Identifier: MIT
 *
 * The database of a store: opened and locked, brought to the present schema, closed. docs/STORE.md
 * has the tables and views.
 */
#ifndef MUSTER_COORDINATOR_STORE_SCHEMA_H
#define MUSTER_COORDINATOR_STORE_SCHEMA_H

#include "coordinator/store_sql.h"

/* path NULL: in memory. On failure nothing of an existing file has changed. */
int store_database_open(const char *path, struct store_database *ret_database,
                        struct muster_error *ret_error);

void store_database_close(struct store_database *database);

#endif
