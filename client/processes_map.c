/* SPDX-License-Identifier: MIT
 *
 * The life of a batch under the model `processes`. See processes_map.h.
 */
#include "client/processes_map.h"

#include "base/clock.h"
#include "proto/limits.h"
#include "proto/value.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

enum { TICK_MS = 100 };

/* --- ending early */

void map_note_error(struct map *m, int code, const char *format, ...)
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

int map_say(struct map *m, const struct proto_message *message)
{
    return mailbox_send(&m->p->mailbox, message);
}

void map_cancel(struct map *m, enum proto_cancel_mode mode)
{
    if (m->cancelled >= mode)
        return;
    m->cancelled = mode;
    m->sealed = true;
    map_say(m,
            &(struct proto_message){.type = PROTO_CANCEL, .cancel = {.id = m->route.ticket, .mode = mode}});
}

void map_heed(struct map *m, int code)
{
    if (code == MUSTER_EEND) {
        map_cancel(m, PROTO_CANCEL_SOON);
    } else if (code != 0) {
        map_note_error(m, code, "%s", muster_error_name(code));
        m->muted = true;
        map_cancel(m, PROTO_CANCEL_NOW);
    }
}

/* What the coordinator said to end it, with its endpoint where there is one. */
static void note_refusal(struct map *m, int code, struct proto_text why)
{
    const char *where = m->p->mailbox.where;

    map_note_error(m, code, "%s%s%.*s", where, where[0] ? ": " : "", (int)why.size, why.bytes);
}

/* --- the batch */

static void take_ended(struct map *m, const struct proto_ended *ended)
{
    struct muster_summary *summary = m->summary;

    if (ended->code != 0)
        note_refusal(m, ended->code, ended->text);
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
    m->told_all = m->ended = true;
}

/* Takes the frame. */
static void take(struct mail_route *route, struct wire_frame *frame)
{
    struct map *m = (struct map *)route;
    const struct proto_message *message = &frame->message;

    if (message->type == PROTO_RESULTS) {
        map_take_results(m, frame);
        return;
    }
    if (message->type == PROTO_GRANT) {
        m->granted_cost = message->grant.bytes;
    } else if (message->type == PROTO_ACCEPTED && m->p->keeps) {
        m->number = m->summary->batch = message->accepted.batch;
        map_deliver_ready(m);
    } else if (message->type == PROTO_ATTACHED) {
        map_take_attached(m, &message->attached);
    } else if (message->type == PROTO_ENDED) {
        take_ended(m, &message->ended);
    } else if (message->type == PROTO_ERROR) {
        note_refusal(m, message->error.code, message->error.text);
        m->ended = true;
    }
    wire_frame_destroy(frame);
}

/* Takes all that came, for this batch and for others. */
static void drain(struct map *m)
{
    while (!m->ended && mailbox_receive(&m->p->mailbox)) {
    }
    if (m->p->mailbox.lost.code != 0 && !m->ended)
        map_lost(m);
}

static void tick(struct map *m, bool away)
{
    struct muster_progress progress = {
        .total = m->total,
        .succeeded = m->summary->succeeded,
        .failed = m->summary->failed,
        .elapsed_ns = clock_now_ns() - m->began_ns,
        .away = away,
        .undecided = m->interrupted && m->p->keeps && m->number == 0 && !m->cancelled,
    };

    map_heed(m, m->muted ? 0 : m->batch->on_tick(m->batch->context, &progress));
}

/* The caller wants to get out. A batch that is sealed is accepted soon, and only then it is left. */
static void interrupt(struct map *m)
{
    bool stays = m->p->keeps && (m->batch->detach || m->batch->detach_on_interrupt) && m->sealed;

    m->interrupted = true;
    if (stays && !m->cancelled)
        return;
    if (m->p->keeps && m->number == 0)
        map_note_error(m, MUSTER_ECANCELLED,
                       "interrupted before the batch was accepted: nothing of it is kept");
    else
        map_note_error(m, MUSTER_ECANCELLED, "interrupted");
    map_cancel(m, PROTO_CANCEL_NOW);
}

/* Leaves a batch that goes on. */
static void leave(struct map *m)
{
    if (!m->batch->detach)
        map_note_error(m, MUSTER_ECANCELLED, "interrupted");
    map_say(m, &(struct proto_message){.type = PROTO_DETACH, .detach = {.ticket = m->route.ticket}});
    m->left = m->ended = true;
    m->summary->detached = true;
    m->summary->in_memory = m->p->keeps == PROTO_KEEPS_IN_MEMORY;
}

/* Whether the caller has no more to do with the batch, which is accepted. */
static bool may_leave(const struct map *m)
{
    return m->number != 0 && !m->cancelled &&
           (m->batch->detach || (m->interrupted && m->batch->detach_on_interrupt));
}

void map_wait(struct map *m, bool away)
{
    struct wire_poll items[] = {
        {.wire = away ? NULL : m->p->mailbox.wire, .fd = -1},
        {.fd = m->waiting ? m->batch->source.fd : -1},
        {.fd = m->interrupted ? -1 : m->batch->interrupt_fd},
        {.fd = m->muted ? -1 : m->batch->wake_fd},
    };

    tick(m, away);
    stall_end(&m->stall, clock_now_ns());
    if (wire_wait(items, 4, TICK_MS) < 0) {
        map_note_error(m, MUSTER_ESYSTEM, "cannot wait for the coordinator");
        m->ended = true;
    }
    stall_begin(&m->stall, clock_now_ns());
    if (items[2].ready)
        interrupt(m);
    if (may_leave(m) && !m->ended)
        leave(m);
}

static void submit(struct map *m)
{
    const struct muster_batch *batch = m->batch;
    bool range = batch->source.kind == MUSTER_SOURCE_RANGE;
    struct proto_after after[PROTO_AFTER_MAX];
    struct proto_message message = {
        .type = PROTO_SUBMIT,
        .submit =
            {
                .ticket = m->route.ticket,
                .function = proto_text(batch->function),
                .kind = m->kind,
                .first = range ? batch->source.first : 0,
                .last = range ? batch->source.last : 0,
                .chunk_jobs = batch->chunk_jobs,
                .timeout_ms = (uint32_t)ceil(batch->timeout_s * 1e3),
                .retries = batch->retries,
                .crash_limit = m->p->crash_limit,
                .timings = batch->want_timings,
                .shared = m->p->mappings != NULL,
                .keep = m->p->keeps != PROTO_KEEPS_NOTHING,
                .hold = batch->detach,
                .window_bytes = m->window_bytes,
                .attach = !batch->detach,
                .ordered = m->in_order,
                .priority = batch->priority,
                .most_running = batch->most_running,
                .cpus = batch->cpus > 0 ? batch->cpus : 1,
                .memory_bytes = batch->memory_bytes,
                .begin_ms = batch->begin_ms,
                .name = proto_text(batch->name ? batch->name : ""),
                .after = after,
                .after_count = batch->after_count,
                .backoff_ms = (uint32_t)ceil(batch->backoff_s * 1e3),
                .common = {m->common.data, (uint32_t)m->common.size},
            },
    };

    for (unsigned i = 0; i < batch->after_count; i++)
        after[i] = (struct proto_after){batch->after[i].batch,
                                        batch->after[i].any ? PROTO_AFTER_ANY : PROTO_AFTER_OK};
    m->sealed = range;
    m->granted_cost = PROTO_GRANT_BYTES;
    map_say(m, &message);
    m->submitted_ns = clock_now_ns();
}

static void begin(struct map *m)
{
    const struct muster_source *source = &m->batch->source;

    m->summary->workers = m->p->workers;
    /* A batch that halts at a failure is told of it when it happens, and not at its turn. */
    m->in_order = m->p->keeps && !m->batch->unordered && m->batch->halt_failures == 0;
    if (m->batch->attach) {
        m->number = m->summary->batch = m->batch->attach;
        m->sealed = true;
        map_attach(m);
        return;
    }
    m->kind = source->kind == MUSTER_SOURCE_RANGE ? PROTO_RANGE : PROTO_LIST;
    m->first = source->first;
    if (m->kind == PROTO_RANGE)
        m->total = (uint64_t)source->last - (uint64_t)source->first + 1;
    submit(m);
}

/* All that came is handed over: then the coordinator may forget it. */
static void end(struct map *m)
{
    if (m->left)
        return;
    map_deliver_rest(m);
    if (m->p->keeps)
        map_tell_consumed(m);
    if (m->attached_anew && m->told_all)
        map_forget(m);
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
    msgpack_sbuffer_destroy(&m->common);
    msgpack_zone_destroy(&m->zone);
}

/* Whether this coordinator can do what the batch asks of it. */
static int check_keeps(const struct processes *p, const struct muster_batch *batch,
                       struct muster_error *ret_error)
{
    if (p->keeps || (!batch->detach && !batch->attach))
        return 0;
    return muster_error_set(ret_error, MUSTER_ESTATE,
                            "%s: this coordinator keeps no batches: 'muster coordinator --state FILE' does",
                            p->mailbox.where);
}

static int pack_common(struct map *m, struct muster_error *ret_error)
{
    int code = m->batch->common ? value_pack(m->batch->common, &m->common, ret_error) : 0;

    if (code != 0 || m->common.size <= PROTO_COMMON_BYTES_MAX)
        return code;
    return muster_error_set(ret_error, MUSTER_ELIMIT, "what jobs have in common takes %zu bytes: at most %d",
                            m->common.size, PROTO_COMMON_BYTES_MAX);
}

/* A coordinator may have been restarted since the last batch. */
static int check_connection(struct processes *p, struct muster_error *ret_error)
{
    if (p->keeps != PROTO_KEEPS_ON_DISK)
        return 0;
    while (mailbox_receive(&p->mailbox)) {
    }
    return p->mailbox.lost.code == MUSTER_ELOST ? processes_return(p, ret_error) : 0;
}

static int run(struct processes *p, const struct muster_batch *batch, struct muster_summary *summary,
               struct muster_error *ret_error)
{
    struct map m = {.route.take = take, .p = p, .batch = batch, .summary = summary, .next = 1};
    int code;

    if (!msgpack_zone_init(&m.zone, 8192))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    msgpack_sbuffer_init(&m.buffer);
    msgpack_sbuffer_init(&m.common);
    if ((code = pack_common(&m, ret_error)) != 0) {
        finish(&m);
        return code;
    }
    m.sent.heap = p->mappings ? p->model.heap : NULL;
    m.sent.mappings = p->mappings;
    m.window_bytes = processes_window(p);
    m.began_ns = clock_now_ns();
    stall_begin(&m.stall, m.began_ns);
    m.account = account_create(p->workers, m.began_ns);
    if (!m.account || mailbox_add(&p->mailbox, &m.route) != 0) {
        finish(&m);
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    }
    processes_flush(p);
    begin(&m);
    while (!m.ended) {
        map_feed(&m);
        map_wait(&m, false);
        drain(&m);
    }
    end(&m);
    mailbox_remove(&p->mailbox, &m.route);
    stall_end(&m.stall, clock_now_ns());
    summary->stall_ns = m.stall.longest_ns;
    summary->receipt = account_close(m.account, clock_now_ns(), summary->execute_ns);
    finish(&m);
    if (m.code != 0)
        return muster_error_set(ret_error, m.code, "%s", m.error.text);
    return 0;
}

int processes_map(struct model *model, const muster_function *function, const struct muster_batch *batch,
                  struct muster_summary *summary, struct muster_error *ret_error)
{
    struct processes *p = (struct processes *)model;
    int code = check_keeps(p, batch, ret_error);

    (void)function; /* the caller checked that there is one; workers look it up by name */
    if (code == 0)
        code = check_connection(p, ret_error);
    if (code == 0)
        code = run(p, batch, summary, ret_error);
    processes_settle(p); /* what came for single jobs meanwhile is no news to the wire's descriptor */
    return code;
}
