/* SPDX-License-Identifier: MIT
 *
 * A message of muster's protocol from one thread to another, through ZeroMQ: half of a PING
 * and its PONG, encoding and decoding included. Each end has a context of its own under ipc, as
 * two processes have, and both the same under inproc, as it must be.
 */
#include "lab/rung.h"

#include "base/clock.h"
#include "coordinator/nest.h"
#include "proto/descriptors.h"
#include "proto/wire.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Of two contexts: seven each for the context and its threads, twice that for their sockets. */
enum { HOP_DESCRIPTORS = 32 };

struct hop {
    struct wire_context *here, *there; /* owned; the same under inproc */
    struct wire *dealer, *router;      /* owned; the router is the other thread's while it runs */
    int over_fd;                       /* readable: the other thread ends */
};

/* Answers until it is told to end. */
static void *answer(void *context)
{
    struct hop *hop = context;
    struct wire_poll items[] = {{.wire = hop->router}, {.fd = hop->over_fd}};
    struct proto_message pong = {.type = PROTO_PONG};
    struct wire_frame *frame;

    while (wire_wait(items, 2, -1) >= 0 && !items[1].ready)
        while (wire_receive(hop->router, &frame) == 0) {
            pong.ping.nonce = frame->message.ping.nonce;
            wire_send(hop->router, frame->peer, &pong);
            wire_frame_destroy(frame);
        }
    return NULL;
}

static int ping(struct hop *hop, uint64_t nonce, struct muster_error *ret_error)
{
    struct proto_message message = {.type = PROTO_PING, .ping = {.nonce = nonce}};
    struct wire_poll item = {.wire = hop->dealer};
    struct wire_frame *frame;
    int code = wire_send(hop->dealer, NULL, &message);

    if (code == 0 && wire_wait(&item, 1, -1) < 0)
        code = MUSTER_ESYSTEM;
    if (code == 0)
        code = wire_receive(hop->dealer, &frame);
    if (code)
        return muster_error_set(ret_error, code, "ZeroMQ: %s", muster_error_name(code));
    wire_frame_destroy(frame);
    return 0;
}

/* Both ways of each PING are a hop. */
static int ping_often(void *context, uint64_t times, uint64_t *ret_ns, struct muster_error *ret_error)
{
    uint64_t began_ns = clock_now_ns();
    int code = 0;

    for (uint64_t i = 0; i < times && !code; i += 2)
        code = ping(context, i, ret_error);
    *ret_ns = clock_now_ns() - began_ns;
    return code;
}

static int measure_pings(const struct ladder_spec *spec, struct hop *hop, struct sample *sample,
                         struct muster_error *ret_error)
{
    pthread_t thread;
    uint64_t one = 1;
    int code, error;

    if ((error = pthread_create(&thread, NULL, answer, hop)) != 0)
        return muster_error_system(ret_error, error, "cannot start a thread");
    code = ping(hop, 0, ret_error); /* connects */
    if (code == 0)
        code = rung_measure(spec, ping_often, hop, RUNG_BY_TIME, sample, ret_error);
    if (write(hop->over_fd, &one, sizeof one) != (ssize_t)sizeof one && code == 0)
        code = muster_error_system(ret_error, errno, "cannot end a thread");
    pthread_join(thread, NULL);
    return code;
}

/* Opens both ends, measures, closes them as far as they were opened. */
static int measure_hop(const struct ladder_spec *spec, const char *endpoint, bool apart,
                       struct sample *sample, struct muster_error *ret_error)
{
    struct hop hop = {.over_fd = -1};
    int code = descriptors_check(HOP_DESCRIPTORS, "ZeroMQ needs", "", ret_error);

    if (code)
        return code;
    if ((hop.over_fd = eventfd(0, EFD_CLOEXEC)) < 0)
        return muster_error_system(ret_error, errno, "cannot make an eventfd");
    if ((code = wire_context_create(&hop.here, ret_error)) != 0 ||
        (apart && (code = wire_context_create(&hop.there, ret_error)) != 0) ||
        (code = wire_open_router(apart ? hop.there : hop.here, &hop.router, ret_error)) != 0 ||
        (code = wire_bind(hop.router, endpoint, ret_error)) != 0 ||
        (code = wire_open_dealer(hop.here, "ladder", &hop.dealer, ret_error)) != 0 ||
        (code = wire_connect(hop.dealer, endpoint, ret_error)) != 0)
        goto out;
    code = measure_pings(spec, &hop, sample, ret_error);
out:
    wire_close(hop.dealer, 0);
    wire_close(hop.router, 0);
    wire_context_destroy(hop.there);
    wire_context_destroy(hop.here);
    close(hop.over_fd);
    return code;
}

int rung_hop_inproc(const struct ladder_spec *spec, struct ladder_figure *figure, struct sample *sample,
                    struct muster_error *ret_error)
{
    snprintf(figure->note, sizeof figure->note, "a message of muster to another thread");
    return measure_hop(spec, "inproc://ladder", false, sample, ret_error);
}

int rung_hop_ipc(const struct ladder_spec *spec, struct ladder_figure *figure, struct sample *sample,
                 struct muster_error *ret_error)
{
    struct nest nest;
    int code = nest_init(&nest, ret_error);

    if (code)
        return code;
    snprintf(figure->note, sizeof figure->note, "the same through a socket, and two threads of ZeroMQ");
    code = measure_hop(spec, nest.endpoint, true, sample, ret_error);
    nest_fini(&nest);
    return code;
}
