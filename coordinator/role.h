/* SPDX-License-Identifier: MIT
 *
 * What those who come with a key may say, by the roles that the keeper of a coordinator gave it: one table,
 * of every message and every operation of a request. Pure.
 */
#ifndef MUSTER_COORDINATOR_ROLE_H
#define MUSTER_COORDINATOR_ROLE_H

#include "proto/messages.h"

#include <stdbool.h>
#include <stddef.h>

/* X(name, word, bit) */
#define ROLE_MAP(X)        \
    X(SUBMIT, "submit", 1) \
    X(WORK, "work", 2)     \
    X(ADMIN, "admin", 4)

enum role {
#define X(name, word, bit) ROLE_##name = (bit),
    ROLE_MAP(X)
#undef X
};

/* Reads "submit,work" as a set of roles. Returns whether it is one, without a word twice. */
bool role_read(const char *text, size_t size, unsigned *ret_roles);

/* Whether one of the roles may send the message. */
bool role_may(unsigned roles, const struct proto_message *message);

/* Whether it is one that workers alone send, and hosts of them, once they are welcome. */
bool role_is_of_worker(const struct proto_message *message);

/* Whether they are to see and to touch what is their own alone: its batches are hidden from them. */
bool role_is_confined(unsigned roles);

#endif
