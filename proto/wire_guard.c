/* SPDX-License-Identifier: MIT
 *
 * Connections of a router that nobody known has. ZeroMQ takes all that come, keeps them for as long as their
 * peers like, and reads what they send before it asks who they are; so this counts them, and ends those that
 * are too many, too long, or too much; and those of known peers, over tcp, that send a message without end,
 * of which ZeroMQ keeps all. See wire.h. The router's thread.
 *
 * ZeroMQ's one thread tells that a connection was accepted before it reads from it; with several, a peer
 * could be known before it was a stranger, and stay one.
 *
 * A connection is known by its descriptor, which is a number of ZeroMQ's, closed by its thread at any time,
 * and then another's. So whatever is done to one is done to a copy of the descriptor, once the kernel's
 * cookie says that it is the same connection.
 */
#include "base/clock.h"
#include "proto/wire_cuts.h"
#include "proto/wire_internal.h"
#include "proto/wire_names.h"
#include "proto/wire_rounds.h"

#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

/* Until it is known a peer has so long to say who it is, and so much to say it. What ours say has less than
 * 10 KiB, and then they wait; but for JOIN of a host that had workers before: for each an array, its place,
 * and a name such as worker-16384.16777215.4294967295, and for each plug-in two texts. */
static const uint64_t STRANGER_NS = 10 * CLOCK_NS_PER_S;
enum { STRANGER_BYTES_MAX = 64 << 10, RESIDENT_BYTES = 1 + 3 + 2 + 32 };

_Static_assert(PROTO_HOST_WORKERS_MAX *RESIDENT_BYTES +
                       PROTO_PLUGINS_MAX * (1 + 3 + PROTO_NAME_MAX + 2 + PROTO_DIGEST_DIGITS) + 4096 <=
                   STRANGER_BYTES_MAX,
               "the longest JOIN can be said, and a handshake ahead of it");

/* Who was told that he is not known any more has sent things before he hears it: he is not cut off for so
 * long, which would take from him what he was told. */
static const uint64_t TOLD_NS = CLOCK_NS_PER_S;

/* How often they are counted: what all of them send meanwhile is what ZeroMQ's thread can read. */
static const uint64_t COUNT_NS = 20 * CLOCK_NS_PER_MS;

/* Refusals of one connection. A peer of ours gets one. */
enum { BLAMES_MAX = 16 };

/* What a known peer may send without a message that is whole, the last of which ZeroMQ may have to read, yet:
 * the kernel keeps some MB. While something comes of it, it is looked at so often. */
enum { WHOLE_BYTES_MAX = PROTO_PAYLOAD_BYTES_MAX + PROTO_HEADER_BYTES_MAX + (32 << 20) };
static const uint64_t LOOK_NS = 100 * CLOCK_NS_PER_MS;

struct connection {
    int fd; /* ZeroMQ's */
    uint64_t cookie;
    uint64_t came_ns;
    uint64_t had_bytes; /* of a stranger that was known: what had come by then */
    bool told;          /* why he is not known any more */
    unsigned blames;
    struct names
        names;         /* of one that is known: of who may speak over it; of one that is blamed: of who did */
    bool stirs, heard; /* over tcp: something came lately; a message that is whole */
    uint64_t bytes, whole_bytes; /* by when it was looked at; by when it was heard before */
    UT_hash_handle hh;
};

struct wire_guard {
    int held_fd, none_fd; /* owned: a place for copies, which takes no descriptor more when there are none */
    struct connection *strangers; /* owned; over tcp; in the order in which they came */
    struct connection *known;     /* owned */
    int stir_fd;                  /* owned: an epoll of known connections over tcp that do not stir */
    bool stirred;                 /* it is readable */
    uint64_t look_ns;             /* when those that stir are looked at; CLOCK_NEVER: none does */
    struct connection *blamed;    /* owned */
    struct cuts cuts;
    struct rounds rounds;
    unsigned strangers_max;
    uint64_t count_ns; /* when they are counted; CLOCK_NEVER: there are none */
};

int guard_create(unsigned strangers_max, struct wire_guard **ret_guard)
{
    struct wire_guard *guard = calloc(1, sizeof *guard);

    if (!guard)
        return MUSTER_ENOMEM;
    guard->none_fd = eventfd(0, EFD_CLOEXEC);
    guard->held_fd = guard->none_fd < 0 ? -1 : fcntl(guard->none_fd, F_DUPFD_CLOEXEC, 0);
    guard->stir_fd = guard->held_fd < 0 ? -1 : epoll_create1(EPOLL_CLOEXEC);
    if (guard->stir_fd < 0) {
        guard_destroy(guard);
        return MUSTER_ESYSTEM;
    }
    guard->strangers_max = strangers_max;
    guard->count_ns = guard->look_ns = CLOCK_NEVER;
    *ret_guard = guard;
    return 0;
}

static void drop(struct connection **table, struct connection *connection)
{
    HASH_DEL(*table, connection);
    names_fini(&connection->names);
    free(connection);
}

static void drop_fd(struct connection **table, int fd)
{
    struct connection *connection;

    HASH_FIND_INT(*table, &fd, connection);
    if (connection)
        drop(table, connection);
}

void guard_destroy(struct wire_guard *guard)
{
    struct connection *connection, *next;

    if (!guard)
        return;
    HASH_ITER(hh, guard->strangers, connection, next)
        drop(&guard->strangers, connection);
    HASH_ITER(hh, guard->known, connection, next)
        drop(&guard->known, connection);
    HASH_ITER(hh, guard->blamed, connection, next)
        drop(&guard->blamed, connection);
    cuts_free(&guard->cuts);
    rounds_fini(&guard->rounds);
    if (guard->none_fd >= 0)
        close(guard->none_fd);
    if (guard->held_fd >= 0)
        close(guard->held_fd);
    if (guard->stir_fd >= 0)
        close(guard->stir_fd);
    free(guard);
}

/* --- descriptors of ZeroMQ's */

/* A copy that stays the same connection, until let_go; -1: it is none any more. Strangers may have taken all
 * descriptors there are: then it is needed most. */
static int hold(const struct wire_guard *guard, const struct connection *connection)
{
    uint64_t cookie;
    socklen_t size = sizeof cookie;

    if (dup3(connection->fd, guard->held_fd, O_CLOEXEC) >= 0 &&
        getsockopt(guard->held_fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 &&
        cookie == connection->cookie)
        return guard->held_fd;
    return -1;
}

static void let_go(const struct wire_guard *guard)
{
    dup3(guard->none_fd, guard->held_fd, O_CLOEXEC);
}

struct wire_traffic guard_traffic(const struct wire_guard *guard, int fd, const char *peer)
{
    const struct connection *known;

    HASH_FIND_INT(guard->known, &fd, known);
    return known && names_have(&known->names, peer) ? stream_traffic(fd, known->cookie)
                                                    : (struct wire_traffic){.received = 0};
}

/* ZeroMQ's thread then sees that it has ended, and closes it; what the peer still sends is refused, and what
 * he was told may be lost. */
static void cut(const struct wire_guard *guard, const struct connection *connection)
{
    struct linger none = {.l_onoff = 1};
    int held = hold(guard, connection);

    if (held >= 0) {
        setsockopt(held, SOL_SOCKET, SO_LINGER, &none, sizeof none);
        shutdown(held, SHUT_RDWR);
    }
    let_go(guard);
}

/* Without an answer, it has said nothing. */
static uint64_t bytes_of(const struct wire_guard *guard, const struct connection *connection)
{
    struct tcp_info info = {.tcpi_bytes_received = 0};
    socklen_t size = sizeof info;
    int held = hold(guard, connection);

    if (held >= 0)
        getsockopt(held, IPPROTO_TCP, TCP_INFO, &info, &size);
    let_go(guard);
    return info.tcpi_bytes_received;
}

static struct connection *add(struct connection **table, int fd)
{
    struct connection *connection = calloc(1, sizeof *connection);

    if (!connection)
        return NULL;
    connection->fd = fd;
    connection->cookie = stream_cookie(fd);
    connection->came_ns = clock_now_ns();
    HASH_ADD_INT(*table, fd, connection);
    if (connection->hh.tbl)
        return connection;
    free(connection);
    return NULL;
}

/* --- strangers */

/* Short of memory it is not counted: ZeroMQ's own time for handshakes holds. */
static void add_stranger(struct wire_guard *guard, int fd)
{
    struct connection *connection;

    drop_fd(&guard->strangers, fd);
    connection = add(&guard->strangers, fd);
    if (connection && guard->count_ns == CLOCK_NEVER)
        guard->count_ns = clock_after(connection->came_ns, COUNT_NS);
    if (HASH_COUNT(guard->strangers) > guard->strangers_max) {
        cut(guard, guard->strangers); /* the first of them */
        drop(&guard->strangers, guard->strangers);
    }
}

void guard_accepted(struct wire_guard *guard, int fd, bool tcp)
{
    rounds_came(&guard->rounds, fd);
    drop_fd(&guard->blamed, fd);
    drop_fd(&guard->known, fd);
    if (tcp)
        add_stranger(guard, fd);
}

void guard_ended(struct wire_guard *guard, int fd)
{
    rounds_ended(&guard->rounds, fd);
    drop_fd(&guard->blamed, fd);
    drop_fd(&guard->known, fd);
    drop_fd(&guard->strangers, fd);
}

static bool is_tcp(int fd)
{
    int domain = AF_UNIX;
    socklen_t size = sizeof domain;

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain != AF_UNIX;
}

/* Whether the connection that has the descriptor now is known as somebody else's: what is heard under that
 * name was sent over one that is gone. */
static bool is_of_another(const struct wire_guard *guard, int fd, const char *peer)
{
    const struct connection *known;

    HASH_FIND_INT(guard->known, &fd, known);
    return known && !names_have(&known->names, peer);
}

/* The next that comes of it is told, once. */
static void await_stir(const struct wire_guard *guard, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data = {.fd = fd}};

    if (epoll_ctl(guard->stir_fd, EPOLL_CTL_MOD, fd, &event) != 0)
        epoll_ctl(guard->stir_fd, EPOLL_CTL_ADD, fd, &event);
}

/* As long as nobody can tell who of several has the connection, all of them do. */
static void note_known(struct wire_guard *guard, const struct wire_frame *frame)
{
    struct connection *connection;
    int fd = frame->fd;

    drop_fd(&guard->strangers, fd);
    HASH_FIND_INT(guard->known, &fd, connection);
    if (connection && connection->cookie == stream_cookie(fd) &&
        !rounds_prove(&guard->rounds, fd, frame->round)) {
        names_add(&connection->names, frame->peer);
        return;
    }
    drop_fd(&guard->known, fd);
    connection = add(&guard->known, fd);
    if (!connection)
        return;
    if (!names_add(&connection->names, frame->peer)) {
        drop(&guard->known, connection);
        return;
    }
    if (!is_tcp(fd))
        return;
    connection->bytes = connection->whole_bytes = bytes_of(guard, connection);
    await_stir(guard, fd);
}

/* Who spoke over this connection is not known any more, and nobody else may have done so. */
static void estrange(struct wire_guard *guard, struct connection *known, const char *peer, bool told)
{
    int fd = known->fd;
    bool same = stream_cookie(fd) == known->cookie;
    struct connection *stranger;

    names_drop(&known->names, peer);
    if (known->names.list)
        return;
    drop(&guard->known, known);
    if (!same || !is_tcp(fd))
        return;
    add_stranger(guard, fd);
    HASH_FIND_INT(guard->strangers, &fd, stranger);
    if (!stranger)
        return;
    stranger->had_bytes = bytes_of(guard, stranger);
    stranger->told = told;
}

void wire_know(struct wire *router, const struct wire_frame *frame, bool known)
{
    struct wire_guard *guard = router->guard;
    struct connection *before;
    int fd = frame->fd;

    if (!guard || fd < 0)
        return;
    wire_broke(router); /* it has been accepted before it said something, but that was not seen yet */
    HASH_FIND_INT(guard->known, &fd, before);
    if (known && rounds_since(&guard->rounds, fd) == ROUNDS_NOBODY)
        return; /* he has gone meanwhile */
    if (known) {
        if (is_of_another(guard, fd, frame->peer))
            drop_fd(&guard->blamed, fd);
        note_known(guard, frame);
    } else if (before && !is_of_another(guard, fd, frame->peer)) { /* else it is a stranger's all the time */
        estrange(guard, before, frame->peer, false);
    }
}

void wire_forget(struct wire *router, const char *peer, bool told)
{
    struct wire_guard *guard = router->guard;
    struct connection *connection, *next;

    if (!guard)
        return;
    wire_broke(router);
    HASH_ITER(hh, guard->known, connection, next)
        if (names_have(&connection->names, peer))
            estrange(guard, connection, peer, told);
}

bool wire_has(struct wire *router, const char *peer)
{
    const struct connection *connection, *next;

    if (!router->guard)
        return false;
    wire_broke(router);
    HASH_ITER(hh, router->guard->known, connection, next)
        if (names_have(&connection->names, peer))
            return true;
    return false;
}

bool wire_take_cut(struct wire *router, char ret_peer[PROTO_PEER_NAME_MAX + 1], const char **ret_why)
{
    return router->guard && cuts_take(&router->guard->cuts, ret_peer, ret_why);
}

/* Ends the connection by which something came from one who is cut off. While it may be another's, he is just
 * not heard: by what he says next it is his, or is gone. */
static void cut_sender(struct wire *router, struct cut *by, int fd, uint64_t round)
{
    struct wire_guard *guard = router->guard;
    struct connection now = {.fd = fd, .cookie = stream_cookie(fd)};

    wire_broke(router);
    if (!rounds_prove(&guard->rounds, fd, round))
        return;
    by->fd = fd;
    by->came = rounds_since(&guard->rounds, fd);
    cut(guard, &now);
}

/* Short of memory he is heard until nothing is left of what he sent. */
static void cut_peer(struct wire *router, const char *peer, int fd, uint64_t round, const char *why)
{
    struct cut *by = cuts_add(&router->guard->cuts, peer, why);

    if (by)
        cut_sender(router, by, fd, round);
}

void guard_cut_off(struct wire *router, const char *peer, int fd, uint64_t round)
{
    cut_peer(router, peer, fd, round, "too much that it sent waited for its turn");
}

bool guard_is_cut(struct wire *router, const char *peer, int fd)
{
    struct wire_guard *guard = router->guard;
    struct cut *by = cuts_find(&guard->cuts, peer);

    if (by && (by->fd != fd || by->came != rounds_since(&guard->rounds, fd)))
        cut_sender(router, by, fd, guard->rounds.now);
    return by != NULL;
}

uint64_t guard_round(const struct wire_guard *guard)
{
    return guard->rounds.now;
}

void guard_emptied(struct wire_guard *guard)
{
    guard->rounds.now++;
}

/* --- messages without end */

void guard_heard(struct wire_guard *guard, int fd, const char *peer)
{
    struct connection *known;
    bool proved = rounds_prove(&guard->rounds, fd, guard->rounds.now);

    HASH_FIND_INT(guard->known, &fd, known);
    if (known && names_have(&known->names, peer)) {
        known->heard = true;
        if (proved)
            names_settle(&known->names, peer);
    } else if (known && proved) { /* those who were taken for him have gone */
        drop(&guard->known, known);
        if (is_tcp(fd))
            add_stranger(guard, fd);
    }
}

int guard_stir_fd(const struct wire_guard *guard)
{
    return guard->stir_fd;
}

void guard_stirred(struct wire_guard *guard)
{
    guard->stirred = true;
}

static void take_stirs(struct wire_guard *guard, uint64_t now_ns)
{
    struct epoll_event events[64];
    struct connection *known;
    int count = epoll_wait(guard->stir_fd, events, sizeof events / sizeof *events, 0);

    guard->stirred = false;
    for (int i = 0; i < count; i++) {
        HASH_FIND_INT(guard->known, &events[i].data.fd, known);
        if (!known)
            continue;
        known->stirs = true;
        if (guard->look_ns == CLOCK_NEVER)
            guard->look_ns = clock_after(now_ns, LOOK_NS);
    }
}

/* Whether it is cut off. */
static bool look(struct wire_guard *guard, struct connection *known)
{
    uint64_t bytes = bytes_of(guard, known);
    const struct name *name;

    if (known->heard)
        known->whole_bytes = bytes;
    known->heard = false;
    known->stirs = bytes > known->bytes;
    known->bytes = bytes;
    if (bytes > known->whole_bytes + WHOLE_BYTES_MAX) {
        cut(guard, known);
        LL_FOREACH(known->names.list, name)
            cuts_add(&guard->cuts, name->text, "it sent a message without end");
        return true;
    }
    if (!known->stirs)
        await_stir(guard, known->fd);
    return false;
}

/* What is whole has been heard, by now. */
static void look_at_known(struct wire_guard *guard, uint64_t now_ns)
{
    struct connection *known, *next;
    bool any = false;

    HASH_ITER(hh, guard->known, known, next) {
        if (!known->stirs)
            continue;
        if (look(guard, known))
            drop(&guard->known, known);
        else
            any |= known->stirs;
    }
    guard->look_ns = any ? clock_after(now_ns, LOOK_NS) : CLOCK_NEVER;
}

/* --- in time */

void wire_blame(struct wire *router, const struct wire_frame *frame)
{
    struct wire_guard *guard = router->guard;
    struct connection *connection;

    if (!guard || frame->fd < 0 || is_of_another(guard, frame->fd, frame->peer))
        return;
    HASH_FIND_INT(guard->strangers, &frame->fd, connection);
    if (connection && connection->told)
        return; /* the limits of strangers are his */
    HASH_FIND_INT(guard->blamed, &frame->fd, connection);
    if (!connection && !(connection = add(&guard->blamed, frame->fd)))
        return;
    if (!names_have(&connection->names, frame->peer)) { /* one of them had it before */
        names_fini(&connection->names);
        connection->blames = 0;
    }
    if (!names_add(&connection->names, frame->peer))
        return;
    if (++connection->blames < BLAMES_MAX)
        return;
    drop(&guard->blamed, connection);
    cut_peer(router, frame->peer, frame->fd, frame->round, NULL);
    unread_forget(router, frame->peer);
}

static bool is_within_limits(const struct wire_guard *guard, const struct connection *stranger,
                             uint64_t now_ns)
{
    if (stranger->told && now_ns < clock_after(stranger->came_ns, TOLD_NS))
        return true;
    return now_ns < clock_after(stranger->came_ns, STRANGER_NS) &&
           bytes_of(guard, stranger) <= stranger->had_bytes + STRANGER_BYTES_MAX;
}

uint64_t wire_guard_deadline(const struct wire *router)
{
    const struct wire_guard *guard = router->guard;

    if (!guard)
        return CLOCK_NEVER;
    return guard->look_ns < guard->count_ns ? guard->look_ns : guard->count_ns;
}

static void count_strangers(struct wire_guard *guard, uint64_t now_ns)
{
    struct connection *connection, *next;

    HASH_ITER(hh, guard->strangers, connection, next) {
        if (is_within_limits(guard, connection, now_ns))
            continue;
        cut(guard, connection);
        drop(&guard->strangers, connection);
    }
    guard->count_ns = guard->strangers ? clock_after(now_ns, COUNT_NS) : CLOCK_NEVER;
}

int wire_guard_tick(struct wire *router, uint64_t now_ns)
{
    struct wire_guard *guard = router->guard;
    int result = 0;

    if (!guard)
        return 0;
    wire_broke(router);
    if (guard->stirred)
        take_stirs(guard, now_ns);
    if (now_ns >= guard->count_ns)
        count_strangers(guard, now_ns);
    if (now_ns >= guard->look_ns && (result = wire_look_ahead(router)) == 0)
        look_at_known(guard, now_ns);
    return result;
}
