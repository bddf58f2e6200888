/* SPDX-License-Identifier: MIT
 *
 * What clients are told, of which they believe nothing. See sim.h.
 */
#include "tests/sim/sim.h"

#include "proto/value.h"

static void hear_results(struct sim_client *client, const struct proto_message *message)
{
    const struct proto_outcome *outcome = &message->results.outcome;
    struct sim_ticket *ticket = &client->list[message->results.ticket];
    struct sim_submission *submission = &world.submissions[ticket->serial];
    struct sim_reading *reading = &client->readings[ticket->serial];
    uint64_t outstanding = ticket->received_cost - ticket->consumed_cost;

    sim_check_values(submission, message);
    SIM_CHECK(outcome->attempt <= submission->settings.retries + submission->settings.crash_limit ||
                  submission->life != world.host.life,
              "%s: attempt %u", submission->function, outcome->attempt);
    SIM_CHECK((outcome->timings != NULL) == submission->settings.timings, "timings");
    SIM_CHECK(!submission->settings.keep || outstanding < ticket->window,
              "%s is sent more of %s than its window has room for", client->name, submission->function);
    SIM_CHECK(!reading->ordered || outcome->first == reading->next ||
                  (outcome->first > reading->next && (submission->cancelled || submission->lost)),
              "job %lu of %s comes where %lu was expected", (unsigned long)outcome->first,
              submission->function, (unsigned long)reading->next);
    for (uint64_t index = outcome->first; index < outcome->first + outcome->count; index++) {
        SIM_CHECK(!reading->told[index], "%s is told of job %lu of %s twice", client->name,
                  (unsigned long)index, submission->function);
        SIM_CHECK(!submission->settings.keep || submission->list[index].recorded,
                  "%s is told of job %lu of %s, which is not recorded", client->name, (unsigned long)index,
                  submission->function);
        reading->told[index] = true;
    }
    for (uint32_t i = 0; i < outcome->failure_count; i++)
        reading->asked += outcome->failures[i].code == MUSTER_ECANCELLED;
    reading->next = outcome->first + outcome->count;
    reading->pieces++;
    reading->failed += outcome->failure_count;
    reading->succeeded += outcome->count - outcome->failure_count;
    ticket->received_cost += proto_cost(message);
}

static void check_end(const struct sim_submission *submission, const struct sim_reading *reading,
                      const struct proto_ended *ended)
{
    uint64_t told = reading->failed - ended->failed;

    SIM_CHECK(!reading->results || (ended->succeeded == reading->succeeded &&
                                    ended->failed <= reading->failed && told <= reading->asked),
              "%s: told %lu + %lu, delivered %lu + %lu", submission->function,
              (unsigned long)ended->succeeded, (unsigned long)ended->failed,
              (unsigned long)reading->succeeded, (unsigned long)reading->failed);
    if (ended->code == 0 && !submission->cancelled)
        SIM_CHECK(ended->succeeded + ended->failed + ended->cancelled == submission->jobs &&
                      (!reading->results || ended->cancelled == told),
                  "%s: %lu jobs of %u are lost", submission->function,
                  (unsigned long)(submission->jobs - ended->succeeded - ended->failed), submission->jobs);
}

static void hear_ended(struct sim_client *client, const struct proto_ended *ended)
{
    struct sim_ticket *ticket = &client->list[ended->ticket];
    struct sim_submission *submission = &world.submissions[ticket->serial];
    struct sim_reading *reading = &client->readings[ticket->serial];

    SIM_CHECK(ended->code == 0 || (ended->code == MUSTER_EAGAIN && !ticket->follow) ||
                  (ended->code == MUSTER_ECANCELLED && submission->after.batch) ||
                  (ended->code == MUSTER_ELOST && world.starts_lost > 0),
              "%s is given up: %s", submission->function, muster_error_name(ended->code));
    if (ended->code == 0 || ended->code == MUSTER_ELOST)
        check_end(submission, reading, ended);
    if (ended->code == MUSTER_EAGAIN)
        SIM_CHECK(!reading->results || (ended->succeeded >= reading->succeeded &&
                                        ended->failed + ended->cancelled >= reading->failed),
                  "%s: less is told of it than was delivered", submission->function);
    if (ticket->submits && submission->settings.keep && !submission->settings.hold) {
        submission->forgotten = true;
        sim_post(&client->from, &(struct proto_message){
                                    .type = PROTO_CONSUMED,
                                    .consumed = {.ticket = ended->ticket, .bytes = ticket->received_cost}});
    }
    submission->over |= !submission->settings.keep;
    reading->wanted = false;
    *ticket = (struct sim_ticket){.serial = 0};
}

static void hear_accepted(struct sim_client *client, const struct proto_accepted *accepted)
{
    struct sim_ticket *ticket = &client->list[accepted->ticket];
    struct sim_submission *submission = &world.submissions[ticket->serial];

    SIM_CHECK(!submission->settings.keep || submission->number == accepted->batch,
              "%s is number %lu, and is told %lu", submission->function, (unsigned long)submission->number,
              (unsigned long)accepted->batch);
    submission->accepted = true;
    submission->number = accepted->batch;
    if (!ticket->reads)
        *ticket = (struct sim_ticket){.serial = 0};
}

/* What may be refused, and why. */
static bool may_refuse(const struct sim_ticket *ticket, const struct sim_submission *submission, int32_t code)
{
    switch (code) {
    case MUSTER_ENOTFOUND:
        return submission->after.batch || !submission->accepted || submission->forgotten ||
               !submission->settings.hold;
    case MUSTER_ESYSTEM:
        return world.faults.disk_fails && ticket->submits && !submission->accepted;
    case MUSTER_ECANCELLED:
        return submission->cancelled;
    case MUSTER_ELOST:
        return world.starts_lost > 0;
    default:
        return false;
    }
}

static void hear_error(struct sim_client *client, const struct proto_error *error)
{
    struct sim_ticket *ticket = &client->list[error->ticket];
    struct sim_submission *submission = &world.submissions[ticket->serial];

    if (error->ticket == 0) {
        SIM_CHECK(error->code == MUSTER_ELOST, "an honest client is refused: %.*s", (int)error->text.size,
                  error->text.bytes);
        sim_client_disconnect(client);
        return;
    }
    if (ticket->serial == 0 || /* or it does not run, and goes on */
        (error->code == MUSTER_ESTATE && ticket->names_jobs && submission->settings.keep))
        return;
    SIM_CHECK(may_refuse(ticket, submission, error->code), "%s is refused: %.*s", submission->function,
              (int)error->text.size, error->text.bytes);
    submission->void_ |= ticket->submits && !submission->accepted;
    client->readings[ticket->serial].wanted = false;
    *ticket = (struct sim_ticket){.serial = 0};
}

/* Which is accepted from now on. */
static void hear_retry(const struct sim_submission *origin, const struct slice *payload)
{
    struct sim_submission *submission;
    msgpack_object value;
    msgpack_zone zone;
    size_t offset = 0;

    SIM_CHECK(msgpack_zone_init(&zone, 256), "out of memory");
    SIM_CHECK(value_unpack(slice_bytes(payload), payload->size, &offset, &zone, &value) == 0 &&
                  value.type == MSGPACK_OBJECT_MAP && value.via.map.size == 1,
              "%s is tried again, as nothing", origin->function);
    submission = sim_find_number(value.via.map.ptr[0].val.via.u64);
    SIM_CHECK(submission && submission->origin == origin->number && submission->sealed,
              "%s is tried again as %lu, which is not recorded", origin->function,
              (unsigned long)value.via.map.ptr[0].val.via.u64);
    submission->accepted = true;
    msgpack_zone_destroy(&zone);
}

static void hear_answer(struct sim_client *client, const struct proto_message *message)
{
    const struct proto_answer *answer = &message->answer;
    struct sim_ticket *ticket = &client->list[answer->ticket];

    SIM_CHECK(answer->code == 0 || answer->code == MUSTER_ESTATE || answer->code == MUSTER_ENOTFOUND ||
                  (answer->code == MUSTER_ESYSTEM && world.faults.disk_fails) ||
                  (answer->code == MUSTER_ELIMIT && world.outpost_count > 0),
              "a request is answered: %.*s", (int)answer->text.size, answer->text.bytes);
    if (ticket->retries && answer->code == 0)
        hear_retry(&world.submissions[ticket->serial], &message->payload);
    if (!answer->more)
        *ticket = (struct sim_ticket){.serial = 0};
}

static void hear_grant(struct sim_ticket *ticket, uint64_t bytes)
{
    SIM_CHECK(ticket->serial == 0 || bytes >= ticket->granted_cost, "a grant that shrinks");
    ticket->granted_cost = bytes;
}

void sim_client_hear(struct sim_client *client, const struct proto_message *message)
{
    sim_trace("%s hears %s", client->name, proto_type_name(message->type));
    if (client->leaving)
        return;
    if (message->type == PROTO_WELCOME)
        client->welcomed = true;
    else if (message->type == PROTO_GRANT)
        hear_grant(&client->list[message->grant.ticket], message->grant.bytes);
    else if (message->type == PROTO_RESULTS && client->list[message->results.ticket].serial)
        hear_results(client, message);
    else if (message->type == PROTO_ARGUMENTS)
        client->list[message->arguments.ticket].received_cost += proto_cost(message);
    else if (message->type == PROTO_ENDED && client->list[message->ended.ticket].serial)
        hear_ended(client, &message->ended);
    else if (message->type == PROTO_ACCEPTED && client->list[message->accepted.ticket].serial)
        hear_accepted(client, &message->accepted);
    else if (message->type == PROTO_ERROR)
        hear_error(client, &message->error);
    else if (message->type == PROTO_ANSWER)
        hear_answer(client, message);
}
