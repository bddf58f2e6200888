/* SPDX-License-Identifier: MIT
 *
 * What clients ask about the coordinator and its batches, and tell it to do: REQUEST and ANSWER, as
 * proto/PROTOCOL.md has them. Part of the ledger: pure.
 */
#include "coordinator/ledger_answer.h"

#include "base/error.h"
#include "coordinator/core_look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- answers */

static void send_answer(const char *client, const struct proto_answer *answer, const msgpack_sbuffer *value,
                        struct outbox *outbox)
{
    struct blob *blob = value ? blob_copy(value->data, value->size) : blob_copy("\xc0", 1); /* nil */

    if (!blob) {
        outbox->failed = true;
        return;
    }
    outbox_send(outbox, client,
                &(struct proto_message){.type = PROTO_ANSWER,
                                        .answer = *answer,
                                        .payload = {.blob = blob, .size = value ? value->size : 1}});
    blob_unref(blob);
}

/* To a request that nobody has to be asked about. */
static void send_word(const struct patron *patron, const struct proto_request *request, int code,
                      const char *text, struct outbox *outbox)
{
    send_answer(
        patron->name,
        &(struct proto_answer){.ticket = request->ticket, .code = code, .text = outbox_text(outbox, text)},
        NULL, outbox);
}

static void send_value(const struct patron *patron, const struct proto_request *request,
                       const msgpack_sbuffer *value, struct outbox *outbox)
{
    send_answer(patron->name, &(struct proto_answer){.ticket = request->ticket}, value, outbox);
}

/* --- inquiries */

static void drop(struct ledger *ledger, struct inquiry *inquiry)
{
    struct patron *patron = ledger_patron(ledger, inquiry->client);

    if (patron)
        patron->inquiries--;
    HASH_DEL(ledger->inquiries, inquiry);
    free(inquiry->text);
    free(inquiry);
}

void answer_value(struct ledger *ledger, struct inquiry *inquiry, const msgpack_sbuffer *value,
                  struct outbox *outbox)
{
    if (inquiry->client[0])
        send_answer(inquiry->client, &(struct proto_answer){.ticket = inquiry->ticket}, value, outbox);
    drop(ledger, inquiry);
}

void answer_word(struct ledger *ledger, struct inquiry *inquiry, int code, const char *text,
                 struct outbox *outbox)
{
    if (inquiry->client[0])
        send_answer(inquiry->client,
                    &(struct proto_answer){
                        .ticket = inquiry->ticket, .code = code, .text = outbox_text(outbox, text)},
                    NULL, outbox);
    drop(ledger, inquiry);
}

void answer_fini(struct ledger *ledger)
{
    struct inquiry *inquiry, *next;

    HASH_ITER(hh, ledger->inquiries, inquiry, next)
        drop(ledger, inquiry);
}

void answer_gone(struct ledger *ledger, const char *client)
{
    struct inquiry *inquiry, *next;

    HASH_ITER(hh, ledger->inquiries, inquiry, next)
        if (strcmp(inquiry->client, client) == 0)
            inquiry->client[0] = '\0';
}

/* NULL: it cannot be worked on, and its client knows why. */
static struct inquiry *begin(struct ledger *ledger, struct patron *patron,
                             const struct proto_request *request, struct outbox *outbox)
{
    struct inquiry *inquiry;

    if (patron->inquiries >= INQUIRIES_MAX) {
        send_word(patron, request, MUSTER_ELIMIT, "too many requests of this client wait for their answers",
                  outbox);
        return NULL;
    }
    inquiry = calloc(1, sizeof *inquiry);
    if (!inquiry) {
        outbox->failed = true;
        return NULL;
    }
    inquiry->id = ++ledger->last_tag;
    memcpy(inquiry->client, patron->name, sizeof inquiry->client);
    inquiry->ticket = request->ticket;
    inquiry->operation = request->operation;
    inquiry->batch = request->batch;
    inquiry->number = request->number;
    HASH_ADD(hh, ledger->inquiries, id, sizeof inquiry->id, inquiry);
    if (!inquiry->hh.tbl) {
        free(inquiry);
        outbox->failed = true;
        return NULL;
    }
    patron->inquiries++;
    return inquiry;
}

/* Asks the store about the batch, or tells it to do something, on behalf of the client. */
static void inquire(struct ledger *ledger, struct patron *patron, const struct proto_request *request,
                    struct store_request *ask, struct outbox *outbox)
{
    struct inquiry *inquiry = begin(ledger, patron, request, outbox);

    if (!inquiry)
        return;
    ask->tag = inquiry->id;
    ask->batch = request->batch;
    outbox_store(outbox, ask);
}

/* --- questions */

static void ask_page(const struct inquiry *inquiry, struct outbox *outbox)
{
    struct store_request ask = {.operation = STORE_LIST, .tag = inquiry->id, .page = inquiry->page};

    ask.page.count_max = inquiry->left < PAGE_BATCHES ? (uint32_t)inquiry->left : PAGE_BATCHES;
    outbox_store(outbox, &ask);
}

/* What is filtered by: of a confined client, its own batches ahead of what it says. NULL: out of memory. */
static char *filter_text(const struct patron *patron, const struct proto_text *said, size_t *ret_size)
{
    size_t front = patron->confined ? strlen("user= ") + strlen(patron->user) : 0;
    char *text = malloc(front + said->size + 1);

    if (!text)
        return NULL;
    if (front > 0)
        snprintf(text, front + 1, "user=%s ", patron->user);
    if (said->size > 0)
        memcpy(text + front, said->bytes, said->size);
    *ret_size = front + said->size;
    return text;
}

static void answer_batches(struct ledger *ledger, struct patron *patron, const struct proto_request *request,
                           struct outbox *outbox)
{
    struct inquiry *inquiry = begin(ledger, patron, request, outbox);
    uint64_t most = request->number ? request->number : PROTO_ANSWER_BATCHES_MAX;
    const char *why;
    size_t size;

    if (!inquiry)
        return;
    if (!(inquiry->text = filter_text(patron, &request->text, &size))) {
        outbox->failed = true;
        return;
    }
    inquiry->left = most < PROTO_ANSWER_BATCHES_MAX ? most : PROTO_ANSWER_BATCHES_MAX;
    inquiry->page = (struct store_page){.from = request->batch, .downwards = true};
    if (answer_filter(inquiry->text, size, &inquiry->page, &why) != 0)
        answer_word(ledger, inquiry, MUSTER_EINVALID, why, outbox);
    else
        ask_page(inquiry, outbox);
}

/* A page at a time, so that others have their turn. One that has looked at many batches in vain says so
 * with an answer without any. */
static void take_page(struct ledger *ledger, struct inquiry *inquiry, const struct store_done *done,
                      struct outbox *outbox)
{
    msgpack_sbuffer buffer;
    msgpack_packer packer;

    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    msgpack_pack_array(&packer, done->count);
    for (uint32_t i = 0; i < done->count; i++)
        answer_pack_batch(ledger, &done->batches[i], outbox, &packer);
    inquiry->left -= done->count;
    if (!inquiry->client[0] || !done->more || inquiry->left == 0) {
        answer_value(ledger, inquiry, &buffer, outbox);
    } else {
        send_answer(inquiry->client, &(struct proto_answer){.ticket = inquiry->ticket, .more = true}, &buffer,
                    outbox);
        inquiry->page.from = done->next;
        ask_page(inquiry, outbox);
    }
    msgpack_sbuffer_destroy(&buffer);
}

static void take_batch(struct ledger *ledger, struct inquiry *inquiry, const struct store_done *done,
                       struct outbox *outbox)
{
    msgpack_sbuffer buffer;
    msgpack_packer packer;

    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    answer_pack_batch(ledger, &done->batches[0], outbox, &packer);
    answer_value(ledger, inquiry, &buffer, outbox);
    msgpack_sbuffer_destroy(&buffer);
}

static void take_tally(struct ledger *ledger, struct inquiry *inquiry, const struct store_done *done,
                       struct outbox *outbox)
{
    msgpack_sbuffer buffer;
    msgpack_packer packer;

    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    answer_pack_status(ledger, done->tally, &packer);
    answer_value(ledger, inquiry, &buffer, outbox);
    msgpack_sbuffer_destroy(&buffer);
}

static void answer_workers(const struct ledger *ledger, const struct patron *patron,
                           const struct proto_request *request, struct outbox *outbox)
{
    msgpack_sbuffer buffer;
    msgpack_packer packer;

    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    answer_pack_workers(ledger, &packer);
    send_value(patron, request, &buffer, outbox);
    msgpack_sbuffer_destroy(&buffer);
}

/* --- batches */

/* In the store alone it ends there: behind all that the store was asked before, and ahead of what the
 * core may have been given meanwhile. */
static void cancel_waiting(struct ledger *ledger, uint64_t now_ms, struct patron *patron,
                           const struct proto_request *request, struct outbox *outbox)
{
    struct proto_message ended = {
        .type = PROTO_ENDED,
        .ended = {.ticket = 1, .text = outbox_text(outbox, "a client cancelled it before it began")}};

    inquire(ledger, patron, request,
            &(struct store_request){.operation = STORE_END,
                                    .now_ms = now_ms,
                                    .state = STORE_CANCELLED,
                                    .add = {.totals = ledger_encode(&ended, outbox)}},
            outbox);
}

/* It will not be accepted: a coordinator that dies leaves nothing of it. */
static void cancel_submission(struct ledger *ledger, uint64_t now_ms, struct book *book,
                              enum proto_cancel_mode mode, struct outbox *outbox)
{
    if (book->patron) {
        run_cancel(ledger, now_ms, book->number, mode, 0, outbox);
    } else { /* a retry, whose arguments come */
        retry_answer(ledger, book, MUSTER_ECANCELLED, "a client cancelled it before it was accepted", outbox);
        submit_abandon(ledger, now_ms, book, outbox);
    }
}

static void answer_cancel(struct ledger *ledger, uint64_t now_ms, struct patron *patron,
                          const struct proto_request *request, struct outbox *outbox)
{
    enum proto_cancel_mode mode = (enum proto_cancel_mode)request->number;
    struct book *book = ledger_book(ledger, request->batch);
    bool runs_early = book && book->early && book->phase != BOOK_LEAVING;
    struct inquiry *inquiry;

    if (book && !book->sealed && !runs_early) {
        cancel_submission(ledger, now_ms, book, mode, outbox);
        send_word(patron, request, 0, "", outbox);
        return;
    }
    if (!book || (book->sealed && book->phase == BOOK_ADDING)) {
        cancel_waiting(ledger, now_ms, patron, request, outbox);
        return;
    }
    inquiry = begin(ledger, patron, request, outbox);
    if (inquiry)
        run_cancel(ledger, now_ms, book->number, mode, inquiry->id, outbox);
}

/* --- the coordinator itself */

static void answer_scale(const struct ledger *ledger, const struct patron *patron,
                         const struct proto_request *request, struct outbox *outbox)
{
    char text[160];

    unsigned joined = core_joined(ledger->options.core);

    if (request->number + joined > ledger->options.workers_max) {
        snprintf(text, sizeof text,
                 "this coordinator can run %u workers at most%s: it has file descriptors for no more",
                 ledger->options.workers_max - joined, joined > 0 ? " beside those of other hosts" : "");
        send_word(patron, request, MUSTER_ELIMIT, text, outbox);
        return;
    }
    outbox_order(outbox, OUTBOX_SCALE, request->number);
    send_word(patron, request, 0, "", outbox);
}

static void answer_drain(const struct ledger *ledger, const struct patron *patron,
                         const struct proto_request *request, struct outbox *outbox)
{
    if (ledger->stopping) {
        send_word(patron, request, MUSTER_ESTATE, "the coordinator is about to end", outbox);
        return;
    }
    outbox_order(outbox, OUTBOX_DRAIN, request->number);
    send_word(patron, request, 0, "", outbox);
}

static void answer_stop(struct ledger *ledger, const struct patron *patron,
                        const struct proto_request *request, struct outbox *outbox)
{
    ledger->stopping = true;
    send_word(patron, request, 0, "", outbox);
    outbox_order(outbox, OUTBOX_STOP, request->number);
}

/* --- all of them */

/* What is wrong with its number or its text; NULL: nothing. */
static const char *object(const struct proto_request *request)
{
    uint64_t number = request->number;

    switch (request->operation) {
    case PROTO_REQUEST_STATUS:
    case PROTO_REQUEST_BATCHES:
    case PROTO_REQUEST_WORKERS:
    case PROTO_REQUEST_FORGET:
        return NULL;
    case PROTO_REQUEST_CANCEL:
        return number == 1 || number == 2 ? NULL : "cancel soon (1) or now (2)";
    case PROTO_REQUEST_RETRY:
        return number == 1 || number == 2 ? NULL : "retry jobs that did not succeed (1) or all (2)";
    case PROTO_REQUEST_SCALE:
        return number >= 1 && number <= PROTO_WORKERS_MAX ? NULL : "a coordinator runs 1 to 16384 workers";
    case PROTO_REQUEST_DRAIN:
        return number <= 1 ? NULL : "start no further job (1), or start them again (0)";
    case PROTO_REQUEST_STOP:
        return number == 1 || number == 2 ? NULL : "stop when the jobs that run have ended (1) or now (2)";
    }
    return NULL;
}

/* Whether it is about one batch. */
static bool is_about_batch(const struct proto_request *request)
{
    switch (request->operation) {
    case PROTO_REQUEST_STATUS:
        return request->batch != 0;
    case PROTO_REQUEST_CANCEL:
    case PROTO_REQUEST_RETRY:
    case PROTO_REQUEST_FORGET:
        return true;
    case PROTO_REQUEST_BATCHES:
    case PROTO_REQUEST_WORKERS:
    case PROTO_REQUEST_SCALE:
    case PROTO_REQUEST_DRAIN:
    case PROTO_REQUEST_STOP:
        return false;
    }
    return false;
}

/* A confined client's request about a batch: its own, or none that there is. */
static void vet(struct ledger *ledger, struct patron *patron, const struct proto_request *request,
                struct outbox *outbox)
{
    struct inquiry *inquiry = begin(ledger, patron, request, outbox);

    if (!inquiry)
        return;
    inquiry->vets = true;
    outbox_store(outbox, &(struct store_request){
                             .operation = STORE_FIND, .tag = inquiry->id, .batch = request->batch});
}

static void perform(struct ledger *ledger, uint64_t now_ms, struct patron *patron,
                    const struct proto_request *request, struct outbox *outbox)
{
    switch (request->operation) {
    case PROTO_REQUEST_STATUS:
        inquire(ledger, patron, request,
                &(struct store_request){.operation = request->batch ? STORE_FIND : STORE_TALLY}, outbox);
        return;
    case PROTO_REQUEST_BATCHES:
        answer_batches(ledger, patron, request, outbox);
        return;
    case PROTO_REQUEST_WORKERS:
        answer_workers(ledger, patron, request, outbox);
        return;
    case PROTO_REQUEST_CANCEL:
        answer_cancel(ledger, now_ms, patron, request, outbox);
        return;
    case PROTO_REQUEST_FORGET:
        inquire(ledger, patron, request, &(struct store_request){.operation = STORE_DROP}, outbox);
        return;
    case PROTO_REQUEST_SCALE:
        answer_scale(ledger, patron, request, outbox);
        return;
    case PROTO_REQUEST_DRAIN:
        answer_drain(ledger, patron, request, outbox);
        return;
    case PROTO_REQUEST_STOP:
        answer_stop(ledger, patron, request, outbox);
        return;
    case PROTO_REQUEST_RETRY:
        inquire(ledger, patron, request, &(struct store_request){.operation = STORE_FIND}, outbox);
        return;
    }
}

void answer_request(struct ledger *ledger, uint64_t now_ms, struct patron *patron,
                    const struct proto_request *request, struct outbox *outbox)
{
    const char *objection = object(request);

    if (objection)
        send_word(patron, request, MUSTER_EINVALID, objection, outbox);
    else if (patron->confined && is_about_batch(request))
        vet(ledger, patron, request, outbox);
    else
        perform(ledger, now_ms, patron, request, outbox);
}

/* Whose the batch is is known. */
static void take_vetted(struct ledger *ledger, uint64_t now_ms, struct inquiry *inquiry,
                        const struct store_done *done, struct outbox *outbox)
{
    struct proto_request request = {.ticket = inquiry->ticket,
                                    .operation = inquiry->operation,
                                    .batch = inquiry->batch,
                                    .number = inquiry->number};
    struct patron *patron = ledger_patron(ledger, inquiry->client);
    char text[64];

    snprintf(text, sizeof text, "batch %llu is not known", (unsigned long long)inquiry->batch);
    if (done->code != 0) {
        answer_word(ledger, inquiry, done->code, done->text, outbox);
    } else if (!patron) { /* it has gone meanwhile */
        drop(ledger, inquiry);
    } else if (!ledger_may_see(patron, &done->batches[0])) {
        answer_word(ledger, inquiry, MUSTER_ENOTFOUND, text, outbox);
    } else {
        drop(ledger, inquiry);
        perform(ledger, now_ms, patron, &request, outbox);
    }
}

/* What became of the request. */
static void take_done(struct ledger *ledger, uint64_t now_ms, struct inquiry *inquiry,
                      const struct store_done *done, struct outbox *outbox)
{
    if (done->operation == STORE_END && done->code == 0)
        run_done(ledger, now_ms, done, outbox);
    if (inquiry->operation == PROTO_REQUEST_CANCEL && done->code == MUSTER_ESTATE) /* it is over already */
        answer_word(ledger, inquiry, 0, "", outbox);
    else if (done->code != 0)
        answer_word(ledger, inquiry, done->code, done->text, outbox);
    else if (done->operation == STORE_LIST)
        take_page(ledger, inquiry, done, outbox);
    else if (inquiry->operation == PROTO_REQUEST_RETRY)
        retry_begin(ledger, now_ms, inquiry, &done->batches[0], outbox);
    else if (done->operation == STORE_TALLY)
        take_tally(ledger, inquiry, done, outbox);
    else if (done->operation == STORE_FIND)
        take_batch(ledger, inquiry, done, outbox);
    else
        answer_word(ledger, inquiry, 0, "", outbox);
}

bool answer_done(struct ledger *ledger, uint64_t now_ms, const struct store_done *done, struct outbox *outbox)
{
    struct inquiry *inquiry;

    HASH_FIND(hh, ledger->inquiries, &done->tag, sizeof done->tag, inquiry);
    if (inquiry && inquiry->vets)
        take_vetted(ledger, now_ms, inquiry, done, outbox);
    else if (inquiry)
        take_done(ledger, now_ms, inquiry, done, outbox);
    return inquiry != NULL;
}
