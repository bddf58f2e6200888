/* SPDX-License-Identifier: MIT
 *
 * Other hosts that run workers: which slots are theirs. To the core their workers are as all others, but that
 * they are given only jobs that can run anywhere, take nothing of this host, and may be lost together. Part
 * of the core: pure.
 */
#include "coordinator/core_look.h"
#include "coordinator/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_free(const struct worker *worker)
{
    return !worker->crew && !worker->host && worker->state == WORKER_ABSENT;
}

/* So many slots that nobody has, or as many as there can be. */
static unsigned make_free(struct core *core, unsigned wanted, struct outbox *outbox)
{
    unsigned found = 0, slots;

    for (unsigned i = 0; i < core->slots; i++)
        found += is_free(&core->workers[i]);
    slots = wanted > found ? core->slots + wanted - found : core->slots;
    if (slots > core->options.workers_max)
        slots = core->options.workers_max;
    found += slots > core->slots ? slots - core->slots : 0;
    scale_widen(core, slots, outbox);
    return found < wanted ? found : wanted;
}

/* Returns how many places it has got. */
static unsigned take_places(struct core *core, unsigned host, const char *name, unsigned places,
                            struct outbox *outbox)
{
    unsigned room = make_free(core, places, outbox), place = 0;

    if (outbox->failed)
        return 0;
    for (unsigned i = 0; i < core->slots && place < room; i++) {
        struct worker *worker = &core->workers[i];

        if (!is_free(worker))
            continue;
        worker->host = host;
        worker->place = ++place;
        snprintf(worker->host_name, sizeof worker->host_name, "%s", name);
        worker->crew = true;
        worker->respawn_ns = 0;
        core->crew++;
    }
    return room;
}

unsigned core_join(struct core *core, uint64_t now_ns, unsigned host, const char *name, unsigned places,
                   struct outbox *outbox)
{
    unsigned room = take_places(core, host, name, places, outbox);

    scale_told(core, now_ns, outbox);
    core_settle(core, now_ns, outbox);
    return room;
}

/* As a life before this one named its workers: none of this one will have the name. */
static bool is_of_before(const struct core *core, const char *name)
{
    const char *rest = name + strlen(CORE_WORKER_PREFIX);
    unsigned long numbers[3]; /* the slot, the life, and the incarnation */
    char same[PROTO_PEER_NAME_MAX + 1];
    char *end;

    if (strncmp(name, CORE_WORKER_PREFIX, strlen(CORE_WORKER_PREFIX)) != 0)
        return false;
    for (int i = 0; i < 3; i++) {
        numbers[i] = strtoul(rest, &end, 10);
        if (*end != (i < 2 ? '.' : '\0'))
            return false;
        rest = end + 1;
    }
    snprintf(same, sizeof same, CORE_WORKER_PREFIX "%lu.%lu.%lu", numbers[0], numbers[1], numbers[2]);
    return strcmp(same, name) == 0 && numbers[1] < core->options.epoch;
}

/* Returns whether all are adopted: workers, in places that the host has got. */
static bool adopt_residents(struct core *core, uint64_t now_ns, unsigned host, const struct proto_join *join,
                            bool expected, struct outbox *outbox)
{
    const struct proto_resident *resident = join->residents, *end = resident + join->resident_count;

    for (unsigned i = 0; i < core->slots && resident < end; i++) { /* places are in the order of slots */
        const struct worker *worker = &core->workers[i];
        char name[PROTO_PEER_NAME_MAX + 1] = "";

        if (worker->host != host || worker->place != resident->place)
            continue;
        memcpy(name, resident->name.bytes, resident->name.size);
        if (!is_of_before(core, name) || core_has_worker(core, name))
            return false;
        adopt_worker(core, now_ns, worker->slot, name, expected, outbox);
        resident++;
    }
    return resident == end;
}

bool core_join_again(struct core *core, uint64_t now_ns, unsigned host, const char *name,
                     const struct proto_join *join, bool expected, unsigned *ret_places,
                     struct outbox *outbox)
{
    unsigned room = take_places(core, host, name, join->workers, outbox);

    if (!adopt_residents(core, now_ns, host, join, expected, outbox)) {
        core_part(core, now_ns, host, "its workers cannot be taken over", outbox);
        return false;
    }
    scale_told(core, now_ns, outbox);
    core_settle(core, now_ns, outbox);
    *ret_places = room;
    return true;
}

/* The slot is as any that nobody has. */
static void release(struct worker *worker)
{
    worker->host = worker->place = 0;
    worker->cut = false;
    worker->host_name[0] = '\0';
    worker->respawn_ns = 0;
}

void core_part(struct core *core, uint64_t now_ns, unsigned host, const char *reason, struct outbox *outbox)
{
    for (unsigned i = 0; i < core->slots; i++) /* all at once: none of its jobs goes to another of it */
        if (core->workers[i].host == host) {
            core->workers[i].crew = false;
            core->crew--;
        }
    scale_told(core, now_ns, outbox);
    for (unsigned i = 0; i < core->options.workers_max; i++) {
        struct worker *worker = &core->workers[i];
        struct worker_exit exit = {.slot = worker->slot, .lost = true};

        if (worker->host != host)
            continue;
        snprintf(exit.reason, sizeof exit.reason, "%s", reason);
        if (worker->state != WORKER_ABSENT)
            core_worker_exited(core, now_ns, &exit, outbox);
        release(worker);
    }
    core_settle(core, now_ns, outbox);
}

/* What it says may be on its way. */
static bool is_to_be_heard(const struct worker *worker)
{
    return worker->state == WORKER_READY || worker->state == WORKER_STARTING ||
           (worker->state == WORKER_AWAY && !worker->cut);
}

void core_heard(struct core *core, uint64_t now_ns, unsigned host)
{
    for (unsigned i = 0; i < core->slots; i++) {
        struct worker *worker = &core->workers[i];

        if (worker->host != host || !is_to_be_heard(worker))
            continue;
        worker->heard_ns = now_ns;
        worker->pinged_ns = 0;
        roster_update(core, worker);
    }
}

void core_await_host(struct core *core)
{
    core->awaited++;
}

void core_await_host_no_more(struct core *core, uint64_t now_ns, struct outbox *outbox)
{
    core->awaited--;
    core_settle(core, now_ns, outbox);
}

/* --- what is asked */

struct core_whereabouts core_where(const struct core *core, unsigned slot)
{
    const struct worker *worker = &core->workers[slot - 1];

    return (struct core_whereabouts){.host = worker->host, .place = worker->place};
}

unsigned core_host_of(const struct core *core, const char *worker)
{
    const struct worker *found;

    HASH_FIND_STR(core->workers_by_name, worker, found);
    return found ? found->host : 0;
}

unsigned core_slot_at(const struct core *core, unsigned host, unsigned place)
{
    for (unsigned i = 0; i < core->slots; i++)
        if (core->workers[i].host == host && core->workers[i].place == place)
            return core->workers[i].state == WORKER_ABSENT ? 0 : i + 1;
    return 0;
}

unsigned core_joined(const struct core *core)
{
    return core->crew - core->own;
}
