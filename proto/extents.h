/* SPDX-License-Identifier: MIT
 *
 * Free space of a heap, in units: extents that are sorted by place and never touch each other.
 */
#ifndef MUSTER_PROTO_EXTENTS_H
#define MUSTER_PROTO_EXTENTS_H

#include <stddef.h>
#include <stdint.h>

struct extent {
    uint32_t first, count; /* units */
};

struct extents {
    struct extent *list; /* owned */
    uint32_t count, capacity;
};

/* At most `capacity` extents: one more than there can be pieces taken. All `units` are free. 0 or
 * MUSTER_ENOMEM. */
int extents_init(struct extents *extents, uint32_t capacity, uint32_t units);
void extents_fini(struct extents *extents);

/* Takes `count` units from the first extent that has them; UINT32_MAX when none has. */
uint32_t extents_take(struct extents *extents, uint32_t count);

/* Gives back units that were taken. */
void extents_give(struct extents *extents, uint32_t first, uint32_t count);

#endif
