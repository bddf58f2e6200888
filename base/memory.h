/* SPDX-License-Identifier: MIT
 *
 * How much memory there is for the processes of this one's cgroup.
 */
#ifndef MUSTER_BASE_MEMORY_H
#define MUSTER_BASE_MEMORY_H

#include <stdint.h>

/* That of the machine, or the least limit of the cgroups that this process is in; 0: not known. */
uint64_t memory_bytes(void);

#endif
