/* SPDX-License-Identifier: MIT
 *
 * The ledger's entry points: who may say what, and whom an answer of the store is for. See
 * ledger.h. What clients submit is in ledger_submit.c, what waits in ledger_lanes.c, what the core has in
 * ledger_run.c and ledger_record.c, what waits for others or its time in ledger_due.c, what is cancelled in
 * ledger_cancel.c, who reads it in ledger_read.c and ledger_answer.c. Pure.
 */
#include "coordinator/ledger.h"

#include "base/size.h"
#include "coordinator/core_look.h"
#include "coordinator/ledger_state.h"
#include "proto/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A disk that was full, or a database that another process had, may be free by then. */
enum { SWEEP_RETRY_MS = 1000 };

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
    struct book *book, *next_book;
    struct lane *lane, *next_lane;

    if (!ledger)
        return;
    HASH_ITER(hh, ledger->readers, reader, next_reader)
        read_drop(ledger, reader);
    answer_fini(ledger);
    HASH_ITER(hh, ledger->books, book, next_book)
        ledger_drop_book(ledger, book);
    HASH_ITER(hh, ledger->patrons, patron, next_patron) {
        HASH_DEL(ledger->patrons, patron);
        free(patron);
    }
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

bool ledger_promise(struct ledger *ledger, uint64_t bytes)
{
    uint64_t most = ledger->options.promise_max;

    if (most > 0 && (bytes > most || ledger->promised + ledger->unkept > most - bytes)) {
        ledger->unkept = core_count(ledger->options.core).unkept_bytes; /* what has ended since */
        if (bytes > most || ledger->promised + ledger->unkept > most - bytes)
            return false;
    }
    ledger->promised += bytes;
    return true;
}

void ledger_refuse_promise(const struct ledger *ledger, const char *client, uint64_t ticket,
                           struct outbox *outbox)
{
    char text[200], most[SIZE_TEXT_BYTES];

    snprintf(text, sizeof text,
             "what clients may have on their way to and from this coordinator would pass %s: try again "
             "when others are done, or with a smaller window",
             size_text(ledger->options.promise_max, most));
    ledger_refuse(outbox, client, ticket, MUSTER_ELIMIT, text);
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

    ledger->promised -= book->promised;
    ledger_await_end(book);
    HASH_DEL(ledger->books, book);
    DL_FOREACH_SAFE(book->coming, entry, next)
        record_free(entry);
    DL_FOREACH_SAFE(book->records, entry, next)
        record_free(entry);
    spans_fini(&book->gaps);
    blob_unref(book->block.payload.blob);
    free(book->settings);
    free(book->lost);
    free(book);
}

void ledger_start(struct ledger *ledger, uint64_t now_ms, struct outbox *outbox)
{
    ledger->started_ms = now_ms;
    outbox_core(outbox, &(struct proto_message){.type = PROTO_HELLO,
                                                .hello = {.version = PROTO_VERSION, .role = PROTO_CLIENT}});
    outbox_store(outbox, &(struct store_request){.operation = STORE_RESET, .now_ms = now_ms});
    run_resume(0, outbox);
}

bool ledger_ready(const struct ledger *ledger)
{
    struct book *book, *next;

    HASH_ITER(hh, ledger->books, book, next)
        if (run_is_resuming(book))
            return false;
    return ledger->ready;
}

const char *ledger_failure(const struct ledger *ledger)
{
    return ledger->failure[0] ? ledger->failure : NULL;
}

/* --- clients */

bool ledger_has_client(const struct ledger *ledger, const char *peer)
{
    return ledger_patron(ledger, peer) != NULL;
}

void ledger_confine(struct ledger *ledger, const char *peer)
{
    struct patron *patron = ledger_patron(ledger, peer);

    if (patron)
        patron->confined = true;
}

bool ledger_may_see(const struct patron *patron, const struct store_batch *batch)
{
    const struct proto_text *user = &batch->lane.user;

    return !patron->confined ||
           (strlen(patron->user) == user->size && memcmp(patron->user, user->bytes, user->size) == 0);
}

static void copy_text(char *to, size_t size, const struct proto_text *text)
{
    size_t length = text->size < size ? text->size : size - 1;

    if (length > 0)
        memcpy(to, text->bytes, length);
    to[length] = '\0';
}

/* Somebody new. The core welcomes or refuses him, for the same reasons. */
static void hello(struct ledger *ledger, const char *peer, const struct proto_message *message,
                  struct outbox *outbox)
{
    unsigned most = ledger->options.clients ? ledger->options.clients : PROTO_CLIENTS_MAX;
    struct patron *patron;

    outbox_forward(outbox, peer, message);
    if (message->type != PROTO_HELLO || message->hello.role != PROTO_CLIENT ||
        message->hello.version != PROTO_VERSION || HASH_COUNT(ledger->patrons) >= most)
        return;
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
    }
}

struct book *ledger_submission(const struct patron *patron, uint64_t ticket)
{
    struct book *book;

    HASH_FIND(hh_ticket, patron->books, &ticket, sizeof ticket, book);
    return book;
}

bool ledger_uses(struct ledger *ledger, const struct patron *patron, uint64_t ticket)
{
    return read_holds(ledger, patron, ticket) || ledger_submission(patron, ticket) ||
           core_has_ticket(ledger->options.core, patron->name, ticket);
}

bool ledger_await(struct patron *patron, struct book *book, uint64_t ticket)
{
    book->ticket = ticket;
    HASH_ADD(hh_ticket, patron->books, ticket, sizeof book->ticket, book);
    if (book->hh_ticket.tbl)
        book->patron = patron;
    return book->patron != NULL;
}

void ledger_await_end(struct book *book)
{
    if (book->patron)
        HASH_DELETE(hh_ticket, book->patron->books, book);
    book->patron = NULL;
}

void ledger_gone(struct ledger *ledger, uint64_t now_ms, const char *peer, struct outbox *outbox)
{
    struct patron *patron = ledger_patron(ledger, peer);
    struct reader *reader, *next_reader;
    struct book *book, *next_book;

    if (!patron)
        return;
    HASH_ITER(hh_ticket, patron->readers, reader, next_reader)
        read_drop(ledger, reader);
    answer_gone(ledger, peer);
    HASH_ITER(hh_ticket, patron->books, book, next_book) {
        ledger_await_end(book);
        if (!book->sealed)
            submit_abandon(ledger, now_ms, book, outbox);
    }
    outbox_forward(outbox, peer, &(struct proto_message){.type = PROTO_STOP});
    HASH_DEL(ledger->patrons, patron);
    free(patron);
}

/* Those about tickets that the ledger does not know are the core's, as batches are that are not kept. To
 * both, what is about a batch that has ended means nothing. */
static void about_arguments(struct ledger *ledger, uint64_t now_ms, const struct patron *patron,
                            const struct proto_message *message, struct outbox *outbox)
{
    uint64_t ticket = message->type == PROTO_SEAL ? message->seal.ticket : message->arguments.ticket;
    struct book *book = ledger_submission(patron, ticket);

    if (!book)
        outbox_forward(outbox, patron->name, message);
    else if (message->type == PROTO_SEAL)
        submit_seal(ledger, now_ms, book, message->seal.total, outbox);
    else
        submit_arguments(ledger, now_ms, book, message, outbox);
}

static void cancel(struct ledger *ledger, uint64_t now_ms, const struct patron *patron,
                   const struct proto_cancel *cancel, struct outbox *outbox)
{
    const struct book *book = ledger_submission(patron, cancel->id);
    const struct reader *reader = read_find(patron, cancel->id);
    uint64_t number = book ? book->number : reader ? reader->batch : 0;

    if (reader && !reader->told && patron->confined)
        ledger_refuse(outbox, patron->name, cancel->id, MUSTER_ESTATE, "this batch is not attached to yet");
    else if (!number || cancel->mode == PROTO_CANCEL_RETURN) /* which the core refuses */
        outbox_forward(outbox, patron->name,
                       &(struct proto_message){.type = PROTO_CANCEL, .cancel = *cancel});
    else if (cancel->count == 0)
        run_cancel(ledger, now_ms, number, cancel->mode, 0, outbox);
    else if (!reader || !reader->over)
        run_cancel_jobs(ledger, patron->name, number, cancel, outbox);
}

static void about_results(struct ledger *ledger, const struct patron *patron,
                          const struct proto_message *message, struct outbox *outbox)
{
    uint64_t ticket = message->type == PROTO_CONSUMED ? message->consumed.ticket : message->detach.ticket;
    struct book *book = ledger_submission(patron, ticket);
    struct reader *reader = read_find(patron, ticket);

    if (message->type == PROTO_DETACH && book)
        ledger_refuse(outbox, patron->name, ticket, MUSTER_ESTATE,
                      "this batch is not accepted yet: it would be lost");
    else if (message->type == PROTO_DETACH && reader)
        read_drop(ledger, reader);
    else if (message->type == PROTO_CONSUMED && reader)
        read_consumed(ledger, reader, message->consumed.bytes, outbox);
    else
        outbox_forward(outbox, patron->name, message);
}

void ledger_message(struct ledger *ledger, uint64_t now_ms, const char *peer,
                    const struct proto_message *message, struct outbox *outbox)
{
    struct patron *patron = ledger_patron(ledger, peer);

    if (strcmp(peer, LEDGER_PEER) == 0) /* a name that is taken is not heard */
        return;
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
    case PROTO_CANCEL:
        cancel(ledger, now_ms, patron, &message->cancel, outbox);
        return;
    case PROTO_CONSUMED:
    case PROTO_DETACH:
        about_results(ledger, patron, message, outbox);
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
    case PROTO_JOIN:
    case PROTO_JOINED:
    case PROTO_SPAWN:
    case PROTO_KILL:
    case PROTO_EXITED:
    case PROTO_BEAT:
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

    if (message->type == PROTO_ACCEPTED) {
        book = ledger_book(ledger, message->accepted.ticket);
        if (book)
            book->taken = true;
    } else if (message->type == PROTO_RESULTS) {
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
        book = ledger_book(ledger, message->error.ticket);
        if (book)
            run_refused(ledger, now_ms, book, &message->error, outbox);
    }
}

static void read_for(struct ledger *ledger, const struct store_done *done, struct outbox *outbox)
{
    struct reader *reader;

    HASH_FIND(hh, ledger->readers, &done->tag, sizeof done->tag, reader);
    if (reader)
        read_done(ledger, reader, done, outbox);
}

/* Whether anything is left of batches that were forgotten. What could not be deleted is tried again. */
static void note_leaving(struct ledger *ledger, uint64_t now_ms, const struct store_done *done)
{
    if (done->operation == STORE_SWEEP)
        ledger->sweeping = false;
    else if (done->operation != STORE_DROP && done->operation != STORE_ABANDON &&
             done->operation != STORE_RESET)
        return;
    if (done->code == 0)
        ledger->sweep_ms = done->more ? now_ms : 0;
    else if (done->operation == STORE_SWEEP)
        ledger->sweep_ms = now_ms + SWEEP_RETRY_MS;
}

/* When the next piece of it goes; UINT64_MAX: not now. That waits for the start, which is not to fail for it.
 */
static uint64_t sweep_due_ms(const struct ledger *ledger)
{
    return ledger->sweep_ms == 0 || ledger->sweeping || !ledger->ready ? UINT64_MAX : ledger->sweep_ms;
}

/* Piece by piece, so that others have their turn. */
static void sweep(struct ledger *ledger, uint64_t now_ms, struct outbox *outbox)
{
    if (sweep_due_ms(ledger) > now_ms)
        return;
    ledger->sweeping = true;
    outbox_store(outbox, &(struct store_request){.operation = STORE_SWEEP});
}

void ledger_done(struct ledger *ledger, uint64_t now_ms, const struct store_done *done, struct outbox *outbox)
{
    struct book *book;

    if (ledger->full && !done->full)
        record_resume(ledger, outbox);
    ledger->full = done->full;
    note_leaving(ledger, now_ms, done);
    sweep(ledger, now_ms, outbox);
    if (answer_done(ledger, now_ms, done, outbox))
        return;
    if (done->code != 0 && !ledger->ready && done->batch == 0) { /* RESET, RESUME or COUNTS */
        snprintf(ledger->failure, sizeof ledger->failure, "%s", done->text);
        return;
    }
    switch (done->operation) {
    case STORE_ADD:
    case STORE_ARGUMENTS:
    case STORE_COPY:
    case STORE_SEAL:
    case STORE_ABANDON:
        book = ledger_book(ledger, done->batch);
        if (book)
            submit_done(ledger, now_ms, book, done, outbox);
        return;
    case STORE_RESULT:
        book = ledger_book(ledger, done->batch);
        if (book)
            record_done(ledger, now_ms, book, done, outbox);
        return;
    case STORE_READ:
    case STORE_FIND:
        read_for(ledger, done, outbox);
        return;
    case STORE_LOAD:
        if (done->tag != 0) /* else it is for the core */
            read_for(ledger, done, outbox);
        else
            run_done(ledger, now_ms, done, outbox);
        return;
    case STORE_STATE:
    case STORE_END:
    case STORE_DUE:
    case STORE_COUNTS:
    case STORE_RESUME:
    case STORE_NEXT:
    case STORE_GAPS:
        run_done(ledger, now_ms, done, outbox);
        return;
    case STORE_DROP:
    case STORE_RESET:
    case STORE_SWEEP:
    case STORE_BARRIER:
    case STORE_LIST:
    case STORE_TALLY:
        return;
    }
}

void ledger_tick(struct ledger *ledger, uint64_t now_ms, struct outbox *outbox)
{
    sweep(ledger, now_ms, outbox);
    run_tick(ledger, now_ms, outbox);
    lanes_tick(ledger, now_ms, outbox);
    due_tick(ledger, now_ms, outbox);
}

uint64_t ledger_deadline_ms(const struct ledger *ledger)
{
    uint64_t others[] = {sweep_due_ms(ledger), lanes_due_ms(ledger), run_due_ms(ledger)};
    uint64_t first_ms = due_ms(ledger);

    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (others[i] < first_ms)
            first_ms = others[i];
    return first_ms;
}

struct ledger_counts ledger_count(const struct ledger *ledger)
{
    struct ledger_counts counts = {.clients = HASH_COUNT(ledger->patrons),
                                   .readers = HASH_COUNT(ledger->readers)};
    const struct entry *entry;
    const struct lane *lane;
    struct book *book, *next;

    DL_FOREACH(ledger->lanes, lane)
        counts.waiting += lane->waiting;
    HASH_ITER(hh, ledger->books, book, next) {
        counts.open++;
        DL_FOREACH(book->records, entry)
            counts.unrecorded += entry->cost;
    }
    return counts;
}
