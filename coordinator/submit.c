/* SPDX-License-Identifier: MIT
 *
 * New batches: what a client may ask of this coordinator, and what it is answered. Pure.
 */
#include "coordinator/state.h"

#include "base/size.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

/* The function of commands, which workers alone have. */
#define COMMAND "command"

void core_refuse(struct outbox *outbox, const char *peer, uint64_t ticket, int code, const char *text)
{
    outbox_send(outbox, peer,
                &(struct proto_message){
                    .type = PROTO_ERROR,
                    .error = {.ticket = ticket, .code = code, .text = outbox_text(outbox, text)}});
}

struct batch *core_find_batch(const struct client *client, uint64_t ticket)
{
    struct batch *batch;

    HASH_FIND(hh_ticket, client->batches, &ticket, sizeof ticket, batch);
    return batch;
}

bool core_has_ticket(const struct core *core, const char *peer, uint64_t ticket)
{
    const struct client *client;

    HASH_FIND_STR(core->clients, peer, client);
    return client && core_find_batch(client, ticket);
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

int core_check_demand(const struct core *core, const struct proto_submit *submit,
                      struct muster_error *ret_error)
{
    const struct demand *has = &core->capacity.has;
    char asked[SIZE_TEXT_BYTES], there[SIZE_TEXT_BYTES];

    if (submit->cpus > has->cpus)
        return muster_error_set(ret_error, MUSTER_ELIMIT,
                                "a job of %u CPUs can never run here: jobs may take %u together",
                                submit->cpus, has->cpus);
    if (has->memory_bytes > 0 && submit->memory_bytes > has->memory_bytes)
        return muster_error_set(ret_error, MUSTER_ELIMIT,
                                "a job of %s of memory can never run here: jobs may take %s together",
                                size_text(submit->memory_bytes, asked), size_text(has->memory_bytes, there));
    return 0;
}

/* Whether a job could ever run; the client is told when it could not. */
static bool check_demand(const struct core *core, const struct client *client,
                         const struct proto_submit *submit, struct outbox *outbox)
{
    struct muster_error error;

    if (core_check_demand(core, submit, &error) == 0)
        return true;
    core_refuse(outbox, client->name, submit->ticket, error.code, error.text);
    return false;
}

static bool is_of_commands(const struct batch *batch)
{
    const struct proto_text *function = &batch->settings.function;

    return function->size == strlen(COMMAND) && memcmp(function->bytes, COMMAND, function->size) == 0;
}

/* Whether its jobs are about the coordinator's host: its files and programs, or what it has of CPUs and
 * memory, also where that is too little, or not known, and they are not held to it.
 */
static bool must_stay(const struct batch *batch)
{
    const struct demand asked = {.cpus = batch->settings.cpus, .memory_bytes = batch->settings.memory_bytes};

    return !demand_is_plain(&asked) || is_of_commands(batch);
}

/* The batch takes its turns with those of other users, which are told apart by what they say. */
static int join(struct core *core, const char *user, struct batch *batch)
{
    int result;

    if (batch->demand.cpus > core->capacity.has.cpus) /* of a batch that was accepted when there were more */
        batch->demand.cpus = core->capacity.has.cpus;
    if (batch->demand.memory_bytes > core->capacity.has.memory_bytes)
        batch->demand.memory_bytes = core->capacity.has.memory_bytes; /* 0: it is not counted */
    batch->single = is_of_commands(batch);
    batch->stays = must_stay(batch);
    result = schedule_join(&core->schedule, batch->settings.priority, user, batch->stays, &batch->turn);
    if (result != 0)
        return result;
    core->demanding += !demand_is_plain(&batch->demand);
    schedule_wake(&batch->turn);
    return 0;
}

/* All or nothing, as the core keeps it. */
static int enlist(struct core *core, struct client *client, const char *user, struct batch *batch)
{
    int result = changes_add(core, client, batch);

    if (result == 0 && (result = join(core, user, batch)) != 0)
        changes_remove(core, batch);
    return result;
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

/* `known`, which may be NULL, says whose it is, and which of its jobs had ended before. */
static void take_batch(struct core *core, uint64_t now_ns, struct client *client, uint64_t number,
                       const struct proto_message *message, const struct outbox_item *known,
                       struct outbox *outbox)
{
    const struct proto_submit *submit = &message->submit;
    const char *user = known ? known->user : client->user[0] ? client->user : client->name;
    struct batch *batch = batch_create(number, now_ns, client->name, submit, core->slots);

    if (!batch || (known && batch_end_before(batch, known->ended, known->ended_count) != 0) ||
        take_whole(batch, now_ns, message) != 0 || enlist(core, client, user, batch) != 0) {
        batch_destroy(batch);
        if (known) { /* it was accepted: the next life of the coordinator goes on with it */
            outbox->failed = true;
            return;
        }
        core_refuse(outbox, client->name, submit->ticket, MUSTER_ENOMEM, "the coordinator is out of memory");
        return;
    }
    batch->workers = core->crew;
    batch->reader = submit->shared && core->options.host ? client->pid : 0;
    if (!known)
        core->last_batch = number;
    accept_batch(client, batch, outbox);
}

/* Whether the batch can be taken; the client is told when it cannot. */
static bool check_submit(struct core *core, const struct client *client, const struct proto_submit *submit,
                         struct outbox *outbox)
{
    const char *unserved = find_unserved(submit);

    if (unserved) {
        core_refuse(outbox, client->name, submit->ticket, MUSTER_ESTATE, unserved);
        return false;
    }
    if (!check_function(core, client, submit, outbox))
        return false;
    if (core_find_batch(client, submit->ticket)) {
        core_refuse(outbox, client->name, submit->ticket, MUSTER_ESTATE, "this ticket is in use");
        return false;
    }
    return true;
}

static bool check_room(const struct core *core, const struct client *client,
                       const struct proto_submit *submit, struct outbox *outbox)
{
    if (HASH_CNT(hh_id, core->batches_by_id) < PROTO_BATCHES_MAX)
        return true;
    core_refuse(outbox, client->name, submit->ticket, MUSTER_ELIMIT, "too many batches are open");
    return false;
}

void core_submit(struct core *core, uint64_t now_ns, struct client *client,
                 const struct proto_message *message, struct outbox *outbox)
{
    const struct proto_submit *submit = &message->submit;

    if (check_submit(core, client, submit, outbox) && check_demand(core, client, submit, outbox) &&
        check_room(core, client, submit, outbox))
        take_batch(core, now_ns, client, core->last_batch + 1, message, NULL, outbox);
}

void core_submit_known(struct core *core, uint64_t now_ns, const char *peer, const struct outbox_item *item,
                       struct outbox *outbox)
{
    const struct proto_submit *submit = &item->message.submit;
    struct client *client;

    HASH_FIND_STR(core->clients, peer, client);
    if (client && check_submit(core, client, submit, outbox))
        take_batch(core, now_ns, client, submit->ticket, &item->message, item, outbox);
    core_settle(core, now_ns, outbox);
}
