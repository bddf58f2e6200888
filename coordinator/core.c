/* SPDX-License-Identifier: MIT
 *
 * The coordinator's entry points: what happened goes in, what is to be done comes out. See
 * core.h. New batches are in submit.c, what else clients say in client.c, assignment is in dispatch.c, the
 * fate of jobs in settle.c, bury.c and cancel.c. Pure.
 */
#include "coordinator/core.h"

#include "base/clock.h"
#include "coordinator/core_look.h"
#include "coordinator/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* Pause before the n-th attempt to start a worker after failures, doubled each time. */
static const uint64_t RESPAWN_NS = 50 * CLOCK_NS_PER_MS;

/* Starts that may fail one after another before the batches are given up. */
enum { FAILED_STARTS_MAX = 3 };

int core_create(const struct core_options *options, struct core **ret_core)
{
    struct core *core = calloc(1, sizeof *core);

    if (!core)
        return MUSTER_ENOMEM;
    core->options = *options;
    core->recall_ns = CLOCK_NEVER;
    core->last_chunk = (uint64_t)options->epoch << CHUNKS_OF_EPOCH_BITS;
    if (options->keeps != PROTO_KEEPS_NOTHING)
        core->last_batch = CORE_UNKEPT_BATCHES + ((uint64_t)options->epoch << BATCHES_OF_EPOCH_BITS);
    core->capacity.has.cpus = options->cpus ? options->cpus : options->workers;
    core->capacity.has.memory_bytes = options->memory_bytes;
    core->slots = core->crew = core->own = options->workers;
    if (core->options.workers_max < options->workers)
        core->options.workers_max = options->workers;
    core->demanding = options->cpus > 0 && options->cpus < core->options.workers_max;
    core->workers = calloc(core->options.workers_max, sizeof *core->workers);
    core->loads = calloc(core->options.workers_max, sizeof *core->loads);
    if (!core->workers || !core->loads || roster_init(&core->roster, core->options.workers_max) != 0) {
        free(core->loads);
        free(core->workers);
        free(core);
        return MUSTER_ENOMEM;
    }
    for (unsigned i = 0; i < core->slots; i++) {
        core->workers[i].slot = i + 1;
        core->workers[i].crew = true;
    }
    *ret_core = core;
    return 0;
}

void core_destroy(struct core *core)
{
    struct client *client, *next_client;
    struct batch *batch, *next_batch;

    if (!core)
        return;
    for (unsigned i = 0; i < core->options.workers_max; i++) {
        struct worker *worker = &core->workers[i];

        while (worker->chunks)
            hold_drop(worker, worker->chunks);
        holdings_fini(&worker->holdings);
        spans_fini(&worker->unwanted);
        spans_fini(&worker->disowned);
    }
    HASH_CLEAR(hh, core->workers_by_name);
    roster_fini(&core->roster);
    free(core->loads);
    free(core->workers);
    HASH_ITER(hh, core->clients, client, next_client) {
        HASH_CLEAR(hh_ticket, client->batches);
        HASH_DEL(core->clients, client);
        free(client);
    }
    HASH_CLEAR(hh_id, core->batches_by_id);
    DL_FOREACH_SAFE(core->batches, batch, next_batch)
        batch_destroy(batch);
    timers_fini(&core->timers);
    schedule_fini(&core->schedule);
    free(core);
}

/* Workers do not start, and none runs or may yet come up: whoever waits for them is told why. */
static void check_starts(struct core *core, uint64_t now_ns, struct outbox *outbox)
{
    struct client *client, *next;
    struct batch *batch;

    if (core->failed_starts < FAILED_STARTS_MAX || core->roster.counts.ready > 0 ||
        core->roster.counts.starting > 0 || core->awaited > 0)
        return;
    DL_FOREACH(core->batches, batch) {
        if (batch_explain(batch, MUSTER_ELOST, core->start_error) != 0)
            outbox->failed = true;
        cancel_batch(core, now_ns, batch, PROTO_CANCEL_NOW, outbox);
    }
    HASH_ITER(hh, core->clients, client, next)
        if (!client->welcomed)
            core_refuse(outbox, client->name, 0, MUSTER_ELOST, core->start_error);
    core->failed_starts = 0;
}

void core_settle(struct core *core, uint64_t now_ns, struct outbox *outbox)
{
    changes_look(core, outbox);
    dispatch(core, now_ns, outbox);
    changes_look(core, outbox);
    settle_ended(core, outbox);
    scale_settle(core, now_ns, outbox);
}

void core_start(struct core *core, uint64_t now_ns, struct outbox *outbox)
{
    dispatch(core, now_ns, outbox);
}

/* --- workers */

/* Of a worker that is as young as its coordinator. */
static void refuse_standing(struct core *core, struct worker *worker, struct outbox *outbox)
{
    core_refuse(outbox, worker->name, 0, MUSTER_ESTATE,
                "this coordinator gave this worker no chunks in another life");
    dispatch_doom(core, worker, DOOM_MALFORMED, outbox);
}

static void worker_hello(struct core *core, uint64_t now_ns, struct worker *worker,
                         const struct proto_hello *hello, struct outbox *outbox)
{
    unsigned concurrency = hello->concurrency < 1 ? 1 : hello->concurrency;
    struct client *client, *next;

    if (worker->state == WORKER_DOOMED)
        return;
    if (hello->version != PROTO_VERSION) {
        core_refuse(outbox, worker->name, 0, MUSTER_EVERSION,
                    "this coordinator speaks another protocol version");
        dispatch_doom(core, worker, DOOM_VERSION, outbox);
        return;
    }
    if (hello->standing > 0 && worker->state != WORKER_AWAY) {
        refuse_standing(core, worker, outbox);
        return;
    }
    if ((worker->state != WORKER_STARTING && worker->state != WORKER_AWAY) || hello->role != PROTO_WORKER) {
        dispatch_doom(core, worker, DOOM_MALFORMED, outbox);
        return;
    }
    if (worker->holds > 0 && concurrency != worker->concurrency) { /* by which its jobs were counted */
        dispatch_doom(core, worker, DOOM_MALFORMED, outbox);
        return;
    }
    worker->state = WORKER_READY;
    worker->pid = hello->pid;
    worker->credit = hello->credit < 1 ? 1 : hello->credit;
    worker->concurrency = concurrency;
    worker->heard_ns = now_ns;
    core->failed_starts = 0;
    client_greet(core, worker->name, outbox);
    adopt_greeted(core, now_ns, worker, hello->standing, outbox);
    roster_update(core, worker);
    HASH_ITER(hh, core->clients, client, next)
        client_welcome(core, client, outbox);
}

static void note_progress(uint64_t now_ns, struct worker *worker)
{
    worker->moved_ns = now_ns;
    worker->asked_ns = 0;
    worker->slow = false;
}

static void worker_result(struct core *core, uint64_t now_ns, struct worker *worker,
                          const struct proto_message *message, struct outbox *outbox)
{
    if (message->result.outcome.count > 0)
        note_progress(now_ns, worker);
    if (!settle_result(core, now_ns, worker, message, outbox))
        dispatch_doom(core, worker, DOOM_MALFORMED, outbox);
    else if (message->result.number > 0)
        outbox_keep(outbox, worker->slot, worker->name, message->result.number);
}

static void worker_message(struct core *core, uint64_t now_ns, struct worker *worker,
                           const struct proto_message *message, struct outbox *outbox)
{
    if (worker->state == WORKER_AWAY && message->type != PROTO_HELLO)
        return; /* said to another life: what of it counts will be said again */
    worker->heard_ns = now_ns;
    worker->pinged_ns = 0;
    if (message->type == PROTO_HELLO)
        worker_hello(core, now_ns, worker, &message->hello, outbox);
    else if (message->type == PROTO_RESULT) {
        worker_result(core, now_ns, worker, message, outbox);
    } else if (message->type == PROTO_RETURNED) {
        if (!settle_returned(worker, &message->returned, outbox))
            dispatch_doom(core, worker, DOOM_MALFORMED, outbox);
    } else if (message->type == PROTO_STANDING) {
        if (!adopt_standing(core, now_ns, worker, &message->standing, outbox))
            refuse_standing(core, worker, outbox);
    } else if (message->type != PROTO_PONG)
        dispatch_doom(core, worker, DOOM_MALFORMED, outbox);
    roster_update(core, worker);
}

void core_worker_exited(struct core *core, uint64_t now_ns, const struct worker_exit *exit,
                        struct outbox *outbox)
{
    struct worker *worker = &core->workers[exit->slot - 1];
    struct worker_exit known = *exit;
    bool started = worker->credit > 0 || worker->awaited;

    if (worker->doom == DOOM_SILENT && (worker->awaited || worker->expected))
        snprintf(known.reason, sizeof known.reason, "not coming back for %.3g s, and killed",
                 (double)WORKER_AWAY_NS / 1e9);
    else if (worker->doom == DOOM_SILENT)
        snprintf(known.reason, sizeof known.reason, "%s for %.3g s, and killed",
                 started ? "not answering" : "not saying HELLO",
                 (double)(started ? core->options.heartbeat_ns : WORKER_START_NS) / 1e9);
    else if (worker->doom == DOOM_MALFORMED)
        snprintf(known.reason, sizeof known.reason, "killed for sending what no worker sends");
    else if (worker->doom == DOOM_VERSION)
        snprintf(known.reason, sizeof known.reason, "killed for speaking another protocol version");
    if (worker->awaited)
        adopt_last_words(core, now_ns, worker, &known, outbox);
    adopt_settled(core, worker);
    worker->doubted = false;
    spans_fini(&worker->unwanted);
    spans_fini(&worker->disowned);
    HASH_DEL(core->workers_by_name, worker);
    bury_worker(now_ns, worker, &known, outbox);
    worker->state = WORKER_ABSENT;
    worker->respawn_ns = 0;
    if (!started && !known.lost) {
        core->failed_starts++;
        worker->respawn_ns =
            clock_after(now_ns, RESPAWN_NS << (core->failed_starts < 8 ? core->failed_starts : 8));
        snprintf(core->start_error, sizeof core->start_error, "workers do not start (the last one: %s)",
                 known.reason);
    }
    roster_update(core, worker);
    if (!started)
        check_starts(core, now_ns, outbox);
    core_settle(core, now_ns, outbox);
}

void core_spawn_failed(struct core *core, uint64_t now_ns, unsigned slot, const struct muster_error *error,
                       struct outbox *outbox)
{
    struct worker *worker = &core->workers[slot - 1];

    HASH_DEL(core->workers_by_name, worker);
    worker->state = WORKER_ABSENT;
    core->failed_starts++;
    worker->respawn_ns =
        clock_after(now_ns, RESPAWN_NS << (core->failed_starts < 8 ? core->failed_starts : 8));
    memcpy(core->start_error, error->text, sizeof core->start_error);
    roster_update(core, worker);
    check_starts(core, now_ns, outbox);
    core_settle(core, now_ns, outbox);
}

/* --- entry points */

void core_message(struct core *core, uint64_t now_ns, const char *peer, const struct proto_message *message,
                  struct outbox *outbox)
{
    struct worker *worker;
    struct client *client;

    HASH_FIND_STR(core->workers_by_name, peer, worker);
    HASH_FIND_STR(core->clients, peer, client);
    if (worker)
        worker_message(core, now_ns, worker, message, outbox);
    else if (client)
        client_message(core, now_ns, client, message, outbox);
    else
        client_begin(core, peer, message, outbox);
    core_settle(core, now_ns, outbox);
}

void core_malformed(struct core *core, uint64_t now_ns, const char *peer, const struct muster_error *error,
                    struct outbox *outbox)
{
    struct worker *worker;

    HASH_FIND_STR(core->workers_by_name, peer, worker);
    if (worker)
        dispatch_doom(core, worker, DOOM_MALFORMED, outbox);
    else
        core_refuse(outbox, peer, 0, error->code, error->text);
    core_settle(core, now_ns, outbox);
}

void core_client_gone(struct core *core, uint64_t now_ns, const char *peer, struct outbox *outbox)
{
    struct client *client;

    HASH_FIND_STR(core->clients, peer, client);
    if (!client)
        return;
    client_stop(core, now_ns, client, outbox);
    core_settle(core, now_ns, outbox);
}

bool core_has_worker(const struct core *core, const char *peer)
{
    const struct worker *worker;

    HASH_FIND_STR(core->workers_by_name, peer, worker);
    return worker != NULL;
}

bool core_has_client(const struct core *core, const char *peer)
{
    struct client *client;

    HASH_FIND_STR(core->clients, peer, client);
    return client != NULL;
}

/* Whether it is time to see if the worker has ended what nobody wants. */
static bool is_stubborn(const struct worker *worker, uint64_t now_ns)
{
    return worker->state == WORKER_READY && worker->unwanted.count > 0 && worker->unwanted_ns <= now_ns;
}

/* A deadline that is seen so late says that this process did not run, as when it was stopped or its virtual
 * machine was; its workers may not have run either, and are asked again. */
static bool has_overslept(const struct core *core, uint64_t now_ns, const struct worker *worker)
{
    return now_ns - worker_deadline(core, worker) > core->options.heartbeat_ns / 3;
}

static void worker_due(struct core *core, uint64_t now_ns, struct worker *worker, struct outbox *outbox)
{
    bool asked = worker->pinged_ns && !has_overslept(core, now_ns, worker);

    if (worker->state == WORKER_ABSENT) {
        worker->respawn_ns = 0; /* dispatch spawns it if it is wanted */
    } else if (is_stubborn(worker, now_ns)) {
        adopt_stubborn(core, now_ns, worker, outbox);
    } else if (worker->cut) {
        adopt_settled(core, worker); /* others need not wait for it any longer */
    } else if (asked || worker->awaited || worker->expected || worker->state != WORKER_READY) {
        dispatch_doom(core, worker, DOOM_SILENT, outbox);
    } else {
        worker->pinged_ns = now_ns;
        outbox_send(outbox, worker->name,
                    &(struct proto_message){.type = PROTO_PING, .ping = {.nonce = now_ns}});
    }
    roster_update(core, worker);
}

void core_tick(struct core *core, uint64_t now_ns, struct outbox *outbox)
{
    for (unsigned i = 0; i < core->slots && lowest_number(&core->roster.due) <= now_ns; i++)
        if (worker_deadline(core, &core->workers[i]) <= now_ns)
            worker_due(core, now_ns, &core->workers[i], outbox);
    changes_tick(core, now_ns, outbox);
    core_settle(core, now_ns, outbox);
}

uint64_t core_deadline(const struct core *core)
{
    uint64_t earliest = timers_deadline(&core->timers), due = lowest_number(&core->roster.due);

    if (core->recall_ns < earliest)
        earliest = core->recall_ns;
    return due < earliest ? due : earliest;
}

void core_fail(struct core *core, int code, const char *reason, struct outbox *outbox)
{
    struct client *client, *next;

    HASH_ITER(hh, core->clients, client, next)
        core_refuse(outbox, client->name, 0, code, reason);
    if (core->options.owner)
        HASH_FIND_STR(core->clients, core->options.owner, client);
    if (core->options.owner && !client) /* it waits for its WELCOME */
        core_refuse(outbox, core->options.owner, 0, code, reason);
}

void core_stop(struct core *core, struct outbox *outbox)
{
    struct client *client, *next;

    for (unsigned i = 0; i < core->slots; i++) {
        struct worker *worker = &core->workers[i];

        if (worker->state == WORKER_READY && worker->holds == 0 && worker->standing == 0)
            outbox_send(outbox, worker->name, &(struct proto_message){.type = PROTO_STOP});
        else if (worker->state != WORKER_STOPPING)
            dispatch_doom(core, worker, DOOM_CANCELLED, outbox);
    }
    HASH_ITER(hh, core->clients, client, next)
        core_refuse(outbox, client->name, 0, MUSTER_ELOST, "the coordinator ends");
}

bool core_stopped(const struct core *core)
{
    return core->stopped;
}

struct core_counts core_count(const struct core *core)
{
    struct core_counts counts = {.workers_ready = core->roster.counts.ready,
                                 .workers = core->crew,
                                 .draining = core->draining,
                                 .busy = scale_is_busy(core),
                                 .late = core->late};
    const struct batch *batch;

    DL_FOREACH(core->batches, batch) {
        counts.batches++;
        counts.jobs_queued += batch->queued;
        counts.jobs_assigned += batch->assigned;
        if (batch->id > CORE_UNKEPT_BATCHES)
            counts.unkept_bytes += batch->settings.window_bytes + batch->settings.common.size +
                                   (batch->sealed ? 0 : PROTO_GRANT_BYTES);
    }
    for (unsigned i = 0; i < core->slots; i++)
        counts.chunks_assigned += core->workers[i].holds;
    return counts;
}
