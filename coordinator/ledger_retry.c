/* SPDX-License-Identifier: MIT
 *
 * Batches whose jobs are tried again: a new batch of all jobs of one that has ended, or of those that did
 * not succeed. A range is one again if it is tried whole; else the store copies arguments, page by page,
 * into a list that is accepted when it has them all. Part of the ledger: pure.
 */
#include "base/error.h"
#include "coordinator/ledger_answer.h"
#include "proto/codec.h"

#include <stdio.h>

enum { RETRY_FAILED = 1, RETRY_ALL = 2 }; /* what the number of a REQUEST means */

/* Jobs of a range that become a list: some 5 bytes of each in the file. */
static const uint64_t COPIED_JOBS_MAX = 10000000;

/* Why there is nothing to be tried again; false: there is. */
static bool refuse(struct ledger *ledger, struct inquiry *inquiry, const struct store_batch *batch,
                   struct outbox *outbox)
{
    unsigned long long number = batch->number;
    char text[160];

    if (!store_state_is_end(batch->state))
        snprintf(text, sizeof text, "batch %llu is %s: only what has ended can be tried again", number,
                 store_state_name(batch->state));
    else if (batch->total == 0)
        snprintf(text, sizeof text, "batch %llu has no jobs: there is nothing to try again", number);
    else if (inquiry->number == RETRY_FAILED && batch->succeeded == batch->total)
        snprintf(text, sizeof text, "all jobs of batch %llu succeeded: there is nothing to try again",
                 number);
    else if (inquiry->number == RETRY_FAILED && batch->kind == PROTO_RANGE && batch->succeeded > 0 &&
             batch->total - batch->succeeded > COPIED_JOBS_MAX)
        snprintf(text, sizeof text,
                 "%llu jobs of batch %llu did not succeed, more than become a list: try again all of it, or "
                 "submit parts of its range",
                 (unsigned long long)(batch->total - batch->succeeded), number);
    else
        return false;
    answer_word(ledger, inquiry, MUSTER_ESTATE, text, outbox);
    return true;
}

/* The SUBMIT of the new batch: as that of the old one, but for what was about its time. */
static int restate(const struct store_batch *batch, bool whole, struct outbox *outbox,
                   struct proto_message *ret_submit)
{
    struct proto_text settings = outbox_copy(outbox, &batch->settings);
    struct muster_error error;

    if (proto_decode(settings.bytes, settings.size, &outbox->zone, ret_submit, &error) != 0 ||
        ret_submit->type != PROTO_SUBMIT)
        return MUSTER_EPROTOCOL;
    ret_submit->submit.name = outbox_copy(outbox, &batch->name);
    ret_submit->submit.attach = false;
    ret_submit->submit.hold = true; /* nobody reads it by itself */
    ret_submit->submit.begin_ms = 0;
    ret_submit->submit.after_count = 0;
    ret_submit->submit.count = 0;
    if (!whole || batch->kind == PROTO_LIST) {
        ret_submit->submit.kind = PROTO_LIST;
        ret_submit->submit.first = ret_submit->submit.last = 0;
    }
    return 0;
}

void retry_begin(struct ledger *ledger, uint64_t now_ms, struct inquiry *inquiry,
                 const struct store_batch *batch, struct outbox *outbox)
{
    bool whole = inquiry->number == RETRY_ALL || batch->succeeded == 0;
    const struct patron *patron = ledger_patron(ledger, inquiry->client);
    struct proto_message submit;
    struct book *book;

    if (refuse(ledger, inquiry, batch, outbox))
        return;
    if (restate(batch, whole, outbox, &submit) != 0) {
        answer_word(ledger, inquiry, MUSTER_EPROTOCOL, "the record of the batch is damaged", outbox);
        return;
    }
    if (!patron) { /* it has left: nobody would know of the new batch */
        answer_word(ledger, inquiry, 0, "", outbox);
        return;
    }
    book = submit_as(ledger, now_ms, patron->user, batch->number, &submit, outbox);
    if (!book)
        return;
    book->asker = inquiry->id;
    if (!book->sealed)
        book->copy = (struct store_copy){
            .source = batch->number, .from = 1, .all = whole, .first_argument = batch->first};
}

void retry_go_on(struct ledger *ledger, uint64_t now_ms, struct book *book, const struct store_done *done,
                 struct outbox *outbox)
{
    if (done->operation == STORE_COPY) {
        book->copy.from = done->next;
        book->total += done->count;
        book->sent_jobs += done->count;
    }
    if (done->operation == STORE_COPY && !done->more)
        submit_seal(ledger, now_ms, book, book->total, outbox);
    else
        outbox_store(outbox, &(struct store_request){
                                 .operation = STORE_COPY, .batch = book->number, .copy = book->copy});
}

void retry_answer(struct ledger *ledger, struct book *book, int code, const char *text, struct outbox *outbox)
{
    struct inquiry *inquiry;
    msgpack_sbuffer buffer;
    msgpack_packer packer;

    HASH_FIND(hh, ledger->inquiries, &book->asker, sizeof book->asker, inquiry);
    book->asker = 0;
    if (!inquiry)
        return;
    if (code != 0) {
        answer_word(ledger, inquiry, code, text, outbox);
        return;
    }
    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    answer_pack_retry(book->number, &packer);
    answer_value(ledger, inquiry, &buffer, outbox);
    msgpack_sbuffer_destroy(&buffer);
}
