/* SPDX-License-Identifier: MIT
 *
 * Workers that are dead, and of which that is not told yet: what they sent last may be in the buffer of a
 * socket, until the thread of ZeroMQ has read it. When their connection has ended it has. Pure but for the
 * wire that is asked; one thread.
 */
#ifndef MUSTER_COORDINATOR_DEATHS_H
#define MUSTER_COORDINATOR_DEATHS_H

#include "coordinator/core.h"
#include "proto/wire.h"

struct death;

/* Zeroed there are none. */
struct deaths {
    struct death *list; /* owned; in the order in which they died */
};

void deaths_clear(struct deaths *deaths);

/* The worker of this name has died so. 0 or MUSTER_ENOMEM. */
int deaths_add(struct deaths *deaths, uint64_t now_ns, const char *name, const struct worker_exit *exit);

/* The first whose connection to the router is gone, or that has waited for that for too long: all that it
 * sent can be received. Of a router that is not guarded, or is NULL, nobody waits. 0 or MUSTER_EAGAIN. */
int deaths_next(struct deaths *deaths, uint64_t now_ns, struct wire *router, struct worker_exit *ret_exit);

/* When deaths_next is to be called, at the latest; CLOCK_NEVER: there are none. */
uint64_t deaths_deadline(const struct deaths *deaths);

#endif
