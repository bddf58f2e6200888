/* SPDX-License-Identifier: MIT
 *
 * Messages by the wire and through slots are one stream, in order; the worker is played by the
 * test. A plain executable: ZeroMQ has threads.
 */
#include "coordinator/post.h"
#include "proto/slots.h"

#include "tests/support/check.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

static struct wire_context *context;
static struct wire *router, *worker;
static struct post *post;
static struct slots *slots; /* the worker's mapping */

static void open_both(bool attached)
{
    struct muster_error error;
    int fd;

    CHECK(wire_context_create(&context, &error) == 0);
    CHECK(wire_open_router(context, &router, &error) == 0);
    CHECK(wire_bind(router, "inproc://post", &error) == 0);
    CHECK(post_create(2, true, &post, &error) == 0);
    post_take_router(post, router);
    fd = post_open(post, 1, "worker");
    CHECK(fd >= 0);
    if (attached)
        CHECK(slots_attach(fd, &slots) == 0);
    close(fd);
    CHECK(wire_open_dealer(context, "worker", &worker, &error) == 0);
    CHECK(wire_connect(worker, "inproc://post", &error) == 0);
}

static void close_both(void)
{
    slots_unmap(slots);
    slots = NULL;
    post_destroy(post);
    wire_close(worker, 0);
    wire_close(router, 0);
    wire_context_destroy(context);
}

static struct proto_message pong(uint64_t nonce)
{
    return (struct proto_message){.type = PROTO_PONG, .ping = {.nonce = nonce}};
}

static struct proto_message chunk(uint64_t number)
{
    return (struct proto_message){.type = PROTO_CHUNK,
                                  .chunk = {.batch = 1,
                                            .chunk = number,
                                            .function = proto_text("noop"),
                                            .first = 1,
                                            .count = 1,
                                            .attempt = 1,
                                            .kind = PROTO_RANGE}};
}

/* The next message that the worker sent, whichever way. */
static uint64_t receive_nonce(void)
{
    struct wire_poll item = {.wire = router};
    struct wire_frame *frame;
    uint64_t nonce;
    int result;

    while ((result = post_receive(post, &frame)) == MUSTER_EAGAIN)
        CHECK(wire_wait(&item, 1, 10000) >= 0);
    CHECK(result == 0 && frame->error.code == 0 && frame->message.type == PROTO_PONG);
    CHECK(strcmp(frame->peer, "worker") == 0);
    nonce = frame->message.ping.nonce;
    wire_frame_destroy(frame);
    return nonce;
}

static void send_by_wire(uint64_t nonce)
{
    struct proto_message message = pong(nonce);

    CHECK(wire_send(worker, NULL, &message) == 0);
}

static bool send_by_slot(uint64_t nonce, uint64_t after)
{
    struct proto_message message = pong(nonce);
    struct wire_parcel *parcel;
    bool done;

    CHECK(wire_pack(&message, &parcel) == 0);
    done = slot_put(&slots->to_coordinator, after, parcel);
    wire_parcel_destroy(parcel);
    return done;
}

static void messages_come_in_the_order_in_which_they_were_sent(void)
{
    open_both(true);
    for (uint64_t round = 0; round < 200; round++) { /* two by the wire, one in the slot, one by the wire */
        send_by_wire(4 * round);
        send_by_wire(4 * round + 1);
        CHECK(send_by_slot(4 * round + 2, 3 * round + 2));
        send_by_wire(4 * round + 3);
        for (uint64_t place = 0; place < 4; place++)
            CHECK(receive_nonce() == 4 * round + place);
    }
    close_both();
}

/* What is in the slot was sent before what came by the wire since. */
static void slot_is_emptied_before_a_message_of_the_wire_is_handed_on(void)
{
    open_both(true);
    send_by_wire(1);
    CHECK(receive_nonce() == 1);
    for (uint64_t round = 1; round <= 200; round++) {
        CHECK(send_by_slot(2 * round, round));
        send_by_wire(2 * round + 1);
        CHECK(receive_nonce() == 2 * round);
        CHECK(receive_nonce() == 2 * round + 1);
    }
    close_both();
}

static struct wire_frame *receive_at_worker(void)
{
    struct wire_poll item = {.wire = worker};
    struct wire_frame *frame;

    CHECK(wire_wait(&item, 1, 10000) == 1);
    CHECK(wire_receive(worker, &frame) == 0 && frame->error.code == 0);
    return frame;
}

static void chunk_in_the_slot_does_not_overtake_a_cancel(void)
{
    struct proto_message first = chunk(7), second = chunk(8),
                         cancel = {.type = PROTO_CANCEL, .cancel = {.id = 1, .mode = PROTO_CANCEL_NOW}};
    struct wire_frame *frame;

    open_both(true);
    send_by_wire(1);
    CHECK(receive_nonce() == 1);
    CHECK(post_send(post, "worker", &cancel) == 0);
    CHECK(post_send(post, "worker", &first) == 0);
    CHECK(post_send(post, "worker", &second) == 0); /* the slot is full: by the wire */
    CHECK(slot_take(&slots->to_worker, 0, "", &frame) == MUSTER_EAGAIN);
    frame = receive_at_worker();
    CHECK(frame->message.type == PROTO_CANCEL);
    wire_frame_destroy(frame);
    CHECK(slot_take(&slots->to_worker, 1, "", &frame) == 0);
    CHECK(frame->message.type == PROTO_CHUNK && frame->message.chunk.chunk == 7);
    wire_frame_destroy(frame);
    frame = receive_at_worker();
    CHECK(frame->message.type == PROTO_CHUNK && frame->message.chunk.chunk == 8);
    wire_frame_destroy(frame);
    close_both();
}

static void worker_that_does_not_know_slots_gets_all_by_the_wire(void)
{
    struct proto_message message = chunk(7);
    struct wire_frame *frame;

    open_both(false);
    send_by_wire(1);
    CHECK(receive_nonce() == 1);
    CHECK(post_send(post, "worker", &message) == 0);
    frame = receive_at_worker();
    CHECK(frame->message.chunk.chunk == 7);
    wire_frame_destroy(frame);
    close_both();
}

static void last_words_of_a_dead_worker_are_heard_and_not_given_to_the_next(void)
{
    struct wire_frame *frame;
    int fd;

    open_both(true);
    CHECK(send_by_slot(5, 0));
    CHECK(post_receive_last(post, 1, &frame) == 0);
    CHECK(frame->message.ping.nonce == 5);
    wire_frame_destroy(frame);
    CHECK(post_receive_last(post, 1, &frame) == MUSTER_EAGAIN);
    CHECK(send_by_slot(6, 0));
    post_close(post, 1);
    CHECK(post_receive_last(post, 1, &frame) == MUSTER_EAGAIN);
    fd = post_open(post, 1, "next");
    CHECK(fd >= 0);
    close(fd);
    CHECK(post_receive(post, &frame) == MUSTER_EAGAIN);
    close_both();
}

static void coordinator_does_not_sleep_over_a_full_slot(void)
{
    struct pollfd bell;

    open_both(true);
    bell = (struct pollfd){.fd = post_bell(post), .events = POLLIN};
    CHECK(post_sleep(post));
    CHECK(slots_must_wake(slots));
    CHECK(!slots_must_wake(slots)); /* one of them does it */
    CHECK(write(post_bell(post), &(uint64_t){1}, sizeof(uint64_t)) == sizeof(uint64_t));
    CHECK(poll(&bell, 1, 10000) == 1);
    post_wake(post, true);
    CHECK(poll(&bell, 1, 0) == 0);
    CHECK(send_by_slot(5, 0));
    CHECK(!slots_must_wake(slots));
    CHECK(!post_sleep(post));
    post_wake(post, false);
    CHECK(receive_nonce() == 5);
    close_both();
}

/* A worker that never falls silent does not keep what others send away. */
static void stream_through_a_slot_does_not_hold_back_the_wire(void)
{
    struct proto_message message = pong(2);
    struct wire_poll item;
    struct wire_frame *frame;
    struct muster_error error;
    struct wire *client;
    bool came = false;

    open_both(true);
    item = (struct wire_poll){.wire = router};
    CHECK(wire_open_dealer(context, "client", &client, &error) == 0);
    CHECK(wire_connect(client, "inproc://post", &error) == 0);
    CHECK(wire_send(client, NULL, &message) == 0);
    CHECK(wire_wait(&item, 1, 10000) == 1);
    for (int received = 0; !came; received++) {
        CHECK(received < 100);
        send_by_slot(1, 0);
        CHECK(post_receive(post, &frame) == 0);
        came = strcmp(frame->peer, "client") == 0;
        wire_frame_destroy(frame);
    }
    wire_close(client, 0);
    close_both();
}

/* What is in the slot comes behind a message of the wire that may never come. */
static void message_whose_turn_does_not_come_does_not_keep_the_coordinator_awake(void)
{
    open_both(true);
    CHECK(send_by_slot(5, UINT64_MAX));
    CHECK(post_sleep(post));
    post_wake(post, false);
    close_both();
}

/* --- a worker that says HELLO in its slot, and connects later */

static struct proto_message hello(void)
{
    return (struct proto_message){
        .type = PROTO_HELLO,
        .hello = {.version = PROTO_VERSION, .role = PROTO_WORKER, .pid = 1, .credit = 4, .concurrency = 1}};
}

/* HELLO in the slot, which is handed on. */
static void greet(void)
{
    struct proto_message message = hello();
    struct wire_parcel *parcel;
    struct wire_frame *frame;

    CHECK(wire_pack(&message, &parcel) == 0);
    CHECK(slot_put(&slots->to_coordinator, 0, parcel));
    wire_parcel_destroy(parcel);
    CHECK(post_receive(post, &frame) == 0);
    CHECK(frame->message.type == PROTO_HELLO && strcmp(frame->peer, "worker") == 0);
    wire_frame_destroy(frame);
}

static void open_and_greet(void)
{
    open_both(true);
    greet();
}

/* HELLO by the wire, and a PONG behind it, which alone is handed on. */
static void connect_late(void)
{
    struct proto_message message = hello();

    CHECK(wire_send(worker, NULL, &message) == 0);
    send_by_wire(1);
    CHECK(receive_nonce() == 1);
}

static struct proto_message cancel(uint64_t batch)
{
    return (struct proto_message){.type = PROTO_CANCEL, .cancel = {.id = batch, .mode = PROTO_CANCEL_NOW}};
}

static void what_is_sent_before_a_worker_is_connected_comes_in_order_when_it_is(void)
{
    struct proto_message welcome = {.type = PROTO_WELCOME, .welcome = {.version = PROTO_VERSION}};
    struct proto_message first = chunk(7), second = chunk(8), last = cancel(1);
    static const enum proto_type expected[] = {PROTO_WELCOME, PROTO_CHUNK, PROTO_CANCEL};
    struct wire_frame *frame;

    open_and_greet();
    CHECK(post_send(post, "worker", &welcome) == 0);
    CHECK(atomic_load(&slots->wire_wanted) == 0); /* nobody connects for that */
    CHECK(post_send(post, "worker", &first) == 0);
    CHECK(atomic_load(&slots->wire_wanted) == 0);
    CHECK(post_send(post, "worker", &second) == 0); /* the slot is full */
    CHECK(atomic_load(&slots->wire_wanted) == 1);
    CHECK(post_send(post, "worker", &last) == 0);
    CHECK(slot_take(&slots->to_worker, 0, "", &frame) == 0);
    CHECK(frame->message.chunk.chunk == 7);
    wire_frame_destroy(frame);
    CHECK(post_send(post, "worker", &first) == 0); /* behind the two that wait */
    CHECK(slot_take(&slots->to_worker, 1, "", &frame) == MUSTER_EAGAIN);
    connect_late();
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        frame = receive_at_worker();
        CHECK(frame->message.type == expected[i]);
        wire_frame_destroy(frame);
    }
    CHECK(slot_take(&slots->to_worker, 2, "", &frame) == 0);
    wire_frame_destroy(frame);
    close_both();
}

/* It would wait for a worker that connects for nothing else. */
static void stop_does_not_wait_for_what_nobody_needs_any_more(void)
{
    struct proto_message stop = {.type = PROTO_STOP}, late = cancel(1);
    struct wire_frame *frame;

    open_and_greet();
    CHECK(post_send(post, "worker", &late) == 0);
    CHECK(post_send(post, "worker", &stop) == 0);
    CHECK(slot_take(&slots->to_worker, 0, "", &frame) == 0);
    CHECK(frame->message.type == PROTO_STOP);
    wire_frame_destroy(frame);
    close_both();
}

static void what_waits_for_a_worker_that_died_is_not_sent_to_the_next(void)
{
    struct proto_message late = cancel(1);
    struct wire_frame *frame;
    int fd;

    open_and_greet();
    CHECK(post_send(post, "worker", &late) == 0);
    post_close(post, 1);
    slots_unmap(slots);
    fd = post_open(post, 1, "worker");
    CHECK(fd >= 0 && slots_attach(fd, &slots) == 0);
    close(fd);
    greet();
    connect_late();
    CHECK(post_send(post, "worker", &(struct proto_message){.type = PROTO_PING}) == 0);
    frame = receive_at_worker();
    CHECK(frame->message.type == PROTO_PING);
    wire_frame_destroy(frame);
    close_both();
}

static void second_hello_by_the_wire_is_handed_on(void)
{
    struct proto_message message = hello();
    struct wire_poll item;
    struct wire_frame *frame;
    int result;

    open_and_greet();
    item = (struct wire_poll){.wire = router};
    connect_late();
    CHECK(wire_send(worker, NULL, &message) == 0);
    while ((result = post_receive(post, &frame)) == MUSTER_EAGAIN)
        CHECK(wire_wait(&item, 1, 10000) >= 0);
    CHECK(result == 0 && frame->message.type == PROTO_HELLO); /* whose sender is not one of ours */
    wire_frame_destroy(frame);
    close_both();
}

int main(void)
{
    static const struct check checks[] = {
        {"messages_come_in_the_order_in_which_they_were_sent",
         messages_come_in_the_order_in_which_they_were_sent},
        {"slot_is_emptied_before_a_message_of_the_wire_is_handed_on",
         slot_is_emptied_before_a_message_of_the_wire_is_handed_on},
        {"chunk_in_the_slot_does_not_overtake_a_cancel", chunk_in_the_slot_does_not_overtake_a_cancel},
        {"worker_that_does_not_know_slots_gets_all_by_the_wire",
         worker_that_does_not_know_slots_gets_all_by_the_wire},
        {"last_words_of_a_dead_worker_are_heard_and_not_given_to_the_next",
         last_words_of_a_dead_worker_are_heard_and_not_given_to_the_next},
        {"coordinator_does_not_sleep_over_a_full_slot", coordinator_does_not_sleep_over_a_full_slot},
        {"stream_through_a_slot_does_not_hold_back_the_wire",
         stream_through_a_slot_does_not_hold_back_the_wire},
        {"message_whose_turn_does_not_come_does_not_keep_the_coordinator_awake",
         message_whose_turn_does_not_come_does_not_keep_the_coordinator_awake},
        {"what_is_sent_before_a_worker_is_connected_comes_in_order_when_it_is",
         what_is_sent_before_a_worker_is_connected_comes_in_order_when_it_is},
        {"stop_does_not_wait_for_what_nobody_needs_any_more",
         stop_does_not_wait_for_what_nobody_needs_any_more},
        {"what_waits_for_a_worker_that_died_is_not_sent_to_the_next",
         what_waits_for_a_worker_that_died_is_not_sent_to_the_next},
        {"second_hello_by_the_wire_is_handed_on", second_hello_by_the_wire_is_handed_on},
    };

    return check_all(checks, sizeof checks / sizeof *checks);
}
