/* SPDX-License-Identifier: MIT
 *
 * Clients that take results: as they are recorded while they keep pace, out of the store when they are
 * behind, each in its own order and within its own window, so that a slow one holds up nobody but
 * itself. Part of the ledger: pure.
 */
#include "base/error.h"
#include "coordinator/ledger_state.h"
#include "proto/codec.h"
#include "proto/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Records that are read at once. */
enum { PAGE_RECORDS = 64 };

static struct audience *find_audience(const struct ledger *ledger, uint64_t batch)
{
    struct audience *audience;

    HASH_FIND(hh, ledger->audiences, &batch, sizeof batch, audience);
    return audience;
}

/* False when out of memory. */
static bool join(struct ledger *ledger, struct reader *reader)
{
    struct audience *audience = find_audience(ledger, reader->batch);

    if (!audience) {
        audience = calloc(1, sizeof *audience);
        if (!audience)
            return false;
        audience->batch = reader->batch;
        HASH_ADD(hh, ledger->audiences, batch, sizeof audience->batch, audience);
        if (!audience->hh.tbl) {
            free(audience);
            return false;
        }
    }
    DL_APPEND(audience->readers, reader);
    reader->audience = audience;
    return true;
}

static void leave(struct ledger *ledger, struct reader *reader)
{
    struct audience *audience = reader->audience;

    if (!audience)
        return;
    DL_DELETE(audience->readers, reader);
    if (audience->readers)
        return;
    HASH_DEL(ledger->audiences, audience);
    free(audience);
}

/* NULL when out of memory. */
static struct reader *add(struct ledger *ledger, struct patron *patron, uint64_t ticket, uint64_t batch)
{
    struct reader *reader = calloc(1, sizeof *reader);

    if (!reader)
        return NULL;
    reader->id = ++ledger->last_tag;
    reader->patron = patron;
    reader->ticket = ticket;
    reader->batch = batch;
    reader->place = 1;
    HASH_ADD(hh, ledger->readers, id, sizeof reader->id, reader);
    if (reader->hh.tbl)
        HASH_ADD(hh_ticket, patron->readers, ticket, sizeof reader->ticket, reader);
    if (reader->hh_ticket.tbl && join(ledger, reader))
        return reader;
    read_drop(ledger, reader);
    return NULL;
}

static void find(struct reader *reader, struct outbox *outbox)
{
    reader->asking = true;
    outbox_store(outbox,
                 &(struct store_request){.operation = STORE_FIND, .tag = reader->id, .batch = reader->batch});
}

bool read_submitted(struct ledger *ledger, struct patron *patron, const struct proto_submit *submit,
                    uint64_t batch)
{
    struct reader *reader = add(ledger, patron, submit->ticket, batch);

    if (!reader)
        return false;
    reader->ordered = submit->ordered;
    reader->follow = reader->results = reader->told = true;
    reader->forgets = !submit->hold;
    reader->window_bytes = submit->window_bytes;
    return true;
}

void read_attach(struct ledger *ledger, struct patron *patron, const struct proto_attach *attach,
                 struct outbox *outbox)
{
    struct reader *reader;

    if (ledger_uses(ledger, patron, attach->ticket)) {
        ledger_refuse(outbox, patron->name, attach->ticket, MUSTER_ESTATE, "this ticket is in use");
        return;
    }
    if (!ledger_promise(ledger, attach->window_bytes)) {
        ledger_refuse_promise(ledger, patron->name, attach->ticket, outbox);
        return;
    }
    reader = add(ledger, patron, attach->ticket, attach->batch);
    if (!reader) {
        outbox->failed = true;
        return;
    }
    reader->ordered = attach->ordered;
    reader->follow = attach->follow;
    reader->results = attach->results;
    reader->arguments = attach->arguments;
    if (attach->ordered)
        reader->place = attach->first;
    else
        reader->skip = attach->first - 1;
    reader->window_bytes = attach->window_bytes;
    find(reader, outbox);
}

void read_drop(struct ledger *ledger, struct reader *reader)
{
    ledger->promised -= reader->window_bytes;
    leave(ledger, reader);
    if (reader->hh_ticket.tbl)
        HASH_DELETE(hh_ticket, reader->patron->readers, reader);
    if (reader->hh.tbl)
        HASH_DEL(ledger->readers, reader);
    spans_fini(&reader->replayed);
    free(reader);
}

struct reader *read_find(const struct patron *patron, uint64_t ticket)
{
    struct reader *reader;

    HASH_FIND(hh_ticket, patron->readers, &ticket, sizeof ticket, reader);
    return reader;
}

bool read_holds(struct ledger *ledger, const struct patron *patron, uint64_t ticket)
{
    struct reader *reader = read_find(patron, ticket);

    if (!reader || !reader->ended)
        return reader != NULL;
    read_drop(ledger, reader);
    return false;
}

static bool has_room(const struct reader *reader)
{
    return reader->sent_cost - reader->consumed_cost < reader->window_bytes;
}

/* How its jobs stand by now; of one that does not run, none has ended. */
static void say_not_over(struct ledger *ledger, const struct reader *reader, struct outbox *outbox)
{
    const struct book *book = ledger_book(ledger, reader->batch);
    struct proto_message message = {.type = PROTO_ENDED,
                                    .ended = {.ticket = reader->ticket,
                                              .code = MUSTER_EAGAIN,
                                              .text = outbox_text(outbox, "the batch is not over")}};

    if (book) {
        message.ended.succeeded = book->succeeded + book->new_succeeded;
        message.ended.failed = book->failed + book->new_failed;
        message.ended.cancelled = book->new_cancelled;
    }
    outbox_send(outbox, reader->patron->name, &message);
}

/* What comes next for the reader, if it is not known to be nowhere. */
static void go_on(struct ledger *ledger, struct reader *reader, struct outbox *outbox)
{
    if (reader->asking || !reader->told)
        return;
    if (reader->behind) {
        if (!has_room(reader))
            return;
        reader->asking = true;
        outbox_store(outbox, &(struct store_request){
                                 .operation = STORE_READ,
                                 .tag = reader->id,
                                 .batch = reader->batch,
                                 .page = {.from = reader->place,
                                          .count_max = PAGE_RECORDS,
                                          .bytes_max = LEDGER_PAGE_BYTES,
                                          .by_sequence = !reader->ordered},
                             });
    } else if (reader->over) {
        find(reader, outbox);
    } else if (!reader->follow) {
        say_not_over(ledger, reader, outbox);
        read_drop(ledger, reader);
    }
}

/* Decodes what was kept of a message, of this type. False when it is damaged. */
static bool decode(const struct proto_text *kept, enum proto_type type, struct outbox *outbox,
                   struct proto_message *ret_message)
{
    struct muster_error error;
    char *copy = outbox_alloc(outbox, kept->size + 1);

    if (!copy)
        return false;
    memcpy(copy, kept->bytes, kept->size);
    return proto_decode(copy, kept->size, &outbox->zone, ret_message, &error) == 0 &&
           ret_message->type == type;
}

/* Ends what the reader was to be told. */
static void fail(struct ledger *ledger, struct reader *reader, int code, const char *text,
                 struct outbox *outbox)
{
    ledger_refuse(outbox, reader->patron->name, reader->ticket, code, text);
    read_drop(ledger, reader);
}

/* Whether what is in the row is what the row says: a flip inside of a value is no error to SQLite. */
static bool is_sound(const struct proto_message *message, const struct store_record *row)
{
    const struct proto_outcome *outcome = &message->results.outcome;

    return outcome->first == row->first && outcome->count == row->count &&
           outcome->failure_count == row->failed && proto_check_payload(message, NULL) == 0;
}

/* Sends a record, of a row of the store or, without, one that came just now. False when it is damaged: the
 * reader is gone then. */
static bool pass_on(struct ledger *ledger, struct reader *reader, const struct proto_text *header,
                    const struct slice *payload, const struct store_record *row, struct outbox *outbox)
{
    struct proto_message message;
    bool whole;

    if (reader->skip > 0) {
        reader->skip--;
        return true;
    }
    whole = decode(header, PROTO_RESULTS, outbox, &message);
    message.payload = *payload;
    if (!whole || (row && !is_sound(&message, row))) {
        fail(ledger, reader, MUSTER_EPROTOCOL, "the record of a result is damaged", outbox);
        return false;
    }
    message.results.ticket = reader->ticket;
    reader->sent_cost += proto_cost(&message);
    outbox_send(outbox, reader->patron->name, &message);
    return true;
}

void read_consumed(struct ledger *ledger, struct reader *reader, uint64_t bytes, struct outbox *outbox)
{
    if (bytes < reader->consumed_cost || bytes > reader->sent_cost) {
        fail(ledger, reader, MUSTER_EPROTOCOL, "counts do not follow what was sent before", outbox);
        return;
    }
    reader->consumed_cost = bytes;
    if (reader->ended && bytes == reader->sent_cost) {
        outbox_store(outbox, &(struct store_request){.operation = STORE_DROP, .batch = reader->batch});
        read_drop(ledger, reader);
    } else if (reader->behind) {
        go_on(ledger, reader, outbox);
    }
}

/* One record that came just now, for a reader that has all before it. */
static void take_new(struct ledger *ledger, struct reader *reader, const struct entry *entry, uint64_t behind,
                     struct outbox *outbox)
{
    if (reader->ordered && entry->first > reader->place) {
        reader->ahead = true;
        return;
    }
    if (reader->ordered && entry->first + entry->count <= reader->place) /* it began behind these */
        return;
    if (!has_room(reader) || reader->arguments) { /* these are in the store, and so is the record */
        reader->behind = true;
        go_on(ledger, reader, outbox);
        return;
    }
    if (!pass_on(ledger, reader, &(struct proto_text){entry->header, entry->header_size}, &entry->payload,
                 NULL, outbox))
        return;
    reader->place = reader->ordered ? entry->first + entry->count : behind;
    reader->behind = reader->ahead;
    go_on(ledger, reader, outbox);
}

void read_recorded(struct ledger *ledger, uint64_t batch, const struct entry *entry, uint64_t behind,
                   struct outbox *outbox)
{
    struct audience *audience = find_audience(ledger, batch);
    struct reader *reader, *next;

    if (!audience)
        return;
    DL_FOREACH_SAFE(audience->readers, reader, next)
        if (reader->results && reader->told && !reader->asking && !reader->behind)
            take_new(ledger, reader, entry, behind, outbox);
}

void read_over(struct ledger *ledger, uint64_t batch, struct outbox *outbox)
{
    struct audience *audience = find_audience(ledger, batch);
    struct reader *reader, *next;

    if (!audience)
        return;
    DL_FOREACH_SAFE(audience->readers, reader, next) {
        if (!reader->told || reader->ended)
            continue;
        reader->over = true;
        reader->behind |= reader->ahead;
        go_on(ledger, reader, outbox);
    }
}

void read_fail(struct ledger *ledger, uint64_t batch, int code, const char *text, struct outbox *outbox)
{
    struct audience *audience = find_audience(ledger, batch);
    struct reader *reader, *next;

    if (!audience)
        return;
    DL_FOREACH_SAFE(audience->readers, reader, next)
        fail(ledger, reader, code, text, outbox);
}

void read_forgotten(struct ledger *ledger, uint64_t batch, struct outbox *outbox)
{
    char text[80];

    snprintf(text, sizeof text, "batch %llu is not known: it was never accepted", (unsigned long long)batch);
    read_fail(ledger, batch, MUSTER_ENOTFOUND, text, outbox);
}

/* Records out of the store. */
static void take_records(struct ledger *ledger, struct reader *reader, const struct store_done *done,
                         struct outbox *outbox)
{
    uint64_t job;

    reader->behind = done->more;
    reader->ahead = false;
    for (uint32_t i = 0; i < done->count; i++) {
        const struct store_record *record = &done->records[i];

        if (reader->ordered && record->first > reader->place && !reader->over) {
            reader->ahead = true;
            reader->behind = false;
            break;
        }
        if (!has_room(reader)) {
            reader->behind = true;
            break;
        }
        if (replay_lacks(reader, record, &job)) {
            reader->behind = true;
            replay_ask(reader, job, outbox);
            return;
        }
        if (!pass_on(ledger, reader, &record->header, &record->payload, record, outbox))
            return;
        reader->place = reader->ordered ? record->first + record->count : record->sequence + 1;
    }
    go_on(ledger, reader, outbox);
}

/* Arguments out of the store, of the records that come next. */
static void take_blocks(struct ledger *ledger, struct reader *reader, const struct store_done *done,
                        struct outbox *outbox)
{
    bool whole = done->count > 0; /* the first is that of the job that was asked for */

    for (uint32_t i = 0; i < done->count && whole && (i == 0 || has_room(reader)); i++)
        whole = replay_block(reader, &done->blocks[i], outbox);
    if (whole)
        go_on(ledger, reader, outbox);
    else
        fail(ledger, reader, MUSTER_EPROTOCOL, "the arguments of the batch are damaged", outbox);
}

/* Whether the message, which is made of what a row says, is one. */
static bool can_be_said(const struct proto_message *message)
{
    msgpack_sbuffer buffer;
    int code;

    msgpack_sbuffer_init(&buffer);
    code = proto_encode(message, &buffer);
    msgpack_sbuffer_destroy(&buffer);
    return code != MUSTER_EINVALID;
}

/* What there is to say about the batch as a whole, ahead of its results. */
static void take_attached(struct ledger *ledger, struct reader *reader, const struct store_batch *batch,
                          struct outbox *outbox)
{
    const struct proto_message message = {.type = PROTO_ATTACHED,
                                          .attached = {.ticket = reader->ticket,
                                                       .batch = batch->number,
                                                       .function = outbox_copy(outbox, &batch->function),
                                                       .kind = batch->kind,
                                                       .first = batch->first,
                                                       .last = batch->last,
                                                       .total = batch->total,
                                                       .sealed = batch->sealed}};

    if (!can_be_said(&message)) {
        fail(ledger, reader, MUSTER_EPROTOCOL, "the record of the batch is damaged", outbox);
        return;
    }
    outbox_send(outbox, reader->patron->name, &message);
    reader->told = true;
    reader->arguments &= batch->kind == PROTO_LIST;
    reader->over = store_state_is_end(batch->state);
    reader->behind = reader->results;
    go_on(ledger, reader, outbox);
}

bool read_unmet(const struct store_batch *batch, struct outbox *outbox, struct proto_text *ret_text)
{
    char numbers[PROTO_AFTER_MAX * sizeof ", 9223372036854775807"] = "", text[PROTO_TEXT_MAX + 1];
    unsigned named = 0;
    size_t used = 0;

    for (uint32_t i = 0; i < batch->after_count; i++)
        if (batch->after[i].condition == STORE_AFTER_OK && named < PROTO_AFTER_MAX)
            used += (size_t)snprintf(numbers + used, sizeof numbers - used, "%s%llu", named++ ? ", " : "",
                                     (unsigned long long)batch->after[i].batch);
    if (batch->state != STORE_CANCELLED || batch->totals.size > 0 || named == 0)
        return false;
    snprintf(text, sizeof text, "%s %.800s, for which it waited, did not succeed",
             named > 1 ? "one of the batches" : "batch", numbers);
    *ret_text = outbox_text(outbox, text);
    return true;
}

static void take_end(struct ledger *ledger, struct reader *reader, const struct store_batch *batch,
                     struct outbox *outbox)
{
    struct proto_message message = {.type = PROTO_ENDED}; /* as it is for one that never ran */

    if (batch->totals.size > 0 && !decode(&batch->totals, PROTO_ENDED, outbox, &message)) {
        fail(ledger, reader, MUSTER_EPROTOCOL, "the record of the batch is damaged", outbox);
        return;
    }
    if (read_unmet(batch, outbox, &message.ended.text))
        message.ended.code = MUSTER_ECANCELLED;
    message.ended.ticket = reader->ticket;
    message.ended.succeeded = batch->succeeded; /* of all its runs */
    message.ended.failed = batch->failed;
    message.ended.cancelled = batch->total - batch->succeeded - batch->failed;
    if (!can_be_said(&message)) {
        fail(ledger, reader, MUSTER_EPROTOCOL, "the record of the batch is damaged", outbox);
        return;
    }
    outbox_send(outbox, reader->patron->name, &message);
    if (reader->forgets)
        reader->ended = true;
    else
        read_drop(ledger, reader);
}

/* A batch of somebody else is none. */
static void refuse_stranger(struct ledger *ledger, struct reader *reader, struct outbox *outbox)
{
    char text[64];

    snprintf(text, sizeof text, "batch %llu is not known", (unsigned long long)reader->batch);
    fail(ledger, reader, MUSTER_ENOTFOUND, text, outbox);
}

void read_done(struct ledger *ledger, struct reader *reader, const struct store_done *done,
               struct outbox *outbox)
{
    reader->asking = false;
    if (done->code != 0)
        fail(ledger, reader, done->code, done->text, outbox);
    else if (done->operation == STORE_READ)
        take_records(ledger, reader, done, outbox);
    else if (done->operation == STORE_LOAD)
        take_blocks(ledger, reader, done, outbox);
    else if (!reader->told && !ledger_may_see(reader->patron, &done->batches[0]))
        refuse_stranger(ledger, reader, outbox);
    else if (!reader->told)
        take_attached(ledger, reader, &done->batches[0], outbox);
    else
        take_end(ledger, reader, &done->batches[0], outbox);
}
