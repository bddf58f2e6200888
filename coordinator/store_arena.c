/* SPDX-License-Identifier: MIT
 *
 * Pieces of memory, each larger than what was asked for when that is little. See store_arena.h.
 */
#include "coordinator/store_arena.h"

#include "base/error.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE_BYTES = 1000 }; /* about what a request with a few texts needs */

struct store_piece {
    struct store_piece *next;
    alignas(max_align_t) uint8_t bytes[];
};

struct store_held {
    struct store_held *next;
    struct blob *blob;
};

void store_arena_fini(struct store_arena *arena)
{
    for (struct store_held *held = arena->held; held; held = held->next)
        blob_unref(held->blob);
    while (arena->pieces) {
        struct store_piece *piece = arena->pieces;

        arena->pieces = piece->next;
        free(piece);
    }
    *arena = (struct store_arena){.pieces = NULL};
}

void *store_arena_take(struct store_arena *arena, size_t size)
{
    size_t rounded = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    uint8_t *taken;

    if (rounded < size)
        return NULL;
    if (!arena->pieces || rounded > arena->left) {
        size_t bytes = rounded > PIECE_BYTES ? rounded : PIECE_BYTES;
        struct store_piece *piece = malloc(sizeof *piece + bytes);

        if (!piece)
            return NULL;
        piece->next = arena->pieces;
        arena->pieces = piece;
        arena->room = piece->bytes;
        arena->left = bytes;
    }
    taken = arena->room;
    arena->room += rounded;
    arena->left -= rounded;
    return memset(taken, 0, size);
}

int store_arena_text(struct store_arena *arena, const void *bytes, size_t size, struct proto_text *ret_text)
{
    char *copy;

    if (size > UINT32_MAX)
        return MUSTER_ELIMIT;
    copy = store_arena_take(arena, size);
    if (!copy)
        return MUSTER_ENOMEM;
    if (size)
        memcpy(copy, bytes, size);
    *ret_text = (struct proto_text){.bytes = copy, .size = (uint32_t)size};
    return 0;
}

int store_arena_hold(struct store_arena *arena, struct blob *blob)
{
    struct store_held *held;

    if (!blob)
        return 0;
    held = store_arena_take(arena, sizeof *held);
    if (!held)
        return MUSTER_ENOMEM;
    *held = (struct store_held){.next = arena->held, .blob = blob_ref(blob)};
    arena->held = held;
    return 0;
}

void *store_arena_append(struct store_arena *arena, void **list, uint32_t count, size_t element_size)
{
    /* Full when the count is a power of two: then it doubles. */
    if ((count & (count - 1)) == 0) {
        void *grown = store_arena_take(arena, (count ? 2 * (size_t)count : 1) * element_size);

        if (!grown)
            return NULL;
        if (count)
            memcpy(grown, *list, count * element_size);
        *list = grown;
    }
    return (uint8_t *)*list + count * element_size;
}
