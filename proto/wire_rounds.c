/* SPDX-License-Identifier: MIT
 *
 * Whose a message is. See wire_rounds.h.
 */
#include "proto/wire_rounds.h"

#include <stdlib.h>

enum { COUNT_MIN = 64 };

void rounds_fini(struct rounds *rounds)
{
    free(rounds->came);
}

static bool make_room(struct rounds *rounds, size_t wanted)
{
    size_t count = rounds->count ? rounds->count : COUNT_MIN;
    uint64_t *came;

    while (count < wanted)
        count *= 2;
    if (count == rounds->count)
        return true;
    if (!(came = reallocarray(rounds->came, count, sizeof *came)))
        return false;
    for (size_t i = rounds->count; i < count; i++)
        came[i] = ROUNDS_NOBODY;
    rounds->came = came;
    rounds->count = count;
    return true;
}

/* Short of memory nothing is proved. */
void rounds_came(struct rounds *rounds, int fd)
{
    if (fd >= 0 && make_room(rounds, (size_t)fd + 1))
        rounds->came[fd] = rounds->now;
}

void rounds_ended(struct rounds *rounds, int fd)
{
    if (fd >= 0 && (size_t)fd < rounds->count)
        rounds->came[fd] = ROUNDS_NOBODY;
}

uint64_t rounds_since(const struct rounds *rounds, int fd)
{
    return fd >= 0 && (size_t)fd < rounds->count ? rounds->came[fd] : ROUNDS_NOBODY;
}

bool rounds_prove(const struct rounds *rounds, int fd, uint64_t round)
{
    uint64_t since = rounds_since(rounds, fd);

    return since != ROUNDS_NOBODY && round > since;
}
