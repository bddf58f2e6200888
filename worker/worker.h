/* SPDX-License-Identifier: MIT
 *
 * The worker process: runs chunks of jobs for one coordinator, one job at a time, on its main
 * thread, while a second thread owns the socket (worker/link.h).
 */
#ifndef MUSTER_WORKER_WORKER_H
#define MUSTER_WORKER_WORKER_H

#include "jobs/registry.h"

#include <stdint.h>

struct worker_options {
    const char *endpoint; /* of the coordinator */
    const char *name;     /* the routing id it was given */
    int parent_pid;       /* the worker ends when this process does; 0: no such tie */
    int flight_fd;        /* flight recorder handed over by the supervisor; -1: none */
    int slots_fd;         /* slots for messages, likewise, and */
    int bell_fd;          /* what to ring when there is one for the coordinator; -1: none */
    int heap_fd;          /* file of the heap that results are lent from, likewise; -1: none */
    /* Functions; borrowed. NULL: those that ship, and those of the plug-ins. */
    const struct registry *registry;
    const char *const *plugins;
    unsigned plugin_count;
    uint64_t memory_bytes; /* limit of data memory; 0: none */
    unsigned sandbox; /* that it confines itself in: see base/sandbox.h; 0: none. It runs no commands then */
    /* What is kept from it, and from commands that are confined: see struct sandbox_leave. Borrowed. */
    const char *const *kept;
    size_t kept_count;
    int cpu;              /* core to run on; -1: any */
    unsigned concurrency; /* jobs it runs at once, as coroutines; 0: 1 */
    /* It outlives its parent, and goes on without a coordinator for so long: then `slots_fd`,
     * `bell_fd` and `heap_fd` are passed over. 0: it ends with its parent. */
    uint64_t orphan_grace_ns;
    bool tied; /* it waits for a coordinator for so long, but not without its parent */
    /* A copy of a process that is to end with _exit: it may do so by itself, when the coordinator has said
     * STOP and there is nothing to put in order but memory and threads. */
    bool copy;
};

/* Runs until the coordinator says STOP. Returns the exit status: 0, or 255 after one line on
 * standard error. */
int worker_main(const struct worker_options *options);

#endif
