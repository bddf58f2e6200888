/* SPDX-License-Identifier: MIT
 *
 * Memory and references to blobs that are given back together: what a request of the store or its
 * answer points to. Zeroed it is empty. One thread at a time.
 */
#ifndef MUSTER_COORDINATOR_STORE_ARENA_H
#define MUSTER_COORDINATOR_STORE_ARENA_H

#include "proto/messages.h"

struct store_arena {
    struct store_piece *pieces; /* owned */
    struct store_held *held;    /* in the pieces; each has a reference */
    uint8_t *room;              /* what is left of the newest piece */
    size_t left;
};

void store_arena_fini(struct store_arena *arena);

/* Zeroed and aligned for anything; NULL when out of memory. Never NULL for size 0. */
void *store_arena_take(struct store_arena *arena, size_t size);

/* A copy. 0 or MUSTER_ENOMEM. */
int store_arena_text(struct store_arena *arena, const void *bytes, size_t size, struct proto_text *ret_text);

/* Takes a reference of its own for the blob (may be NULL). 0 or MUSTER_ENOMEM. */
int store_arena_hold(struct store_arena *arena, struct blob *blob);

/* The place of one more element behind `count` in the list at *list, which moves as it grows; NULL when
 * out of memory. Grown only through this. */
void *store_arena_append(struct store_arena *arena, void **list, uint32_t count, size_t element_size);

#endif
