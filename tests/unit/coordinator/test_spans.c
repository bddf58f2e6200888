/* SPDX-License-Identifier: MIT
 *
 * Sets of jobs, against an array of flags that says the same.
 */
#include "coordinator/spans.h"

#include "base/error.h"
#include "jobs/random.h"

#include <criterion/criterion.h>

enum { JOBS = 300, STEPS = 20000 };

static struct spans spans;
static bool flags[JOBS + 2]; /* by index, from 1 */

static void teardown(void)
{
    spans_fini(&spans);
}

TestSuite(spans, .fini = teardown);

/* As many spans as there are rows of flags, each where it should be. */
static void check(void)
{
    uint32_t place = 0;
    uint64_t jobs = 0;

    for (uint64_t i = 1; i <= JOBS; i++) {
        cr_assert_eq(spans_hold(&spans, i), flags[i], "job %lu", (unsigned long)i);
        jobs += flags[i];
        if (flags[i] && !flags[i - 1])
            cr_assert_eq(spans_list(&spans)[place++].first, i);
    }
    cr_assert_eq(spans.count, place);
    cr_assert_eq(spans_jobs(&spans), jobs);
}

/* Whether all jobs from `first` on are held. */
static bool all(uint64_t first, uint64_t count)
{
    for (uint64_t i = first; i < first + count; i++)
        if (!flags[i])
            return false;
    return true;
}

static void set(uint64_t first, uint64_t count, bool value)
{
    for (uint64_t i = first; i < first + count; i++)
        flags[i] = value;
}

Test(spans, any_order_of_changes_gives_what_flags_give)
{
    struct random random;

    random_seed(&random, 7);
    for (unsigned i = 0; i < STEPS; i++) {
        uint64_t first = 1 + random_next(&random) % JOBS;
        uint64_t most = JOBS + 1 - first, count = random_next(&random) % (most < 9 ? most + 1 : 9);

        switch (random_next(&random) % 3) {
        case 0:
            cr_assert_eq(spans_add(&spans, first, count), 0);
            set(first, count, true);
            break;
        case 1:
            cr_assert_eq(spans_drop(&spans, first, count), 0);
            set(first, count, false);
            break;
        default:
            cr_assert_eq(spans_take(&spans, first, count), all(first, count) ? 0 : MUSTER_ESTATE);
            if (all(first, count))
                set(first, count, false);
        }
        check();
    }
}

Test(spans, one_span_takes_no_memory)
{
    cr_assert_eq(spans_add(&spans, 1, 1000), 0);
    cr_assert_eq(spans_take(&spans, 1, 300), 0);
    cr_assert_eq(spans_take(&spans, 900, 101), 0);
    cr_assert_null(spans.list);
    cr_assert_eq(spans_jobs(&spans), 599);
}

Test(spans, jobs_at_the_end_of_numbers_do_not_overflow)
{
    uint64_t last = (uint64_t)1 << 62;

    cr_assert_eq(spans_add(&spans, 1, last), 0);
    cr_assert_eq(spans_take(&spans, last - 5, 3), 0);
    cr_assert(spans_hold(&spans, last));
    cr_assert_not(spans_hold(&spans, last - 4));
    cr_assert_eq(spans_take(&spans, last, UINT64_MAX - last), MUSTER_ESTATE);
}
