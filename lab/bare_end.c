/* SPDX-License-Identifier: MIT
 *
 * Bare connections over ZeroMQ. See bare_end.h.
 */
#include "lab/bare_end.h"

#include "base/clock.h"
#include "lab/bench_crew.h"
#include "proto/descriptors.h"
#include "proto/threads.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <zmq.h>

enum {
    PATIENCE_MS = 10000, /* what answers at all answers in less than a hundredth of it */
    DESCRIPTORS = 32,    /* of a context, its threads, and a socket */
};

int bare_failed(const char *what, struct muster_error *ret_error)
{
    return muster_error_set(ret_error, MUSTER_ESYSTEM, "bare ZeroMQ cannot %s: %s", what,
                            zmq_strerror(errno));
}

static int open_socket(struct bare_end *end, int type, struct muster_error *ret_error)
{
    int unlimited = 0, linger_ms = 0, patience_ms = PATIENCE_MS, code;

    if ((code = threads_check(ret_error)) != 0)
        return code;
    *end = (struct bare_end){.context = zmq_ctx_new()};
    if (end->context)
        end->socket = zmq_socket(end->context, type);
    if (!end->socket)
        return bare_failed("open a socket", ret_error);
    zmq_setsockopt(end->socket, ZMQ_SNDHWM, &unlimited, sizeof unlimited);
    zmq_setsockopt(end->socket, ZMQ_RCVHWM, &unlimited, sizeof unlimited);
    zmq_setsockopt(end->socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    zmq_setsockopt(end->socket, ZMQ_RCVTIMEO, &patience_ms, sizeof patience_ms);
    return 0;
}

void bare_end_close(struct bare_end *end)
{
    if (end->socket)
        zmq_close(end->socket);
    if (end->context)
        zmq_ctx_term(end->context);
    if (end->has_nest)
        nest_fini(&end->nest);
    *end = (struct bare_end){.socket = NULL};
}

int bare_listen(struct bare_end *end, int type, enum muster_transport transport, unsigned peers,
                struct muster_error *ret_error)
{
    size_t size = sizeof end->endpoint;
    int code;

    if ((code = descriptors_check(DESCRIPTORS + peers, "bare ZeroMQ needs", "", ret_error)) != 0 ||
        (code = open_socket(end, type, ret_error)) != 0)
        return code;
    if (getrandom(&end->number, sizeof end->number, 0) != sizeof end->number)
        return muster_error_system(ret_error, errno, "bare ZeroMQ has no random number");
    switch (transport) {
    case MUSTER_TCP:
        snprintf(end->endpoint, sizeof end->endpoint, "tcp://127.0.0.1:*");
        break;
    case MUSTER_IPC:
    case MUSTER_IPC_INLINE:
    case MUSTER_IPC_ALONE:
        if ((code = nest_init(&end->nest, ret_error)) != 0)
            return code;
        end->has_nest = true;
        snprintf(end->endpoint, sizeof end->endpoint, "%s", end->nest.endpoint);
        break;
    }
    if (zmq_bind(end->socket, end->endpoint) != 0 ||
        zmq_getsockopt(end->socket, ZMQ_LAST_ENDPOINT, end->endpoint, &size) != 0)
        return bare_failed("listen", ret_error);
    return 0;
}

int bare_call(const struct bare_end *end, muster *crew, const char *function, muster_future **ret_call,
              struct muster_error *ret_error)
{
    msgpack_object items[] = {
        {.type = MSGPACK_OBJECT_STR,
         .via.str = {.ptr = end->endpoint, .size = (uint32_t)strlen(end->endpoint)}},
        {.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = end->number},
    };
    msgpack_object argument = {.type = MSGPACK_OBJECT_ARRAY, .via.array = {.size = 2, .ptr = items}};

    return bench_crew_call(crew, function, &argument, ret_call, ret_error);
}

int bare_await(const struct bare_end *end, muster *crew, struct muster_error *ret_error)
{
    zmq_pollitem_t items[] = {{.socket = end->socket, .events = ZMQ_POLLIN},
                              {.fd = muster_fd(crew), .events = ZMQ_POLLIN}};
    uint64_t deadline_ns = clock_after(clock_now_ns(), PATIENCE_MS * CLOCK_NS_PER_MS);
    int code = 0;

    while (!code && !items[0].revents) {
        if (clock_now_ns() >= deadline_ns)
            return muster_error_set(ret_error, MUSTER_ETIMEOUT, "bare ZeroMQ hears nothing of its other end");
        if (zmq_poll(items, 2, clock_poll_ms(clock_now_ns(), deadline_ns)) < 0 && errno != EINTR)
            return bare_failed("wait", ret_error);
        if (items[1].revents)
            code = muster_dispatch(crew, ret_error);
    }
    return code;
}

int bare_answer(struct bare_end *end, const msgpack_object *argument, struct muster_error *ret_error)
{
    const msgpack_object *items = argument->via.array.ptr;
    char endpoint[BARE_ENDPOINT_BYTES] = "";
    int code;

    if (argument->type != MSGPACK_OBJECT_ARRAY || argument->via.array.size != 2 ||
        items[0].type != MSGPACK_OBJECT_STR || items[0].via.str.size >= sizeof endpoint ||
        items[1].type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return muster_error_set(ret_error, MUSTER_EINVALID, "not an endpoint and a number");
    memcpy(endpoint, items[0].via.str.ptr, items[0].via.str.size);
    if ((code = open_socket(end, ZMQ_DEALER, ret_error)) != 0)
        return code;
    if (zmq_connect(end->socket, endpoint) != 0 ||
        zmq_send(end->socket, &items[1].via.u64, sizeof items[1].via.u64, 0) < 0)
        return bare_failed("connect", ret_error);
    return 0;
}
