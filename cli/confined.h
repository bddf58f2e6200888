/* SPDX-License-Identifier: MIT
 *
 * --sandbox as it is told: what is missing on this host, and which layers held.
 */
#ifndef MUSTER_CLI_CONFINED_H
#define MUSTER_CLI_CONFINED_H

#include "base/sandbox.h"

#include <jansson.h>

/* Before jobs are confined on this host: says which layers it lacks, on standard error, or, if the sandbox is
 * strict, refuses. 0 or MUSTER_EINVALID. Nothing to do for 0. */
int confined_begin(unsigned sandbox, struct muster_error *ret_error);

/* {"no_new_privs": true, "landlock": version or null, "seccomp": bool, "memory": "cgroup", "rlimit" or null},
 * of what sandbox_pack wrote. NULL when out of memory, or `layers` is 0. */
json_t *confined_json(unsigned layers);

#endif
