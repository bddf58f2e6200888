/* SPDX-License-Identifier: MIT
 *
 * How many file descriptors there are left. libzmq aborts the process when it runs out of them,
 * so whoever opens wires counts first.
 */
#ifndef MUSTER_PROTO_DESCRIPTORS_H
#define MUSTER_PROTO_DESCRIPTORS_H

/* Held so that others, who count what they need, leave them alone. */
struct descriptors {
    int *fds; /* owned */
    unsigned count;
};

/* Opens so many, or what can be had. 0 or MUSTER_ENOMEM. */
int descriptors_hold(struct descriptors *ret_held, unsigned wanted);

/* Takes zeroed ones, too. */
void descriptors_release(struct descriptors *held);

/* How many of `wanted` descriptors could be opened now, by opening them. 0 or MUSTER_ENOMEM. */
int descriptors_count(unsigned wanted, unsigned *ret_had);

#endif
