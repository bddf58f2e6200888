/* SPDX-License-Identifier: MIT
 *
 * A supervisor from inside: what supervisor.c, which makes and buries workers, and supervisor_adopt.c, which
 * takes over those of another one, share.
 */
#ifndef MUSTER_COORDINATOR_SUPERVISOR_INTERNAL_H
#define MUSTER_COORDINATOR_SUPERVISOR_INTERNAL_H

#include "coordinator/spawner.h"
#include "coordinator/supervisor.h"
#include "proto/flight.h"
#include "proto/limits.h"

/* Dead workers whose results are kept for somebody to take them, which takes a message's way; more,
 * or more memory, is given up: a client that does not come back must not cost all memory. */
enum { LEGACIES_MAX = 64, LEGACY_BYTES_MAX = 1 << 30 };

struct child {
    pid_t pid; /* 0: none */
    int pidfd;
    bool killed;  /* by supervisor_kill */
    bool adopted; /* not a child of this process */
    int flight_fd;
    char name[PROTO_PEER_NAME_MAX + 1];
    struct flight_page *flight; /* owned */
    int heap_fd;                /* of its results; -1: none */
};

struct supervisor {
    struct supervisor_options options;
    struct spawner spawner;     /* where the options bring no launcher */
    struct launcher *launcher;  /* borrowed */
    struct child *children;     /* options.workers of them */
    int epoll_fd;               /* over the pidfds */
    int folder_fd;              /* options.folder; -1: there is none */
    int legacies[LEGACIES_MAX]; /* files of dead workers' results, oldest first */
    unsigned legacy_count;
    bool gave_up;  /* some of them since supervisor_settle was called */
    bool nameless; /* to look up names has taken too long once: they wait for nothing again */
    unsigned alive;
    bool counts_kills;
    uint64_t kills; /* for lack of memory, as cgroup_kills last said */
};

/* Where options.folder is set: the file of a worker's flight recorder. */
enum { SUPERVISOR_FILE_BYTES = PROTO_PEER_NAME_MAX + sizeof ".flight" };
void supervisor_file(const char *name, char ret_file[SUPERVISOR_FILE_BYTES]);

/* Sees when child->pidfd becomes readable, which is the child of a slot, and counts it. 0 or an errno
 * value. */
int supervisor_watch(struct supervisor *supervisor, const struct child *child, unsigned slot);

/* Of what a worker is launched here: of program and plug-ins which files, and settings. Not 0. */
uint64_t supervisor_make(const struct supervisor *supervisor);

/* Waits for the end of one that was killed: no longer than a moment, which the kernel may take if it is
 * stuck in a system call. */
void supervisor_await_end(const struct supervisor *supervisor, const struct child *child);

/* Kills the worker with its group, and what its commands started. */
void supervisor_kill_child(const struct child *child);

/* Lets go of all that is kept of a child, and of its file. */
void supervisor_release(struct supervisor *supervisor, struct child *child);

#endif
