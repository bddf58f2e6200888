/* SPDX-License-Identifier: MIT
 *
 * A coordinator that lives in a thread of its caller: the core, the workers' supervisor and
 * the socket that both workers and clients talk to, in one loop.
 *
 * Its sockets are bound before the thread starts, so clients can connect at once. It ends by
 * message: after the owner sent STOP, workers are asked to finish, then made to, and
 * coordinator_stop returns.
 */
#ifndef MUSTER_COORDINATOR_COORDINATOR_H
#define MUSTER_COORDINATOR_COORDINATOR_H

#include "base/error.h"
#include "proto/wire.h"

#include <stdbool.h>
#include <stdint.h>

struct coordinator;
struct launcher; /* coordinator/launcher.h */

/* Borrowed until coordinator_stop. */
struct coordinator_options {
    struct launcher *launcher; /* that makes workers; NULL: one that starts `program` */
    const char *program;       /* the muster binary, for workers */
    unsigned workers;          /* 1..PROTO_WORKERS_MAX */
    const char *const *plugins;
    unsigned plugin_count;
    uint64_t heartbeat_ns; /* not 0 */
    uint64_t memory_bytes; /* of a worker; 0: no limit */
    unsigned concurrency;  /* jobs that each worker runs at once; 0: 1 */
    bool tcp;              /* listen on loopback instead of ipc: any user of this host may connect */
    bool values_inline, messages_alone; /* no shared memory for large values; for single messages */
    bool pin, warm;
};

/* Returns when clients can connect to COORDINATOR_INPROC through `context`, which the caller
 * owns and which must outlive the coordinator. */
int coordinator_start(const struct coordinator_options *options, struct wire_context *context,
                      struct coordinator **ret_coordinator, struct muster_error *ret_error);

/* Where clients of other processes may connect, "ipc://..." or "tcp://..."; as long as it runs. */
const char *coordinator_endpoint(const struct coordinator *coordinator);

/* Waits for the thread, which ends once the owner has sent STOP. Takes NULL. */
void coordinator_stop(struct coordinator *coordinator);

#define COORDINATOR_INPROC "inproc://coordinator"

/* The name of the client whose STOP ends the coordinator. */
#define COORDINATOR_OWNER "client"

#endif
