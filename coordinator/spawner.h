/* SPDX-License-Identifier: MIT
 *
 * The launcher that starts a program anew for each worker: nothing of the calling program is in
 * it, whatever threads, locks and memory that has.
 */
#ifndef MUSTER_COORDINATOR_SPAWNER_H
#define MUSTER_COORDINATOR_SPAWNER_H

#include "coordinator/launcher.h"

#include <stdint.h>

/* All borrowed. */
struct spawner {
    struct launcher launcher; /* first; with spawner_ops */
    const char *program;      /* the muster binary */
    const char *const *plugins;
    unsigned plugin_count;
    uint64_t memory_bytes;    /* 0: no limit */
    unsigned sandbox;         /* see base/sandbox.h; 0: none */
    unsigned concurrency;     /* jobs that each runs at once; 0: 1 */
    uint64_t orphan_grace_ns; /* how long each outlives its coordinator; 0: not at all */
};

extern const struct launcher_ops spawner_ops;

#endif
