/* SPDX-License-Identifier: MIT
 *
 * Other processes' heaps (heap.h), mapped to read what references name in place. A heap is opened
 * and mapped once, read-only but for its table, when the first reference to it comes; what is wrong
 * with a reference or a heap is an error, never a fault. A heap stays readable when its owner
 * dies; it is unmapped when nothing of it is held, and nothing comes from it, any more.
 *
 * One thread.
 */
#ifndef MUSTER_PROTO_MAPPINGS_H
#define MUSTER_PROTO_MAPPINGS_H

#include "proto/heap.h"

#include <msgpack.h>

struct mappings;

/* `own` is borrowed, may be NULL, and is where references to this process's own heap lead. A table
 * is written, to release references, only where `releases`. 0 or MUSTER_ENOMEM. */
int mappings_create(struct heap *own, bool releases, struct mappings **ret_mappings);

/* What is held stays mapped until it is released. Takes NULL. */
void mappings_destroy(struct mappings *mappings);

/* Maps what the reference leads to, until it is released. 0; MUSTER_EPROTOCOL when there is no such
 * heap or it has no such bytes; MUSTER_ELOST when its process has ended; MUSTER_ESYSTEM;
 * MUSTER_ENOMEM. */
int mappings_take(struct mappings *mappings, const struct reference *reference);

/* Lets the owner use the block of a reference that was taken again: once for each time. One that could not
 * be taken must not be released, since others of its heap may be taken meanwhile. */
void mappings_release(struct mappings *mappings, const struct reference *reference);

/* The bytes of a reference that is taken, or leads to one's own heap. 0; MUSTER_ELOST where it is neither;
 * MUSTER_EPROTOCOL where one's own heap has no such bytes. */
int mappings_find(struct mappings *mappings, const struct reference *reference, const void **ret_bytes);

/* As mappings_find; from now on it is the zone that has taken the reference, and releases it when it
 * is cleared or destroyed. MUSTER_ENOMEM: it is not, and the reference is still the caller's. */
int mappings_hold(struct mappings *mappings, const struct reference *reference, msgpack_zone *zone,
                  const void **ret_bytes);

/* Unmaps heaps of which nothing is taken, and nothing comes any more: they are closed (heapfile.h),
 * or their keeper is dead. */
void mappings_trim(struct mappings *mappings);

/* How many heaps are mapped. */
unsigned mappings_count(const struct mappings *mappings);

#endif
