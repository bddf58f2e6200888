/* SPDX-License-Identifier: MIT
 *
 * Who was cut off, for what came from him: what he had sent before may still be received, when his descriptor
 * is another's already. By his name he is not heard for 30 s. See wire_guard.c. The router's thread.
 */
#ifndef MUSTER_PROTO_WIRE_CUTS_H
#define MUSTER_PROTO_WIRE_CUTS_H

#include "proto/limits.h"

#include <stdbool.h>
#include <stdint.h>

/* Out of memory, an element is not added, and its hh.tbl is NULL; the default is to exit. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct cut {
    char name[PROTO_PEER_NAME_MAX + 1];
    uint64_t until_ns;
    const char *why; /* a constant; NULL: it was told */
    bool taken;      /* by cuts_take */
    int fd;          /* of the connection that was ended last for him; -1: none was yet, */
    uint64_t came;   /* and the round in which it came (wire_rounds.h) */
    UT_hash_handle hh;
};

/* All zeros: nobody was. */
struct cuts {
    struct cut *table; /* owned; the oldest first, which gives way */
    unsigned untaken;
};

void cuts_free(struct cuts *cuts);

/* From now on he is not heard; NULL: out of memory. It stays until the next is added. */
struct cut *cuts_add(struct cuts *cuts, const char *peer, const char *why);

/* NULL: he is heard. */
struct cut *cuts_find(const struct cuts *cuts, const char *peer);

/* The next that was not taken since he was added. False: there is none. */
bool cuts_take(struct cuts *cuts, char ret_peer[PROTO_PEER_NAME_MAX + 1], const char **ret_why);

#endif
