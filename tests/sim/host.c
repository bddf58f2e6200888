/* SPDX-License-Identifier: MIT
 *
 * A coordinator on its host, as coordinator/loop.c runs it: what arrives goes to the ledger or the core, what
 * they decide is carried out, and workers are spawned, killed, found again and buried. It may die between any
 * two things that it does. See sim.h.
 */
#include "tests/sim/sim.h"

#include "coordinator/state.h"

#include <stdio.h>
#include <string.h>

struct core_options sim_core_options(void)
{
    return (struct core_options){.workers = world.workers,
                                 .workers_max = world.slots,
                                 .heartbeat_ns = world.heartbeat_ns,
                                 .cpus = world.cpus,
                                 .memory_bytes = world.has.memory_bytes,
                                 .warm = world.warm,
                                 .keeps = world.keeps,
                                 .epoch = world.keeps ? world.host.life : 0};
}

/* --- what is decided */

static bool has_client(const char *name)
{
    return world.host.books ? books_has_client(world.host.books, name)
                            : core_has_client(world.host.core, name);
}

/* A client or another host that died, or whose connection did. */
static void lose_peer(const char *name)
{
    struct sim_host *host = &world.host;

    hosts_lose(host->hosts, world.now_ns, name, "its connection is gone", &host->outbox);
    if (!has_client(name))
        return;
    if (host->books)
        books_gone(host->books, name, &host->outbox);
    else
        core_client_gone(host->core, world.now_ns, name, &host->outbox);
}

static struct sim_client *find_client(const char *name)
{
    for (unsigned i = 0; i < world.client_count; i++)
        if (world.clients[i].connected && strcmp(world.clients[i].name, name) == 0)
            return &world.clients[i];
    return NULL;
}

static void send_item(const struct outbox_item *item)
{
    struct sim_worker *worker = sim_worker_find(item->peer);
    struct sim_client *client = find_client(item->peer);

    sim_trace("coordinator sends %s %lu to %s", proto_type_name(item->message.type),
              (unsigned long)sim_subject(&item->message), item->peer);
    if (sim_hosts_send(item))
        return;
    if (worker && worker->connected && worker->life != SIM_DEAD)
        sim_post(&worker->to, &item->message);
    else if (client)
        sim_post(&client->to, &item->message);
    else
        lose_peer(item->peer);
}

static void spawn(const struct outbox_item *item)
{
    struct sim_host *host = &world.host;
    struct muster_error error;

    if (!core_has_worker(host->core, item->peer) ||
        hosts_spawn(host->hosts, item->slot, item->peer, &host->outbox))
        return;
    sim_trace("%s is spawned", item->peer);
    if (!sim_fault(world.faults.spawn_fails)) {
        sim_worker_spawn(NULL, item->slot, item->peer);
        return;
    }
    world.starts_lost++;
    muster_error_set(&error, MUSTER_ESYSTEM, "no more processes");
    core_spawn_failed(host->core, world.now_ns, item->slot, &error, &host->outbox);
}

static void kill_worker(unsigned slot)
{
    struct sim_worker *worker = sim_worker_at(slot);

    if (hosts_kill(world.host.hosts, slot, &world.host.outbox)) {
        sim_hosts_kill(slot);
        return;
    }
    if (!worker && world.host.core->workers[slot - 1].state != WORKER_DOOMED)
        return; /* it was another host's, which was lost meanwhile */
    SIM_CHECK(worker, "worker %u is killed, and is not there", slot);
    SIM_CHECK(world.host.core->workers[slot - 1].doom != DOOM_MALFORMED || worker->lied,
              "worker %u is killed for what it said, and all of it was true", slot);
    worker->exit.killed = true;
    sim_worker_die(worker, "killed by its supervisor");
}

static void carry_out_item(const struct outbox_item *item)
{
    struct sim_host *host = &world.host;

    switch (item->kind) {
    case OUTBOX_SEND:
        if (host->books && strcmp(item->peer, LEDGER_PEER) == 0)
            books_told(host->books, &item->message, &host->outbox);
        else
            send_item(item);
        return;
    case OUTBOX_SPAWN:
        spawn(item);
        return;
    case OUTBOX_KILL:
        kill_worker(item->slot);
        return;
    case OUTBOX_KEEP:
        if (host->books)
            books_keep(host->books, item->slot, item->peer, item->number, &host->outbox);
        return;
    case OUTBOX_RELEASE:
        sim_violation("nothing is in shared memory");
    case OUTBOX_SCALE:
        if (!world.cpus && item->number > world.has.cpus)
            world.has.cpus = (unsigned)item->number;
        core_scale(host->core, world.now_ns, (unsigned)item->number, &host->outbox);
        return;
    case OUTBOX_DRAIN:
        core_drain(host->core, world.now_ns, item->number != 0, &host->outbox);
        return;
    case OUTBOX_STOP:
        host->stopping |= item->number == PROTO_STOP_NOW;
        core_finish(host->core, world.now_ns, &host->outbox);
        return;
    case OUTBOX_CORE:
        if (item->message.type == PROTO_SUBMIT)
            core_submit_known(host->core, world.now_ns, LEDGER_PEER, item, &host->outbox);
        else
            core_message(host->core, world.now_ns, LEDGER_PEER, &item->message, &host->outbox);
        return;
    case OUTBOX_FORWARD:
        core_message(host->core, world.now_ns, item->peer, &item->message, &host->outbox);
        return;
    case OUTBOX_STORE:
        SIM_CHECK(books_request(host->books, item->request) == 0, "out of memory");
        return;
    }
}

static void carry_out(void)
{
    struct sim_host *host = &world.host;

    sim_check_world();
    while (host->outbox.count > 0 && !host->died) {
        struct outbox decided = host->outbox;

        host->outbox = host->spare;
        host->spare = decided;
        for (size_t i = 0; i < host->spare.count && !host->died; i++) {
            carry_out_item(&host->spare.items[i]);
            host->died = sim_fault(world.faults.coordinator_dies);
        }
        outbox_clear(&host->spare);
        sim_check_world();
    }
    if (host->died)
        sim_host_crash();
}

/* --- life */

/* Workers of the life before, as their flight recorders say. Those that nobody finds are on their own. */
static void adopt(void)
{
    struct sim_worker *worker, *next;

    DL_FOREACH_SAFE(world.worker_list, worker, next) {
        if (worker->outpost)
            continue;
        if (worker->lost || (worker->life == SIM_DEAD && !worker->known)) {
            worker->lost = true;
        } else if (worker->slot > world.slots) {
            sim_worker_die(worker, "killed, since there are fewer workers now");
            worker->lost = true;
        } else {
            core_adopt(world.host.core, world.now_ns, worker->slot, worker->name, &world.host.outbox);
        }
    }
}

static void find_room(void)
{
    struct sim_worker *worker;
    unsigned before = world.has.cpus;

    world.has.cpus = world.cpus ? world.cpus : world.workers;
    DL_FOREACH(world.worker_list, worker)
        if (!world.cpus && !worker->outpost && !worker->lost && before > world.has.cpus)
            world.has.cpus = before;
}

/* Workers that wait come again, some time. */
static void call_workers(void)
{
    struct sim_worker *worker;

    DL_FOREACH(world.worker_list, worker)
        if (!worker->outpost && !worker->lost && worker->life == SIM_ALIVE)
            sim_worker_call(worker);
}

/* From now on others are heard. */
static void be_ready(void)
{
    world.host.ready = true;
    core_listen(world.host.core, world.now_ns);
    sim_hosts_listen();
    sim_trace("the coordinator is ready");
}

void sim_host_start(void)
{
    struct sim_host *host = &world.host;
    struct core_options options;
    struct books_options books_options = {
        .store = &sim_disk_face, .keeps = world.keeps, .promise_max = UINT64_C(1) << 30};

    host->life++;
    world.sum.lives++;
    host->start_ns = CLOCK_NEVER;
    host->died = host->ready = host->stopping = false;
    options = sim_core_options();
    books_options.epoch = options.epoch;
    sim_trace("the coordinator starts, life %u", host->life);
    SIM_CHECK(core_create(&options, &host->core) == 0 && outbox_init(&host->outbox) == 0 &&
                  outbox_init(&host->spare) == 0,
              "out of memory");
    if (world.keeps)
        SIM_CHECK(books_create(&books_options, host->core, world.slots, &host->books) == 0, "out of memory");
    sim_hosts_begin();
    sim_memory_start();
    adopt();
    find_room();
    core_start(host->core, world.now_ns, &host->outbox);
    if (host->books)
        books_start(host->books, &host->outbox);
    else
        be_ready();
    call_workers();
    carry_out();
}

static void release(bool killed)
{
    struct sim_host *host = &world.host;
    struct sim_worker *worker, *next;

    sim_hosts_end(killed);
    books_destroy(host->books);
    core_destroy(host->core);
    outbox_fini(&host->outbox);
    outbox_fini(&host->spare);
    host->core = NULL;
    host->books = NULL;
    host->ready = false;
    host->start_ns = world.now_ns + sim_soon(2 * CLOCK_NS_PER_S);
    for (unsigned i = 0; i < world.client_count; i++)
        sim_client_disconnect(&world.clients[i]);
    DL_FOREACH_SAFE(world.worker_list, worker, next)
        if (!worker->outpost)
            sim_worker_lose_coordinator(worker);
    for (unsigned i = 0; i < world.outpost_count; i++)
        sim_outpost_lose_coordinator(&world.outposts[i], killed);
    for (unsigned i = 0; i < SIM_GHOSTS; i++)
        sim_drop(&world.ghosts[i].from);
    if (world.keeps != PROTO_KEEPS_ON_DISK)
        sim_lose_records();
}

void sim_host_crash(void)
{
    sim_trace("the coordinator is killed");
    sim_disk_crash();
    release(true);
}

/* As the end of coordinator/loop.c: workers end or are killed, clients are told. */
void sim_host_stop(void)
{
    struct sim_host *host = &world.host;
    struct sim_worker *worker;

    sim_trace("the coordinator ends");
    core_stop(host->core, &host->outbox);
    hosts_stop(host->hosts, &host->outbox);
    carry_out();
    if (!host->core)
        return;
    hosts_leave(host->hosts);
    DL_FOREACH(world.worker_list, worker) {
        if (worker->outpost)
            continue;
        sim_worker_die(worker, "ended with exit status 0");
        worker->lost = true;
    }
    sim_disk_stop();
    release(false);
}

/* --- what happens */

static void hand_over(struct wire_frame *frame)
{
    struct sim_host *host = &world.host;
    const struct proto_message *message = &frame->message;
    const char *peer = frame->peer;
    bool worker;

    if (sim_hosts_take(frame))
        return;
    worker = strncmp(peer, CORE_WORKER_PREFIX, strlen(CORE_WORKER_PREFIX)) == 0;
    if (!host->books || core_has_worker(host->core, peer) || (worker && message->type == PROTO_HELLO))
        core_message(host->core, world.now_ns, peer, message, &host->outbox);
    else if (!worker)
        books_message(host->books, peer, message, &host->outbox);
}

/* It may have ended of what happened. */
static void look_after(void)
{
    const struct sim_host *host = &world.host;

    if (host->core && (host->stopping || core_stopped(host->core) ||
                       (host->books && books_failure(host->books) && !host->ready)))
        sim_host_stop();
}

void sim_host_deliver(const char *peer, struct sim_line *line)
{
    struct wire_frame frame = {.fd = -1, .received_ns = world.now_ns};
    struct sim_opened opened;

    sim_open(line, &opened);
    snprintf(frame.peer, sizeof frame.peer, "%s", peer);
    snprintf(frame.via, sizeof frame.via, "%s", opened.letter->via);
    frame.message = opened.message;
    sim_trace("coordinator hears %s %lu of %s %s", proto_type_name(opened.message.type),
              (unsigned long)sim_subject(&opened.message), peer, frame.via);
    hand_over(&frame);
    carry_out();
    sim_close(&opened);
    look_after();
}

void sim_host_completions(void)
{
    struct sim_host *host = &world.host;

    world.disk.deliver_ns = CLOCK_NEVER;
    while (host->core && books_take(host->books, &host->outbox))
        carry_out();
    if (host->core && !host->ready && books_ready(host->books)) {
        be_ready();
    }
    look_after();
}

/* What the dead sent before, and has arrived, counts first; the rest comes late, or never. */
void sim_host_bury(struct sim_worker *worker)
{
    struct sim_host *host = &world.host;
    struct worker_exit exit = worker->exit;
    char name[PROTO_PEER_NAME_MAX + 1];

    memcpy(name, worker->name, sizeof name);
    while (host->core && worker->from.letters && sim_once_in(2)) {
        unsigned life = host->life;

        sim_host_deliver(name, &worker->from);
        if (host->life != life || !host->core)
            return;
    }
    if (!host->core)
        return;
    sim_trace("%s is buried", worker->name);
    if (sim_once_in(2))
        sim_leave(&worker->from, worker->name);
    sim_worker_free(worker);
    core_worker_exited(host->core, world.now_ns, &exit, &host->outbox);
    carry_out();
    look_after();
}

void sim_host_lose(const char *peer)
{
    if (!world.host.ready)
        return;
    lose_peer(peer);
    SIM_CHECK(!has_client(peer), "%s has left, and is still known", peer);
    carry_out();
    look_after();
}

uint64_t sim_host_deadline(void)
{
    const struct sim_host *host = &world.host;
    uint64_t core_ns, books_ns, hosts_ns;

    if (!host->core)
        return host->start_ns;
    if (!host->ready)
        return CLOCK_NEVER;
    core_ns = core_deadline(host->core);
    books_ns = host->books ? books_deadline(host->books) : CLOCK_NEVER;
    hosts_ns = hosts_deadline(host->hosts);
    core_ns = core_ns < books_ns ? core_ns : books_ns;
    return core_ns < hosts_ns ? core_ns : hosts_ns;
}

void sim_host_tick(void)
{
    struct sim_host *host = &world.host;

    if (!host->core) {
        sim_host_start();
        return;
    }
    if (core_deadline(host->core) <= world.now_ns)
        core_tick(host->core, world.now_ns, &host->outbox);
    if (host->books)
        books_tick(host->books, &host->outbox);
    if (hosts_deadline(host->hosts) <= world.now_ns)
        hosts_tick(host->hosts, world.now_ns, &host->outbox);
    carry_out();
    look_after();
}

/* No work is left: it looks once more after workers that start or die, and then sleeps. */
void sim_host_check_rest(void)
{
    struct core *core = world.host.core;
    struct core_counts counts = core_count(core);
    const struct sim_worker *worker;

    SIM_CHECK(counts.batches + counts.jobs_queued + counts.jobs_assigned + counts.chunks_assigned == 0,
              "%lu batches, %lu jobs and %lu chunks are left", (unsigned long)counts.batches,
              (unsigned long)(counts.jobs_queued + counts.jobs_assigned),
              (unsigned long)counts.chunks_assigned);
    DL_FOREACH(world.worker_list, worker)
        if (worker->life != SIM_ALIVE || !worker->welcomed || worker->tasks || worker->to.letters ||
            worker->from.letters)
            return;
    world.now_ns += 60 * CLOCK_NS_PER_S;
    core_tick(core, world.now_ns, &world.host.outbox);
    if (world.host.outbox.count == 0)
        SIM_CHECK(core_deadline(core) == CLOCK_NEVER, "a coordinator that has nothing to do wakes up");
    carry_out();
}
