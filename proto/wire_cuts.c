/* SPDX-License-Identifier: MIT
 *
 * Who was cut off. See wire_cuts.h.
 */
#include "proto/wire_cuts.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

/* Of so many, for so long. */
enum { CUT_MAX = 1024 };
static const uint64_t CUT_NS = 30 * CLOCK_NS_PER_S;

static void drop(struct cuts *cuts, struct cut *cut)
{
    cuts->untaken -= !cut->taken;
    HASH_DEL(cuts->table, cut);
    free(cut);
}

void cuts_free(struct cuts *cuts)
{
    while (cuts->table)
        drop(cuts, cuts->table);
}

struct cut *cuts_find(const struct cuts *cuts, const char *peer)
{
    struct cut *cut;

    HASH_FIND_STR(cuts->table, peer, cut);
    return cut && clock_now_ns() < cut->until_ns ? cut : NULL;
}

static struct cut *add(struct cuts *cuts, const char *peer)
{
    struct cut *cut = calloc(1, sizeof *cut);

    if (!cut)
        return NULL;
    memcpy(cut->name, peer, strnlen(peer, PROTO_PEER_NAME_MAX));
    cut->taken = true;
    cut->fd = -1;
    HASH_ADD_STR(cuts->table, name, cut);
    if (!cut->hh.tbl) {
        free(cut);
        return NULL;
    }
    if (HASH_COUNT(cuts->table) > CUT_MAX)
        drop(cuts, cuts->table); /* the first of them */
    return cut;
}

struct cut *cuts_add(struct cuts *cuts, const char *peer, const char *why)
{
    struct cut *cut;

    HASH_FIND_STR(cuts->table, peer, cut);
    if (!cut && !(cut = add(cuts, peer)))
        return NULL;
    cut->until_ns = clock_after(clock_now_ns(), CUT_NS);
    cut->why = why;
    cuts->untaken += cut->taken;
    cut->taken = false;
    return cut;
}

bool cuts_take(struct cuts *cuts, char ret_peer[PROTO_PEER_NAME_MAX + 1], const char **ret_why)
{
    struct cut *cut, *next;

    if (cuts->untaken == 0)
        return false;
    HASH_ITER(hh, cuts->table, cut, next) {
        if (cut->taken)
            continue;
        cut->taken = true;
        cuts->untaken--;
        memcpy(ret_peer, cut->name, sizeof cut->name);
        *ret_why = cut->why;
        return true;
    }
    return false;
}
