/* SPDX-License-Identifier: MIT
 *
 * A ledger with a real core and a real store, and workers and clients that are lists of messages: each
 * step gives one event to the ledger or the core, and then everything that follows from it happens,
 * until nobody has anything to do. For plain executables, since a store has a thread.
 */
#ifndef MUSTER_TESTS_LEDGER_HARNESS_H
#define MUSTER_TESTS_LEDGER_HARNESS_H

#include "base/clock.h"
#include "coordinator/core.h"
#include "coordinator/ledger_state.h"

#include <msgpack.h>

/* A message that a client or a worker received. */
struct letter {
    char peer[PROTO_PEER_NAME_MAX + 1];
    struct proto_message message; /* holds a reference on its payload */
    msgpack_zone zone;            /* of its texts */
    struct letter *prev, *next;
};

struct world {
    struct core *core;
    struct ledger *ledger;
    struct store *store;
    struct outbox outbox, spare;
    struct letter *letters; /* not yet expected, oldest first */
    uint64_t now_ns, now_ms;
    unsigned asked;      /* requests that the store has not done */
    bool hold_workers;   /* chunks stay among the letters */
    bool hold_store;     /* what the store has done is not looked at */
    uint64_t fail_every; /* jobs whose index it divides fail; 0: none */
    uint64_t runs;       /* jobs that workers ran */
};

/* With a store at `path` (NULL: in memory), of this incarnation. `hold_workers` stays as it was. */
void world_open(struct world *w, const char *path, uint32_t epoch, unsigned workers);

/* As if the coordinator was killed: what the store was asked is done, what it answered is lost. */
void world_close(struct world *w);

/* Lets everything happen. */
void world_settle(struct world *w);

void world_say(struct world *w, const char *client, const struct proto_message *message);
void world_hello(struct world *w, const char *client, const char *user);

/* All that the next message of the type to the peer says; it stays valid until the next is expected. */
const struct proto_message *world_expect(struct world *w, const char *peer, enum proto_type type);

/* Whether there is one. */
bool world_has(const struct world *w, const char *peer, enum proto_type type);

/* The worker runs the chunk and reports. */
void world_work(struct world *w, const char *worker, const struct proto_message *chunk);

#endif
