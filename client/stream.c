/* SPDX-License-Identifier: MIT
 *
 * An open batch of single jobs. See stream.h.
 */
#include "client/stream.h"

#include "base/clock.h"
#include "proto/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

enum {
    /* Of 8 bytes each: up to there a table of indexes is small, however many are holes. */
    SPARSE_MIN = 1 << 16,
};

/* --- tasks that have ended */

/* A copy that lives as long as the task; the code's own text when there is no memory. */
static const char *keep_text(struct task *task, int code, const char *text, size_t size)
{
    char *copy = msgpack_zone_malloc(task->zone, size + 1);

    if (!copy)
        return muster_error_name(code);
    memcpy(copy, text, size);
    copy[size] = '\0';
    return copy;
}

static void put_out(struct stream_outlet *outlet, struct task *task)
{
    task->place = NULL;
    DL_APPEND(outlet->ended, task);
    outlet->ended_count++;
}

static void fail(struct stream_outlet *outlet, struct task *task, int code, const char *text, size_t size)
{
    task->code = code;
    task->text = keep_text(task, code, text, size);
    put_out(outlet, task);
}

/* --- the table of those sent */

static struct task **place_of(const struct stream *stream, uint64_t index)
{
    return &stream->sent[index & (stream->capacity - 1)];
}

/* Makes room for one more index. */
static int make_room(struct stream *stream)
{
    size_t capacity = stream->capacity ? 2 * stream->capacity : 64;
    struct task **sent;

    if (stream->last + 1 - stream->low < stream->capacity)
        return 0;
    sent = calloc(capacity, sizeof(struct task *));
    if (!sent)
        return MUSTER_ENOMEM;
    for (uint64_t index = stream->low; index <= stream->last; index++)
        sent[index & (capacity - 1)] = *place_of(stream, index);
    free(stream->sent);
    stream->sent = sent;
    stream->capacity = capacity;
    return 0;
}

/* Takes the task of a job out of the table; NULL when there is none. */
static struct task *take_sent(struct stream *stream, uint64_t index)
{
    struct task *task;

    if (index < stream->low || index > stream->last)
        return NULL;
    task = *place_of(stream, index);
    if (!task)
        return NULL;
    *place_of(stream, index) = NULL;
    stream->in_flight--;
    while (stream->low <= stream->last && !*place_of(stream, stream->low))
        stream->low++;
    return task;
}

bool stream_is_sparse(const struct stream *stream)
{
    uint64_t span = stream->last + 1 - stream->low;

    return span >= SPARSE_MIN && stream->in_flight < span / 16 && !stream->queue;
}

/* --- to the coordinator */

static void say(struct stream *stream, const struct proto_message *message)
{
    mailbox_send(stream->outlet->mailbox, message);
}

void stream_add(struct stream *stream, struct task *task)
{
    task->place = stream;
    task->index = 0;
    DL_APPEND(stream->queue, task);
    stream->queued++;
}

bool stream_wants_flush(const struct stream *stream)
{
    return stream->cancel_count > 0 || (stream->queue && stream->sent_cost < stream->granted_cost);
}

/* Encodes the argument of the next task and gives it an index; one that has no encoding has
 * ended with that. Returns whether it is in the block. */
static bool pack_next(struct stream *stream, msgpack_sbuffer *block)
{
    /* The task has what is in the heap as long as it lives. */
    struct shared_packing packing = {.heap = stream->outlet->heap, .uses = &stream->uses};
    struct task *task = stream->queue;
    struct muster_error error;
    int code;

    error.code = 0; /* without its text, a kilobyte */
    DL_DELETE(stream->queue, task);
    stream->queued--;
    code = make_room(stream);
    if (code == 0)
        code = value_pack_shared(&task->argument, packing.heap ? &packing : NULL, block, &error);
    if (packing.heap)
        shared_drop(packing.heap, &stream->uses, 0);
    if (code != 0) {
        const char *text = error.code ? error.text : muster_error_name(code);

        task->attempts = 1;
        fail(stream->outlet, task, code, text, strlen(text));
        return false;
    }
    task->index = ++stream->last;
    *place_of(stream, task->index) = task;
    stream->in_flight++;
    return true;
}

/* Sends one block of tasks. */
static void send_block(struct stream *stream)
{
    struct proto_message message = {
        .type = PROTO_ARGUMENTS,
        .arguments = {.ticket = stream->route.ticket, .first = stream->last + 1},
    };
    uint32_t *count = &message.arguments.count;
    msgpack_sbuffer block;
    uint64_t encoding_ns = clock_now_ns();
    struct blob *blob;

    msgpack_sbuffer_init(&block);
    stream->uses.bytes = 0;
    while (stream->queue && *count < PROTO_BLOCK_JOBS_MAX && block.size < PROTO_BLOCK_BYTES)
        *count += pack_next(stream, &block);
    blob = *count > 0 ? blob_take(block.data, block.size) : NULL;
    if (blob) {
        message.payload = (struct slice){.blob = blob, .size = blob->size};
        message.arguments.shared_bytes = stream->uses.bytes;
        say(stream, &message);
        stream->stamps[stream->blocks++ % STREAM_STAMPS] = (struct stream_stamp){
            .last = stream->last, .encoding_ns = encoding_ns, .sent_ns = clock_now_ns()};
        stream->sent_cost += proto_cost(&message);
        blob_unref(blob);
        return;
    }
    msgpack_sbuffer_destroy(&block);
    if (*count > 0)
        mailbox_lose(stream->outlet->mailbox, MUSTER_ENOMEM, "out of memory for arguments");
}

static void send_cancel(struct stream *stream)
{
    if (stream->cancel_count > 0)
        say(stream, &(struct proto_message){.type = PROTO_CANCEL,
                                            .cancel = {.id = stream->route.ticket,
                                                       .mode = PROTO_CANCEL_NOW,
                                                       .first = stream->cancel_first,
                                                       .count = stream->cancel_count}});
    stream->cancel_count = 0;
}

void stream_flush(struct stream *stream)
{
    while (stream->queue && stream->sent_cost < stream->granted_cost)
        send_block(stream);
    send_cancel(stream);
}

void stream_cancel(struct stream *stream, struct task *task)
{
    if (task->index == 0) {
        DL_DELETE(stream->queue, task);
        stream->queued--;
        task->code = MUSTER_ECANCELLED;
        task->text = muster_error_name(MUSTER_ECANCELLED);
        put_out(stream->outlet, task);
        return;
    }
    if (stream->cancel_count > 0 && stream->cancel_count < PROTO_CHUNK_JOBS_MAX &&
        task->index == stream->cancel_first + stream->cancel_count) {
        stream->cancel_count++;
        return;
    }
    send_cancel(stream);
    stream->cancel_first = task->index;
    stream->cancel_count = 1;
}

void stream_seal(struct stream *stream)
{
    if (!stream->sealed)
        say(stream, &(struct proto_message){.type = PROTO_SEAL,
                                            .seal = {.ticket = stream->route.ticket, .total = stream->last}});
    stream->sealed = true;
}

/* --- from the coordinator */

/* Takes the next value of the payload. 0, or a code. */
static int take_value(struct stream *stream, struct task *task, const struct wire_frame *frame,
                      size_t *offset)
{
    const struct mailbox *mailbox = stream->outlet->mailbox;
    const uint8_t *bytes = slice_bytes(&frame->message.payload);
    size_t size = frame->message.payload.size, first = *offset;
    int code = value_unpack_copy(bytes, size, offset, task->zone, &task->value);

    if (code != 0 && mailbox_refers(mailbox, frame))
        shared_release(mailbox->mappings, bytes + first, *offset - first);
    if (code != 0 || !mailbox->mappings || frame->message.results.outcome.shared_bytes == 0)
        return code;
    return shared_pass(mailbox->mappings, frame->taken, &task->value, task->zone);
}

/* Ends the task of a job as the results say; `failure` NULL: it succeeded. */
static void end_task(struct stream *stream, struct task *task, const struct proto_failure *failure,
                     const struct wire_frame *frame, size_t *offset)
{
    const char *text;
    int code = 0;

    if (!failure || failure->valued)
        code = take_value(stream, task, frame, offset);
    task->valued = failure && failure->valued && code == 0;
    if (failure) {
        fail(stream->outlet, task, failure->code, failure->text.bytes, failure->text.size);
    } else if (code != 0) {
        text = shared_failure(code);
        fail(stream->outlet, task, code, text, strlen(text));
    } else {
        put_out(stream->outlet, task);
    }
}

/* What is known of the time of jobs that were reported together: the same of each. */
struct reported {
    struct moments moments;
    struct work work;
    uint64_t cpu_ns, received_ns;
};

/* When the block was sent that a job was in. */
static struct stream_stamp find_stamp(const struct stream *stream, uint64_t index)
{
    struct stream_stamp found = {.last = 0};

    for (uint64_t i = 0; i < STREAM_STAMPS && i < stream->blocks; i++) {
        struct stream_stamp stamp = stream->stamps[(stream->blocks - 1 - i) % STREAM_STAMPS];

        if (stamp.last < index)
            break;
        found = stamp;
    }
    return found;
}

static struct reported share_times(const struct stream *stream, const struct wire_frame *frame)
{
    const struct proto_results *results = &frame->message.results;
    const struct proto_outcome *outcome = &results->outcome;
    struct stream_stamp stamp = find_stamp(stream, outcome->first);

    return (struct reported){.moments = {.held_ns = stamp.encoding_ns,
                                         .sent_ns = stamp.sent_ns,
                                         .queued_ns = results->queued_ns,
                                         .assigned_ns = results->assigned_ns,
                                         .arrived_ns = outcome->arrived_ns},
                             .work = {.began_ns = outcome->began_ns,
                                      .decode_ns = outcome->decode_ns / outcome->count,
                                      .execute_ns = outcome->execute_ns / outcome->count,
                                      .encode_ns = outcome->encode_ns / outcome->count,
                                      .split = outcome->split},
                             .cpu_ns = outcome->cpu_ns / outcome->count,
                             .received_ns = frame->received_ns};
}

/* The `place`th task of these has ended; its value was decoded since `decoding_ns`. */
static void note_times(struct task *task, const struct reported *reported, uint32_t place,
                       uint64_t decoding_ns)
{
    uint64_t now_ns = clock_now_ns();
    struct delivery delivery = {
        .received_ns = reported->received_ns, .decode_ns = now_ns - decoding_ns, .handed_ns = now_ns};
    struct work work = reported->work;

    if (work.began_ns)
        work.began_ns += place * (work.decode_ns + work.execute_ns + work.encode_ns);
    task_note_times(task, &reported->moments, &work, &delivery, reported->cpu_ns, MUSTER_PHASE_COMMIT);
}

/* Ends the tasks of a run of jobs. False when one of them is none of these. */
static bool take_outcome(struct stream *stream, const struct wire_frame *frame)
{
    const struct proto_results *results = &frame->message.results;
    const struct proto_outcome *outcome = &results->outcome;
    struct reported reported = share_times(stream, frame);
    uint64_t job_ns = reported.work.decode_ns + reported.work.execute_ns + reported.work.encode_ns;
    const struct proto_failure *failure = outcome->failures, *end = failure + outcome->failure_count;
    size_t offset = 0;
    bool failed;

    for (uint32_t i = 0; i < outcome->count; i++) {
        struct task *task = take_sent(stream, outcome->first + i);
        bool timed = task && task_wants_times(task, job_ns);
        uint64_t decoding_ns = timed ? clock_now_ns() : 0;

        if (!task)
            return false;
        task->attempts = outcome->attempt;
        task->worker = results->worker;
        failed = failure < end && failure->index == outcome->first + i;
        end_task(stream, task, failed ? failure : NULL, frame, &offset);
        failure += failed;
        if (timed)
            note_times(task, &reported, i, decoding_ns);
    }
    return true;
}

static void take_results(struct stream *stream, const struct wire_frame *frame)
{
    const struct proto_message *message = &frame->message;

    if (!take_outcome(stream, frame))
        mailbox_lose(stream->outlet->mailbox, MUSTER_EPROTOCOL,
                     "the coordinator sent the result of a job that was not submitted or has ended");
    stream->consumed_cost += proto_cost(message);
    if (stream->consumed_cost - stream->told_cost < stream->outlet->window_bytes / 4)
        return;
    stream->told_cost = stream->consumed_cost;
    say(stream, &(struct proto_message){
                    .type = PROTO_CONSUMED,
                    .consumed = {.ticket = stream->route.ticket, .bytes = stream->consumed_cost}});
}

/* It is not known to the coordinator any more: what has not ended will not. */
static void end(struct stream *stream, int code, const struct proto_text *why)
{
    const char *where = stream->outlet->mailbox->where;
    char text[sizeof stream->outlet->mailbox->where + PROTO_TEXT_MAX + 3];

    stream->over = true;
    snprintf(text, sizeof text, "%s%s%.*s", where, where[0] ? ": " : "", (int)why->size, why->bytes);
    stream_fail(stream, code ? code : MUSTER_EPROTOCOL, code ? text : "the coordinator forgot the job");
}

static void take(struct mail_route *route, struct wire_frame *frame)
{
    struct stream *stream = (struct stream *)route;
    const struct proto_message *message = &frame->message;

    if (message->type == PROTO_RESULTS) {
        take_results(stream, frame);
    } else if (message->type == PROTO_GRANT) {
        stream->granted_cost = message->grant.bytes;
        stream_flush(stream);
    } else if (message->type == PROTO_ENDED) {
        end(stream, message->ended.code, &message->ended.text);
    } else if (message->type == PROTO_ERROR) {
        end(stream, message->error.code, &message->error.text);
    }
    wire_frame_destroy(frame);
}

void stream_fail(struct stream *stream, int code, const char *text)
{
    struct task *task;

    while (stream->in_flight > 0) {
        task = take_sent(stream, stream->low);
        fail(stream->outlet, task, code, text, strlen(text));
    }
    while ((task = stream->queue) != NULL) {
        DL_DELETE(stream->queue, task);
        stream->queued--;
        fail(stream->outlet, task, code, text, strlen(text));
    }
    stream->cancel_count = 0;
}

/* --- life */

int stream_open(struct stream_outlet *outlet, const struct stream_kind *kind, struct stream **ret_stream)
{
    struct stream *stream = calloc(1, sizeof *stream);
    int code;

    if (!stream)
        return MUSTER_ENOMEM;
    stream->route.take = take;
    stream->kind = *kind;
    stream->outlet = outlet;
    stream->low = 1;
    stream->granted_cost = PROTO_GRANT_BYTES;
    code = mailbox_add(outlet->mailbox, &stream->route);
    if (code != 0) {
        free(stream);
        return code;
    }
    code = mailbox_send(outlet->mailbox,
                        &(struct proto_message){.type = PROTO_SUBMIT,
                                                .submit = {.ticket = stream->route.ticket,
                                                           .function = proto_text(kind->function->name),
                                                           .kind = PROTO_LIST,
                                                           .timeout_ms = kind->timeout_ms,
                                                           .retries = kind->retries,
                                                           .crash_limit = outlet->crash_limit,
                                                           .shared = outlet->mailbox->mappings != NULL,
                                                           .attach = true,
                                                           .cpus = 1,
                                                           .window_bytes = outlet->window_bytes}});
    if (code != 0) {
        stream_destroy(stream);
        return code;
    }
    *ret_stream = stream;
    return 0;
}

void stream_destroy(struct stream *stream)
{
    if (!stream)
        return;
    mailbox_remove(stream->outlet->mailbox, &stream->route);
    shared_uses_fini(&stream->uses);
    free(stream->sent);
    free(stream);
}
