/* SPDX-License-Identifier: MIT
 *
 * New batches: what a client may ask of this coordinator, and what it is answered. Pure.
 */
#include "coordinator/state.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

void core_refuse(struct outbox *outbox, const char *peer, uint64_t ticket, int code, const char *text)
{
    outbox_send(outbox, peer,
                &(struct proto_message){
                    .type = PROTO_ERROR,
                    .error = {.ticket = ticket, .code = code, .text = outbox_text(outbox, text)}});
}

struct batch *core_find_batch(struct core *core, const struct client *client, uint64_t ticket)
{
    struct batch *batch;

    DL_FOREACH(core->batches, batch)
        if (batch->settings.ticket == ticket && strcmp(batch->client, client->name) == 0)
            return batch;
    return NULL;
}

/* What only a coordinator with a ledger does; NULL: the batch asks for none of it. */
static const char *find_unserved(const struct proto_submit *submit)
{
    if (submit->keep)
        return "this coordinator keeps no batches: submit without keep";
    if (submit->ordered)
        return "this coordinator sends results as jobs end: submit without ordered";
    if (submit->begin_ms != 0)
        return "this coordinator begins batches at once: submit without begin_ms";
    if (submit->after_count > 0)
        return "this coordinator lets no batch wait for others: submit without after";
    return NULL;
}

/* Whether workers have the function; the client is told when they do not. */
static bool check_function(const struct core *core, const struct client *client,
                           const struct proto_submit *submit, struct outbox *outbox)
{
    const struct core_functions *functions = core->options.functions;
    char name[PROTO_FUNCTION_NAME_MAX + 1];
    struct muster_error error;

    if (!functions)
        return true;
    snprintf(name, sizeof name, "%.*s", (int)submit->function.size, submit->function.bytes);
    if (functions->require(functions->context, name, &error) == 0)
        return true;
    core_refuse(outbox, client->name, submit->ticket, error.code, error.text);
    return false;
}

/* The arguments that came with the SUBMIT are the list. */
static int take_whole(struct batch *batch, uint64_t now_ns, const struct proto_message *submit)
{
    struct proto_message block = {
        .type = PROTO_ARGUMENTS,
        .arguments = {.ticket = submit->submit.ticket, .first = 1, .count = submit->submit.count},
        .payload = submit->payload};
    int result;

    if (block.arguments.count == 0)
        return 0;
    batch->granted_cost = PROTO_GRANT_BYTES;
    result = batch_append(batch, now_ns, &block);
    return result == 0 ? batch_seal(batch, block.arguments.count) : result;
}

/* Whether a job could ever run; the client is told when it could not. */
static bool check_demand(const struct core *core, const struct client *client,
                         const struct proto_submit *submit, struct outbox *outbox)
{
    const struct demand *has = &core->capacity.has;
    char text[160];

    if (submit->cpus > has->cpus)
        snprintf(text, sizeof text, "a job of %u CPUs can never run here: jobs may take %u together",
                 submit->cpus, has->cpus);
    else if (has->memory_bytes > 0 && submit->memory_bytes > has->memory_bytes)
        snprintf(text, sizeof text,
                 "a job of %.4g MiB of memory can never run here: jobs may take %.4g MiB together",
                 (double)submit->memory_bytes / (1 << 20), (double)has->memory_bytes / (1 << 20));
    else
        return true;
    core_refuse(outbox, client->name, submit->ticket, MUSTER_ELIMIT, text);
    return false;
}

/* The batch takes its turns with those of other users, which are told apart by what they say. */
static int join(struct core *core, const struct client *client, struct batch *batch)
{
    int result = schedule_join(&core->schedule, batch->settings.priority,
                               client->user[0] ? client->user : client->name, &batch->turn);

    if (result != 0)
        return result;
    if (core->capacity.has.memory_bytes == 0)
        batch->demand.memory_bytes = 0;
    core->demanding += !demand_is_plain(&batch->demand);
    schedule_wake(&batch->turn);
    return 0;
}

/* Tells the client its number, and what it may send. */
static void accept_batch(const struct client *client, struct batch *batch, struct outbox *outbox)
{
    outbox_send(outbox, client->name,
                &(struct proto_message){.type = PROTO_ACCEPTED,
                                        .accepted = {.ticket = batch->settings.ticket, .batch = batch->id}});
    if (!batch->sealed) {
        batch->granted_cost = PROTO_GRANT_BYTES;
        outbox_send(outbox, client->name,
                    &(struct proto_message){
                        .type = PROTO_GRANT,
                        .grant = {.ticket = batch->settings.ticket, .bytes = batch->granted_cost}});
    }
}

void core_submit(struct core *core, uint64_t now_ns, struct client *client,
                 const struct proto_message *message, struct outbox *outbox)
{
    const struct proto_submit *submit = &message->submit;
    const char *unserved = find_unserved(submit);
    struct batch *batch;
    unsigned batches;

    if (unserved) {
        core_refuse(outbox, client->name, submit->ticket, MUSTER_ESTATE, unserved);
        return;
    }
    if (!check_function(core, client, submit, outbox) || !check_demand(core, client, submit, outbox))
        return;
    if (core_find_batch(core, client, submit->ticket)) {
        core_refuse(outbox, client->name, submit->ticket, MUSTER_ESTATE, "this ticket is in use");
        return;
    }
    DL_COUNT(core->batches, batch, batches);
    if (batches >= PROTO_BATCHES_MAX) {
        core_refuse(outbox, client->name, submit->ticket, MUSTER_ELIMIT, "too many batches are open");
        return;
    }
    batch = batch_create(core->last_batch + 1, now_ns, client->name, submit, core->options.workers);
    if (!batch || take_whole(batch, now_ns, message) != 0 || join(core, client, batch) != 0) {
        batch_destroy(batch);
        core_refuse(outbox, client->name, submit->ticket, MUSTER_ENOMEM, "the coordinator is out of memory");
        return;
    }
    batch->reader = submit->shared && core->options.host ? client->pid : 0;
    core->last_batch++;
    DL_APPEND(core->batches, batch);
    accept_batch(client, batch, outbox);
}
