/* SPDX-License-Identifier: MIT
 *
 * Who may be at the other end of a connection: as long as nobody can tell whether a message came by it or by
 * the one that had its descriptor before (wire_rounds.h), that may be several.
 */
#ifndef MUSTER_PROTO_WIRE_NAMES_H
#define MUSTER_PROTO_WIRE_NAMES_H

#include "proto/limits.h"

#include <stdbool.h>

struct name {
    char text[PROTO_PEER_NAME_MAX + 1];
    struct name *next;
};

/* NULL: nobody. */
struct names {
    struct name *list; /* owned; the last that was added is the first */
};

void names_fini(struct names *names);

/* False: out of memory. It may be there. */
bool names_add(struct names *names, const char *text);

bool names_have(const struct names *names, const char *text);
void names_drop(struct names *names, const char *text);

/* It is this one, which is there. */
void names_settle(struct names *names, const char *text);

#endif
