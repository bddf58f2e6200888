/* SPDX-License-Identifier: MIT
 *
 * Workers of another host, as its supervisor has them: it starts, ends and buries them, and tells the
 * coordinator how they ended, later if it must. See sim.h.
 */
#include "tests/sim/sim.h"

#include <string.h>

struct sim_worker *sim_outpost_worker(const struct sim_outpost *outpost, unsigned place)
{
    struct sim_worker *worker;

    DL_FOREACH(world.worker_list, worker)
        if (worker->outpost == outpost && worker->slot == place && !worker->lost)
            return worker;
    return NULL;
}

void sim_outpost_end_workers(struct sim_outpost *outpost)
{
    struct sim_worker *worker;

    DL_FOREACH(world.worker_list, worker) {
        if (worker->outpost != outpost || worker->lost)
            continue;
        worker->lost = true;
        sim_worker_die(worker, "ended with its host");
        worker->buried_ns = world.now_ns + sim_soon(5 * CLOCK_NS_PER_MS);
    }
    outpost->state = 0;
    outpost->hold_ns = CLOCK_NEVER;
}

bool sim_outpost_has_processes(const struct sim_outpost *outpost)
{
    const struct sim_worker *worker;

    DL_FOREACH(world.worker_list, worker)
        if (worker->outpost == outpost && !worker->ended)
            return true;
    return false;
}

static void tell_exit(struct sim_outpost *outpost, const struct sim_worker *worker)
{
    const struct worker_exit *exit = &worker->exit;

    sim_post(&outpost->from, &(struct proto_message){.type = PROTO_EXITED,
                                                     .exited = {.place = worker->slot,
                                                                .killed = exit->killed,
                                                                .executing = exit->executing,
                                                                .timed_out = exit->timed_out,
                                                                .chunk = exit->chunk,
                                                                .index = exit->index,
                                                                .batch = exit->batch,
                                                                .attempt = exit->attempt,
                                                                .reason = proto_text(exit->reason)}});
}

/* What the dead sent counts first, as far as it was read by then. */
void sim_outpost_bury(struct sim_worker *worker)
{
    struct sim_outpost *outpost = worker->outpost;

    while (outpost->joined && worker->from.letters && sim_once_in(2))
        sim_pass(&worker->from, &outpost->from, worker->name);
    if (!outpost->joined) {
        worker->ended = true;
        worker->buried_ns = CLOCK_NEVER;
        return;
    }
    tell_exit(outpost, worker);
    sim_worker_free(worker);
}

/* It has joined: what it could not tell it tells, and workers may connect again. */
void sim_outpost_call(struct sim_outpost *outpost)
{
    struct sim_worker *worker, *next;

    DL_FOREACH_SAFE(world.worker_list, worker, next) {
        if (worker->outpost != outpost || worker->lost)
            continue;
        if (worker->ended) {
            tell_exit(outpost, worker);
            sim_worker_free(worker);
        } else if (worker->life != SIM_DEAD) {
            sim_worker_call(worker);
        }
    }
}

/* They keep what they have to report. */
void sim_outpost_hold(struct sim_outpost *outpost)
{
    struct sim_worker *worker;

    DL_FOREACH(world.worker_list, worker)
        if (worker->outpost == outpost)
            sim_worker_disconnect(worker);
    outpost->hold_ns = world.now_ns + outpost->hold_ms * CLOCK_NS_PER_MS;
    if (outpost->hold_ms == 0)
        sim_outpost_end_workers(outpost);
}

void sim_outpost_spawn(struct sim_outpost *outpost, const struct proto_spawn *spawn)
{
    struct sim_worker failed = {.slot = spawn->place, .exit.reason = "no more processes"};
    char name[PROTO_PEER_NAME_MAX + 1] = "";

    if (spawn->place > outpost->workers || sim_outpost_worker(outpost, spawn->place)) {
        SIM_CHECK(outpost->lied, "host %u is to start a worker where it has one", outpost->place);
        sim_outpost_die(outpost, "is told what it cannot do");
        return;
    }
    if (sim_fault(world.faults.spawn_fails)) {
        world.starts_lost++;
        tell_exit(outpost, &failed);
        return;
    }
    memcpy(name, spawn->name.bytes, spawn->name.size);
    sim_worker_spawn(outpost, spawn->place, name);
}

void sim_outpost_kill(const struct sim_outpost *outpost, unsigned place)
{
    struct sim_worker *worker = sim_outpost_worker(outpost, place);

    SIM_CHECK(place <= outpost->workers || outpost->lied, "host %u is to end a worker where it has no place",
              outpost->place);
    if (!worker || worker->life == SIM_DEAD)
        return;
    worker->exit.killed = true;
    sim_worker_die(worker, "killed by its supervisor");
}
