/* SPDX-License-Identifier: MIT
 *
 * The results of a batch that is kept. See reading.h. Both arguments and results come in the order of jobs,
 * so the arguments that are still needed are a queue, and one that is behind is an error of the coordinator.
 */
#include "client/reading.h"

#include "base/clock.h"
#include "proto/scan.h"
#include "proto/value.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

enum {
    /* Results that may be under way while one is handed over. */
    WINDOW_BYTES = 16 << 20,
};

/* ARGUMENTS, some of whose jobs have not been handed over. */
struct block {
    struct wire_frame *frame; /* owned */
    uint64_t cursor;          /* the job whose argument starts at `offset` */
    size_t offset;
    struct block *prev, *next;
};

struct state {
    const struct reading *reading;
    struct remote *remote;
    uint64_t ticket;
    bool attached, ended;
    struct remote_batch batch; /* as it was when it was attached to last */
    struct block *blocks;      /* owned, in the order of jobs */
    uint64_t behind_blocks;    /* the job behind the last one of which ARGUMENTS came */
    uint64_t behind;           /* the job behind the last one that was handed over */
    uint64_t consumed, told;   /* cost of what is done with, and what the coordinator knows of it */
    msgpack_zone zone;         /* of one job */
    struct reading_end *end;   /* filled at the end */
    struct muster_error *why;  /* filled with the text of ENDED and of errors */
};

/* What the coordinator sent cannot be. */
static int refuse(struct state *s, const char *what)
{
    return muster_error_set(s->why, MUSTER_EPROTOCOL, "%s: the coordinator sent %s",
                            remote_endpoint(s->remote), what);
}

static void drop_block(struct state *s)
{
    struct block *block = s->blocks;

    DL_DELETE(s->blocks, block);
    wire_frame_destroy(block->frame);
    free(block);
}

/* The argument of a job, in a block or a range; *ret_argument is NULL where it did not come. */
static int find_argument(struct state *s, uint64_t index, msgpack_object *argument,
                         const msgpack_object **ret_argument)
{
    const struct proto_arguments_block *header;
    const struct slice *payload;
    size_t skipped;
    int64_t number;
    int code;

    *ret_argument = NULL;
    if (s->batch.kind == PROTO_RANGE) {
        if (index > s->batch.total)
            return 0;
        number = (int64_t)((uint64_t)s->batch.first + index - 1);
        argument->type = number < 0 ? MSGPACK_OBJECT_NEGATIVE_INTEGER : MSGPACK_OBJECT_POSITIVE_INTEGER;
        argument->via.i64 = number;
        *ret_argument = argument;
        return 0;
    }
    for (; s->blocks; drop_block(s)) {
        header = &s->blocks->frame->message.arguments;
        if (index < header->first + header->count)
            break;
    }
    if (!s->blocks || index < s->blocks->cursor)
        return 0;
    payload = &s->blocks->frame->message.payload;
    code = scan_values(&scan_value_limits, slice_bytes(payload) + s->blocks->offset,
                       payload->size - s->blocks->offset, index - s->blocks->cursor, &skipped);
    s->blocks->offset += code == 0 ? skipped : 0;
    if (code == 0)
        code = value_unpack(slice_bytes(payload), payload->size, &s->blocks->offset, &s->zone, argument);
    if (code != 0)
        return muster_error_set(s->why, code, "cannot read an argument: %s", muster_error_name(code));
    s->blocks->cursor = index + 1;
    *ret_argument = argument;
    return 0;
}

/* Hands one job over. */
static int hand_over(struct state *s, struct muster_result *result, const struct proto_failure *failure)
{
    char text[PROTO_TEXT_MAX + 1];
    msgpack_object argument;
    int code = 0;

    if (failure) {
        memcpy(text, failure->text.bytes, failure->text.size);
        text[failure->text.size] = '\0';
        result->code = failure->code;
        result->text = text;
    }
    if (s->reading->arguments || s->batch.kind == PROTO_RANGE)
        code = find_argument(s, result->index, &argument, &result->argument);
    return code ? code : s->reading->on_result(s->reading->context, result, s->why);
}

/* One job of a message, whose value is at *offset. */
static int take_job(struct state *s, const struct wire_frame *frame, uint32_t place,
                    const struct proto_failure *failure, size_t *offset)
{
    const struct proto_outcome *outcome = &frame->message.results.outcome;
    const struct slice *payload = &frame->message.payload;
    const uint64_t *timing = outcome->timings ? outcome->timings + PROTO_TIMINGS * (size_t)place : NULL;
    struct muster_result result = {.index = outcome->first + place,
                                   .batch = s->reading->batch,
                                   .attempts = outcome->attempt,
                                   .worker = frame->message.results.worker};
    msgpack_object value;
    int code = 0;

    if (!failure || failure->valued) {
        code = value_unpack(slice_bytes(payload), payload->size, offset, &s->zone, &value);
        if (code != 0)
            return muster_error_set(s->why, code, "cannot read a result: %s", muster_error_name(code));
        result.value = &value;
    }
    if (timing) {
        result.wall_ns = timing[1] + timing[2] + timing[3];
        result.cpu_ns = timing[4];
    }
    code = hand_over(s, &result, failure);
    value_zone_clear(&s->zone);
    return code;
}

static int take_results(struct state *s, const struct wire_frame *frame)
{
    const struct proto_outcome *outcome = &frame->message.results.outcome;
    uint32_t failures = 0;
    size_t offset = 0;
    int code = 0;

    if (outcome->first < s->behind)
        return refuse(s, "results out of order");
    if (outcome->shared_bytes > 0)
        return refuse(s, "results in shared memory, which it may not for a batch that is kept");
    for (uint32_t i = 0; i < outcome->count && code == 0; i++) {
        const struct proto_failure *failure = NULL;

        if (failures < outcome->failure_count && outcome->failures[failures].index == outcome->first + i)
            failure = &outcome->failures[failures++];
        code = take_job(s, frame, i, failure, &offset);
    }
    s->behind = outcome->first + outcome->count;
    return code;
}

/* Takes the frame, which is NULL from then on. */
static int take_arguments(struct state *s, struct wire_frame **frame)
{
    const struct proto_arguments_block *header = &(*frame)->message.arguments;
    struct block *block;

    if (header->first < s->behind_blocks || header->shared_bytes > 0)
        return refuse(s, "arguments out of order");
    block = calloc(1, sizeof *block);
    if (!block)
        return muster_error_set(s->why, MUSTER_ENOMEM, "out of memory for arguments");
    s->behind_blocks = header->first + header->count;
    block->frame = *frame;
    block->cursor = header->first;
    DL_APPEND(s->blocks, block);
    *frame = NULL;
    return 0;
}

static int take_attached(struct state *s, const struct proto_attached *attached)
{
    bool first = !s->batch.function[0];
    int code = remote_recognize(s->remote, &s->batch, attached, s->why);

    s->attached = true;
    return code || !first ? code : s->reading->on_batch(s->reading->context, attached, s->why);
}

static void take_ended(struct state *s, const struct proto_ended *ended)
{
    *s->end = (struct reading_end){.code = ended->code,
                                   .succeeded = ended->succeeded,
                                   .failed = ended->failed,
                                   .cancelled = ended->cancelled};
    muster_error_set(s->why, ended->code, "%.*s", (int)ended->text.size, ended->text.bytes);
    s->ended = true;
}

/* Says what is done with, now and then. */
static int report_consumed(struct state *s, uint64_t cost)
{
    s->consumed += cost;
    if (s->consumed - s->told < WINDOW_BYTES / 4)
        return 0;
    s->told = s->consumed;
    return remote_consumed(s->remote, s->ticket, s->consumed, s->why);
}

/* Takes the frame. */
static int take(struct state *s, struct wire_frame *frame)
{
    const struct proto_message *message = &frame->message;
    uint64_t cost = proto_cost(message);
    int code = 0;

    if (message->type == PROTO_ERROR && message->error.ticket == s->ticket)
        code = remote_refused(s->remote, s->reading->batch, message->error.code, message->error.text, s->why);
    else if (message->type == PROTO_ATTACHED && message->attached.ticket == s->ticket && !s->attached)
        code = take_attached(s, &message->attached);
    else if (message->type == PROTO_ENDED && message->ended.ticket == s->ticket && s->attached)
        take_ended(s, &message->ended);
    else if (message->type == PROTO_ARGUMENTS && message->arguments.ticket == s->ticket && s->attached &&
             (code = take_arguments(s, &frame)) == 0)
        code = report_consumed(s, cost);
    else if (message->type == PROTO_RESULTS && message->results.ticket == s->ticket && s->attached &&
             (code = take_results(s, frame)) == 0)
        code = report_consumed(s, cost);
    wire_frame_destroy(frame);
    return code;
}

static int next(struct state *s, struct wire_frame **ret_frame)
{
    int code = remote_next(s->remote, 0, ret_frame, s->why);

    if (code != MUSTER_ETIMEOUT)
        return code;
    code = s->reading->on_wait(s->reading->context, s->why);
    return code ? code : remote_next(s->remote, CLOCK_NEVER, ret_frame, s->why);
}

/* From the first job on that was not handed over. */
static int attach(struct state *s)
{
    const struct proto_attach attach = {.batch = s->reading->batch,
                                        .first = s->behind,
                                        .ordered = true,
                                        .follow = s->reading->follow,
                                        .arguments = s->reading->arguments,
                                        .results = true,
                                        .window_bytes = WINDOW_BYTES};

    s->attached = false;
    s->consumed = s->told = s->behind_blocks = 0;
    while (s->blocks)
        drop_block(s);
    return remote_attach(s->remote, &attach, &s->ticket, s->why);
}

/* One message more. */
static int step(struct state *s)
{
    struct wire_frame *frame;
    int code = next(s, &frame);

    return code ? code : take(s, frame);
}

int reading_run(const struct reading *reading, struct remote *remote, struct reading_end *ret_end,
                struct muster_error *ret_error)
{
    struct state s = {.reading = reading, .remote = remote, .behind = 1, .end = ret_end, .why = ret_error};
    int code;

    if (!msgpack_zone_init(&s.zone, 8192))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    code = attach(&s);
    while (code == 0 && !s.ended) {
        code = step(&s);
        if (code == MUSTER_ELOST && remote_is_lost(remote) && reading->on_lost &&
            (code = reading->on_lost(reading->context, ret_error)) == 0)
            code = attach(&s);
    }
    while (s.blocks)
        drop_block(&s);
    msgpack_zone_destroy(&s.zone);
    return code;
}
