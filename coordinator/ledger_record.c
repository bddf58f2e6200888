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

/* NULL when out of memory. */
static struct entry *make_entry(const struct proto_message *message)
{
    struct entry *entry = calloc(1, sizeof *entry);
    msgpack_sbuffer buffer;

    if (!entry)
        return NULL;
    msgpack_sbuffer_init(&buffer);
    if (proto_encode(message, &buffer) != 0) {
        msgpack_sbuffer_destroy(&buffer);
        free(entry);
        return NULL;
    }
    entry->header_size = (uint32_t)buffer.size;
    entry->header = msgpack_sbuffer_release(&buffer);
    entry->payload = message->payload;
    if (entry->payload.blob)
        blob_ref(entry->payload.blob);
    entry->first = message->results.outcome.first;
    entry->count = message->results.outcome.count;
    entry->cost = proto_cost(message);
    return entry;
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
                             .failures = outcome->failures,
                             .failure_count = outcome->failure_count,
                         });
}

void record_done(struct ledger *ledger, struct book *book, const struct store_done *done,
                 struct outbox *outbox)
{
    struct entry *entry = book->records;

    if (!entry)
        return;
    DL_DELETE(book->records, entry);
    book->consumed_cost += entry->cost;
    if (book->in_core)
        outbox_core(outbox, &(struct proto_message){
                                .type = PROTO_CONSUMED,
                                .consumed = {.ticket = book->number, .bytes = book->consumed_cost}});
    if (done->code == 0)
        read_recorded(ledger, book->number, entry, done->next, outbox);
    record_free(entry);
}
