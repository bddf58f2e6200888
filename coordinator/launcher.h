/* SPDX-License-Identifier: MIT
 *
 * How worker processes come to be, behind the supervisor: its own launcher starts a program
 * anew; the client's fork server copies the calling program. One thread uses a launcher.
 */
#ifndef MUSTER_COORDINATOR_LAUNCHER_H
#define MUSTER_COORDINATOR_LAUNCHER_H

#include "base/error.h"

#include <sys/resource.h>
#include <sys/types.h>

struct launcher {
    const struct launcher_ops *ops;
};

/* One worker; all borrowed. */
struct launch {
    const char *endpoint; /* to connect to */
    const char *name;
    int flight_fd; /* its flight recorder; all four stay the caller's */
    int heap_fd;   /* the file that it lends results from; -1: it lends none */
    int slots_fd;  /* its slots for messages, and */
    int bell_fd;   /* what it rings when it has put one there; -1: it has none */
    int cpu;       /* to run on; -1: any */
};

struct launcher_ops {
    /* Starts a worker that leads a process group of its own. *ret_pidfd is the caller's. */
    int (*spawn)(struct launcher *launcher, const struct launch *launch, pid_t *ret_pid, int *ret_pidfd,
                 struct muster_error *ret_error);
    /* Waits for the end of a worker, which was seen or is near, and forgets it. 0 with its exit
     * status; MUSTER_ELOST when nobody knows it. */
    int (*collect)(struct launcher *launcher, pid_t pid, int *ret_status, struct rusage *ret_usage);
};

#endif
