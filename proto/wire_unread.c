/* SPDX-License-Identifier: MIT
 *
 * Messages that have come to a guarded router and were not taken yet. See wire.h. ZeroMQ keeps what peers
 * send, and counts messages; here they are counted in bytes, and who has too many is cut off. They are taken
 * one of each peer in turn. The router's thread.
 *
 * The first message of a peer does not count: it may be as large as messages are, and its turn is next.
 */
#include "proto/wire_internal.h"

#include <stdlib.h>
#include <string.h>

/* Out of memory, an element is not added, and its hh.tbl is NULL; the default is to exit. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

/* Of a peer that has some. */
struct unread {
    char name[PROTO_PEER_NAME_MAX + 1];
    struct received *first, *last; /* owned; in order */
    size_t bytes;                  /* of those behind the first, at their cost */
    struct unread *prev, *next;    /* all of them, in turn */
    UT_hash_handle hh;
};

static size_t cost(const struct received *received)
{
    return received->header->size + (received->payload ? received->payload->size : 0) +
           PROTO_UNREAD_COST_BYTES;
}

static void forget(struct wire *router, struct unread *unread)
{
    struct received *next;

    for (; unread->first; unread->first = next) {
        next = unread->first->next;
        received_destroy(unread->first);
    }
    router->unread_bytes -= unread->bytes;
    DL_DELETE(router->turn, unread);
    HASH_DEL(router->unread, unread);
    free(unread);
}

void unread_forget(struct wire *router, const char *peer)
{
    struct unread *unread;

    HASH_FIND_STR(router->unread, peer, unread);
    if (unread)
        forget(router, unread);
}

void unread_forget_all(struct wire *router)
{
    while (router->turn)
        forget(router, router->turn);
}

static struct unread *add(struct wire *router, const char *peer)
{
    struct unread *unread = calloc(1, sizeof *unread);

    if (!unread)
        return NULL;
    memcpy(unread->name, peer, strnlen(peer, PROTO_PEER_NAME_MAX));
    HASH_ADD_STR(router->unread, name, unread);
    if (!unread->hh.tbl) {
        free(unread);
        return NULL;
    }
    DL_APPEND(router->turn, unread);
    return unread;
}

/* Whoever has most. */
static struct unread *most(const struct wire *router)
{
    struct unread *unread, *found = NULL;

    DL_FOREACH(router->turn, unread)
        if (unread->bytes > 0 && (!found || unread->bytes > found->bytes))
            found = unread;
    return found;
}

/* Its limits may be exceeded by one message. */
static void keep_limits(struct wire *router, struct unread *added)
{
    struct unread *unread = NULL;

    if (added->bytes > PROTO_UNREAD_BYTES_MAX)
        unread = added;
    else if (router->unread_bytes > PROTO_UNREAD_ALL_BYTES_MAX)
        unread = most(router);
    if (!unread)
        return;
    guard_cut_off(router, unread->name, unread->last->fd, unread->last->round);
    forget(router, unread);
}

int unread_add(struct wire *router, const char *peer, struct received *received)
{
    struct unread *unread;

    HASH_FIND_STR(router->unread, peer, unread);
    if (!unread && !(unread = add(router, peer))) {
        received_destroy(received);
        return MUSTER_ENOMEM;
    }
    if (!unread->first) {
        unread->first = unread->last = received;
        return 0;
    }
    unread->last = unread->last->next = received;
    unread->bytes += cost(received);
    router->unread_bytes += cost(received);
    keep_limits(router, unread);
    return 0;
}

bool unread_take(struct wire *router, char ret_peer[PROTO_PEER_NAME_MAX + 1], struct received **ret_received)
{
    struct unread *unread = router->turn;

    if (!unread)
        return false;
    memcpy(ret_peer, unread->name, sizeof unread->name);
    *ret_received = unread->first;
    unread->first = unread->first->next;
    if (!unread->first) {
        forget(router, unread);
        return true;
    }
    unread->bytes -= cost(unread->first);
    router->unread_bytes -= cost(unread->first);
    DL_DELETE(router->turn, unread);
    DL_APPEND(router->turn, unread);
    return true;
}
