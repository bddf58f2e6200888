/* SPDX-License-Identifier: MIT
 *
 * Other hosts as the coordinator has them: coordinator/hosts.h, and what of its world
 * coordinator/coordinator.c tells it. Here is also known which of them it may give up by now, and which it
 * has to take. See sim.h.
 */
#include "tests/sim/sim.h"

#include "coordinator/state.h"

#include <stdio.h>
#include <string.h>

/* How long one that another life had is waited for, at most: see coordinator/hosts.c. */
static const uint64_t EXPECTED_NS = 10 * CLOCK_NS_PER_S;

static struct sim_outpost *find_link(const char *link)
{
    for (unsigned i = 0; i < world.outpost_count; i++)
        if (world.outposts[i].link[0] && strcmp(world.outposts[i].link, link) == 0)
            return &world.outposts[i];
    return NULL;
}

/* --- what it knows of its world */

static struct wire_traffic no_traffic(void *context, int fd, const char *peer)
{
    (void)context, (void)fd, (void)peer;
    return (struct wire_traffic){.received = 0}; /* messages cross wholly, or not at all */
}

/* Whether hosts that are there when the coordinator dies are known to the next. */
static bool remembers(void)
{
    return world.grace_ns > 0 && world.host_grace_ns > 0;
}

static void note(void *context, uint64_t session, bool here)
{
    unsigned place = 0;

    (void)context;
    if (world.grace_ns == 0)
        return;
    for (unsigned i = 0; i < SIM_NOTED_MAX; i++)
        if (world.noted[i] == session)
            world.noted[i] = 0;
    while (place < SIM_NOTED_MAX && world.noted[place])
        place++;
    SIM_CHECK(place < SIM_NOTED_MAX, "too many hosts are noted");
    world.noted[place] = here ? session : 0;
}

static bool is_noted(uint64_t session)
{
    for (unsigned i = 0; i < SIM_NOTED_MAX; i++)
        if (world.noted[i] == session)
            return true;
    return false;
}

static void estrange(void *context, const char *peer)
{
    (void)context;
    sim_trace("%s is a stranger", peer);
}

void sim_hosts_begin(void)
{
    static const struct journal journal = {.verbose = false};
    struct hosts_options options = {.heartbeat_ns = world.heartbeat_ns,
                                    .grace_ns = world.host_grace_ns,
                                    .orphan_ns = world.grace_ns,
                                    .state = world.keeps == PROTO_KEEPS_ON_DISK ? 1 : 2 * world.host.life + 1,
                                    .epoch = world.host.life,
                                    .journal = &journal,
                                    .traffic = no_traffic,
                                    .note = note,
                                    .estrange = estrange};

    if (world.outpost_count == 0)
        return;
    SIM_CHECK(hosts_create(&options, world.host.core, &world.host.hosts) == 0, "out of memory");
    for (unsigned i = 0; i < SIM_NOTED_MAX; i++)
        if (world.noted[i] && !hosts_expect(world.host.hosts, world.noted[i]))
            world.noted[i] = 0;
}

void sim_hosts_listen(void)
{
    world.host.listens_ns = world.now_ns;
    hosts_listen(world.host.hosts, world.now_ns);
}

/* --- what is true of them */

/* Whether this life may have given to others what a life before had given to it. */
static bool was_waited_for(void)
{
    uint64_t wait_ns = world.host_grace_ns < EXPECTED_NS ? world.host_grace_ns : EXPECTED_NS;

    return !remembers() || (world.host.ready && world.now_ns - world.host.listens_ns >= wait_ns);
}

static bool is_given_up(const struct sim_outpost *outpost)
{
    return outpost->lied || outpost->outcast ||
           (outpost->told_life == world.host.life ? world.now_ns - outpost->told_ns >= world.host_grace_ns
                                                  : was_waited_for());
}

/* What its workers have in this life, and have not said, others are not given the first time that it is away.
 */
bool sim_hosts_gave_up(const struct sim_worker *worker)
{
    const struct sim_outpost *outpost = worker->outpost;

    return outpost && (is_given_up(outpost) || (worker->heard_life != world.host.life &&
                                                (was_waited_for() || outpost->told_joins > 1)));
}

/* What its workers have now others may have by now, too. */
static void stray(const struct sim_outpost *outpost)
{
    const struct sim_worker *worker;
    struct sim_task *task;

    DL_FOREACH(world.worker_list, worker)
        if (worker->outpost == outpost && sim_hosts_gave_up(worker))
            DL_FOREACH(worker->tasks, task)
                task->strayed = true;
}

void sim_hosts_end(bool killed)
{
    for (unsigned i = 0; i < world.outpost_count; i++) {
        struct sim_outpost *outpost = &world.outposts[i];

        outpost->outcast = (!killed && !is_noted(outpost->session)) || is_given_up(outpost);
        stray(outpost);
    }
    hosts_destroy(world.host.hosts);
    world.host.hosts = NULL;
}

/* --- what they say */

/* Of a worker, how much of what it stands by is still to come. */
static void hear_worker(const struct wire_frame *frame)
{
    struct sim_worker *worker = sim_worker_find(frame->via);

    if (!worker)
        return;
    if (frame->message.type == PROTO_HELLO)
        worker->unheard = frame->message.hello.standing;
    else if (frame->message.type == PROTO_STANDING && worker->unheard > 0)
        worker->unheard--;
    else
        return;
    if (worker->unheard == 0)
        worker->heard_life = world.host.life;
}

static const struct proto_error *find_refusal(const char *peer)
{
    const struct outbox *outbox = &world.host.outbox;

    for (size_t i = 0; i < outbox->count; i++)
        if (outbox->items[i].kind == OUTBOX_SEND && outbox->items[i].message.type == PROTO_ERROR &&
            strcmp(outbox->items[i].peer, peer) == 0)
            return &outbox->items[i].message.error;
    return NULL;
}

/* Somebody who lied has its workers, by their names. */
static bool is_robbed(const struct proto_join *join)
{
    for (uint32_t i = 0; i < join->resident_count && join->epoch < world.host.life; i++) {
        char name[PROTO_PEER_NAME_MAX + 1] = "";

        memcpy(name, join->residents[i].name.bytes, join->residents[i].name.size);
        if (core_has_worker(world.host.core, name) && world.faults.outpost_lies)
            return true;
    }
    return false;
}

/* One that comes back in time is taken, in whatever life. */
static bool has_to_be_taken(const struct sim_outpost *outpost, const struct proto_join *join)
{
    if (outpost->lied || is_robbed(join) || (!world.ample && join->resident_count > 0))
        return false;
    if (join->state == 0)
        return true;
    return world.keeps == PROTO_KEEPS_ON_DISK && outpost->told_life != world.host.life
               ? remembers() && !outpost->outcast
               : !is_given_up(outpost);
}

static void join(struct sim_outpost *outpost, struct wire_frame *frame)
{
    bool expected = has_to_be_taken(outpost, &frame->message.join);
    const struct proto_error *refusal;

    stray(outpost);
    hosts_take(world.host.hosts, world.now_ns, frame, &world.host.outbox);
    refusal = find_refusal(frame->peer);
    SIM_CHECK(!refusal || !expected, "a host that came in time is refused: %.*s", (int)refusal->text.size,
              refusal->text.bytes);
    outpost->outcast = refusal != NULL;
    if (refusal)
        return;
    outpost->told_joins = outpost->told_life == world.host.life ? outpost->told_joins + 1 : 1;
    world.sum.joins++;
    world.sum.returns += frame->message.join.state && outpost->told_life == world.host.life;
    world.sum.takeovers += frame->message.join.state && outpost->told_life != world.host.life;
}

bool sim_hosts_take(struct wire_frame *frame)
{
    struct hosts *hosts = world.host.hosts;
    struct sim_outpost *outpost = find_link(frame->peer);
    bool known = hosts_has(hosts, frame->peer), taken = true;

    if (outpost && known && frame->via[0] && !outpost->lied)
        hear_worker(frame);
    if (outpost && !known && frame->message.type == PROTO_JOIN)
        join(outpost, frame);
    else
        taken = hosts_take(hosts, world.now_ns, frame, &world.host.outbox);
    if (outpost && hosts_has(hosts, outpost->link)) {
        outpost->told_ns = world.now_ns;
        outpost->told_life = world.host.life;
    }
    return taken;
}

/* --- what they are told */

/* Into a connection that the other side has left, and this one does not know, anything can be said. */
static void say(const char *link, const char *via, const struct outbox_item *item)
{
    struct sim_outpost *outpost = find_link(link);

    if (outpost && !outpost->severed) {
        sim_post(&outpost->to, &item->message);
        snprintf(outpost->to.letters->prev->via, sizeof outpost->to.letters->prev->via, "%s", via);
        return;
    }
    for (unsigned i = 0; i < world.outpost_count; i++)
        if (world.outposts[i].gone_ns != CLOCK_NEVER && strcmp(world.outposts[i].gone, link) == 0)
            return;
    hosts_lose(world.host.hosts, world.now_ns, link, "its connection is gone", &world.host.outbox);
}

bool sim_hosts_send(const struct outbox_item *item)
{
    const char *route = hosts_route(world.host.hosts, item->peer);
    char link[PROTO_PEER_NAME_MAX + 1] = "";

    if (route)
        snprintf(link, sizeof link, "%s", route);
    if (route && link[0])
        say(link, item->peer, item);
    else if (!route && (find_link(item->peer) || hosts_has(world.host.hosts, item->peer)))
        say(item->peer, "", item);
    else if (!route)
        return false;
    return true;
}

void sim_hosts_kill(unsigned slot)
{
    const struct worker *believed = &world.host.core->workers[slot - 1];
    const struct sim_worker *worker = sim_worker_find(believed->name);

    SIM_CHECK(believed->doom != DOOM_MALFORMED || !worker || worker->lied || !worker->outpost ||
                  worker->outpost->lied,
              "%s is killed for what it said, and all of it was true", believed->name);
}
