/* SPDX-License-Identifier: MIT
 *
 * Workers: processes that run jobs, crash, stall, outlive their coordinator and come back to the next one, as
 * PROTOCOL.md says of them. See sim.h.
 */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- what it is told */

static void drop_kept(struct sim_worker *worker, uint64_t number)
{
    struct sim_kept *kept, *next;

    DL_FOREACH_SAFE(worker->kept, kept, next)
        if (kept->number <= number) {
            DL_DELETE(worker->kept, kept);
            sim_drop(&kept->letter);
            sim_memory_free(kept);
        }
}

static void end(struct sim_worker *worker, enum proto_type type)
{
    const struct sim_task *task;

    DL_FOREACH(worker->tasks, task)
        SIM_CHECK(type == PROTO_ERROR || worker->lied || sim_task_is_unwanted(task),
                  "worker %u has jobs, and is asked to stop", worker->slot);
    sim_worker_die(worker, "ended with exit status 0");
}

static void hear(struct sim_worker *worker, const struct proto_message *message)
{
    sim_trace("%s hears %s", worker->name, proto_type_name(message->type));
    if (message->type == PROTO_CHUNK)
        sim_worker_take(worker, message);
    else if (message->type == PROTO_CANCEL)
        sim_worker_cancel(worker, &message->cancel);
    else if (message->type == PROTO_PING)
        sim_worker_say(worker, &(struct proto_message){.type = PROTO_PONG, .ping = message->ping});
    else if (message->type == PROTO_WELCOME)
        worker->welcomed = true;
    else if (message->type == PROTO_KEPT)
        drop_kept(worker, message->kept.number);
    else if (message->type == PROTO_STOP || message->type == PROTO_ERROR)
        end(worker, message->type);
}

/* --- life and death */

void sim_worker_spawn(struct sim_outpost *outpost, unsigned slot, const char *name)
{
    struct sim_worker *worker = calloc(1, sizeof *worker);

    SIM_CHECK(worker, "out of memory");
    SIM_CHECK(outpost || !sim_worker_at(slot), "worker %u is spawned twice", slot);
    sim_memory_own(worker);
    worker->outpost = outpost;
    worker->slot = worker->exit.slot = slot;
    worker->keeps = outpost || world.grace_ns > 0;
    snprintf(worker->name, sizeof worker->name, "%s", name);
    worker->connect_ns = world.now_ns + sim_soon(50 * CLOCK_NS_PER_MS);
    worker->act_ns = worker->orphan_ns = worker->buried_ns = CLOCK_NEVER;
    worker->credit = 1 + (unsigned)sim_below(sim_once_in(2) ? 3 : 16);
    worker->concurrency = world.places ? world.places : sim_once_in(2) ? 1 : 1 + (unsigned)sim_below(6);
    DL_APPEND(world.worker_list, worker);
}

struct sim_worker *sim_worker_find(const char *name)
{
    struct sim_worker *worker;

    DL_FOREACH(world.worker_list, worker)
        if (strcmp(worker->name, name) == 0)
            return worker;
    return NULL;
}

struct sim_worker *sim_worker_at(unsigned slot)
{
    struct sim_worker *worker;

    DL_FOREACH(world.worker_list, worker)
        if (worker->slot == slot && !worker->outpost && !worker->lost)
            return worker;
    return NULL;
}

/* Jobs that it runs end with it. */
void sim_worker_die(struct sim_worker *worker, const char *reason)
{
    const struct sim_task *task;

    if (worker->life == SIM_DEAD)
        return;
    sim_trace("%s: %s", worker->name, reason);
    world.starts_lost += !worker->welcomed;
    world.sum.deaths++;
    worker->life = SIM_DEAD;
    worker->act_ns = worker->connect_ns = worker->orphan_ns = CLOCK_NEVER;
    worker->buried_ns = world.now_ns + sim_soon(5 * CLOCK_NS_PER_MS);
    snprintf(worker->exit.reason, sizeof worker->exit.reason, "%s", reason);
    DL_FOREACH(worker->tasks, task) {
        struct sim_job *job = &task->submission->list[worker->exit.index];

        if (!worker->exit.executing || task->chunk.chunk != worker->exit.chunk)
            continue;
        if (worker->outpost || worker->exit.killed)
            job->suspect += !worker->exit.timed_out;
        else
            job->blamed += !worker->exit.timed_out;
    }
    world.idle_deaths += !worker->exit.executing;
    while (worker->tasks)
        sim_task_end(worker, worker->tasks);
    worker->running = 0;
}

void sim_worker_free(struct sim_worker *worker)
{
    while (worker->tasks)
        sim_task_end(worker, worker->tasks);
    drop_kept(worker, UINT64_MAX);
    sim_drop(&worker->to);
    sim_drop(&worker->from);
    DL_DELETE(world.worker_list, worker);
    sim_memory_free(worker);
}

void sim_worker_lose_coordinator(struct sim_worker *worker)
{
    sim_drop(&worker->to);
    sim_drop(&worker->from);
    worker->connected = false;
    if (worker->life == SIM_DEAD)
        return;
    if (!worker->known || world.grace_ns == 0) {
        sim_worker_die(worker, "ended with its coordinator");
        worker->lost = true;
        return;
    }
    worker->connect_ns = CLOCK_NEVER;
    worker->orphan_ns = world.now_ns + world.grace_ns;
}

void sim_worker_disconnect(struct sim_worker *worker)
{
    sim_drop(&worker->to);
    sim_drop(&worker->from);
    worker->connected = false;
    worker->connect_ns = CLOCK_NEVER;
}

void sim_worker_call(struct sim_worker *worker)
{
    worker->connect_ns =
        world.now_ns + (sim_fault(world.faults.worker_stalls) ? sim_below(15 * CLOCK_NS_PER_S)
                                                              : sim_soon(300 * CLOCK_NS_PER_MS));
}

uint64_t sim_worker_next(const struct sim_worker *worker)
{
    uint64_t next = worker->buried_ns;

    if (worker->life == SIM_DEAD)
        return world.host.ready || worker->lost || worker->outpost ? next : CLOCK_NEVER;
    if (worker->life == SIM_ALIVE && worker->act_ns < next)
        next = worker->act_ns;
    if (worker->connect_ns < next)
        next = worker->connect_ns;
    if (worker->orphan_ns < next)
        next = worker->orphan_ns;
    if (worker->life == SIM_ALIVE && worker->connected && sim_arrival(&worker->to) < next)
        next = sim_arrival(&worker->to);
    return next;
}

static struct sim_task *executing_task(const struct sim_worker *worker)
{
    struct sim_task *task;

    DL_SEARCH_SCALAR(worker->tasks, task, chunk.chunk, worker->exit.chunk);
    return worker->exit.executing ? task : NULL;
}

static void connect_to(struct sim_worker *worker)
{
    if (worker->outpost && !worker->outpost->joined) {
        worker->connect_ns = CLOCK_NEVER;
        return;
    }
    if (sim_fault(worker->life == SIM_STARTING ? 3 * world.faults.spawn_fails : 0)) {
        sim_worker_die(worker, "ended before it said HELLO");
        return;
    }
    if (worker->life == SIM_STARTING)
        worker->act_ns = world.now_ns;
    worker->life = SIM_ALIVE;
    worker->known = true;
    sim_worker_hello(worker);
}

/* Some of what it does; faults are by chance. */
static void work(struct sim_worker *worker)
{
    const struct sim_task *task = executing_task(worker);
    bool poisoned = task && task->submission->poison == worker->exit.index;

    worker->act_ns = worker->tasks ? world.now_ns + sim_soon(world.pace_ns / 5)
                     : world.calm  ? CLOCK_NEVER
                                   : world.now_ns + sim_soon(5 * world.pace_ns / 2);
    if ((poisoned && sim_once_in(2)) || sim_fault(world.faults.worker_crashes)) {
        sim_worker_die(worker, "killed by SIGSEGV");
    } else if (task && task->chunk.timeout_ms && sim_fault(world.faults.job_ends_late)) {
        worker->exit.timed_out = true;
        task->submission->list[worker->exit.index].failures++;
        sim_worker_die(worker, "killed by SIGKILL");
    } else if (sim_fault(world.faults.worker_stalls)) {
        worker->act_ns += sim_below(12 * CLOCK_NS_PER_S);
        if (worker->to.letters) /* neither does it answer */
            worker->to.letters->arrives_ns = worker->act_ns;
    } else if (worker->tasks) {
        sim_worker_run(worker);
    }
}

void sim_worker_act(struct sim_worker *worker)
{
    if (worker->life == SIM_DEAD) {
        if (worker->lost)
            sim_worker_free(worker);
        else if (worker->outpost)
            sim_outpost_bury(worker);
        else
            sim_host_bury(worker);
    } else if (worker->orphan_ns <= world.now_ns) {
        sim_worker_die(worker, "ended, since no coordinator came");
    } else if (worker->connect_ns <= world.now_ns) {
        connect_to(worker);
    } else if (worker->connected && sim_arrival(&worker->to) <= world.now_ns) {
        struct sim_opened opened;

        sim_open(&worker->to, &opened);
        hear(worker, &opened.message);
        sim_close(&opened);
    } else {
        work(worker);
    }
}
