/* SPDX-License-Identifier: MIT
 *
 * A guarded router against peers that ZeroMQ speaks for, and that keep to no limit: what they send is counted
 * in bytes, and ends their connection.
 */
#include "proto/wire_internal.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

enum { TIMEOUT_MS = 30000, BLAMES = 16 };

static const uint8_t pong[] = {0x92, PROTO_PONG, 0x2a};

static struct wire_context *context;
static struct wire *router;
static char endpoint[WIRE_ENDPOINT_BYTES];
static void *peers;

static void setup(void)
{
    struct muster_error error;

    cr_assert_eq(wire_context_create(&context, &error), 0);
    cr_assert_eq(wire_open_router(context, &router, &error), 0);
    cr_assert_eq(wire_guard(router, 8, &error), 0, "%s", error.text);
    cr_assert_eq(wire_bind(router, "tcp://127.0.0.1:*", &error), 0, "%s", error.text);
    cr_assert_eq(wire_endpoint(router, endpoint, &error), 0);
    peers = zmq_ctx_new();
}

static void teardown(void)
{
    zmq_ctx_term(peers);
    wire_close(router, 0);
    wire_context_destroy(context);
}

TestSuite(wire_guard, .init = setup, .fini = teardown);

static void *create_peer(const char *name)
{
    int nothing = 0;
    void *peer = zmq_socket(peers, ZMQ_DEALER);

    zmq_setsockopt(peer, ZMQ_ROUTING_ID, name, strlen(name));
    zmq_setsockopt(peer, ZMQ_LINGER, &nothing, sizeof nothing);
    zmq_setsockopt(peer, ZMQ_SNDHWM, &nothing, sizeof nothing);
    return peer;
}

static void *connect_peer(const char *name)
{
    void *peer = create_peer(name);

    cr_assert_eq(zmq_connect(peer, endpoint), 0);
    return peer;
}

static void say(void *peer, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        cr_assert_eq(zmq_send(peer, pong, sizeof pong, 0), sizeof pong);
}

/* The next message, or NULL: somebody was cut off. */
static struct wire_frame *receive(char cut[PROTO_PEER_NAME_MAX + 1])
{
    struct wire_poll item = {.wire = router};
    struct wire_frame *frame;
    const char *why;
    int result;

    for (;;) {
        result = wire_receive(router, &frame);
        if (result == 0)
            return frame;
        cr_assert_eq(result, MUSTER_EAGAIN);
        if (wire_take_cut(router, cut, &why))
            return NULL;
        cr_assert_gt(wire_wait(&item, 1, TIMEOUT_MS), 0, "nothing came");
    }
}

/* Whom the router knows from then on, as strangers may not say much. */
static void *welcome(const char *name)
{
    char cut[PROTO_PEER_NAME_MAX + 1];
    void *peer = connect_peer(name);
    struct wire_frame *frame;

    say(peer, 1);
    frame = receive(cut);
    cr_assert_str_eq(frame->peer, name);
    wire_know(router, frame, true);
    wire_frame_destroy(frame);
    return peer;
}

Test(wire_guard, peer_whose_messages_come_faster_than_they_are_taken_is_cut_off)
{
    enum { TOO_MANY = PROTO_UNREAD_BYTES_MAX / PROTO_UNREAD_COST_BYTES };
    char cut[PROTO_PEER_NAME_MAX + 1];
    struct wire_frame *frame;
    const char *why;
    void *flooder = welcome("flooder"), *other = welcome("other");

    say(flooder, 2 * TOO_MANY);
    while (!wire_take_cut(router, cut, &why)) /* nothing is taken */
        cr_assert_eq(wire_look_ahead(router), 0);
    cr_assert_str_eq(cut, "flooder");
    say(other, 1);
    frame = receive(cut);
    cr_assert_str_eq(frame->peer, "other"); /* nothing of what the flooder had sent */
    wire_frame_destroy(frame);
    zmq_close(flooder);
    zmq_close(other);
}

Test(wire_guard, traffic_of_a_descriptor_that_is_another_s_is_not_told)
{
    char cut[PROTO_PEER_NAME_MAX + 1];
    void *peer = connect_peer("peer");
    struct wire_frame *frame;

    say(peer, 1);
    frame = receive(cut);
    wire_know(router, frame, true);
    cr_assert_gt(wire_traffic(router, frame->fd, "peer").received, 0);
    cr_assert_eq(wire_traffic(router, frame->fd, "who had it before").received, 0);
    wire_frame_destroy(frame);
    zmq_close(peer);
}

/* Takes all free descriptors up to this one; then leaves it, and one below it, for the two ends of the next
 * connection. */
static void make_room(int fd)
{
    int taken, below = -1;

    while ((taken = dup(STDOUT_FILENO)) < fd) {
        cr_assert_geq(taken, 0);
        below = taken;
    }
    close(taken);
    if (below >= 0)
        close(below);
}

/* Somebody says that, and is gone; the next has come. Returns whether that one has his descriptor. */
static bool succeed(struct wire_frame *ret_said[BLAMES], void **ret_next, struct wire_frame **ret_frame)
{
    int linger_ms = TIMEOUT_MS;
    char cut[PROTO_PEER_NAME_MAX + 1];
    struct wire_poll item = {.wire = router};
    void *former = connect_peer("former");

    zmq_setsockopt(former, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    say(former, BLAMES);
    for (unsigned i = 0; i < BLAMES; i++)
        ret_said[i] = receive(cut);
    *ret_next = create_peer("next");
    zmq_close(former);
    while (wire_broke(router), !wire_take_ends(router))
        cr_assert_gt(wire_wait(&item, 1, TIMEOUT_MS), 0, "he did not go");
    make_room(ret_said[0]->fd);
    cr_assert_eq(zmq_connect(*ret_next, endpoint), 0);
    say(*ret_next, 1);
    *ret_frame = receive(cut);
    cr_assert_str_eq((*ret_frame)->peer, "next");
    return (*ret_frame)->fd == ret_said[0]->fd;
}

static void destroy_all(struct wire_frame *frames[BLAMES])
{
    for (unsigned i = 0; i < BLAMES; i++)
        wire_frame_destroy(frames[i]);
}

static void *must_succeed(struct wire_frame *ret_said[BLAMES], struct wire_frame **ret_frame)
{
    void *next;

    while (!succeed(ret_said, &next, ret_frame)) {
        destroy_all(ret_said);
        wire_frame_destroy(*ret_frame);
        zmq_close(next);
        teardown();
        setup();
    }
    return next;
}

/* An honest client was told that nobody answers, when he had the descriptor of one who had flooded. */
Test(wire_guard, next_owner_of_a_descriptor_is_not_cut_off_for_what_the_former_sent)
{
    struct wire_frame *said[BLAMES], *frame;
    char cut[PROTO_PEER_NAME_MAX + 1];
    const char *why;
    uint64_t cookie;
    void *next;
    int fd;

    next = must_succeed(said, &frame);
    fd = frame->fd;
    wire_frame_destroy(frame);
    cookie = stream_cookie(fd);
    for (unsigned i = 0; i < BLAMES; i++)
        wire_blame(router, said[i]);
    destroy_all(said);
    cr_assert(wire_take_cut(router, cut, &why));
    cr_assert_str_eq(cut, "former");
    say(next, 1);
    frame = receive(cut);
    cr_assert_str_eq(frame->peer, "next");
    cr_assert_eq(frame->fd, fd);
    cr_assert_eq(stream_cookie(fd), cookie, "he had to come again");
    wire_frame_destroy(frame);
    zmq_close(next);
}

Test(wire_guard, who_was_cut_off_for_what_came_at_once_is_ended_by_what_he_says_next)
{
    char cut[PROTO_PEER_NAME_MAX + 1];
    struct wire_poll item = {.wire = router};
    void *peer = connect_peer("peer");
    struct wire_frame *frame;

    say(peer, BLAMES);
    while ((frame = receive(cut)) != NULL) {
        wire_blame(router, frame);
        wire_frame_destroy(frame);
    }
    cr_assert_str_eq(cut, "peer");
    do {
        say(peer, 1);
        cr_assert_gt(wire_wait(&item, 1, TIMEOUT_MS), 0);
        cr_assert_eq(wire_receive(router, &frame), MUSTER_EAGAIN, "he is heard");
        wire_broke(router);
    } while (!wire_take_ends(router));
    zmq_close(peer);
}

/* A client whose HELLO was read ahead of that of one who had gone, and who had his descriptor, was cut off
 * after ten seconds. */
Test(wire_guard, next_owner_of_a_descriptor_stays_known_whoever_is_heard_first)
{
    struct wire_frame *said[BLAMES], *frame;
    char cut[PROTO_PEER_NAME_MAX + 1];
    void *next = must_succeed(said, &frame);

    wire_know(router, frame, true);
    wire_know(router, said[0], true);
    cr_assert(wire_has(router, "next") && wire_has(router, "former"), "nobody can tell");
    wire_forget(router, "former", false); /* who could not be answered */
    cr_assert(wire_has(router, "next"));
    wire_know(router, said[1], true);
    wire_frame_destroy(frame);
    while (wire_has(router, "former")) {
        say(next, 1);
        frame = receive(cut);
        cr_assert_str_eq(frame->peer, "next");
        wire_frame_destroy(frame);
    }
    cr_assert(wire_has(router, "next"));
    destroy_all(said);
    zmq_close(next);
}

/* Says that in ZMTP 2.0, as a DEALER, and ends. */
static void say_of_old(const char *name)
{
    static const uint8_t greeting[] = {0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 1, 5};
    uint8_t bytes[64] = {0};
    size_t size = sizeof greeting;
    struct sockaddr_in address = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(bytes, greeting, size);
    bytes[size + 1] = (uint8_t)strlen(name);
    memcpy(bytes + size + 2, name, strlen(name));
    size += 2 + strlen(name);
    bytes[size + 1] = sizeof pong;
    memcpy(bytes + size + 2, pong, sizeof pong);
    size += 2 + sizeof pong;
    address.sin_port = htons((uint16_t)atoi(strrchr(endpoint, ':') + 1));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    cr_assert_eq(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(write(fd, bytes, size), (ssize_t)size);
    shutdown(fd, SHUT_WR);
    while (read(fd, bytes, sizeof bytes) > 0) {
    }
    close(fd);
}

/* ZeroMQ does not tell by which descriptor what they say came, so that nothing would bound it. */
Test(wire_guard, peer_of_an_old_version_is_not_heard)
{
    char cut[PROTO_PEER_NAME_MAX + 1];
    struct wire_frame *frame;
    void *other = connect_peer("other");

    say_of_old("old"); /* all of it has come when the router has closed */
    say(other, 1);
    frame = receive(cut);
    cr_assert_str_eq(frame->peer, "other");
    wire_frame_destroy(frame);
    cr_assert_eq(wire_receive(router, &frame), MUSTER_EAGAIN);
    zmq_close(other);
}

/* Who had the descriptor of one whose HELLO was read late was blamed for nothing. */
Test(wire_guard, who_is_taken_for_one_who_has_gone_is_cut_off_all_the_same)
{
    struct wire_frame *said[BLAMES], *frame;
    char cut[PROTO_PEER_NAME_MAX + 1];
    void *next = must_succeed(said, &frame);
    const char *why;

    wire_frame_destroy(frame);
    wire_know(router, said[0], true);
    for (unsigned i = 0; i < 3 * BLAMES && !wire_take_cut(router, cut, &why); i++) {
        say(next, 1);
        frame = receive(cut);
        if (!frame)
            break;
        wire_blame(router, frame);
        wire_frame_destroy(frame);
    }
    cr_assert_str_eq(cut, "next");
    destroy_all(said);
    zmq_close(next);
}
