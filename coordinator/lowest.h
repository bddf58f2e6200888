/* SPDX-License-Identifier: MIT
 *
 * The lowest of a number of each place, where single numbers change often: a tree of winners, as in a
 * knock-out tournament. What is lowest is at hand, and a change goes up as far as it matters. Pure.
 */
#ifndef MUSTER_COORDINATOR_LOWEST_H
#define MUSTER_COORDINATOR_LOWEST_H

#include <stdint.h>

struct lowest {
    uint64_t *nodes; /* the root is [1], below [i] are [2i] and [2i + 1]; owned */
    unsigned leaves; /* a power of two: place i is nodes[leaves + i] */
};

/* So many places, at least one, all with UINT64_MAX. 0 or MUSTER_ENOMEM. */
int lowest_init(struct lowest *lowest, unsigned places);
void lowest_fini(struct lowest *lowest);

void lowest_set(struct lowest *lowest, unsigned place, uint64_t number);

static inline uint64_t lowest_number(const struct lowest *lowest)
{
    return lowest->nodes[1];
}

#endif
