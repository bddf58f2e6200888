/* SPDX-License-Identifier: MIT
 *
 * The wait-for graph: which waits close a cycle, and who is in it.
 */
#include "lab/waits.h"

#include <criterion/criterion.h>

static struct waits waits;
static struct waits_link cycle[WAITS_THREADS_MAX];

static struct waits_place line(int number)
{
    return (struct waits_place){"test", number};
}

Test(waits, opposite_order_of_two_is_no_cycle)
{
    waits_hold(&waits, 0, 5, line(10));
    waits_hold(&waits, 1, 6, line(20));
    cr_assert_eq(waits_begin(&waits, 0, 6, line(11), cycle), 0);
    cr_assert_eq(waits_begin(&waits, 1, 5, line(21), cycle), 2);
    cr_assert_eq(cycle[0].thread, 1);
    cr_assert_eq(cycle[0].holds, 6);
    cr_assert_eq(cycle[0].held_at.line, 20);
    cr_assert_eq(cycle[0].wants, 5);
    cr_assert_eq(cycle[0].wanted_at.line, 21);
    cr_assert_eq(cycle[1].thread, 0);
    cr_assert_eq(cycle[1].holds, 5);
    cr_assert_eq(cycle[1].held_at.line, 10);
    cr_assert_eq(cycle[1].wants, 6);
    cr_assert_eq(cycle[1].wanted_at.line, 11);
}

Test(waits, thread_that_locks_twice_waits_for_itself_unseen)
{
    waits_hold(&waits, 3, 0, line(1));
    cr_assert_eq(waits_begin(&waits, 3, 0, line(2), cycle), 1);
    cr_assert_eq(cycle[0].thread, 3);
    cr_assert_eq(cycle[0].holds, 0);
    cr_assert_eq(cycle[0].wants, 0);
}

Test(waits, queue_for_one_lock_is_taken_for_a_cycle)
{
    waits_hold(&waits, 0, 0, line(1));
    for (unsigned thread = 1; thread < WAITS_THREADS_MAX; thread++)
        cr_assert_eq(waits_begin(&waits, thread, 0, line(2), cycle), 0);
}

/* Thread k holds lock k and waits for lock k + 1; only the last wait closes the ring. */
Test(waits, ring_of_all_threads_is_missed)
{
    for (unsigned k = 0; k < WAITS_THREADS_MAX; k++)
        waits_hold(&waits, k, k, line((int)k));
    for (unsigned k = 0; k + 1 < WAITS_THREADS_MAX; k++)
        cr_assert_eq(waits_begin(&waits, k, k + 1, line(0), cycle), 0, "%u", k);
    cr_assert_eq(waits_begin(&waits, WAITS_THREADS_MAX - 1, 0, line(0), cycle), WAITS_THREADS_MAX);
    for (unsigned k = 0; k < WAITS_THREADS_MAX; k++) {
        cr_assert_eq(cycle[k].thread, (k + WAITS_THREADS_MAX - 1) % WAITS_THREADS_MAX);
        cr_assert_eq(cycle[k].holds, cycle[k].thread);
        cr_assert_eq(cycle[k].wants, k);
    }
}

Test(waits, refused_wait_stays_in_the_graph)
{
    waits_hold(&waits, 0, 0, line(1));
    waits_hold(&waits, 1, 1, line(1));
    cr_assert_eq(waits_begin(&waits, 0, 1, line(2), cycle), 0);
    cr_assert_eq(waits_begin(&waits, 1, 0, line(2), cycle), 2);
    waits_end(&waits, 1);
    waits_release(&waits, 1, 1);
    waits_end(&waits, 0);
    waits_hold(&waits, 0, 1, line(3));
    cr_assert_eq(waits_begin(&waits, 1, 0, line(4), cycle), 0, "thread 0 waits for nothing now");
}

/* A wait follows the lock to its next holder. */
Test(waits, new_holder_of_a_lock_is_not_waited_for)
{
    waits_hold(&waits, 0, 0, line(1));
    waits_hold(&waits, 1, 1, line(1));
    cr_assert_eq(waits_begin(&waits, 1, 0, line(2), cycle), 0);
    waits_release(&waits, 0, 0);
    waits_hold(&waits, 2, 0, line(3));
    cr_assert_eq(waits_begin(&waits, 0, 1, line(4), cycle), 0, "thread 0 holds nothing");
    cr_assert_eq(waits_begin(&waits, 2, 1, line(5), cycle), 2);
    cr_assert_eq(cycle[1].thread, 1);
}

/* Who runs into the cycle of others is not in it. */
Test(waits, cycle_of_others_is_followed_for_ever)
{
    waits_hold(&waits, 0, 0, line(1));
    waits_hold(&waits, 1, 1, line(1));
    cr_assert_eq(waits_begin(&waits, 0, 1, line(2), cycle), 0);
    cr_assert_eq(waits_begin(&waits, 1, 0, line(2), cycle), 2);
    cr_assert_eq(waits_begin(&waits, 2, 0, line(3), cycle), 0);
}
