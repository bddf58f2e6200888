/* SPDX-License-Identifier: MIT
 *
 * The cores that the calling thread may run on, on machines of any size: a fixed cpu_set_t ends
 * at 1024. Failures leave their cause in errno.
 */
#ifndef MUSTER_BASE_CORES_H
#define MUSTER_BASE_CORES_H

#include <sched.h>
#include <stddef.h>

/* How many they are, at least 1. 0, MUSTER_ENOMEM or MUSTER_ESYSTEM. */
int cores_count(unsigned *ret_count);

/* The kernel's number of the k-th of them, k from 0, round robin. 0, MUSTER_ENOMEM or
 * MUSTER_ESYSTEM. */
int cores_nth(unsigned k, int *ret_cpu);

/* The set of `cpu` alone, *ret_bytes long, for sched_setaffinity and its like; the caller frees
 * it with CPU_FREE. NULL when out of memory. */
cpu_set_t *cores_only(int cpu, size_t *ret_bytes);

#endif
