/* SPDX-License-Identifier: MIT
 *
 * When a host that lost its coordinator tries again to connect: soon at first, then with pauses that double,
 * so that a coordinator which is gone for long costs little, and one that comes back has not all of its hosts
 * at once. Pure.
 */
#ifndef MUSTER_COORDINATOR_RECONNECT_H
#define MUSTER_COORDINATOR_RECONNECT_H

#include <stdbool.h>
#include <stdint.h>

struct reconnect {
    uint64_t pause_ns; /* ahead of the next try, if there has to be one */
    uint64_t due_ns;   /* when that is due; 0: at once */
};

/* None has failed since there was a connection, or since the start. */
void reconnect_begin(struct reconnect *reconnect);

/* The connection, or a try to make one, has failed by now. `held`: workers go on without it, and wait. */
void reconnect_plan(struct reconnect *reconnect, uint64_t now_ns, bool held);

#endif
