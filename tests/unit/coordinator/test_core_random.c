/* SPDX-License-Identifier: MIT
 *
 * The core among workers and clients that do anything that they might, in any order (sim.h).
 * The invariants hold after every step, and every job of every batch ends exactly once in the
 * eyes of its client. A failure names its seed: MUSTER_SEED=N runs that one alone, and
 * MUSTER_SEEDS=N the first N.
 */
#include "base/clock.h"
#include "base/sanitize.h"
#include "tests/support/core_invariants.h"
#include "tests/unit/coordinator/sim.h"

#include <stdlib.h>
#include <string.h>

enum {
    SEEDS = SANITIZE_ADDRESS ? 500 : 2000,
    FAULTY_STEPS = 500, /* about half of what the batches take */
    STEPS_MAX = 100000, /* until all has to be over */
};

uint64_t sim_below(struct sim *sim, uint64_t bound)
{
    return random_next(&sim->random) % bound;
}

bool sim_once_in(struct sim *sim, unsigned times)
{
    return sim_below(sim, times) == 0;
}

bool sim_fault(struct sim *sim, unsigned times)
{
    return sim->faults && sim_once_in(sim, times);
}

/* --- what the core decides */

/* NULL for a worker that is buried: what it still sent is answered with an error. */
static struct sim_pipe *find_peer(struct sim *sim, const char *name)
{
    for (unsigned i = 0; i < sim->worker_count; i++)
        if (sim->workers[i].life != SIM_ABSENT && strcmp(sim->workers[i].name, name) == 0)
            return &sim->workers[i].to;
    for (unsigned i = 0; i < SIM_CLIENTS; i++)
        if (strcmp(sim->clients[i].name, name) == 0)
            return &sim->clients[i].to;
    SIM_CHECK(sim, strncmp(name, "worker-", 7) == 0, "a message to %s, who is not there", name);
    return NULL;
}

static void send_to(struct sim *sim, const struct outbox_item *item)
{
    struct sim_pipe *pipe = find_peer(sim, item->peer);

    SIM_CHECK(sim, pipe || item->message.type == PROTO_ERROR, "work for the dead %s", item->peer);
    if (pipe)
        sim_post(pipe, &item->message);
}

static void kill_worker(struct sim *sim, struct sim_worker *worker)
{
    SIM_CHECK(sim, sim->core->workers[worker->slot - 1].doom != DOOM_MALFORMED || worker->lied,
              "worker %u is killed, and all it said was true", worker->slot);
    sim_worker_die(worker, "killed by SIGKILL");
}

/* What jobs of the batch that run at workers take together. */
static void check_running(struct sim *sim, const struct sim_batch *batch, struct demand *load)
{
    const struct proto_submit *settings = &batch->settings;
    uint32_t running = 0;

    for (unsigned i = 0; i < sim->worker_count; i++) {
        uint32_t here = sim_worker_runs(&sim->workers[i], batch->function);

        running += here;
        load->memory_bytes += here * settings->memory_bytes;
        if (sim->workers[i].concurrency == 1)
            load->cpus += here * settings->cpus;
    }
    SIM_CHECK(sim, settings->most_running == 0 || running <= settings->most_running,
              "%s: %u jobs run at once, %u may", batch->function, running, settings->most_running);
}

/* What really runs is no more than there is, whatever the core believes. */
static void check_load(struct sim *sim)
{
    struct demand load = {0};

    for (unsigned c = 0; c < SIM_CLIENTS; c++)
        for (unsigned i = 0; i < SIM_BATCHES; i++)
            check_running(sim, &sim->clients[c].batches[i], &load);
    SIM_CHECK(sim, load.cpus <= sim->host.cpus, "%u CPUs are in use", load.cpus);
    SIM_CHECK(sim, sim->host.memory_bytes == 0 || load.memory_bytes <= sim->host.memory_bytes,
              "%lu bytes are in use", (unsigned long)load.memory_bytes);
}

static void check(struct sim *sim)
{
    const char *wrong = outbox_invariants(&sim->outbox);

    if (!wrong)
        wrong = core_invariants(sim->core);
    SIM_CHECK(sim, !wrong, "%s", wrong);
    check_load(sim);
}

/* Carries out what was decided. Workers that cannot be spawned are named in `ret_failed`. */
static unsigned carry_out(struct sim *sim, unsigned *ret_failed)
{
    unsigned failed = 0;

    check(sim);
    for (size_t i = 0; i < sim->outbox.count; i++) {
        const struct outbox_item *item = &sim->outbox.items[i];

        switch (item->kind) {
        case OUTBOX_SEND:
            send_to(sim, item);
            break;
        case OUTBOX_SPAWN:
            if (sim_fault(sim, 20))
                ret_failed[failed++] = item->slot;
            else
                sim_worker_spawn(&sim->workers[item->slot - 1], item->peer);
            break;
        case OUTBOX_KILL:
            kill_worker(sim, &sim->workers[item->slot - 1]);
            break;
        case OUTBOX_KEEP:
            cr_assert_fail("workers number no results");
            break;
        case OUTBOX_RELEASE:
            cr_assert_fail("nothing is in shared memory");
        case OUTBOX_SCALE:
        case OUTBOX_DRAIN:
        case OUTBOX_STOP:
        case OUTBOX_CORE:
        case OUTBOX_FORWARD:
        case OUTBOX_STORE:
            cr_assert_fail("only a ledger decides that");
        }
    }
    outbox_clear(&sim->outbox);
    return failed;
}

static void settle(struct sim *sim)
{
    unsigned failed[SIM_WORKERS_MAX], count = carry_out(sim, failed);
    struct muster_error error;

    muster_error_set(&error, MUSTER_ESYSTEM, "no more processes");
    for (unsigned i = 0; i < count; i++) {
        unsigned more[SIM_WORKERS_MAX];

        core_spawn_failed(sim->core, sim->now_ns, failed[i], &error, &sim->outbox);
        SIM_CHECK(sim, carry_out(sim, more) == 0 || sim->faults, "spawns fail without faults");
    }
}

/* --- what happens */

static void deliver(struct sim *sim, const char *peer, struct sim_pipe *pipe)
{
    struct sim_opened opened;

    if (!sim_open(pipe, &opened))
        return;
    core_message(sim->core, sim->now_ns, peer, &opened.message, &sim->outbox);
    settle(sim);
    sim_close(&opened);
}

static void step_worker(struct sim *sim, struct sim_worker *worker)
{
    switch (sim_below(sim, 4)) {
    case 0:
        if (worker->life != SIM_ABSENT)
            deliver(sim, worker->name, &worker->from);
        return;
    case 1:
        if (worker->life == SIM_ALIVE)
            sim_worker_receive(sim, worker);
        return;
    default:
        if (worker->life == SIM_STARTING || worker->life == SIM_ALIVE) {
            sim_worker_act(sim, worker);
        } else if (worker->life == SIM_DEAD && sim_once_in(sim, 3)) {
            struct worker_exit exit = worker->exit;

            sim_worker_bury(sim, worker);
            core_worker_exited(sim->core, sim->now_ns, &exit, &sim->outbox);
            settle(sim);
        }
    }
}

static void step_client(struct sim *sim, struct sim_client *client)
{
    switch (sim_below(sim, 3)) {
    case 0:
        deliver(sim, client->name, &client->from);
        return;
    case 1:
        sim_client_receive(sim, client);
        return;
    default:
        sim_client_act(sim, client);
    }
}

/* Time passes; now and then until the next deadline, or far beyond. */
static void step_time(struct sim *sim)
{
    uint64_t deadline_ns = core_deadline(sim->core);

    sim->now_ns += sim_below(sim, 3 * CLOCK_NS_PER_MS);
    if (sim_once_in(sim, 10) && deadline_ns != CLOCK_NEVER && deadline_ns > sim->now_ns)
        sim->now_ns = deadline_ns + (sim_fault(sim, 10) ? 10 * CLOCK_NS_PER_S : 0);
    if (core_deadline(sim->core) <= sim->now_ns || sim_once_in(sim, 10)) {
        core_tick(sim->core, sim->now_ns, &sim->outbox);
        settle(sim);
    }
}

static void step_ghost(struct sim *sim)
{
    size_t ghost = sim_below(sim, SIM_GHOSTS);

    deliver(sim, sim->ghosts[ghost].name, &sim->ghosts[ghost].from);
}

/* More workers, or fewer; jobs that do not start for a while. */
static void step_crew(struct sim *sim)
{
    unsigned workers = 1 + (unsigned)sim_below(sim, SIM_WORKERS_MAX);

    if (sim_once_in(sim, 2)) {
        core_drain(sim->core, sim->now_ns, sim_fault(sim, 2), &sim->outbox);
    } else {
        if (!sim->host_is_given && sim->host.cpus < workers)
            sim->host.cpus = workers;
        core_scale(sim->core, sim->now_ns, workers, &sim->outbox);
    }
    settle(sim);
}

static void step(struct sim *sim)
{
    uint64_t dice = sim_below(sim, 40);

    if (dice == 0 && sim_once_in(sim, 2))
        step_crew(sim);
    else if (dice == 0)
        step_time(sim);
    else if (dice == 1)
        step_ghost(sim);
    else if (dice < 14)
        step_client(sim, &sim->clients[sim_below(sim, SIM_CLIENTS)]);
    else
        step_worker(sim, &sim->workers[sim_below(sim, sim->worker_count)]);
}

/* --- worlds */

static void begin(struct sim *sim, uint64_t seed)
{
    struct core_options options = {.heartbeat_ns = CLOCK_NS_PER_S};

    *sim = (struct sim){.seed = seed, .faults = true, .now_ns = 77 * CLOCK_NS_PER_S};
    random_seed(&sim->random, seed);
    sim->worker_count = options.workers_max = SIM_WORKERS_MAX;
    options.workers = 1 + (unsigned)sim_below(sim, SIM_WORKERS_MAX);
    options.warm = sim_once_in(sim, 4);
    options.cpus = sim_once_in(sim, 4) ? 1 + (unsigned)sim_below(sim, SIM_WORKERS_MAX) : 0;
    options.memory_bytes = sim_once_in(sim, 2) ? SIM_MEMORY : 0;
    sim->host = (struct demand){.cpus = options.cpus ? options.cpus : options.workers,
                                .memory_bytes = options.memory_bytes};
    sim->host_is_given = options.cpus > 0;
    sim->places = sim_once_in(sim, 3) ? 0 : sim_once_in(sim, 2) ? 1 : 2 + (uint32_t)sim_below(sim, 5);
    for (unsigned i = 0; i < sim->worker_count; i++)
        sim->workers[i].slot = i + 1;
    for (unsigned i = 0; i < SIM_CLIENTS; i++)
        sim_client_init(sim, i);
    cr_assert_eq(outbox_init(&sim->outbox), 0);
    cr_assert_eq(core_create(&options, &sim->core), 0);
    core_start(sim->core, sim->now_ns, &sim->outbox);
    settle(sim);
}

static bool over(const struct sim *sim)
{
    for (unsigned c = 0; c < SIM_CLIENTS; c++)
        for (unsigned i = 0; i < SIM_BATCHES; i++)
            if (!sim->clients[c].batches[i].ended)
                return false;
    return true;
}

/* With no work left, a core may look once more after workers that start; then it sleeps. */
static void check_sleep(struct sim *sim)
{
    struct core_counts counts = core_count(sim->core);

    SIM_CHECK(sim, counts.batches + counts.jobs_queued + counts.jobs_assigned + counts.chunks_assigned == 0,
              "something is left");
    for (unsigned i = 0; i < sim->worker_count; i++)
        if (sim->workers[i].life == SIM_STARTING || sim->workers[i].life == SIM_DEAD)
            return;
    sim->now_ns += 60 * CLOCK_NS_PER_S;
    core_tick(sim->core, sim->now_ns, &sim->outbox);
    if (sim->outbox.count == 0)
        SIM_CHECK(sim, core_deadline(sim->core) == CLOCK_NEVER, "an idle core wakes up");
    settle(sim);
}

static void end(struct sim *sim)
{
    for (unsigned i = 0; i < SIM_CLIENTS; i++) {
        sim_client_check_end(sim, &sim->clients[i]);
        sim_drop(&sim->clients[i].to);
        sim_drop(&sim->clients[i].from);
    }
    for (unsigned i = 0; i < sim->worker_count; i++) {
        sim_worker_bury(sim, &sim->workers[i]);
        sim_drop(&sim->workers[i].from);
    }
    for (unsigned i = 0; i < SIM_GHOSTS; i++)
        sim_drop(&sim->ghosts[i].from);
    core_destroy(sim->core);
    outbox_fini(&sim->outbox);
}

static void live_through(uint64_t seed)
{
    static struct sim sim;

    begin(&sim, seed);
    for (sim.step = 0; !over(&sim); sim.step++) {
        SIM_CHECK(&sim, sim.step < STEPS_MAX, "the batches do not end");
        sim.faults = sim.step < FAULTY_STEPS;
        step(&sim);
    }
    check_sleep(&sim);
    end(&sim);
}

Test(core_random, every_job_ends_once_whatever_workers_and_clients_do)
{
    const char *only = getenv("MUSTER_SEED"), *number = getenv("MUSTER_SEEDS");
    uint64_t seeds = number ? strtoull(number, NULL, 10) : SEEDS;

    if (only)
        live_through(strtoull(only, NULL, 10));
    for (uint64_t seed = 1; !only && seed <= seeds; seed++)
        live_through(seed);
}
