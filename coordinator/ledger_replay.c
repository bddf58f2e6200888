/* SPDX-License-Identifier: MIT
 *
 * Arguments for readers that want them with the results: out of the store, in the blocks in which they are
 * there, each once, ahead of the first record that needs it. Part of the ledger: pure.
 */
#include "base/error.h"
#include "coordinator/ledger_state.h"
#include "proto/codec.h"

bool replay_lacks(const struct reader *reader, const struct store_record *record, uint64_t *ret_job)
{
    const struct span *replayed = spans_list(&reader->replayed);
    uint32_t place = spans_find(&reader->replayed, record->first);
    uint64_t job = record->first;

    if (!reader->arguments || reader->skip > 0)
        return false;
    if (place < reader->replayed.count && replayed[place].first <= job)
        job = replayed[place].first + replayed[place].count;
    *ret_job = job;
    return job < record->first + record->count;
}

void replay_ask(struct reader *reader, uint64_t job, struct outbox *outbox)
{
    reader->asking = true;
    outbox_store(outbox, &(struct store_request){
                             .operation = STORE_LOAD,
                             .tag = reader->id,
                             .batch = reader->batch,
                             .page = {.from = job, .bytes_max = LEDGER_PAGE_BYTES},
                         });
}

bool replay_block(struct reader *reader, const struct store_block *block, struct outbox *outbox)
{
    struct proto_message message = {
        .type = PROTO_ARGUMENTS,
        .arguments = {.ticket = reader->ticket, .first = block->first, .count = block->count},
        .payload = block->payload,
    };

    if (block->first == 0 || block->count == 0 || block->count > PROTO_BLOCK_JOBS_MAX ||
        proto_check_payload(&message, NULL) != 0)
        return false;
    if (spans_hold(&reader->replayed, block->first))
        return true; /* it was sent ahead of another record */
    if (spans_add(&reader->replayed, block->first, block->count) != 0)
        outbox->failed = true;
    reader->sent_cost += proto_cost(&message);
    outbox_send(outbox, reader->patron->name, &message);
    return true;
}
