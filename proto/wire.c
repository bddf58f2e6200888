/* SPDX-License-Identifier: MIT
 *
 * Sockets of ZeroMQ, and what is sent over them. See wire.h. What is received is in wire_receive.c, how it is
 * waited for in wire_wait.c, how a connection is watched in wire_watch.c.
 *
 * A message is one or two frames, [header] or [header][payload]; a ROUTER sees the peer's
 * name in front; of a worker of another host, that of the worker comes next, behind a byte 0. A sent frame
 * holds a reference on the blob of its payload, which is not copied.
 */
#include "proto/wire_internal.h"

#include "proto/threads.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

struct wire_parcel {
    zmq_msg_t header, payload;
    bool has_payload;
};

enum { COPY_BYTES_MAX = 1024 };

/* Messages of each peer of a router: unread, it is read from no further; unsent, it counts as lost. Peers
 * that keep to windows and credit have fewer: a worker 20,000 chunks, a client as many as batches. ZeroMQ
 * does not see the end of what it does not read from: a stranger whose name another has is to be cut off
 * before that (wire_guard.c), and so is who floods (wire_unread.c). */
enum { UNREAD_MAX = 1 << 20, UNSENT_MAX = 4 * PROTO_BATCHES_MAX };

static atomic_uint contexts;

int wire_context_create(struct wire_context **ret_context, struct muster_error *ret_error)
{
    struct wire_context *context;
    int code = threads_check(ret_error);

    if (code)
        return code;
    if (!(context = malloc(sizeof *context)))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "ZeroMQ context: out of memory");
    context->zmq = zmq_ctx_new();
    if (!context->zmq) {
        int error = errno;

        free(context);
        return muster_error_system(ret_error, error, "ZeroMQ context");
    }
    zmq_ctx_set(context->zmq, ZMQ_BLOCKY, 0);
    atomic_fetch_add(&contexts, 1);
    *ret_context = context;
    return 0;
}

void wire_context_destroy(struct wire_context *context)
{
    if (!context)
        return;
    TEMP_FAILURE_RETRY(zmq_ctx_term(context->zmq));
    free(context);
    atomic_fetch_sub(&contexts, 1);
}

unsigned wire_contexts(void)
{
    return atomic_load(&contexts);
}

int wire_open_socket(struct wire_context *context, int type, struct wire **ret_wire,
                     struct muster_error *ret_error)
{
    int64_t frame_bytes_max = PROTO_PAYLOAD_BYTES_MAX;
    int unlimited = 0, linger_ms = 0;
    struct wire *wire = malloc(sizeof *wire);

    if (!wire)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "ZeroMQ socket: out of memory");
    *wire = (struct wire){.context = context, .router = type == ZMQ_ROUTER, .poll_fd = -1, .ready_fd = -1};
    wire->socket = zmq_socket(context->zmq, type);
    if (!wire->socket) {
        int error = errno;

        free(wire);
        return muster_error_system(ret_error, error, "ZeroMQ socket");
    }
    wire->socket_fd = wire_socket_fd(wire->socket);
    zmq_setsockopt(wire->socket, ZMQ_SNDHWM, &unlimited, sizeof unlimited);
    zmq_setsockopt(wire->socket, ZMQ_RCVHWM, &unlimited, sizeof unlimited);
    zmq_setsockopt(wire->socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    zmq_setsockopt(wire->socket, ZMQ_MAXMSGSIZE, &frame_bytes_max, sizeof frame_bytes_max);
    *ret_wire = wire;
    return 0;
}

int wire_open_router(struct wire_context *context, struct wire **ret_wire, struct muster_error *ret_error)
{
    int mandatory = 1, backlog = 2 * PROTO_CLIENTS_MAX, unread = UNREAD_MAX, unsent = UNSENT_MAX, result;
    void *socket;

    result = wire_open_socket(context, ZMQ_ROUTER, ret_wire, ret_error);
    if (result != 0)
        return result;
    socket = (*ret_wire)->socket;
    zmq_setsockopt(socket, ZMQ_ROUTER_MANDATORY, &mandatory, sizeof mandatory);
    /* all at once, and each twice (client/processes.c): a watched one does not try again */
    zmq_setsockopt(socket, ZMQ_BACKLOG, &backlog, sizeof backlog);
    zmq_setsockopt(socket, ZMQ_RCVHWM, &unread, sizeof unread);
    zmq_setsockopt(socket, ZMQ_SNDHWM, &unsent, sizeof unsent);
    return 0;
}

int wire_open_dealer(struct wire_context *context, const char *name, struct wire **ret_wire,
                     struct muster_error *ret_error)
{
    size_t size = strlen(name);
    int result;

    if (size == 0 || size > PROTO_PEER_NAME_MAX)
        return muster_error_set(ret_error, MUSTER_EINVALID, "a peer's name has 1 to %d bytes",
                                PROTO_PEER_NAME_MAX);
    result = wire_open_socket(context, ZMQ_DEALER, ret_wire, ret_error);
    if (result == 0)
        zmq_setsockopt((*ret_wire)->socket, ZMQ_ROUTING_ID, name, size);
    return result;
}

/* IPv6 is for addresses that are written as such: with it, ZeroMQ takes names and IPv4 for IPv6, too. */
static void choose_family(struct wire *wire, const char *endpoint)
{
    int version_6 = strncmp(endpoint, "tcp://[", strlen("tcp://[")) == 0;

    zmq_setsockopt(wire->socket, ZMQ_IPV6, &version_6, sizeof version_6);
}

int wire_bind(struct wire *wire, const char *endpoint, struct muster_error *ret_error)
{
    uid_t user = geteuid();

    wire->drained = false;
    choose_family(wire, endpoint);
    /* Whoever gets into the folder of a socket: the kernel knows who connects. */
    zmq_setsockopt(wire->socket, ZMQ_IPC_FILTER_UID, &user, sizeof user);
    if (TEMP_FAILURE_RETRY(zmq_bind(wire->socket, endpoint)) == 0)
        return 0;
    return muster_error_set(ret_error, MUSTER_ESYSTEM, "cannot listen on %s: %s", endpoint,
                            zmq_strerror(errno));
}

int wire_bind_listening(struct wire *wire, const char *endpoint, int *fd, struct muster_error *ret_error)
{
    int none = -1, result;

    zmq_setsockopt(wire->socket, ZMQ_USE_FD, fd, sizeof *fd);
    result = wire_bind(wire, endpoint, ret_error);
    zmq_setsockopt(wire->socket, ZMQ_USE_FD, &none, sizeof none);
    if (result == 0)
        *fd = -1;
    return result;
}

int wire_endpoint(const struct wire *wire, char ret_endpoint[WIRE_ENDPOINT_BYTES],
                  struct muster_error *ret_error)
{
    size_t size = WIRE_ENDPOINT_BYTES;

    if (zmq_getsockopt(wire->socket, ZMQ_LAST_ENDPOINT, ret_endpoint, &size) == 0)
        return 0;
    return muster_error_set(ret_error, MUSTER_ESYSTEM, "cannot tell where a socket listens: %s",
                            zmq_strerror(errno));
}

int wire_connect(struct wire *wire, const char *endpoint, struct muster_error *ret_error)
{
    wire->drained = false;
    choose_family(wire, endpoint);
    if (TEMP_FAILURE_RETRY(zmq_connect(wire->socket, endpoint)) == 0)
        return 0;
    return muster_error_set(ret_error, MUSTER_ESYSTEM, "cannot connect to %s: %s", endpoint,
                            zmq_strerror(errno));
}

void wire_close(struct wire *wire, int linger_ms)
{
    if (!wire)
        return;
    wire_unwatch(wire);
    guard_destroy(wire->guard);
    brake_destroy(wire->brake);
    owed_forget_all(wire);
    unread_forget_all(wire);
    if (wire->poll_fd >= 0)
        close(wire->poll_fd);
    if (wire->ready_fd >= 0)
        close(wire->ready_fd);
    zmq_setsockopt(wire->socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    zmq_close(wire->socket);
    free(wire);
}

static void drop_blob(void *bytes, void *hint)
{
    TAKE_OVER(bytes);
    blob_unref(hint);
}

static void free_bytes(void *bytes, void *hint)
{
    (void)hint;
    TAKE_OVER(bytes);
    free(bytes);
}

/* A frame that shares the slice's bytes, or copies them where that is cheaper. */
static int pack_payload(const struct slice *slice, zmq_msg_t *frame)
{
    if (slice->size <= COPY_BYTES_MAX) {
        if (zmq_msg_init_size(frame, slice->size) != 0)
            return MUSTER_ENOMEM;
        if (slice->size)
            memcpy(zmq_msg_data(frame), slice_bytes(slice), slice->size);
        return 0;
    }
    /* ZeroMQ takes void *, and does not write to what it sends. */
    union {
        const uint8_t *in;
        void *out;
    } bytes = {.in = slice_bytes(slice)};

    if (zmq_msg_init_data(frame, bytes.out, slice->size, drop_blob, slice->blob) != 0)
        return MUSTER_ENOMEM;
    blob_ref(slice->blob);
    return 0;
}

/* A frame of the buffer's bytes: a copy where they are few, for the buffer has room for 8 KiB at
 * least, and a message may wait for long. Takes the buffer's memory, whatever it returns. */
static int frame_bytes(msgpack_sbuffer *buffer, zmq_msg_t *frame)
{
    int result;

    if (buffer->size > COPY_BYTES_MAX) {
        result = zmq_msg_init_data(frame, buffer->data, buffer->size, free_bytes, NULL);
        if (result != 0)
            free(buffer->data);
        return result == 0 ? 0 : MUSTER_ENOMEM;
    }
    result = zmq_msg_init_size(frame, buffer->size);
    if (result == 0)
        memcpy(zmq_msg_data(frame), buffer->data, buffer->size);
    free(buffer->data);
    return result == 0 ? 0 : MUSTER_ENOMEM;
}

static int pack_header(const struct proto_message *message, zmq_msg_t *frame)
{
    msgpack_sbuffer buffer;
    int result;

    msgpack_sbuffer_init(&buffer);
    result = proto_encode(message, &buffer);
    if (result == 0)
        return frame_bytes(&buffer, frame);
    msgpack_sbuffer_destroy(&buffer);
    return result;
}

int wire_pack(const struct proto_message *message, struct wire_parcel **ret_parcel)
{
    struct wire_parcel *parcel = malloc(sizeof *parcel);
    int result;

    if (!parcel)
        return MUSTER_ENOMEM;
    result = pack_header(message, &parcel->header);
    if (result != 0) {
        free(parcel);
        return result;
    }
    parcel->has_payload = proto_has_payload(message);
    if (parcel->has_payload)
        result = pack_payload(&message->payload, &parcel->payload);
    if (result != 0) {
        zmq_msg_close(&parcel->header);
        free(parcel);
        return result;
    }
    HAND_OVER(zmq_msg_data(&parcel->header));
    if (parcel->has_payload)
        HAND_OVER(zmq_msg_data(&parcel->payload));
    *ret_parcel = parcel;
    return 0;
}

int wire_parcel_share(struct wire_parcel *parcel, struct wire_parcel **ret_parcel)
{
    struct wire_parcel *shared = malloc(sizeof *shared);

    if (!shared)
        return MUSTER_ENOMEM;
    shared->has_payload = parcel->has_payload;
    zmq_msg_init(&shared->header);
    zmq_msg_copy(&shared->header, &parcel->header);
    if (parcel->has_payload) {
        zmq_msg_init(&shared->payload);
        zmq_msg_copy(&shared->payload, &parcel->payload);
    }
    *ret_parcel = shared;
    return 0;
}

void wire_parcel_destroy(struct wire_parcel *parcel)
{
    if (!parcel)
        return;
    zmq_msg_close(&parcel->header);
    if (parcel->has_payload)
        zmq_msg_close(&parcel->payload);
    free(parcel);
}

bool wire_parcel_bytes(const struct wire_parcel *parcel, struct wire_bytes *ret_header,
                       struct wire_bytes *ret_payload)
{
    /* zmq_msg_data and zmq_msg_size write nothing. */
    union {
        const struct wire_parcel *in;
        struct wire_parcel *out;
    } cast = {.in = parcel};
    zmq_msg_t *header = &cast.out->header, *payload = &cast.out->payload;

    *ret_header = (struct wire_bytes){.bytes = zmq_msg_data(header), .size = zmq_msg_size(header)};
    if (parcel->has_payload)
        *ret_payload = (struct wire_bytes){.bytes = zmq_msg_data(payload), .size = zmq_msg_size(payload)};
    return parcel->has_payload;
}

static int send_error(const struct wire *wire, int error)
{
    switch (error) {
    case EHOSTUNREACH:
        return MUSTER_ELOST;
    case EAGAIN: /* of a router: the high water mark of this peer */
        return wire->router ? MUSTER_ELOST : MUSTER_EAGAIN;
    default:
        return MUSTER_ESYSTEM;
    }
}

/* ZeroMQ looks for what its threads tell it at each call, by poll(2), which signals interrupt though
 * it does not wait: every part is tried again, lest half a message is lost. */
static int send_part(struct wire *wire, zmq_msg_t *part, int flags)
{
    return (int)TEMP_FAILURE_RETRY(zmq_msg_send(part, wire->socket, ZMQ_DONTWAIT | flags));
}

/* One that more parts follow. */
static int send_front(struct wire *wire, const void *bytes, size_t size)
{
    return (int)TEMP_FAILURE_RETRY(zmq_send(wire->socket, bytes, size, ZMQ_SNDMORE | ZMQ_DONTWAIT));
}

int wire_post_via(struct wire *wire, const char *peer, const char *via, struct wire_parcel **parcel)
{
    struct wire_parcel *p = *parcel;
    char name[PROTO_PEER_NAME_MAX + 2] = "";

    wire->drained = false;
    if (peer && send_front(wire, peer, strlen(peer)) < 0)
        return send_error(wire, errno);
    if (via) {
        size_t size = strnlen(via, PROTO_PEER_NAME_MAX);

        memcpy(name + 1, via, size);
        if (send_front(wire, name, 1 + size) < 0)
            return send_error(wire, errno);
    }
    /* Once ZeroMQ took the first part it takes the rest; what it took is empty here. */
    if (send_part(wire, &p->header, p->has_payload ? ZMQ_SNDMORE : 0) < 0)
        return send_error(wire, errno);
    if (p->has_payload && send_part(wire, &p->payload, 0) < 0)
        return send_error(wire, errno);
    wire_parcel_destroy(p);
    *parcel = NULL;
    return 0;
}

int wire_post(struct wire *wire, const char *peer, struct wire_parcel **parcel)
{
    return wire_post_via(wire, peer, NULL, parcel);
}

int wire_post_answer(struct wire *router, const char *peer, struct wire_parcel **parcel)
{
    int result = owed_count(router, peer, &(*parcel)->payload);

    return result == 0 ? wire_post(router, peer, parcel) : result;
}

int wire_send(struct wire *wire, const char *peer, const struct proto_message *message)
{
    struct wire_parcel *parcel;
    int result;

    result = wire_pack(message, &parcel);
    if (result != 0)
        return result;
    result = wire_post(wire, peer, &parcel);
    wire_parcel_destroy(parcel);
    return result;
}
