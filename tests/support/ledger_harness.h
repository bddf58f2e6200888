/* SPDX-License-Identifier: MIT
 *
 * A ledger with a real core and a real store, and workers and clients that are lists of messages: each
 * step gives one event to the ledger or the core, and then everything that follows from it happens,
 * until nobody has anything to do. For plain executables, since a store has a thread.
 *
 * A world may have an hour of death: from the event of that number on nothing is carried out, as if the
 * coordinator was killed between two of the things that it does. What the store was asked before is done.
 */
#ifndef MUSTER_TESTS_LEDGER_HARNESS_H
#define MUSTER_TESTS_LEDGER_HARNESS_H

#include "base/clock.h"
#include "coordinator/core.h"
#include "coordinator/core_look.h"
#include "coordinator/ledger_state.h"

#include <msgpack.h>

/* A message that a client or a worker received. */
struct letter {
    char peer[PROTO_PEER_NAME_MAX + 1];
    struct proto_message message; /* holds a reference on its payload */
    msgpack_zone zone;            /* of its texts */
    struct letter *prev, *next;
};

enum { WORLD_WORKERS_MAX = 8 };

struct world {
    struct core *core;
    struct ledger *ledger;
    struct store *store;
    struct outbox outbox, spare;
    struct letter *letters; /* not yet expected, oldest first */
    uint64_t now_ns, now_ms;
    unsigned asked;                         /* requests that the store has not done */
    bool hold_workers;                      /* chunks stay among the letters */
    bool hold_store;                        /* what the store has done is not looked at */
    bool unstartable;                       /* no further worker starts */
    const enum store_operation *unreadable; /* requests of it fail; NULL: of none */
    bool unreadable_now;                    /* as long as that stands, and not for good */
    uint64_t fail_every;                    /* jobs whose index it divides fail; 0: none */
    uint64_t runs;                          /* jobs that workers ran */
    uint64_t events; /* requests to the store, its answers, messages to clients, chunks that ran */
    uint64_t die_at; /* the event with which it dies; 0: never */
    bool dead;
    char workers[WORLD_WORKERS_MAX + 1][PROTO_PEER_NAME_MAX + 1]; /* by slot; "": none */
    unsigned clients;                                             /* at most; 0: as many as there can be */
    uint64_t promise_max;                                         /* of ledger_options */
};

/* With a store at `path` (NULL: in memory), of this incarnation. `hold_workers`, `unreadable` (with
 * `unreadable_now`), `die_at`, `clients` and `promise_max` stay as they were. */
void world_open(struct world *w, const char *path, uint32_t epoch, unsigned workers);

/* As if the coordinator was killed: what the store was asked is done, what it answered is lost. */
void world_close(struct world *w);

/* Lets everything happen. */
void world_settle(struct world *w);

/* Single steps, each with what the outbox brings about: what a worker does about the next chunk (its jobs,
 * which `check` looks at first, unless it is NULL), the next thing that the store has done. False: there is
 * none. */
bool world_step_worker(struct world *w, void (*check)(const struct proto_chunk *chunk));
bool world_step_store(struct world *w);

/* The worker of the slot, and what it was sent, is gone. */
void world_kill_worker(struct world *w, unsigned slot);

/* A message of a client, and its end. */
void world_message(struct world *w, const char *client, const struct proto_message *message);
void world_gone(struct world *w, const char *client);

void world_say(struct world *w, const char *client, const struct proto_message *message);
void world_hello(struct world *w, const char *client, const char *user);

/* All that the next message of the type to the peer says; it stays valid until the next is expected. */
const struct proto_message *world_expect(struct world *w, const char *peer, enum proto_type type);

/* The next message to the peer, for world_free; NULL: there is none. */
struct letter *world_take(struct world *w, const char *peer);
void world_free(struct letter *letter);

/* Whether there is one of that type. */
bool world_has(const struct world *w, const char *peer, enum proto_type type);

/* The worker runs the chunk and reports. */
void world_work(struct world *w, const char *worker, const struct proto_message *chunk);

#endif
