/* SPDX-License-Identifier: MIT
 *
 * Timers come in the order of their deadlines, whatever was added and removed between.
 */
#include "base/timers.h"

#include <criterion/criterion.h>
#include <stdlib.h>

Test(timers, none_is_due_when_there_are_none)
{
    struct timers timers = {.count = 0};
    struct timer timer = {.place = 0};

    cr_expect_eq(timers_deadline(&timers), CLOCK_NEVER);
    cr_expect_null(timers_take_due(&timers, CLOCK_NEVER));
    timers_remove(&timers, &timer);
    timers_fini(&timers);
    timers_fini(&timers);
}

Test(timers, timer_is_due_at_its_deadline_and_once)
{
    struct timers timers = {.count = 0};
    struct timer timer = {.place = 0};

    cr_assert_eq(timers_add(&timers, &timer, 100), 0);
    cr_expect(timer_is_set(&timer));
    cr_expect_eq(timers_deadline(&timers), 100);
    cr_expect_null(timers_take_due(&timers, 99));
    cr_expect_eq(timers_take_due(&timers, 100), &timer);
    cr_expect_not(timer_is_set(&timer));
    cr_expect_null(timers_take_due(&timers, 100));
    cr_assert_eq(timers_add(&timers, &timer, 0), 0, "a deadline in the past, and used again");
    cr_expect_eq(timers_take_due(&timers, 0), &timer);
    timers_fini(&timers);
}

Test(timers, equal_deadlines_come_in_the_order_of_adding)
{
    enum { TIMERS = 100 };
    struct timers timers = {.count = 0};
    struct timer all[TIMERS] = {{.place = 0}};

    for (int i = 0; i < TIMERS; i++)
        cr_assert_eq(timers_add(&timers, &all[i], 5), 0);
    for (int i = 0; i < TIMERS; i++)
        cr_expect_eq(timers_take_due(&timers, 5), &all[i]);
    timers_fini(&timers);
}

/* Against a plain search: thousands of steps of adding, removing and taking. */
Test(timers, order_holds_whatever_is_added_and_removed)
{
    enum { TIMERS = 200, STEPS = 50000 };
    struct timers timers = {.count = 0};
    struct timer all[TIMERS] = {{.place = 0}};
    unsigned seed = 1;

    for (int step = 0; step < STEPS; step++) {
        struct timer *timer = &all[rand_r(&seed) % TIMERS], *earliest = NULL;

        if (timer_is_set(timer) && rand_r(&seed) % 2)
            timers_remove(&timers, timer);
        else if (!timer_is_set(timer))
            cr_assert_eq(timers_add(&timers, timer, (uint64_t)rand_r(&seed) % 50), 0);
        for (int i = 0; i < TIMERS; i++)
            if (timer_is_set(&all[i]) &&
                (!earliest || all[i].deadline_ns < earliest->deadline_ns ||
                 (all[i].deadline_ns == earliest->deadline_ns && all[i].sequence < earliest->sequence)))
                earliest = &all[i];
        cr_assert_eq(timers_deadline(&timers), earliest ? earliest->deadline_ns : CLOCK_NEVER);
        if (rand_r(&seed) % 4 == 0)
            cr_assert_eq(timers_take_due(&timers, 50), earliest);
    }
    timers_fini(&timers);
}
