/* SPDX-License-Identifier: MIT
 *
 * The start method fork: a process that is forked off the calling program before that has any
 * thread, and forks workers on request. It stays single-threaded, so that what it forks is
 * whole; the program itself, which has threads from then on, could not do that.
 *
 * It ends with its caller, and its workers end with it. Where somebody stopped it, and it alone, it is woken
 * after the heartbeat. One thread at a time.
 */
#ifndef MUSTER_CLIENT_FORKSERVER_H
#define MUSTER_CLIENT_FORKSERVER_H

#include "client/muster.h"
#include "coordinator/launcher.h"
#include "jobs/registry.h"

struct forkserver;

/* Whether a fork of this process is a whole process: 0, or MUSTER_ESTATE when it has more than one
 * thread, or a ZeroMQ context of ours: neither survives a fork. */
int forkserver_check(struct muster_error *ret_error);

/* Forks it off. Workers find their functions in `registry`; of the options, `start`, `concurrency`,
 * `memory_bytes` and `sandbox` are theirs, `heartbeat_s` is its own. Fails as forkserver_check does. */
int forkserver_start(const struct registry *registry, const struct muster_options *options,
                     struct forkserver **ret_server, struct muster_error *ret_error);

/* Makes workers through it. When the server has died, its spawn fails with MUSTER_ELOST. */
struct launcher *forkserver_launcher(struct forkserver *server);

/* Has it end, without waiting for that: to end a process takes a while. Takes NULL. */
void forkserver_end(struct forkserver *server);

/* Ends it, and workers that are left, and waits until it has gone. Takes NULL. */
void forkserver_stop(struct forkserver *server);

#endif
