/* SPDX-License-Identifier: MIT
 *
 * The two halves of the model `processes`: opening it (processes.c) and running a batch as a
 * client of its coordinator (processes_map.c).
 */
#ifndef MUSTER_CLIENT_PROCESSES_H
#define MUSTER_CLIENT_PROCESSES_H

#include "client/model.h"
#include "coordinator/coordinator.h"

struct processes {
    struct model model;              /* first */
    struct wire_context *context;    /* owned */
    struct coordinator *coordinator; /* owned */
    struct wire *wire;               /* to the coordinator; the caller's thread's */
    uint64_t last_ticket;
    uint32_t crash_limit;
};

/* The `map` of the model; see model.h. */
int processes_map(struct model *model, const muster_function *function, const struct muster_batch *batch,
                  struct muster_summary *summary, struct muster_error *ret_error);

#endif
