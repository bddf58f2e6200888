/* SPDX-License-Identifier: MIT
 *
 * One world: what its seed makes of it, its time, which goes to whatever comes next, and its end: faults
 * cease, and then everything has to be over, soon and as it should. See sim.h.
 */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FAULTY_STEPS = 1500,
    STEPS_MAX = 200000,     /* by then all has to be over */
    CALM_S_MAX = 24 * 3600, /* and within so much time since it was calm */
};

struct sim world;

/* The clock of all that the process does, of the books too. */
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_time);
int __real_clock_gettime(clockid_t clock, struct timespec *ret_time);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_time)
{
    uint64_t now_ns = world.now_ns;

    if (clock == CLOCK_REALTIME)
        now_ns += (uint64_t)world.wall_ns;
    else if (clock != CLOCK_MONOTONIC)
        return __real_clock_gettime(clock, ret_time);
    *ret_time = (struct timespec){.tv_sec = (time_t)(now_ns / CLOCK_NS_PER_S),
                                  .tv_nsec = (long)(now_ns % CLOCK_NS_PER_S)};
    return 0;
}

/* What the store would tell the coordinator's log. */
void __wrap_log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

void __wrap_log_error(const char *format, ...)
{
    char text[1024];
    va_list list;

    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    sim_trace("log: %s", text);
}

/* --- chance */

uint64_t sim_below(uint64_t bound)
{
    return random_next(&world.random) % bound;
}

bool sim_once_in(uint64_t times)
{
    return sim_below(times) == 0;
}

bool sim_fault(unsigned times)
{
    return times > 0 && !world.calm && sim_once_in(times);
}

/* Mostly far below it. */
uint64_t sim_soon(uint64_t within_ns)
{
    return 1 + sim_below(within_ns) / (UINT64_C(1) << sim_below(8));
}

void sim_trace(const char *format, ...)
{
    va_list list;

    if (!world.traced)
        return;
    printf("%7lu %12.6f  ", (unsigned long)world.step, (double)world.now_ns / 1e9);
    va_start(list, format);
    vprintf(format, list);
    va_end(list);
    putchar('\n');
}

void sim_violation(const char *format, ...)
{
    va_list list;

    fflush(stdout);
    fprintf(stderr, "sim: seed %lu, step %lu: ", (unsigned long)world.seed, (unsigned long)world.step);
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fprintf(stderr, "\nsim: sim --seed %lu --trace shows it again\n", (unsigned long)world.seed);
    fflush(stderr);
    _Exit(1);
}

/* --- the beginning */

/* Half of the faults are not in this world; the others are as rare as it likes. */
static unsigned choose_rate(unsigned often)
{
    return sim_once_in(2) ? 0 : often << sim_below(6);
}

static void choose_faults(void)
{
    world.faults = (struct sim_faults){
        .job_fails = choose_rate(4),
        .job_ends_late = choose_rate(20),
        .worker_crashes = choose_rate(40),
        .worker_stalls = choose_rate(60),
        .worker_ignores = choose_rate(2),
        .worker_lies = choose_rate(20),
        .spawn_fails = choose_rate(4),
        .coordinator_dies = choose_rate(100),
        .coordinator_stalls = choose_rate(100),
        .coordinator_is_stopped = choose_rate(400),
        .client_dies = choose_rate(20),
        .client_leaves = choose_rate(20),
        .connection_breaks = choose_rate(50),
        .cancels = choose_rate(8),
        .requests = choose_rate(8),
        .disk_fails = choose_rate(20),
        .disk_is_slow = choose_rate(4),
        .reads_fail = choose_rate(1),
        .wall_jumps = choose_rate(100),
        .network_is_slow = choose_rate(1),
        .partition = choose_rate(100),
        .outpost_dies = choose_rate(100),
        .outpost_leaves = choose_rate(200),
        .outpost_stalls = choose_rate(100),
        .outpost_lies = choose_rate(50),
        .link_breaks = choose_rate(40),
        .link_is_cut = choose_rate(60),
        .link_mail_comes_late = choose_rate(1),
        .poison = sim_once_in(2),
    };
}

/* In half of the worlds whose coordinator takes any. In most of them all goes slowly, so that hosts are
 * away for long while other things happen. */
static void choose_outposts(void)
{
    static const unsigned paces[] = {1, 10, 50, 200};

    world.slots = world.workers_max;
    world.pace_ns = 20 * CLOCK_NS_PER_MS;
    world.heartbeat_ns = 5 * CLOCK_NS_PER_S;
    if (!world.keeps || sim_once_in(2))
        return;
    world.outpost_count = 1 + (unsigned)sim_below(SIM_OUTPOSTS_MAX);
    world.host_grace_ns = sim_once_in(6) ? 0 : (1 + sim_below(20)) * CLOCK_NS_PER_S;
    world.ample = !sim_once_in(4);
    world.slots += world.ample ? 100 : (unsigned)sim_below(SIM_OUTPOSTS_MAX * SIM_PLACES_MAX + 1);
    world.pace_ns *= paces[sim_below(sizeof paces / sizeof *paces)];
    for (unsigned i = 0; i < world.outpost_count; i++)
        sim_outpost_begin(&world.outposts[i], i + 1);
}

static void begin(uint64_t seed)
{
    bool traced = world.traced;
    struct sim before = world;

    memset(&world, 0, sizeof world);
    world.traced = traced;
    world.sum = before.sum;
    world.seed = seed;
    random_seed(&world.random, seed);
    choose_faults();
    world.now_ns = 77 * CLOCK_NS_PER_S;
    world.wall_ns = (int64_t)(UINT64_C(1700000000) * CLOCK_NS_PER_S);
    world.slow_ns = sim_fault(world.faults.network_is_slow) ? 500 * CLOCK_NS_PER_MS : 2 * CLOCK_NS_PER_MS;
    world.keeps = sim_once_in(5)   ? PROTO_KEEPS_NOTHING
                  : sim_once_in(5) ? PROTO_KEEPS_IN_MEMORY
                                   : PROTO_KEEPS_ON_DISK;
    world.workers = 1 + (unsigned)sim_below(SIM_SLOTS_MAX);
    world.workers_max = world.workers + (unsigned)sim_below(SIM_SLOTS_MAX + 1 - world.workers);
    world.places = sim_once_in(3) ? 0 : sim_once_in(2) ? 1 : 2 + (unsigned)sim_below(5);
    world.grace_ns =
        world.keeps == PROTO_KEEPS_ON_DISK && !sim_once_in(4) ? (1 + sim_below(60)) * CLOCK_NS_PER_S : 0;
    world.has.memory_bytes = sim_once_in(2) ? SIM_MEMORY : 0;
    world.cpus = sim_once_in(4) ? 1 + (unsigned)sim_below(SIM_SLOTS_MAX) : 0;
    world.warm = !world.keeps && sim_once_in(2); /* those that keep something start none before */
    choose_outposts();
    world.client_count = 1 + (unsigned)sim_below(SIM_CLIENTS_MAX);
    world.submissions_max = 1 + (unsigned)sim_below(SIM_SUBMISSIONS_MAX);
    sim_memory_begin();
    sim_disk_begin();
    for (unsigned i = 0; i < world.client_count; i++)
        sim_client_begin(&world.clients[i], i);
    sim_host_start();
}

/* --- time */

enum happening { HOST, DISK, COMPLETION, WORKER, CLIENT, OUTPOST, LOSS, MAIL };

struct next {
    uint64_t due_ns;
    enum happening what;
    struct sim_worker *worker;
    struct sim_client *client;
    struct sim_outpost *outpost;
    struct sim_line *line; /* to the coordinator */
    const char *sender;
};

static void consider(struct next *next, const struct next *other)
{
    if (other->due_ns < next->due_ns)
        *next = *other;
}

/* What a coordinator that is stopped, or busy, comes to see then. */
static uint64_t seen(uint64_t due_ns)
{
    if (due_ns == CLOCK_NEVER || due_ns > world.host.stalled_ns)
        return due_ns;
    return world.host.stalled_ns;
}

/* A coordinator that is not ready reads none. */
static void consider_mail(struct next *next, const char *sender, struct sim_line *line)
{
    if (world.host.ready)
        consider(next, &(struct next){
                           .due_ns = seen(sim_arrival(line)), .what = MAIL, .line = line, .sender = sender});
}

static void consider_outpost(struct next *next, struct sim_outpost *outpost)
{
    consider(next, &(struct next){.due_ns = sim_outpost_next(outpost), .what = OUTPOST, .outpost = outpost});
    if (world.host.ready)
        consider(next, &(struct next){.due_ns = seen(outpost->gone_ns), .what = LOSS, .outpost = outpost});
    if (outpost->link[0] && !outpost->severed)
        consider_mail(next, outpost->link, &outpost->from);
}

static struct next find_next(void)
{
    struct next next = {.due_ns = CLOCK_NEVER};
    struct sim_worker *worker;

    consider(&next, &(struct next){.due_ns = seen(sim_host_deadline()), .what = HOST});
    consider(&next, &(struct next){.due_ns = sim_disk_next(), .what = DISK});
    consider(&next, &(struct next){.due_ns = seen(world.disk.deliver_ns), .what = COMPLETION});
    DL_FOREACH(world.worker_list, worker) {
        consider(&next, &(struct next){.due_ns = sim_worker_next(worker), .what = WORKER, .worker = worker});
        if (!worker->outpost)
            consider_mail(&next, worker->name, &worker->from);
    }
    for (unsigned i = 0; i < world.outpost_count; i++)
        consider_outpost(&next, &world.outposts[i]);
    for (unsigned i = 0; i < SIM_GHOSTS; i++)
        consider_mail(&next, world.ghosts[i].name, &world.ghosts[i].from);
    for (unsigned i = 0; i < world.client_count; i++) {
        struct sim_client *client = &world.clients[i];

        consider(&next, &(struct next){.due_ns = sim_client_next(client), .what = CLIENT, .client = client});
        if (client->connected)
            consider_mail(&next, client->name, &client->from);
    }
    return next;
}

static void happen(const struct next *next)
{
    char name[PROTO_PEER_NAME_MAX + 1];

    switch (next->what) {
    case HOST:
        sim_host_tick();
        return;
    case DISK:
        sim_disk_act();
        return;
    case COMPLETION:
        sim_host_completions();
        return;
    case WORKER:
        sim_worker_act(next->worker);
        return;
    case CLIENT:
        sim_client_act(next->client);
        return;
    case OUTPOST:
        sim_outpost_act(next->outpost);
        return;
    case LOSS:
        next->outpost->gone_ns = CLOCK_NEVER;
        sim_host_lose(next->outpost->gone);
        return;
    case MAIL: /* of it the sender may come to an end */
        snprintf(name, sizeof name, "%s", next->sender);
        sim_host_deliver(name, next->line);
        return;
    }
}

static void disturb(void)
{
    if (sim_fault(world.faults.coordinator_stalls))
        world.host.stalled_ns = world.now_ns + sim_below(8 * CLOCK_NS_PER_S);
    if (sim_fault(world.faults.wall_jumps)) {
        world.wall_ns += (int64_t)sim_below(120 * CLOCK_NS_PER_S) - (int64_t)(60 * CLOCK_NS_PER_S);
        sim_trace("the clock on the wall jumps");
    }
    if (world.host.ready && sim_fault(world.faults.coordinator_is_stopped))
        sim_host_stop();
}

static void step(void)
{
    struct next next = find_next();

    SIM_CHECK(next.due_ns != CLOCK_NEVER, "nothing will ever happen again");
    world.sum.virtual_ns += next.due_ns > world.now_ns ? next.due_ns - world.now_ns : 0;
    if (next.due_ns > world.now_ns)
        world.now_ns = next.due_ns;
    happen(&next);
    disturb();
    sim_check_world();
    world.sum.steps++;
}

/* --- the end */

/* What keeps the world from its end, for people; NULL: nothing. */
static const char *what_is_left(void)
{
    static char text[160];

    for (unsigned i = 0; i < world.client_count; i++) {
        const char *wish = sim_client_wish(&world.clients[i]);

        if (wish) {
            snprintf(text, sizeof text, "client %u %s", i, wish);
            return text;
        }
    }
    for (unsigned i = 0; i < world.outpost_count; i++) {
        const char *wish = sim_outpost_wish(&world.outposts[i]);

        if (wish) {
            snprintf(text, sizeof text, "host %u %s", i + 1, wish);
            return text;
        }
    }
    if (!world.host.ready)
        return "the coordinator is not ready";
    if (core_count(world.host.core).batches > 0)
        return "the core has batches";
    return sim_disk_is_quiet() ? NULL : "there are batches in the store";
}

/* Clients leave, and what that brings about is done. */
static void part(void)
{
    for (unsigned i = 0; i < world.client_count; i++) {
        char name[PROTO_PEER_NAME_MAX + 1];

        memcpy(name, world.clients[i].name, sizeof name);
        sim_client_disconnect(&world.clients[i]);
        sim_host_lose(name);
    }
    while (!sim_disk_is_quiet()) {
        world.now_ns += CLOCK_NS_PER_S;
        if (sim_disk_next() <= world.now_ns)
            sim_disk_act();
        sim_host_completions();
    }
    sim_memory_check_rest();
}

static void end(void)
{
    struct sim_worker *worker, *next;

    sim_check_records();
    part();
    sim_host_stop();
    DL_FOREACH_SAFE(world.worker_list, worker, next)
        sim_worker_free(worker);
    for (unsigned i = 0; i < world.outpost_count; i++) {
        sim_drop(&world.outposts[i].to);
        sim_drop(&world.outposts[i].from);
    }
    for (unsigned i = 0; i < world.client_count; i++) {
        sim_drop(&world.clients[i].to);
        sim_drop(&world.clients[i].from);
    }
    sim_disk_end();
    sim_memory_check_end();
}

void sim_run(uint64_t seed)
{
    uint64_t calm_ns = 0;

    begin(seed);
    for (world.step = 0; !world.calm || what_is_left(); world.step++) {
        if (!world.calm && world.step >= FAULTY_STEPS) {
            world.calm = true;
            world.slow_ns = 2 * CLOCK_NS_PER_MS;
            calm_ns = world.now_ns;
            sim_trace("--- faults cease");
        }
        SIM_CHECK(world.step < STEPS_MAX &&
                      (!world.calm || world.now_ns - calm_ns < CALM_S_MAX * CLOCK_NS_PER_S),
                  "it does not end, since %s", what_is_left());
        step();
    }
    sim_host_check_rest();
    end();
}
