/* SPDX-License-Identifier: MIT
 *
 * Frames and sockets: what a peer that does not use our code can send, through a ZeroMQ
 * socket of the test's own, and what comes out at the router.
 */
#include "proto/wire.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
#include <zmq.h>

static struct wire_context *context;
static struct wire *router;
static void *foreign_context, *foreign;
static char folder[] = "/tmp/muster-test-wire-XXXXXX", endpoint[64], path[48];

static void setup(void)
{
    struct muster_error error;
    int linger_ms = 0;

    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/socket", folder);
    snprintf(endpoint, sizeof endpoint, "ipc://%s", path);
    cr_assert_eq(wire_context_create(&context, &error), 0);
    cr_assert_eq(wire_open_router(context, &router, &error), 0);
    cr_assert_eq(wire_bind(router, endpoint, &error), 0, "%s", error.text);
    foreign_context = zmq_ctx_new();
    foreign = zmq_socket(foreign_context, ZMQ_DEALER);
    zmq_setsockopt(foreign, ZMQ_ROUTING_ID, "stranger", 8);
    zmq_setsockopt(foreign, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    cr_assert_eq(zmq_connect(foreign, endpoint), 0);
}

static void teardown(void)
{
    zmq_close(foreign);
    zmq_ctx_term(foreign_context);
    wire_close(router, 0);
    wire_context_destroy(context);
    unlink(path);
    rmdir(folder);
}

TestSuite(wire, .init = setup, .fini = teardown);

static struct wire_frame *receive(struct wire *wire)
{
    struct wire_poll item = {.wire = wire};
    struct wire_frame *frame;

    int result;

    do { /* what became of its connection wakes it, too */
        cr_assert_gt(wire_wait(&item, 1, 10000), 0, "nothing came");
        result = wire_receive(wire, &frame);
    } while (result == MUSTER_EAGAIN);
    cr_assert_eq(result, 0);
    return frame;
}

static struct proto_message ping(uint64_t nonce)
{
    return (struct proto_message){.type = PROTO_PING, .ping = {.nonce = nonce}};
}

/* Sends a PING from outside, after which the router must still work. */
static void expect_alive(void)
{
    static const uint8_t header[] = {0x92, PROTO_PONG, 0x2a};
    struct wire_frame *frame;

    cr_assert_gt(zmq_send(foreign, header, sizeof header, 0), 0);
    frame = receive(router);
    cr_assert_eq(frame->error.code, 0, "%s", frame->error.text);
    cr_assert_eq(frame->message.type, PROTO_PONG);
    cr_assert_eq(frame->message.ping.nonce, 42);
    cr_assert_str_eq(frame->peer, "stranger");
    wire_frame_destroy(frame);
}

Test(wire, messages_go_both_ways_with_their_payload)
{
    static const uint8_t values[] = {0x01, 0x02};
    struct blob *blob = blob_copy(values, sizeof values);
    struct proto_message message = {.type = PROTO_ARGUMENTS,
                                    .arguments = {.ticket = 1, .first = 1, .count = 2},
                                    .payload = {.blob = blob, .size = sizeof values}};
    struct muster_error error;
    struct wire_frame *frame;
    struct wire *dealer;

    cr_assert_eq(wire_open_dealer(context, "peer", &dealer, &error), 0);
    cr_assert_eq(wire_connect(dealer, endpoint, &error), 0);
    cr_assert_eq(wire_send(dealer, NULL, &message), 0);
    blob_unref(blob);
    frame = receive(router);
    cr_assert_eq(frame->error.code, 0, "%s", frame->error.text);
    cr_assert_str_eq(frame->peer, "peer");
    cr_assert_eq(frame->message.payload.size, sizeof values);
    cr_assert_eq(memcmp(slice_bytes(&frame->message.payload), values, sizeof values), 0);
    wire_frame_destroy(frame);
    message = ping(7);
    cr_assert_eq(wire_send(router, "peer", &message), 0);
    frame = receive(dealer);
    cr_assert_eq(frame->message.ping.nonce, 7);
    cr_assert_str_eq(frame->peer, "");
    wire_frame_destroy(frame);
    wire_close(dealer, 0);
}

/* What the sender says of itself is another matter. */
static pid_t sender_of_hello(const char *name, const char *where)
{
    const struct proto_message hello = {.type = PROTO_HELLO,
                                        .hello = {.version = PROTO_VERSION, .role = PROTO_CLIENT, .pid = 1}};
    struct muster_error error;
    struct wire_frame *frame;
    struct wire *dealer;
    pid_t pid;

    cr_assert_eq(wire_open_dealer(context, name, &dealer, &error), 0);
    cr_assert_eq(wire_connect(dealer, where, &error), 0, "%s", error.text);
    cr_assert_eq(wire_send(dealer, NULL, &hello), 0);
    frame = receive(router);
    cr_assert_eq(frame->error.code, 0, "%s", frame->error.text);
    pid = frame->pid;
    wire_frame_destroy(frame);
    wire_close(dealer, 0);
    return pid;
}

Test(wire, sender_of_hello_is_known_by_the_kernel_over_ipc_alone)
{
    char tcp[WIRE_ENDPOINT_BYTES];
    struct muster_error error;

    cr_assert_eq(sender_of_hello("one", endpoint), getpid());
    cr_assert_eq(wire_bind(router, "tcp://127.0.0.1:*", &error), 0, "%s", error.text);
    cr_assert_eq(wire_endpoint(router, tcp, &error), 0);
    cr_assert_eq(sender_of_hello("two", tcp), 0);
    if (wire_bind(router, "tcp://[::1]:*", &error) == 0) { /* where there is IPv6 */
        cr_assert_eq(wire_endpoint(router, tcp, &error), 0);
        cr_assert_eq(sender_of_hello("three", tcp), 0);
    }
}

Test(wire, large_payload_is_shared_not_lost)
{
    enum { SIZE = 1 << 20 };
    uint8_t *bytes = malloc(SIZE);
    struct blob *blob;
    struct proto_message message;
    struct muster_error error;
    struct wire_frame *frame;
    struct wire *dealer;

    memset(bytes, 0x01, SIZE); /* a million ones would be too many: a string of them */
    bytes[0] = 0xc6;
    bytes[1] = 0x00;
    bytes[2] = 0x0f;
    bytes[3] = 0xff;
    bytes[4] = 0xfb; /* SIZE - 5 */
    blob = blob_take(bytes, SIZE);
    message = (struct proto_message){.type = PROTO_ARGUMENTS,
                                     .arguments = {.ticket = 1, .first = 1, .count = 1},
                                     .payload = {.blob = blob, .size = SIZE}};
    cr_assert_eq(wire_open_dealer(context, "peer", &dealer, &error), 0);
    cr_assert_eq(wire_connect(dealer, endpoint, &error), 0);
    cr_assert_eq(wire_send(dealer, NULL, &message), 0);
    blob_unref(blob); /* the message holds its own reference */
    frame = receive(router);
    cr_assert_eq(frame->error.code, 0, "%s", frame->error.text);
    cr_assert_eq(frame->message.payload.size, SIZE);
    cr_assert_eq(slice_bytes(&frame->message.payload)[SIZE - 1], 0x01);
    wire_frame_destroy(frame);
    wire_close(dealer, 0);
}

static void on_alarm(int number)
{
    (void)number;
}

/* The other half of an interrupted message was the next message; or it failed. */
Test(wire, signals_interrupt_no_message)
{
    enum { MESSAGES = 4000, ALARM_US = 20, LOOKS_MAX = 1000000 };
    static const uint8_t values[] = {0x01};
    struct itimerval often = {.it_interval.tv_usec = ALARM_US, .it_value.tv_usec = ALARM_US}, never = {0};
    struct sigaction action = {.sa_handler = on_alarm};
    struct blob *blob = blob_copy(values, sizeof values);
    struct muster_error error;
    struct wire *dealer;

    cr_assert_eq(wire_open_dealer(context, "peer", &dealer, &error), 0);
    cr_assert_eq(wire_connect(dealer, endpoint, &error), 0);
    cr_assert(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &often, NULL) == 0);
    for (uint64_t i = 1; i <= MESSAGES; i++) {
        struct proto_message message = {.type = PROTO_ARGUMENTS,
                                        .arguments = {.ticket = i, .first = 1, .count = 1},
                                        .payload = {.blob = blob, .size = sizeof values}};
        struct wire_poll item = {.wire = router};
        struct wire_frame *frame;

        cr_assert_eq(wire_send(dealer, NULL, &message), 0, "message %" PRIu64, i);
        for (int look = 0; look < LOOKS_MAX && wire_wait(&item, 1, 10000) == 0; look++)
            continue; /* woken by the alarm */
        cr_assert_eq(wire_receive(router, &frame), 0, "message %" PRIu64, i);
        cr_assert_eq(frame->error.code, 0, "message %" PRIu64 ": %s", i, frame->error.text);
        cr_assert_eq(frame->message.arguments.ticket, i);
        wire_frame_destroy(frame);
    }
    cr_assert_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
    blob_unref(blob);
    wire_close(dealer, 0);
}

Test(wire, peer_that_is_not_there_is_reported_lost)
{
    struct proto_message message = ping(1);

    cr_assert_eq(wire_send(router, "nobody", &message), MUSTER_ELOST);
}

Test(wire, garbage_header_is_reported_and_survived)
{
    struct wire_frame *frame;

    cr_assert_gt(zmq_send(foreign, "garbage", 7, 0), 0);
    frame = receive(router);
    cr_assert_neq(frame->error.code, 0);
    cr_assert_str_eq(frame->peer, "stranger");
    wire_frame_destroy(frame);
    expect_alive();
}

Test(wire, empty_header_is_reported_and_survived)
{
    struct wire_frame *frame;

    cr_assert_eq(zmq_send(foreign, "", 0, 0), 0);
    frame = receive(router);
    cr_assert_neq(frame->error.code, 0);
    wire_frame_destroy(frame);
    expect_alive();
}

Test(wire, too_many_frames_are_reported_and_survived)
{
    struct wire_frame *frame;

    for (int i = 0; i < 10; i++)
        cr_assert_gt(zmq_send(foreign, "\x92\x10\x01", 3, i < 9 ? ZMQ_SNDMORE : 0), 0);
    frame = receive(router);
    cr_assert_eq(frame->error.code, MUSTER_EPROTOCOL);
    wire_frame_destroy(frame);
    expect_alive();
}

Test(wire, payload_of_a_type_without_one_is_reported)
{
    struct wire_frame *frame;

    cr_assert_gt(zmq_send(foreign, "\x92\x10\x01", 3, ZMQ_SNDMORE), 0);
    cr_assert_gt(zmq_send(foreign, "\x01", 1, 0), 0);
    frame = receive(router);
    cr_assert_eq(frame->error.code, MUSTER_EPROTOCOL);
    wire_frame_destroy(frame);
    expect_alive();
}

Test(wire, missing_payload_is_reported)
{
    static const uint8_t arguments[] = {0x94, PROTO_ARGUMENTS, 0x01, 0x01, 0x01};
    struct wire_frame *frame;

    cr_assert_gt(zmq_send(foreign, arguments, sizeof arguments, 0), 0);
    frame = receive(router);
    cr_assert_eq(frame->error.code, MUSTER_EPROTOCOL);
    wire_frame_destroy(frame);
    expect_alive();
}

Test(wire, declared_billions_of_elements_are_refused)
{
    static const uint8_t bomb[] = {0xdd, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t arguments[] = {0x94, PROTO_ARGUMENTS, 0x01, 0x01, 0x01};
    struct wire_frame *frame;

    cr_assert_gt(zmq_send(foreign, bomb, sizeof bomb, 0), 0);
    frame = receive(router);
    cr_assert_neq(frame->error.code, 0);
    wire_frame_destroy(frame);
    cr_assert_gt(zmq_send(foreign, arguments, sizeof arguments, ZMQ_SNDMORE), 0);
    cr_assert_gt(zmq_send(foreign, bomb, sizeof bomb, 0), 0);
    frame = receive(router);
    cr_assert_neq(frame->error.code, 0);
    wire_frame_destroy(frame);
    expect_alive();
}

Test(wire, wait_sees_descriptors_beside_wires)
{
    int ends[2];
    struct wire_poll items[2] = {{.wire = router}, {.fd = -1}};

    cr_assert_eq(pipe(ends), 0);
    items[1].fd = ends[0];
    cr_assert_eq(wire_wait(items, 2, 0), 0);
    cr_assert_eq(write(ends[1], "x", 1), 1);
    cr_assert_eq(wire_wait(items, 2, 10000), 1);
    cr_assert(items[1].ready && !items[0].ready);
    close(ends[1]);
    close(ends[0]);
}

static bool is_readable(const struct wire *wire, int timeout_ms)
{
    struct pollfd item = {.fd = wire_fd(wire), .events = POLLIN};

    return poll(&item, 1, timeout_ms) == 1;
}

/* A send takes notice of what has come, after which ZeroMQ's own descriptor is silent about it. */
Test(wire, descriptor_tells_of_messages_that_a_send_took_notice_of)
{
    static const uint8_t header[] = {0x92, PROTO_PONG, 0x2a};
    struct proto_message message = ping(1);
    struct muster_error error;
    struct wire_frame *frame;

    cr_assert_eq(wire_open_fd(router, &error), 0, "%s", error.text);
    expect_alive(); /* and the stranger is known by its name */
    wire_settle(router, false);
    cr_assert_not(is_readable(router, 0));
    for (int i = 0; i < 3; i++)
        cr_assert_gt(zmq_send(foreign, header, sizeof header, 0), 0);
    cr_assert(is_readable(router, 10000));
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(wire_send(router, "stranger", &message), 0);
    wire_settle(router, false);
    for (int i = 0; i < 3; i++) {
        cr_assert(is_readable(router, 10000));
        while (wire_receive(router, &frame) == MUSTER_EAGAIN)
            cr_assert(is_readable(router, 10000));
        wire_frame_destroy(frame);
        wire_settle(router, false);
    }
    cr_assert_not(is_readable(router, 0));
    wire_settle(router, true);
    cr_assert(is_readable(router, 0));
    wire_settle(router, false);
    cr_assert_not(is_readable(router, 0));
}

/* A wire that was found empty is waited for by its descriptor alone. */
Test(wire, wait_tells_of_messages_that_a_send_took_notice_of)
{
    static const uint8_t header[] = {0x92, PROTO_PONG, 0x2a};
    struct wire_poll item = {.wire = router};
    struct proto_message message = ping(1);
    struct muster_error error;
    struct wire_frame *frame;

    cr_assert_eq(wire_open_fd(router, &error), 0, "%s", error.text);
    expect_alive(); /* and the stranger is known by its name */
    cr_assert_eq(wire_receive(router, &frame), MUSTER_EAGAIN);
    cr_assert_eq(wire_wait(&item, 1, 0), 0);
    for (int i = 0; i < 3; i++) {
        cr_assert_gt(zmq_send(foreign, header, sizeof header, 0), 0);
        cr_assert(is_readable(router, 10000));
        for (int k = 0; k < 1000; k++)
            cr_assert_eq(wire_send(router, "stranger", &message), 0);
        cr_assert_eq(wire_wait(&item, 1, 10000), 1, "what the send took notice of was forgotten");
        cr_assert_eq(wire_receive(router, &frame), 0);
        wire_frame_destroy(frame);
        cr_assert_eq(wire_receive(router, &frame), MUSTER_EAGAIN);
        cr_assert_eq(wire_wait(&item, 1, 0), 0);
    }
}

/* Until it says that it is lost, and then nothing more. */
static void expect_lost(struct wire *wire)
{
    enum { MOMENT_MS = 50 }; /* enough to notice at times what ZeroMQ's thread says after that */
    struct wire_poll item = {.wire = wire};
    struct wire_frame *frame;
    int result;

    while ((result = wire_receive(wire, &frame)) == MUSTER_EAGAIN) {
        cr_assert(is_readable(wire, 10000));
        cr_assert_gt(wire_wait(&item, 1, 10000), 0);
    }
    cr_assert_eq(result, MUSTER_ELOST);
    cr_assert_eq(wire_receive(wire, &frame), MUSTER_ELOST);
    wire_settle(wire, false);
    cr_assert_not(is_readable(wire, MOMENT_MS), "nothing more is to be heard");
    cr_assert_eq(wire_wait(&item, 1, 0), 0);
}

static struct wire *open_watched(const char *to)
{
    struct muster_error error;
    struct wire *wire;

    cr_assert_eq(wire_open_dealer(context, "peer", &wire, &error), 0);
    cr_assert_eq(wire_watch(wire, &error), 0, "%s", error.text);
    cr_assert_eq(wire_connect(wire, to, &error), 0);
    cr_assert_eq(wire_open_fd(wire, &error), 0);
    return wire;
}

Test(wire, watched_wire_notices_that_its_peer_left_behind_its_last_message)
{
    struct wire *dealer = open_watched(endpoint);
    struct proto_message message = ping(9);
    struct wire_frame *frame;

    cr_assert_eq(wire_send(dealer, NULL, &message), 0);
    wire_frame_destroy(receive(router));
    cr_assert_eq(wire_send(router, "peer", &message), 0);
    wire_close(router, 1000);
    router = NULL;
    frame = receive(dealer);
    cr_assert_eq(frame->message.ping.nonce, 9);
    wire_frame_destroy(frame);
    expect_lost(dealer);
    wire_close(dealer, 0);
}

Test(wire, watched_wire_notices_that_nobody_listens)
{
    struct wire *dealer = open_watched("ipc:///nonexistent/folder/socket");

    expect_lost(dealer);
    wire_close(dealer, 0);
}

Test(wire, followed_wire_waits_for_somebody_to_listen_and_notices_when_nobody_does_any_more)
{
    char to[80];
    struct wire_poll item;
    struct wire_frame *frame;
    struct wire *dealer, *late;
    struct muster_error error;

    snprintf(to, sizeof to, "ipc://%s/late", folder);
    cr_assert_eq(wire_open_dealer(context, "peer", &dealer, &error), 0);
    cr_assert_eq(wire_follow(dealer, &error), 0);
    cr_assert_eq(wire_connect(dealer, to, &error), 0);
    cr_assert_eq(wire_open_router(context, &late, &error), 0);
    cr_assert_eq(wire_receive(dealer, &frame), MUSTER_EAGAIN);
    cr_assert_not(wire_is_connected(dealer));
    cr_assert_eq(wire_bind(late, to, &error), 0);
    item = (struct wire_poll){.wire = dealer};
    cr_assert_eq(wire_wait(&item, 1, 10000), 1);
    cr_assert_eq(wire_receive(dealer, &frame), MUSTER_EAGAIN);
    cr_assert(wire_is_connected(dealer));
    wire_close(late, 0);
    cr_assert_eq(wire_wait(&item, 1, 10000), 1);
    cr_assert_eq(wire_receive(dealer, &frame), MUSTER_ELOST);
    cr_assert_not(wire_is_connected(dealer));
    wire_close(dealer, 0);
}

Test(wire, name_that_is_too_long_is_refused)
{
    char name[PROTO_PEER_NAME_MAX + 2];
    struct muster_error error;
    struct wire *dealer;

    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    cr_assert_eq(wire_open_dealer(context, name, &dealer, &error), MUSTER_EINVALID);
    cr_assert_eq(wire_open_dealer(context, "", &dealer, &error), MUSTER_EINVALID);
}

Test(wire, endpoint_that_cannot_be_bound_is_named)
{
    struct muster_error error;
    struct wire *second;

    cr_assert_eq(wire_open_router(context, &second, &error), 0);
    cr_assert_neq(wire_bind(second, "ipc:///nonexistent/folder/socket", &error), 0);
    cr_assert_not_null(strstr(error.text, "/nonexistent/folder/socket"));
    wire_close(second, 0);
}
