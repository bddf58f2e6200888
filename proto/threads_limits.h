/* SPDX-License-Identifier: MIT
 *
 * Whether threads are far from all their limits, as far as those can be read, which takes a tenth of the
 * time of trying them out.
 */
#ifndef MUSTER_PROTO_THREADS_LIMITS_H
#define MUSTER_PROTO_THREADS_LIMITS_H

#include <stdbool.h>

/* Whether so many threads can be had for certain, and many more. False, too, where a limit may be out of
 * sight: in a container, or under one of memory. */
bool threads_are_plenty(unsigned wanted);

#endif
