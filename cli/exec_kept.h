/* SPDX-License-Identifier: MIT
 *
 * Commands that a coordinator has run, as `muster results` shows them: what each wrote, or, with -o json, an
 * object of it, as `muster exec` does.
 */
#ifndef MUSTER_CLI_EXEC_KEPT_H
#define MUSTER_CLI_EXEC_KEPT_H

#include "cli/exec_limits.h"
#include "cli/failures.h"
#include "cli/output.h"
#include "proto/messages.h"

/* Whether the jobs of a batch are commands. */
bool exec_kept_runs(const struct proto_attached *batch);

struct exec_kept {
    struct failures *failures;    /* borrowed */
    msgpack_sbuffer title, label; /* of the latest */
    uint64_t lost;                /* that failed since their output could not be had, and for nothing else */
};

/* Writes one that has ended to where `output` goes, and names it if it failed. 0, MUSTER_EOUTPUT,
 * MUSTER_EPROTOCOL: what came is no result of a command; or MUSTER_ENOMEM. */
int exec_kept_write(struct exec_kept *kept, struct output *output, const struct muster_result *result,
                    struct muster_error *ret_error);

void exec_kept_fini(struct exec_kept *kept);

#endif
