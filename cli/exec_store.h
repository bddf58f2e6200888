/* SPDX-License-Identifier: MIT
 *
 * --results: what each command wrote, in files instead of on standard output, as GNU parallel 20221122 lays
 * them out. A name without replacement strings is a tree: NAME/1/VALUE/2/VALUE/ has stdout, stderr and seq;
 * with them it is a file a job, with .err and .seq beside it, or a folder when it ends with /; one that
 * ends with .csv, .tsv or .json is a table, - being standard output.
 *
 * A job's seq is removed first and written last: where it is, the other two are whole.
 */
#ifndef MUSTER_CLI_EXEC_STORE_H
#define MUSTER_CLI_EXEC_STORE_H

#include "cli/exec_result.h"
#include "cli/exec_table.h"
#include "cli/template.h"

#include <sys/types.h>

enum exec_store_kind { EXEC_STORE_NONE, EXEC_STORE_TREE, EXEC_STORE_NAMES, EXEC_STORE_TABLE };

struct exec_store_spec {
    const char *name;         /* NULL: nothing is stored */
    const struct word *names; /* of the values, by --header; others go by their numbers */
    size_t name_count;
    size_t values_each; /* values that each row of the sources has; 0: columns */
    bool goes_on;       /* a table keeps what it has */
    bool look_only;     /* nothing is made or written */
    bool confined;      /* the jobs are: links that they may have made below the root are not followed */
};

/* All of the spec is borrowed. */
struct exec_store {
    enum exec_store_kind kind;
    struct exec_store_spec spec;
    mode_t mode;          /* of new files */
    int root_fd;          /* owned: what of the name is in front of all places, if jobs are confined; or -1 */
    size_t root_bytes;    /* of its name, without a / at its end */
    struct template name; /* of NAMES */
    struct exec_table table;
    msgpack_sbuffer place, path; /* being made */
};

/* `rules` are the command's. Makes the folder of a tree, and, where jobs are confined, the one that all
 * names are in. 0, or an error with the name. */
int exec_store_open(struct exec_store *store, const struct exec_store_spec *spec,
                    const struct template_rules *rules, struct muster_error *ret_error);

/* Where the files of a job are, whose row was made of so many rows of the sources: a folder with / at its
 * end, or a file. Empty for a table. Valid until the next call. 0, MUSTER_ENOMEM, or MUSTER_EINVALID. */
int exec_store_place(struct exec_store *store, const struct row *row, size_t records, uint64_t sequence,
                     struct word *ret_place, struct muster_error *ret_error);

/* Whether the files of a job are there, whole. */
bool exec_store_has(struct exec_store *store, struct word place);

/* Stores the files of a job; a large one is moved if that can be done. `heading`, which may be empty, stands
 * before standard output. 0 or MUSTER_EOUTPUT with the name of the file. */
int exec_store_files(struct exec_store *store, struct word place, uint64_t sequence,
                     const struct exec_result *result, struct word heading, struct muster_error *ret_error);

/* The path of what a job wrote to standard output; NULL: a table has it, or out of memory. Valid until the
 * next call. */
const char *exec_store_output(struct exec_store *store, struct word place);

/* Takes a zeroed one. */
void exec_store_close(struct exec_store *store);

#endif
