/* SPDX-License-Identifier: MIT
 *
 * Supervisors of other hosts: they connect, join with the workers that they have, pass on what these and the
 * coordinator say, and go on alone for a while when their connection is gone, as coordinator/outpost.c does.
 * They die, leave, stand still and lie, and their connections break, or nothing crosses them for a while.
 * See sim.h.
 */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <string.h>

/* As in coordinator/outpost.c and outpost_link.c. */
static const uint64_t PAUSE_NS = 250 * CLOCK_NS_PER_MS, PAUSE_MAX_NS = 8 * CLOCK_NS_PER_S,
                      PAUSE_HELD_NS = 2 * CLOCK_NS_PER_S, ANSWER_NS = 5 * CLOCK_NS_PER_S;

void sim_outpost_begin(struct sim_outpost *outpost, unsigned place)
{
    *outpost = (struct sim_outpost){.place = place,
                                    .workers = 1 + (unsigned)sim_below(SIM_PLACES_MAX),
                                    .start_ns = world.now_ns + sim_soon(2 * CLOCK_NS_PER_S),
                                    .gone_ns = CLOCK_NEVER};
}

/* --- its connection */

/* What it said may still come. The coordinator knows sooner or later. */
static void close_link(struct sim_outpost *outpost)
{
    uint64_t open_ns = outpost->from.held_ns > world.now_ns ? outpost->from.held_ns : world.now_ns;

    if (!outpost->link[0])
        return;
    sim_trace("%s is closed", outpost->link);
    memcpy(outpost->gone, outpost->link, sizeof outpost->gone);
    outpost->gone_ns = open_ns + sim_soon(5 * CLOCK_NS_PER_S);
    if (outpost->from.letters && sim_fault(world.faults.link_mail_comes_late)) {
        outpost->gone_ns += outpost->from.last_ns > open_ns ? outpost->from.last_ns - open_ns : 0;
        sim_leave(&outpost->from, outpost->link);
    }
    outpost->link[0] = '\0';
    outpost->joined = outpost->severed = false;
    sim_drop(&outpost->from);
    sim_drop(&outpost->to);
}

/* It goes on without what it was told last: that may not have come. */
static void sever(struct sim_outpost *outpost, uint64_t within_ns)
{
    outpost->severed = true;
    outpost->severed_ns = world.now_ns + sim_soon(within_ns);
    sim_drop(&outpost->from);
}

void sim_outpost_lose_coordinator(struct sim_outpost *outpost, bool killed)
{
    outpost->gone_ns = CLOCK_NEVER;
    if (!outpost->link[0] || outpost->severed)
        return;
    if (killed && sim_once_in(2))
        sim_drop(&outpost->to);
    sever(outpost, CLOCK_NS_PER_S);
    if (outpost->to.letters && outpost->severed_ns <= outpost->to.last_ns)
        outpost->severed_ns = outpost->to.last_ns + 1;
}

static void plan_retry(struct sim_outpost *outpost)
{
    uint64_t most_ns = outpost->state ? PAUSE_HELD_NS : PAUSE_MAX_NS;

    close_link(outpost);
    outpost->retry_ns = world.now_ns + outpost->pause_ns;
    outpost->pause_ns = 2 * outpost->pause_ns < most_ns ? 2 * outpost->pause_ns : most_ns;
}

void sim_outpost_die(struct sim_outpost *outpost, const char *why)
{
    struct sim_worker *worker;

    sim_trace("host %u %s", outpost->place, why);
    DL_FOREACH(world.worker_list, worker)
        if (worker->outpost == outpost)
            worker->lied |= outpost->lied; /* what was said of it may be on its way */
    sim_outpost_end_workers(outpost);
    close_link(outpost);
    outpost->runs = outpost->joined_once = outpost->lied = false;
    outpost->start_ns = world.now_ns + sim_soon(3 * CLOCK_NS_PER_S);
}

/* Its connection is no more, for this reason. */
static void lose(struct sim_outpost *outpost, int code)
{
    bool was_joined = outpost->joined;

    sim_trace("host %u has lost its connection: %s", outpost->place, muster_error_name(code));
    if (!outpost->joined_once || (code != MUSTER_ELOST && code != MUSTER_ESTATE)) {
        sim_outpost_die(outpost, "cannot go on");
        return;
    }
    outpost->joined = false;
    if (was_joined)
        sim_outpost_hold(outpost);
    else if (code == MUSTER_ESTATE && outpost->state)
        sim_outpost_end_workers(outpost);
    plan_retry(outpost);
}

static void say_join(struct sim_outpost *outpost)
{
    struct proto_resident residents[SIM_PLACES_MAX];
    struct proto_message message = {.type = PROTO_JOIN,
                                    .join = {.version = PROTO_VERSION,
                                             .pid = 1,
                                             .session = outpost->session,
                                             .state = outpost->state,
                                             .epoch = outpost->epoch,
                                             .connection = outpost->links,
                                             .workers = outpost->workers,
                                             .host = proto_text("elsewhere"),
                                             .software = proto_text("muster " MUSTER_VERSION),
                                             .residents = residents}};

    for (unsigned i = 1; i <= outpost->workers; i++) {
        const struct sim_worker *worker = sim_outpost_worker(outpost, i);

        if (worker)
            residents[message.join.resident_count++] =
                (struct proto_resident){.place = i, .name = proto_text(worker->name)};
    }
    sim_trace("%s says JOIN: session %lx, life %u, %u residents", outpost->link,
              (unsigned long)outpost->session, outpost->epoch, message.join.resident_count);
    sim_post(&outpost->from, &message);
}

/* Where nobody listens that shows at once. */
static void open_link(struct sim_outpost *outpost)
{
    if (outpost->state == 0)
        outpost->session = random_next(&world.random) | 1;
    snprintf(outpost->link, sizeof outpost->link, "host-%u.%u", outpost->place, ++outpost->links);
    outpost->heard_ns = world.now_ns;
    outpost->from.held_ns = outpost->to.held_ns = outpost->cut_ns;
    if (sim_fault(world.faults.outpost_lies))
        sim_outpost_lie_of_itself(outpost);
    else
        say_join(outpost);
    if (!world.host.core)
        sever(outpost, 50 * CLOCK_NS_PER_MS);
}

/* --- what it is told */

static void begin(struct sim_outpost *outpost, const struct proto_joined *joined)
{
    outpost->joined = outpost->joined_once = true;
    outpost->state = joined->state;
    outpost->epoch = joined->epoch;
    outpost->hold_ms = joined->hold_ms;
    outpost->beat_ms = joined->beat_ms;
    outpost->beat_ns = world.now_ns + outpost->beat_ms * CLOCK_NS_PER_MS;
    outpost->pause_ns = PAUSE_NS;
    outpost->hold_ns = CLOCK_NEVER;
    sim_outpost_call(outpost);
}

static void beat(struct sim_outpost *outpost, uint64_t nonce)
{
    sim_post(&outpost->from,
             &(struct proto_message){.type = PROTO_BEAT, .beat = {.nonce = nonce, .clock_ns = world.now_ns}});
}

static void hear(struct sim_outpost *outpost, const struct proto_message *message)
{
    sim_trace("host %u hears %s", outpost->place, proto_type_name(message->type));
    if (message->type == PROTO_JOINED && !outpost->joined)
        begin(outpost, &message->joined);
    else if (message->type == PROTO_ERROR)
        lose(outpost, message->error.code);
    else if (message->type == PROTO_PING)
        beat(outpost, message->ping.nonce);
    else if (message->type == PROTO_SPAWN)
        sim_outpost_spawn(outpost, &message->spawn);
    else if (message->type == PROTO_KILL)
        sim_outpost_kill(outpost, message->kill.place);
    else if (message->type == PROTO_STOP)
        sim_outpost_die(outpost, "ends with its coordinator");
    else
        sim_violation("a host is sent a %s", proto_type_name(message->type));
}

static void receive(struct sim_outpost *outpost)
{
    char via[PROTO_PEER_NAME_MAX + 1];
    struct sim_worker *worker;
    struct sim_opened opened;

    outpost->heard_ns = world.now_ns;
    memcpy(via, outpost->to.letters->via, sizeof via);
    worker = via[0] ? sim_worker_find(via) : NULL;
    if (worker && worker->connected && worker->life != SIM_DEAD) {
        SIM_CHECK(worker->outpost == outpost, "%s is told by the host of another", worker->name);
        sim_pass(&outpost->to, &worker->to, "");
        return;
    }
    sim_open(&outpost->to, &opened);
    if (!via[0])
        hear(outpost, &opened.message);
    sim_close(&opened);
}

/* --- what it does */

static uint64_t silence_ns(const struct sim_outpost *outpost)
{
    return outpost->joined ? PROTO_BEATS * outpost->beat_ms * CLOCK_NS_PER_MS : ANSWER_NS;
}

/* It leaves in order: first its workers end. */
static void leave(struct sim_outpost *outpost)
{
    sim_outpost_end_workers(outpost);
    sim_post(&outpost->from, &(struct proto_message){.type = PROTO_STOP});
    sim_outpost_die(outpost, "leaves");
}

static void cut(struct sim_outpost *outpost)
{
    outpost->cut_ns = world.now_ns + sim_below(2 * world.host_grace_ns + 10 * CLOCK_NS_PER_S);
    sim_hold(&outpost->to, outpost->cut_ns);
    sim_hold(&outpost->from, outpost->cut_ns);
    sim_trace("host %u is cut off", outpost->place);
}

/* Whether it comes to be unable to go on with what it does. */
static bool suffers(struct sim_outpost *outpost)
{
    if ((outpost->lied && (world.calm || sim_once_in(20))) || sim_fault(world.faults.outpost_dies)) {
        sim_outpost_die(outpost, "dies");
    } else if (outpost->joined && sim_fault(world.faults.outpost_leaves)) {
        leave(outpost);
    } else if (outpost->link[0] && !outpost->severed && sim_fault(world.faults.link_breaks)) {
        sim_trace("the connection of host %u breaks", outpost->place);
        sever(outpost, CLOCK_NS_PER_S);
    } else if (outpost->cut_ns <= world.now_ns && sim_fault(world.faults.link_is_cut)) {
        cut(outpost);
    } else if (sim_fault(world.faults.outpost_stalls)) {
        outpost->stalled_ns = world.now_ns + sim_below(8 * CLOCK_NS_PER_S);
    } else if (outpost->joined && sim_fault(world.faults.outpost_lies)) {
        sim_outpost_lie(outpost);
    } else {
        return false;
    }
    return true;
}

/* A worker whose message it would read next; NULL: there is none. */
static struct sim_worker *next_sender(const struct sim_outpost *outpost)
{
    struct sim_worker *worker, *next = NULL;

    DL_FOREACH(world.worker_list, worker)
        if (worker->outpost == outpost && outpost->joined && worker->from.letters &&
            (!next || sim_arrival(&worker->from) < sim_arrival(&next->from)))
            next = worker;
    return next;
}

static uint64_t next_of_link(const struct sim_outpost *outpost)
{
    uint64_t next = outpost->heard_ns + silence_ns(outpost);

    if (sim_arrival(&outpost->to) < next)
        next = sim_arrival(&outpost->to);
    if (outpost->severed && outpost->severed_ns < next)
        next = outpost->severed_ns;
    if (outpost->joined && outpost->beat_ns < next)
        next = outpost->beat_ns;
    return next;
}

uint64_t sim_outpost_next(const struct sim_outpost *outpost)
{
    const struct sim_worker *sender = next_sender(outpost);
    uint64_t next = outpost->hold_ns;

    if (!outpost->runs)
        return outpost->start_ns;
    if (outpost->link[0] && next_of_link(outpost) < next)
        next = next_of_link(outpost);
    else if (!outpost->link[0] && outpost->retry_ns < next &&
             (outpost->state || !sim_outpost_has_processes(outpost)))
        next = outpost->retry_ns;
    if (sender && sim_arrival(&sender->from) < next)
        next = sim_arrival(&sender->from);
    return next < outpost->stalled_ns ? outpost->stalled_ns : next;
}

static void start(struct sim_outpost *outpost)
{
    outpost->runs = true;
    outpost->state = 0;
    outpost->pause_ns = PAUSE_NS;
    outpost->hold_ns = CLOCK_NEVER;
    outpost->retry_ns = world.now_ns;
    sim_trace("host %u starts", outpost->place);
}

/* As coordinator/outpost.c: what came first, then what is due. */
static void act(struct sim_outpost *outpost)
{
    struct sim_worker *sender = next_sender(outpost);

    if (outpost->link[0] && sim_arrival(&outpost->to) <= world.now_ns) {
        receive(outpost);
    } else if (outpost->severed && outpost->severed_ns <= world.now_ns) {
        lose(outpost, MUSTER_ELOST);
    } else if (sender && sim_arrival(&sender->from) <= world.now_ns) {
        sim_pass(&sender->from, &outpost->from, sender->name);
    } else if (outpost->hold_ns <= world.now_ns) {
        sim_trace("host %u was alone for too long", outpost->place);
        sim_outpost_end_workers(outpost);
        close_link(outpost);
    } else if (outpost->link[0] && outpost->heard_ns + silence_ns(outpost) <= world.now_ns) {
        lose(outpost, MUSTER_ELOST);
    } else if (outpost->joined && outpost->beat_ns <= world.now_ns) {
        outpost->beat_ns = world.now_ns + outpost->beat_ms * CLOCK_NS_PER_MS;
        beat(outpost, 0);
    } else if (!outpost->link[0] && outpost->retry_ns <= world.now_ns) {
        open_link(outpost);
    }
}

void sim_outpost_act(struct sim_outpost *outpost)
{
    if (!outpost->runs)
        start(outpost);
    else if (!suffers(outpost))
        act(outpost);
}

const char *sim_outpost_wish(const struct sim_outpost *outpost)
{
    if (outpost->lied)
        return "has lied, and runs on";
    return outpost->joined ? NULL : "has not joined";
}
