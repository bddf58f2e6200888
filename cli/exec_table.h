/* SPDX-License-Identifier: MIT
 *
 * --results FILE.csv, FILE.tsv, FILE.json: a record for each command that ended, with the columns of the job
 * log, its arguments and what it wrote, of any size. JSON is an object a line.
 */
#ifndef MUSTER_CLI_EXEC_TABLE_H
#define MUSTER_CLI_EXEC_TABLE_H

#include "cli/exec_append.h"
#include "cli/exec_result.h"
#include "cli/row.h"

#include <msgpack.h>

enum exec_table_kind { EXEC_TABLE_CSV, EXEC_TABLE_TSV, EXEC_TABLE_JSON };

struct exec_table {
    enum exec_table_kind kind;
    bool opened; /* `file` */
    struct exec_append file;
    const struct word *names; /* borrowed: of the values */
    size_t name_count;
    bool headed;    /* the names of the columns have been written, or are not wanted */
    size_t columns; /* values of the first record; a shorter one is filled up */
    msgpack_sbuffer record;
    bool failed; /* out of memory */
};

/* Whether it is the name of a table, and of which kind. */
bool exec_table_kind_of(const char *name, enum exec_table_kind *ret_kind);

/* Whether that table goes to standard output. */
bool exec_table_is_output(const char *name);

/* Opens it, empty, or when `goes_on` with the whole records it has. 0, MUSTER_ESYSTEM. */
int exec_table_open(struct exec_table *table, enum exec_table_kind kind, const char *name, bool goes_on,
                    const struct word *names, size_t name_count, struct muster_error *ret_error);

/* `args` is the array of the job's arguments. 0, MUSTER_EOUTPUT or MUSTER_ENOMEM. */
int exec_table_add(struct exec_table *table, uint64_t sequence, const struct exec_result *result,
                   struct word command, const msgpack_object_array *args, struct muster_error *ret_error);

/* Takes a zeroed one. */
void exec_table_close(struct exec_table *table);

#endif
