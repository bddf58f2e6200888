/* SPDX-License-Identifier: MIT
 *
 * Where a process may make cgroups that limit memory, and how those that it is in limit its own.
 */
#ifndef MUSTER_BASE_CGROUP_PLACE_H
#define MUSTER_BASE_CGROUP_PLACE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct cgroup_place {
    char path[PATH_MAX]; /* a folder */
    bool unified;        /* of version 2 */
};

/* As `membership`, /proc/self/cgroup, and `mounts`, /proc/self/mountinfo, say. 0, or an errno: ENOENT when
 * no memory controller can be seen, EPERM when none may be used. */
int cgroup_place_find(const char *membership, const char *mounts, struct cgroup_place *ret_place);

/* The least limit of memory of the process's cgroup and those above it that can be seen; UINT64_MAX: none.
 * The files are the same. */
uint64_t cgroup_place_limit(const char *membership, const char *mounts);

#endif
