/* SPDX-License-Identifier: MIT
 *
 * Client processes, watched. See guests.h.
 */
#include "coordinator/guests.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <uthash.h>
#include <utlist.h>

/* What a client sent last is in a socket's buffer when it ends, until a thread of ZeroMQ has had its turn on
 * a CPU: some time slices of 4 ms on a busy machine. */
static const uint64_t LAST_WORDS_NS = 300 * CLOCK_NS_PER_MS;

struct guest {
    char name[PROTO_PEER_NAME_MAX + 1];
    int pidfd;         /* owned; -1: it is dead */
    uint64_t named_ns; /* when that is told */
    UT_hash_handle hh;
    struct guest *prev, *next; /* of the dead */
};

struct guests {
    struct guest *by_name; /* owned */
    struct guest *dead;    /* in the order in which they died */
    int epoll_fd;          /* over the pidfds, and the timer of the first of the dead */
    int timer_fd;
};

int guests_create(struct guests **ret_guests, struct muster_error *ret_error)
{
    struct guests *guests = calloc(1, sizeof *guests);
    struct epoll_event event = {.events = EPOLLIN}; /* without a guest: the timer */
    int error;

    if (!guests)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "coordinator: out of memory");
    guests->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    guests->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (guests->epoll_fd < 0 || guests->timer_fd < 0 ||
        epoll_ctl(guests->epoll_fd, EPOLL_CTL_ADD, guests->timer_fd, &event) != 0) {
        error = errno;
        guests_destroy(guests);
        return muster_error_system(ret_error, error, "cannot watch clients");
    }
    *ret_guests = guests;
    return 0;
}

/* Out of the epoll set first: a worker that is being spawned has copies of all descriptors. */
static void unwatch(struct guests *guests, struct guest *guest)
{
    epoll_ctl(guests->epoll_fd, EPOLL_CTL_DEL, guest->pidfd, NULL);
    close(guest->pidfd);
    guest->pidfd = -1;
}

static void drop(struct guests *guests, struct guest *guest)
{
    HASH_DEL(guests->by_name, guest);
    if (guest->pidfd >= 0)
        unwatch(guests, guest);
    else
        DL_DELETE(guests->dead, guest);
    free(guest);
}

void guests_destroy(struct guests *guests)
{
    struct guest *guest, *next;

    if (!guests)
        return;
    HASH_ITER(hh, guests->by_name, guest, next)
        drop(guests, guest);
    if (guests->timer_fd >= 0)
        close(guests->timer_fd);
    if (guests->epoll_fd >= 0)
        close(guests->epoll_fd);
    free(guests);
}

/* Takes the descriptor. */
static int add(struct guests *guests, const char *name, int pidfd)
{
    struct guest *guest = calloc(1, sizeof *guest);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = guest};

    if (!guest) {
        close(pidfd);
        return MUSTER_ENOMEM;
    }
    guest->pidfd = pidfd;
    memcpy(guest->name, name, strnlen(name, PROTO_PEER_NAME_MAX));
    HASH_ADD_STR(guests->by_name, name, guest);
    if (!guest->hh.tbl) {
        close(pidfd);
        free(guest);
        return MUSTER_ENOMEM;
    }
    if (epoll_ctl(guests->epoll_fd, EPOLL_CTL_ADD, pidfd, &event) == 0)
        return 0;
    drop(guests, guest);
    return MUSTER_ESYSTEM;
}

int guests_watch(struct guests *guests, const char *name, pid_t pid)
{
    struct guest *guest;
    int pidfd;

    HASH_FIND_STR(guests->by_name, name, guest);
    if (guest)
        return 0;
    pidfd = pidfd_open(pid, 0); /* close-on-exec by itself */
    if (pidfd >= 0)
        return add(guests, name, pidfd);
    return errno == ESRCH ? MUSTER_ELOST : MUSTER_ESYSTEM;
}

void guests_forget(struct guests *guests, const char *name)
{
    struct guest *guest;

    HASH_FIND_STR(guests->by_name, name, guest);
    if (guest)
        drop(guests, guest);
}

int guests_fd(const struct guests *guests)
{
    return guests->epoll_fd;
}

/* Of those that died since. */
static void take_deaths(struct guests *guests)
{
    struct epoll_event event;
    struct guest *guest;
    uint64_t expired;

    while (epoll_wait(guests->epoll_fd, &event, 1, 0) == 1) {
        guest = event.data.ptr;
        if (!guest) {
            (void)!read(guests->timer_fd, &expired, sizeof expired);
            continue;
        }
        unwatch(guests, guest);
        guest->named_ns = clock_after(clock_now_ns(), LAST_WORDS_NS);
        DL_APPEND(guests->dead, guest);
    }
}

static void arm(const struct guests *guests, uint64_t deadline_ns)
{
    const struct itimerspec time = {.it_value = {.tv_sec = (time_t)(deadline_ns / CLOCK_NS_PER_S),
                                                 .tv_nsec = (long)(deadline_ns % CLOCK_NS_PER_S)}};

    timerfd_settime(guests->timer_fd, TFD_TIMER_ABSTIME, &time, NULL);
}

int guests_next_dead(struct guests *guests, char ret_name[PROTO_PEER_NAME_MAX + 1])
{
    struct guest *guest;

    take_deaths(guests);
    guest = guests->dead;
    if (!guest)
        return MUSTER_EAGAIN;
    if (clock_now_ns() < guest->named_ns) {
        arm(guests, guest->named_ns);
        return MUSTER_EAGAIN;
    }
    memcpy(ret_name, guest->name, sizeof guest->name);
    drop(guests, guest);
    return 0;
}
