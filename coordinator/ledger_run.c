/* SPDX-License-Identifier: MIT
 *
 * Batches that are accepted: which of those that wait the core gets, how it is fed, and how they
 * end. Part of the ledger: pure.
 */
#include "base/error.h"
#include "coordinator/ledger_state.h"
#include "proto/codec.h"
#include "proto/limits.h"
#include "proto/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Pauses of 1, 2, 4, 8, 8 and 8 s: a bad sector is given up after half a minute. */
enum { TRIES_MAX = 6 };

/* --- start */

static void send_submit(struct ledger *ledger, uint64_t now_ms, struct book *book, const struct spans *ended,
                        struct outbox *outbox)
{
    struct proto_message message;
    struct muster_error error;

    if (proto_decode(book->settings, book->settings_size, &outbox->zone, &message, &error) != 0 ||
        message.type != PROTO_SUBMIT) {
        /* The store has something else than what was put in. */
        message = (struct proto_message){.type = PROTO_ERROR,
                                         .error = {.ticket = book->number,
                                                   .code = MUSTER_EPROTOCOL,
                                                   .text = outbox_text(outbox, "its settings are damaged")}};
        ledger_told(ledger, now_ms, &message, outbox);
        return;
    }
    message.submit.ticket = book->number;
    message.submit.window_bytes = LEDGER_WINDOW_BYTES;
    message.submit.keep = message.submit.hold = message.submit.ordered = false; /* that is done here */
    message.submit.attach = true;
    message.submit.begin_ms = 0;
    message.submit.after_count = 0;
    book->phase = BOOK_RUNNING;
    book->in_core = true;
    book->core_grant = PROTO_GRANT_BYTES;
    outbox_core_submit(outbox, &message, book->user, ended);
    if (book->cancelled)
        outbox_core(outbox,
                    &(struct proto_message){.type = PROTO_CANCEL,
                                            .cancel = {.id = book->number, .mode = PROTO_CANCEL_NOW}});
    run_feed(book, outbox);
}

static void ask_gaps(const struct book *book, uint64_t from, struct outbox *outbox)
{
    outbox_store(outbox, &(struct store_request){
                             .operation = STORE_GAPS, .batch = book->number, .page = {.from = from}});
}

static void check_recorded(struct book *book, struct outbox *outbox)
{
    book->phase = BOOK_CHECKING;
    ask_gaps(book, 1, outbox);
}

void run_start(struct ledger *ledger, uint64_t now_ms, struct book *book, struct outbox *outbox)
{
    struct store_lane key = {.priority = book->priority, .user = proto_text(book->user)};

    book->lane = lane_find(ledger, &key, outbox);
    if (!book->lane)
        return;
    book->lane->open++;
    outbox_store(outbox, &(struct store_request){.operation = STORE_STATE,
                                                 .batch = book->number,
                                                 .now_ms = now_ms,
                                                 .state = STORE_RUNNING});
    if (book->resumed)
        check_recorded(book, outbox);
    else
        send_submit(ledger, now_ms, book, &(struct spans){0}, outbox);
}

/* Whether what could not be read of an accepted batch is asked for again, as long as it may be no damage. */
static bool put_off(struct ledger *ledger, uint64_t now_ms, struct book *book, const struct store_done *done)
{
    if (done->code == 0)
        book->tries = 0;
    if (!done->passing || book->tries == TRIES_MAX)
        return false;
    book->retry_ms = now_ms + ledger_pause_ms(book->tries++);
    if (book->retry_ms < run_due_ms(ledger))
        ledger->books_ms = book->retry_ms;
    return true;
}

/* All jobs that are not among the gaps. */
static int recorded_jobs(const struct book *book, struct spans *ret_ended)
{
    const struct span *gaps = spans_list(&book->gaps);
    uint64_t behind = 1;

    for (uint32_t i = 0; i <= book->gaps.count; i++) {
        uint64_t end = i < book->gaps.count ? gaps[i].first : book->total + 1;

        if (end > behind && spans_add(ret_ended, behind, end - behind) != 0)
            return MUSTER_ENOMEM;
        if (i < book->gaps.count)
            behind = gaps[i].first + gaps[i].count;
    }
    return 0;
}

void run_give_up(struct ledger *ledger, uint64_t now_ms, struct book *book, const char *why,
                 struct outbox *outbox)
{
    if (!(book->lost = strdup(why))) {
        outbox->failed = true;
        return;
    }
    book->seal_told = true; /* nothing more is fed */
    if (book->in_core)
        outbox_core(outbox,
                    &(struct proto_message){.type = PROTO_CANCEL,
                                            .cancel = {.id = book->number, .mode = PROTO_CANCEL_NOW}});
    else
        run_ended(ledger, now_ms, book, &(struct proto_ended){0}, outbox);
}

static void take_gaps(struct ledger *ledger, uint64_t now_ms, struct book *book,
                      const struct store_done *done, struct outbox *outbox)
{
    struct spans ended = {0};

    if (put_off(ledger, now_ms, book, done))
        return;
    if (done->code != 0) {
        run_give_up(ledger, now_ms, book, done->text, outbox);
        return;
    }
    for (uint32_t i = 0; i < done->count; i++)
        if (spans_add(&book->gaps, done->gaps[i].first, done->gaps[i].count) != 0)
            outbox->failed = true;
    if (done->more) {
        ask_gaps(book, done->next, outbox);
        return;
    }
    book->succeeded = done->succeeded;
    book->failed = done->failed;
    if (recorded_jobs(book, &ended) != 0)
        outbox->failed = true;
    spans_fini(&book->gaps);
    send_submit(ledger, now_ms, book, &ended, outbox);
    spans_fini(&ended);
}

/* --- feed */

/* What came off a disk was looked at when it came in, but a flip inside of a value is no error to SQLite. */
static bool block_is_whole(const struct store_block *block)
{
    size_t length;

    return block->count > 0 &&
           scan_values(&scan_value_limits, slice_bytes(&block->payload), block->payload.size, block->count,
                       &length) == 0 &&
           length == block->payload.size;
}

static void send_arguments(struct book *book, const struct store_block *block, struct outbox *outbox)
{
    struct proto_message message = {
        .type = PROTO_ARGUMENTS,
        .arguments = {.ticket = book->number, .first = block->first, .count = block->count},
        .payload = block->payload,
    };

    book->fed += block->count;
    book->fed_cost += proto_cost(&message);
    outbox_core(outbox, &message);
}

void run_feed(struct book *book, struct outbox *outbox)
{
    if (book->phase != BOOK_RUNNING || book->kind != PROTO_LIST || book->loading || book->seal_told)
        return;
    if (book->fed == 0 && book->block.count > 0) {
        send_arguments(book, &book->block, outbox);
        blob_unref(book->block.payload.blob);
        book->block = (struct store_block){0};
    }
    if (book->fed < book->total) {
        if (book->fed_cost >= book->core_grant)
            return;
        book->loading = true;
        outbox_store(outbox, &(struct store_request){
                                 .operation = STORE_LOAD,
                                 .batch = book->number,
                                 .page = {.from = book->fed + 1, .bytes_max = LEDGER_PAGE_BYTES},
                             });
    } else if (book->sealed && !book->coming) {
        book->seal_told = true;
        outbox_core(outbox, &(struct proto_message){.type = PROTO_SEAL,
                                                    .seal = {.ticket = book->number, .total = book->total}});
    }
}

/* The core takes no more than it granted but for the block with which it passes that; what is loaded
 * beyond is loaded again. */
static void take_blocks(struct ledger *ledger, uint64_t now_ms, struct book *book,
                        const struct store_done *done, struct outbox *outbox)
{
    uint64_t before = book->fed;

    if (book->phase == BOOK_RUNNING && put_off(ledger, now_ms, book, done))
        return;
    book->loading = false;
    if (book->phase != BOOK_RUNNING)
        return;
    if (done->code != 0) {
        run_give_up(ledger, now_ms, book, done->text, outbox);
        return;
    }
    for (uint32_t i = 0; i < done->count && book->fed_cost < book->core_grant; i++)
        if (done->blocks[i].first == book->fed + 1 && block_is_whole(&done->blocks[i]))
            send_arguments(book, &done->blocks[i], outbox);
    if (book->fed == before && book->fed_cost < book->core_grant)
        run_give_up(ledger, now_ms, book, "its arguments are damaged", outbox);
    else
        run_feed(book, outbox);
}

/* GAPS from the first job on. */
static void ask_again(struct book *book, struct outbox *outbox)
{
    book->retry_ms = 0;
    if (book->phase == BOOK_CHECKING) {
        spans_fini(&book->gaps);
        check_recorded(book, outbox);
    } else {
        book->loading = false;
        run_feed(book, outbox);
    }
}

uint64_t run_due_ms(const struct ledger *ledger)
{
    return ledger->books_ms == 0 ? UINT64_MAX : ledger->books_ms;
}

void run_tick(struct ledger *ledger, uint64_t now_ms, struct outbox *outbox)
{
    uint64_t due_ms = UINT64_MAX;
    struct book *book, *next;

    if (run_due_ms(ledger) > now_ms)
        return;
    HASH_ITER(hh, ledger->books, book, next) {
        if (book->retry_ms != 0 && book->retry_ms <= now_ms)
            ask_again(book, outbox);
        else if (book->retry_ms != 0 && book->retry_ms < due_ms)
            due_ms = book->retry_ms;
    }
    ledger->books_ms = due_ms == UINT64_MAX ? 0 : due_ms;
}

/* --- accepted, and in the queue */

void run_accepted(struct ledger *ledger, uint64_t now_ms, struct book *book, enum store_state state,
                  struct outbox *outbox)
{
    struct store_lane key = {.priority = book->priority, .user = proto_text(book->user)};
    uint64_t number = book->number, begin_ms = book->begin_ms;
    struct lane *lane;

    if (state == STORE_QUEUED) {
        lane = lane_find(ledger, &key, outbox);
        if (!lane)
            return;
        if (lane->waiting == 0 && lane->open < ledger->options.open) {
            run_start(ledger, now_ms, book, outbox);
            return;
        }
        ledger_drop_book(ledger, book);
        lane_wait(ledger, lane, number, outbox);
        return;
    }
    ledger_drop_book(ledger, book);
    if (state == STORE_DELAYED)
        due_note(ledger, begin_ms);
    if (store_state_is_end(state))
        read_over(ledger, number, outbox);
}

void run_lose(struct ledger *ledger, uint64_t now_ms, struct lane *lane, uint64_t number, uint64_t total,
              struct outbox *outbox)
{
    struct book *book = ledger_add_book(ledger, number);

    if (!book) {
        outbox->failed = true;
        return;
    }
    book->sealed = true;
    book->total = total;
    book->lane = lane;
    if (lane)
        lane->open++;
    run_give_up(ledger, now_ms, book, "what the state file has of it is damaged", outbox);
}

static struct book *load_book(struct ledger *ledger, const struct lane *lane, const struct store_batch *batch)
{
    struct book *book = ledger_add_book(ledger, batch->number);
    char *settings = book ? malloc(batch->settings.size) : NULL;

    if (!settings) {
        if (book)
            ledger_drop_book(ledger, book);
        return NULL;
    }
    memcpy(settings, batch->settings.bytes, batch->settings.size);
    book->settings = settings;
    book->settings_size = batch->settings.size;
    book->priority = lane->priority;
    memcpy(book->user, lane->user, sizeof book->user);
    book->kind = batch->kind;
    book->sealed = true;
    book->total = batch->total;
    book->resumed = batch->started_ms != 0;
    if (block_is_whole(&batch->block)) { /* else it is missed when arguments are loaded */
        book->block = batch->block;
        if (book->block.payload.blob)
            blob_ref(book->block.payload.blob);
    }
    return book;
}

static void take_next(struct ledger *ledger, uint64_t now_ms, const struct store_done *done,
                      struct outbox *outbox)
{
    struct lane *lane;
    bool late; /* a batch was queued meanwhile, ahead of where this looked */

    DL_SEARCH_SCALAR(ledger->lanes, lane, id, done->tag);
    if (!lane)
        return;
    late = lane->behind < lane->from;
    if (done->code != 0) {
        lane_unread(ledger, now_ms, lane); /* the store has said so */
        return;
    }
    if (done->count == 0 && !late)
        lane->waiting = 0;
    for (uint32_t i = 0; i < done->count && !outbox->failed; i++) {
        struct book *book;

        if (!late)
            lane->behind = done->batches[i].number;
        if (ledger_book(ledger, done->batches[i].number))
            continue;
        if (lane->waiting > 0)
            lane->waiting--;
        if (done->batches[i].damaged) {
            run_lose(ledger, now_ms, lane, done->batches[i].number, done->batches[i].total, outbox);
            continue;
        }
        book = load_book(ledger, lane, &done->batches[i]);
        if (book)
            run_start(ledger, now_ms, book, outbox);
        else
            outbox->failed = true;
    }
    lane->fetching = false;
    ledger->lanes_tries = 0;
    lane_fill(ledger, lane, outbox);
}

void run_resume(uint64_t behind, struct outbox *outbox)
{
    outbox_store(outbox, &(struct store_request){.operation = STORE_RESUME, .page = {.from = behind}});
}

bool run_is_resuming(const struct book *book)
{
    return book->resumed && (book->phase == BOOK_CHECKING || book->loading);
}

/* What waits is asked for behind what ran, so that workers that have jobs of that find it. */
static void take_resumed(struct ledger *ledger, const struct store_done *done, struct outbox *outbox)
{
    for (uint32_t i = 0; i < done->count && !outbox->failed; i++) {
        const struct store_batch *batch = &done->batches[i];
        struct lane *lane = lane_find(ledger, &batch->lane, outbox);
        struct book *book = lane ? load_book(ledger, lane, batch) : NULL;

        if (!book) {
            outbox->failed = true;
            return;
        }
        book->lane = lane;
        lane->open++;
        check_recorded(book, outbox);
    }
    if (done->more)
        run_resume(done->next, outbox);
    else
        outbox_store(outbox, &(struct store_request){.operation = STORE_COUNTS});
}

static void take_counts(struct ledger *ledger, const struct store_done *done, struct outbox *outbox)
{
    struct lane *lane, *next;

    for (uint32_t i = 0; i < done->count; i++) {
        lane = lane_find(ledger, &done->waiting[i].lane, outbox);
        if (lane)
            lane->waiting = done->waiting[i].batches;
    }
    if (done->highest > ledger->last_batch)
        ledger->last_batch = done->highest;
    ledger->begin_ms = done->begin_ms;
    ledger->ready = true;
    DL_FOREACH_SAFE(ledger->lanes, lane, next)
        lane_fill(ledger, lane, outbox);
}

/* --- the end */

static enum store_state end_state(const struct proto_ended *ended)
{
    if (ended->code != 0)
        return STORE_LOST;
    if (ended->cancelled > 0)
        return STORE_CANCELLED;
    return ended->failed > 0 ? STORE_FAILED : STORE_SUCCEEDED;
}

static struct proto_text encode_totals(const struct proto_ended *ended, struct outbox *outbox)
{
    struct proto_message message = {.type = PROTO_ENDED, .ended = *ended};

    message.ended.ticket = 1;
    return ledger_encode(&message, outbox);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Of all its lives. A store that is damaged may say more than there is. */
static void add_up(const struct book *book, struct proto_ended *all)
{
    uint64_t jobs = book->sent_jobs > book->total ? book->sent_jobs : book->total;

    jobs = least(jobs, PROTO_BATCH_JOBS_MAX);
    all->succeeded = least(all->succeeded + book->succeeded, jobs);
    all->failed = least(all->failed + book->failed, jobs - all->succeeded);
    all->cancelled = jobs - all->succeeded - all->failed; /* also those that the core never heard of */
}

/* The core has given it up while its arguments came. */
static void refuse_ended(struct ledger *ledger, uint64_t now_ms, struct book *book,
                         const struct proto_ended *ended, struct outbox *outbox)
{
    char text[PROTO_TEXT_MAX + 1] = "";

    if (ended->text.size > 0)
        snprintf(text, sizeof text, "%.*s", (int)ended->text.size, ended->text.bytes);
    lane_leave(ledger, book, outbox);
    submit_refuse(ledger, now_ms, book, ended->code != 0 ? ended->code : MUSTER_ECANCELLED, text, outbox);
}

void run_refused(struct ledger *ledger, uint64_t now_ms, struct book *book, const struct proto_error *error,
                 struct outbox *outbox)
{
    struct proto_ended refused = {.code = error->code, .text = error->text};
    char text[PROTO_TEXT_MAX + 1];

    if (!book->taken) {
        run_ended(ledger, now_ms, book, &refused, outbox);
    } else if (book->phase == BOOK_RUNNING && !book->lost) {
        snprintf(text, sizeof text, "%.*s", (int)error->text.size, error->text.size ? error->text.bytes : "");
        run_give_up(ledger, now_ms, book, text, outbox);
    }
}

void run_ended(struct ledger *ledger, uint64_t now_ms, struct book *book, const struct proto_ended *ended,
               struct outbox *outbox)
{
    struct proto_ended all = *ended;

    book->in_core = false;
    if (book->phase == BOOK_LEAVING) {
        lane_leave(ledger, book, outbox);
        if (book->forgotten)
            ledger_drop_book(ledger, book);
        return;
    }
    if (book->lost) {
        all.code = MUSTER_ESYSTEM;
        all.text = (struct proto_text){book->lost, (uint32_t)strlen(book->lost)};
    }
    if (!book->sealed) { /* it was never accepted, so the store takes no end of it */
        refuse_ended(ledger, now_ms, book, &all, outbox);
        return;
    }
    book->phase = BOOK_ENDING;
    add_up(book, &all);
    outbox_store(outbox, &(struct store_request){
                             .operation = STORE_END,
                             .batch = book->number,
                             .now_ms = now_ms,
                             .state = end_state(&all),
                             .add = {.succeeded = all.succeeded,
                                     .failed = all.failed,
                                     .cancelled = all.cancelled,
                                     .totals = encode_totals(&all, outbox)},
                         });
}

static void take_end(struct ledger *ledger, uint64_t now_ms, const struct store_done *done,
                     struct outbox *outbox)
{
    struct book *book = ledger_book(ledger, done->batch);

    if (done->code != 0) { /* it has ended before; or it is given up, as it could not be sealed */
        if (book && !book->in_core)
            lane_leave(ledger, book, outbox);
        if (done->code == MUSTER_ESYSTEM) /* what the store has of it is damaged: the lane passes the book */
            read_fail(ledger, done->batch, done->code, done->text, outbox);
        return;
    }
    if (book && book->in_core) { /* a client cancelled it while it waited, and it has started meanwhile */
        book->phase = BOOK_LEAVING;
        book->forgotten = true;
        outbox_core(outbox,
                    &(struct proto_message){.type = PROTO_CANCEL,
                                            .cancel = {.id = book->number, .mode = PROTO_CANCEL_NOW}});
    } else if (book) {
        lane_leave(ledger, book, outbox);
        ledger_drop_book(ledger, book);
    }
    due_moved(ledger, now_ms, done, outbox);
    read_over(ledger, done->batch, outbox);
}

void run_done(struct ledger *ledger, uint64_t now_ms, const struct store_done *done, struct outbox *outbox)
{
    struct book *book = done->batch ? ledger_book(ledger, done->batch) : NULL;

    if (done->operation == STORE_RESUME)
        take_resumed(ledger, done, outbox);
    else if (done->operation == STORE_COUNTS)
        take_counts(ledger, done, outbox);
    else if (done->operation == STORE_NEXT)
        take_next(ledger, now_ms, done, outbox);
    else if (done->operation == STORE_END)
        take_end(ledger, now_ms, done, outbox);
    else if (done->operation == STORE_LOAD && book)
        take_blocks(ledger, now_ms, book, done, outbox);
    else if (done->operation == STORE_GAPS && book)
        take_gaps(ledger, now_ms, book, done, outbox);
    else if (done->operation == STORE_DUE)
        due_done(ledger, now_ms, done, outbox);
}
