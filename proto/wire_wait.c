/* SPDX-License-Identifier: MIT
 *
 * Waiting for messages, and for whatever else has a descriptor. See wire.h.
 *
 * zmq_poll asks each socket before it sleeps and afterwards, with two system calls each time, and
 * polls once more to be sure. A wire knows when it is drained, so most waits are one poll.
 */
#include "proto/wire_internal.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

enum { POLL_ITEMS_MAX = 8 };

int wire_socket_fd(void *socket)
{
    size_t size = sizeof(int);
    int fd, result = zmq_getsockopt(socket, ZMQ_FD, &fd, &size);

    assert(result == 0); /* every socket has one */
    return fd;
}

static bool readable(void *socket)
{
    int events = 0;
    size_t size = sizeof events;

    TEMP_FAILURE_RETRY(zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size));
    return events & ZMQ_POLLIN;
}

/* Whether wire_receive has something to return. */
static bool has_news(struct wire *wire)
{
    if (!wire->drained)
        wire->drained = !readable(wire->socket);
    return wire->turn || !wire->drained || (wire->monitor && readable(wire->monitor));
}

/* What is to be polled, and for which item. */
struct polling {
    struct pollfd fds[3 * POLL_ITEMS_MAX];
    struct wire_poll *items[3 * POLL_ITEMS_MAX];
    nfds_t count;
};

static void add(struct polling *polling, struct wire_poll *item, int fd)
{
    polling->fds[polling->count] = (struct pollfd){.fd = fd, .events = POLLIN};
    polling->items[polling->count++] = item;
}

/* Adds the descriptors of an item. Returns whether it is ready without being polled. */
static bool prepare(struct polling *polling, struct wire_poll *item)
{
    if (item->wire && !item->wire->turn)
        brake_release(item->wire->brake);
    item->ready = item->wire && has_news(item->wire);
    if (item->wire)
        add(polling, item, item->wire->socket_fd);
    if (item->wire && item->wire->monitor)
        add(polling, item, item->wire->monitor_fd);
    if (item->wire && item->wire->guard)
        add(polling, item, guard_stir_fd(item->wire->guard));
    if (!item->wire && item->fd >= 0)
        add(polling, item, item->fd);
    return item->ready;
}

/* One of the descriptors of its wire was readable. Returns whether something became of it. */
static bool wake(struct wire *wire, int fd)
{
    bool stirs = wire->guard && fd == guard_stir_fd(wire->guard);

    wire->drained = false;
    if (stirs)
        guard_stirred(wire->guard);
    return has_news(wire) || stirs;
}

/* Polls, and notes which items are ready. Returns how many descriptors were, -1 with errno. */
static int poll_once(struct polling *polling, int timeout_ms)
{
    int woken = poll(polling->fds, polling->count, timeout_ms);

    for (nfds_t i = 0; woken > 0 && i < polling->count; i++) {
        struct wire_poll *item = polling->items[i];

        if (polling->fds[i].revents)
            item->ready |= !item->wire || wake(item->wire, polling->fds[i].fd);
    }
    return woken;
}

/* ZeroMQ wakes a socket for more than messages: then it is polled again. */
int wire_wait(struct wire_poll *items, size_t count, int timeout_ms)
{
    uint64_t deadline_ns = CLOCK_NEVER;
    struct polling polling = {.count = 0};
    int ready = 0, woken;

    assert(count <= POLL_ITEMS_MAX);
    for (size_t i = 0; i < count; i++)
        ready += prepare(&polling, &items[i]);
    if (ready > 0)
        timeout_ms = 0;
    if (timeout_ms > 0)
        deadline_ns = clock_after(clock_now_ns(), (uint64_t)timeout_ms * CLOCK_NS_PER_MS);
    do {
        woken = poll_once(&polling, timeout_ms);
        ready = 0;
        for (size_t i = 0; i < count; i++)
            ready += items[i].ready;
        if (woken > 0 && ready == 0 && timeout_ms > 0)
            timeout_ms = clock_poll_ms(clock_now_ns(), deadline_ns);
    } while (woken > 0 && ready == 0);
    return woken < 0 && errno != EINTR ? MUSTER_ESYSTEM : ready;
}

static int watch(int poll_fd, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};

    return epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event);
}

int wire_open_fd(struct wire *wire, struct muster_error *ret_error)
{
    wire->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    wire->ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wire->poll_fd < 0 || wire->ready_fd < 0 || watch(wire->poll_fd, wire->ready_fd) != 0 ||
        watch(wire->poll_fd, wire->socket_fd) != 0 ||
        (wire->monitor && watch(wire->poll_fd, wire->monitor_fd) != 0))
        return muster_error_system(ret_error, errno, "cannot make a socket's descriptor");
    wire_settle(wire, false);
    return 0;
}

void wire_settle(struct wire *wire, bool ready)
{
    bool news = has_news(wire);
    uint64_t count = 1;
    ssize_t size;

    ready = ready || news;
    if (ready == wire->ready)
        return;
    size = ready ? write(wire->ready_fd, &count, sizeof count) : read(wire->ready_fd, &count, sizeof count);
    assert(size == sizeof count); /* it counts to 1 and back */
    wire->ready = ready;
}

int wire_fd(const struct wire *wire)
{
    return wire->poll_fd;
}
