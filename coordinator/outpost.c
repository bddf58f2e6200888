/* SPDX-License-Identifier: MIT
 *
 * Workers for a coordinator of another host. See outpost.h. How its connection comes to be is in
 * outpost_link.c.
 */
#include "coordinator/outpost.h"

#include "base/clock.h"
#include "base/log.h"
#include "coordinator/nest.h"
#include "coordinator/outpost_link.h"
#include "coordinator/supervisor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Messages handled before something else is looked at. */
enum { DRAIN_MAX = 64 };

/* Pauses ahead of a further try to connect, doubled each time. */
static const uint64_t PAUSE_NS = 250 * CLOCK_NS_PER_MS, PAUSE_MAX_NS = 8 * CLOCK_NS_PER_S;

/* What is waited for. */
enum { WORKERS, LINK, DEATHS, STOP, ITEMS };

struct outpost {
    const struct outpost_options *options; /* borrowed */
    struct nest nest;
    struct wire_context *context;
    struct wire *router; /* where workers connect */
    struct supervisor *supervisor;
    char (*names)[PROTO_PEER_NAME_MAX + 1]; /* of the worker in each place; "": there is none. Owned */
    struct outpost_link *link;              /* owned; NULL: none is tried now */
    bool joined_once;
    uint64_t pause_ns, retry_ns; /* of the next try, and when it is due */
    bool over;                   /* the coordinator has ended in order */
    int code;                    /* why it cannot go on; 0: it can */
    struct muster_error error;
};

static void fail(struct outpost *outpost, const struct muster_error *why)
{
    outpost->code = why->code;
    outpost->error = *why;
}

/* --- workers */

/* The place of a worker, from 1; 0: there is none of that name. */
static unsigned place_of(const struct outpost *outpost, const char *name)
{
    for (unsigned i = 0; i < outpost->options->workers; i++)
        if (outpost->names[i][0] && strcmp(outpost->names[i], name) == 0)
            return i + 1;
    return 0;
}

static void tell_exit(struct outpost *outpost, const struct worker_exit *exit)
{
    outpost_link_send(outpost->link, &(struct proto_message){.type = PROTO_EXITED,
                                                             .exited = {.place = exit->slot,
                                                                        .killed = exit->killed,
                                                                        .executing = exit->executing,
                                                                        .timed_out = exit->timed_out,
                                                                        .progress = exit->progress,
                                                                        .chunk = exit->chunk,
                                                                        .index = exit->index,
                                                                        .reason = proto_text(exit->reason)}});
}

/* Returns false where the coordinator asks for what cannot be. */
static bool spawn(struct outpost *outpost, const struct proto_spawn *message)
{
    struct worker_exit exit = {.slot = message->place};
    struct muster_error error;
    char *name;

    if (message->place > outpost->options->workers || outpost->names[message->place - 1][0])
        return false;
    name = outpost->names[message->place - 1];
    memcpy(name, message->name.bytes, message->name.size);
    name[message->name.size] = '\0';
    if (supervisor_spawn(outpost->supervisor, message->place, name, -1, -1, &error) == 0)
        return true;
    log_error("%s", error.text);
    name[0] = '\0';
    snprintf(exit.reason, sizeof exit.reason, "%.*s", (int)sizeof exit.reason - 1, error.text);
    tell_exit(outpost, &exit);
    return true;
}

static void bury_dead(struct outpost *outpost)
{
    struct worker_exit exit;

    while (supervisor_reap(outpost->supervisor, &exit) == 0) {
        outpost->names[exit.slot - 1][0] = '\0';
        if (outpost_link_is_joined(outpost->link))
            tell_exit(outpost, &exit);
    }
    supervisor_settle(outpost->supervisor);
}

static void end_workers(struct outpost *outpost)
{
    for (unsigned place = 1; place <= outpost->options->workers; place++)
        supervisor_kill(outpost->supervisor, place);
}

/* What workers say goes on as it is. One that sends no message of ours is ended here. */
static void drain_workers(struct outpost *outpost)
{
    struct wire_frame *frame;

    for (int i = 0; i < DRAIN_MAX && wire_receive(outpost->router, &frame) == 0; i++) {
        unsigned place = place_of(outpost, frame->peer);

        if (place > 0 && frame->error.code != 0)
            supervisor_kill(outpost->supervisor, place);
        else if (place > 0 && outpost_link_is_joined(outpost->link))
            outpost_link_pass(outpost->link, frame->peer, &frame->message);
        wire_frame_destroy(frame);
    }
}

/* --- the coordinator */

static void plan_retry(struct outpost *outpost)
{
    outpost_link_close(outpost->link);
    outpost->link = NULL;
    end_workers(outpost);
    outpost->retry_ns = clock_after(clock_now_ns(), outpost->pause_ns);
    outpost->pause_ns = 2 * outpost->pause_ns < PAUSE_MAX_NS ? 2 * outpost->pause_ns : PAUSE_MAX_NS;
}

/* The connection is no more. Before it was ever there, somebody waits at a terminal to hear of it. */
static void lose(struct outpost *outpost, const struct muster_error *why)
{
    bool was_joined = outpost_link_is_joined(outpost->link);

    if (!outpost->joined_once || (why->code != MUSTER_ELOST && why->code != MUSTER_ESTATE)) {
        fail(outpost, why);
        return;
    }
    if (was_joined)
        log_error("%s; workers of this host are ended, and it is tried again", why->text);
    plan_retry(outpost);
}

static void hand_to_worker(struct outpost *outpost, const struct wire_frame *frame)
{
    struct wire_parcel *parcel;

    if (place_of(outpost, frame->via) == 0 || wire_pack(&frame->message, &parcel) != 0)
        return; /* it has died, and that is on its way */
    (void)wire_post(outpost->router, frame->via, &parcel);
    wire_parcel_destroy(parcel);
}

/* Returns false where it is what no coordinator sends. */
static bool obey(struct outpost *outpost, const struct wire_frame *frame)
{
    const struct proto_message *message = &frame->message;

    if (frame->error.code != 0)
        return false;
    if (frame->via[0]) {
        hand_to_worker(outpost, frame);
        return true;
    }
    if (message->type == PROTO_STOP)
        outpost->over = true;
    else if (message->type == PROTO_SPAWN)
        return spawn(outpost, &message->spawn);
    else if (message->type == PROTO_KILL && message->kill.place <= outpost->options->workers)
        supervisor_kill(outpost->supervisor, message->kill.place);
    else
        return false;
    return true;
}

static void drain_link(struct outpost *outpost)
{
    bool was_joined = outpost_link_is_joined(outpost->link);
    struct muster_error why;
    struct wire_frame *frame;
    int result = 0;

    for (int i = 0; i < DRAIN_MAX && outpost->link && !outpost->over && !outpost->code; i++) {
        result = outpost_link_receive(outpost->link, &frame, &why);
        if (result == MUSTER_EAGAIN)
            break;
        if (result == 0) {
            if (!obey(outpost, frame))
                result = muster_error_set(&why, MUSTER_EPROTOCOL, "%s sends what no coordinator does",
                                          outpost->options->endpoint);
            wire_frame_destroy(frame);
        }
        if (result != 0)
            lose(outpost, &why);
    }
    if (!was_joined && outpost_link_is_joined(outpost->link)) {
        log_error("%u worker%s for %s", outpost->options->workers, outpost->options->workers == 1 ? "" : "s",
                  outpost->options->endpoint);
        outpost->joined_once = true;
        outpost->pause_ns = PAUSE_NS;
    }
}

/* A new connection, once nothing is left of what was done for the one before. */
static void try_again(struct outpost *outpost)
{
    struct muster_error why;

    if (outpost->link || supervisor_alive(outpost->supervisor) > 0 || clock_now_ns() < outpost->retry_ns)
        return;
    if (outpost_link_open(outpost->context, outpost->options, &outpost->link, &why) == 0)
        return;
    if (!outpost->joined_once)
        fail(outpost, &why);
    else
        plan_retry(outpost);
}

static void tick(struct outpost *outpost)
{
    struct muster_error why;

    if (outpost->link && outpost_link_tick(outpost->link, clock_now_ns(), &why) != 0)
        lose(outpost, &why);
    try_again(outpost);
}

/* --- the loop */

static int wait(struct outpost *outpost, struct wire_poll items[ITEMS])
{
    uint64_t due_ns = CLOCK_NEVER;

    if (outpost->link)
        due_ns = outpost_link_deadline(outpost->link);
    else if (supervisor_alive(outpost->supervisor) == 0) /* else their deaths are waited for */
        due_ns = outpost->retry_ns;

    items[WORKERS].wire = outpost->router;
    items[LINK].wire = outpost_link_wire(outpost->link);
    items[LINK].fd = -1;
    items[DEATHS].fd = supervisor_fd(outpost->supervisor);
    items[STOP].fd = outpost->options->stop_fd;
    return wire_wait(items, ITEMS, clock_poll_ms(clock_now_ns(), due_ns));
}

static void serve(struct outpost *outpost)
{
    struct wire_poll items[ITEMS] = {{.fd = -1}};
    const struct muster_error deaf = {.code = MUSTER_ESYSTEM, .text = "cannot wait for messages"};

    try_again(outpost);
    while (!outpost->code && !outpost->over) {
        if (wait(outpost, items) < 0) {
            fail(outpost, &deaf);
            return;
        }
        if (items[STOP].ready)
            return;
        drain_link(outpost);
        drain_workers(outpost); /* ahead of deaths: what the dead still sent counts */
        if (items[DEATHS].ready)
            bury_dead(outpost);
        if (!outpost->code && !outpost->over)
            tick(outpost);
    }
}

static int create_parts(struct outpost *outpost, struct muster_error *ret_error)
{
    const struct outpost_options *options = outpost->options;
    const struct supervisor_options supervisor_options = {
        .program = options->program,
        .endpoint = outpost->nest.endpoint,
        .workers = options->workers,
        .plugins = options->plugins,
        .plugin_count = options->plugin_count,
        .memory_bytes = options->memory_bytes,
        .sandbox = options->sandbox,
        .concurrency = options->concurrency,
        .pin = options->pin,
    };
    int result = wire_context_create(&outpost->context, ret_error);

    outpost->names = calloc(options->workers, sizeof *outpost->names);
    if (result == 0 && !outpost->names)
        result = muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    if (result == 0)
        result = wire_open_router(outpost->context, &outpost->router, ret_error);
    if (result == 0)
        result = wire_bind(outpost->router, outpost->nest.endpoint, ret_error);
    if (result == 0)
        result = supervisor_create(&supervisor_options, &outpost->supervisor, ret_error);
    return result;
}

int outpost_run(const struct outpost_options *options, struct muster_error *ret_error)
{
    struct outpost outpost = {.options = options, .pause_ns = PAUSE_NS};
    int result = nest_init(&outpost.nest, ret_error);

    if (result != 0)
        return result;
    result = create_parts(&outpost, ret_error);
    if (result == 0) {
        serve(&outpost);
        result = outpost.code;
        if (outpost.code)
            *ret_error = outpost.error;
    }
    if (outpost.over)
        log_error("the coordinator at %s has ended", options->endpoint);
    supervisor_destroy(outpost.supervisor); /* first: when this host has left, others run their jobs */
    outpost_link_leave(outpost.link);
    free(outpost.names);
    wire_close(outpost.router, 0);
    wire_context_destroy(outpost.context);
    nest_fini(&outpost.nest);
    return result;
}
