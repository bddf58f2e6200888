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
                        struct outbox *outbox)
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
static const char *objection(const struct ledger *ledger, const struct patron *patron,
                             const struct proto_submit *submit)
{
    if (!submit->keep)
        return "this coordinator keeps what it takes: the batch has to say so";
    if (read_find(ledger, patron->name, submit->ticket))
        return "this ticket is in use";
    if (submit->shared)
        return "this coordinator passes no results in shared memory";
    return NULL;
}

/* Whether workers have the function; the client is told when they do not. */
static bool has_function(const struct ledger *ledger, const struct patron *patron,
                         const struct proto_submit *submit, struct outbox *outbox)
{
    const struct core_functions *functions = ledger->options.functions;
    char name[PROTO_FUNCTION_NAME_MAX + 1] = "";
    struct muster_error error;

    if (!functions)
        return true;
    memcpy(name, submit->function.bytes, submit->function.size);
    if (functions->require(functions->context, name, &error) == 0)
        return true;
    ledger_refuse(outbox, patron->name, submit->ticket, error.code, error.text);
    return false;
}

void submit_batch(struct ledger *ledger, uint64_t now_ms, const struct patron *patron,
                  const struct proto_message *message, struct outbox *outbox)
{
    const struct proto_submit *submit = &message->submit;
    const char *why = objection(ledger, patron, submit);
    struct book *book;

    if (why) {
        ledger_refuse(outbox, patron->name, submit->ticket, MUSTER_ESTATE, why);
        return;
    }
    if (!has_function(ledger, patron, submit, outbox))
        return;
    book = ledger_add_book(ledger, ledger->last_batch + 1);
    if (!book || (submit->attach && !read_submitted(ledger, patron->name, submit, book->number))) {
        outbox->failed = true;
        return;
    }
    ledger->last_batch++;
    memcpy(book->client, patron->name, sizeof book->client);
    memcpy(book->user, patron->user, sizeof book->user);
    book->ticket = submit->ticket;
    book->kind = submit->kind;
    book->priority = submit->priority;
    book->begin_ms = submit->begin_ms;
    book->early = submit->attach && submit->begin_ms == 0 && submit->after_count == 0;
    book->sealed = submit->kind == PROTO_RANGE || submit->count > 0;
    book->total =
        submit->kind == PROTO_RANGE ? (uint64_t)submit->last - (uint64_t)submit->first + 1 : submit->count;
    book->sent_jobs = submit->count;
    book->granted_cost = PROTO_GRANT_BYTES;
    if (note_settings(book, message, outbox))
        request_add(now_ms, book, submit, outbox);
    else
        outbox->failed = true;
}

/* What was sent does not follow what came before. */
static void reject(struct ledger *ledger, uint64_t now_ms, struct book *book, struct outbox *outbox)
{
    ledger_refuse(outbox, book->client, book->ticket, MUSTER_EPROTOCOL,
                  "arguments or counts do not follow what was sent before");
    submit_abandon(ledger, now_ms, book, outbox);
}

void submit_arguments(struct ledger *ledger, uint64_t now_ms, struct book *book,
                      const struct proto_message *message, struct outbox *outbox)
{
    const struct proto_arguments_block *block = &message->arguments;
    struct entry *entry;

    if (book->phase == BOOK_LEAVING)
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
    if (book->phase == BOOK_LEAVING)
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
        outbox, book->client,
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
    if (book->client[0])
        outbox_send(outbox, book->client,
                    &(struct proto_message){.type = PROTO_ACCEPTED,
                                            .accepted = {.ticket = book->ticket, .batch = book->number}});
    book->client[0] = '\0'; /* from now on it is nobody's, or a reader's */
    if (book->in_core)
        run_feed(book, outbox);
    else
        run_accepted(ledger, now_ms, book, done->state, outbox);
}

/* The store does not take it. */
static void refused(struct ledger *ledger, uint64_t now_ms, struct book *book, const struct store_done *done,
                    struct outbox *outbox)
{
    struct reader *reader = read_find(ledger, book->client, book->ticket);

    ledger_refuse(outbox, book->client, book->ticket, done->code, done->text);
    if (reader)
        read_drop(ledger, reader);
    if (done->operation == STORE_ADD)
        ledger_drop_book(ledger, book);
    else
        submit_abandon(ledger, now_ms, book, outbox);
}

void submit_done(struct ledger *ledger, uint64_t now_ms, struct book *book, const struct store_done *done,
                 struct outbox *outbox)
{
    if (book->phase == BOOK_LEAVING) {
        book->forgotten |= done->operation == STORE_ABANDON;
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
    } else if (book->sealed && (done->operation == STORE_SEAL || done->state != STORE_OPENING)) {
        accept_batch(ledger, now_ms, book, done, outbox);
    } else {
        book->phase = BOOK_OPENING;
        if (book->early)
            run_start(ledger, now_ms, book, outbox);
    }
}
