/* SPDX-License-Identifier: MIT
 *
 * The ledger of a coordinator that runs, with the store it writes to: what the loop calls where it has
 * one. The store is behind functions, so that what embeds a coordinator needs no database. The loop's
 * thread.
 */
#ifndef MUSTER_COORDINATOR_BOOKS_H
#define MUSTER_COORDINATOR_BOOKS_H

#include "coordinator/core.h"
#include "coordinator/ledger.h"
#include "coordinator/spool.h"

/* The functions of coordinator/store.h. */
struct books_store {
    int (*submit)(struct store *store, const struct store_request *request);
    int (*fd)(const struct store *store);
    struct store_done *(*take)(struct store *store);
    void (*done_free)(struct store_done *done);
    struct store *store; /* borrowed */
};

struct books_options {
    const struct books_store *store; /* borrowed */
    enum proto_keeps keeps;
    uint32_t epoch;
    unsigned clients;                       /* as in ledger_options */
    uint64_t promise_max;                   /* likewise */
    const struct core_functions *functions; /* as in core_options */
    const struct spool *spool;              /* borrowed; NULL: there is none */
};

struct books;

/* Over a core, which is borrowed, that can have so many workers. 0 or MUSTER_ENOMEM. */
int books_create(const struct books_options *options, const struct core *core, unsigned workers_max,
                 struct books **ret_books);

/* Takes NULL. */
void books_destroy(struct books *books);

void books_start(struct books *books, struct outbox *outbox);
bool books_ready(const struct books *books);
const char *books_failure(const struct books *books);

/* Readable when the store has done something; -1: there are no books. */
int books_fd(const struct books *books);

/* What follows from the next thing that the store has done. Returns whether there was one. */
bool books_take(struct books *books, struct outbox *outbox);

/* As the functions of coordinator/ledger.h. */
void books_message(struct books *books, const char *peer, const struct proto_message *message,
                   struct outbox *outbox);
void books_malformed(struct books *books, const char *peer, const struct muster_error *error,
                     struct outbox *outbox);
void books_gone(struct books *books, const char *peer, struct outbox *outbox);
/* From now on this client sees batches of its own user alone. */
void books_confine(struct books *books, const char *peer);

bool books_has_client(const struct books *books, const char *peer);

/* A message from the core to its client. */
void books_told(struct books *books, const struct proto_message *message, struct outbox *outbox);

/* 0 or MUSTER_ENOMEM. */
int books_request(struct books *books, const struct store_request *request);

/* When all is on disk that the store was asked for by the time that the items ahead of this were carried
 * out, the core is told that the RESULT of the worker is: see OUTBOX_KEEP. */
void books_keep(struct books *books, unsigned slot, const char *worker, uint64_t number,
                struct outbox *outbox);

/* Does what is due; when that is next, on the monotonic clock. */
void books_tick(struct books *books, struct outbox *outbox);
uint64_t books_deadline(const struct books *books);

#endif
