/* SPDX-License-Identifier: MIT
 *
 * What clients ask about the coordinator and its batches, and tell it to do: REQUEST and ANSWER, as
 * proto/PROTOCOL.md has them. Part of the ledger: pure.
 */
#include "base/error.h"
#include "coordinator/ledger_state.h"

#include <stdlib.h>
#include <string.h>

/* Batches of one ANSWER. */
enum { PAGE_BATCHES = 256 };

static void send_answer(const char *client, uint64_t ticket, bool more, const msgpack_sbuffer *value,
                        struct outbox *outbox)
{
    struct blob *blob = blob_copy(value->data, value->size);

    if (!blob) {
        outbox->failed = true;
        return;
    }
    outbox_send(outbox, client,
                &(struct proto_message){.type = PROTO_ANSWER,
                                        .answer = {.ticket = ticket, .more = more},
                                        .payload = {.blob = blob, .size = value->size}});
    blob_unref(blob);
}

/* Done, or not: with nothing else to say. */
static void send_word(const char *client, uint64_t ticket, int code, const char *text, struct outbox *outbox)
{
    struct blob *nil = blob_copy("\xc0", 1);

    if (!nil) {
        outbox->failed = true;
        return;
    }
    outbox_send(
        outbox, client,
        &(struct proto_message){.type = PROTO_ANSWER,
                                .answer = {.ticket = ticket, .code = code, .text = outbox_text(outbox, text)},
                                .payload = {.blob = nil, .size = 1}});
    blob_unref(nil);
}

static void pack_text(msgpack_packer *packer, const char *bytes, size_t size)
{
    msgpack_pack_str(packer, size);
    msgpack_pack_str_body(packer, bytes, size);
}

static void pack_key(msgpack_packer *packer, const char *key)
{
    pack_text(packer, key, strlen(key));
}

static void pack_count(msgpack_packer *packer, const char *key, uint64_t count)
{
    pack_key(packer, key);
    msgpack_pack_uint64(packer, count);
}

static void pack_word(msgpack_packer *packer, const char *key, const struct proto_text *text)
{
    pack_key(packer, key);
    pack_text(packer, text->bytes, text->size);
}

static void answer_status(struct ledger *ledger, const struct patron *patron, uint64_t ticket,
                          struct outbox *outbox)
{
    struct ledger_counts counts = ledger_count(ledger);
    msgpack_sbuffer buffer;
    msgpack_packer packer;

    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 8);
    pack_count(&packer, "keeps", ledger->options.keeps);
    pack_count(&packer, "epoch", ledger->options.epoch);
    pack_count(&packer, "workers", ledger->options.workers);
    pack_count(&packer, "clients", counts.clients);
    pack_count(&packer, "open", counts.open);
    pack_count(&packer, "waiting", counts.waiting);
    pack_count(&packer, "readers", counts.readers);
    pack_count(&packer, "last", ledger->last_batch);
    send_answer(patron->name, ticket, false, &buffer, outbox);
    msgpack_sbuffer_destroy(&buffer);
}

static void pack_batch(msgpack_packer *packer, const struct store_batch *batch)
{
    const char *state = store_state_name(batch->state);

    msgpack_pack_map(packer, 14);
    pack_count(packer, "batch", batch->number);
    pack_key(packer, "state");
    pack_text(packer, state, strlen(state));
    pack_word(packer, "name", &batch->name);
    pack_word(packer, "user", &batch->lane.user);
    pack_key(packer, "priority");
    msgpack_pack_int64(packer, batch->lane.priority);
    pack_word(packer, "function", &batch->function);
    pack_count(packer, "jobs", batch->total);
    pack_count(packer, "succeeded", batch->succeeded);
    pack_count(packer, "failed", batch->failed);
    pack_count(packer, "cancelled", batch->cancelled);
    pack_count(packer, "submitted_ms", batch->submitted_ms);
    pack_count(packer, "begin_ms", batch->begin_ms);
    pack_count(packer, "started_ms", batch->started_ms);
    pack_count(packer, "ended_ms", batch->ended_ms);
}

static void answer_batches(const struct inquiry *inquiry, const struct store_done *done,
                           struct outbox *outbox)
{
    msgpack_sbuffer buffer;
    msgpack_packer packer;

    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    msgpack_pack_array(&packer, done->count);
    for (uint32_t i = 0; i < done->count; i++)
        pack_batch(&packer, &done->batches[i]);
    send_answer(inquiry->client, inquiry->ticket, false, &buffer, outbox);
    msgpack_sbuffer_destroy(&buffer);
}

/* Asks the store on behalf of the client. */
static void inquire(struct ledger *ledger, const struct patron *patron, const struct proto_request *request,
                    struct store_request *ask, struct outbox *outbox)
{
    struct inquiry *inquiry = calloc(1, sizeof *inquiry);

    if (!inquiry) {
        outbox->failed = true;
        return;
    }
    inquiry->id = ++ledger->last_tag;
    memcpy(inquiry->client, patron->name, sizeof inquiry->client);
    inquiry->ticket = request->ticket;
    DL_APPEND(ledger->inquiries, inquiry);
    ask->tag = inquiry->id;
    ask->batch = request->batch;
    outbox_store(outbox, ask);
}

static void answer_cancel(struct ledger *ledger, uint64_t now_ms, const struct patron *patron,
                          const struct proto_request *request, struct outbox *outbox)
{
    struct book *book = ledger_book(ledger, request->batch);

    if (book) {
        run_cancel(ledger, now_ms, book,
                   &(struct proto_cancel){.id = request->batch, .mode = PROTO_CANCEL_NOW}, outbox);
        send_word(patron->name, request->ticket, 0, "", outbox);
        return;
    }
    inquire(ledger, patron, request,
            &(struct store_request){.operation = STORE_END, .now_ms = now_ms, .state = STORE_CANCELLED},
            outbox);
}

void answer_request(struct ledger *ledger, uint64_t now_ms, const struct patron *patron,
                    const struct proto_request *request, struct outbox *outbox)
{
    switch (request->operation) {
    case PROTO_REQUEST_STATUS:
        answer_status(ledger, patron, request->ticket, outbox);
        return;
    case PROTO_REQUEST_BATCHES:
        if (request->batch != 0)
            inquire(ledger, patron, request, &(struct store_request){.operation = STORE_FIND}, outbox);
        else
            inquire(ledger, patron, request,
                    &(struct store_request){.operation = STORE_LIST,
                                            .page = {.from = request->number,
                                                     .count_max = PAGE_BATCHES,
                                                     .downwards = true,
                                                     .name = request->text}},
                    outbox);
        return;
    case PROTO_REQUEST_CANCEL:
        answer_cancel(ledger, now_ms, patron, request, outbox);
        return;
    case PROTO_REQUEST_FORGET:
        inquire(ledger, patron, request, &(struct store_request){.operation = STORE_DROP}, outbox);
        return;
    case PROTO_REQUEST_WORKERS:
    case PROTO_REQUEST_RETRY:
    case PROTO_REQUEST_SCALE:
    case PROTO_REQUEST_DRAIN:
    case PROTO_REQUEST_STOP:
        break;
    }
    send_word(patron->name, request->ticket, MUSTER_ESTATE, "this coordinator does not do that", outbox);
}

void answer_done(struct ledger *ledger, struct inquiry *inquiry, const struct store_done *done,
                 struct outbox *outbox)
{
    DL_DELETE(ledger->inquiries, inquiry);
    if (inquiry->client[0]) {
        if (done->code != 0)
            send_word(inquiry->client, inquiry->ticket, done->code, done->text, outbox);
        else if (done->operation == STORE_LIST || done->operation == STORE_FIND)
            answer_batches(inquiry, done, outbox);
        else
            send_word(inquiry->client, inquiry->ticket, 0, "", outbox);
    }
    if (done->operation == STORE_END && done->code == 0)
        run_done(ledger, 0, done, outbox);
    free(inquiry);
}
