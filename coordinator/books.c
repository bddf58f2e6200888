/* SPDX-License-Identifier: MIT
 *
 * A ledger and its store in a loop. See books.h.
 */
#include "coordinator/books.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Batches of a lane that the core has at once: so many that it never waits for the store, which takes
 * some milliseconds to bring more. */
enum { OPEN_BATCHES = 64 };

/* A clock may be set: what is due later is looked at again so often. */
static const uint64_t LOOK_NS = 60 * CLOCK_NS_PER_S;

/* The last RESULT of a worker that somebody waits for; 0: of none. */
struct keep {
    char worker[PROTO_PEER_NAME_MAX + 1];
    uint64_t number;
};

struct books {
    struct ledger *ledger;
    struct books_store store;
    const struct spool *spool; /* borrowed; may be NULL */
    const struct core *core;   /* borrowed */
    unsigned workers;
    struct keep *wanted; /* by slot from 1; owned */
    struct keep *asked;  /* the same, of a BARRIER that is under way; owned */
    bool barrier;        /* it is */
    bool more;           /* there is something wanted */
};

static uint64_t now_ms(void)
{
    return clock_read_ns(CLOCK_REALTIME) / CLOCK_NS_PER_MS;
}

/* A point of the core's time. */
static uint64_t wall_ms(uint64_t ns)
{
    return now_ms() - (clock_now_ns() - ns) / CLOCK_NS_PER_MS;
}

int books_create(const struct books_options *options, const struct core *core, unsigned workers_max,
                 struct books **ret_books)
{
    struct ledger_options ledger_options = {
        .keeps = options->keeps,
        .epoch = options->epoch,
        .core = core,
        .workers_max = workers_max,
        .wall_ms = wall_ms,
        .pid = (uint64_t)getpid(),
        .open = OPEN_BATCHES,
        .clients = options->clients,
        .promise_max = options->promise_max,
        .functions = options->functions,
    };
    struct books *books = calloc(1, sizeof *books);

    if (!books)
        return MUSTER_ENOMEM;
    books->store = *options->store;
    books->spool = options->spool;
    books->core = core;
    books->workers = workers_max;
    books->wanted = calloc(workers_max, sizeof *books->wanted);
    books->asked = calloc(workers_max, sizeof *books->asked);
    if (!books->wanted || !books->asked || ledger_create(&ledger_options, &books->ledger) != 0) {
        books_destroy(books);
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
    free(books->wanted);
    free(books->asked);
    free(books);
}

/* One BARRIER at a time, for all that is wanted by then: under load it is one for many results. */
static void ask_barrier(struct books *books, struct outbox *outbox)
{
    struct keep *wanted = books->wanted;

    if (books->barrier || !books->more)
        return;
    books->wanted = books->asked;
    books->asked = wanted;
    memset(books->wanted, 0, books->workers * sizeof *books->wanted);
    books->more = false;
    books->barrier = true;
    outbox_store(outbox, &(struct store_request){.operation = STORE_BARRIER});
}

void books_keep(struct books *books, unsigned slot, const char *worker, uint64_t number,
                struct outbox *outbox)
{
    struct keep *keep = &books->wanted[slot - 1];

    memcpy(keep->worker, worker, strnlen(worker, PROTO_PEER_NAME_MAX) + 1);
    keep->number = number;
    books->more = true;
    ask_barrier(books, outbox);
}

static void pass_barrier(struct books *books, struct outbox *outbox)
{
    books->barrier = false;
    for (unsigned i = 0; i < books->workers; i++)
        if (books->asked[i].number > 0)
            core_committed(books->core, books->asked[i].worker, books->asked[i].number, outbox);
    ask_barrier(books, outbox);
}

void books_start(struct books *books, struct outbox *outbox)
{
    ledger_start(books->ledger, now_ms(), outbox);
}

bool books_ready(const struct books *books)
{
    return ledger_ready(books->ledger);
}

const char *books_failure(const struct books *books)
{
    return ledger_failure(books->ledger);
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
    if (books->spool && done->code == 0 &&
        (done->operation == STORE_DROP || done->operation == STORE_ABANDON))
        spool_forget(books->spool, done->batch);
    if (done->operation == STORE_BARRIER)
        pass_barrier(books, outbox);
    else
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

void books_confine(struct books *books, const char *peer)
{
    ledger_confine(books->ledger, peer);
}

bool books_has_client(const struct books *books, const char *peer)
{
    return ledger_has_client(books->ledger, peer);
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
