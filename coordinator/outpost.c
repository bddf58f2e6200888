/* SPDX-License-Identifier: MIT
 *
 * Workers for a coordinator of another host. See outpost.h. How its connection comes to be is in
 * outpost_link.c.
 */
#include "coordinator/outpost.h"

#include "base/clock.h"
#include "base/log.h"
#include "coordinator/deaths.h"
#include "coordinator/nest.h"
#include "coordinator/outpost_link.h"
#include "coordinator/reconnect.h"
#include "coordinator/supervisor.h"
#include "coordinator/withheld.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Messages handled before something else is looked at. */
enum { DRAIN_MAX = 64 };

/* Likewise, before it is told that a worker is dead: more than all of them sent that keep to their credit. */
enum { LAST_MAX = 64 * DRAIN_MAX };

/* How long workers would go on by themselves: it is decided here that they do not. The longest that
 * --link-grace takes, as that is the longest of --host-grace. */
static const uint64_t WORKERS_GRACE_NS = PROTO_TIMEOUT_MS_MAX * CLOCK_NS_PER_MS;

/* What is waited for. */
enum { WORKERS, LINK, DEATHS, STOP, ITEMS };

struct outpost {
    const struct outpost_options *options; /* borrowed */
    struct nest nest;
    struct withheld withheld;
    struct wire_context *context;
    struct wire *router; /* where workers connect; NULL while the connection is lost, so that they know */
    struct supervisor *supervisor;
    char (*names)[PROTO_PEER_NAME_MAX + 1]; /* of the worker in each place; "": there is none. Owned */
    struct deaths deaths;                   /* of which the coordinator was not told yet */
    struct outpost_link *link;              /* owned; NULL: none is tried now */
    struct outpost_session session;         /* as it was joined last */
    bool joined_once;
    struct reconnect reconnect;
    uint64_t hold_ns; /* without a connection: when its workers are ended; CLOCK_NEVER */
    bool over;        /* the coordinator has ended in order */
    int code;         /* why it cannot go on; 0: it can */
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
                                                                        .batch = exit->batch,
                                                                        .attempt = exit->attempt,
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

/* Nobody wants them any more, nor to know how they ended. */
static void end_workers(struct outpost *outpost)
{
    for (unsigned i = 0; i < outpost->options->workers; i++) {
        supervisor_kill(outpost->supervisor, i + 1);
        outpost->names[i][0] = '\0';
    }
    deaths_clear(&outpost->deaths);
    outpost->session.state = 0;
    outpost->hold_ns = CLOCK_NEVER;
}

/* What workers say goes on as it is. One that sends no message of ours is ended here. */
static void drain_workers(struct outpost *outpost, int most)
{
    struct wire_frame *frame;

    for (int i = 0; i < most && outpost->router && wire_receive(outpost->router, &frame) == 0; i++) {
        unsigned place = place_of(outpost, frame->peer);

        if (place > 0 && frame->error.code == 0 && frame->message.type == PROTO_HELLO)
            wire_know(outpost->router, frame, true);
        if (place > 0 && frame->error.code != 0)
            supervisor_kill(outpost->supervisor, place);
        else if (place > 0 && outpost_link_is_joined(outpost->link))
            outpost_link_pass(outpost->link, frame->peer, &frame->message);
        wire_frame_destroy(frame);
    }
}

/* Nobody waits for one that was ended here. Short of memory, it is told of ahead of what it still sent, or is
 * not there any more when there is a connection again. */
static void bury(struct outpost *outpost, const struct worker_exit *exit)
{
    char *name = outpost->names[exit->slot - 1];

    if (!name[0] || deaths_add(&outpost->deaths, clock_now_ns(), name, exit) == 0)
        return;
    name[0] = '\0';
    if (outpost_link_is_joined(outpost->link))
        tell_exit(outpost, exit);
}

static void bury_dead(struct outpost *outpost)
{
    struct worker_exit exit;

    while (supervisor_reap(outpost->supervisor, &exit) == 0)
        bury(outpost, &exit);
    supervisor_settle(outpost->supervisor);
}

/* Those of which all that they sent is passed on. What cannot be told now is told when there is a connection
 * again. */
static void tell_deaths(struct outpost *outpost)
{
    struct worker_exit exit;

    while (outpost_link_is_joined(outpost->link) &&
           deaths_next(&outpost->deaths, clock_now_ns(), outpost->router, &exit) == 0) {
        drain_workers(outpost, LAST_MAX);
        outpost->names[exit.slot - 1][0] = '\0';
        tell_exit(outpost, &exit);
    }
}

/* --- the coordinator */

static void plan_retry(struct outpost *outpost)
{
    outpost_link_close(outpost->link);
    outpost->link = NULL;
    reconnect_plan(&outpost->reconnect, clock_now_ns(), outpost->session.state != 0);
}

/* Workers notice that there is no coordinator, and keep what they have to report until there is one. */
static void hold_workers(struct outpost *outpost)
{
    wire_close(outpost->router, 0);
    outpost->router = NULL;
    outpost->hold_ns = clock_after(clock_now_ns(), outpost->session.hold_ms * CLOCK_NS_PER_MS);
    if (outpost->session.hold_ms == 0)
        end_workers(outpost);
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
        hold_workers(outpost);
    if (was_joined)
        log_error("%s; %s, and it is tried again", why->text,
                  outpost->session.state ? "workers go on with what they have"
                                         : "workers of this host are ended");
    else if (why->code == MUSTER_ESTATE && outpost->session.state) {
        log_error("%s", why->text);
        end_workers(outpost);
    }
    plan_retry(outpost);
}

static int open_router(struct outpost *outpost, struct muster_error *ret_error)
{
    int result = wire_open_router(outpost->context, &outpost->router, ret_error);

    if (result == 0) /* which says when connections end; there are no strangers */
        result = wire_guard(outpost->router, 0, ret_error);
    return result == 0 ? wire_bind(outpost->router, outpost->nest.endpoint, ret_error) : result;
}

/* It is joined. Its workers, if it has some from before, connect again, and say what they have. */
static void begin(struct outpost *outpost)
{
    struct muster_error why;

    log_error("%u worker%s for %s", outpost->options->workers, outpost->options->workers == 1 ? "" : "s",
              outpost->options->endpoint);
    outpost->session = *outpost_link_session(outpost->link);
    outpost->joined_once = true;
    reconnect_begin(&outpost->reconnect);
    outpost->hold_ns = CLOCK_NEVER;
    tell_deaths(outpost);
    if (open_router(outpost, &why) != 0)
        fail(outpost, &why);
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
    struct muster_error why;
    struct wire_frame *frame;
    int result = 0;

    for (int i = 0; i < DRAIN_MAX && outpost->link && !outpost->over && !outpost->code; i++) {
        result = outpost_link_receive(outpost->link, &frame, &why);
        if (result == MUSTER_EAGAIN)
            break;
        if (result == 0 && !frame) {
            begin(outpost);
        } else if (result == 0) {
            if (!obey(outpost, frame))
                result = muster_error_set(&why, MUSTER_EPROTOCOL, "%s sends what no coordinator does",
                                          outpost->options->endpoint);
            wire_frame_destroy(frame);
        }
        if (result != 0)
            lose(outpost, &why);
    }
}

/* Those that it has, and those that ended without that it could say so. */
static uint32_t list_residents(const struct outpost *outpost, struct proto_resident *residents)
{
    uint32_t count = 0;

    for (unsigned i = 0; i < outpost->options->workers; i++)
        if (outpost->names[i][0])
            residents[count++] =
                (struct proto_resident){.place = i + 1, .name = proto_text(outpost->names[i])};
    return count;
}

static int draw_session(struct outpost *outpost, struct muster_error *ret_error)
{
    uint64_t *session = &outpost->session.session;

    if (getrandom(session, sizeof *session, 0) != sizeof *session)
        return muster_error_system(ret_error, errno, "cannot make up a name for this host");
    *session |= 1; /* 0: none */
    return 0;
}

static int open_link(struct outpost *outpost, struct muster_error *ret_error)
{
    struct proto_resident *residents = calloc(outpost->options->workers, sizeof *residents);
    int result = 0;

    if (!residents)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    if (outpost->session.state == 0)
        result = draw_session(outpost, ret_error);
    outpost->session.connection++;
    if (result == 0)
        result = outpost_link_open(outpost->context, outpost->options, &outpost->session, residents,
                                   list_residents(outpost, residents), &outpost->link, ret_error);
    free(residents);
    return result;
}

/* A new connection: for the workers that there are, or once nothing is left of them. */
static void try_again(struct outpost *outpost)
{
    struct muster_error why;

    if (outpost->link || (outpost->session.state == 0 && supervisor_alive(outpost->supervisor) > 0) ||
        clock_now_ns() < outpost->reconnect.due_ns)
        return;
    if (open_link(outpost, &why) == 0)
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
    if (!outpost->code && clock_now_ns() >= outpost->hold_ns) {
        log_error("no coordinator was found at %s in time; workers of this host are ended",
                  outpost->options->endpoint);
        end_workers(outpost);
        outpost_link_close(outpost->link);
        outpost->link = NULL;
    }
    if (!outpost->code)
        try_again(outpost);
}

/* --- the loop */

static int wait(struct outpost *outpost, struct wire_poll items[ITEMS])
{
    uint64_t due_ns = CLOCK_NEVER;

    if (outpost->link)
        due_ns = outpost_link_deadline(outpost->link);
    else if (outpost->session.state != 0 || supervisor_alive(outpost->supervisor) == 0)
        due_ns = outpost->reconnect.due_ns; /* else their deaths are waited for */
    if (outpost->hold_ns < due_ns)
        due_ns = outpost->hold_ns;
    if (outpost_link_is_joined(outpost->link) && deaths_deadline(&outpost->deaths) < due_ns)
        due_ns = deaths_deadline(&outpost->deaths);

    items[WORKERS].wire = outpost->router;
    items[WORKERS].fd = -1;
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
        drain_workers(outpost, DRAIN_MAX);
        if (items[DEATHS].ready) {
            bury_dead(outpost);
            drain_link(outpost); /* which may have taken long: the coordinator is heard */
        }
        tell_deaths(outpost);
        if (!outpost->code && !outpost->over)
            tick(outpost);
    }
}

/* A crash is named, which may take long: this host is there. */
static void go_on_beating(void *context)
{
    const struct outpost *outpost = context;

    outpost_link_beat(outpost->link, clock_now_ns());
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
        .kept = withheld_texts(&outpost->withheld),
        .kept_count = outpost->withheld.count,
        .memory_bytes = options->memory_bytes,
        .sandbox = options->sandbox,
        .concurrency = options->concurrency,
        .pin = options->pin,
        .orphan_grace_ns = WORKERS_GRACE_NS,
        .tied = true,
        .meanwhile = go_on_beating,
        .context = outpost,
    };
    int result = wire_context_create(&outpost->context, ret_error);

    outpost->names = calloc(options->workers, sizeof *outpost->names);
    if (result == 0 && !outpost->names)
        result = muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    if (result == 0)
        result = supervisor_create(&supervisor_options, &outpost->supervisor, ret_error);
    return result;
}

int outpost_run(const struct outpost_options *options, struct muster_error *ret_error)
{
    struct outpost outpost = {.options = options, .hold_ns = CLOCK_NEVER};
    int result = nest_init(&outpost.nest, ret_error);

    if (result != 0)
        return result;
    reconnect_begin(&outpost.reconnect);
    result = withheld_init(&outpost.withheld, ret_error);
    if (result == 0)
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
    deaths_clear(&outpost.deaths);
    free(outpost.names);
    wire_close(outpost.router, 0);
    wire_context_destroy(outpost.context);
    withheld_fini(&outpost.withheld);
    nest_fini(&outpost.nest);
    return result;
}
