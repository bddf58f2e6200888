/* SPDX-License-Identifier: MIT
 *
 * What clients do, and hear, of a coordinator that dies and comes back. See restarts.h.
 */
#include "proto/codec.h"
#include "restarts.h"

#include <string.h>

static unsigned names;

/* --- what clients hear */

static void hear_results(struct client *client, struct use *use, const struct proto_message *message)
{
    const struct proto_outcome *outcome = &message->results.outcome;
    struct submission *batch = &submissions[use->submission];

    SAY(!use->ordered || outcome->first == use->next || (outcome->first > use->next && batch->cancelled),
        "job %llu comes where %llu was expected", (unsigned long long)outcome->first,
        (unsigned long long)use->next);
    for (uint64_t job = outcome->first; job < outcome->first + outcome->count; job++) {
        SAY(!use->told[job], "%s is told of job %llu twice", client->name, (unsigned long long)job);
        use->told[job] = batch->recorded[job] = true;
    }
    use->next = outcome->first + outcome->count;
    use->count += outcome->count;
    use->failed += outcome->failure_count;
    use->cost += proto_cost(message);
}

static void hear_end(struct use *use, const struct proto_ended *ended)
{
    struct submission *batch = &submissions[use->submission];

    SAY(ended->code == 0 || (ended->code == MUSTER_EAGAIN && !use->follows) ||
            (ended->code == MUSTER_ECANCELLED && batch->after_ok),
        "batch %llu is given up: %d", (unsigned long long)batch->number, ended->code);
    if (ended->code != MUSTER_EAGAIN) {
        SAY(!use->reads || (ended->succeeded + ended->failed == use->count && ended->failed == use->failed),
            "ENDED counts %llu and %llu, where %llu results came", (unsigned long long)ended->succeeded,
            (unsigned long long)ended->failed, (unsigned long long)use->count);
        batch->ended = true;
    }
    use->submission = 0;
}

static void hear_error(struct use *use, const struct proto_error *error)
{
    struct submission *batch = &submissions[use->submission];

    if (use->submits && !batch->accepted) {
        batch->refused = true;
        SAY(error->code == MUSTER_ENOTFOUND || (batch->cancelled && error->code == MUSTER_ECANCELLED),
            "a batch is refused: %.*s", (int)error->text.size, error->text.bytes);
        use->submission = 0;
    } else if (use->reads) {
        SAY(error->code == MUSTER_ENOTFOUND && (!batch->accepted || batch->forgotten || !batch->hold),
            "batch %llu cannot be read: %.*s", (unsigned long long)batch->number, (int)error->text.size,
            error->text.bytes);
        use->submission = 0;
    }
}

static void hear_answer(struct use *use, int code)
{
    struct submission *batch = &submissions[use->submission];

    SAY(code == 0 || code == MUSTER_ESTATE || code == MUSTER_ENOTFOUND, "a request is answered %d", code);
    if (use->asks_cancel && code == 0 && batch->told_cancelled == 0)
        batch->told_cancelled = life;
    batch->told_forgotten |= use->asks_forget && code == 0;
    use->submission = 0;
}

static void hear(struct client *client, const struct proto_message *message)
{
    uint64_t ticket = message->type == PROTO_RESULTS    ? message->results.ticket
                      : message->type == PROTO_ENDED    ? message->ended.ticket
                      : message->type == PROTO_ERROR    ? message->error.ticket
                      : message->type == PROTO_ACCEPTED ? message->accepted.ticket
                      : message->type == PROTO_ANSWER   ? message->answer.ticket
                                                        : 0;
    struct use *use = ticket <= READERS_MAX ? &client->uses[ticket] : NULL;

    if (!use || ticket == 0 || use->submission == 0)
        return;
    if (message->type == PROTO_ACCEPTED) {
        SAY(submissions[use->submission].number == message->accepted.batch, "a batch was numbered twice");
        submissions[use->submission].accepted = true;
        use->submits = false;
        if (!use->reads)
            use->submission = 0;
    } else if (message->type == PROTO_RESULTS) {
        hear_results(client, use, message);
    } else if (message->type == PROTO_ENDED) {
        hear_end(use, &message->ended);
    } else if (message->type == PROTO_ERROR) {
        hear_error(use, &message->error);
    } else {
        hear_answer(use, message->answer.code);
    }
}

bool listen_once(struct client *client)
{
    struct letter *letter = world_take(&w, client->name);
    struct proto_message consumed = {.type = PROTO_CONSUMED};

    if (!letter)
        return false;
    hear(client, &letter->message);
    if (letter->message.type == PROTO_RESULTS && !w.dead) {
        consumed.consumed.ticket = letter->message.results.ticket;
        consumed.consumed.bytes = client->uses[consumed.consumed.ticket].cost;
        if (client->uses[consumed.consumed.ticket].submission)
            world_message(&w, client->name, &consumed);
    }
    world_free(letter);
    return true;
}

/* --- what clients do */

void say_hello(struct client *client)
{
    struct proto_message hello = {
        .type = PROTO_HELLO,
        .hello = {.version = PROTO_VERSION,
                  .role = PROTO_CLIENT,
                  .pid = 1,
                  .user = proto_text(once_in(2) ? "ann" : "bob")},
    };

    memset(client, 0, sizeof *client);
    snprintf(client->name, sizeof client->name, "client %u", ++names);
    world_message(&w, client->name, &hello);
}

/* A ticket for this submission; NULL when the client has used all of them. */
static struct use *take_ticket(struct client *client, uint32_t submission)
{
    struct use *use = client->tickets < READERS_MAX ? &client->uses[++client->tickets] : NULL;

    if (use)
        *use = (struct use){.submission = submission, .next = 1};
    return use;
}

/* Which batch another is to wait for; 0: none. */
static uint32_t choose_after(struct proto_after *ret_after)
{
    uint32_t which = submission_count ? 1 + (uint32_t)below(submission_count) : 0;

    if (!once_in(4) || which == 0 || !submissions[which].accepted)
        return 0;
    *ret_after =
        (struct proto_after){submissions[which].number, once_in(2) ? PROTO_AFTER_OK : PROTO_AFTER_ANY};
    return which;
}

static void submit(struct client *client)
{
    struct submission *batch = &submissions[submission_count + 1];
    struct use *use = submission_count < SUBMISSIONS_MAX ? take_ticket(client, submission_count + 1) : NULL;
    struct proto_message message = {.type = PROTO_SUBMIT};
    struct proto_after after;
    char name[16];

    if (!use)
        return;
    submission_count++;
    *batch = (struct submission){.jobs = 1 + below(JOBS_MAX), .list = once_in(2), .hold = true};
    batch->sealed = !batch->list || once_in(2);
    batch->after = choose_after(&after);
    batch->after_ok = batch->after && after.condition == PROTO_AFTER_OK;
    snprintf(name, sizeof name, "b%u", submission_count);
    use->submits = true;
    use->reads = use->follows = once_in(2);
    use->ordered = once_in(2);
    message.submit = (struct proto_submit){
        .ticket = client->tickets,
        .function = proto_text("noop"),
        .kind = batch->list ? PROTO_LIST : PROTO_RANGE,
        .first = batch->list ? 0 : 1,
        .last = batch->list ? 0 : (int64_t)batch->jobs,
        .chunk_jobs = 1 + (uint32_t)below(12),
        .crash_limit = 1000,
        .window_bytes = once_in(3) ? 1 : 1 << 20,
        .count = batch->list && batch->sealed ? (uint32_t)batch->jobs : 0,
        .keep = true,
        .hold = true,
        .attach = use->reads,
        .ordered = use->ordered,
        .name = proto_text(name),
        .priority = (int32_t)below(3),
        .cpus = 1,
        .begin_ms = once_in(8) ? w.now_ms + below(40) : 0,
        .after = &after,
        .after_count = batch->after ? 1 : 0,
    };
    if (message.submit.count)
        message.payload = numbers(1, message.submit.count);
    world_message(&w, client->name, &message);
    batch->number = w.ledger->last_batch; /* that it was given, if it ever comes to be there */
    blob_unref(message.payload.blob);
}

/* The next arguments of a list, or its SEAL. */
static void go_on(struct client *client)
{
    for (uint64_t ticket = 1; ticket <= client->tickets; ticket++) {
        struct use *use = &client->uses[ticket];
        struct submission *batch = &submissions[use->submission];
        struct proto_message message = {.type = PROTO_SEAL, .seal = {.ticket = ticket, .total = batch->jobs}};

        if (!use->submits || use->submission == 0 || batch->sealed || once_in(3))
            continue;
        if (use->sent < batch->jobs) {
            uint32_t count = (uint32_t)(1 + below(batch->jobs - use->sent));

            message = (struct proto_message){
                .type = PROTO_ARGUMENTS,
                .arguments = {.ticket = ticket, .first = use->sent + 1, .count = count},
                .payload = numbers(use->sent + 1, count),
            };
            use->sent += count;
        } else {
            batch->sealed = true;
        }
        world_message(&w, client->name, &message);
        blob_unref(message.payload.blob);
        return;
    }
}

void attach(struct client *client, uint32_t which)
{
    struct use *use = take_ticket(client, which);

    if (!use)
        return;
    use->reads = !once_in(5);
    use->ordered = once_in(2);
    use->follows = !once_in(4);
    world_message(&w, client->name,
                  &(struct proto_message){.type = PROTO_ATTACH,
                                          .attach = {.ticket = client->tickets,
                                                     .batch = submissions[which].number,
                                                     .first = 1,
                                                     .ordered = use->ordered,
                                                     .follow = use->follows,
                                                     .results = use->reads,
                                                     .window_bytes = !use->reads  ? 0
                                                                     : once_in(3) ? 1
                                                                                  : 1 << 20}});
}

static void request(struct client *client, uint32_t which, enum proto_operation operation)
{
    struct use *use = take_ticket(client, which);

    if (!use)
        return;
    use->asks_cancel = operation == PROTO_REQUEST_CANCEL;
    use->asks_forget = operation == PROTO_REQUEST_FORGET;
    submissions[which].cancelled |= use->asks_cancel;
    submissions[which].forgotten |= use->asks_forget;
    world_message(&w, client->name,
                  &(struct proto_message){.type = PROTO_REQUEST,
                                          .request = {.ticket = client->tickets,
                                                      .operation = operation,
                                                      .batch = submissions[which].number,
                                                      .number = use->asks_cancel ? 1 + below(2) : 0}});
}

static void cancel_by_ticket(struct client *client)
{
    uint64_t ticket = 1 + below(client->tickets + 1);
    struct use *use = ticket <= client->tickets ? &client->uses[ticket] : NULL;

    if (!use || use->submission == 0 || use->asks_cancel || use->asks_forget)
        return;
    submissions[use->submission].cancelled = true;
    world_message(&w, client->name,
                  &(struct proto_message){.type = PROTO_CANCEL, .cancel = {ticket, PROTO_CANCEL_NOW, 0, 0}});
}

static void leave(struct client *client)
{
    world_gone(&w, client->name);
    for (struct letter *letter = world_take(&w, client->name); letter; letter = world_take(&w, client->name))
        world_free(letter);
    say_hello(client);
}

/* A batch that anybody may know. */
static uint32_t some_batch(void)
{
    uint32_t back = 1 + (uint32_t)below(submission_count < 30 ? submission_count + 1 : 30);
    uint32_t which = submission_count >= back ? submission_count - back + 1 : 0;

    return which && submissions[which].accepted && !submissions[which].told_forgotten ? which : 0;
}

void act(struct client *client)
{
    uint64_t what = below(100);
    uint32_t which = some_batch();

    if (what < 25)
        submit(client);
    else if (what < 60)
        go_on(client);
    else if (what < 75 && which)
        attach(client, which);
    else if (what < 80 && which)
        request(client, which, PROTO_REQUEST_CANCEL);
    else if (what < 84)
        cancel_by_ticket(client);
    else if (what < 90 && which)
        request(client, which, PROTO_REQUEST_FORGET);
    else if (what < 95 && which)
        request(client, which, PROTO_REQUEST_BATCHES);
    else if (what < 98)
        leave(client);
}
