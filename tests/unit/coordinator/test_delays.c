/* SPDX-License-Identifier: MIT
 *
 * Jobs that wait before they are run again, against an array that says when each of them may.
 */
#include "coordinator/delays.h"

#include "base/clock.h"
#include "base/error.h"
#include "jobs/random.h"

#include <criterion/criterion.h>
#include <utlist.h>

enum { JOBS = 200, STEPS = 20000, BACKOFF_MS = 10 };

static struct delays delays;
static uint64_t due_ns[JOBS + 1]; /* by index; 0: does not wait */

static void teardown(void)
{
    delays_fini(&delays);
}

TestSuite(delays, .fini = teardown);

static void add(uint64_t first, uint64_t count, uint32_t attempts, uint64_t now_ns)
{
    struct job_run run = {.first = first, .count = count, .attempts = attempts, .failures = attempts};

    run.due_ns = now_ns + delays_backoff_ns(BACKOFF_MS, attempts);
    cr_assert_eq(delays_add(&delays, &run), 0);
    for (uint64_t i = first; i < first + count; i++)
        due_ns[i] = run.due_ns;
}

static void check(void)
{
    uint64_t jobs = 0, earliest = CLOCK_NEVER;

    for (uint64_t i = 1; i <= JOBS; i++) {
        jobs += due_ns[i] > 0;
        if (due_ns[i] > 0 && due_ns[i] < earliest)
            earliest = due_ns[i];
    }
    cr_assert_eq(delays.jobs, jobs);
    cr_assert_eq(delays_due_ns(&delays), earliest);
}

Test(delays, wait_doubles_with_each_failure_up_to_an_hour)
{
    const uint64_t hour_ns = 3600 * CLOCK_NS_PER_S;

    cr_assert_eq(delays_backoff_ns(1500, 1), 1500 * CLOCK_NS_PER_MS);
    cr_assert_eq(delays_backoff_ns(1500, 2), 3000 * CLOCK_NS_PER_MS);
    cr_assert_eq(delays_backoff_ns(1500, 5), 24000 * CLOCK_NS_PER_MS);
    cr_assert_eq(delays_backoff_ns(1, 22), 2097152 * CLOCK_NS_PER_MS);
    cr_assert_eq(delays_backoff_ns(1, 23), hour_ns);
    cr_assert_eq(delays_backoff_ns(1, UINT32_MAX), hour_ns);
    cr_assert_eq(delays_backoff_ns(UINT32_MAX, 1), hour_ns);
    cr_assert_eq(delays_backoff_ns(UINT32_MAX, UINT32_MAX), hour_ns);
}

Test(delays, neighbours_that_failed_together_are_one_run)
{
    struct job_run run;

    add(1, 10, 1, 7);
    add(11, 5, 1, 7);
    add(16, 5, 1, 8);
    cr_assert(!delays_take_due(&delays, 6 + BACKOFF_MS * CLOCK_NS_PER_MS, &run));
    cr_assert(delays_take_due(&delays, 7 + BACKOFF_MS * CLOCK_NS_PER_MS, &run));
    cr_assert(run.first == 1 && run.count == 15);
    cr_assert(!delays_take_due(&delays, 7 + BACKOFF_MS * CLOCK_NS_PER_MS, &run));
}

/* All that are due come out, and nothing else. */
static void take_due(uint64_t now_ns)
{
    struct job_run run;

    while (delays_take_due(&delays, now_ns, &run))
        for (uint64_t i = run.first; i < run.first + run.count; i++) {
            cr_assert(due_ns[i] > 0 && due_ns[i] <= now_ns && due_ns[i] == run.due_ns);
            due_ns[i] = 0;
        }
    for (uint64_t i = 1; i <= JOBS; i++)
        cr_assert(due_ns[i] == 0 || due_ns[i] > now_ns);
}

static void take(uint64_t first, uint64_t end)
{
    struct job_run run;

    for (;;) {
        cr_assert_eq(delays_take(&delays, first, end, &run), 0);
        if (run.count == 0)
            break;
        cr_assert(run.first >= first && run.first + run.count <= end);
        for (uint64_t i = run.first; i < run.first + run.count; i++) {
            cr_assert_eq(due_ns[i], run.due_ns);
            due_ns[i] = 0;
        }
    }
    for (uint64_t i = first; i < end && i <= JOBS; i++)
        cr_assert_eq(due_ns[i], 0);
}

Test(delays, any_order_of_steps_gives_what_an_array_gives)
{
    uint64_t now_ns = 1;
    struct random random;

    random_seed(&random, 3);
    for (unsigned i = 0; i < STEPS; i++) {
        uint64_t first = 1 + random_next(&random) % JOBS, count = 0, dice = random_next(&random) % 20;

        while (first + count <= JOBS && due_ns[first + count] == 0 && count < dice)
            count++;
        now_ns += random_next(&random) % (2 * CLOCK_NS_PER_MS);
        if (dice == 0)
            take_due(now_ns);
        else if (dice == 1)
            take(first, first + 20);
        else if (count > 0)
            add(first, count, 1 + (uint32_t)(random_next(&random) % 6), now_ns);
        check();
    }
}
