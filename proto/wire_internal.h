/* SPDX-License-Identifier: MIT
 *
 * A wire from inside: what wire.c, which sends, wire_receive.c, wire_wait.c, which waits, and
 * wire_watch.c, which sees what becomes of its connection, share.
 */
#ifndef MUSTER_PROTO_WIRE_INTERNAL_H
#define MUSTER_PROTO_WIRE_INTERNAL_H

#include "base/sanitize.h"
#include "proto/wire.h"

/* How ZeroMQ begins the address of a peer over ipc; behind it stand UID, GID and PID. */
#define WIRE_LOCAL "localhost:"

/* What was written into bytes before they were sent is there for the thread that receives or
 * frees them (over inproc these are the same bytes): libzmq sees to that, but it is not built
 * with the thread sanitizer, which has to be told. */
#if SANITIZE_THREAD
#include <sanitizer/tsan_interface.h>
#define HAND_OVER(bytes) __tsan_release(bytes)
#define TAKE_OVER(bytes) __tsan_acquire(bytes)
#else
#define HAND_OVER(bytes) ((void)(bytes))
#define TAKE_OVER(bytes) ((void)(bytes))
#endif

struct wire_context {
    void *zmq; /* owned */
};

struct wire {
    void *socket; /* owned */
    bool router;
    struct wire_context *context; /* borrowed */
    void *monitor;             /* owned: what happens to the connection of a watched wire, until it is lost */
    bool follows;              /* it is tried for until it is made */
    bool connected;            /* it was made, on a wire that follows */
    int stream_fd;             /* ZeroMQ's, of that connection on a wire that does not */
    uint64_t stream_cookie;    /* of it; 0: it was not made */
    bool lost;                 /* that connection is gone */
    bool refused;              /* since this side's key was not let in */
    struct wire_guard *guard;  /* owned: of a router that keeps strangers off; or NULL */
    struct wire_brake *brake;  /* owned: of the same */
    struct owed *owed;         /* owned: answers that peers of a router have not received yet */
    struct unread *unread;     /* owned: messages that came to a guarded router, by peer; */
    struct unread *turn;       /* the same, in turn */
    size_t unread_bytes;       /* of all of them, as they count */
    unsigned turns;            /* messages that were asked for since it looked ahead, */
    uint64_t ahead_ns;         /* and when it does so again at the earliest */
    bool keyed;                /* a router, at least one of whose endpoints needs keys */
    bool ended;                /* a connection to it over tcp is gone since wire_take_ends */
    int socket_fd, monitor_fd; /* theirs: readable when something is new to them */
    /* A receive, or a look, has just found nothing: what comes from now on shows on socket_fd. Not so
     * after any other call, since ZeroMQ takes notice of what has come in each. */
    bool drained;
    int poll_fd, ready_fd; /* owned, or -1: an epoll of all that may become readable, and */
    bool ready;            /* an eventfd that is, as long as this is set */
};

/* A wire over a new socket of this type. */
int wire_open_socket(struct wire_context *context, int type, struct wire **ret_wire,
                     struct muster_error *ret_error);

/* Reads the parts of one message, zmq_msg_t each: up to `max` of them, all others dropped. Returns how many
 * there were, MUSTER_EAGAIN or MUSTER_ESYSTEM. */
int wire_receive_parts(struct wire *wire, void *parts, int max);

/* A message as it came, not decoded yet: one piece of memory, unless it is large. */
struct received {
    struct blob own;       /* of the header, if that lies in it */
    struct received *next; /* of the same peer */
    char *via;             /* owned; NULL: it came through nobody */
    int parts;             /* as many as there were behind the names */
    int fd;                /* as in wire_frame */
    uint64_t round;        /* likewise */
    pid_t pid;             /* of what may be HELLO */
    bool keyed;            /* likewise */
    struct curve_key key;
    uint64_t ns;                   /* when */
    struct blob *header, *payload; /* owned */
    uint8_t bytes[];
};

void received_destroy(struct received *received);

/* Has it wait for its turn, or be dropped when its peer has too much waiting, which cuts the peer off, or
 * another that has more, when all have too much. 0 or MUSTER_ENOMEM; the message is taken over anyway. */
int unread_add(struct wire *router, const char *peer, struct received *received);

/* Has all that came to a guarded router wait in wire_unread.c. 0, MUSTER_ENOMEM, MUSTER_ESYSTEM. */
int wire_look_ahead(struct wire *router);

/* The next that waits. False: none does. */
bool unread_take(struct wire *router, char ret_peer[PROTO_PEER_NAME_MAX + 1], struct received **ret_received);

/* What waits of a peer is not heard. */
void unread_forget(struct wire *router, const char *peer);
void unread_forget_all(struct wire *router);

/* Notes whose key the message came with that has this part, a zmq_msg_t. */
void wire_take_key(void *part, struct received *received);

/* The descriptor of a ZeroMQ socket. */
int wire_socket_fd(void *socket);

/* Whether the connection of a watched wire broke, by what has happened since the last call. */
bool wire_broke(struct wire *wire);

/* Between the two calls ZeroMQ's thread waits, as soon as it comes to it; nothing that waits for it may be
 * called there. */
int brake_create(struct wire_context *context, struct wire_brake **ret_brake, struct muster_error *ret_error);
void brake_destroy(struct wire_brake *brake); /* takes NULL */
void brake_pull(struct wire_brake *brake);    /* likewise */
void brake_release(struct wire_brake *brake); /* likewise */
bool brake_is_pulled(const struct wire_brake *brake);

/* What wire_guard.c counts connections with, and is told of them. 0, MUSTER_ENOMEM, or MUSTER_ESYSTEM with
 * errno. */
int guard_create(unsigned strangers_max, struct wire_guard **ret_guard);
void guard_destroy(struct wire_guard *guard); /* takes NULL */
void guard_accepted(struct wire_guard *guard, int fd, bool tcp);
void guard_ended(struct wire_guard *guard, int fd);

/* Nothing is left of what has come: all of a connection that had ended by then was received. So often that
 * was; what is received between two of them is of one round. */
void guard_emptied(struct wire_guard *guard);
uint64_t guard_round(const struct wire_guard *guard);

/* The peer, of whom too much came over a connection that had this descriptor, the last of it in this round,
 * is not heard any more. */
void guard_cut_off(struct wire *router, const char *peer, int fd, uint64_t round);

/* Whether he is not heard, of whom something came just now. */
bool guard_is_cut(struct wire *router, const char *peer, int fd);

/* A message that is whole came by it. */
void guard_heard(struct wire_guard *guard, int fd, const char *peer);

/* Readable when guard_stirred is to be called, and then wire_guard_tick. */
int guard_stir_fd(const struct wire_guard *guard);
void guard_stirred(struct wire_guard *guard);

/* Counts an answer to the peer that has this part, a zmq_msg_t, until it is received. 0; MUSTER_ELOST: he has
 * not received too much; MUSTER_ENOMEM. Then it is not to be sent. */
int owed_count(struct wire *router, const char *peer, void *part);
void owed_forget_all(struct wire *router);

struct wire_traffic guard_traffic(const struct wire_guard *guard, int fd, const char *peer);

/* A descriptor of ZeroMQ's may be another connection's by now, but not with this cookie. */
uint64_t stream_cookie(int fd);
struct wire_traffic stream_traffic(int fd, uint64_t cookie);

/* From now on nothing is told of the connection. */
void wire_unwatch(struct wire *wire);

#endif
