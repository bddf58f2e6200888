/* SPDX-License-Identifier: MIT
 *
 * The core under a recording outbox: its life, and the steps that it is given. See core_harness.h.
 */
#include "proto/codec.h"
#include "tests/support/core_harness_internal.h"
#include "tests/support/core_invariants.h"

#include <criterion/criterion.h>
#include <string.h>

struct core *core;
uint64_t now_ns;

struct outbox outbox;
bool taken[TAKEN_MAX];

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

static bool join_again(unsigned host, unsigned places, const char *const names[], uint32_t count,
                       bool expected)
{
    struct proto_resident residents[16];
    struct proto_join join = {.workers = places, .residents = residents, .resident_count = count};
    unsigned room;
    bool again;

    for (uint32_t i = 0; i < count; i++)
        residents[i] = (struct proto_resident){.place = i + 1, .name = proto_text(names[i])};
    before_step();
    again = core_join_again(core, now_ns, host, "node7", &join, expected, &room, &outbox);
    after_step();
    return again;
}

bool step_join_again(unsigned host, unsigned places, const char *const names[], uint32_t count)
{
    return join_again(host, places, names, count, true);
}

bool step_join_unexpected(unsigned host, unsigned places, const char *const names[], uint32_t count)
{
    return join_again(host, places, names, count, false);
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
    forget_result();
}
