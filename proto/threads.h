/* SPDX-License-Identifier: MIT
 *
 * Whether there are threads left. libzmq aborts the process when it cannot start its own, with its
 * first socket, so whoever makes a context of it asks first.
 */
#ifndef MUSTER_PROTO_THREADS_H
#define MUSTER_PROTO_THREADS_H

#include "base/error.h"

/* Starts as many threads as a context of libzmq has, and ends them. 0, or MUSTER_ELIMIT with the way out. */
int threads_check(struct muster_error *ret_error);

#endif
