/* SPDX-License-Identifier: MIT
 *
 * -o json: what became of a job, as one JSON object on a line of its own, whatever the job wrote and
 * however much: text where all of it is UTF-8, else base64.
 */
#ifndef MUSTER_CLI_EXEC_JSON_H
#define MUSTER_CLI_EXEC_JSON_H

#include "cli/exec_result.h"
#include "cli/row.h"

struct exec_json_job {
    uint64_t sequence;
    struct word command;
    struct word tag; /* without bytes: none */
    unsigned worker;
    const struct exec_result *result; /* NULL: there is none, for `reason` */
    const char *reason;               /* why it failed; NULL: it did not */
    const char *again;                /* the command line that runs it again; NULL: none */
};

/* Writes it. 0, MUSTER_EOUTPUT or MUSTER_ENOMEM. */
int exec_json_write(int fd, const char *name, const struct exec_json_job *job,
                    struct muster_error *ret_error);

#endif
