/* SPDX-License-Identifier: MIT
 *
 * Chunks found by their jobs, compared with a search through all of them.
 */
#include "proto/holdings.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdlib.h>

enum { CHUNKS = 300, BATCHES = 3, JOBS = 200, STEPS = 20000 };

static struct holdings holdings;
static struct holding known[CHUNKS];
static bool held[CHUNKS];

static void teardown(void)
{
    holdings_fini(&holdings);
}

TestSuite(holdings, .fini = teardown);

static void toggle(unsigned i, unsigned longest)
{
    if (held[i]) {
        holdings_remove(&holdings, &known[i]);
    } else {
        known[i] = (struct holding){.batch = 1 + (uint64_t)rand() % BATCHES,
                                    .first = 1 + (uint64_t)rand() % JOBS,
                                    .count = 1 + (uint32_t)rand() % longest,
                                    .chunk = &held[i]};
        cr_assert_eq(holdings_add(&holdings, &known[i]), 0);
    }
    held[i] = !held[i];
}

static void check(uint64_t batch, uint64_t first, uint64_t end)
{
    size_t place = holdings_find(&holdings, batch, first);
    unsigned expected = 0, found = 0;
    uint64_t before = 0;
    bool *chunk;

    for (unsigned i = 0; i < CHUNKS; i++)
        expected += held[i] && known[i].batch == batch && known[i].first < end &&
                    known[i].first + known[i].count > first;
    while ((chunk = holdings_next(&holdings, batch, first, end, &place)) != NULL) {
        const struct holding *holding = &known[chunk - held];

        cr_assert(*chunk);
        cr_assert_eq(holding->batch, batch);
        cr_assert(holding->first < end && holding->first + holding->count > first);
        cr_assert_geq(holding->first, before);
        before = holding->first;
        found++;
    }
    cr_assert_eq(found, expected);
}

Test(holdings, chunks_that_come_and_go_in_any_order_are_found_by_any_of_their_jobs)
{
    srand(1);
    for (unsigned step = 0; step < STEPS; step++) {
        uint64_t first = 1 + (uint64_t)rand() % JOBS;

        toggle((unsigned)rand() % CHUNKS, step < STEPS / 2 ? 1 : 40);
        check(1 + (uint64_t)rand() % BATCHES, first, first + 1 + (uint64_t)rand() % 5);
    }
    for (unsigned i = 0; i < CHUNKS; i++)
        if (held[i])
            toggle(i, 1);
    cr_assert_eq(holdings.count, 0);
}

Test(holdings, chunks_that_go_in_order_leave_no_memory_that_grows)
{
    struct holding holding = {.batch = 1, .count = 1, .chunk = held};

    for (uint64_t i = 1; i <= 100000; i++) {
        holding.first = i;
        cr_assert_eq(holdings_add(&holdings, &holding), 0);
        if (i <= 10)
            continue;
        holding.first = i - 10;
        holdings_remove(&holdings, &holding);
    }
    cr_assert_eq(holdings.count, 10);
    cr_assert_leq(holdings.capacity, 64);
}
