/* SPDX-License-Identifier: MIT
 *
 * A batch under the model `processes`: the caller's thread encodes arguments, puts results
 * in order and delivers them.
 *
 * What the caller is ahead or behind is bounded on both sides: arguments are pulled from the
 * source only while the coordinator grants it, and results flow only while the caller
 * consumes them (WINDOW_BYTES).
 */
#include "base/clock.h"
#include "client/account.h"
#include "client/order.h"
#include "client/processes.h"
#include "client/sent.h"
#include "client/stall.h"
#include "proto/value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* Results that may wait for their turn, and arguments that may be remembered. */
    WINDOW_BYTES = 64 << 20,
    TICK_MS = 100,

    /* The time to decode values is measured at one in so many, unless jobs are timed: two clock
     * readings of 25 ns are then 2 ns a job. */
    DECODE_SAMPLE = 32,
    /* Arguments in shared memory that may be remembered: two of the largest, so that two workers have
     * one each. */
    SHARED_WINDOW_BYTES = 2 * PROTO_VALUE_BYTES_MAX,
};

/* One batch. */
struct map {
    struct mail_route route; /* first */
    struct processes *p;
    const struct muster_batch *batch;
    struct muster_summary *summary;
    uint64_t began_ns, submitted_ns;
    struct stall stall;
    struct account *account; /* owned */

    /* arguments */
    bool sealed, waiting; /* the source has ended; it must be waited for */
    uint64_t pulled;      /* arguments so far */
    uint64_t granted_cost, sent_cost;
    struct sent sent;
    struct shared_uses uses; /* of the block that is being filled */
    msgpack_sbuffer buffer;  /* the block that is being filled */
    uint64_t asked_ns;       /* since when */
    msgpack_zone zone;

    /* results */
    struct order order;
    uint64_t next;   /* index that is delivered next */
    uint64_t unread; /* results whose bytes could not be had: they count as failures */
    uint64_t consumed_cost, told_cost;

    bool ended;                       /* ENDED came, or never will */
    enum proto_cancel_mode cancelled; /* the CANCEL that was sent; 0: none */
    bool interrupted;
    bool muted; /* a callback failed: none is called again */
    int code;   /* what muster_map returns; the first reason stays */
    struct muster_error error;
};

/* --- ending early */

/* Keeps the first reason. */
__attribute__((format(printf, 3, 4))) static void note_error(struct map *m, int code, const char *format, ...)
{
    va_list arguments;
    char text[MUSTER_ERROR_TEXT_BYTES];

    if (m->code != 0)
        return;
    m->code = code;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    muster_error_set(&m->error, code, "%s", text);
}

static int say(struct map *m, const struct proto_message *message)
{
    return mailbox_send(&m->p->mailbox, message);
}

static void cancel(struct map *m, enum proto_cancel_mode mode)
{
    if (m->cancelled >= mode)
        return;
    m->cancelled = mode;
    m->sealed = true;
    say(m, &(struct proto_message){.type = PROTO_CANCEL, .cancel = {.id = m->route.ticket, .mode = mode}});
}

/* --- arguments */

/* Sends the block that was filled, and remembers it. */
static void send_block(struct map *m, uint32_t count)
{
    struct blob *blob = blob_take(m->buffer.data, m->buffer.size);
    struct proto_message message = {
        .type = PROTO_ARGUMENTS,
        .arguments = {.ticket = m->route.ticket,
                      .first = m->pulled + 1,
                      .count = count,
                      .shared_bytes = m->uses.bytes},
    };

    if (!blob) {
        msgpack_sbuffer_clear(&m->buffer);
        note_error(m, MUSTER_ENOMEM, "out of memory for arguments");
        cancel(m, PROTO_CANCEL_NOW);
        return;
    }
    msgpack_sbuffer_init(&m->buffer);
    message.payload = (struct slice){.blob = blob, .size = blob->size};
    if (sent_add(&m->sent, blob, &m->uses, m->pulled + 1, count, m->asked_ns) != 0) {
        note_error(m, MUSTER_ENOMEM, "out of memory for arguments");
        cancel(m, PROTO_CANCEL_NOW);
    } else if (say(m, &message) == 0) {
        m->sent_cost += proto_cost(&message);
        m->pulled += count;
    }
    blob_unref(blob);
}

/* Adds the next argument to the block. 0, MUSTER_EAGAIN, MUSTER_EEND, or an error, noted. */
static int pull(struct map *m)
{
    const struct muster_source *source = &m->batch->source;
    struct shared_packing packing = {.heap = m->sent.heap, .copies = true, .uses = &m->uses};
    struct muster_error error;
    msgpack_object argument;
    int result;

    error.code = 0; /* all of it is a kilobyte, which would be cleared for each argument */
    error.text[0] = '\0';
    result = source->next(source->context, &m->zone, &argument, &error);
    if (result == 0)
        result = value_pack_shared(&argument, packing.heap ? &packing : NULL, &m->buffer, &error);
    value_zone_clear(&m->zone);
    if (result != 0 && result != MUSTER_EAGAIN && result != MUSTER_EEND)
        note_error(m, result, "%s", error.code ? error.text : muster_error_name(result));
    return result;
}

/* Whether there is room for more arguments. Shared ones are fetched ahead as far as workers need it
 * for not waiting: memory that is used again soon is warm. */
static bool has_room(const struct map *m)
{
    uint64_t in_flight = m->pulled - (m->summary->succeeded + m->summary->failed);

    return m->sent.bytes < WINDOW_BYTES ||
           (m->sent.heap && m->sent.bytes < SHARED_WINDOW_BYTES && in_flight <= m->summary->workers);
}

/* Fills and sends blocks as long as the source has arguments and the coordinator, and the
 * memory for what was sent, have room. */
static void feed(struct map *m)
{
    m->waiting = false;
    while (!m->sealed && !m->ended && !m->waiting && m->sent_cost < m->granted_cost && has_room(m)) {
        uint32_t count = 0;
        int result = 0;

        m->asked_ns = clock_now_ns();
        while (result == 0 && count < PROTO_BLOCK_JOBS_MAX &&
               m->buffer.size + m->uses.copied < PROTO_BLOCK_BYTES) {
            result = pull(m);
            count += result == 0;
        }
        if (count > 0)
            send_block(m, count);
        if (result == MUSTER_EAGAIN) {
            m->waiting = true;
        } else if (result != 0 && !m->sealed) {
            m->sealed = true;
            say(m, &(struct proto_message){.type = PROTO_SEAL,
                                           .seal = {.ticket = m->route.ticket, .total = m->pulled}});
        }
    }
}

static int find_argument(struct map *m, uint64_t index, msgpack_object *ret_argument)
{
    const struct muster_source *source = &m->batch->source;
    int64_t number;

    if (source->kind == MUSTER_SOURCE_STREAM)
        return sent_argument(&m->sent, index, &m->zone, ret_argument);
    number = (int64_t)((uint64_t)source->first + index - 1);
    ret_argument->type = number < 0 ? MSGPACK_OBJECT_NEGATIVE_INTEGER : MSGPACK_OBJECT_POSITIVE_INTEGER;
    ret_argument->via.i64 = number;
    return 0;
}

/* --- results */

static void check_halt(struct map *m)
{
    if (m->batch->halt_failures && m->summary->failed >= m->batch->halt_failures)
        cancel(m, m->batch->halt_now ? PROTO_CANCEL_NOW : PROTO_CANCEL_SOON);
}

/* What a callback returned: 0, MUSTER_EEND to end softly, or why the batch ends now. */
static void heed_callback(struct map *m, int code)
{
    if (code == MUSTER_EEND) {
        cancel(m, PROTO_CANCEL_SOON);
    } else if (code != 0) {
        note_error(m, code, "%s", muster_error_name(code));
        m->muted = true;
        cancel(m, PROTO_CANCEL_NOW);
    }
}

/* Hands one job's outcome to the caller. */
static void deliver_job(struct map *m, struct muster_result result, const struct proto_failure *failure)
{
    char text[PROTO_TEXT_MAX + 1];
    msgpack_object argument;

    if (failure) {
        memcpy(text, failure->text.bytes, failure->text.size);
        text[failure->text.size] = '\0';
        result.code = failure->code;
        result.text = text;
    }
    if ((failure || m->batch->want_arguments) && find_argument(m, result.index, &argument) == 0)
        result.argument = &argument;
    heed_callback(m, m->batch->on_result(m->batch->context, &result));
}

/* The result of a job was in the memory of a worker that died before this process looked at it. */
static struct proto_failure note_unread(struct map *m, uint64_t index, int code)
{
    m->unread++;
    m->summary->succeeded--;
    m->summary->failed++;
    return (struct proto_failure){
        .index = index,
        .code = code,
        .text = proto_text("its result in shared memory cannot be read: its worker died")};
}

/* A message whose outcomes are handed over. */
struct handover {
    const struct wire_frame *frame;
    struct moments moments;
    uint64_t decode_ns; /* of all its values */
};

/* The way of the jobs in a message to their worker. */
static struct moments moments_of(struct map *m, const struct wire_frame *frame)
{
    const struct proto_results *results = &frame->message.results;
    const struct sent_block *block = sent_find(&m->sent, results->outcome.first);

    return (struct moments){.asked_ns = block ? block->asked_ns : m->began_ns,
                            .sent_ns = block ? block->sent_ns : m->submitted_ns,
                            .queued_ns = results->queued_ns,
                            .assigned_ns = results->assigned_ns,
                            .arrived_ns = results->outcome.arrived_ns};
}

static struct work work_of(const struct proto_outcome *outcome)
{
    return (struct work){.began_ns = outcome->began_ns,
                         .decode_ns = outcome->decode_ns,
                         .execute_ns = outcome->execute_ns,
                         .encode_ns = outcome->encode_ns,
                         .split = outcome->split};
}

/* What one job of a timed batch took. */
static struct work work_of_job(const struct proto_outcome *outcome, uint32_t place)
{
    const uint64_t *timing = &outcome->timings[PROTO_TIMINGS * (size_t)place];

    return (struct work){.began_ns = outcome->began_ns ? outcome->began_ns + timing[0] : 0,
                         .decode_ns = timing[1],
                         .execute_ns = timing[2],
                         .encode_ns = timing[3],
                         .split = true};
}

/* Decodes the value of the job at `place`; *offset moves on, and *decode_ns is set where it is
 * measured. *ret_unread is why its bytes in shared memory cannot be had, or 0. */
static int take_value(struct map *m, struct handover *handover, uint32_t place, size_t *offset,
                      uint64_t *decode_ns, msgpack_object *ret_value, int *ret_unread)
{
    const struct proto_outcome *outcome = &handover->frame->message.results.outcome;
    const struct slice *payload = &handover->frame->message.payload;
    uint32_t left = outcome->count - place, weight = left < DECODE_SAMPLE ? left : DECODE_SAMPLE;
    bool measured = outcome->timings || place % DECODE_SAMPLE == 0;
    uint64_t began_ns = measured ? clock_now_ns() : 0;
    int code = value_unpack(slice_bytes(payload), payload->size, offset, &m->zone, ret_value);

    *ret_unread = code == 0 && outcome->shared_bytes > 0 && m->p->mappings
                      ? shared_resolve(m->p->mappings, ret_value)
                      : 0;
    if (measured) {
        *decode_ns = clock_now_ns() - began_ns;
        handover->decode_ns += *decode_ns * (outcome->timings ? 1 : weight);
    }
    if (code != 0) {
        note_error(m, MUSTER_ENOMEM, "out of memory for results");
        m->muted = true;
        cancel(m, PROTO_CANCEL_NOW);
    }
    return code;
}

/* Hands the outcome of the job at `place` to the caller. */
static void deliver_place(struct map *m, struct handover *handover, uint32_t place,
                          const struct proto_failure *failure, size_t *offset)
{
    const struct proto_results *results = &handover->frame->message.results;
    const struct proto_outcome *outcome = &results->outcome;
    struct muster_result result = {
        .index = outcome->first + place, .attempts = outcome->attempt, .worker = results->worker};
    struct delivery delivery = {.received_ns = handover->frame->received_ns};
    struct muster_receipt receipt;
    struct proto_failure lost;
    msgpack_object value;
    int unread = 0;

    if (!failure && take_value(m, handover, place, offset, &delivery.decode_ns, &value, &unread) != 0)
        return;
    if (unread) {
        lost = note_unread(m, result.index, unread);
        failure = &lost;
    }
    result.value = failure ? NULL : &value;
    if (outcome->timings) {
        struct work work = work_of_job(outcome, place);

        delivery.handed_ns = clock_now_ns();
        receipt = account_job(&handover->moments, &work, &delivery);
        result.began_ns = work.began_ns;
        result.wall_ns = work.decode_ns + work.execute_ns + work.encode_ns;
        result.cpu_ns = outcome->timings[PROTO_TIMINGS * (size_t)place + 4];
        result.receipt = &receipt;
    }
    deliver_job(m, result, failure);
    value_zone_clear(&m->zone);
}

/* Hands all outcomes of a message to the caller. */
static void deliver_jobs(struct map *m, struct handover *handover)
{
    const struct proto_outcome *outcome = &handover->frame->message.results.outcome;
    uint32_t failures = 0; /* handed over */
    size_t offset = 0;

    for (uint32_t i = 0; i < outcome->count && !m->muted; i++) {
        const struct proto_failure *failure = NULL;

        if (failures < outcome->failure_count && outcome->failures[failures].index == outcome->first + i)
            failure = &outcome->failures[failures++];
        if (!failure && m->batch->failures_only)
            continue;
        deliver_place(m, handover, i, failure, &offset);
    }
}

/* Hands a message to the caller, and makes room for more. Takes the frame. */
static void deliver(struct map *m, struct wire_frame *frame)
{
    const struct proto_outcome *outcome = &frame->message.results.outcome;
    struct handover handover = {.frame = frame, .moments = moments_of(m, frame)};
    struct work work = work_of(outcome);

    if (!m->muted && (!m->batch->failures_only || outcome->failure_count > 0))
        deliver_jobs(m, &handover);
    account_delivery(m->account, &work,
                     &(struct delivery){frame->received_ns, handover.decode_ns, clock_now_ns()});
    m->next = outcome->first + outcome->count;
    if (m->batch->source.kind == MUSTER_SOURCE_STREAM)
        sent_delivered(&m->sent, outcome->first, outcome->count);
    m->consumed_cost += proto_cost(&frame->message);
    mailbox_release(&m->p->mailbox, frame);
    if (m->consumed_cost - m->told_cost < WINDOW_BYTES / 4 || m->ended)
        return;
    m->told_cost = m->consumed_cost;
    say(m, &(struct proto_message){.type = PROTO_CONSUMED,
                                   .consumed = {.ticket = m->route.ticket, .bytes = m->consumed_cost}});
}

/* Takes the frame. */
static void take_results(struct map *m, struct wire_frame *frame)
{
    const struct proto_outcome *outcome = &frame->message.results.outcome;
    struct moments moments = moments_of(m, frame);
    struct work work = work_of(outcome);

    account_work(m->account, frame->message.results.worker, &moments, &work, frame->received_ns);
    m->summary->failed += outcome->failure_count;
    m->summary->succeeded += outcome->count - outcome->failure_count;
    check_halt(m);
    if (m->batch->unordered || outcome->first == m->next) {
        deliver(m, frame);
        while (!m->batch->unordered && (frame = order_take(&m->order, m->next)) != NULL)
            deliver(m, frame);
        return;
    }
    if (order_put(&m->order, &frame) != 0) {
        mailbox_release(&m->p->mailbox, frame);
        note_error(m, MUSTER_ENOMEM, "out of memory for results");
        cancel(m, PROTO_CANCEL_NOW);
    }
}

static void take_ended(struct map *m, const struct proto_ended *ended)
{
    struct muster_summary *summary = m->summary;

    if (ended->code != 0)
        note_error(m, ended->code, "%.*s", (int)ended->text.size, ended->text.bytes);
    summary->succeeded = ended->succeeded - m->unread;
    summary->failed = ended->failed + m->unread;
    summary->cancelled = ended->cancelled;
    summary->jobs = ended->succeeded + ended->failed + ended->cancelled;
    summary->retried = ended->retried;
    summary->crashes = ended->crashes;
    summary->late = ended->late;
    summary->chunks = ended->chunks;
    summary->bytes_in = ended->bytes_in;
    summary->bytes_out = ended->bytes_out;
    summary->execute_ns = ended->execute_ns;
    summary->execute_cpu_ns = ended->cpu_ns;
    summary->cpu_ns = ended->process_cpu_ns;
    summary->voluntary_switches = ended->voluntary;
    summary->involuntary_switches = ended->involuntary;
    m->ended = true;
}

/* --- the batch */

/* Takes the frame. */
static void take(struct mail_route *route, struct wire_frame *frame)
{
    struct map *m = (struct map *)route;
    const struct proto_message *message = &frame->message;

    if (message->type == PROTO_RESULTS) {
        take_results(m, frame);
        return;
    }
    if (message->type == PROTO_GRANT) {
        m->granted_cost = message->grant.bytes;
    } else if (message->type == PROTO_ENDED) {
        take_ended(m, &message->ended);
    } else if (message->type == PROTO_ERROR) {
        note_error(m, message->error.code, "%.*s", (int)message->error.text.size, message->error.text.bytes);
        m->ended = true;
    }
    wire_frame_destroy(frame);
}

/* Takes all that came, for this batch and for others. */
static void drain(struct map *m)
{
    struct mailbox *mailbox = &m->p->mailbox;

    while (!m->ended && mailbox_receive(mailbox)) {
    }
    if (mailbox->lost.code != 0) {
        note_error(m, mailbox->lost.code, "%s", mailbox->lost.text);
        m->ended = true;
    }
}

static void tick(struct map *m)
{
    struct muster_progress progress = {
        .total = m->batch->source.kind == MUSTER_SOURCE_RANGE
                     ? (uint64_t)m->batch->source.last - (uint64_t)m->batch->source.first + 1
                     : (m->sealed ? m->pulled : 0),
        .succeeded = m->summary->succeeded,
        .failed = m->summary->failed,
        .elapsed_ns = clock_now_ns() - m->began_ns,
    };

    heed_callback(m, m->muted ? 0 : m->batch->on_tick(m->batch->context, &progress));
}

static void wait(struct map *m)
{
    struct wire_poll items[] = {
        {.wire = m->p->mailbox.wire},
        {.fd = m->waiting ? m->batch->source.fd : -1},
        {.fd = m->interrupted ? -1 : m->batch->interrupt_fd},
        {.fd = m->muted ? -1 : m->batch->wake_fd},
    };

    tick(m);
    stall_end(&m->stall, clock_now_ns());
    if (wire_wait(items, 4, TICK_MS) < 0) {
        note_error(m, MUSTER_ESYSTEM, "cannot wait for the coordinator");
        m->ended = true;
    }
    stall_begin(&m->stall, clock_now_ns());
    if (items[2].ready) {
        m->interrupted = true;
        note_error(m, MUSTER_ECANCELLED, "interrupted");
        cancel(m, PROTO_CANCEL_NOW);
    }
}

static void submit(struct map *m)
{
    const struct muster_batch *batch = m->batch;
    bool range = batch->source.kind == MUSTER_SOURCE_RANGE;
    struct proto_message message = {
        .type = PROTO_SUBMIT,
        .submit =
            {
                .ticket = m->route.ticket,
                .function = proto_text(batch->function),
                .kind = range ? PROTO_RANGE : PROTO_LIST,
                .first = range ? batch->source.first : 0,
                .last = range ? batch->source.last : 0,
                .chunk_jobs = batch->chunk_jobs,
                .timeout_ms = (uint32_t)ceil(batch->timeout_s * 1e3),
                .retries = batch->retries,
                .crash_limit = m->p->crash_limit,
                .timings = batch->want_timings,
                .shared = m->p->mappings != NULL,
                .keep = m->p->keeps,
                .window_bytes = WINDOW_BYTES,
                .attach = true,
                .priority = batch->priority,
                .most_running = batch->most_running,
                .cpus = batch->cpus > 0 ? batch->cpus : 1,
                .backoff_ms = (uint32_t)ceil(batch->backoff_s * 1e3),
            },
    };

    m->sealed = range;
    m->granted_cost = PROTO_GRANT_BYTES;
    say(m, &message);
    m->submitted_ns = clock_now_ns();
}

/* Frees what it held. */
static void finish(struct map *m)
{
    account_destroy(m->account);
    order_fini(&m->order);
    if (m->sent.heap)
        shared_drop(m->sent.heap, &m->uses, 0);
    shared_uses_fini(&m->uses);
    sent_fini(&m->sent);
    msgpack_sbuffer_destroy(&m->buffer);
    msgpack_zone_destroy(&m->zone);
}

int processes_map(struct model *model, const muster_function *function, const struct muster_batch *batch,
                  struct muster_summary *summary, struct muster_error *ret_error)
{
    struct processes *p = (struct processes *)model;
    struct map m = {.route.take = take, .p = p, .batch = batch, .summary = summary, .next = 1};
    struct wire_frame *frame;

    (void)function; /* the caller checked that there is one; workers look it up by name */
    if (!msgpack_zone_init(&m.zone, 8192))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    msgpack_sbuffer_init(&m.buffer);
    m.sent.heap = p->mappings ? model->heap : NULL;
    m.sent.mappings = p->mappings;
    m.began_ns = clock_now_ns();
    stall_begin(&m.stall, m.began_ns);
    summary->workers = p->workers;
    m.account = account_create(p->workers, m.began_ns);
    if (!m.account || mailbox_add(&p->mailbox, &m.route) != 0) {
        finish(&m);
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    }
    processes_flush(p);
    submit(&m);
    while (!m.ended) {
        feed(&m);
        wait(&m);
        drain(&m);
    }
    while ((frame = order_take_lowest(&m.order)) != NULL) /* behind holes that were never filled */
        deliver(&m, frame);
    mailbox_remove(&p->mailbox, &m.route);
    processes_settle(p);
    stall_end(&m.stall, clock_now_ns());
    summary->stall_ns = m.stall.longest_ns;
    summary->receipt = account_close(m.account, clock_now_ns(), summary->execute_ns);
    finish(&m);
    if (m.code != 0)
        return muster_error_set(ret_error, m.code, "%s", m.error.text);
    return 0;
}
