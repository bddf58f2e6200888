/* SPDX-License-Identifier: MIT
 *
 * Whether there are threads left. libzmq aborts the process when it cannot start its own, with its
 * first socket, so whoever makes a context of it asks first.
 */
#ifndef MUSTER_PROTO_THREADS_H
#define MUSTER_PROTO_THREADS_H

#include "base/error.h"

enum {
    THREADS_OF_ZMQ = 2, /* of a context: one for input and output, one that buries sockets */
    THREADS_COUNT_MAX = 16,
};

/* How many of so many threads, THREADS_COUNT_MAX at most, can be had at once: where they may be
 * short, they are started, and end. */
unsigned threads_count(unsigned wanted);

/* Whether there are as many as a context of libzmq has. 0, or MUSTER_ELIMIT with the way out. */
int threads_check(struct muster_error *ret_error);

#endif
