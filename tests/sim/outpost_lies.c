/* SPDX-License-Identifier: MIT
 *
 * What a host says that is not so: whose workers it has, of which life, and how they ended. It has none then,
 * so that no job runs of which the coordinator cannot know. See sim.h.
 */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <string.h>

enum { NAMES = SIM_PLACES_MAX };

static void begin(struct sim_outpost *outpost)
{
    outpost->lied = true;
    sim_outpost_end_workers(outpost);
    sim_trace("host %u lies", outpost->place);
}

/* Of a worker that may have been, or be, whosever it is. */
static void make_up(char name[PROTO_PEER_NAME_MAX + 1])
{
    const struct sim_worker *worker = world.worker_list;

    if (worker && sim_once_in(2)) {
        while (worker->next && !sim_once_in(3))
            worker = worker->next;
        memcpy(name, worker->name, sizeof worker->name);
        return;
    }
    snprintf(name, PROTO_PEER_NAME_MAX + 1, CORE_WORKER_PREFIX "%u.%u.%u",
             1 + (unsigned)sim_below(world.slots + 2), (unsigned)sim_below(world.host.life + 2),
             1 + (unsigned)sim_below(3));
}

static void say_for(struct sim_outpost *outpost, const char *name, const struct proto_message *message)
{
    sim_post(&outpost->from, message);
    memcpy(outpost->from.letters->prev->via, name, sizeof outpost->from.letters->prev->via);
}

/* It stands by jobs of somebody's. */
static void stand_by(struct sim_outpost *outpost, const char *name)
{
    const struct sim_submission *submission =
        &world.submissions[world.submission_count ? 1 + sim_below(world.submission_count) : 0];
    uint64_t life = sim_below(world.host.life + 1);

    say_for(outpost, name,
            &(struct proto_message){.type = PROTO_HELLO,
                                    .hello = {.version = PROTO_VERSION,
                                              .role = PROTO_WORKER,
                                              .pid = 1,
                                              .credit = 1,
                                              .concurrency = 1,
                                              .standing = 1}});
    say_for(outpost, name,
            &(struct proto_message){.type = PROTO_STANDING,
                                    .standing = {.batch = submission->number ? submission->number : 1,
                                                 .chunk = (life << CHUNKS_OF_EPOCH_BITS) + 1 + sim_below(9),
                                                 .first = 1 + sim_below(SIM_JOBS_MAX),
                                                 .count = 1 + (uint32_t)sim_below(SIM_JOBS_MAX),
                                                 .attempt = 1}});
}

void sim_outpost_lie_of_itself(struct sim_outpost *outpost)
{
    char names[NAMES][PROTO_PEER_NAME_MAX + 1];
    struct proto_resident residents[NAMES];
    uint64_t state = outpost->state;
    struct proto_message message = {.type = PROTO_JOIN};

    begin(outpost);
    message.join = (struct proto_join){.version = PROTO_VERSION,
                                       .session = sim_once_in(2) ? outpost->session : 1 + sim_below(99),
                                       .state = sim_once_in(4)   ? 77
                                                : sim_once_in(4) ? 0
                                                                 : state,
                                       .epoch = (uint32_t)sim_below(world.host.life + 2),
                                       .connection = 1 + (uint32_t)sim_below(2 * outpost->links),
                                       .workers = outpost->workers,
                                       .host = proto_text("elsewhere"),
                                       .software = proto_text("muster " MUSTER_VERSION),
                                       .residents = residents};
    for (uint32_t i = 0; i < outpost->workers; i++) {
        if (sim_once_in(3))
            continue;
        make_up(names[i]);
        residents[message.join.resident_count++] =
            (struct proto_resident){.place = i + 1, .name = proto_text(names[i])};
    }
    sim_post(&outpost->from, &message);
    for (uint32_t i = 0; i < message.join.resident_count; i++)
        if (sim_once_in(2))
            stand_by(outpost, residents[i].name.bytes);
}

void sim_outpost_lie(struct sim_outpost *outpost)
{
    char name[PROTO_PEER_NAME_MAX + 1];

    begin(outpost);
    make_up(name);
    switch (sim_below(3)) {
    case 0: /* nothing that a host says */
        sim_post(&outpost->from, &(struct proto_message){.type = PROTO_PONG, .ping = {.nonce = 1}});
        return;
    case 1:
        world.idle_deaths++;
        sim_post(&outpost->from,
                 &(struct proto_message){.type = PROTO_EXITED,
                                         .exited = {.place = 1 + (uint32_t)sim_below(outpost->workers + 1),
                                                    .killed = sim_once_in(2),
                                                    .reason = proto_text("it is said to be dead")}});
        return;
    default:
        stand_by(outpost, name);
    }
}
