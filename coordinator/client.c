/* SPDX-License-Identifier: MIT
 *
 * What clients say: they come, send arguments, take results, cancel, and leave. New batches are in submit.c.
 * Part of the core: pure.
 */
#include "base/error.h"
#include "coordinator/state.h"

#include <stdlib.h>
#include <string.h>

void client_greet(const struct core *core, const char *peer, struct outbox *outbox)
{
    const struct core_options *options = &core->options;

    outbox_send(outbox, peer,
                &(struct proto_message){.type = PROTO_WELCOME,
                                        .welcome = {.version = PROTO_VERSION,
                                                    .workers = core->crew,
                                                    .host = options->host,
                                                    .keeps = options->keeps,
                                                    .epoch = options->epoch}});
}

void client_welcome(struct core *core, struct client *client, struct outbox *outbox)
{
    if (client->welcomed || (core->options.warm && core->roster.counts.ready < core->own))
        return;
    client->welcomed = true;
    client_greet(core, client->name, outbox);
}

static bool is_owner(const struct core *core, const char *name)
{
    return core->options.owner && strcmp(name, core->options.owner) == 0;
}

void client_stop(struct core *core, uint64_t now_ns, struct client *client, struct outbox *outbox)
{
    struct batch *batch, *next;

    HASH_ITER(hh_ticket, client->batches, batch, next)
        cancel_batch(core, now_ns, batch, PROTO_CANCEL_NOW, outbox);
    changes_disown(client);
    if (is_owner(core, client->name))
        core->stopped = true;
    HASH_DEL(core->clients, client);
    free(client);
}

static void cancel(struct core *core, uint64_t now_ns, const struct client *client, struct batch *batch,
                   const struct proto_cancel *cancel, struct outbox *outbox)
{
    if (cancel->count > PROTO_CHUNK_JOBS_MAX)
        core_refuse(outbox, client->name, cancel->id, MUSTER_ELIMIT, CORE_CANCEL_LIMIT);
    else if (cancel->count > 0)
        cancel_jobs(core, batch, cancel, outbox);
    else
        cancel_batch(core, now_ns, batch, cancel->mode, outbox);
}

/* A message about a batch that has ended is passed over: it may have crossed ENDED on the way. */
static void batch_message(struct core *core, uint64_t now_ns, struct client *client,
                          const struct proto_message *message, uint64_t ticket, struct outbox *outbox)
{
    struct batch *batch = core_find_batch(client, ticket);
    int result = 0;

    if (!batch)
        return;
    if (message->type == PROTO_ARGUMENTS)
        result = batch->cancel ? 0 : batch_append(batch, now_ns, message);
    else if (message->type == PROTO_SEAL)
        result = batch->cancel ? 0 : batch_seal(batch, message->seal.total);
    else if (message->type == PROTO_CANCEL)
        cancel(core, now_ns, client, batch, &message->cancel, outbox);
    else if (message->consumed.bytes >= batch->consumed_cost && message->consumed.bytes <= batch->sent_cost)
        batch->consumed_cost = message->consumed.bytes;
    else
        result = MUSTER_EPROTOCOL;
    if (result == MUSTER_ENOMEM) { /* not the batch's fault, which may be one that is kept */
        outbox->failed = true;
        return;
    }
    if (result != 0) {
        core_refuse(outbox, client->name, ticket, result,
                    "arguments or counts do not follow what was sent before");
        cancel_batch(core, now_ns, batch, PROTO_CANCEL_NOW, outbox);
    }
    if (!batch->cancel)
        dispatch_grant(batch, outbox); /* for jobs that are over, and nobody took */
    schedule_wake(&batch->turn);
}

static void refuse_unserved(const struct client *client, uint64_t ticket, struct outbox *outbox)
{
    core_refuse(outbox, client->name, ticket, MUSTER_ESTATE,
                "this coordinator keeps no batches: there is nothing to attach to or to ask about");
}

static void detach(struct core *core, const struct client *client, uint64_t ticket, struct outbox *outbox)
{
    if (core->options.keeps == PROTO_KEEPS_NOTHING)
        refuse_unserved(client, ticket, outbox);
    else if (core_find_batch(client, ticket))
        core_refuse(outbox, client->name, ticket, MUSTER_ESTATE,
                    "this batch is not kept: it ends when its client leaves");
}

void client_message(struct core *core, uint64_t now_ns, struct client *client,
                    const struct proto_message *message, struct outbox *outbox)
{
    switch (message->type) {
    case PROTO_SUBMIT:
        core_submit(core, now_ns, client, message, outbox);
        return;
    case PROTO_ARGUMENTS:
        batch_message(core, now_ns, client, message, message->arguments.ticket, outbox);
        return;
    case PROTO_SEAL:
        batch_message(core, now_ns, client, message, message->seal.ticket, outbox);
        return;
    case PROTO_CONSUMED:
        batch_message(core, now_ns, client, message, message->consumed.ticket, outbox);
        return;
    case PROTO_CANCEL:
        if (message->cancel.mode == PROTO_CANCEL_RETURN)
            break;
        batch_message(core, now_ns, client, message, message->cancel.id, outbox);
        return;
    case PROTO_STOP:
        client_stop(core, now_ns, client, outbox);
        return;
    case PROTO_ATTACH:
        refuse_unserved(client, message->attach.ticket, outbox);
        return;
    case PROTO_DETACH:
        detach(core, client, message->detach.ticket, outbox);
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
    case PROTO_JOIN:
    case PROTO_JOINED:
    case PROTO_SPAWN:
    case PROTO_KILL:
    case PROTO_EXITED:
    case PROTO_BEAT:
        break;
    }
    core_refuse(outbox, client->name, 0, MUSTER_EPROTOCOL, "a client does not send this message");
}

void client_begin(struct core *core, const char *peer, const struct proto_message *message,
                  struct outbox *outbox)
{
    struct client *client;

    if (message->type == PROTO_RESULT) { /* of a worker that is buried */
        settle_late(core, message, outbox);
        return;
    }
    if (message->type == PROTO_RETURNED) /* likewise: its jobs were returned with it */
        return;
    if (message->type == PROTO_STOP && is_owner(core, peer)) { /* whose HELLO did not get here */
        core->stopped = true;
        return;
    }
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
    client_welcome(core, client, outbox);
}
