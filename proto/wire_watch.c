/* SPDX-License-Identifier: MIT
 *
 * What happens to the one connection of a wire: ZeroMQ tells of it on a socket of its own. See
 * wire.h.
 */
#include "proto/wire_internal.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

/* Any of them: there is no connection, and none will be. */
enum {
    LOSSES = ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED | ZMQ_EVENT_CONNECT_RETRIED |
             ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
             ZMQ_EVENT_HANDSHAKE_FAILED_AUTH,
};

/* A wire may lie where one was whose monitor is not quite closed yet: each has a number of its own. */
static int monitor(struct wire *wire, int events, struct muster_error *ret_error)
{
    static atomic_uint monitors;
    int unlimited = 0;
    char name[64];

    snprintf(name, sizeof name, "inproc://monitor-%u", atomic_fetch_add(&monitors, 1));
    wire->monitor = zmq_socket(wire->context->zmq, ZMQ_PAIR);
    if (wire->monitor) /* no event waits for room: ZeroMQ's thread would, and with it all connections */
        zmq_setsockopt(wire->monitor, ZMQ_RCVHWM, &unlimited, sizeof unlimited);
    if (wire->monitor && zmq_socket_monitor(wire->socket, name, events) == 0 &&
        TEMP_FAILURE_RETRY(zmq_connect(wire->monitor, name)) == 0) {
        wire->monitor_fd = wire_socket_fd(wire->monitor);
        return 0;
    }
    return muster_error_set(ret_error, MUSTER_ESYSTEM, "cannot watch a connection: %s", zmq_strerror(errno));
}

int wire_watch(struct wire *wire, struct muster_error *ret_error)
{
    int later_ms = 3600 * 1000; /* never: with -1, ZeroMQ drops what has come and was not received */

    zmq_setsockopt(wire->socket, ZMQ_RECONNECT_IVL, &later_ms, sizeof later_ms);
    return monitor(wire, LOSSES | ZMQ_EVENT_CONNECTED, ret_error);
}

int wire_follow(struct wire *wire, struct muster_error *ret_error)
{
    enum { AGAIN_MS = 250 };
    int again_ms = AGAIN_MS;

    zmq_setsockopt(wire->socket, ZMQ_RECONNECT_IVL, &again_ms, sizeof again_ms);
    wire->follows = true;
    return monitor(wire, ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED, ret_error);
}

bool wire_is_connected(const struct wire *wire)
{
    return wire->connected && !wire->lost;
}

/* The next event of the monitor, 0: there is none. It comes in two frames, and begins the first, behind it
 * its value, of a connection the descriptor; the second is the endpoint. */
static int next_event(struct wire *wire, int *ret_fd, bool *ret_tcp)
{
    uint16_t event = 0;
    uint32_t value = 0;
    zmq_msg_t part;
    int more;

    *ret_tcp = false;
    zmq_msg_init(&part);
    if (TEMP_FAILURE_RETRY(zmq_msg_recv(&part, wire->monitor, ZMQ_DONTWAIT)) >=
        (int)(sizeof event + sizeof value)) {
        memcpy(&event, zmq_msg_data(&part), sizeof event);
        memcpy(&value, (char *)zmq_msg_data(&part) + sizeof event, sizeof value);
    }
    *ret_fd = (int)value;
    for (more = zmq_msg_more(&part); more; more = zmq_msg_more(&part)) {
        TEMP_FAILURE_RETRY(zmq_msg_recv(&part, wire->monitor, ZMQ_DONTWAIT));
        *ret_tcp =
            zmq_msg_size(&part) > strlen("tcp") && memcmp(zmq_msg_data(&part), "tcp", strlen("tcp")) == 0;
    }
    zmq_msg_close(&part);
    return event;
}

int wire_guard(struct wire *router, unsigned strangers_max, struct muster_error *ret_error)
{
    int result = guard_create(strangers_max, &router->guard);

    if (result == MUSTER_ESYSTEM)
        return muster_error_system(ret_error, errno, "descriptors to watch connections with");
    if (result != 0)
        return muster_error_set(ret_error, result, "ZeroMQ socket: out of memory");
    if (strangers_max > 0 && (result = brake_create(router->context, &router->brake, ret_error)) != 0)
        return result;
    return monitor(router, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED, ret_error);
}

bool wire_take_ends(struct wire *router)
{
    bool ended = router->ended;

    router->ended = false;
    return ended;
}

bool wire_is_refused(const struct wire *wire)
{
    return wire->refused;
}

static void note_guarded(struct wire *router, int event, int fd, bool tcp)
{
    if (event == ZMQ_EVENT_ACCEPTED) {
        guard_accepted(router->guard, fd, tcp);
    } else {
        guard_ended(router->guard, fd);
        router->ended |= tcp;
    }
}

uint64_t stream_cookie(int fd)
{
    uint64_t cookie;
    socklen_t size = sizeof cookie;

    return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

/* Should the descriptor become another one's just now, that one's is read: it is looked at again. */
struct wire_traffic stream_traffic(int fd, uint64_t cookie)
{
    struct tcp_info info = {.tcpi_bytes_received = 0};
    socklen_t size = sizeof info;

    if (stream_cookie(fd) != cookie || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
        return (struct wire_traffic){.received = 0};
    return (struct wire_traffic){.received = info.tcpi_bytes_received, .sent = info.tcpi_bytes_acked};
}

static void note_stream(struct wire *wire, int fd, bool tcp)
{
    if (!tcp)
        return;
    wire->stream_fd = fd;
    wire->stream_cookie = stream_cookie(fd);
}

struct wire_traffic wire_traffic(const struct wire *wire, int fd, const char *peer)
{
    if (wire->guard)
        return guard_traffic(wire->guard, fd, peer);
    return wire->stream_cookie ? stream_traffic(wire->stream_fd, wire->stream_cookie)
                               : (struct wire_traffic){.received = 0};
}

bool wire_broke(struct wire *wire)
{
    bool tcp;
    int event, fd;

    while (wire->monitor && (event = next_event(wire, &fd, &tcp)) != 0) {
        if (wire->guard)
            note_guarded(wire, event, fd, tcp);
        else if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
            wire->connected = true;
        else if (event == ZMQ_EVENT_CONNECTED)
            note_stream(wire, fd, tcp);
        else if (wire->connected || !wire->follows) {
            wire->refused = event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
            return true;
        }
    }
    return false;
}

/* A loss has several events, one after another: behind the first, nobody is to wake up for them. */
void wire_unwatch(struct wire *wire)
{
    if (!wire->monitor)
        return;
    if (wire->poll_fd >= 0)
        epoll_ctl(wire->poll_fd, EPOLL_CTL_DEL, wire->monitor_fd, NULL);
    zmq_socket_monitor(wire->socket, NULL, 0);
    zmq_close(wire->monitor);
    wire->monitor = NULL;
}
