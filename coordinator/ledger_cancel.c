/* SPDX-License-Identifier: MIT
 *
 * Clients that cancel batches that are kept, wherever these are by then, or single jobs of one that runs.
 * Part of the ledger: pure.
 */
#include "base/error.h"
#include "coordinator/ledger_state.h"
#include "proto/limits.h"

/* What the store is told of a batch that is cancelled: that it has ended, behind what was asked before, if
 * the core does not have it; else that it shall, should this coordinator not live to see it. */
static void record_cancel(uint64_t now_ms, uint64_t number, enum store_operation operation, uint64_t tag,
                          struct outbox *outbox)
{
    outbox_store(
        outbox,
        &(struct store_request){
            .operation = operation, .tag = tag, .batch = number, .now_ms = now_ms, .state = STORE_CANCELLED});
}

void run_cancel(struct ledger *ledger, uint64_t now_ms, uint64_t number, enum proto_cancel_mode mode,
                uint64_t tag, struct outbox *outbox)
{
    struct book *book = ledger_book(ledger, number);
    bool runs = book && (book->in_core || book->phase == BOOK_CHECKING);

    if (book && (!book->sealed || book->cancel_mode))
        submit_cancel(ledger, now_ms, book, mode, outbox);
    else if (book && book->in_core)
        outbox_core(outbox,
                    &(struct proto_message){.type = PROTO_CANCEL, .cancel = {.id = number, .mode = mode}});
    if (book && !book->sealed)
        return;
    if (book && !book->in_core) /* it may start ahead of what the store is told */
        book->cancelled = true;
    record_cancel(now_ms, number, runs ? STORE_STATE : STORE_END, tag, outbox);
}

/* Whether all of the batch is cancelled, or has ended. */
static bool is_over(const struct book *book)
{
    return book->cancelled || book->cancel_mode || book->lost || book->phase == BOOK_ENDING ||
           book->phase == BOOK_LEAVING;
}

/* Whether the core has all of these jobs that there are, so that it can say how they ended. */
static bool has_jobs(const struct book *book, const struct proto_cancel *cancel)
{
    uint64_t jobs = book->sent_jobs > book->total ? book->sent_jobs : book->total;
    uint64_t last = cancel->first + (cancel->count - 1);

    return book->in_core &&
           (book->kind == PROTO_RANGE || cancel->first > jobs || (last < jobs ? last : jobs) <= book->fed);
}

void run_cancel_jobs(struct ledger *ledger, const char *client, uint64_t number,
                     const struct proto_cancel *cancel, struct outbox *outbox)
{
    struct proto_message message = {.type = PROTO_CANCEL, .cancel = *cancel};
    const struct book *book = ledger_book(ledger, number);

    message.cancel.id = number;
    if (cancel->count > PROTO_CHUNK_JOBS_MAX)
        ledger_refuse(outbox, client, cancel->id, MUSTER_ELIMIT, CORE_CANCEL_LIMIT);
    else if (book && is_over(book))
        ; /* it may have crossed ENDED on its way */
    else if (book && has_jobs(book, cancel))
        outbox_core(outbox, &message);
    else
        ledger_refuse(outbox, client, cancel->id, MUSTER_ESTATE,
                      "jobs of a batch that is kept are cancelled one by one while it runs and their "
                      "arguments are read, and these wait in the record: cancel all of it, or try again");
}
