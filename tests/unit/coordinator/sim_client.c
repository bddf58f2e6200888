/* SPDX-License-Identifier: MIT
 *
 * Clients that submit, stream and cancel, and believe nothing that they are told. See sim.h.
 */
#include "base/clock.h"
#include "proto/codec.h"
#include "proto/value.h"
#include "tests/unit/coordinator/sim.h"

#include <stdio.h>
#include <string.h>

int64_t sim_argument(uint64_t ticket, uint64_t index)
{
    return (int64_t)(1000 * ticket + index);
}

static struct proto_submit random_settings(struct sim *sim, uint64_t ticket, uint32_t total)
{
    struct proto_submit settings = {
        .ticket = ticket,
        .kind = sim_once_in(sim, 2) ? PROTO_RANGE : PROTO_LIST,
        .chunk_jobs = sim_once_in(sim, 2) ? 0 : 1 + (uint32_t)sim_below(sim, 9),
        .timeout_ms = sim_once_in(sim, 3) ? 1000 : 0,
        .retries = (uint32_t)sim_below(sim, 3),
        .crash_limit = 1 + (uint32_t)sim_below(sim, 3),
        .timings = sim_once_in(sim, 3),
        .window_bytes = sim_once_in(sim, 3) ? 1 + sim_below(sim, 2000) : 1 << 20,
        .attach = true,
        .priority = sim_once_in(sim, 3) ? (int32_t)sim_below(sim, 3) - 1 : 0,
        .most_running = sim_once_in(sim, 3) ? 1 + (uint32_t)sim_below(sim, 5) : 0,
        .cpus = sim_once_in(sim, 3) ? 1 + (uint32_t)sim_below(sim, sim->host.cpus) : 1,
        .memory_bytes = sim_once_in(sim, 3) ? 1 + sim_below(sim, SIM_MEMORY) : 0,
        .backoff_ms = sim_once_in(sim, 3) ? 1 + (uint32_t)sim_below(sim, 40) : 0,
    };

    if (settings.kind == PROTO_RANGE) {
        settings.first = sim_argument(ticket, 1);
        settings.last = sim_argument(ticket, total);
    }
    return settings;
}

void sim_client_init(struct sim *sim, unsigned place)
{
    struct sim_client *client = &sim->clients[place];
    struct proto_message hello = {.type = PROTO_HELLO,
                                  .hello = {.version = PROTO_VERSION, .role = PROTO_CLIENT}};

    if (sim_once_in(sim, 2))
        hello.hello.user = (struct proto_text){"ann", 3};
    *client = (struct sim_client){0};
    snprintf(client->name, sizeof client->name, "client-%u", place);
    for (unsigned i = 0; i < SIM_BATCHES; i++) {
        struct sim_batch *batch = &client->batches[i];

        snprintf(batch->function, sizeof batch->function, "f%u.%u", place, i);
        batch->total = 1 + (uint32_t)sim_below(sim, SIM_JOBS_MAX);
        batch->settings = random_settings(sim, i + 1, batch->total);
        batch->settings.function = (struct proto_text){batch->function, (uint32_t)strlen(batch->function)};
        batch->sealed = batch->settings.kind == PROTO_RANGE;
        if (sim_once_in(sim, 4))
            batch->poison = 1 + sim_below(sim, batch->total);
    }
    sim_post(&client->from, &hello);
}

struct sim_batch *sim_find_batch(struct sim *sim, const char *function)
{
    for (unsigned c = 0; c < SIM_CLIENTS; c++)
        for (unsigned i = 0; i < SIM_BATCHES; i++)
            if (strcmp(sim->clients[c].batches[i].function, function) == 0)
                return &sim->clients[c].batches[i];
    SIM_CHECK(sim, false, "nobody submitted the function %s", function);
    return NULL;
}

/* --- what it says */

/* The next arguments of the batch, so many. The caller unrefs the blob. */
static struct slice pack_arguments(struct sim_batch *batch, uint32_t count)
{
    msgpack_sbuffer buffer;
    msgpack_packer packer;
    struct slice payload;

    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    for (uint32_t i = 1; i <= count; i++)
        msgpack_pack_int64(&packer, sim_argument(batch->settings.ticket, batch->sent + i));
    payload = (struct slice){.blob = blob_copy(buffer.data, buffer.size), .size = buffer.size};
    msgpack_sbuffer_destroy(&buffer);
    cr_assert(payload.blob);
    batch->sent += count;
    return payload;
}

/* Some submissions of lists have all of their arguments with them. */
static void submit(struct sim *sim, struct sim_client *client, struct sim_batch *batch)
{
    struct proto_message message = {.type = PROTO_SUBMIT};

    if (batch->settings.kind == PROTO_LIST && sim_once_in(sim, 3)) {
        batch->settings.count = batch->total;
        batch->sealed = true;
        message.payload = pack_arguments(batch, batch->total);
    }
    message.submit = batch->settings;
    sim_post(&client->from, &message);
    blob_unref(message.payload.blob);
    batch->submitted = true;
}

static void send_arguments(struct sim *sim, struct sim_client *client, struct sim_batch *batch)
{
    uint32_t left = batch->total - batch->sent, count = 1 + (uint32_t)sim_below(sim, left);
    struct proto_message message = {
        .type = PROTO_ARGUMENTS,
        .arguments = {.ticket = batch->settings.ticket, .first = batch->sent + 1, .count = count},
        .payload = pack_arguments(batch, count)};

    sim_post(&client->from, &message);
    batch->sent_cost += message.payload.size + PROTO_MESSAGE_COST_BYTES;
    blob_unref(message.payload.blob);
}

static void cancel_some(struct sim *sim, struct sim_client *client, struct sim_batch *batch)
{
    uint32_t known = batch->settings.kind == PROTO_RANGE ? batch->total : batch->sent;
    uint32_t first = 1 + (uint32_t)sim_below(sim, known);
    uint32_t count = sim_once_in(sim, 2) ? 1 : 1 + (uint32_t)sim_below(sim, known - first + 1);
    struct proto_cancel cancel = {.id = batch->settings.ticket,
                                  .mode = sim_once_in(sim, 3) ? PROTO_CANCEL_SOON : PROTO_CANCEL_NOW,
                                  .first = first,
                                  .count = count};

    sim_post(&client->from, &(struct proto_message){.type = PROTO_CANCEL, .cancel = cancel});
    for (uint32_t i = 0; i < count; i++)
        batch->jobs[first + i].cancelled = true;
}

static void act_on(struct sim *sim, struct sim_client *client, struct sim_batch *batch)
{
    uint64_t ticket = batch->settings.ticket;

    if (!batch->submitted) {
        submit(sim, client, batch);
    } else if (batch->ended) {
        return;
    } else if ((batch->sent > 0 || batch->settings.kind == PROTO_RANGE) && sim_fault(sim, 12)) {
        cancel_some(sim, client, batch);
    } else if (sim_fault(sim, 60)) {
        enum proto_cancel_mode mode = sim_once_in(sim, 2) ? PROTO_CANCEL_SOON : PROTO_CANCEL_NOW;

        sim_post(&client->from,
                 &(struct proto_message){.type = PROTO_CANCEL, .cancel = {.id = ticket, .mode = mode}});
        batch->cancelled = true;
    } else if (batch->consumed_cost < batch->received_cost && sim_once_in(sim, 2)) {
        batch->consumed_cost = batch->received_cost;
        sim_post(&client->from,
                 &(struct proto_message){.type = PROTO_CONSUMED,
                                         .consumed = {.ticket = ticket, .bytes = batch->consumed_cost}});
    } else if (!batch->sealed && batch->sent == batch->total) {
        sim_post(&client->from, &(struct proto_message){.type = PROTO_SEAL,
                                                        .seal = {.ticket = ticket, .total = batch->total}});
        batch->sealed = true;
    } else if (!batch->sealed && batch->sent_cost < batch->granted_cost) {
        send_arguments(sim, client, batch);
    }
}

void sim_client_act(struct sim *sim, struct sim_client *client)
{
    act_on(sim, client, &client->batches[sim_below(sim, SIM_BATCHES)]);
}

/* --- what it is told */

/* Whether a job may be told to have failed so. */
static bool may_fail(const struct sim_batch *batch, const struct sim_job *job, int32_t code)
{
    switch (code) {
    case MUSTER_ECANCELLED:
        if (job->cancelled)
            return true;
        /* fall through */
    case MUSTER_EFAILED:
    case MUSTER_ETIMEOUT:
        return job->failures > batch->settings.retries ||
               ((batch->cancelled || job->cancelled) && job->failures > 0);
    case MUSTER_ECRASHED:
        return job->blamed > 0 && (batch->settings.crash_limit == 1 || batch->cancelled);
    case MUSTER_EQUARANTINED:
        return job->blamed == batch->settings.crash_limit;
    default:
        return false;
    }
}

static void check_values(struct sim *sim, const struct sim_batch *batch, const struct proto_message *message)
{
    const struct proto_outcome *outcome = &message->results.outcome;
    uint32_t failure = 0;
    size_t offset = 0;
    msgpack_zone zone;

    cr_assert(msgpack_zone_init(&zone, 256));
    for (uint32_t i = 0; i < outcome->count; i++) {
        uint64_t index = outcome->first + i;
        msgpack_object value;

        if (failure < outcome->failure_count && outcome->failures[failure].index == index) {
            if (!outcome->failures[failure++].valued)
                continue;
        }
        SIM_CHECK(sim,
                  value_unpack(slice_bytes(&message->payload), message->payload.size, &offset, &zone,
                               &value) == 0 &&
                      value.via.i64 == 3 * sim_argument(batch->settings.ticket, index),
                  "%s: job %lu has the value of another", batch->function, (unsigned long)index);
    }
    msgpack_zone_destroy(&zone);
}

static void take_results(struct sim *sim, struct sim_batch *batch, const struct proto_message *message)
{
    const struct proto_outcome *outcome = &message->results.outcome;

    SIM_CHECK(sim, !batch->ended, "%s: results behind its end", batch->function);
    SIM_CHECK(sim, outcome->first + outcome->count - 1 <= batch->total, "a job that never was");
    SIM_CHECK(sim, outcome->attempt <= batch->settings.retries + batch->settings.crash_limit,
              "%s: attempt %u", batch->function, outcome->attempt);
    SIM_CHECK(sim, (outcome->timings != NULL) == batch->settings.timings, "timings");
    for (uint32_t i = 0; i < outcome->count; i++) {
        struct sim_job *job = &batch->jobs[outcome->first + i];

        SIM_CHECK(sim, !job->delivered, "%s: job %lu ended twice", batch->function,
                  (unsigned long)(outcome->first + i));
        job->delivered = true;
    }
    for (uint32_t i = 0; i < outcome->failure_count; i++) {
        const struct proto_failure *failure = &outcome->failures[i];

        SIM_CHECK(sim, may_fail(batch, &batch->jobs[failure->index], failure->code),
                  "%s: job %lu failed for no reason: %s", batch->function, (unsigned long)failure->index,
                  muster_error_name(failure->code));
        batch->asked += failure->code == MUSTER_ECANCELLED && batch->jobs[failure->index].cancelled;
    }
    check_values(sim, batch, message);
    batch->failed += outcome->failure_count;
    batch->succeeded += outcome->count - outcome->failure_count;
    batch->received_cost += proto_cost(message);
}

static void take_ended(struct sim *sim, struct sim_batch *batch, const struct proto_ended *ended)
{
    uint64_t lost = batch->total - batch->succeeded - batch->failed, told;

    SIM_CHECK(sim, !batch->ended, "%s ended twice", batch->function);
    batch->ended = true;
    SIM_CHECK(sim,
              ended->succeeded == batch->succeeded && ended->failed <= batch->failed &&
                  batch->failed - ended->failed <= batch->asked,
              "%s: told %lu + %lu, delivered %lu + %lu", batch->function, (unsigned long)ended->succeeded,
              (unsigned long)ended->failed, (unsigned long)batch->succeeded, (unsigned long)batch->failed);
    told = batch->failed - ended->failed;
    if (batch->cancelled || ended->code == MUSTER_ELOST)
        SIM_CHECK(sim, ended->cancelled - told <= lost, "%s: more cancelled than there are", batch->function);
    else
        SIM_CHECK(sim, ended->code == 0 && ended->cancelled == told && lost == 0, "%s: %lu jobs are lost",
                  batch->function, (unsigned long)lost);
}

void sim_client_receive(struct sim *sim, struct sim_client *client)
{
    struct sim_opened opened;
    const struct proto_message *message = &opened.message;

    if (!sim_open(&client->to, &opened))
        return;
    if (message->type == PROTO_GRANT) {
        struct sim_batch *batch = &client->batches[message->grant.ticket - 1];

        SIM_CHECK(sim, message->grant.bytes > batch->granted_cost, "a grant that shrinks");
        batch->granted_cost = message->grant.bytes;
    } else if (message->type == PROTO_RESULTS) {
        take_results(sim, &client->batches[message->results.ticket - 1], message);
    } else if (message->type == PROTO_ENDED) {
        take_ended(sim, &client->batches[message->ended.ticket - 1], &message->ended);
    } else if (message->type == PROTO_ERROR) {
        SIM_CHECK(sim, message->error.ticket == 0 && message->error.code == MUSTER_ELOST,
                  "an honest client is refused: %.*s", (int)message->error.text.size,
                  message->error.text.bytes);
    } else {
        SIM_CHECK(sim, message->type == PROTO_WELCOME || message->type == PROTO_ACCEPTED,
                  "a client is sent %d", message->type);
    }
    sim_close(&opened);
}

void sim_client_check_end(struct sim *sim, const struct sim_client *client)
{
    for (unsigned i = 0; i < SIM_BATCHES; i++)
        SIM_CHECK(sim, client->batches[i].ended, "%s never ended", client->batches[i].function);
}
