/* SPDX-License-Identifier: MIT
 *
 * What a command has from where it was submitted, when workers that are not this process's run it: working
 * directory, environment, mask of modes, soft limits and niceness travel with the batch, for the workers of
 * a coordinator have their own.
 */
#ifndef MUSTER_CLI_EXEC_ORIGIN_H
#define MUSTER_CLI_EXEC_ORIGIN_H

#include "base/error.h"

#include <msgpack.h>
#include <stdbool.h>
#include <sys/resource.h>

enum {
    /* Of the variables: they are sent with each chunk, and what jobs have in common is
       PROTO_COMMON_BYTES_MAX. */
    EXEC_ORIGIN_BYTES_MAX = 128 << 10,
};

/* Zeroed: nothing travels. */
struct exec_origin {
    char *folder;              /* owned; NULL: nothing travels */
    msgpack_object *variables; /* owned; texts of the environment */
    uint32_t variable_count;
    bool all; /* commands have no others */
    unsigned umask, nice;
    msgpack_object limits[RLIM_NLIMITS];
};

/* Looks at this process: `folder` is where commands run, NULL: here. Of the variables only those of these
 * names; without names, or where one of them is "_", all. 0, MUSTER_ELIMIT, MUSTER_ESYSTEM or
 * MUSTER_ENOMEM. */
int exec_origin_take(struct exec_origin *origin, const char *folder, const char *const *names, size_t count,
                     struct muster_error *ret_error);

/* Takes zeroed ones. */
void exec_origin_fini(struct exec_origin *origin);

#endif
