/* SPDX-License-Identifier: MIT
 *
 * How many workers shall run, and whether jobs start: more workers, or fewer; none that starts a job
 * while the coordinator drains; and its end when the last has ended. No worker is killed for it. Part
 * of the core: pure.
 */
#include "coordinator/core_look.h"
#include "coordinator/state.h"

#include <utlist.h>

void scale_widen(struct core *core, unsigned slots, struct outbox *outbox)
{
    struct batch *batch;

    if (slots <= core->slots)
        return;
    DL_FOREACH(core->batches, batch)
        if (batch_scale(batch, batch->workers, slots) != 0) {
            outbox->failed = true;
            return;
        }
    for (; core->slots < slots; core->slots++)
        core->workers[core->slots].slot = core->slots + 1;
}

/* What jobs may take together of the host grows with the workers that it has, and never shrinks: a
 * batch that was accepted can run. */
void scale_host(struct core *core, unsigned workers)
{
    struct demand *has = &core->capacity.has;

    if (core->options.cpus == 0 && has->cpus < workers)
        has->cpus = workers;
}

/* Of the slots that no other host has, those with a process, or those without. */
static void take_own(struct core *core, unsigned workers, bool absent)
{
    for (unsigned i = 0; i < core->slots && core->own < workers; i++) {
        struct worker *worker = &core->workers[i];

        if (worker->crew || worker->host || (worker->state == WORKER_ABSENT) != absent)
            continue;
        worker->crew = true;
        core->own++;
        core->crew++;
    }
}

/* One that was to leave stays rather than that another starts beside it; else the first slots are the crew's,
 * and the last are the first to leave. */
static void choose_own(struct core *core, unsigned workers)
{
    take_own(core, workers, false);
    take_own(core, workers, true);
    for (unsigned i = core->slots; i > 0 && core->own > workers; i--) {
        struct worker *worker = &core->workers[i - 1];

        if (!worker->crew || worker->host)
            continue;
        worker->crew = false;
        core->own--;
        core->crew--;
    }
}

void scale_told(struct core *core, uint64_t now_ns, struct outbox *outbox)
{
    struct batch *batch;

    for (unsigned i = 0; i < core->slots; i++)
        roster_update(core, &core->workers[i]);
    DL_FOREACH(core->batches, batch) {
        batch->workers = core->crew;
        schedule_wake(&batch->turn); /* it may have more jobs assigned now */
    }
    for (unsigned i = 0; i < core->slots; i++)
        if (!core->workers[i].crew)
            recall_unbegun(core, now_ns, &core->workers[i], outbox);
}

void core_scale(struct core *core, uint64_t now_ns, unsigned workers, struct outbox *outbox)
{
    unsigned slots = workers + core->crew - core->own; /* if those of other hosts are the first */

    scale_widen(core, slots < core->options.workers_max ? slots : core->options.workers_max, outbox);
    if (outbox->failed)
        return;
    scale_host(core, workers);
    choose_own(core, workers);
    scale_told(core, now_ns, outbox);
    core_settle(core, now_ns, outbox);
}

void core_drain(struct core *core, uint64_t now_ns, bool drain, struct outbox *outbox)
{
    core->draining = drain || core->finishing;
    for (unsigned i = 0; core->draining && i < core->slots; i++)
        recall_unbegun(core, now_ns, &core->workers[i], outbox);
    core_settle(core, now_ns, outbox);
}

void core_finish(struct core *core, uint64_t now_ns, struct outbox *outbox)
{
    core->finishing = true;
    core_drain(core, now_ns, true, outbox);
}

static void stop_worker(struct core *core, uint64_t now_ns, struct worker *worker, struct outbox *outbox)
{
    worker->state = WORKER_STOPPING;
    worker->heard_ns = now_ns;
    roster_update(core, worker);
    outbox_send(outbox, worker->name, &(struct proto_message){.type = PROTO_STOP});
}

bool scale_is_busy(const struct core *core)
{
    if (core->awaited > 0)
        return true;
    for (unsigned i = 0; i < core->slots; i++)
        if (core->workers[i].holds > 0 || core->workers[i].awaited)
            return true;
    return false;
}

void scale_settle(struct core *core, uint64_t now_ns, struct outbox *outbox)
{
    for (unsigned i = 0; i < core->slots && core->slots > core->crew; i++) {
        struct worker *worker = &core->workers[i];

        if (!worker->crew && worker->state == WORKER_READY && worker->holds == 0 && !worker->awaited)
            stop_worker(core, now_ns, worker, outbox);
    }
    while (!core->workers[core->slots - 1].crew && core->workers[core->slots - 1].state == WORKER_ABSENT)
        core->slots--;
    if (core->finishing && !scale_is_busy(core))
        core->stopped = true;
}

/* --- what workers do */

static enum core_worker_state state_of(const struct worker *worker)
{
    switch (worker->state) {
    case WORKER_ABSENT:
    case WORKER_STARTING:
        return CORE_WORKER_STARTING;
    case WORKER_AWAY:
        return CORE_WORKER_AWAY;
    case WORKER_READY:
        if (!worker->crew)
            return CORE_WORKER_STOPPING;
        return worker->holds > 0 ? CORE_WORKER_BUSY : CORE_WORKER_IDLE;
    case WORKER_STOPPING:
    case WORKER_DOOMED:
        return CORE_WORKER_STOPPING;
    }
    return CORE_WORKER_STARTING;
}

bool core_next_worker(const struct core *core, unsigned slot, struct core_worker *ret_worker)
{
    for (; slot < core->slots; slot++) {
        const struct worker *worker = &core->workers[slot];

        if (worker->state == WORKER_ABSENT)
            continue;
        *ret_worker = (struct core_worker){.slot = worker->slot,
                                           .state = state_of(worker),
                                           .host = worker->host_name,
                                           .pid = worker->pid,
                                           .chunks = worker->holds,
                                           .jobs = worker->jobs,
                                           .batch = worker->chunks ? worker->chunks->batch->id : 0,
                                           .since_ns = worker->moved_ns};
        return true;
    }
    return false;
}

bool core_expects_exit(const struct core *core, unsigned slot)
{
    return core->workers[slot - 1].state == WORKER_STOPPING;
}

uint64_t core_running(const struct core *core, uint64_t batch)
{
    const struct batch *one = core_batch(core, batch);

    return one ? one->running : 0;
}
