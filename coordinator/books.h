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
    const struct core_functions *functions; /* as in core_options */
};

struct books;

/* 0 or MUSTER_ENOMEM. */
int books_create(const struct books_options *options, unsigned workers, struct books **ret_books);

/* Takes NULL. */
void books_destroy(struct books *books);

void books_start(struct books *books, struct outbox *outbox);
bool books_ready(const struct books *books);

/* Readable when the store has done something; -1: there are no books. */
int books_fd(const struct books *books);

/* What the ledger makes of the next thing that the store has done. Returns whether there was one. */
bool books_take(struct books *books, struct outbox *outbox);

/* As the functions of coordinator/ledger.h. */
void books_message(struct books *books, const char *peer, const struct proto_message *message,
                   struct outbox *outbox);
void books_malformed(struct books *books, const char *peer, const struct muster_error *error,
                     struct outbox *outbox);
void books_gone(struct books *books, const char *peer, struct outbox *outbox);
bool books_has_client(const struct books *books, const char *peer);
void books_stop(struct books *books, struct outbox *outbox);

/* A message from the core to its client. */
void books_told(struct books *books, const struct proto_message *message, struct outbox *outbox);

/* 0 or MUSTER_ENOMEM. */
int books_request(struct books *books, const struct store_request *request);

/* Does what is due; when that is next, on the monotonic clock. */
void books_tick(struct books *books, struct outbox *outbox);
uint64_t books_deadline(const struct books *books);

#endif
