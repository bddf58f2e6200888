/* SPDX-License-Identifier: MIT
 *
 * The core under a recording outbox. See core_harness.h.
 */
#include "tests/support/core_harness.h"

#include "proto/codec.h"
#include "proto/value.h"
#include "tests/support/core_invariants.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

struct core *core;
uint64_t now_ns;

static struct outbox outbox;
static bool taken[4096];    /* items of the outbox that were expected */
static struct blob *values; /* of the last result_message */

/* --- values */

int64_t value_of(uint64_t index)
{
    static const int64_t scale[] = {1, -50, 1000, 100000};

    return (int64_t)index * scale[index % 4];
}

int64_t argument_of(uint64_t index)
{
    static const int64_t scale[] = {100000, 3, -300};

    return (int64_t)index * scale[index % 3];
}

static bool listed(const uint64_t *indexes, uint64_t index)
{
    for (; indexes && *indexes; indexes++)
        if (*indexes == index)
            return true;
    return false;
}

static uint32_t listed_count(const uint64_t *indexes)
{
    uint32_t count = 0;

    for (; indexes && *indexes; indexes++)
        count++;
    return count;
}

struct blob *pack_values(int64_t (*number)(uint64_t index), uint64_t first, uint32_t count,
                         const uint64_t *without)
{
    msgpack_sbuffer buffer;
    msgpack_packer packer;
    struct blob *blob;

    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    for (uint32_t i = 0; i < count; i++)
        if (!listed(without, first + i))
            msgpack_pack_int64(&packer, number(first + i));
    blob = blob_copy(buffer.data, buffer.size);
    cr_assert(blob);
    msgpack_sbuffer_destroy(&buffer);
    return blob;
}

static void check_values(const struct slice *payload, int64_t (*number)(uint64_t index), uint64_t first,
                         uint32_t count, const uint64_t *without)
{
    size_t offset = 0;
    msgpack_zone zone;

    cr_assert(msgpack_zone_init(&zone, 256));
    for (uint64_t index = first; index < first + count; index++) {
        msgpack_object value;

        if (listed(without, index))
            continue;
        cr_assert_eq(value_unpack(slice_bytes(payload), payload->size, &offset, &zone, &value), 0);
        cr_assert_eq(value.via.i64, number(index), "job %lu has the value of another", (unsigned long)index);
    }
    cr_assert_eq(offset, payload->size, "a payload holds more values than were promised");
    msgpack_zone_destroy(&zone);
}

/* --- steps */

static void before_step(void)
{
    expect_nothing();
    outbox_clear(&outbox);
    memset(taken, 0, sizeof taken);
}

static void after_step(void)
{
    const char *wrong = core_invariants(core);

    if (!wrong)
        wrong = outbox_invariants(&outbox);
    cr_assert_null(wrong, "%s", wrong);
    cr_assert_lt(outbox.count, sizeof taken);
}

/* That nothing is given to the core which the codec would have refused; a greeting of another
 * version is known by its version only. */
static void check_possible(const struct proto_message *message)
{
    bool foreign = message->type == PROTO_HELLO && message->hello.version != PROTO_VERSION;

    cr_assert(foreign || message_possible(message), "no peer can send this %s",
              proto_type_name(message->type));
}

void step_message(const char *peer, const struct proto_message *message)
{
    check_possible(message);
    before_step();
    core_message(core, now_ns, peer, message, &outbox);
    after_step();
}

void step_malformed(const char *peer)
{
    struct muster_error error;

    muster_error_set(&error, MUSTER_EPROTOCOL, "bytes that are no message");
    before_step();
    core_malformed(core, now_ns, peer, &error, &outbox);
    after_step();
}

void step_gone(const char *client)
{
    before_step();
    core_client_gone(core, now_ns, client, &outbox);
    after_step();
}

void step_exit(const struct worker_exit *exit)
{
    before_step();
    core_worker_exited(core, now_ns, exit, &outbox);
    after_step();
}

void step_adopt(unsigned slot)
{
    char name[32];

    snprintf(name, sizeof name, "worker-%u.1.1", slot);
    before_step();
    core_adopt(core, now_ns, slot, name, &outbox);
    after_step();
}

void step_scale(unsigned workers)
{
    before_step();
    core_scale(core, now_ns, workers, &outbox);
    after_step();
}

unsigned step_join(unsigned host, unsigned places)
{
    unsigned room;

    before_step();
    room = core_join(core, now_ns, host, "node7", places, &outbox);
    after_step();
    return room;
}

bool step_join_again(unsigned host, unsigned places, const char *const names[], uint32_t count)
{
    struct proto_resident residents[16];
    struct proto_join join = {.workers = places, .residents = residents, .resident_count = count};
    unsigned room;
    bool again;

    for (uint32_t i = 0; i < count; i++)
        residents[i] = (struct proto_resident){.place = i + 1, .name = proto_text(names[i])};
    before_step();
    again = core_join_again(core, now_ns, host, "node7", &join, &room, &outbox);
    after_step();
    return again;
}

void step_part(unsigned host)
{
    before_step();
    core_part(core, now_ns, host, "its host is lost", &outbox);
    after_step();
}

void step_away(unsigned host)
{
    before_step();
    core_away(core, now_ns, host, &outbox);
    after_step();
}

void step_heard(unsigned host)
{
    before_step();
    core_heard(core, now_ns, host);
    after_step();
}

bool step_back(unsigned host, const unsigned *slots, uint32_t count)
{
    struct proto_resident residents[16];
    struct proto_join join = {.residents = residents, .resident_count = count};
    bool back;

    for (uint32_t i = 0; i < count; i++)
        residents[i] = (struct proto_resident){.place = core_where(core, slots[i]).place,
                                               .name = proto_text(core->workers[slots[i] - 1].name)};
    before_step();
    back = core_back(core, now_ns, host, &join, &outbox);
    after_step();
    return back;
}

void step_drain(bool drain)
{
    before_step();
    core_drain(core, now_ns, drain, &outbox);
    after_step();
}

void step_finish(void)
{
    before_step();
    core_finish(core, now_ns, &outbox);
    after_step();
}

void step_committed(unsigned slot, uint64_t number)
{
    before_step();
    core_committed(core, worker_name(slot), number, &outbox);
    after_step();
}

void step_spawn_failed(unsigned slot, const char *text)
{
    struct muster_error error;

    muster_error_set(&error, MUSTER_ESYSTEM, "%s", text);
    before_step();
    core_spawn_failed(core, now_ns, slot, &error, &outbox);
    after_step();
}

void pass(uint64_t duration_ns)
{
    now_ns += duration_ns;
}

void step_tick(void)
{
    before_step();
    core_tick(core, now_ns, &outbox);
    after_step();
}

void step_deadline(uint64_t from_now_ns)
{
    cr_assert_eq(core_deadline(core), now_ns + from_now_ns, "due in %ld ns",
                 (long)(core_deadline(core) - now_ns));
    now_ns += from_now_ns - 1;
    step_tick();
    expect_nothing();
    now_ns++;
    step_tick();
}

/* --- life */

static void create(unsigned workers, bool warm, unsigned ahead, uint32_t epoch)
{
    struct core_options options = {.workers = workers,
                                   .workers_max = workers + 4,
                                   .heartbeat_ns = HEARTBEAT_NS,
                                   .warm = warm,
                                   .ahead = ahead,
                                   .owner = OWNER,
                                   .epoch = epoch};

    now_ns = 1000 * CLOCK_NS_PER_S;
    cr_assert_eq(outbox_init(&outbox), 0);
    cr_assert_eq(core_create(&options, &core), 0);
    core_start(core, now_ns, &outbox);
    after_step();
}

void begin_lazy(unsigned workers)
{
    create(workers, false, 0, 0);
    client_hello(CLIENT);
}

void begin_again(unsigned workers)
{
    create(workers, false, 0, 2);
    client_hello(CLIENT);
}

void begin_warm(unsigned workers)
{
    create(workers, true, 0, 0);
}

void begin_ahead(unsigned workers, unsigned ahead)
{
    create(workers, false, ahead, 0);
}

void begin_ready(unsigned workers, unsigned credit)
{
    begin_warm(workers);
    for (unsigned slot = 1; slot <= workers; slot++)
        expect_spawn(slot);
    for (unsigned slot = 1; slot <= workers; slot++)
        worker_hello(slot, credit);
    client_hello(CLIENT);
}

void begin_concurrent(unsigned workers, unsigned concurrency)
{
    begin_warm(workers);
    for (unsigned slot = 1; slot <= workers; slot++)
        expect_spawn(slot);
    for (unsigned slot = 1; slot <= workers; slot++)
        worker_hello_concurrent(slot, concurrency + 16, concurrency);
    client_hello(CLIENT);
}

void end_core(void)
{
    expect_nothing();
    core_destroy(core);
    core = NULL;
    outbox_fini(&outbox);
    blob_unref(values);
    values = NULL;
}

/* --- clients */

void client_hello(const char *client)
{
    struct proto_message message = {.type = PROTO_HELLO,
                                    .hello = {.version = PROTO_VERSION, .role = PROTO_CLIENT, .pid = 1}};

    step_message(client, &message);
    cr_assert_eq(expect_sent(client, PROTO_WELCOME)->welcome.version, PROTO_VERSION);
}

struct proto_submit range_of(int64_t first, int64_t last, uint32_t chunk_jobs)
{
    return (struct proto_submit){.ticket = 1,
                                 .function = {"noop", 4},
                                 .kind = PROTO_RANGE,
                                 .first = first,
                                 .last = last,
                                 .chunk_jobs = chunk_jobs,
                                 .crash_limit = 3,
                                 .window_bytes = 1 << 30,
                                 .attach = true,
                                 .cpus = 1};
}

struct proto_submit list_of(uint32_t chunk_jobs)
{
    struct proto_submit settings = range_of(0, 0, chunk_jobs);

    settings.kind = PROTO_LIST;
    return settings;
}

uint64_t submit(const char *client, const struct proto_submit *settings)
{
    struct proto_message message = {.type = PROTO_SUBMIT, .submit = *settings};
    const struct proto_message *sent;
    uint64_t batch;

    step_message(client, &message);
    sent = expect_sent(client, PROTO_ACCEPTED);
    cr_assert_eq(sent->accepted.ticket, settings->ticket);
    batch = sent->accepted.batch;
    if (settings->kind == PROTO_LIST) {
        sent = expect_sent(client, PROTO_GRANT);
        cr_assert_eq(sent->grant.ticket, settings->ticket);
        cr_assert_eq(sent->grant.bytes, PROTO_GRANT_BYTES);
    }
    return batch;
}

void send_arguments(const char *client, uint64_t first, uint32_t count)
{
    struct blob *blob = pack_values(argument_of, first, count, NULL);
    struct proto_message message = {.type = PROTO_ARGUMENTS,
                                    .arguments = {.ticket = 1, .first = first, .count = count},
                                    .payload = {.blob = blob, .size = blob->size}};

    step_message(client, &message);
    blob_unref(blob);
}

void seal(uint64_t total)
{
    step_message(CLIENT, &(struct proto_message){.type = PROTO_SEAL, .seal = {.ticket = 1, .total = total}});
}

void cancel(enum proto_cancel_mode mode)
{
    step_message(CLIENT, &(struct proto_message){.type = PROTO_CANCEL, .cancel = {.id = 1, .mode = mode}});
}

void cancel_some(uint64_t first, uint64_t count)
{
    step_message(CLIENT, &(struct proto_message){
                             .type = PROTO_CANCEL,
                             .cancel = {.id = 1, .mode = PROTO_CANCEL_NOW, .first = first, .count = count}});
}

void consumed(uint64_t bytes)
{
    step_message(CLIENT,
                 &(struct proto_message){.type = PROTO_CONSUMED, .consumed = {.ticket = 1, .bytes = bytes}});
}

void stop_client(const char *client)
{
    step_message(client, &(struct proto_message){.type = PROTO_STOP});
}

/* --- workers */

const char *worker_name(unsigned slot)
{
    return core->workers[slot - 1].name;
}

void worker_hello(unsigned slot, unsigned credit)
{
    worker_hello_concurrent(slot, credit, 1);
}

void worker_hello_concurrent(unsigned slot, unsigned credit, unsigned concurrency)
{
    struct proto_message message = {.type = PROTO_HELLO,
                                    .hello = {.version = PROTO_VERSION,
                                              .role = PROTO_WORKER,
                                              .pid = 100 + slot,
                                              .credit = credit,
                                              .concurrency = concurrency}};

    step_message(worker_name(slot), &message);
    expect_sent(worker_name(slot), PROTO_WELCOME);
}

/* Those that have no value, 0-terminated; valid until the next call. */
static const uint64_t *valueless(const struct proto_failure *failures, uint32_t count)
{
    static uint64_t list[65];
    uint32_t found = 0;

    cr_assert(count <= 64);
    for (uint32_t i = 0; i < count; i++)
        if (!failures[i].valued)
            list[found++] = failures[i].index;
    list[found] = 0;
    return list;
}

struct proto_message result_message(const struct proto_chunk *chunk, const struct report *report)
{
    static struct proto_failure failures[64];
    static uint64_t timings[1024];
    uint32_t failed = listed_count(report->failed);

    cr_assert(failed <= 64 && PROTO_TIMINGS * report->count <= 1024);
    for (uint32_t i = 0; i < failed; i++)
        failures[i] = (struct proto_failure){.index = report->failed[i],
                                             .code = report->code,
                                             .text = proto_text("it failed"),
                                             .valued = listed(report->valued, report->failed[i])};
    if (report->first_code)
        failures[0].code = report->first_code;
    for (uint32_t i = 0; i < PROTO_TIMINGS * report->count; i++)
        timings[i] = 10 * (report->first + i / PROTO_TIMINGS) + i % PROTO_TIMINGS;
    blob_unref(values);
    values = pack_values(value_of, report->first, report->count, valueless(failures, failed));
    return (struct proto_message){
        .type = PROTO_RESULT,
        .result = {.batch = chunk->batch,
                   .chunk = chunk->chunk,
                   .final = report->final,
                   .outcome = {.first = report->first,
                               .count = report->count,
                               .attempt = chunk->attempt,
                               .execute_ns = report->execute_ns,
                               .cpu_ns = report->cpu_ns,
                               .shared_bytes = report->shared_bytes,
                               .failures = failures,
                               .failure_count = failed,
                               .timings = chunk->timings && report->count ? timings : NULL}},
        .payload = {.blob = values, .size = values->size},
    };
}

void worker_reports(unsigned slot, const struct proto_chunk *chunk, const struct report *report)
{
    struct proto_message message = result_message(chunk, report);

    step_message(worker_name(slot), &message);
}

void worker_returns(unsigned slot, const struct proto_chunk *chunk, uint64_t first, uint32_t count)
{
    step_message(
        worker_name(slot),
        &(struct proto_message){
            .type = PROTO_RETURNED,
            .returned = {.batch = chunk->batch, .chunk = chunk->chunk, .first = first, .count = count}});
}

void worker_finishes(unsigned slot, const struct proto_chunk *chunk)
{
    worker_reports(
        slot, chunk,
        &(struct report){.first = chunk->first, .count = chunk->count, .final = true, .execute_ns = 1000});
}

void worker_crashes(unsigned slot, const struct proto_chunk *chunk, uint64_t index)
{
    step_exit(&(struct worker_exit){.slot = slot,
                                    .reason = "killed by SIGSEGV",
                                    .executing = true,
                                    .chunk = chunk->chunk,
                                    .index = index});
}

void worker_times_out(unsigned slot, const struct proto_chunk *chunk, uint64_t index)
{
    step_exit(&(struct worker_exit){.slot = slot,
                                    .reason = "killed by SIGKILL",
                                    .executing = true,
                                    .timed_out = true,
                                    .progress = 400,
                                    .chunk = chunk->chunk,
                                    .index = index});
}

/* --- expectations */

static const char *item_name(const struct outbox_item *item)
{
    static char name[128];

    switch (item->kind) {
    case OUTBOX_SPAWN:
        snprintf(name, sizeof name, "a spawn of worker %u", item->slot);
        break;
    case OUTBOX_KILL:
        snprintf(name, sizeof name, "a kill of worker %u", item->slot);
        break;
    case OUTBOX_KEEP:
        snprintf(name, sizeof name, "a wait for what %s reported", item->peer);
        break;
    case OUTBOX_RELEASE:
        snprintf(name, sizeof name, "a release of %zu bytes of values", item->message.payload.size);
        break;
    case OUTBOX_SEND:
        snprintf(name, sizeof name, "%s to %s", proto_type_name(item->message.type), item->peer);
        break;
    case OUTBOX_SCALE:
    case OUTBOX_DRAIN:
    case OUTBOX_STOP:
    case OUTBOX_CORE:
    case OUTBOX_FORWARD:
    case OUTBOX_STORE:
        snprintf(name, sizeof name, "what only a ledger decides");
        break;
    }
    return name;
}

void expect_nothing(void)
{
    for (size_t i = 0; i < outbox.count; i++)
        cr_assert(taken[i], "nobody expected %s", item_name(&outbox.items[i]));
}

static void expect_process(enum outbox_kind kind, unsigned slot)
{
    for (size_t i = 0; i < outbox.count; i++)
        if (!taken[i] && outbox.items[i].kind == kind && outbox.items[i].slot == slot) {
            taken[i] = true;
            return;
        }
    cr_assert_fail("no %s of worker %u", kind == OUTBOX_SPAWN ? "spawn" : "kill", slot);
}

void expect_spawn(unsigned slot)
{
    expect_process(OUTBOX_SPAWN, slot);
}

void expect_kill(unsigned slot)
{
    expect_process(OUTBOX_KILL, slot);
}

const struct proto_message *expect_sent(const char *peer, enum proto_type type)
{
    for (size_t i = 0; i < outbox.count; i++) {
        const struct outbox_item *item = &outbox.items[i];

        if (taken[i] || item->kind != OUTBOX_SEND || strcmp(item->peer, peer) != 0)
            continue;
        cr_assert_eq(item->message.type, type, "%s instead of %s", item_name(item), proto_type_name(type));
        taken[i] = true;
        return &item->message;
    }
    cr_assert_fail("no %s to %s", proto_type_name(type), peer);
    abort();
}

struct proto_chunk expect_chunk(unsigned slot, uint64_t first, uint32_t count)
{
    const struct proto_message *message = expect_sent(worker_name(slot), PROTO_CHUNK);
    const struct proto_chunk *chunk = &message->chunk;

    cr_assert_eq(chunk->first, first, "a chunk starts with job %lu", (unsigned long)chunk->first);
    cr_assert_eq(chunk->count, count, "a chunk of %u jobs", chunk->count);
    if (chunk->kind == PROTO_LIST)
        check_values(&message->payload, argument_of, first, count, NULL);
    else
        cr_assert_null(message->payload.blob);
    return *chunk;
}

void expect_recall(unsigned slot, uint64_t first, uint64_t count)
{
    const struct proto_cancel *cancel = &expect_sent(worker_name(slot), PROTO_CANCEL)->cancel;

    cr_assert_eq(cancel->mode, PROTO_CANCEL_RETURN);
    cr_assert_eq(cancel->id, 1);
    cr_assert_eq(cancel->first, first, "from job %lu", (unsigned long)cancel->first);
    cr_assert_eq(cancel->count, count, "%lu jobs", (unsigned long)cancel->count);
}

const struct proto_outcome *expect_results(uint64_t first, uint32_t count, const uint64_t *failed)
{
    const struct proto_message *message = expect_sent(CLIENT, PROTO_RESULTS);
    const struct proto_outcome *outcome = &message->results.outcome;

    cr_assert_eq(message->results.ticket, 1);
    cr_assert_eq(outcome->first, first, "results from job %lu", (unsigned long)outcome->first);
    cr_assert_eq(outcome->count, count, "results of %u jobs", outcome->count);
    cr_assert_eq(outcome->failure_count, listed_count(failed), "%u failures", outcome->failure_count);
    for (uint32_t i = 0; i < outcome->failure_count; i++)
        cr_assert_eq(outcome->failures[i].index, failed[i]);
    for (uint32_t i = 0; outcome->timings && i < count; i++)
        cr_assert_eq(outcome->timings[PROTO_TIMINGS * i], 10 * (first + i), "job %u has the time of another",
                     i);
    check_values(&message->payload, value_of, first, count,
                 valueless(outcome->failures, outcome->failure_count));
    return outcome;
}

static void check_text(const struct proto_text *text, const char *part)
{
    char whole[PROTO_TEXT_MAX + 1] = "";

    memcpy(whole, text->bytes, text->size);
    cr_assert(strstr(whole, part), "\"%s\" does not say \"%s\"", whole, part);
}

void expect_failure(uint64_t index, int code, const char *text)
{
    const struct proto_message *message = expect_sent(CLIENT, PROTO_RESULTS);
    const struct proto_outcome *outcome = &message->results.outcome;

    cr_assert_eq(outcome->first, index, "results from job %lu", (unsigned long)outcome->first);
    cr_assert_eq(outcome->count, 1);
    cr_assert_eq(outcome->failure_count, 1);
    cr_assert_eq(outcome->failures[0].index, index);
    cr_assert_eq(outcome->failures[0].code, code, "%s", muster_error_name(outcome->failures[0].code));
    check_text(&outcome->failures[0].text, text);
    cr_assert_eq(message->payload.size, 0);
}

void expect_release(uint64_t first, uint32_t count)
{
    for (size_t i = 0; i < outbox.count; i++)
        if (!taken[i] && outbox.items[i].kind == OUTBOX_RELEASE) {
            check_values(&outbox.items[i].message.payload, value_of, first, count, NULL);
            taken[i] = true;
            return;
        }
    cr_assert_fail("no release of the values from job %lu on", (unsigned long)first);
}

void expect_keep(unsigned slot, uint64_t number)
{
    for (size_t i = 0; i < outbox.count; i++) {
        const struct outbox_item *item = &outbox.items[i];

        if (taken[i] || item->kind != OUTBOX_KEEP || strcmp(item->peer, worker_name(slot)) != 0)
            continue;
        cr_assert_eq(item->number, number);
        taken[i] = true;
        return;
    }
    cr_assert_fail("nobody waits for what worker %u reported", slot);
}

void expect_error(const char *peer, uint64_t ticket, int code, const char *text)
{
    const struct proto_message *message = expect_sent(peer, PROTO_ERROR);

    cr_assert_eq(message->error.ticket, ticket);
    cr_assert_eq(message->error.code, code, "%s", muster_error_name(message->error.code));
    check_text(&message->error.text, text);
}

struct proto_ended expect_ended(uint64_t succeeded, uint64_t failed, uint64_t cancelled)
{
    const struct proto_ended *ended = &expect_sent(CLIENT, PROTO_ENDED)->ended;

    cr_assert_eq(ended->ticket, 1);
    cr_assert_eq(ended->succeeded, succeeded, "%lu succeeded", (unsigned long)ended->succeeded);
    cr_assert_eq(ended->failed, failed, "%lu failed", (unsigned long)ended->failed);
    cr_assert_eq(ended->cancelled, cancelled, "%lu cancelled", (unsigned long)ended->cancelled);
    return *ended;
}
