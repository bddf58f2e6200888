/* SPDX-License-Identifier: MIT
 *
 * Threads that stay on one core.
 */
#ifndef MUSTER_LAB_PINNED_H
#define MUSTER_LAB_PINNED_H

#include "base/error.h"

#include <pthread.h>

/* Starts a thread on the k-th core that the caller may use, round robin; on any, where the
 * cores cannot be told. 0 or MUSTER_ESYSTEM. */
int pinned_start(void *(*run)(void *), void *context, unsigned core, pthread_t *ret_thread,
                 struct muster_error *ret_error);

#endif
