/* SPDX-License-Identifier: MIT
 *
 * Messages over ZeroMQ: sockets, frames, and the poll that waits for both sockets and
 * descriptors. Nothing above this file sees zmq.h.
 *
 * A wire is one socket and belongs to one thread; a parcel may be made on any thread. Credits and
 * windows bound what is in flight (PROTOCOL.md); high water marks, which only a router has, bound what
 * peers do that do not keep to them. Nothing lingers unless wire_close is told to.
 */
#ifndef MUSTER_PROTO_WIRE_H
#define MUSTER_PROTO_WIRE_H

#include "base/error.h"
#include "proto/codec.h"
#include "proto/curve.h"
#include "proto/limits.h"

#include <sys/types.h>

struct wire_context;

/* Asks the processor what libsodium asks it for the first context of a process, and for its copies: there is
 * no context yet. */
void wire_prepare(void);

struct wire;
struct wire_parcel;
struct wire_frame;

/* One I/O thread. MUSTER_ELIMIT when ZeroMQ's threads could not be started. */
int wire_context_create(struct wire_context **ret_context, struct muster_error *ret_error);

/* After every wire of it is closed. Takes NULL. */
void wire_context_destroy(struct wire_context *context);

/* Contexts of this process that were made and not destroyed: none of them survives a fork. */
unsigned wire_contexts(void);

/* The coordinator's end: many peers, each known by its name. */
int wire_open_router(struct wire_context *context, struct wire **ret_wire, struct muster_error *ret_error);

/* A peer's end; `name` is unique among all peers that the router ever sees. */
int wire_open_dealer(struct wire_context *context, const char *name, struct wire **ret_wire,
                     struct muster_error *ret_error);

int wire_bind(struct wire *wire, const char *endpoint, struct muster_error *ret_error);

/* To the ipc endpoint where the socket *fd listens, who may have connected there by now. *fd is taken over,
 * and -1 then; the socket's file stays the caller's to remove. */
int wire_bind_listening(struct wire *wire, const char *endpoint, int *fd, struct muster_error *ret_error);

/* Where it was bound last, with the port that was found for `*`. */
enum { WIRE_ENDPOINT_BYTES = 256 };
int wire_endpoint(const struct wire *wire, char ret_endpoint[WIRE_ENDPOINT_BYTES],
                  struct muster_error *ret_error);

int wire_connect(struct wire *wire, const char *endpoint, struct muster_error *ret_error);

/* The same over tcp, where both sides have keys: what crosses is encrypted, the dealer knows that the router
 * has the secret of `server`, and whoever comes to the router has to have a key that is let in at the door
 * (wire_open_door), which has to be open before. All endpoints of the router over tcp have to be keyed then.
 */
int wire_bind_keyed(struct wire *wire, const char *endpoint, const struct curve_key *secret,
                    struct muster_error *ret_error);
int wire_connect_keyed(struct wire *wire, const char *endpoint, const struct curve_key *secret,
                       const struct curve_key *server, struct muster_error *ret_error);

/* Where ZeroMQ asks whether those that come to the keyed endpoints of this context may: one for all of
 * them. wire_wait says when somebody is there. */
int wire_open_door(struct wire_context *context, struct wire **ret_door, struct muster_error *ret_error);

struct wire_stranger {
    struct curve_key key; /* whose secret he has */
    char address[64];     /* of his host */
};
typedef bool wire_admit(void *context, const struct wire_stranger *stranger);

/* Answers one that is there. 0, MUSTER_EAGAIN: there is none, or MUSTER_ESYSTEM. */
int wire_answer_door(struct wire *door, wire_admit *admit, void *context);

/* Of a wire that is lost: the other side did not let its key in. */
bool wire_is_refused(const struct wire *wire);

/* Has the router keep strangers off: connections over tcp whose peers are not known. The first of more than
 * `strangers_max` is ended, and each after 10 seconds, or when 64 KiB have come by it. And counts what peers
 * send faster than it is received, by PROTO_UNREAD_BYTES_MAX; 0 strangers: it does not, and only wire_has is
 * of use. It hears nobody whose descriptor ZeroMQ does not tell: peers of this process, and of ZMTP 1 and 2.
 */
int wire_guard(struct wire *router, unsigned strangers_max, struct muster_error *ret_error);

/* Of the connection that a frame came by, and its peer: whether he is known from now on; that what he said
 * was refused, which may happen 15 times: then for 30 seconds his name is not heard, and it ends, at once or,
 * as long as it may have been another that had its descriptor before, when he says more. */
void wire_know(struct wire *router, const struct wire_frame *frame, bool known);
void wire_blame(struct wire *router, const struct wire_frame *frame);

/* A peer is not known any more, by whatever connection. `told`: he was told why; what he sends for a second
 * may have been under way, and does not end the connection. */
void wire_forget(struct wire *router, const char *peer, bool told);

/* Whether a connection of the peer of a guarded router, who is known, has not ended. When it has, all that
 * came by it can be received. */
bool wire_has(struct wire *router, const char *peer);

/* The next of those whose connection was ended for what came by it, which their names are not heard for:
 * false: there is none. `*ret_why` is a constant, or NULL: it was told of each message that was refused. */
bool wire_take_cut(struct wire *router, char ret_peer[PROTO_PEER_NAME_MAX + 1], const char **ret_why);

/* When wire_guard_tick is to be called, at the latest. 0, MUSTER_ENOMEM or MUSTER_ESYSTEM. */
uint64_t wire_guard_deadline(const struct wire *router);
int wire_guard_tick(struct wire *router, uint64_t now_ns);

/* Whether connections over tcp to a guarded router have ended since the last call, as far as that was seen by
 * wire_receive or wire_guard_tick. */
bool wire_take_ends(struct wire *router);

/* Before wire_connect, on a dealer, not over inproc: its connection is made once, and the wire
 * notices when that fails or breaks (then wire_wait says that it is ready, and wire_receive that it
 * is lost). Without, a dealer tries for ever. */
int wire_watch(struct wire *wire, struct muster_error *ret_error);

/* As wire_watch, but until the connection is made once it is tried for ever, several times a second;
 * then wire_wait says that the wire is ready, and after wire_receive has said that there is no message,
 * wire_is_connected is true. When it breaks the wire is lost: no other connection takes its place. */
int wire_follow(struct wire *wire, struct muster_error *ret_error);
bool wire_is_connected(const struct wire *wire);

/* What has crossed a connection over tcp by now, of messages that are not whole as well: a guarded router's,
 * by its descriptor and the name of its peer, which is known; a watched wire's (-1, NULL). 0 where that
 * cannot be known. */
struct wire_traffic {
    uint64_t received, sent; /* bytes; the peer's host has said that it has those that were sent */
};
struct wire_traffic wire_traffic(const struct wire *wire, int fd, const char *peer);

/* Closes the socket; messages not yet on their way get `linger_ms`. Takes NULL. */
void wire_close(struct wire *wire, int linger_ms);

/* Encodes a message, taking a reference on its payload. */
int wire_pack(const struct proto_message *message, struct wire_parcel **ret_parcel);

/* A second parcel of the same bytes, which are copied only where they are few. */
int wire_parcel_share(struct wire_parcel *parcel, struct wire_parcel **ret_parcel);

/* Takes NULL. */
void wire_parcel_destroy(struct wire_parcel *parcel);

struct wire_bytes {
    const void *bytes; /* borrowed */
    size_t size;
};

/* What of a parcel would cross the wire. Returns whether it has a payload. */
bool wire_parcel_bytes(const struct wire_parcel *parcel, struct wire_bytes *ret_header,
                       struct wire_bytes *ret_payload);

/* Sends *parcel and clears it; on failure it stays the caller's. `peer` is NULL on a dealer.
 * MUSTER_ELOST when the router knows no such peer, or when it does not receive what it is sent. Never blocks.
 */
int wire_post(struct wire *wire, const char *peer, struct wire_parcel **parcel);

/* The same of an answer with a payload that the peer of a router asked for: MUSTER_ELOST also when he asks
 * and does not receive, and 16 MiB of answers wait for him. */
int wire_post_answer(struct wire *router, const char *peer, struct wire_parcel **parcel);

/* The same of what goes through the peer to the worker `via` of its host, or comes from there. */
int wire_post_via(struct wire *wire, const char *peer, const char *via, struct wire_parcel **parcel);

/* wire_pack and wire_post in one. */
int wire_send(struct wire *wire, const char *peer, const struct proto_message *message);

/* A received message with everything it borrows from. */
struct wire_frame {
    char peer[PROTO_PEER_NAME_MAX + 1]; /* "" on a dealer */
    char via[PROTO_PEER_NAME_MAX + 1];  /* the worker of the peer's host that it is from, or for; "": none */
    struct proto_message message;       /* valid when error.code is 0 */
    struct muster_error error;          /* what was wrong with the bytes */
    size_t bytes;                       /* of header and payload */
    bool keyed;                         /* it came to a keyed endpoint, from somebody */
    struct curve_key key;               /* with this key */
    int fd;                             /* of a guarded router: of the connection; or -1 */
    uint64_t round;                     /* likewise: how often there was nothing to receive before */
    pid_t pid;                          /* of HELLO over ipc: its sender, as the kernel says; else 0 */
    uint64_t received_ns;               /* CLOCK_MONOTONIC */
    int taken; /* whether whoever received it has taken what the payload refers to: 0, or why not (shared.h)
                */
    struct blob *payload; /* what message.payload refers to, or NULL */
    struct blob *header;
    msgpack_zone zone;
};

/* The next message, decoded and its payload checked; MUSTER_EAGAIN when there is none now;
 * MUSTER_ELOST when there is none and the connection of a watched wire is gone. A malformed one
 * is returned, too, with frame->error saying so. The caller destroys the frame. MUSTER_ENOMEM,
 * MUSTER_ESYSTEM. */
int wire_receive(struct wire *wire, struct wire_frame **ret_frame);

/* The same from a copy of bytes that came another way; `payload` is NULL when there is none. 0 or
 * MUSTER_ENOMEM. */
int wire_frame_create(const char *peer, const struct wire_bytes *header, const struct wire_bytes *payload,
                      struct wire_frame **ret_frame);

/* Takes NULL. */
void wire_frame_destroy(struct wire_frame *frame);

/* One thing to wait for: a wire, or a descriptor when `wire` is NULL; an item with neither
 * (fd -1) is passed over. */
struct wire_poll {
    struct wire *wire;
    int fd;
    bool ready; /* set by wire_wait: it can be read, or has failed; of a wire, or something became of it */
};

/* Waits until an item is ready or timeout_ms (-1: for ever) passed. Returns the number of
 * ready items, or MUSTER_ESYSTEM. */
int wire_wait(struct wire_poll *items, size_t count, int timeout_ms);

/* Makes a descriptor of the wire's own for somebody else's poll. From then on, it is readable,
 * level-triggered, when wire_receive has something to return, or `ready` was set. For that,
 * wire_settle has to be called after the last of a round of sends and receives: ZeroMQ's own
 * descriptor tells of what is new, once, and forgets it with any of these. */
int wire_open_fd(struct wire *wire, struct muster_error *ret_error);
void wire_settle(struct wire *wire, bool ready);

/* What wire_open_fd made. Owned by the wire. */
int wire_fd(const struct wire *wire);

#endif
