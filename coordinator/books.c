/* SPDX-License-Identifier: MIT
 *
 * A ledger and its store in a loop. See books.h.
 */
#include "coordinator/books.h"

#include "base/clock.h"

#include <stdlib.h>

/* Batches of a lane that the core has at once: so many that it never waits for the store, which takes
 * some milliseconds to bring more. */
enum { OPEN_BATCHES = 64 };

/* A clock may be set: what is due later is looked at again so often. */
static const uint64_t LOOK_NS = 60 * CLOCK_NS_PER_S;

struct books {
    struct ledger *ledger;
    struct books_store store;
};

static uint64_t now_ms(void)
{
    return clock_read_ns(CLOCK_REALTIME) / CLOCK_NS_PER_MS;
}

int books_create(const struct books_options *options, unsigned workers, struct books **ret_books)
{
    struct ledger_options ledger_options = {
        .keeps = options->keeps,
        .epoch = options->epoch,
        .workers = workers,
        .open = OPEN_BATCHES,
        .functions = options->functions,
    };
    struct books *books = calloc(1, sizeof *books);

    if (!books)
        return MUSTER_ENOMEM;
    books->store = *options->store;
    if (ledger_create(&ledger_options, &books->ledger) != 0) {
        free(books);
        return MUSTER_ENOMEM;
    }
    *ret_books = books;
    return 0;
}

void books_destroy(struct books *books)
{
    if (!books)
        return;
    ledger_destroy(books->ledger);
    free(books);
}

void books_start(struct books *books, struct outbox *outbox)
{
    ledger_start(books->ledger, now_ms(), outbox);
}

bool books_ready(const struct books *books)
{
    return ledger_ready(books->ledger);
}

int books_fd(const struct books *books)
{
    return books ? books->store.fd(books->store.store) : -1;
}

bool books_take(struct books *books, struct outbox *outbox)
{
    struct store_done *done = books->store.take(books->store.store);

    if (!done)
        return false;
    ledger_done(books->ledger, now_ms(), done, outbox);
    books->store.done_free(done);
    return true;
}

void books_message(struct books *books, const char *peer, const struct proto_message *message,
                   struct outbox *outbox)
{
    ledger_message(books->ledger, now_ms(), peer, message, outbox);
}

void books_malformed(struct books *books, const char *peer, const struct muster_error *error,
                     struct outbox *outbox)
{
    ledger_malformed(books->ledger, peer, error, outbox);
}

void books_gone(struct books *books, const char *peer, struct outbox *outbox)
{
    ledger_gone(books->ledger, now_ms(), peer, outbox);
}

bool books_has_client(const struct books *books, const char *peer)
{
    return ledger_has_client(books->ledger, peer);
}

void books_stop(struct books *books, struct outbox *outbox)
{
    ledger_stop(books->ledger, outbox);
}

void books_told(struct books *books, const struct proto_message *message, struct outbox *outbox)
{
    ledger_told(books->ledger, now_ms(), message, outbox);
}

int books_request(struct books *books, const struct store_request *request)
{
    return books->store.submit(books->store.store, request);
}

void books_tick(struct books *books, struct outbox *outbox)
{
    ledger_tick(books->ledger, now_ms(), outbox);
}

uint64_t books_deadline(const struct books *books)
{
    uint64_t due_ms = ledger_deadline_ms(books->ledger), now = now_ms();
    uint64_t wait_ns = due_ms <= now ? 0 : (due_ms - now) * CLOCK_NS_PER_MS;

    if (due_ms == UINT64_MAX)
        return CLOCK_NEVER;
    return clock_after(clock_now_ns(), wait_ns < LOOK_NS ? wait_ns : LOOK_NS);
}
