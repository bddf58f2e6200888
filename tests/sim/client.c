/* SPDX-License-Identifier: MIT
 *
 * Clients: they submit, stream, attach, cancel, ask and forget, lose their connection, die, and come back for
 * what they were promised. See sim.h.
 */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <string.h>

static void say(struct sim_client *client, const struct proto_message *message)
{
    sim_post(&client->from, message);
}

/* A ticket of this connection; 0: all are used. */
static unsigned take_ticket(struct sim_client *client, unsigned serial)
{
    if (client->tickets == SIM_TICKETS_MAX)
        return 0;
    client->list[++client->tickets] =
        (struct sim_ticket){.serial = serial, .granted_cost = PROTO_GRANT_BYTES};
    return client->tickets;
}

/* The ticket under which it takes results of the submission; 0: none. */
static unsigned reading_ticket(const struct sim_client *client, unsigned serial)
{
    for (unsigned i = 1; i <= client->tickets; i++)
        if (client->list[i].serial == serial && (client->list[i].reads || client->list[i].submits))
            return i;
    return 0;
}

/* --- connections */

static void connect_to(struct sim_client *client)
{
    static const char *const users[] = {"ann", "bob", ""};
    struct proto_message hello = {.type = PROTO_HELLO,
                                  .hello = {.version = PROTO_VERSION,
                                            .role = PROTO_CLIENT,
                                            .pid = 1,
                                            .user = proto_text(users[client->place % 3])}};

    client->connected = true;
    snprintf(client->name, sizeof client->name, "client-%u.%u", client->place, ++client->incarnation);
    sim_trace("%s connects", client->name);
    say(client, &hello);
}

/* What was not accepted by then may have come to be, or not; what is not kept ends. */
static void give_up(struct sim_client *client)
{
    for (unsigned i = 1; i <= client->tickets; i++) {
        struct sim_ticket *ticket = &client->list[i];
        struct sim_submission *submission = &world.submissions[ticket->serial];

        if (ticket->serial == 0)
            continue;
        if (ticket->submits && (!submission->settings.keep || !submission->accepted)) {
            submission->cancelled = true;
            client->readings[ticket->serial].wanted = false;
        }
        if (!submission->settings.keep)
            client->readings[ticket->serial].wanted = false;
    }
}

void sim_client_disconnect(struct sim_client *client)
{
    give_up(client);
    sim_drop(&client->to);
    sim_drop(&client->from);
    memset(client->list, 0, sizeof client->list);
    client->tickets = 0;
    client->connected = client->welcomed = client->leaving = false;
    client->act_ns = world.now_ns + sim_soon(CLOCK_NS_PER_S);
}

/* Its host, or the coordinator's, notices after a while, under the name that it had. */
static void break_off(struct sim_client *client, const char *why)
{
    sim_trace("%s %s", client->name, why);
    memcpy(client->gone, client->name, sizeof client->gone);
    client->gone_ns = world.now_ns + sim_soon(5 * CLOCK_NS_PER_S);
    sim_client_disconnect(client);
}

void sim_client_begin(struct sim_client *client, unsigned place)
{
    client->place = place;
    client->act_ns = world.now_ns + sim_soon(CLOCK_NS_PER_S);
    client->gone_ns = CLOCK_NEVER;
}

/* --- submissions */

static struct sim_submission *some_submission(void)
{
    struct sim_submission *submission;

    if (world.submission_count == 0)
        return NULL;
    submission = &world.submissions[1 + sim_below(world.submission_count)];
    return submission->accepted && submission->settings.keep && submission->number ? submission : NULL;
}

static void choose_settings(struct sim_submission *submission, unsigned ticket)
{
    struct proto_submit *settings = &submission->settings;
    const struct sim_submission *other = some_submission();

    *settings = (struct proto_submit){
        .ticket = ticket,
        .kind = sim_once_in(2) ? PROTO_RANGE : PROTO_LIST,
        .chunk_jobs = sim_once_in(2) ? 0 : 1 + (uint32_t)sim_below(9),
        .timeout_ms = sim_once_in(3) ? 1000 : 0,
        .retries = (uint32_t)sim_below(3),
        .crash_limit = 1 + (uint32_t)sim_below(3),
        .timings = sim_once_in(3),
        .window_bytes = sim_once_in(3) ? 1 + sim_below(20000) : 1 << 20,
        .keep = world.keeps && !sim_once_in(5),
        .attach = true,
        .priority = sim_once_in(3) ? (int32_t)sim_below(3) - 1 : 0,
        .most_running = sim_once_in(3) ? 1 + (uint32_t)sim_below(5) : 0,
        .cpus = sim_once_in(3) ? 1 + (uint32_t)sim_below(world.cpus ? world.cpus : world.workers) : 1,
        .memory_bytes = sim_once_in(3) ? 1 + sim_below(SIM_MEMORY) : 0,
        .backoff_ms = sim_once_in(3) ? 1 + (uint32_t)sim_below(40) : 0,
    };
    submission->commands = sim_once_in(3);
    sim_name(submission);
    if (settings->kind == PROTO_RANGE) {
        settings->first = sim_argument(submission, 1);
        settings->last = sim_argument(submission, submission->jobs);
    }
    if (!settings->keep)
        return;
    settings->hold = !sim_once_in(4);
    settings->attach = !sim_once_in(4);
    settings->ordered = sim_once_in(2);
    settings->name = proto_text(submission->function);
    if (sim_once_in(5))
        settings->begin_ms = clock_read_ns(CLOCK_REALTIME) / CLOCK_NS_PER_MS + sim_below(3000);
    if (sim_once_in(4) && other) {
        submission->after =
            (struct proto_after){other->number, sim_once_in(2) ? PROTO_AFTER_OK : PROTO_AFTER_ANY};
        settings->after = &submission->after;
        settings->after_count = 1;
    }
}

static struct slice pack_arguments(const struct sim_submission *submission, uint32_t first, uint32_t count)
{
    msgpack_sbuffer buffer;
    msgpack_packer packer;
    struct slice payload;

    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    for (uint32_t i = first; i < first + count; i++)
        msgpack_pack_int64(&packer, sim_argument(submission, i));
    payload = (struct slice){.blob = blob_copy(buffer.data, buffer.size), .size = buffer.size};
    msgpack_sbuffer_destroy(&buffer);
    SIM_CHECK(payload.blob, "out of memory");
    return payload;
}

/* Also for what may come of those that are tried again. */
static bool has_room(unsigned most)
{
    return world.submission_count + world.retries < most;
}

static void submit(struct sim_client *client)
{
    unsigned serial = world.submission_count + 1;
    unsigned number = has_room(world.submissions_max) ? take_ticket(client, serial) : 0;
    struct sim_submission *submission = &world.submissions[serial];
    struct sim_ticket *ticket = &client->list[number];
    struct proto_message message = {.type = PROTO_SUBMIT};

    if (number == 0)
        return;
    *submission = (struct sim_submission){.serial = serial,
                                          .first = serial,
                                          .jobs = 1 + (uint32_t)sim_below(SIM_JOBS_MAX),
                                          .life = world.host.life};
    for (uint32_t i = 1; i <= submission->jobs; i++)
        submission->list[i].place = i;
    snprintf(submission->function, sizeof submission->function, "f%u", serial);
    choose_settings(submission, number);
    world.submission_count = serial;
    if (world.faults.poison && sim_once_in(4))
        submission->poison = 1 + (uint32_t)sim_below(submission->jobs);
    submission->sealed = submission->settings.kind == PROTO_RANGE;
    if (submission->settings.kind == PROTO_LIST && sim_once_in(3)) {
        submission->settings.count = ticket->sent = submission->jobs;
        submission->sealed = true;
        message.payload = pack_arguments(submission, 1, submission->jobs);
    }
    ticket->submits = true;
    ticket->reads = ticket->follow = submission->settings.attach;
    ticket->window = submission->settings.window_bytes;
    client->readings[serial] = (struct sim_reading){
        .wanted = ticket->reads, .ordered = submission->settings.ordered, .results = true, .next = 1};
    message.submit = submission->settings;
    sim_trace("%s submits %s: %u jobs, keep %d", client->name, submission->function, submission->jobs,
              submission->settings.keep);
    say(client, &message);
    blob_unref(message.payload.blob);
}

/* More arguments of a list, or its SEAL. Whether there was anything to say. */
static bool stream(struct sim_client *client, unsigned number)
{
    struct sim_ticket *ticket = &client->list[number];
    struct sim_submission *submission = &world.submissions[ticket->serial];
    uint32_t left = submission->jobs - ticket->sent;
    struct proto_message message = {.type = PROTO_SEAL, .seal = {.ticket = number, .total = ticket->sent}};

    if (!ticket->submits || submission->sealed || ticket->sent_cost >= ticket->granted_cost)
        return false;
    if (left > 0) {
        uint32_t count = 1 + (uint32_t)sim_below(left);

        message =
            (struct proto_message){.type = PROTO_ARGUMENTS,
                                   .arguments = {.ticket = number, .first = ticket->sent + 1, .count = count},
                                   .payload = pack_arguments(submission, ticket->sent + 1, count)};
        ticket->sent += count;
        ticket->sent_cost += proto_cost(&message);
    } else {
        submission->sealed = true;
    }
    say(client, &message);
    blob_unref(message.payload.blob);
    return true;
}

/* --- readers */

static bool consume(struct sim_client *client, unsigned number)
{
    struct sim_ticket *ticket = &client->list[number];
    struct sim_submission *submission = &world.submissions[ticket->serial];

    if (!ticket->reads || ticket->consumed_cost == ticket->received_cost)
        return false;
    ticket->consumed_cost = ticket->received_cost;
    if (ticket->submits && submission->settings.keep && !submission->settings.hold)
        submission->forgotten = true; /* it may cross the end, and is then the last word (PROTOCOL.md) */
    say(client, &(struct proto_message){.type = PROTO_CONSUMED,
                                        .consumed = {.ticket = number, .bytes = ticket->consumed_cost}});
    return true;
}

static void attach(struct sim_client *client, unsigned serial, bool follow)
{
    const struct sim_reading *reading = &client->readings[serial];
    unsigned number = take_ticket(client, serial);
    struct sim_ticket *ticket = &client->list[number];

    if (number == 0)
        return;
    ticket->reads = true;
    ticket->follow = follow;
    ticket->window = !reading->results ? 0 : sim_once_in(3) ? 1 + sim_below(9000) : 1 << 20;
    say(client,
        &(struct proto_message){.type = PROTO_ATTACH,
                                .attach = {.ticket = number,
                                           .batch = world.submissions[serial].number,
                                           .first = reading->ordered ? reading->next : reading->pieces + 1,
                                           .ordered = reading->ordered,
                                           .follow = follow,
                                           .arguments = reading->results && sim_once_in(4),
                                           .results = reading->results,
                                           .window_bytes = ticket->window}});
}

/* Somebody wants to know of a submission, whoever made it. */
static void read_anew(struct sim_client *client, const struct sim_submission *submission)
{
    struct sim_reading *reading = &client->readings[submission->serial];

    if (reading->wanted || reading_ticket(client, submission->serial))
        return;
    *reading = (struct sim_reading){
        .wanted = true, .results = !sim_once_in(5), .ordered = sim_once_in(2), .next = 1};
    attach(client, submission->serial, !sim_once_in(4));
}

/* After a connection was lost: goes on where it was. Whether there was anything to do. */
static bool read_on(struct sim_client *client)
{
    for (unsigned serial = 1; serial <= world.submission_count; serial++) {
        if (!client->readings[serial].wanted || reading_ticket(client, serial))
            continue;
        if (!world.submissions[serial].accepted) {
            client->readings[serial].wanted = false;
            continue;
        }
        attach(client, serial, true);
        return true;
    }
    return false;
}

static void detach(struct sim_client *client, unsigned number)
{
    struct sim_ticket *ticket = &client->list[number];

    if (!ticket->reads || (ticket->submits && (!world.submissions[ticket->serial].settings.keep ||
                                               !world.submissions[ticket->serial].accepted)))
        return;
    client->readings[ticket->serial].wanted = false;
    *ticket = (struct sim_ticket){.serial = 0};
    say(client, &(struct proto_message){.type = PROTO_DETACH, .detach = {.ticket = number}});
}

/* --- orders */

static void cancel_all(struct sim_client *client, unsigned number)
{
    struct sim_submission *submission = &world.submissions[client->list[number].serial];

    submission->cancelled = submission->sealed = true;
    say(client, &(struct proto_message){
                    .type = PROTO_CANCEL,
                    .cancel = {.id = number, .mode = sim_once_in(2) ? PROTO_CANCEL_SOON : PROTO_CANCEL_NOW}});
}

static void cancel_some(struct sim_client *client, unsigned number)
{
    struct sim_ticket *ticket = &client->list[number];
    struct sim_submission *submission = &world.submissions[ticket->serial];
    uint32_t known = submission->settings.kind == PROTO_RANGE ? submission->jobs : ticket->sent, first, count;

    if (known == 0)
        return;
    first = 1 + (uint32_t)sim_below(known);
    count = 1 + (uint32_t)sim_below(known - first + 1);
    ticket->names_jobs = true;
    for (uint32_t i = 0; i < count; i++)
        submission->list[first + i].cancelled = true;
    say(client,
        &(struct proto_message){.type = PROTO_CANCEL,
                                .cancel = {.id = number,
                                           .mode = sim_once_in(3) ? PROTO_CANCEL_SOON : PROTO_CANCEL_NOW,
                                           .first = first,
                                           .count = count}});
}

static void ask(struct sim_client *client, enum proto_operation operation, struct sim_submission *submission,
                uint64_t amount)
{
    unsigned number = take_ticket(client, submission ? submission->serial : 0);

    if (number == 0)
        return;
    client->list[number].answers = true;
    client->list[number].retries = operation == PROTO_REQUEST_RETRY;
    world.retries += operation == PROTO_REQUEST_RETRY;
    sim_trace("%s asks %d of %s", client->name, operation, submission ? submission->function : "all");
    say(client, &(struct proto_message){.type = PROTO_REQUEST,
                                        .request = {.ticket = number,
                                                    .operation = operation,
                                                    .batch = submission ? submission->number : 0,
                                                    .number = amount}});
}

static void order(struct sim_client *client)
{
    struct sim_submission *submission = some_submission();

    switch (sim_below(8)) {
    case 0:
        ask(client, PROTO_REQUEST_SCALE, NULL, 1 + sim_below(world.workers_max));
        return;
    case 1:
        ask(client, PROTO_REQUEST_DRAIN, NULL, sim_below(2));
        return;
    case 2:
        ask(client, PROTO_REQUEST_WORKERS, NULL, 0);
        return;
    case 3:
        ask(client, PROTO_REQUEST_BATCHES, NULL, sim_below(4));
        return;
    case 4:
        ask(client, PROTO_REQUEST_STATUS, sim_once_in(2) ? submission : NULL, 0);
        return;
    case 5:
        if (submission) {
            submission->cancelled = true;
            ask(client, PROTO_REQUEST_CANCEL, submission, 1 + sim_below(2));
        }
        return;
    default:
        if (submission) {
            submission->forgotten = true;
            ask(client, PROTO_REQUEST_FORGET, submission, 0);
        }
    }
}

/* Mostly of what has ended. Whether there was anything to ask for. */
static bool retry(struct sim_client *client, struct sim_submission *submission)
{
    uint32_t recorded = 0;

    for (uint32_t i = 1; i <= submission->jobs; i++)
        recorded += submission->list[i].recorded;
    if (!has_room(SIM_SUBMISSIONS_MAX) || (recorded < submission->jobs && !sim_once_in(10)))
        return false;
    ask(client, PROTO_REQUEST_RETRY, submission, 1 + sim_below(2));
    return true;
}

/* --- what it does */

static void act_on(struct sim_client *client, unsigned number)
{
    struct sim_ticket *ticket = &client->list[number];

    if (ticket->serial == 0 || ticket->answers)
        return;
    if (sim_fault(world.faults.cancels))
        cancel_some(client, number);
    else if (sim_fault(4 * world.faults.cancels))
        cancel_all(client, number);
    else if (sim_fault(world.faults.client_leaves))
        detach(client, number);
    else if (!consume(client, number))
        stream(client, number);
}

static void leave(struct sim_client *client)
{
    client->leaving = true;
    say(client, &(struct proto_message){.type = PROTO_STOP});
}

/* All of its tickets, in turn: nothing of it waits for chance. */
static void finish(struct sim_client *client)
{
    bool busy = read_on(client);

    for (unsigned i = 1; i <= client->tickets; i++)
        busy |=
            client->list[i].serial && !client->list[i].answers && (consume(client, i) || stream(client, i));
    if (!busy && world.keeps && world.host.core && core_count(world.host.core).draining)
        ask(client, PROTO_REQUEST_DRAIN, NULL, 0);
    if (client->tickets == SIM_TICKETS_MAX)
        leave(client);
    if (!busy)
        client->act_ns += CLOCK_NS_PER_S;
}

static void act(struct sim_client *client)
{
    struct sim_submission *submission = world.keeps ? some_submission() : NULL;

    if (client->leaving && !client->from.letters)
        sim_client_disconnect(client);
    else if (client->leaving || !client->welcomed)
        return;
    else if (world.calm)
        finish(client);
    else if (client->gone_ns == CLOCK_NEVER && sim_fault(5 * world.faults.client_dies))
        break_off(client, "dies");
    else if (client->gone_ns == CLOCK_NEVER && sim_fault(world.faults.connection_breaks))
        break_off(client, "loses its connection");
    else if (client->tickets == SIM_TICKETS_MAX || sim_fault(5 * world.faults.client_leaves))
        leave(client);
    else if (sim_once_in(6))
        submit(client);
    else if (world.keeps && sim_fault(world.faults.requests))
        order(client);
    else if (sim_once_in(3) && read_on(client))
        return;
    else if (sim_once_in(8) && submission && retry(client, submission))
        return;
    else if (sim_once_in(8) && submission)
        read_anew(client, submission);
    else if (client->tickets)
        act_on(client, 1 + (unsigned)sim_below(client->tickets));
}

uint64_t sim_client_next(const struct sim_client *client)
{
    uint64_t next = client->act_ns;

    if (client->gone_ns < next)
        next = client->gone_ns;
    if (client->connected && sim_arrival(&client->to) < next)
        next = sim_arrival(&client->to);
    return next;
}

void sim_client_act(struct sim_client *client)
{
    if (client->gone_ns <= world.now_ns) {
        client->gone_ns = CLOCK_NEVER;
        sim_host_lose(client->gone);
    } else if (client->connected && sim_arrival(&client->to) <= world.now_ns) {
        struct sim_opened opened;

        sim_open(&client->to, &opened);
        sim_client_hear(client, &opened.message);
        sim_close(&opened);
    } else {
        client->act_ns = world.now_ns + sim_soon(world.pace_ns);
        if (client->connected)
            act(client);
        else if (world.host.ready)
            connect_to(client);
    }
}

const char *sim_client_wish(const struct sim_client *client)
{
    static char text[96];

    if (!client->welcomed || client->leaving)
        return "is not connected";
    if (client->gone_ns != CLOCK_NEVER || client->to.letters || client->from.letters)
        return "has mail on its way";
    for (unsigned i = 1; i <= client->tickets; i++) {
        const struct sim_ticket *ticket = &client->list[i];

        snprintf(text, sizeof text, "waits for %s under ticket %u: f%u",
                 ticket->answers   ? "an answer"
                 : ticket->submits ? "a batch of its own"
                                   : "a batch",
                 i, ticket->serial);
        if (ticket->serial || ticket->answers)
            return text;
    }
    for (unsigned i = 1; i <= world.submission_count; i++) {
        snprintf(text, sizeof text, "wants to read f%u", i);
        if (client->readings[i].wanted)
            return text;
    }
    return NULL;
}
