/* SPDX-License-Identifier: MIT
 *
 * Client processes, watched. See guests.h.
 */
#include "coordinator/guests.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <unistd.h>

/* Out of memory, an element is not added, and its hh.tbl is NULL; the default is to exit. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct guest {
    char name[PROTO_PEER_NAME_MAX + 1];
    int pidfd; /* owned */
    UT_hash_handle hh;
};

struct guests {
    struct guest *by_name; /* owned */
    int epoll_fd;          /* over the pidfds */
};

int guests_create(struct guests **ret_guests, struct muster_error *ret_error)
{
    struct guests *guests = calloc(1, sizeof *guests);

    if (!guests)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "coordinator: out of memory");
    guests->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (guests->epoll_fd < 0) {
        int error = errno;

        free(guests);
        return muster_error_system(ret_error, error, "cannot watch clients");
    }
    *ret_guests = guests;
    return 0;
}

/* Out of the epoll set first: a worker that is being spawned has copies of all descriptors. */
static void drop(struct guests *guests, struct guest *guest)
{
    HASH_DEL(guests->by_name, guest);
    epoll_ctl(guests->epoll_fd, EPOLL_CTL_DEL, guest->pidfd, NULL);
    close(guest->pidfd);
    free(guest);
}

void guests_destroy(struct guests *guests)
{
    struct guest *guest, *next;

    if (!guests)
        return;
    HASH_ITER(hh, guests->by_name, guest, next)
        drop(guests, guest);
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

int guests_next_dead(struct guests *guests, char ret_name[PROTO_PEER_NAME_MAX + 1])
{
    struct epoll_event event;
    struct guest *guest;

    if (epoll_wait(guests->epoll_fd, &event, 1, 0) != 1)
        return MUSTER_EAGAIN;
    guest = event.data.ptr;
    memcpy(ret_name, guest->name, sizeof guest->name);
    drop(guests, guest);
    return 0;
}
