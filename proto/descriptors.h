/* SPDX-License-Identifier: MIT
 *
 * How many file descriptors there are left. libzmq aborts the process when it runs out of them,
 * so whoever opens wires counts first.
 */
#ifndef MUSTER_PROTO_DESCRIPTORS_H
#define MUSTER_PROTO_DESCRIPTORS_H

#include "base/error.h"

/* Held so that others, who count what they need, leave them alone. */
struct descriptors {
    int *fds; /* owned */
    unsigned count;
};

/* Opens so many, or what can be had. 0 or MUSTER_ENOMEM. */
int descriptors_hold(struct descriptors *ret_held, unsigned wanted);

/* Takes zeroed ones, too. */
void descriptors_release(struct descriptors *held);

/* That so many could be opened now, by opening them; else MUSTER_ELIMIT. The error begins with `who`, as in
 * "a connection needs", and says what helps: `besides`, as in "fewer workers (-j), or ", and a higher limit.
 */
int descriptors_check(unsigned needed, const char *who, const char *besides, struct muster_error *ret_error);

#endif
