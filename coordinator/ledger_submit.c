/* SPDX-License-Identifier: MIT
 *
 * Batches on their way into the store, until they are accepted: all of a batch, or nothing. Part of
 * the ledger: pure.
 */
#include "base/error.h"
#include "coordinator/ledger_state.h"
#include "proto/codec.h"

#include <string.h>

/* The settings as they are kept: a SUBMIT message, of which the ticket says nothing. */
static struct proto_text encode_settings(const struct proto_message *message, struct outbox *outbox)
{
    struct proto_message settings = *message;

    settings.submit.count = 0; /* arguments are kept by themselves */
    settings.submit.ticket = 1;
    return ledger_encode(&settings, outbox);
}

/* Takes what is needed to start it out of the message. False when out of memory. */
static bool note_settings(struct book *book, const struct proto_message *message, struct outbox *outbox)
{
    struct proto_text settings = encode_settings(message, outbox);
    char *copy = outbox->failed ? NULL : malloc(settings.size);

    if (!copy)
        return false;
    memcpy(copy, settings.bytes, settings.size);
    book->settings = copy;
    book->settings_size = settings.size;
    if (message->submit.count > 0) {
        book->block = (struct store_block){1, message->submit.count, message->payload};
        blob_ref(message->payload.blob);
    }
    return true;
}

static void request_add(uint64_t now_ms, const struct book *book, const struct proto_submit *submit,
                        uint64_t origin, struct outbox *outbox)
{
    struct store_after *after = outbox_alloc(outbox, (submit->after_count + 1) * sizeof *after);
    struct store_request request = {
        .operation = STORE_ADD,
        .batch = book->number,
        .now_ms = now_ms,
        .add =
            {
                .number = book->number,
                .lane = {.priority = book->priority, .user = outbox_text(outbox, book->user)},
                .name = submit->name,
                .function = submit->function,
                .settings = {book->settings, book->settings_size},
                .kind = submit->kind,
                .first = submit->first,
                .last = submit->last,
                .sealed = book->sealed,
                .total = book->sealed ? book->total : 0,
                .block = book->block,
                .origin = origin,
                .submitted_ms = now_ms,
                .begin_ms = submit->begin_ms,
                .after = after,
                .after_count = submit->after_count,
            },
    };

    for (uint32_t i = 0; after && i < submit->after_count; i++)
        after[i] =
            (struct store_after){submit->after[i].batch, (enum store_condition)submit->after[i].condition};
    if (after)
        outbox_store(outbox, &request);
}

/* Why the batch cannot be taken, or NULL. */
static const char *objection(struct ledger *ledger, const struct patron *patron,
                             const struct proto_submit *submit)
{
    if (ledger_uses(ledger, patron, submit->ticket))
        return "this ticket is in use";
    if (submit->keep && submit->shared)
        return "this coordinator passes no results in shared memory";
    return NULL;
}

/* Whether workers have the function, and its jobs could ever run; the client is told when not. */
static bool can_run(const struct ledger *ledger, const struct patron *patron,
                    const struct proto_submit *submit, struct outbox *outbox)
{
    const struct core_functions *functions = ledger->options.functions;
    char name[PROTO_FUNCTION_NAME_MAX + 1] = "";
    struct muster_error error;

    memcpy(name, submit->function.bytes, submit->function.size);
    if ((!functions || functions->require(functions->context, name, &error) == 0) &&
        core_check_demand(ledger->options.core, submit, &error) == 0)
        return true;
    ledger_refuse(outbox, patron->name, submit->ticket, error.code, error.text);
    return false;
}

struct book *submit_as(struct ledger *ledger, uint64_t now_ms, const char *user, uint64_t origin,
                       const struct proto_message *message, struct outbox *outbox)
{
    const struct proto_submit *submit = &message->submit;
    struct book *book = ledger_add_book(ledger, ledger->last_batch + 1);

    if (!book || !note_settings(book, message, outbox)) {
        outbox->failed = true;
        return NULL;
    }
    ledger->last_batch++;
    strcpy(book->user, user);
    book->kind = submit->kind;
    book->priority = submit->priority;
    book->begin_ms = submit->begin_ms;
    book->sealed = submit->kind == PROTO_RANGE || submit->count > 0;
    book->total =
        submit->kind == PROTO_RANGE ? (uint64_t)submit->last - (uint64_t)submit->first + 1 : submit->count;
    book->sent_jobs = submit->count;
    book->granted_cost = PROTO_GRANT_BYTES;
    request_add(now_ms, book, submit, origin, outbox);
    return book;
}

/* What may be on its way to the store until the batch is accepted: it is whole, or is granted so much. */
static uint64_t coming_bytes(const struct proto_message *message)
{
    const struct proto_submit *submit = &message->submit;
    bool whole = submit->kind == PROTO_RANGE || submit->count > 0;

    return submit->common.size +
           (whole ? message->payload.size + PROTO_MESSAGE_COST_BYTES : PROTO_GRANT_BYTES);
}

void submit_batch(struct ledger *ledger, uint64_t now_ms, struct patron *patron,
                  const struct proto_message *message, struct outbox *outbox)
{
    const struct proto_submit *submit = &message->submit;
    const char *why = objection(ledger, patron, submit);
    uint64_t bytes, window;
    struct book *book;

    if (why) {
        ledger_refuse(outbox, patron->name, submit->ticket, MUSTER_ESTATE, why);
        return;
    }
    if (!can_run(ledger, patron, submit, outbox))
        return;
    bytes = coming_bytes(message);
    window = submit->attach ? submit->window_bytes : 0;
    if (window > UINT64_MAX - bytes || !ledger_promise(ledger, bytes + window)) {
        ledger_refuse_promise(ledger, patron->name, submit->ticket, outbox);
        return;
    }
    if (!submit->keep) {
        ledger->promised -= bytes + window;
        ledger->unkept += bytes + window;
        outbox_forward(outbox, patron->name, message);
        return;
    }
    if (submit->attach && !read_submitted(ledger, patron, submit, ledger->last_batch + 1)) {
        outbox->failed = true;
        return;
    }
    book = submit_as(ledger, now_ms, patron->user, 0, message, outbox);
    if (!book)
        return;
    book->promised = bytes;
    if (!ledger_await(patron, book, submit->ticket))
        outbox->failed = true;
    book->early = submit->attach && submit->begin_ms == 0 && submit->after_count == 0;
}

/* What was sent does not follow what came before. */
static void reject(struct ledger *ledger, uint64_t now_ms, struct book *book, struct outbox *outbox)
{
    submit_refuse(ledger, now_ms, book, MUSTER_EPROTOCOL,
                  "arguments or counts do not follow what was sent before", outbox);
}

void submit_arguments(struct ledger *ledger, uint64_t now_ms, struct book *book,
                      const struct proto_message *message, struct outbox *outbox)
{
    const struct proto_arguments_block *block = &message->arguments;
    struct entry *entry;

    if (book->phase == BOOK_LEAVING || book->cancel_mode)
        return;
    if (book->sealed || block->first != book->sent_jobs + 1 || book->sent_cost >= book->granted_cost ||
        block->shared_bytes > 0) {
        reject(ledger, now_ms, book, outbox);
        return;
    }
    entry = calloc(1, sizeof *entry);
    if (!entry) {
        outbox->failed = true;
        return;
    }
    entry->count = block->count;
    entry->cost = proto_cost(message);
    DL_APPEND(book->coming, entry);
    book->sent_jobs += block->count;
    book->sent_cost += entry->cost;
    outbox_store(outbox, &(struct store_request){.operation = STORE_ARGUMENTS,
                                                 .batch = book->number,
                                                 .block = {block->first, block->count, message->payload}});
}

void submit_seal(struct ledger *ledger, uint64_t now_ms, struct book *book, uint64_t total,
                 struct outbox *outbox)
{
    if (book->phase == BOOK_LEAVING || book->cancel_mode)
        return;
    if (book->sealed || total != book->sent_jobs) {
        reject(ledger, now_ms, book, outbox);
        return;
    }
    book->sealed = true;
    outbox_store(outbox,
                 &(struct store_request){
                     .operation = STORE_SEAL, .batch = book->number, .now_ms = now_ms, .total = total});
}

void submit_cancel(struct ledger *ledger, uint64_t now_ms, struct book *book, enum proto_cancel_mode mode,
                   struct outbox *outbox)
{
    if (book->phase == BOOK_LEAVING) /* it is gone */
        return;
    if (book->early) {
        submit_seal(ledger, now_ms, book, book->sent_jobs, outbox);
        if (mode > book->cancel_mode)
            book->cancel_mode = mode;
        return;
    }
    submit_refuse(ledger, now_ms, book, MUSTER_ECANCELLED, "cancelled before it was accepted", outbox);
}

void submit_abandon(struct ledger *ledger, uint64_t now_ms, struct book *book, struct outbox *outbox)
{
    (void)ledger;
    (void)now_ms;
    if (book->phase == BOOK_LEAVING)
        return;
    if (book->in_core)
        outbox_core(outbox,
                    &(struct proto_message){.type = PROTO_CANCEL,
                                            .cancel = {.id = book->number, .mode = PROTO_CANCEL_NOW}});
    book->phase = BOOK_LEAVING;
    outbox_store(outbox, &(struct store_request){.operation = STORE_ABANDON, .batch = book->number});
}

/* So many bytes of arguments may come before what came is recorded. */
static void grant(struct book *book, struct outbox *outbox)
{
    uint64_t granted = book->recorded_cost + PROTO_GRANT_BYTES;

    if (book->sealed || granted - book->granted_cost < PROTO_GRANT_BYTES / 4)
        return;
    book->granted_cost = granted;
    outbox_send(
        outbox, book->patron->name,
        &(struct proto_message){.type = PROTO_GRANT, .grant = {.ticket = book->ticket, .bytes = granted}});
}

/* A block of arguments is recorded. */
static void recorded(struct book *book, struct outbox *outbox)
{
    struct entry *entry = book->coming;

    DL_DELETE(book->coming, entry);
    book->total += entry->count;
    book->recorded_cost += entry->cost;
    record_free(entry);
    grant(book, outbox);
    run_feed(book, outbox);
}

/* The batch is recorded as a whole: that can be promised. */
static void accept_batch(struct ledger *ledger, uint64_t now_ms, struct book *book,
                         const struct store_done *done, struct outbox *outbox)
{
    if (book->patron)
        outbox_send(outbox, book->patron->name,
                    &(struct proto_message){.type = PROTO_ACCEPTED,
                                            .accepted = {.ticket = book->ticket, .batch = book->number}});
    retry_answer(ledger, book, 0, "", outbox);
    ledger_await_end(book); /* from now on it is nobody's, or a reader's */
    ledger->promised -= book->promised;
    book->promised = 0;
    if (book->in_core && book->cancel_mode) {
        outbox_core(outbox,
                    &(struct proto_message){.type = PROTO_CANCEL,
                                            .cancel = {.id = book->number, .mode = book->cancel_mode}});
        book->cancel_mode = 0;
    } else if (book->lane) { /* it has started, and is perhaps over by now */
        run_feed(book, outbox);
    } else {
        run_accepted(ledger, now_ms, book, done->state, outbox);
    }
}

/* Who submits it is told that it is not accepted. */
static void refuse(struct ledger *ledger, struct book *book, int code, const char *text,
                   struct outbox *outbox)
{
    struct reader *reader = book->patron ? read_find(book->patron, book->ticket) : NULL;

    if (book->patron)
        ledger_refuse(outbox, book->patron->name, book->ticket, code, text);
    retry_answer(ledger, book, code, text, outbox);
    if (reader)
        read_drop(ledger, reader);
}

void submit_refuse(struct ledger *ledger, uint64_t now_ms, struct book *book, int code, const char *text,
                   struct outbox *outbox)
{
    refuse(ledger, book, code, text, outbox);
    submit_abandon(ledger, now_ms, book, outbox);
}

/* The store does not take it. */
static void refused(struct ledger *ledger, uint64_t now_ms, struct book *book, const struct store_done *done,
                    struct outbox *outbox)
{
    if (done->operation == STORE_ADD) {
        refuse(ledger, book, done->code, done->text, outbox);
        ledger_drop_book(ledger, book);
    } else {
        submit_refuse(ledger, now_ms, book, done->code, done->text, outbox);
    }
}

void submit_done(struct ledger *ledger, uint64_t now_ms, struct book *book, const struct store_done *done,
                 struct outbox *outbox)
{
    if (book->phase == BOOK_LEAVING) {
        if (done->operation == STORE_ABANDON) {
            book->forgotten = true;
            read_forgotten(ledger, book->number, outbox);
        }
        if (book->forgotten && !book->in_core)
            ledger_drop_book(ledger, book);
        return;
    }
    if (done->code != 0) {
        refused(ledger, now_ms, book, done, outbox);
        return;
    }
    if (done->operation == STORE_ARGUMENTS) {
        recorded(book, outbox);
    } else if (done->operation == STORE_COPY) {
        retry_go_on(ledger, now_ms, book, done, outbox);
    } else if (book->sealed && (done->operation == STORE_SEAL || done->state != STORE_OPENING)) {
        accept_batch(ledger, now_ms, book, done, outbox);
    } else {
        book->phase = BOOK_OPENING;
        if (book->copy.source)
            retry_go_on(ledger, now_ms, book, done, outbox);
        if (book->early)
            run_start(ledger, now_ms, book, outbox);
    }
}
