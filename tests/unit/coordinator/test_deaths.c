/* SPDX-License-Identifier: MIT
 *
 * Deaths wait for what the dead have sent. A plain executable: ZeroMQ has threads.
 */
#include "base/clock.h"
#include "coordinator/deaths.h"
#include "coordinator/nest.h"

#include "tests/support/check.h"

enum { SLOT = 3, SENT = 100 };

static struct nest nest;
static struct wire_context *context;
static struct wire *router, *worker;
static struct deaths deaths;

static void say(uint64_t nonce)
{
    CHECK(wire_send(worker, NULL, &(struct proto_message){.type = PROTO_PONG, .ping = {.nonce = nonce}}) ==
          0);
}

/* With a worker that is connected, and known if the router is guarded. */
static void open_both(bool guarded)
{
    struct muster_error error;
    struct wire_frame *frame;
    struct wire_poll item;
    int result;

    CHECK(nest_init(&nest, &error) == 0);
    CHECK(wire_context_create(&context, &error) == 0);
    CHECK(wire_open_router(context, &router, &error) == 0);
    CHECK(!guarded || wire_guard(router, 0, &error) == 0);
    CHECK(wire_bind(router, nest.endpoint, &error) == 0);
    CHECK(wire_open_dealer(context, "worker", &worker, &error) == 0);
    CHECK(wire_connect(worker, nest.endpoint, &error) == 0);
    say(1);
    item = (struct wire_poll){.wire = router};
    while ((result = wire_receive(router, &frame)) == MUSTER_EAGAIN)
        CHECK(wire_wait(&item, 1, 10000) > 0);
    CHECK(result == 0);
    wire_know(router, frame, true);
    wire_frame_destroy(frame);
    CHECK(deaths_add(&deaths, 0, "worker", &(struct worker_exit){.slot = SLOT}) == 0);
}

static void close_both(void)
{
    deaths_clear(&deaths);
    wire_close(worker, 0);
    wire_close(router, 0);
    wire_context_destroy(context);
    nest_fini(&nest);
}

static void death_is_not_told_ahead_of_what_can_still_be_received(void)
{
    struct wire_poll item = {.fd = -1};
    struct worker_exit death;
    struct wire_frame *frame;
    unsigned received = 0;

    open_both(true);
    item.wire = router;
    CHECK(deaths_next(&deaths, 0, router, &death) == MUSTER_EAGAIN);
    for (uint64_t i = 0; i < SENT; i++)
        say(i);
    wire_close(worker, 10000);
    worker = NULL;
    while (deaths_next(&deaths, 0, router, &death) == MUSTER_EAGAIN)
        CHECK(wire_wait(&item, 1, 10000) > 0);
    CHECK(death.slot == SLOT);
    for (; wire_receive(router, &frame) == 0; received++)
        wire_frame_destroy(frame);
    CHECK(received == SENT);
    CHECK(deaths_deadline(&deaths) == CLOCK_NEVER);
    close_both();
}

/* A job of it may have left a process that has the socket. */
static void death_of_one_whose_connection_does_not_end_is_told_in_the_end(void)
{
    struct worker_exit death;
    uint64_t due_ns;

    open_both(true);
    due_ns = deaths_deadline(&deaths);
    CHECK(deaths_next(&deaths, due_ns - 1, router, &death) == MUSTER_EAGAIN);
    CHECK(deaths_next(&deaths, due_ns, router, &death) == 0);
    close_both();
}

static void death_waits_for_no_connection_that_nobody_watches(void)
{
    struct worker_exit death;

    open_both(false);
    CHECK(deaths_next(&deaths, 0, router, &death) == 0);
    CHECK(deaths_add(&deaths, 0, "worker", &death) == 0);
    CHECK(deaths_next(&deaths, 0, NULL, &death) == 0);
    close_both();
}

int main(void)
{
    static const struct check checks[] = {
        {"death_is_not_told_ahead_of_what_can_still_be_received",
         death_is_not_told_ahead_of_what_can_still_be_received},
        {"death_of_one_whose_connection_does_not_end_is_told_in_the_end",
         death_of_one_whose_connection_does_not_end_is_told_in_the_end},
        {"death_waits_for_no_connection_that_nobody_watches",
         death_waits_for_no_connection_that_nobody_watches},
    };

    return check_all(checks, sizeof checks / sizeof *checks);
}
