/* SPDX-License-Identifier: MIT
 *
 * Workers of this host for a coordinator of another one: a supervisor launches, watches and buries them as
 * the coordinator's own does, and all that they and the coordinator tell each other goes over its one
 * connection, in order. They connect to it by a socket of this host, and know of no key. When the connection
 * is lost it is tried again, and they go on with what they have; they are ended when the coordinator says
 * that it has given it to others, or may have. One thread.
 */
#ifndef MUSTER_COORDINATOR_OUTPOST_H
#define MUSTER_COORDINATOR_OUTPOST_H

#include "base/error.h"
#include "proto/messages.h"

/* All borrowed. */
struct outpost_options {
    const char *endpoint; /* of the coordinator: tcp://HOST:PORT#KEY, as place_check has it */
    const char *program;  /* the muster binary */
    unsigned workers;     /* 1..PROTO_HOST_WORKERS_MAX */
    const char *const *plugins;
    const struct proto_plugin *digests; /* of the plug-ins */
    unsigned plugin_count;
    uint64_t memory_bytes; /* of a worker; 0: no limit */
    unsigned sandbox;      /* see base/sandbox.h; 0: none */
    unsigned concurrency;  /* jobs that each worker runs at once; 0: 1 */
    bool pin;
    int stop_fd; /* readable: it ends */
};

/* Until the coordinator ends in order, or stop_fd is readable: 0. MUSTER_ELOST when nobody answers the first
 * time; MUSTER_EDENIED, MUSTER_EVERSION, MUSTER_EINVALID and others when the coordinator refuses this host.
 */
int outpost_run(const struct outpost_options *options, struct muster_error *ret_error);

#endif
