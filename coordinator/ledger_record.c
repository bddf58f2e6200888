/* SPDX-License-Identifier: MIT
 *
 * Results on their way from the core to the store. They are in memory until they are recorded, which
 * the window bounds that the core has for the batch. Part of the ledger: pure.
 */
#include "base/error.h"
#include "coordinator/ledger_state.h"
#include "proto/codec.h"

#include <stdlib.h>
#include <string.h>

void record_free(struct entry *entry)
{
    free(entry->header);
    blob_unref(entry->payload.blob);
    free(entry);
}

/* NULL when out of memory. A copy: what is encoded is in a buffer of 8 KiB at least, and records may wait by
 * the thousand. */
static char *encode_header(const struct proto_message *message, uint32_t *ret_size)
{
    char *header = NULL;
    msgpack_sbuffer buffer;

    msgpack_sbuffer_init(&buffer);
    if (proto_encode(message, &buffer) == 0 && (header = malloc(buffer.size)) != NULL) {
        memcpy(header, buffer.data, buffer.size);
        *ret_size = (uint32_t)buffer.size;
    }
    msgpack_sbuffer_destroy(&buffer);
    return header;
}

/* NULL when out of memory. */
static struct entry *make_entry(const struct proto_message *message)
{
    struct entry *entry = calloc(1, sizeof *entry);

    if (!entry)
        return NULL;
    entry->header = encode_header(message, &entry->header_size);
    if (!entry->header) {
        free(entry);
        return NULL;
    }
    entry->payload = message->payload;
    if (entry->payload.blob)
        blob_ref(entry->payload.blob);
    entry->first = message->results.outcome.first;
    entry->count = message->results.outcome.count;
    entry->cost = proto_cost(message);
    for (uint32_t i = 0; i < message->results.outcome.failure_count; i++)
        entry->cancelled += message->results.outcome.failures[i].code == MUSTER_ECANCELLED;
    entry->failed = message->results.outcome.failure_count - entry->cancelled;
    return entry;
}

/* Those of a message live as long as the outbox that it came in. */
static const struct proto_failure *copy_failures(const struct proto_outcome *outcome, struct outbox *outbox)
{
    struct proto_failure *copy = outbox_alloc(outbox, outcome->failure_count * sizeof *copy);

    for (uint32_t i = 0; copy && i < outcome->failure_count; i++) {
        copy[i] = outcome->failures[i];
        copy[i].text = outbox_copy(outbox, &outcome->failures[i].text);
    }
    return copy;
}

void record_results(struct ledger *ledger, struct book *book, const struct proto_message *message,
                    struct outbox *outbox)
{
    const struct proto_outcome *outcome = &message->results.outcome;
    struct entry *entry;

    (void)ledger;
    if (book->phase == BOOK_LEAVING)
        return;
    entry = make_entry(message);
    if (!entry) {
        outbox->failed = true;
        return;
    }
    DL_APPEND(book->records, entry);
    outbox_store(outbox, &(struct store_request){
                             .operation = STORE_RESULT,
                             .batch = book->number,
                             .record = {.first = entry->first,
                                        .count = entry->count,
                                        .failed = outcome->failure_count,
                                        .header = {entry->header, entry->header_size},
                                        .payload = entry->payload},
                             .failures = copy_failures(outcome, outbox),
                             .failure_count = outcome->failure_count,
                         });
}

/* What is recorded is off its window. */
static void tell_core(const struct book *book, struct outbox *outbox)
{
    if (book->in_core)
        outbox_core(outbox, &(struct proto_message){
                                .type = PROTO_CONSUMED,
                                .consumed = {.ticket = book->number, .bytes = book->consumed_cost}});
}

void record_resume(struct ledger *ledger, struct outbox *outbox)
{
    struct book *book, *next;

    HASH_ITER(hh, ledger->books, book, next)
        tell_core(book, outbox);
}

/* A result cannot be recorded: the batch is lost, also when the store was told meanwhile how it ended. */
static void lose(struct ledger *ledger, uint64_t now_ms, struct book *book, const char *why,
                 struct outbox *outbox)
{
    uint64_t succeeded = book->succeeded + book->new_succeeded, failed = book->failed + book->new_failed;
    uint64_t ended = succeeded + failed;

    if (book->phase != BOOK_ENDING) {
        if (book->phase == BOOK_RUNNING && !book->lost)
            run_give_up(ledger, now_ms, book, why, outbox);
        return;
    }
    read_fail(ledger, book->number, MUSTER_ESYSTEM, why, outbox);
    outbox_store(
        outbox, &(struct store_request){.operation = STORE_END,
                                        .batch = book->number,
                                        .now_ms = now_ms,
                                        .state = STORE_LOST,
                                        .add = {.succeeded = succeeded,
                                                .failed = failed,
                                                .cancelled = book->total > ended ? book->total - ended : 0}});
}

void record_done(struct ledger *ledger, uint64_t now_ms, struct book *book, const struct store_done *done,
                 struct outbox *outbox)
{
    struct entry *entry = book->records;

    if (!entry)
        return;
    DL_DELETE(book->records, entry);
    book->consumed_cost += entry->cost;
    if (!ledger->full)
        tell_core(book, outbox);
    if (done->code == 0) {
        book->new_succeeded += entry->count - entry->failed - entry->cancelled;
        book->new_failed += entry->failed;
        book->new_cancelled += entry->cancelled;
        read_recorded(ledger, book->number, entry, done->next, outbox);
    }
    record_free(entry);
    if (done->code == MUSTER_ESYSTEM)
        lose(ledger, now_ms, book, done->text, outbox);
}
