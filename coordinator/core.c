/* SPDX-License-Identifier: MIT
 *
 * The coordinator's entry points: what happened goes in, what is to be done comes out. See
 * core.h. New batches are in submit.c, assignment is in dispatch.c, the fate of jobs in settle.c, bury.c and
 * cancel.c. Pure.
 */
#include "coordinator/core.h"

#include "base/clock.h"
#include "coordinator/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* Pause before the n-th attempt to start a worker after failures, doubled each time. */
static const uint64_t RESPAWN_NS = 50 * CLOCK_NS_PER_MS;

/* How long a worker may take until it says HELLO: its plug-ins load meanwhile. */
static const uint64_t START_NS = 60 * CLOCK_NS_PER_S;

/* How long an adopted worker may take until it has said what it holds: it tries to connect four times a
 * second. */
static const uint64_t AWAY_NS = 10 * CLOCK_NS_PER_S;

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
    core->capacity.has.cpus = options->cpus ? options->cpus : options->workers;
    core->capacity.has.memory_bytes = options->memory_bytes;
    core->demanding = core->capacity.has.cpus < options->workers;
    core->workers = calloc(options->workers, sizeof *core->workers);
    if (!core->workers) {
        free(core);
        return MUSTER_ENOMEM;
    }
    for (unsigned i = 0; i < options->workers; i++)
        core->workers[i].slot = i + 1;
    *ret_core = core;
    return 0;
}

void core_destroy(struct core *core)
{
    struct client *client, *next_client;
    struct batch *batch, *next_batch;

    if (!core)
        return;
    for (unsigned i = 0; i < core->options.workers; i++) {
        struct worker *worker = &core->workers[i];

        while (worker->chunks)
            hold_drop(worker, worker->chunks);
        holdings_fini(&worker->holdings);
    }
    HASH_CLEAR(hh, core->workers_by_name);
    free(core->workers);
    HASH_ITER(hh, core->clients, client, next_client) {
        HASH_DEL(core->clients, client);
        free(client);
    }
    DL_FOREACH_SAFE(core->batches, batch, next_batch)
        batch_destroy(batch);
    schedule_fini(&core->schedule);
    free(core);
}

static unsigned count_in(const struct core *core, enum worker_state state)
{
    unsigned count = 0;

    for (unsigned i = 0; i < core->options.workers; i++)
        count += core->workers[i].state == state;
    return count;
}

static void send_welcome(const struct core *core, const char *peer, struct outbox *outbox)
{
    const struct core_options *options = &core->options;

    outbox_send(outbox, peer,
                &(struct proto_message){.type = PROTO_WELCOME,
                                        .welcome = {.version = PROTO_VERSION,
                                                    .workers = options->workers,
                                                    .host = options->host,
                                                    .keeps = options->keeps,
                                                    .epoch = options->epoch}});
}

/* Tells a client that it is known; with `warm`, once all workers are there. */
static void welcome(struct core *core, struct client *client, struct outbox *outbox)
{
    if (client->welcomed || (core->options.warm && count_in(core, WORKER_READY) < core->options.workers))
        return;
    client->welcomed = true;
    send_welcome(core, client->name, outbox);
}

/* Workers do not start, and none runs or may yet come up: whoever waits for them is told why. */
static void check_starts(struct core *core, uint64_t now_ns, struct outbox *outbox)
{
    struct client *client, *next;
    struct batch *batch;

    if (core->failed_starts < FAILED_STARTS_MAX || count_in(core, WORKER_READY) > 0 ||
        count_in(core, WORKER_STARTING) > 0 || core->awaited > 0)
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
    dispatch(core, now_ns, outbox);
    settle_ended(core, outbox);
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
    worker->state = WORKER_READY;
    worker->credit = hello->credit < 1 ? 1 : hello->credit;
    worker->concurrency = hello->concurrency < 1 ? 1 : hello->concurrency;
    worker->heard_ns = now_ns;
    core->failed_starts = 0;
    send_welcome(core, worker->name, outbox);
    adopt_greeted(core, worker, hello->standing);
    HASH_ITER(hh, core->clients, client, next)
        welcome(core, client, outbox);
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
        outbox_keep(outbox, worker->name, message->result.number);
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
}

void core_worker_exited(struct core *core, uint64_t now_ns, const struct worker_exit *exit,
                        struct outbox *outbox)
{
    struct worker *worker = &core->workers[exit->slot - 1];
    struct worker_exit known = *exit;
    bool started = worker->credit > 0 || worker->awaited;

    if (worker->doom == DOOM_SILENT && worker->awaited)
        snprintf(known.reason, sizeof known.reason, "not coming back for %.3g s, and killed",
                 (double)AWAY_NS / 1e9);
    else if (worker->doom == DOOM_SILENT)
        snprintf(known.reason, sizeof known.reason, "%s for %.3g s, and killed",
                 started ? "not answering" : "not saying HELLO",
                 (double)(started ? core->options.heartbeat_ns : START_NS) / 1e9);
    else if (worker->doom == DOOM_MALFORMED)
        snprintf(known.reason, sizeof known.reason, "killed for sending what no worker sends");
    else if (worker->doom == DOOM_VERSION)
        snprintf(known.reason, sizeof known.reason, "killed for speaking another protocol version");
    if (worker->awaited)
        adopt_last_words(core, now_ns, worker, &known, outbox);
    adopt_settled(core, worker);
    HASH_DEL(core->workers_by_name, worker);
    bury_worker(now_ns, worker, &known, outbox);
    worker->state = WORKER_ABSENT;
    worker->respawn_ns = 0;
    if (!started) {
        core->failed_starts++;
        worker->respawn_ns =
            clock_after(now_ns, RESPAWN_NS << (core->failed_starts < 8 ? core->failed_starts : 8));
        snprintf(core->start_error, sizeof core->start_error, "workers do not start (the last one: %s)",
                 known.reason);
        check_starts(core, now_ns, outbox);
    }
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
    check_starts(core, now_ns, outbox);
    core_settle(core, now_ns, outbox);
}

/* --- clients */

/* A client leaves: its batches are cancelled, and nothing more is sent to it. */
static void client_stop(struct core *core, uint64_t now_ns, struct client *client, struct outbox *outbox)
{
    struct batch *batch;

    DL_FOREACH(core->batches, batch) {
        if (strcmp(batch->client, client->name) != 0)
            continue;
        cancel_batch(core, now_ns, batch, PROTO_CANCEL_NOW, outbox);
        batch->client[0] = '\0';
    }
    if (core->options.owner && strcmp(client->name, core->options.owner) == 0)
        core->stopped = true;
    HASH_DEL(core->clients, client);
    free(client);
}

static int client_cancel(struct core *core, uint64_t now_ns, struct batch *batch,
                         const struct proto_cancel *cancel, struct outbox *outbox)
{
    if (cancel->count > 0)
        return cancel_jobs(core, batch, cancel, outbox);
    cancel_batch(core, now_ns, batch, cancel->mode, outbox);
    return 0;
}

/* A message about a batch that has ended is passed over: it may have crossed ENDED on the way. */
static void client_batch_message(struct core *core, uint64_t now_ns, struct client *client,
                                 const struct proto_message *message, uint64_t ticket, struct outbox *outbox)
{
    struct batch *batch = core_find_batch(core, client, ticket);
    int result = 0;

    if (!batch)
        return;
    if (message->type == PROTO_ARGUMENTS)
        result = batch->cancel ? 0 : batch_append(batch, now_ns, message);
    else if (message->type == PROTO_SEAL)
        result = batch->cancel ? 0 : batch_seal(batch, message->seal.total);
    else if (message->type == PROTO_CANCEL)
        result = client_cancel(core, now_ns, batch, &message->cancel, outbox);
    else if (message->consumed.bytes >= batch->consumed_cost && message->consumed.bytes <= batch->sent_cost)
        batch->consumed_cost = message->consumed.bytes;
    else
        result = MUSTER_EPROTOCOL;
    if (result != 0) {
        core_refuse(outbox, client->name, ticket, result,
                    "arguments or counts do not follow what was sent before");
        cancel_batch(core, now_ns, batch, PROTO_CANCEL_NOW, outbox);
    }
    schedule_wake(&batch->turn);
}

static void refuse_unserved(const struct client *client, uint64_t ticket, struct outbox *outbox)
{
    core_refuse(outbox, client->name, ticket, MUSTER_ESTATE,
                "this coordinator keeps no batches: there is nothing to attach to or to ask about");
}

static void client_message(struct core *core, uint64_t now_ns, struct client *client,
                           const struct proto_message *message, struct outbox *outbox)
{
    switch (message->type) {
    case PROTO_SUBMIT:
        core_submit(core, now_ns, client, message, outbox);
        return;
    case PROTO_ARGUMENTS:
        client_batch_message(core, now_ns, client, message, message->arguments.ticket, outbox);
        return;
    case PROTO_SEAL:
        client_batch_message(core, now_ns, client, message, message->seal.ticket, outbox);
        return;
    case PROTO_CONSUMED:
        client_batch_message(core, now_ns, client, message, message->consumed.ticket, outbox);
        return;
    case PROTO_CANCEL:
        if (message->cancel.mode == PROTO_CANCEL_RETURN)
            break;
        client_batch_message(core, now_ns, client, message, message->cancel.id, outbox);
        return;
    case PROTO_STOP:
        client_stop(core, now_ns, client, outbox);
        return;
    case PROTO_ATTACH:
        refuse_unserved(client, message->attach.ticket, outbox);
        return;
    case PROTO_DETACH:
        refuse_unserved(client, message->detach.ticket, outbox);
        return;
    case PROTO_REQUEST:
        refuse_unserved(client, message->request.ticket, outbox);
        return;
    case PROTO_HELLO:
    case PROTO_WELCOME:
    case PROTO_ERROR:
    case PROTO_ACCEPTED:
    case PROTO_GRANT:
    case PROTO_RESULTS:
    case PROTO_ENDED:
    case PROTO_CHUNK:
    case PROTO_RESULT:
    case PROTO_PING:
    case PROTO_PONG:
    case PROTO_RETURNED:
    case PROTO_ATTACHED:
    case PROTO_ANSWER:
    case PROTO_STANDING:
    case PROTO_KEPT:
        break;
    }
    core_refuse(outbox, client->name, 0, MUSTER_EPROTOCOL, "a client does not send this message");
}

/* Somebody new. Workers are known by the names they were spawned under; all others can only
 * be clients. */
static void stranger_message(struct core *core, const char *peer, const struct proto_message *message,
                             struct outbox *outbox)
{
    struct client *client;

    if (message->type == PROTO_RESULT) { /* of a worker that is buried */
        settle_late(core, message, outbox);
        return;
    }
    if (message->type == PROTO_RETURNED) /* likewise: its jobs were returned with it */
        return;
    if (message->type == PROTO_HELLO && message->hello.version != PROTO_VERSION) {
        core_refuse(outbox, peer, 0, MUSTER_EVERSION, "this coordinator speaks another protocol version");
        return;
    }
    if (message->type != PROTO_HELLO || message->hello.role != PROTO_CLIENT) {
        core_refuse(outbox, peer, 0, MUSTER_ESTATE, "say HELLO first, under the name you were given");
        return;
    }
    if (HASH_COUNT(core->clients) >= (core->options.clients ? core->options.clients : PROTO_CLIENTS_MAX)) {
        core_refuse(outbox, peer, 0, MUSTER_ELIMIT, "too many clients are connected");
        return;
    }
    client = calloc(1, sizeof *client);
    if (!client) {
        outbox->failed = true;
        return;
    }
    client->pid = message->hello.pid;
    if (message->hello.user.size > 0)
        memcpy(client->user, message->hello.user.bytes, message->hello.user.size);
    memcpy(client->name, peer, strnlen(peer, PROTO_PEER_NAME_MAX));
    HASH_ADD_STR(core->clients, name, client);
    if (!client->hh.tbl) {
        free(client);
        outbox->failed = true;
        return;
    }
    welcome(core, client, outbox);
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
        stranger_message(core, peer, message, outbox);
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

/* The next thing that is due for a worker: a respawn, a ping, or its end. */
static uint64_t worker_deadline(const struct core *core, const struct worker *worker)
{
    if (worker->awaited && worker->state != WORKER_DOOMED)
        return clock_after(worker->heard_ns, AWAY_NS);
    switch (worker->state) {
    case WORKER_AWAY:
        break;
    case WORKER_ABSENT:
        return worker->respawn_ns ? worker->respawn_ns : CLOCK_NEVER;
    case WORKER_READY:
        if (worker->holds == 0)
            return CLOCK_NEVER;
        if (worker->pinged_ns) /* from then on, however late it was: it has to have time to answer */
            return clock_after(worker->pinged_ns,
                               core->options.heartbeat_ns - core->options.heartbeat_ns / 3);
        return clock_after(worker->heard_ns, core->options.heartbeat_ns / 3);
    case WORKER_STARTING:
        return clock_after(worker->heard_ns, START_NS);
    case WORKER_DOOMED:
        return CLOCK_NEVER;
    }
    return CLOCK_NEVER;
}

static void worker_due(struct core *core, uint64_t now_ns, struct worker *worker, struct outbox *outbox)
{
    if (worker->state == WORKER_ABSENT) {
        worker->respawn_ns = 0; /* dispatch spawns it if it is wanted */
    } else if (worker->pinged_ns || worker->awaited || worker->state == WORKER_STARTING) {
        dispatch_doom(core, worker, DOOM_SILENT, outbox);
    } else {
        worker->pinged_ns = now_ns;
        outbox_send(outbox, worker->name,
                    &(struct proto_message){.type = PROTO_PING, .ping = {.nonce = now_ns}});
    }
}

static void end_delays(struct core *core, uint64_t now_ns, struct outbox *outbox)
{
    struct batch *batch;

    DL_FOREACH(core->batches, batch) {
        if (delays_due_ns(&batch->delays) > now_ns)
            continue;
        if (batch_end_delays(batch, now_ns) != 0)
            outbox->failed = true;
        schedule_wake(&batch->turn);
    }
}

void core_tick(struct core *core, uint64_t now_ns, struct outbox *outbox)
{
    struct batch *batch;

    for (unsigned i = 0; i < core->options.workers; i++)
        if (worker_deadline(core, &core->workers[i]) <= now_ns)
            worker_due(core, now_ns, &core->workers[i], outbox);
    DL_FOREACH(core->batches, batch)
        if (batch->cancel && batch->cancel_deadline_ns <= now_ns)
            cancel_stubborn(core, now_ns, batch, outbox);
    end_delays(core, now_ns, outbox);
    core_settle(core, now_ns, outbox);
}

uint64_t core_deadline(const struct core *core)
{
    const struct batch *batch;
    uint64_t earliest = core->recall_ns;

    for (unsigned i = 0; i < core->options.workers; i++) {
        uint64_t due = worker_deadline(core, &core->workers[i]);

        if (due < earliest)
            earliest = due;
    }
    DL_FOREACH(core->batches, batch) {
        uint64_t due = delays_due_ns(&batch->delays);

        if (batch->cancel && batch->cancel_deadline_ns < due)
            due = batch->cancel_deadline_ns;
        if (due < earliest)
            earliest = due;
    }
    return earliest;
}

void core_fail(struct core *core, int code, const char *reason, struct outbox *outbox)
{
    struct client *client, *next;

    HASH_ITER(hh, core->clients, client, next)
        core_refuse(outbox, client->name, 0, code, reason);
}

void core_stop(struct core *core, struct outbox *outbox)
{
    struct client *client, *next;

    for (unsigned i = 0; i < core->options.workers; i++) {
        struct worker *worker = &core->workers[i];

        if (worker->state == WORKER_READY && worker->holds == 0)
            outbox_send(outbox, worker->name, &(struct proto_message){.type = PROTO_STOP});
        else
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
    struct core_counts counts = {.workers_ready = count_in(core, WORKER_READY), .late = core->late};
    const struct batch *batch;

    DL_FOREACH(core->batches, batch) {
        counts.batches++;
        counts.jobs_queued += batch->queued;
        counts.jobs_assigned += batch->assigned;
    }
    for (unsigned i = 0; i < core->options.workers; i++)
        counts.chunks_assigned += core->workers[i].holds;
    return counts;
}
