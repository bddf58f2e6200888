/* SPDX-License-Identifier: MIT
 *
 * Other hosts as the coordinator sees them: who joins, who comes back, to which life, and until when.
 */
#include "base/clock.h"
#include "coordinator/core_look.h"
#include "coordinator/hosts.h"

#include <criterion/criterion.h>
#include <string.h>

enum { EPOCH = 3, SESSION = 71, STATE = 5, WORKERS = 2 };

#define HEARTBEAT_NS (3 * CLOCK_NS_PER_S)
#define EXPECTED_NS  (10 * CLOCK_NS_PER_S)
#define GRACE_NS     (3600 * CLOCK_NS_PER_S)
#define OLD_WORKER   "worker-2.2.1"

static struct core *core;
static struct hosts *hosts;
static struct outbox outbox;
static uint64_t now_ns;
static uint32_t connections;      /* that the host made */
static unsigned noted, strangers; /* hosts that the next life would know of; peers that are none any more */

static struct wire_traffic no_traffic(void *context, int fd, const char *peer)
{
    (void)context, (void)fd, (void)peer;
    return (struct wire_traffic){.received = 0};
}

static void note(void *context, uint64_t session, bool here)
{
    (void)context;
    cr_assert_eq(session, SESSION);
    noted = here;
}

static void estrange(void *context, const char *peer)
{
    (void)context, (void)peer;
    strangers++;
}

static void begin_life(uint64_t grace_ns)
{
    struct core_options core_options = {
        .workers = 1, .workers_max = 8, .heartbeat_ns = HEARTBEAT_NS, .epoch = EPOCH};
    struct hosts_options options = {.heartbeat_ns = HEARTBEAT_NS,
                                    .grace_ns = grace_ns,
                                    .state = STATE,
                                    .epoch = EPOCH,
                                    .traffic = no_traffic,
                                    .note = note,
                                    .estrange = estrange};

    now_ns = 1000 * CLOCK_NS_PER_S;
    noted = strangers = connections = 0;
    cr_assert_eq(outbox_init(&outbox), 0);
    cr_assert_eq(core_create(&core_options, &core), 0);
    cr_assert_eq(hosts_create(&options, core, &hosts), 0);
}

static void end_life(void)
{
    cr_assert_not(outbox.failed);
    hosts_destroy(hosts);
    core_destroy(core);
    outbox_fini(&outbox);
}

/* With a worker of this name in its first place; NULL: with none. */
static void says_join(const char *peer, uint64_t state, uint32_t epoch, const char *worker)
{
    struct proto_resident resident = {.place = 1};
    struct wire_frame frame = {.message = {.type = PROTO_JOIN,
                                           .join = {.version = PROTO_VERSION,
                                                    .session = SESSION,
                                                    .state = state,
                                                    .epoch = epoch,
                                                    .connection = ++connections,
                                                    .workers = WORKERS,
                                                    .host = {"node7", 5},
                                                    .software = proto_text("muster " MUSTER_VERSION),
                                                    .residents = &resident,
                                                    .resident_count = worker != NULL}},
                               .fd = -1,
                               .received_ns = now_ns};

    if (worker)
        resident.name = proto_text(worker);
    strcpy(frame.peer, peer);
    outbox_clear(&outbox);
    cr_assert(hosts_take(hosts, now_ns, &frame, &outbox));
}

static const struct proto_message *told(const char *peer, enum proto_type type)
{
    for (size_t i = 0; i < outbox.count; i++)
        if (outbox.items[i].kind == OUTBOX_SEND && strcmp(outbox.items[i].peer, peer) == 0 &&
            outbox.items[i].message.type == type)
            return &outbox.items[i].message;
    return NULL;
}

static void expect_joined(const char *peer)
{
    cr_assert(told(peer, PROTO_JOINED));
    cr_assert_not(told(peer, PROTO_ERROR));
    cr_assert(hosts_has(hosts, peer));
}

static void expect_refused(const char *peer, int code)
{
    cr_assert(told(peer, PROTO_ERROR));
    cr_assert_eq(told(peer, PROTO_ERROR)->error.code, code);
    cr_assert_not(hosts_has(hosts, peer));
}

static void tick_at(uint64_t when_ns)
{
    now_ns = when_ns;
    outbox_clear(&outbox);
    hosts_tick(hosts, now_ns, &outbox);
}

Test(hosts, one_that_goes_on_in_the_same_life_keeps_its_workers)
{
    begin_life(GRACE_NS);
    says_join("a", 0, 0, NULL);
    expect_joined("a");
    cr_assert_eq(noted, 1);
    hosts_lose(hosts, now_ns, "a", "its connection is gone", &outbox);
    cr_assert_not(hosts_has(hosts, "a"));
    says_join("b", STATE, EPOCH, NULL);
    expect_joined("b");
    cr_assert_eq(strangers, 0);
    end_life();
}

Test(hosts, one_that_was_given_up_is_told_so)
{
    begin_life(0);
    says_join("a", 0, 0, NULL);
    hosts_lose(hosts, now_ns, "a", "its connection is gone", &outbox);
    cr_assert_eq(noted, 0);
    says_join("b", STATE, EPOCH, NULL);
    expect_refused("b", MUSTER_ESTATE);
    end_life();
}

Test(hosts, one_of_another_coordinator_or_of_a_life_to_come_is_refused)
{
    begin_life(GRACE_NS);
    says_join("a", STATE + 2, EPOCH - 1, NULL);
    expect_refused("a", MUSTER_ESTATE);
    says_join("b", STATE, EPOCH + 1, NULL);
    expect_refused("b", MUSTER_ESTATE);
    end_life();
}

Test(hosts, one_of_the_life_before_brings_its_workers)
{
    begin_life(GRACE_NS);
    cr_assert(hosts_expect(hosts, SESSION));
    hosts_listen(hosts, now_ns);
    says_join("a", STATE, EPOCH - 1, OLD_WORKER);
    expect_joined("a");
    cr_assert(core_has_worker(core, OLD_WORKER));
    cr_assert_str_eq(hosts_route(hosts, OLD_WORKER), "a");
    end_life();
}

Test(hosts, one_that_is_away_when_the_coordinator_ends_is_waited_for_by_the_next_life)
{
    begin_life(GRACE_NS);
    says_join("a", 0, 0, NULL);
    hosts_lose(hosts, now_ns, "a", "its connection is gone", &outbox);
    hosts_stop(hosts, &outbox);
    hosts_leave(hosts);
    cr_assert_eq(noted, 1);
    end_life();
}

Test(hosts, one_that_was_told_that_the_coordinator_ends_is_not_waited_for)
{
    begin_life(GRACE_NS);
    says_join("a", 0, 0, NULL);
    hosts_stop(hosts, &outbox);
    cr_assert(told("a", PROTO_STOP));
    cr_assert_eq(noted, 1); /* until that has left */
    hosts_leave(hosts);
    cr_assert_eq(noted, 0);
    end_life();
}

/* It lay unread, and was overtaken. */
Test(hosts, join_that_comes_behind_one_of_a_later_connection_takes_nothing_from_that)
{
    begin_life(GRACE_NS);
    cr_assert(hosts_expect(hosts, SESSION));
    hosts_listen(hosts, now_ns);
    connections++;
    says_join("b", STATE, EPOCH - 1, OLD_WORKER);
    expect_joined("b");
    connections = 0;
    says_join("a", STATE, EPOCH - 1, NULL);
    expect_refused("a", MUSTER_ESTATE);
    cr_assert(hosts_has(hosts, "b"));
    cr_assert(core_has_worker(core, OLD_WORKER));
    cr_assert_eq(strangers, 0);
    end_life();
}

/* The first JOIN lay unread while the state file was recovered, and its sender had given up by then. */
Test(hosts, one_that_never_heard_that_it_was_taken_over_joins_again)
{
    begin_life(GRACE_NS);
    cr_assert(hosts_expect(hosts, SESSION));
    hosts_listen(hosts, now_ns);
    says_join("a", STATE, EPOCH - 1, OLD_WORKER);
    says_join("b", STATE, EPOCH - 1, OLD_WORKER);
    expect_joined("b");
    cr_assert_not(hosts_has(hosts, "a"));
    cr_assert_eq(strangers, 1);
    cr_assert_str_eq(hosts_route(hosts, OLD_WORKER), "b");
    end_life();
}

Test(hosts, one_that_is_expected_has_its_time_from_when_it_can_be_heard)
{
    begin_life(GRACE_NS);
    cr_assert(hosts_expect(hosts, SESSION));
    now_ns += 60 * CLOCK_NS_PER_S; /* the books are opened */
    hosts_listen(hosts, now_ns);
    cr_assert_eq(hosts_deadline(hosts), now_ns + EXPECTED_NS);
    tick_at(now_ns + EXPECTED_NS - 1);
    cr_assert_eq(hosts_deadline(hosts), now_ns + 1);
    tick_at(now_ns + 1);
    cr_assert_eq(hosts_deadline(hosts), CLOCK_NEVER);
    says_join("a", STATE, EPOCH - 1, OLD_WORKER);
    expect_joined("a"); /* its jobs may be others' by now; its workers are not ended for it */
    end_life();
}

Test(hosts, coordinator_that_overslept_waits_no_longer_for_one_that_is_expected)
{
    begin_life(GRACE_NS);
    cr_assert(hosts_expect(hosts, SESSION));
    hosts_listen(hosts, now_ns);
    tick_at(now_ns + 2 * EXPECTED_NS);
    cr_assert_eq(hosts_deadline(hosts), now_ns + EXPECTED_NS);
    end_life();
}

Test(hosts, none_is_expected_where_none_is_waited_for)
{
    begin_life(0);
    cr_assert_not(hosts_expect(hosts, SESSION));
    cr_assert_not(hosts_expect(NULL, SESSION));
    cr_assert_eq(hosts_deadline(hosts), CLOCK_NEVER);
    end_life();
}
