/* SPDX-License-Identifier: MIT
 *
 * The launcher that starts a program anew for each worker: nothing of the calling program is in
 * it, whatever threads, locks and memory that has.
 */
#ifndef MUSTER_COORDINATOR_SPAWNER_H
#define MUSTER_COORDINATOR_SPAWNER_H

#include "coordinator/launcher.h"

#include <stdbool.h>
#include <stdint.h>

/* All borrowed but the descriptor. */
struct spawner {
    struct launcher launcher; /* first; with spawner_ops */
    const char *program;      /* the muster binary */
    int program_fd;           /* the same, as spawner_open found it; -1: it did not, or it is a script */
    int error;                /* why not, an errno value */
    const char *const *plugins;
    unsigned plugin_count;
    const char *const *kept; /* from jobs that are confined (withheld.h) */
    size_t kept_count;
    uint64_t memory_bytes;    /* 0: no limit */
    unsigned sandbox;         /* see base/sandbox.h; 0: none */
    unsigned concurrency;     /* jobs that each runs at once; 0: 1 */
    uint64_t orphan_grace_ns; /* how long each outlives its coordinator; 0: not at all */
    bool tied;                /* but not this process */
};

extern const struct launcher_ops spawner_ops;

/* Finds the program, which is started from then on whatever has its name; but a script is by its name. One
 * that is not there is told of when a worker is to be started. */
void spawner_open(struct spawner *spawner);

void spawner_close(struct spawner *spawner);

#endif
