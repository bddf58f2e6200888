/* SPDX-License-Identifier: MIT
 *
 * A coordinator that lives in a thread of its caller: the core, the workers' supervisor and
 * the socket that both workers and clients talk to, in one loop.
 *
 * Its sockets are bound before the thread starts, so clients can connect at once. An embedded one ends
 * after its owner sent STOP, one of a process of its own (with `stop_fd`) when that can be read: then
 * workers are asked to finish, then made to, and coordinator_stop returns.
 */
#ifndef MUSTER_COORDINATOR_COORDINATOR_H
#define MUSTER_COORDINATOR_COORDINATOR_H

#include "base/error.h"
#include "coordinator/core.h"
#include "proto/wire.h"

#include <stdbool.h>
#include <stdint.h>

struct books_options; /* coordinator/books.h */
struct coordinator;
struct gate;     /* coordinator/gate.h */
struct journal;  /* coordinator/journal.h */
struct launcher; /* coordinator/launcher.h */
struct place;    /* coordinator/place.h */

/* Borrowed until coordinator_stop. */
struct coordinator_options {
    struct launcher *launcher; /* that makes workers; NULL: one that starts `program` */
    const char *program;       /* the muster binary, for workers */
    unsigned workers;          /* 1..PROTO_WORKERS_MAX */
    unsigned workers_max;      /* that clients may ask for; 0: no more than these */
    const char *const *plugins;
    unsigned plugin_count;
    uint64_t heartbeat_ns; /* not 0 */
    uint64_t memory_bytes; /* of a worker; 0: no limit */
    unsigned sandbox;      /* of workers: see base/sandbox.h; 0: none */
    uint64_t host_bytes;   /* of memory that jobs may take together; 0: not known, and not counted */
    unsigned concurrency;  /* jobs that each worker runs at once; 0: 1 */
    /* Where it listens for clients, place_count of them, whose endpoints are told with their ports; none:
     * in a folder of its own. Closed after the context was destroyed, which removes their sockets. */
    struct place *places;
    size_t place_count;
    struct gate *gate;                      /* for those of them that are keyed; NULL: none is */
    int stop_fd;                            /* readable: it ends; 0: the owner's STOP ends it */
    unsigned clients;                       /* at most; 0: PROTO_CLIENTS_MAX */
    const struct core_functions *functions; /* that workers have; NULL: not known here */
    const struct journal *journal;          /* NULL: it says nothing */
    const struct books_options *books;      /* between clients and the core; NULL: nothing is kept */
    const char *file;                       /* of the store behind them; NULL: it is in memory */
    /* Where workers connect that outlive it by orphan_grace_ns, for the next one with this place and a higher
     * epoch (of `books`) to adopt them; what is known of them is in its folder. NULL: they end with it. */
    struct place *workers_place;
    uint64_t orphan_grace_ns; /* not 0 */
    bool
        joinable; /* by workers of other hosts, as hosts.h has it, which have the plug-ins by these digests */
    const struct proto_plugin *digests; /* plugin_count of them */
    uint64_t host_grace_ns;             /* how long such a host is waited for that is away; 0: not at all */
    uint64_t state; /* whose jobs these are, for such hosts: the same for all that have workers_place */
    bool tcp;       /* listen on loopback instead of ipc: any user of this host may connect */
    bool values_inline, messages_alone; /* no shared memory for large values; for single messages */
    bool pin, warm;
    const char *scratch; /* where jobs may make a folder that goes with its socket (nest_note); NULL:
                          * nowhere. Only where it has a folder of its own */
    unsigned ahead;      /* so many workers are wanted before there are jobs */
};

/* Workers that are wanted from the beginning, and have a launcher of the caller's and a socket in a folder of
 * the coordinator's own, start at once, and wait for coordinator_start. */
int coordinator_create(const struct coordinator_options *options, struct coordinator **ret_coordinator,
                       struct muster_error *ret_error);

/* Returns when clients can connect through `context`, which the caller
 * owns and which must outlive the coordinator. Where that fails, coordinator_stop is what is left to do. */
int coordinator_start(struct coordinator *coordinator, struct wire_context *context,
                      struct muster_error *ret_error);

/* Where clients of other processes may connect, "ipc://..." or "tcp://..."; as long as it runs. */
const char *coordinator_endpoint(const struct coordinator *coordinator);

/* The folder that jobs may make; NULL: none. */
const char *coordinator_scratch(const struct coordinator *coordinator);

/* Waits for the thread, which ends once the owner has sent STOP or `stop_fd` is readable. 0, or why it ended
 * by itself, which clients were told: MUSTER_ENOMEM, MUSTER_ESYSTEM. Takes NULL, and what did not start. */
int coordinator_stop(struct coordinator *coordinator);

/* Where clients of this process connect to one that has no places. */
#define COORDINATOR_INPROC "inproc://coordinator"

/* The name of the client whose STOP ends the coordinator. */
#define COORDINATOR_OWNER "client"

#endif
