/* SPDX-License-Identifier: MIT
 *
 * A connection for questions. See remote.h.
 */
#include "client/remote.h"

#include "base/clock.h"
#include "client/connect.h"
#include "proto/value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct remote {
    struct wire_context *context;        /* owned */
    struct wire *wire;                   /* owned */
    char endpoint[PLACE_ENDPOINT_BYTES]; /* that it is connected to */
    enum proto_keeps keeps;              /* what it has of batches, and in which of its lives, */
    uint64_t epoch;                      /* as it said last */
    bool lost;                           /* the connection is */
    uint64_t last_ticket;
};

/* An answer may wait for a disk, or for a long list to be copied, so silence alone says nothing. After so
 * long the coordinator is asked something that it knows by heart; after as long again it is given up. */
#define PATIENCE_NS (5 * CLOCK_NS_PER_S)

/* For one that has come back to say so. */
#define RETURN_NS CLOCK_NS_PER_S

int remote_open(const char *coordinator, struct remote **ret_remote, struct muster_error *ret_error)
{
    uint64_t deadline_ns = clock_after(clock_now_ns(), PATIENCE_NS);
    struct remote *remote = calloc(1, sizeof *remote);
    struct proto_welcome welcome;
    int result;

    if (!remote)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    result = connect_endpoint(coordinator, remote->endpoint, ret_error);
    if (result == 0)
        result = place_check(remote->endpoint, ret_error);
    if (result == 0)
        result = connect_coordinator(remote->endpoint, deadline_ns, &remote->context, &remote->wire, &welcome,
                                     ret_error);
    if (result != 0) {
        free(remote);
        return result;
    }
    remote->keeps = welcome.keeps;
    remote->epoch = welcome.epoch;
    *ret_remote = remote;
    return 0;
}

pid_t remote_listener(const struct remote *remote)
{
    struct muster_error error;
    pid_t pid;

    return connect_knock(remote->endpoint, &pid, &error) == 0 ? pid : 0;
}

bool remote_is_lost(const struct remote *remote)
{
    return remote->lost;
}

bool remote_keeps(const struct remote *remote)
{
    return remote->keeps == PROTO_KEEPS_ON_DISK;
}

int remote_return(struct remote *remote, struct muster_error *ret_error)
{
    uint64_t deadline_ns = clock_after(clock_now_ns(), RETURN_NS);
    struct wire_context *context;
    struct proto_welcome welcome;
    struct wire *wire;
    int code = connect_coordinator(remote->endpoint, deadline_ns, &context, &wire, &welcome, ret_error);

    if (code != 0)
        return code;
    wire_close(remote->wire, 0);
    wire_context_destroy(remote->context);
    remote->wire = wire;
    remote->context = context;
    if (welcome.keeps != PROTO_KEEPS_ON_DISK || welcome.epoch < remote->epoch)
        return muster_error_set(
            ret_error, MUSTER_ESTATE,
            "%s: another coordinator has come, which does not have the state file of the last",
            remote->endpoint);
    remote->epoch = welcome.epoch;
    remote->lost = false;
    return 0;
}

void remote_close(struct remote *remote)
{
    enum { LAST_WORDS_MS = 1000 };

    if (!remote)
        return;
    wire_send(remote->wire, NULL, &(struct proto_message){.type = PROTO_STOP});
    wire_close(remote->wire, LAST_WORDS_MS);
    wire_context_destroy(remote->context);
    free(remote);
}

const char *remote_endpoint(const struct remote *remote)
{
    return remote->endpoint;
}

static int say(struct remote *remote, const struct proto_message *message, struct muster_error *ret_error)
{
    int code = wire_send(remote->wire, NULL, message);

    remote->lost |= code == MUSTER_ELOST;

    return code ? muster_error_set(ret_error, code, "%s: cannot reach the coordinator: %s", remote->endpoint,
                                   muster_error_name(code))
                : 0;
}

/* Waits until there may be something to receive. */
static int wait(struct remote *remote, uint64_t deadline_ns, struct muster_error *ret_error)
{
    struct wire_poll item = {.wire = remote->wire};
    uint64_t now_ns = deadline_ns > 0 ? clock_now_ns() : 0;

    if (now_ns >= deadline_ns)
        return muster_error_set(ret_error, MUSTER_ETIMEOUT, "%s: the coordinator does not answer",
                                remote->endpoint);
    if (wire_wait(&item, 1, clock_poll_ms(now_ns, deadline_ns)) < 0)
        return muster_error_set(ret_error, MUSTER_ESYSTEM, "%s: cannot wait for the coordinator",
                                remote->endpoint);
    return 0;
}

static int explain(const struct remote *remote, int code, struct muster_error *ret_error)
{
    if (code == MUSTER_ELOST)
        return muster_error_set(ret_error, code, "%s: the connection to the coordinator broke: it has ended",
                                remote->endpoint);
    return muster_error_set(ret_error, code, "%s: cannot hear the coordinator: %s", remote->endpoint,
                            muster_error_name(code));
}

/* A message that was received is one that can be looked at. */
static int check(const struct remote *remote, const struct wire_frame *frame, struct muster_error *ret_error)
{
    const struct proto_message *message = &frame->message;

    if (frame->error.code != 0)
        return muster_error_set(ret_error, MUSTER_EPROTOCOL, "%s: the coordinator sent %s", remote->endpoint,
                                frame->error.text);
    if (message->type == PROTO_ERROR && message->error.ticket == 0)
        return muster_error_set(
            ret_error, message->error.code == MUSTER_ELOST ? MUSTER_ELOST : MUSTER_EPROTOCOL, "%s: %.*s",
            remote->endpoint, (int)message->error.text.size, message->error.text.bytes);
    return 0;
}

int remote_next(struct remote *remote, uint64_t deadline_ns, struct wire_frame **ret_frame,
                struct muster_error *ret_error)
{
    struct wire_frame *frame;
    int code;

    while ((code = wire_receive(remote->wire, &frame)) == MUSTER_EAGAIN)
        if ((code = wait(remote, deadline_ns, ret_error)) != 0)
            return code;
    remote->lost |= code == MUSTER_ELOST;
    if (code != 0)
        return explain(remote, code, ret_error);
    code = check(remote, frame, ret_error);
    remote->lost |= code == MUSTER_ELOST;
    if (code == 0)
        *ret_frame = frame;
    else
        wire_frame_destroy(frame);
    return code;
}

int remote_refused(const struct remote *remote, uint64_t batch, int code, struct proto_text why,
                   struct muster_error *ret_error)
{
    static const char word[] = "batch ";

    if (code == MUSTER_ENOTFOUND && batch != 0)
        return muster_error_set(ret_error, code, "there is no batch %" PRIu64 " at %s", batch,
                                remote->endpoint);
    if (batch == 0 || memmem(why.bytes, why.size, word, sizeof word - 1))
        return muster_error_set(ret_error, code, "%s: %.*s", remote->endpoint, (int)why.size, why.bytes);
    return muster_error_set(ret_error, code, "%s: batch %" PRIu64 ": %.*s", remote->endpoint, batch,
                            (int)why.size, why.bytes);
}

/* The value of an answer. */
static int take_value(const struct remote *remote, struct wire_frame *frame, remote_take *take, void *context,
                      struct muster_error *ret_error)
{
    const struct slice *payload = &frame->message.payload;
    msgpack_object value;
    size_t offset = 0;
    int code;

    if (!take)
        return 0;
    code = value_unpack(slice_bytes(payload), payload->size, &offset, &frame->zone, &value);
    if (code != 0)
        return muster_error_set(ret_error, code, "%s: cannot read the answer: %s", remote->endpoint,
                                muster_error_name(code));
    return take(context, &value, ret_error);
}

/* The batch that a question is about; 0: none. That of a list is where a page of it begins. */
static uint64_t subject(const struct proto_request *request)
{
    return request->operation == PROTO_REQUEST_BATCHES ? 0 : request->batch;
}

/* What a message says to that question; *ret_more: nothing, or not all. */
static int take_answer(const struct remote *remote, struct wire_frame *frame,
                       const struct proto_request *request, remote_take *take, void *context, bool *ret_more,
                       struct muster_error *ret_error)
{
    const struct proto_message *message = &frame->message;
    int code;

    *ret_more = false;
    if (message->type == PROTO_ERROR && message->error.ticket == request->ticket)
        return remote_refused(remote, subject(request), message->error.code, message->error.text, ret_error);
    if (message->type != PROTO_ANSWER || message->answer.ticket != request->ticket) {
        *ret_more = true; /* it is about something that was given up before */
        return 0;
    }
    if (message->answer.code != 0)
        return remote_refused(remote, subject(request), message->answer.code, message->answer.text,
                              ret_error);
    code = take_value(remote, frame, take, context, ret_error);
    *ret_more = code == 0 && message->answer.more;
    return code;
}

/* Something that is answered at once by whoever is alive. */
static int probe(struct remote *remote, struct muster_error *ret_error)
{
    return say(remote,
               &(struct proto_message){
                   .type = PROTO_REQUEST,
                   .request = {.ticket = ++remote->last_ticket, .operation = PROTO_REQUEST_STATUS}},
               ret_error);
}

int remote_ask(struct remote *remote, const struct proto_request *request, remote_take *take, void *context,
               struct muster_error *ret_error)
{
    struct proto_message message = {.type = PROTO_REQUEST, .request = *request};
    bool probed = false, more = true;
    struct wire_frame *frame;
    int code;

    message.request.ticket = ++remote->last_ticket;
    code = say(remote, &message, ret_error);
    while (code == 0 && more) {
        code = remote_next(remote, clock_after(clock_now_ns(), PATIENCE_NS), &frame, ret_error);
        if (code == MUSTER_ETIMEOUT && !probed) {
            probed = true;
            code = probe(remote, ret_error);
        } else if (code == 0) {
            probed = false;
            code = take_answer(remote, frame, &message.request, take, context, &more, ret_error);
            wire_frame_destroy(frame);
        }
    }
    return code;
}

int remote_attach(struct remote *remote, const struct proto_attach *attach, uint64_t *ret_ticket,
                  struct muster_error *ret_error)
{
    struct proto_message message = {.type = PROTO_ATTACH, .attach = *attach};
    int code;

    message.attach.ticket = remote->last_ticket + 1;
    code = say(remote, &message, ret_error);
    if (code == 0)
        *ret_ticket = ++remote->last_ticket;
    return code;
}

static bool is_same(const struct remote_batch *known, const struct proto_attached *attached)
{
    return known->kind == attached->kind && known->first == attached->first &&
           (known->total == attached->total || !known->sealed) &&
           strlen(known->function) == attached->function.size &&
           memcmp(known->function, attached->function.bytes, attached->function.size) == 0;
}

int remote_recognize(const struct remote *remote, struct remote_batch *known,
                     const struct proto_attached *attached, struct muster_error *ret_error)
{
    if (known->function[0] && !is_same(known, attached))
        return muster_error_set(ret_error, MUSTER_ESTATE,
                                "%s: batch %" PRIu64
                                " is another one there than before: its state file was replaced",
                                remote->endpoint, attached->batch);
    *known = (struct remote_batch){.kind = attached->kind,
                                   .first = attached->first,
                                   .total = attached->total,
                                   .sealed = attached->sealed};
    snprintf(known->function, sizeof known->function, "%.*s", (int)attached->function.size,
             attached->function.bytes);
    return 0;
}

int remote_consumed(struct remote *remote, uint64_t ticket, uint64_t bytes, struct muster_error *ret_error)
{
    return say(
        remote,
        &(struct proto_message){.type = PROTO_CONSUMED, .consumed = {.ticket = ticket, .bytes = bytes}},
        ret_error);
}

int remote_wait_end(struct remote *remote, uint64_t deadline_ns, struct muster_error *ret_error)
{
    struct wire_frame *frame;
    int code;

    while ((code = wire_receive(remote->wire, &frame)) != MUSTER_ELOST) {
        if (code == 0) /* it may say that it ends, and to others what became of their batches */
            wire_frame_destroy(frame);
        else if (code != MUSTER_EAGAIN)
            return explain(remote, code, ret_error);
        else if ((code = wait(remote, deadline_ns, ret_error)) != 0)
            return code;
    }
    return 0;
}
