/* SPDX-License-Identifier: MIT
 *
 * The results of a batch under the model `processes`: put in order, decoded, and handed to the caller,
 * who makes room for more by taking them. See processes_map.h.
 */
#include "base/clock.h"
#include "client/processes_map.h"
#include "proto/value.h"

#include <string.h>

enum {
    /* The time to decode values is measured at one in so many, unless jobs are timed: two clock
     * readings of 25 ns are then 2 ns a job. */
    DECODE_SAMPLE = 32,
};

static void check_halt(struct map *m)
{
    if (m->batch->halt_failures && m->summary->failed >= m->batch->halt_failures)
        map_cancel(m, m->batch->halt_now ? PROTO_CANCEL_NOW : PROTO_CANCEL_SOON);
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
    if ((failure || m->batch->want_arguments) && map_argument(m, result.index, &argument) == 0)
        result.argument = &argument;
    map_heed(m, m->batch->on_result(m->batch->context, &result));
}

/* The result of a job cannot be read: it was in the memory of a worker that died, say, before this process
 * looked at it. */
static struct proto_failure note_unread(struct map *m, uint64_t index, int code)
{
    m->unread++;
    m->summary->succeeded--;
    m->summary->failed++;
    return (struct proto_failure){.index = index, .code = code, .text = proto_text(shared_failure(code))};
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
                      ? shared_resolve(m->p->mappings, handover->frame->taken, ret_value)
                      : 0;
    if (measured) {
        *decode_ns = clock_now_ns() - began_ns;
        handover->decode_ns += *decode_ns * (outcome->timings ? 1 : weight);
    }
    if (code != 0) {
        map_note_error(m, MUSTER_ENOMEM, "out of memory for results");
        m->muted = true;
        map_cancel(m, PROTO_CANCEL_NOW);
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
        .index = outcome->first + place,
        .batch = m->number,
        .attempts = outcome->attempt,
        .worker = results->worker,
    };
    struct delivery delivery = {.received_ns = handover->frame->received_ns};
    struct muster_receipt receipt;
    bool valued = !failure || (failure->valued && !m->batch->failures_only);
    struct proto_failure lost;
    msgpack_object value;
    int unread = 0;

    if (valued && take_value(m, handover, place, offset, &delivery.decode_ns, &value, &unread) != 0)
        return;
    if (unread && !failure) {
        lost = note_unread(m, result.index, unread);
        failure = &lost;
    }
    result.value = valued && !unread ? &value : NULL;
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

void map_tell_consumed(struct map *m)
{
    m->told_cost = m->consumed_cost;
    map_say(m, &(struct proto_message){.type = PROTO_CONSUMED,
                                       .consumed = {.ticket = m->route.ticket, .bytes = m->consumed_cost}});
}

/* Whether what waits for its turn here makes room for more, too. A coordinator that keeps the batch runs on,
 * so one that is late could else be behind a window that is full. */
static bool holds_for_free(const struct map *m)
{
    return m->p->keeps && !m->in_order && !m->batch->unordered;
}

static void make_room(struct map *m, const struct wire_frame *frame)
{
    m->consumed_cost += proto_cost(&frame->message);
    if (m->consumed_cost - m->told_cost >= m->window_bytes / 4 && !m->ended)
        map_tell_consumed(m);
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
    if (m->kind == PROTO_LIST)
        sent_delivered(&m->sent, outcome->first, outcome->count);
    if (!holds_for_free(m))
        make_room(m, frame);
    mailbox_release(&m->p->mailbox, frame);
}

/* Whether the number of the batch, by which its jobs are called, comes at once, ahead of what is next to do.
 */
static bool waits_for_number(const struct map *m)
{
    return m->p->keeps && m->number == 0 && m->sealed && !m->ended;
}

/* Those that waited for the last one in their order. */
static void deliver_next(struct map *m)
{
    struct wire_frame *frame;

    while (!m->batch->unordered && (frame = order_take(&m->order, m->next)) != NULL)
        deliver(m, frame);
}

void map_deliver_ready(struct map *m)
{
    if (m->batch->unordered)
        map_deliver_rest(m);
    else
        deliver_next(m);
}

void map_take_results(struct map *m, struct wire_frame *frame)
{
    const struct proto_outcome *outcome = &frame->message.results.outcome;
    struct moments moments = moments_of(m, frame);
    struct work work = work_of(outcome);

    m->received++;
    account_work(m->account, frame->message.results.worker, &moments, &work, frame->received_ns);
    m->summary->failed += outcome->failure_count;
    m->summary->succeeded += outcome->count - outcome->failure_count;
    check_halt(m);
    if (holds_for_free(m))
        make_room(m, frame);
    if (!waits_for_number(m) && (m->batch->unordered || outcome->first == m->next)) {
        deliver(m, frame);
        deliver_next(m);
        return;
    }
    if (order_put(&m->order, &frame) != 0) {
        mailbox_release(&m->p->mailbox, frame);
        map_note_error(m, MUSTER_ENOMEM, "out of memory for results");
        map_cancel(m, PROTO_CANCEL_NOW);
    }
}

void map_deliver_rest(struct map *m)
{
    struct wire_frame *frame;

    while ((frame = order_take_lowest(&m->order)) != NULL)
        deliver(m, frame);
}
