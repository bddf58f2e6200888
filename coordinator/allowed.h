/* SPDX-License-Identifier: MIT
 *
 * The list of keys that a coordinator lets in: lines KEY ROLE[,ROLE...] NAME, empty ones, and comments behind
 * a #. Whoever has one of the keys submits as NAME; several keys may be of one name. Pure: the text comes
 * from gate.c, which minds the file.
 */
#ifndef MUSTER_COORDINATOR_ALLOWED_H
#define MUSTER_COORDINATOR_ALLOWED_H

#include "proto/curve.h"
#include "proto/limits.h"

#include <stddef.h>

enum {
    ALLOWED_KEYS_MAX = 4096,
    ALLOWED_BYTES_MAX = 1 << 20, /* of the text: twice as many as lines of the longest form take */
};

struct allowed;

struct allowed_key {
    struct curve_key key;
    unsigned roles; /* of enum role */
    char name[PROTO_USER_MAX + 1];
};

/* Is told of a line that is none, which lets nobody in. */
typedef void allowed_note(void *context, unsigned line, const char *why);

/* 0 or MUSTER_ENOMEM. */
int allowed_parse(const char *text, size_t size, allowed_note *note, void *context,
                  struct allowed **ret_allowed);

/* Reads one line, without its newline, that is neither empty nor a comment. NULL, or what is wrong with it.
 */
const char *allowed_read_line(const char *text, size_t size, struct allowed_key *ret_key);

/* NULL: it is not allowed. */
const struct allowed_key *allowed_find(const struct allowed *allowed, const struct curve_key *key);

unsigned allowed_count(const struct allowed *allowed);

/* Takes NULL. */
void allowed_destroy(struct allowed *allowed);

#endif
