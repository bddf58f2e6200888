/* SPDX-License-Identifier: MIT
 *
 * Pauses between tries to connect, under a clock of the test's own.
 */
#include "coordinator/reconnect.h"

#include "base/clock.h"

#include <criterion/criterion.h>

/* As many tries, each of which fails when it is due. */
static uint64_t fail(struct reconnect *reconnect, uint64_t now_ns, bool held, unsigned tries)
{
    for (unsigned i = 0; i < tries; i++) {
        reconnect_plan(reconnect, now_ns, held);
        cr_assert_gt(reconnect->due_ns, now_ns);
        now_ns = reconnect->due_ns;
    }
    return now_ns;
}

static void check_pauses(bool held, const uint64_t *pauses_ms, unsigned count)
{
    uint64_t now_ns = 77 * CLOCK_NS_PER_S;
    struct reconnect reconnect;

    reconnect_begin(&reconnect);
    for (unsigned i = 0; i < count; i++) {
        reconnect_plan(&reconnect, now_ns, held);
        cr_assert_eq(reconnect.due_ns - now_ns, pauses_ms[i] * CLOCK_NS_PER_MS, "pause %u", i + 1);
        now_ns = reconnect.due_ns;
    }
}

Test(reconnect, pauses_double_up_to_eight_seconds)
{
    static const uint64_t pauses_ms[] = {250, 500, 1000, 2000, 4000, 8000, 8000, 8000};

    check_pauses(false, pauses_ms, sizeof pauses_ms / sizeof *pauses_ms);
}

Test(reconnect, pauses_of_a_host_whose_workers_go_on_are_shorter_than_its_coordinator_waits)
{
    static const uint64_t pauses_ms[] = {250, 500, 1000, 2000, 2000, 2000};

    check_pauses(true, pauses_ms, sizeof pauses_ms / sizeof *pauses_ms);
}

Test(reconnect, first_try_is_at_once_and_a_connection_makes_the_next_pause_the_shortest)
{
    struct reconnect reconnect;
    uint64_t now_ns = CLOCK_NS_PER_S;

    reconnect_begin(&reconnect);
    cr_assert_leq(reconnect.due_ns, now_ns);
    now_ns = fail(&reconnect, now_ns, false, 20);
    reconnect_begin(&reconnect);
    cr_assert_leq(reconnect.due_ns, now_ns);
    cr_assert_eq(fail(&reconnect, now_ns, true, 1) - now_ns, 250 * CLOCK_NS_PER_MS);
}

Test(reconnect, pauses_grow_on_when_the_workers_were_ended)
{
    struct reconnect reconnect;
    uint64_t now_ns;

    reconnect_begin(&reconnect);
    now_ns = fail(&reconnect, CLOCK_NS_PER_S, true, 9);
    cr_assert_eq(fail(&reconnect, now_ns, false, 1) - now_ns, 4 * CLOCK_NS_PER_S);
}

/* The coordinator takes workers for lost after ten seconds. */
Test(reconnect, host_whose_workers_wait_tries_four_times_at_least_in_ten_seconds)
{
    for (unsigned before = 0; before < 40; before++) {
        struct reconnect reconnect;
        uint64_t from_ns;

        reconnect_begin(&reconnect);
        from_ns = fail(&reconnect, CLOCK_NS_PER_S, before % 2, before);
        cr_assert_leq(fail(&reconnect, from_ns, true, 4) - from_ns, 10 * CLOCK_NS_PER_S, "%u before", before);
    }
}

Test(reconnect, pauses_stay_the_longest_however_often_it_fails)
{
    struct reconnect reconnect;
    uint64_t now_ns;

    reconnect_begin(&reconnect);
    now_ns = fail(&reconnect, CLOCK_NS_PER_S, false, 10000);
    cr_assert_eq(fail(&reconnect, now_ns, false, 1) - now_ns, 8 * CLOCK_NS_PER_S);
}
