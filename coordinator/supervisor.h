/* SPDX-License-Identifier: MIT
 *
 * Launches, watches and buries the worker processes of this host. Each is made by a launcher
 * in a process group of its own, watched through a pidfd, and its flight recorder is read when
 * it is dead. Whatever is left of its group is killed before it is
 * reaped. The shared memory of its results is kept until they were taken. One thread uses a supervisor.
 */
#ifndef MUSTER_COORDINATOR_SUPERVISOR_H
#define MUSTER_COORDINATOR_SUPERVISOR_H

#include "base/error.h"
#include "coordinator/core.h"
#include "coordinator/launcher.h"

#include <stdbool.h>
#include <stdint.h>

struct supervisor;

/* All borrowed for the supervisor's life. */
struct supervisor_options {
    struct launcher *launcher; /* that makes workers; NULL: one that starts `program` */
    const char *program;       /* the muster binary */
    const char *endpoint;      /* where workers connect */
    const char *folder;        /* flight recorders are files NAME.flight there; NULL: they have no names */
    uint64_t orphan_grace_ns;  /* how long workers wait for somebody to adopt them; 0: they do not */
    bool tied;                 /* they wait for this process to serve them again, and end with it */
    unsigned workers;          /* slots */
    const char *const *plugins;
    unsigned plugin_count;
    const char *const *kept; /* from jobs that are confined (withheld.h) */
    size_t kept_count;
    uint64_t memory_bytes; /* 0: no limit */
    unsigned sandbox;      /* see base/sandbox.h; 0: none */
    unsigned concurrency;  /* jobs that each worker runs at once; 0: 1 */
    bool lends;            /* workers get shared memory for results */
    bool pin;              /* slot k on the k-th core of this process, round robin */
    /* Called ten times a second while supervisor_reap waits for the names of a crash, which may be for
     * seconds; it must not call the supervisor. NULL: nothing is. */
    void (*meanwhile)(void *context);
    void *context;
};

int supervisor_create(const struct supervisor_options *options, struct supervisor **ret_supervisor,
                      struct muster_error *ret_error);

/* Kills and reaps every worker. Takes NULL. */
void supervisor_destroy(struct supervisor *supervisor);

/* Takes over the workers that another supervisor left in the folder when it was killed, before the first
 * is spawned. Each gets the slot that its name says, `found` is told, and from then on it is as if it
 * had been spawned here: one that is dead already can be reaped at once. How one died that is no child of
 * this process nobody knows; what its flight recorder says counts. Killed, which `found` is told with a
 * reason for people (else NULL), are those whose slot is beyond `workers` or has one already, and those of
 * another program, of other plug-ins or settings than are launched here. 0 or MUSTER_ESYSTEM. */
typedef void supervisor_found(void *context, unsigned slot, const char *name, const char *refused);
int supervisor_adopt(struct supervisor *supervisor, supervisor_found *found, void *context,
                     struct muster_error *ret_error);

/* Starts the worker of a slot, 1..workers, that has none. `slots_fd` and `bell_fd` are borrowed, and
 * -1 when it is to have no slots for messages. */
int supervisor_spawn(struct supervisor *supervisor, unsigned slot, const char *name, int slots_fd,
                     int bell_fd, struct muster_error *ret_error);

/* SIGKILL to the worker of a slot and its process group, if there is one. */
void supervisor_kill(struct supervisor *supervisor, unsigned slot);

/* Readable when a worker has died. */
int supervisor_fd(const struct supervisor *supervisor);

/* Buries one dead worker and says how it died; MUSTER_EAGAIN when there is none. */
int supervisor_reap(struct supervisor *supervisor, struct worker_exit *ret_exit);

/* What can wait a moment when a worker was launched or has died: lets go of results of dead workers that
 * their reader has taken meanwhile, and counts what the kernel has killed before the first one. Returns
 * whether any were let go since the last time: who has them mapped may unmap them. */
bool supervisor_settle(struct supervisor *supervisor);

unsigned supervisor_alive(const struct supervisor *supervisor);

/* Gives workers that were asked to stop half a second to end. */
void supervisor_await(struct supervisor *supervisor);

#endif
