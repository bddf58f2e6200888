/* SPDX-License-Identifier: MIT
 *
 * The memory of the machine, as far as cgroups let this process have it. See memory.h.
 */
#include "base/memory.h"

#include "base/cgroup_place.h"

#include <unistd.h>

uint64_t memory_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t machine = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
    uint64_t limit = cgroup_place_limit("/proc/self/cgroup", "/proc/self/mountinfo");

    if (limit == UINT64_MAX || (machine > 0 && machine < limit))
        return machine;
    return limit;
}
