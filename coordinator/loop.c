/* SPDX-License-Identifier: MIT
 *
 * The coordinator's thread: waits for messages, deaths and deadlines, hands each to the core,
 * and carries out what the core decided. See coordinator.h. An idle loop uses no CPU.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/spin.h"
#include "coordinator/coordinator.h"
#include "coordinator/core.h"
#include "coordinator/nest.h"
#include "coordinator/post.h"
#include "coordinator/supervisor.h"
#include "proto/shared.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Messages handled before deaths and deadlines are looked at again. */
enum { DRAIN_MAX = 64 };

/* How long clients get to hear why the coordinator ends. */
enum { LAST_WORDS_MS = 100 };

/* How long workers get to end by themselves at the end. */
static const uint64_t STOP_GRACE_NS = 500 * CLOCK_NS_PER_MS;

/* While messages keep coming, deaths are looked for so often. */
static const uint64_t LOOK_NS = CLOCK_NS_PER_MS;

/* What the loop waits for. */
enum { MESSAGES, DEATHS, BELL, ITEMS };

struct coordinator {
    struct wire *router; /* owned by the thread once it runs */
    struct post *post;   /* over it */
    struct spin spin;
    struct wire_poll items[ITEMS];
    uint64_t looked_ns; /* when they were last waited for */
    struct core *core;
    struct supervisor *supervisor;
    struct outbox outbox;      /* what the core decides */
    struct outbox spare;       /* empty but while `carry_out` empties it */
    struct mappings *mappings; /* of workers whose results nobody took; owned */
    struct nest nest;
    char endpoint[WIRE_ENDPOINT_BYTES]; /* where workers connect */
    pthread_t thread;
};

static void release(struct coordinator *c, const struct slice *payload)
{
    shared_take(c->mappings, slice_bytes(payload), payload->size);
    shared_release(c->mappings, slice_bytes(payload), payload->size);
}

static int spawn(struct coordinator *c, const struct outbox_item *item, struct muster_error *ret_error)
{
    int slots_fd = post_open(c->post, item->slot, item->peer);
    int result =
        supervisor_spawn(c->supervisor, item->slot, item->peer, slots_fd, post_bell(c->post), ret_error);

    if (slots_fd >= 0)
        close(slots_fd);
    if (result != 0)
        post_close(c->post, item->slot);
    return result;
}

static void carry_out_item(struct coordinator *c, const struct outbox_item *item)
{
    struct muster_error error;

    switch (item->kind) {
    case OUTBOX_SEND:
        /* A peer that has gone is dealt with when its end is seen. */
        if (post_send(c->post, item->peer, &item->message) == MUSTER_ENOMEM)
            c->outbox.failed = true;
        return;
    case OUTBOX_SPAWN:
        if (spawn(c, item, &error) != 0)
            core_spawn_failed(c->core, clock_now_ns(), item->slot, &error, &c->outbox);
        return;
    case OUTBOX_KILL:
        supervisor_kill(c->supervisor, item->slot);
        return;
    case OUTBOX_RELEASE:
        release(c, &item->message.payload);
        return;
    }
}

/* Carries out what the core decided, and what it decides meanwhile about failures. */
static void carry_out(struct coordinator *c)
{
    while (c->outbox.count > 0 && !c->outbox.failed) {
        struct outbox decided = c->outbox;

        c->outbox = c->spare;
        c->spare = decided;
        for (size_t i = 0; i < c->spare.count; i++)
            carry_out_item(c, &c->spare.items[i]);
        outbox_clear(&c->spare);
    }
}

static void handle(struct coordinator *c, const struct wire_frame *frame)
{
    uint64_t now_ns = clock_now_ns();

    if (frame->error.code != 0)
        core_malformed(c->core, now_ns, frame->peer, &frame->error, &c->outbox);
    else
        core_message(c->core, now_ns, frame->peer, &frame->message, &c->outbox);
    carry_out(c);
}

/* Handles what post_receive, or post_receive_last, returned. Returns whether that was a message. */
static bool handle_received(struct coordinator *c, int result, struct wire_frame *frame)
{
    if (result == MUSTER_EAGAIN)
        return false;
    if (result != 0) {
        c->outbox.failed = true; /* MUSTER_ENOMEM: libzmq gives no other reason not to receive */
        return false;
    }
    handle(c, frame);
    wire_frame_destroy(frame);
    return true;
}

/* Returns whether there were any. */
static bool drain_messages(struct coordinator *c)
{
    struct wire_frame *frame = NULL;
    int count = 0, result;

    do
        result = post_receive(c->post, &frame);
    while (handle_received(c, result, frame) && ++count < DRAIN_MAX && !c->outbox.failed);
    return count > 0;
}

static void drain_deaths(struct coordinator *c)
{
    struct worker_exit exit;
    struct wire_frame *frame = NULL;
    int result;

    while (!c->outbox.failed && supervisor_reap(c->supervisor, &exit) == 0) {
        result = post_receive_last(c->post, exit.slot, &frame);
        handle_received(c, result, frame);
        post_close(c->post, exit.slot);
        core_worker_exited(c->core, clock_now_ns(), &exit, &c->outbox);
        carry_out(c);
    }
}

static void tick(struct coordinator *c)
{
    uint64_t now_ns = clock_now_ns();

    if (core_deadline(c->core) > now_ns)
        return;
    core_tick(c->core, now_ns, &c->outbox);
    carry_out(c);
}

/* Waits for the workers that were asked to stop, and ends those that do not. */
static void bury_workers(struct coordinator *c)
{
    uint64_t deadline_ns = clock_after(clock_now_ns(), STOP_GRACE_NS);
    struct wire_poll item = {.fd = supervisor_fd(c->supervisor)};
    struct worker_exit exit;

    while (supervisor_alive(c->supervisor) > 0) {
        uint64_t now_ns = clock_now_ns();

        if (now_ns >= deadline_ns || wire_wait(&item, 1, clock_poll_ms(now_ns, deadline_ns)) < 0)
            return; /* supervisor_destroy kills the rest */
        while (supervisor_reap(c->supervisor, &exit) == 0) {
        }
    }
}

/* Tells the clients why the loop ends; what was decided before is not carried out. */
static void fail(struct coordinator *c, int code, const char *reason)
{
    outbox_clear(&c->outbox);
    c->outbox.failed = false;
    core_fail(c->core, code, reason, &c->outbox);
}

/* Sees what is there; `asleep`: waits for it. */
static int look(struct coordinator *c, bool asleep)
{
    int timeout_ms = asleep ? clock_poll_ms(clock_now_ns(), core_deadline(c->core)) : 0;
    struct wire_poll *items = c->items;
    int result;

    if (!post_sleep(c->post))
        timeout_ms = 0;
    result = wire_wait(items, ITEMS, timeout_ms);
    post_wake(c->post, items[BELL].ready);
    c->looked_ns = clock_now_ns();
    return result < 0 ? result : 0;
}

/* Handles messages, and waits for them or for something else to see when there are none. */
static int wait(struct coordinator *c)
{
    bool heard = drain_messages(c);
    int result;

    c->items[DEATHS].ready = false;
    if (heard)
        return clock_now_ns() - c->looked_ns >= LOOK_NS ? look(c, false) : 0;
    spin_begin(&c->spin);
    while (!heard && spin_again(&c->spin))
        heard = drain_messages(c);
    result = heard ? 0 : look(c, true);
    spin_end(&c->spin);
    return result;
}

static void *run(void *argument)
{
    struct coordinator *c = argument;

    c->items[MESSAGES].wire = c->router;
    c->items[DEATHS].fd = supervisor_fd(c->supervisor);
    c->items[BELL].fd = post_bell(c->post);
    pthread_setname_np(pthread_self(), "coordinator");
    spin_init(&c->spin);
    core_start(c->core, clock_now_ns(), &c->outbox);
    carry_out(c);
    while (!core_stopped(c->core) && !c->outbox.failed) {
        if (wait(c) < 0) {
            fail(c, MUSTER_ESYSTEM, "the coordinator cannot wait for messages");
            break;
        }
        if (c->items[DEATHS].ready) {
            drain_messages(c); /* first: what a dead worker still sent counts */
            drain_deaths(c);
        }
        if (supervisor_settle(c->supervisor))
            mappings_trim(c->mappings);
        tick(c);
    }
    if (c->outbox.failed)
        fail(c, MUSTER_ENOMEM, "the coordinator is out of memory");
    core_stop(c->core, &c->outbox);
    carry_out(c);
    bury_workers(c);
    supervisor_destroy(c->supervisor);
    post_destroy(c->post);
    wire_close(c->router, LAST_WORDS_MS);
    return NULL;
}

static void destroy(struct coordinator *c)
{
    core_destroy(c->core);
    mappings_destroy(c->mappings);
    outbox_fini(&c->outbox);
    outbox_fini(&c->spare);
    nest_fini(&c->nest);
    free(c);
}

static int open_router(struct coordinator *c, bool tcp, struct wire_context *context,
                       struct muster_error *ret_error)
{
    int result = wire_open_router(context, &c->router, ret_error);

    if (result == 0)
        result = wire_bind(c->router, tcp ? "tcp://127.0.0.1:*" : c->nest.endpoint, ret_error);
    if (result == 0)
        result = wire_endpoint(c->router, c->endpoint, ret_error);
    if (result == 0)
        result = wire_bind(c->router, COORDINATOR_INPROC, ret_error);
    return result;
}

static int create_parts(struct coordinator *c, const struct coordinator_options *options,
                        struct wire_context *context, struct muster_error *ret_error)
{
    struct core_options core_options = {
        .workers = options->workers,
        .heartbeat_ns = options->heartbeat_ns,
        .host = options->values_inline ? 0 : heap_host(),
        .warm = options->warm,
        .owner = COORDINATOR_OWNER,
    };
    struct supervisor_options supervisor_options = {
        .launcher = options->launcher,
        .program = options->program,
        .endpoint = c->endpoint,
        .workers = options->workers,
        .plugins = options->plugins,
        .plugin_count = options->plugin_count,
        .memory_bytes = options->memory_bytes,
        .concurrency = options->concurrency,
        .lends = core_options.host != 0,
        .pin = options->pin,
    };
    int result;

    if (outbox_init(&c->outbox) != 0 || outbox_init(&c->spare) != 0 ||
        mappings_create(NULL, true, &c->mappings) != 0 || core_create(&core_options, &c->core) != 0)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "coordinator: out of memory");
    result = open_router(c, options->tcp, context, ret_error);
    if (result == 0)
        result = post_create(c->router, options->workers,
                             options->concurrency <= 1 && !options->messages_alone, &c->post, ret_error);
    if (result == 0)
        result = supervisor_create(&supervisor_options, &c->supervisor, ret_error);
    return result;
}

/* Signals are the caller's: the thread blocks them all. An errno value. */
static int start_thread(struct coordinator *c)
{
    sigset_t all, before;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&c->thread, NULL, run, c);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

int coordinator_start(const struct coordinator_options *options, struct wire_context *context,
                      struct coordinator **ret_coordinator, struct muster_error *ret_error)
{
    struct coordinator *c = calloc(1, sizeof *c);
    int result;

    if (!c)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "coordinator: out of memory");
    result = nest_init(&c->nest, ret_error);
    if (result != 0) {
        free(c);
        return result;
    }
    result = create_parts(c, options, context, ret_error);
    if (result == 0) {
        int error = start_thread(c);

        if (error != 0)
            result = muster_error_system(ret_error, error, "cannot start the coordinator's thread");
    }
    if (result != 0) {
        supervisor_destroy(c->supervisor);
        post_destroy(c->post);
        wire_close(c->router, 0);
        destroy(c);
        return result;
    }
    *ret_coordinator = c;
    return 0;
}

const char *coordinator_endpoint(const struct coordinator *coordinator)
{
    return coordinator->endpoint;
}

void coordinator_stop(struct coordinator *coordinator)
{
    if (!coordinator)
        return;
    pthread_join(coordinator->thread, NULL);
    destroy(coordinator);
}
