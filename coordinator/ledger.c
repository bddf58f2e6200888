/* SPDX-License-Identifier: MIT
 *
 * The ledger's entry points: who may say what, and whom an answer of the store is for. See
 * ledger.h. What clients submit is in ledger_submit.c, what the core has in ledger_run.c and
 * ledger_record.c, who reads it in ledger_read.c and ledger_answer.c. Pure.
 */
#include "coordinator/ledger.h"

#include "coordinator/ledger_state.h"
#include "proto/codec.h"

#include <stdlib.h>
#include <string.h>

int ledger_create(const struct ledger_options *options, struct ledger **ret_ledger)
{
    struct ledger *ledger = calloc(1, sizeof *ledger);

    if (!ledger)
        return MUSTER_ENOMEM;
    ledger->options = *options;
    *ret_ledger = ledger;
    return 0;
}

void ledger_destroy(struct ledger *ledger)
{
    struct patron *patron, *next_patron;
    struct reader *reader, *next_reader;
    struct inquiry *inquiry, *next_inquiry;
    struct book *book, *next_book;
    struct lane *lane, *next_lane;

    if (!ledger)
        return;
    HASH_ITER(hh, ledger->patrons, patron, next_patron) {
        HASH_DEL(ledger->patrons, patron);
        free(patron);
    }
    DL_FOREACH_SAFE(ledger->readers, reader, next_reader)
        read_drop(ledger, reader);
    DL_FOREACH_SAFE(ledger->inquiries, inquiry, next_inquiry)
        free(inquiry);
    HASH_ITER(hh, ledger->books, book, next_book)
        ledger_drop_book(ledger, book);
    DL_FOREACH_SAFE(ledger->lanes, lane, next_lane)
        free(lane);
    free(ledger);
}

void ledger_refuse(struct outbox *outbox, const char *peer, uint64_t ticket, int code, const char *text)
{
    outbox_send(outbox, peer,
                &(struct proto_message){
                    .type = PROTO_ERROR,
                    .error = {.ticket = ticket, .code = code, .text = outbox_text(outbox, text)}});
}

struct proto_text ledger_encode(const struct proto_message *message, struct outbox *outbox)
{
    struct proto_text text = {0};
    msgpack_sbuffer buffer;

    msgpack_sbuffer_init(&buffer);
    if (proto_encode(message, &buffer) == 0)
        text = outbox_copy(outbox, &(struct proto_text){buffer.data, (uint32_t)buffer.size});
    else
        outbox->failed = true;
    msgpack_sbuffer_destroy(&buffer);
    return text;
}

struct patron *ledger_patron(const struct ledger *ledger, const char *name)
{
    struct patron *patron;

    HASH_FIND_STR(ledger->patrons, name, patron);
    return patron;
}

struct book *ledger_book(const struct ledger *ledger, uint64_t number)
{
    struct book *book;

    HASH_FIND(hh, ledger->books, &number, sizeof number, book);
    return book;
}

struct book *ledger_add_book(struct ledger *ledger, uint64_t number)
{
    struct book *book = calloc(1, sizeof *book);

    if (!book)
        return NULL;
    book->number = number;
    HASH_ADD(hh, ledger->books, number, sizeof book->number, book);
    if (book->hh.tbl)
        return book;
    free(book);
    return NULL;
}

void ledger_drop_book(struct ledger *ledger, struct book *book)
{
    struct entry *entry, *next;

    HASH_DEL(ledger->books, book);
    DL_FOREACH_SAFE(book->coming, entry, next)
        record_free(entry);
    DL_FOREACH_SAFE(book->records, entry, next)
        record_free(entry);
    spans_fini(&book->gaps);
    blob_unref(book->block.payload.blob);
    free(book->settings);
    free(book);
}

void ledger_start(struct ledger *ledger, uint64_t now_ms, struct outbox *outbox)
{
    (void)ledger;
    outbox_core(outbox, &(struct proto_message){.type = PROTO_HELLO,
                                                .hello = {.version = PROTO_VERSION, .role = PROTO_CLIENT}});
    outbox_store(outbox, &(struct store_request){.operation = STORE_RESET, .now_ms = now_ms});
    outbox_store(outbox, &(struct store_request){.operation = STORE_COUNTS});
}

bool ledger_ready(const struct ledger *ledger)
{
    return ledger->ready;
}

/* --- clients */

bool ledger_has_client(const struct ledger *ledger, const char *peer)
{
    return ledger_patron(ledger, peer) != NULL;
}

static void copy_text(char *to, size_t size, const struct proto_text *text)
{
    size_t length = text->size < size ? text->size : size - 1;

    memcpy(to, text->bytes, length);
    to[length] = '\0';
}

static void hello(struct ledger *ledger, const char *peer, const struct proto_message *message,
                  struct outbox *outbox)
{
    struct patron *patron;

    if (message->type != PROTO_HELLO || message->hello.role != PROTO_CLIENT) {
        ledger_refuse(outbox, peer, 0, MUSTER_ESTATE, "say HELLO first, under the name you were given");
        return;
    }
    if (message->hello.version != PROTO_VERSION) {
        ledger_refuse(outbox, peer, 0, MUSTER_EVERSION, "this coordinator speaks another protocol version");
        return;
    }
    if (HASH_COUNT(ledger->patrons) >= PROTO_CLIENTS_MAX) {
        ledger_refuse(outbox, peer, 0, MUSTER_ELIMIT, "too many clients are connected");
        return;
    }
    patron = calloc(1, sizeof *patron);
    if (!patron) {
        outbox->failed = true;
        return;
    }
    memcpy(patron->name, peer, strnlen(peer, PROTO_PEER_NAME_MAX));
    copy_text(patron->user, sizeof patron->user, &message->hello.user);
    HASH_ADD_STR(ledger->patrons, name, patron);
    if (!patron->hh.tbl) {
        free(patron);
        outbox->failed = true;
        return;
    }
    outbox_send(outbox, peer,
                &(struct proto_message){.type = PROTO_WELCOME,
                                        .welcome = {.version = PROTO_VERSION,
                                                    .workers = ledger->options.workers,
                                                    .keeps = ledger->options.keeps,
                                                    .epoch = ledger->options.epoch}});
}

/* Of a batch that this client submits and that is not accepted, or that runs. */
static struct book *find_ticket(const struct ledger *ledger, const char *client, uint64_t ticket)
{
    struct book *book, *next;

    HASH_ITER(hh, ledger->books, book, next)
        if (book->ticket == ticket && strcmp(book->client, client) == 0)
            return book;
    return NULL;
}

/* What this client calls `ticket`, as a batch that it submits or one that it reads. */
static struct book *named_book(const struct ledger *ledger, const char *client, uint64_t ticket)
{
    const struct reader *reader = read_find(ledger, client, ticket);

    return reader ? ledger_book(ledger, reader->batch) : find_ticket(ledger, client, ticket);
}

void ledger_gone(struct ledger *ledger, uint64_t now_ms, const char *peer, struct outbox *outbox)
{
    struct patron *patron = ledger_patron(ledger, peer);
    struct reader *reader, *next_reader;
    struct inquiry *inquiry, *next_inquiry;
    struct book *book, *next_book;

    if (!patron)
        return;
    DL_FOREACH_SAFE(ledger->readers, reader, next_reader)
        if (strcmp(reader->client, peer) == 0)
            read_drop(ledger, reader);
    DL_FOREACH_SAFE(ledger->inquiries, inquiry, next_inquiry)
        if (strcmp(inquiry->client, peer) == 0)
            inquiry->client[0] = '\0';
    HASH_ITER(hh, ledger->books, book, next_book)
        if (strcmp(book->client, peer) == 0) {
            book->client[0] = '\0';
            if (!book->sealed)
                submit_abandon(ledger, now_ms, book, outbox);
        }
    HASH_DEL(ledger->patrons, patron);
    free(patron);
}

static void about_arguments(struct ledger *ledger, uint64_t now_ms, const struct patron *patron,
                            const struct proto_message *message, struct outbox *outbox)
{
    uint64_t ticket = message->type == PROTO_SEAL ? message->seal.ticket : message->arguments.ticket;
    struct book *book = find_ticket(ledger, patron->name, ticket);

    if (!book) /* it has been given up meanwhile */
        return;
    if (message->type == PROTO_SEAL)
        submit_seal(ledger, now_ms, book, message->seal.total, outbox);
    else
        submit_arguments(ledger, now_ms, book, message, outbox);
}

static void about_results(struct ledger *ledger, uint64_t now_ms, const struct patron *patron,
                          const struct proto_message *message, struct outbox *outbox)
{
    struct reader *reader;
    struct book *book;

    if (message->type == PROTO_CANCEL) {
        book = named_book(ledger, patron->name, message->cancel.id);
        if (book)
            run_cancel(ledger, now_ms, book, &message->cancel, outbox);
        return;
    }
    reader = read_find(ledger, patron->name,
                       message->type == PROTO_DETACH ? message->detach.ticket : message->consumed.ticket);
    if (reader && message->type == PROTO_DETACH)
        read_drop(ledger, reader);
    else if (reader)
        read_consumed(ledger, reader, message->consumed.bytes, outbox);
}

void ledger_message(struct ledger *ledger, uint64_t now_ms, const char *peer,
                    const struct proto_message *message, struct outbox *outbox)
{
    const struct patron *patron = ledger_patron(ledger, peer);

    if (!patron) {
        hello(ledger, peer, message, outbox);
        return;
    }
    switch (message->type) {
    case PROTO_SUBMIT:
        submit_batch(ledger, now_ms, patron, message, outbox);
        return;
    case PROTO_ARGUMENTS:
    case PROTO_SEAL:
        about_arguments(ledger, now_ms, patron, message, outbox);
        return;
    case PROTO_CONSUMED:
    case PROTO_CANCEL:
    case PROTO_DETACH:
        about_results(ledger, now_ms, patron, message, outbox);
        return;
    case PROTO_ATTACH:
        read_attach(ledger, patron, &message->attach, outbox);
        return;
    case PROTO_REQUEST:
        answer_request(ledger, now_ms, patron, &message->request, outbox);
        return;
    case PROTO_STOP:
        ledger_gone(ledger, now_ms, peer, outbox);
        return;
    case PROTO_HELLO:
    case PROTO_WELCOME:
    case PROTO_ERROR:
    case PROTO_ACCEPTED:
    case PROTO_GRANT:
    case PROTO_RESULTS:
    case PROTO_ENDED:
    case PROTO_CHUNK:
    case PROTO_RESULT:
    case PROTO_PING:
    case PROTO_PONG:
    case PROTO_RETURNED:
    case PROTO_ATTACHED:
    case PROTO_ANSWER:
    case PROTO_STANDING:
    case PROTO_KEPT:
        break;
    }
    ledger_refuse(outbox, peer, 0, MUSTER_EPROTOCOL, "a client does not send this message");
}

void ledger_malformed(struct ledger *ledger, const char *peer, const struct muster_error *error,
                      struct outbox *outbox)
{
    (void)ledger;
    ledger_refuse(outbox, peer, 0, error->code, error->text);
}

/* --- the core, and the store */

void ledger_told(struct ledger *ledger, uint64_t now_ms, const struct proto_message *message,
                 struct outbox *outbox)
{
    struct book *book;

    if (message->type == PROTO_RESULTS) {
        book = ledger_book(ledger, message->results.ticket);
        if (book)
            record_results(ledger, book, message, outbox);
    } else if (message->type == PROTO_GRANT) {
        book = ledger_book(ledger, message->grant.ticket);
        if (!book)
            return;
        book->core_grant = message->grant.bytes;
        run_feed(book, outbox);
    } else if (message->type == PROTO_ENDED) {
        book = ledger_book(ledger, message->ended.ticket);
        if (book)
            run_ended(ledger, now_ms, book, &message->ended, outbox);
    } else if (message->type == PROTO_ERROR && message->error.ticket != 0) {
        struct proto_ended refused = {.code = message->error.code, .text = message->error.text};

        book = ledger_book(ledger, message->error.ticket);
        if (book)
            run_ended(ledger, now_ms, book, &refused, outbox);
    }
}

static struct reader *reader_of(const struct ledger *ledger, uint64_t tag)
{
    struct reader *reader;

    DL_SEARCH_SCALAR(ledger->readers, reader, id, tag);
    return reader;
}

void ledger_done(struct ledger *ledger, uint64_t now_ms, const struct store_done *done, struct outbox *outbox)
{
    struct inquiry *inquiry = NULL;
    struct reader *reader;
    struct book *book;

    if (done->tag != 0) {
        DL_SEARCH_SCALAR(ledger->inquiries, inquiry, id, done->tag);
        if (inquiry) {
            answer_done(ledger, inquiry, done, outbox);
            return;
        }
    }
    switch (done->operation) {
    case STORE_ADD:
    case STORE_ARGUMENTS:
    case STORE_SEAL:
    case STORE_ABANDON:
        book = ledger_book(ledger, done->batch);
        if (book)
            submit_done(ledger, now_ms, book, done, outbox);
        return;
    case STORE_RESULT:
        book = ledger_book(ledger, done->batch);
        if (book)
            record_done(ledger, book, done, outbox);
        return;
    case STORE_READ:
    case STORE_FIND:
        reader = reader_of(ledger, done->tag);
        if (reader)
            read_done(ledger, reader, done, outbox);
        return;
    case STORE_STATE:
    case STORE_END:
    case STORE_DUE:
    case STORE_COUNTS:
    case STORE_NEXT:
    case STORE_LOAD:
    case STORE_GAPS:
        run_done(ledger, now_ms, done, outbox);
        return;
    case STORE_DROP:
    case STORE_RESET:
    case STORE_LIST:
        return;
    }
}

void ledger_tick(struct ledger *ledger, uint64_t now_ms, struct outbox *outbox)
{
    if (ledger_deadline_ms(ledger) > now_ms)
        return;
    ledger->due = true;
    outbox_store(outbox, &(struct store_request){.operation = STORE_DUE, .now_ms = now_ms});
}

uint64_t ledger_deadline_ms(const struct ledger *ledger)
{
    return ledger->begin_ms == 0 || ledger->due ? UINT64_MAX : ledger->begin_ms;
}

void ledger_stop(struct ledger *ledger, struct outbox *outbox)
{
    struct patron *patron, *next;

    HASH_ITER(hh, ledger->patrons, patron, next)
        ledger_refuse(outbox, patron->name, 0, MUSTER_ELOST, "the coordinator ends");
}

struct ledger_counts ledger_count(const struct ledger *ledger)
{
    struct ledger_counts counts = {.clients = HASH_COUNT(ledger->patrons)};
    const struct reader *reader;
    const struct entry *entry;
    const struct lane *lane;
    struct book *book, *next;

    DL_COUNT(ledger->readers, reader, counts.readers);
    DL_FOREACH(ledger->lanes, lane)
        counts.waiting += lane->waiting;
    HASH_ITER(hh, ledger->books, book, next) {
        counts.open++;
        DL_FOREACH(book->records, entry)
            counts.unrecorded += entry->cost;
    }
    return counts;
}
