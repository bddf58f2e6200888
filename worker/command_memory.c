/* SPDX-License-Identifier: MIT
 *
 * The memory limit of commands. See command_internal.h.
 *
 * A cgroup counts all that descends from a command, and the kernel kills what is over it; where this
 * process may not make one, each process has a limit of its own, by which allocations fail. One cgroup
 * serves all commands of a worker, until one leaves processes behind: what those use is not the next
 * one's.
 */
#include "worker/command_internal.h"

#include "base/cgroup.h"

#include <stdatomic.h>

/* Of this process; of the thread that executes but for `made`. */
static struct {
    struct cgroup group;
    atomic_bool made; /* who is about to end the worker may look at the path of `group` */
    uint64_t bytes;   /* its limit */
    bool refused;     /* there can be none */
} self;

/* Ensures: the cgroup is there, has the limit, and counts from here on. 0, or an errno. */
static int prepare_group(uint64_t bytes)
{
    int error = 0;

    if (!self.group.path[0]) {
        error = cgroup_create(&self.group);
        self.made = error == 0;
        self.bytes = UINT64_MAX;
    }
    if (error == 0 && self.bytes != bytes) {
        error = cgroup_limit(&self.group, bytes);
        self.bytes = bytes;
    }
    if (error == 0)
        error = cgroup_reset(&self.group);
    if (error != 0)
        command_memory_leave();
    return error;
}

bool command_memory_begin(uint64_t bytes)
{
    if (bytes == UINT64_MAX || self.refused)
        return false;
    /* One that was used may have been removed by somebody, or be too full for a lower limit. */
    if (prepare_group(bytes) != 0)
        self.refused = prepare_group(bytes) != 0;
    return !self.refused;
}

int command_memory_join(void)
{
    return cgroup_join(&self.group);
}

uint64_t command_memory_end(uint64_t *ret_kills)
{
    struct cgroup_use use;

    cgroup_look(&self.group, &use);
    *ret_kills = use.kills;
    return use.peak_bytes;
}

void command_memory_leave(void)
{
    self.made = false;
    cgroup_close(&self.group);
}

void command_memory_remove(void)
{
    if (self.made)
        cgroup_remove(&self.group);
}
