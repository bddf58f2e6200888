/* SPDX-License-Identifier: MIT
 *
 * What is received: frames of ZeroMQ, and the messages that they are. See wire.h.
 *
 * A guarded router looks ahead, beyond the message that it hands out, so that what peers send faster than it
 * is taken is counted in bytes (wire_unread.c), which ZeroMQ does not do.
 *
 * Large payloads are not copied: a blob wraps the received frame.
 */
#include "base/clock.h"
#include "proto/wire_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

/* No code of error.h: of somebody who is not heard. So many are passed over in a turn. */
enum { NOT_HEARD = 1, NOT_HEARD_IN_TURN = 64 };

/* A guarded router looks ahead once in so many turns, as that costs a system call when there is nothing.
 * Behind so many messages ZeroMQ's thread waits until it has looked at all, which it else never would be done
 * with. And while there are messages to take it goes on to wait, for so many times as long as that look took
 * and so long at most: peers that send more wait then, too, and others have most of this thread's time. */
enum { AHEAD_TURNS = 16, AHEAD_FREE = 256, AHEAD_PAUSES = 3 };
static const uint64_t AHEAD_PAUSE_NS = 10 * CLOCK_NS_PER_MS;

/* ZeroMQ reads so much at once; messages that lie in it keep all of it, and the 10 KB beside it in which they
 * are counted. */
enum { BATCH_BYTES = 8192 };

/* A blob over a received frame. */
struct frame_blob {
    struct blob blob;
    zmq_msg_t frame;
};

static void free_frame(struct blob *blob)
{
    struct frame_blob *frame = (struct frame_blob *)blob;

    zmq_msg_close(&frame->frame);
    free(frame);
}

/* Takes a received frame, which may be empty then. */
static struct blob *take_frame(zmq_msg_t *received)
{
    struct frame_blob *frame;

    TAKE_OVER(zmq_msg_data(received));
    if (zmq_msg_size(received) <= BATCH_BYTES)
        return blob_copy(zmq_msg_data(received), zmq_msg_size(received));
    if (!(frame = malloc(sizeof *frame)))
        return NULL;
    zmq_msg_init(&frame->frame);
    zmq_msg_move(&frame->frame, received);
    blob_init(&frame->blob, zmq_msg_data(&frame->frame), zmq_msg_size(&frame->frame), free_frame);
    return &frame->blob;
}

int wire_receive_parts(struct wire *wire, void *ret_parts, int max)
{
    zmq_msg_t *parts = ret_parts;
    int count = 0, more = 1;

    wire->drained = false;
    while (more) {
        zmq_msg_t extra, *part = count < max ? &parts[count] : &extra;

        if (part == &extra)
            zmq_msg_init(&extra);
        if (TEMP_FAILURE_RETRY(zmq_msg_recv(part, wire->socket, ZMQ_DONTWAIT)) < 0) {
            if (part == &extra)
                zmq_msg_close(&extra);
            wire->drained = errno == EAGAIN;
            return wire->drained ? MUSTER_EAGAIN : MUSTER_ESYSTEM;
        }
        more = zmq_msg_more(part);
        if (part == &extra)
            zmq_msg_close(&extra);
        count++;
    }
    return count;
}

/* --- a message as it comes */

static void free_received(struct blob *own)
{
    free(own);
}

/* All but its header and its payload, and itself where the header is in it. */
static void free_rest(struct received *received)
{
    free(received->via);
    received->via = NULL;
    if (received->header != &received->own)
        free(received);
}

void received_destroy(struct received *received)
{
    struct blob *header = received->header;

    blob_unref(received->payload);
    free_rest(received);
    blob_unref(header);
}

/* The peer's name as a string; names with a NUL or of a wrong length are no peers of ours. */
static bool take_name(const void *bytes, size_t size, char *name)
{
    if (size == 0 || size > PROTO_PEER_NAME_MAX || memchr(bytes, 0, size))
        return false;
    memcpy(name, bytes, size);
    name[size] = '\0';
    return true;
}

/* Whether the part is the name of a worker ahead of its message, which no header begins like. */
static bool take_via(zmq_msg_t *part, char *via)
{
    const uint8_t *bytes = zmq_msg_data(part);
    size_t size = zmq_msg_size(part);

    TAKE_OVER(zmq_msg_data(part));
    return size > 1 && bytes[0] == 0 && take_name(bytes + 1, size - 1, via);
}

/* Who sent the part. ZeroMQ says of ipc "localhost:UID:GID:PID", as SO_PEERCRED has it, and of tcp an
 * address. */
static pid_t sender_of(zmq_msg_t *part)
{
    const char *address = zmq_msg_gets(part, "Peer-Address"), *last;

    if (!address || strncmp(address, WIRE_LOCAL, sizeof WIRE_LOCAL - 1) != 0)
        return 0;
    last = strrchr(address, ':');
    return last > address + sizeof WIRE_LOCAL - 1 ? (pid_t)strtol(last + 1, NULL, 10) : 0;
}

/* Whether a header may be that of HELLO: how one begins is the same in all versions. */
static bool is_hello(zmq_msg_t *header)
{
    const uint8_t *bytes = zmq_msg_data(header);

    return zmq_msg_size(header) > 1 && bytes[1] == PROTO_HELLO;
}

/* With its header, unless that is large. */
static struct received *create_received(zmq_msg_t *header)
{
    size_t size = zmq_msg_size(header) <= BATCH_BYTES ? zmq_msg_size(header) : 0;
    struct received *received = malloc(sizeof *received + size);

    if (!received)
        return NULL;
    memset(received, 0, sizeof *received);
    TAKE_OVER(zmq_msg_data(header));
    memcpy(received->bytes, zmq_msg_data(header), size);
    blob_init(&received->own, received->bytes, size, free_received);
    received->header = &received->own;
    received->ns = clock_now_ns();
    return received;
}

/* From the parts behind the peer's name, which came by this descriptor. */
static int make_received(const struct wire *wire, const char *peer, int fd, zmq_msg_t *parts, int count,
                         struct received **ret_received)
{
    char via[PROTO_PEER_NAME_MAX + 1];
    int front = count > 1 && take_via(&parts[0], via) ? 1 : 0;
    zmq_msg_t *header = &parts[front];
    struct received *received = create_received(header);

    if (!received)
        return MUSTER_ENOMEM;
    received->parts = count - front;
    received->fd = fd;
    if (wire->guard) {
        received->round = guard_round(wire->guard);
        guard_heard(wire->guard, fd, peer);
    }
    if (wire->keyed)
        wire_take_key(header, received);
    if (is_hello(header))
        received->pid = sender_of(header);
    if ((front && !(received->via = strdup(via))) ||
        (zmq_msg_size(header) > BATCH_BYTES && !(received->header = take_frame(header))) ||
        (received->parts > 1 && !(received->payload = take_frame(header + 1)))) {
        received_destroy(received);
        return MUSTER_ENOMEM;
    }
    *ret_received = received;
    return 0;
}

/* The parts of the next message, the loss of the connection behind the last. */
static int receive_parts(struct wire *wire, zmq_msg_t *parts, int max)
{
    int count = wire_receive_parts(wire, parts, max);

    if (count == MUSTER_EAGAIN && wire->guard)
        guard_emptied(wire->guard);
    if (count == MUSTER_EAGAIN && !wire->lost && wire_broke(wire)) {
        wire_unwatch(wire);
        wire->lost = true; /* and what came before is there by now */
        count = wire_receive_parts(wire, parts, max);
    }
    return count == MUSTER_EAGAIN && wire->lost ? MUSTER_ELOST : count;
}

/* Of a router with the name of the peer, else "". */
static int receive_one(struct wire *wire, char name[PROTO_PEER_NAME_MAX + 1], struct received **ret_received)
{
    enum { PARTS = 4 };
    zmq_msg_t parts[PARTS];
    int front = wire->router ? 1 : 0, fd = -1, count;

    name[0] = '\0';
    for (int i = 0; i < PARTS; i++)
        zmq_msg_init(&parts[i]);
    count = receive_parts(wire, parts, PARTS);
    if (count >= 0 && wire->guard)
        fd = zmq_msg_get(&parts[1], ZMQ_SRCFD);
    if (count >= 0 && front &&
        (!take_name(zmq_msg_data(&parts[0]), zmq_msg_size(&parts[0]), name) ||
         (wire->guard && (fd < 0 || guard_is_cut(wire, name, fd)))))
        count = NOT_HEARD; /* nothing can be answered or blamed */
    else if (count >= 0)
        count = make_received(wire, name, fd, parts + front, count - front, ret_received);
    for (int i = 0; i < PARTS; i++)
        zmq_msg_close(&parts[i]);
    return count;
}

/* --- frames */

static void decode(struct wire_frame *frame, int parts)
{
    struct proto_message *message = &frame->message;

    if (parts < 1 || parts > 2) {
        muster_error_set(&frame->error, MUSTER_EPROTOCOL, "a message has one or two frames, this has %d",
                         parts);
        return;
    }
    if (proto_decode(frame->header->bytes, frame->header->size, &frame->zone, message, &frame->error) != 0)
        return;
    if (proto_has_payload(message) != (parts == 2)) {
        muster_error_set(&frame->error, MUSTER_EPROTOCOL, "%s %s a payload frame",
                         proto_type_name(message->type), parts == 2 ? "does not have" : "lacks");
        return;
    }
    if (parts == 2) {
        message->payload = (struct slice){.blob = frame->payload, .size = frame->payload->size};
        proto_check_payload(message, &frame->error);
    }
}

static struct wire_frame *create_frame(const char *peer)
{
    struct wire_frame *frame = calloc(1, sizeof *frame);

    if (!frame || !msgpack_zone_init(&frame->zone, 1024)) {
        free(frame);
        return NULL;
    }
    frame->received_ns = clock_now_ns();
    frame->fd = -1;
    memcpy(frame->peer, peer, strnlen(peer, PROTO_PEER_NAME_MAX));
    return frame;
}

int wire_frame_create(const char *peer, const struct wire_bytes *header, const struct wire_bytes *payload,
                      struct wire_frame **ret_frame)
{
    struct wire_frame *frame = create_frame(peer);

    if (!frame)
        return MUSTER_ENOMEM;
    frame->bytes = header->size + (payload ? payload->size : 0);
    frame->header = blob_copy(header->bytes, header->size);
    frame->payload = payload ? blob_copy(payload->bytes, payload->size) : NULL;
    if (!frame->header || (payload && !frame->payload)) {
        wire_frame_destroy(frame);
        return MUSTER_ENOMEM;
    }
    decode(frame, payload ? 2 : 1);
    *ret_frame = frame;
    return 0;
}

/* Takes what was received, whatever it returns. */
static int open_frame(const char *peer, struct received *received, struct wire_frame **ret_frame)
{
    struct wire_frame *frame = create_frame(peer);
    int parts = received->parts;
    pid_t pid = received->pid;

    if (!frame) {
        received_destroy(received);
        return MUSTER_ENOMEM;
    }
    if (received->via)
        memcpy(frame->via, received->via, strlen(received->via));
    frame->header = received->header;
    frame->payload = received->payload;
    frame->bytes = frame->header->size + (frame->payload ? frame->payload->size : 0);
    frame->received_ns = received->ns;
    frame->fd = received->fd;
    frame->round = received->round;
    frame->keyed = received->keyed;
    frame->key = received->key;
    free_rest(received);
    decode(frame, parts);
    if (frame->error.code == 0 && frame->message.type == PROTO_HELLO)
        frame->pid = pid;
    *ret_frame = frame;
    return 0;
}

/* Of those that are heard. */
static int receive_next(struct wire *wire, char *name, struct received **ret_received)
{
    int result = NOT_HEARD;

    for (int i = 0; i < NOT_HEARD_IN_TURN && result == NOT_HEARD; i++)
        result = receive_one(wire, name, ret_received);
    return result == NOT_HEARD ? MUSTER_EAGAIN : result;
}

int wire_look_ahead(struct wire *router)
{
    char name[PROTO_PEER_NAME_MAX + 1];
    struct received *received;
    uint64_t began_ns = clock_now_ns(), pause_ns = 0;
    unsigned count;
    int result = 0;

    brake_release(router->brake);
    for (count = 0; result == 0 || result == NOT_HEARD; count++) {
        if (count == AHEAD_FREE)
            brake_pull(router->brake);
        result = receive_one(router, name, &received);
        if (result == 0)
            result = unread_add(router, name, received);
    }
    if (count > AHEAD_FREE)
        pause_ns = AHEAD_PAUSES * (clock_now_ns() - began_ns);
    router->turns = 0;
    router->ahead_ns = clock_after(clock_now_ns(), pause_ns < AHEAD_PAUSE_NS ? pause_ns : AHEAD_PAUSE_NS);
    return result == MUSTER_EAGAIN ? 0 : result;
}

static bool is_due(struct wire *router)
{
    return router->brake && ++router->turns >= AHEAD_TURNS && clock_now_ns() >= router->ahead_ns;
}

/* Messages that take long to handle do not have ZeroMQ's thread wait longer. */
static void ease(const struct wire *router)
{
    if (brake_is_pulled(router->brake) && clock_now_ns() >= router->ahead_ns)
        brake_release(router->brake);
}

int wire_receive(struct wire *wire, struct wire_frame **ret_frame)
{
    char name[PROTO_PEER_NAME_MAX + 1];
    struct received *received;
    int result = 0;

    if (is_due(wire))
        result = wire_look_ahead(wire);
    else
        ease(wire);
    if (result == 0 && !unread_take(wire, name, &received)) {
        brake_release(wire->brake);
        result = receive_next(wire, name, &received);
    }
    return result == 0 ? open_frame(name, received, ret_frame) : result;
}

void wire_frame_destroy(struct wire_frame *frame)
{
    if (!frame)
        return;
    blob_unref(frame->payload);
    blob_unref(frame->header);
    msgpack_zone_destroy(&frame->zone);
    free(frame);
}
