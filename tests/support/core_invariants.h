/* SPDX-License-Identifier: MIT
 *
 * What holds for the coordinator's core and for its outbox between any two steps, whatever happened before.
 */
#ifndef MUSTER_TESTS_CORE_INVARIANTS_H
#define MUSTER_TESTS_CORE_INVARIANTS_H

#include "coordinator/core.h"

/* Returns NULL when all invariants hold, else what does not, valid until the next call. */
const char *core_invariants(const struct core *core);

/* The same for what it decided: all of it can be sent. */
const char *outbox_invariants(const struct outbox *outbox);

/* Whether a message can be encoded, and its payload is what its header promises. */
bool message_possible(const struct proto_message *message);

#endif
