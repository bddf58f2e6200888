/* SPDX-License-Identifier: MIT
 *
 * The books of a coordinator that many clients share: what was accepted, what became of it, and
 * who reads it. Clients talk to the ledger; it gives batches to the core as the core's one client,
 * records what the core tells it in the store, and passes on what is recorded:
 *
 *     clients <-> ledger <-> core <-> workers
 *                   |
 *                 store
 *
 * Pure as the core is: a handler takes what happened, and puts what is to be done into the outbox.
 * Nothing is told before it is on disk: ACCEPTED leaves when the batch is recorded, a result when its
 * record is. Batches that wait are in the store alone; so many of each lane as keep the core busy are
 * in memory.
 *
 * The core knows the clients, too, and welcomes them: what a client submits without `keep` is forwarded to
 * it, as are all further messages about tickets that the ledger knows nothing of, and the core answers that
 * client itself.
 */
#ifndef MUSTER_COORDINATOR_LEDGER_H
#define MUSTER_COORDINATOR_LEDGER_H

#include "base/error.h"
#include "coordinator/core.h"
#include "coordinator/outbox.h"
#include "coordinator/store.h"

struct ledger;

/* The core's client. */
#define LEDGER_PEER "ledger"

struct ledger_options {
    enum proto_keeps keeps; /* where: IN_MEMORY or ON_DISK */
    uint32_t epoch;
    const struct core *core;          /* borrowed; asked, never told */
    unsigned workers_max;             /* that it can have */
    uint64_t (*wall_ms)(uint64_t ns); /* a point of the core's time, in milliseconds since 1970 */
    uint64_t pid;                     /* of the coordinator */
    unsigned open;                    /* batches of one lane that the core has at once, at least 1 */
    unsigned clients;                 /* at most; 0: PROTO_CLIENTS_MAX */
    uint64_t promise_max;             /* bytes that all clients together may have on their way; 0: no limit */
    const struct core_functions *functions; /* that workers have; NULL: not known here. Borrowed */
};

/* 0 or MUSTER_ENOMEM. */
int ledger_create(const struct ledger_options *options, struct ledger **ret_ledger);

/* Takes NULL. */
void ledger_destroy(struct ledger *ledger);

/* At the start, once. Clients are not heard before ledger_ready. */
void ledger_start(struct ledger *ledger, uint64_t now_ms, struct outbox *outbox);

/* It knows what the store has, and the core has what ran in another life, with as many of the arguments
 * as it takes. */
bool ledger_ready(const struct ledger *ledger);

/* Why it never will; NULL: it may. */
const char *ledger_failure(const struct ledger *ledger);

/* Whether a client of that name has said HELLO and not left. */
bool ledger_has_client(const struct ledger *ledger, const char *peer);

/* From now on this client sees, and touches, batches of its own user alone. */
void ledger_confine(struct ledger *ledger, const char *peer);

/* A client sent a message; one that is no message; and a client is gone without a word. All times are
 * milliseconds since 1970. */
void ledger_message(struct ledger *ledger, uint64_t now_ms, const char *peer,
                    const struct proto_message *message, struct outbox *outbox);
void ledger_malformed(struct ledger *ledger, const char *peer, const struct muster_error *error,
                      struct outbox *outbox);
void ledger_gone(struct ledger *ledger, uint64_t now_ms, const char *peer, struct outbox *outbox);

/* The core told its client something. */
void ledger_told(struct ledger *ledger, uint64_t now_ms, const struct proto_message *message,
                 struct outbox *outbox);

/* The store has done a request. */
void ledger_done(struct ledger *ledger, uint64_t now_ms, const struct store_done *done,
                 struct outbox *outbox);

/* Does what is due; and when that is, UINT64_MAX: never. */
void ledger_tick(struct ledger *ledger, uint64_t now_ms, struct outbox *outbox);
uint64_t ledger_deadline_ms(const struct ledger *ledger);

struct ledger_counts {
    uint64_t open, waiting; /* batches in memory; that wait in the store */
    unsigned clients, readers;
    uint64_t unrecorded; /* bytes of results on their way to the store */
};
struct ledger_counts ledger_count(const struct ledger *ledger);

#endif
