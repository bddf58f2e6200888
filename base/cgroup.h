/* SPDX-License-Identifier: MIT
 *
 * A cgroup that limits the memory of the processes in it, of all of them together: version 2, or the
 * memory controller of version 1, whichever has that here. It is a child of this process's own or, in
 * version 2, where a cgroup with processes has no such children, of the nearest one above that may have
 * them; but none above a limit: nothing that limits this process is escaped.
 *
 * Who made it holds a lock on it, so those that nobody holds any longer can be told and are removed by
 * the next that makes one here. Not for several threads at once.
 */
#ifndef MUSTER_BASE_CGROUP_H
#define MUSTER_BASE_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct cgroup {
    char path[PATH_MAX]; /* "": there is none */
    bool unified;        /* version 2 */
    int fd;              /* of its folder, locked */
    int join_fd, peak_fd, events_fd;
    uint64_t start_bytes, start_kills; /* when it was reset */
};

/* What the processes in it did since it was reset. */
struct cgroup_use {
    uint64_t peak_bytes; /* at least so many at once, beyond what was there when it was reset */
    uint64_t kills;      /* processes that the kernel killed for the limit */
};

/* Makes one, and removes those that were left. 0, or an errno: there is no place for it. */
int cgroup_create(struct cgroup *ret_group);

/* Sets the limit, swap included. 0, or an errno. */
int cgroup_limit(struct cgroup *group, uint64_t bytes);

/* Moves the calling process into it, which has one thread. 0, or -1 with errno set. Async-signal-safe. */
int cgroup_join(const struct cgroup *group);

/* Use is counted from here on. 0, or an errno: it is gone. */
int cgroup_reset(struct cgroup *group);
void cgroup_look(const struct cgroup *group, struct cgroup_use *ret_use);

/* Removes it unless there are processes in it, and lets go of it. Takes one that there is not. */
void cgroup_close(struct cgroup *group);

/* Removes it unless there are processes in it; it is of no more use. Async-signal-safe. */
void cgroup_remove(const struct cgroup *group);

/* How many processes the kernel has killed for lack of memory where this one is, or below; 0: not known. */
uint64_t cgroup_kills(void);

/* Removes all that nobody holds and no process is in. */
void cgroup_sweep(void);

#endif
