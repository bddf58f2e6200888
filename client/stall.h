/* SPDX-License-Identifier: MIT
 *
 * How long the caller's thread was kept from doing anything else, at most: the longest stretch
 * of muster_map in which it neither waited nor looked for an interrupt. Every model calls these
 * around its waits, with times it has at hand. The caller's thread.
 */
#ifndef MUSTER_CLIENT_STALL_H
#define MUSTER_CLIENT_STALL_H

#include <stdint.h>

struct stall {
    uint64_t since_ns, longest_ns;
};

/* muster_map begins, or a wait is over: the thread is busy from now on. */
static inline void stall_begin(struct stall *stall, uint64_t now_ns)
{
    stall->since_ns = now_ns;
}

/* It begins to wait, looks for an interrupt, or muster_map ends. */
static inline void stall_end(struct stall *stall, uint64_t now_ns)
{
    if (now_ns - stall->since_ns > stall->longest_ns)
        stall->longest_ns = now_ns - stall->since_ns;
    stall->since_ns = now_ns;
}

#endif
