/* SPDX-License-Identifier: MIT
 *
 * The race among real threads. That the unprotected ones lose some rounds is not asserted: how
 * many is the machine's affair. A plain executable, since there are threads.
 */
#include "lab/race.h"

#include "tests/support/check.h"

#include <sys/eventfd.h>
#include <unistd.h>

static struct muster_error error;

static struct race_row run(enum race_variant variant, uint64_t rounds)
{
    struct race_spec spec = {.interrupt_fd = -1};
    struct race_row row = {.variant = variant, .rounds = rounds, .lowest_balance = RACE_BALANCE};

    CHECK(race_in_threads(&spec, &row, &error) == 0);
    CHECK(row.wall_s > 0);
    return row;
}

static void protected_account_is_overdrawn(void)
{
    static const enum race_variant variants[] = {RACE_MUTEX, RACE_ATOMIC};

    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        struct race_row row = run(variants[i], 5000);

        CHECK(row.overdrawn == 0 && row.miscounted == 0);
        CHECK(row.lowest_balance == RACE_BALANCE - RACE_AMOUNT); /* in every round one was paid */
    }
}

static void counts_of_the_unprotected_do_not_fit_each_other(void)
{
    struct race_row row = run(RACE_UNPROTECTED, 5000);

    CHECK(row.overdrawn <= row.rounds && row.miscounted <= row.overdrawn);
    CHECK(row.lowest_balance == (row.overdrawn > 0 ? -60 : 20));
}

static void interrupt_is_not_heard(void)
{
    int fd = eventfd(1, EFD_CLOEXEC);
    struct race_spec spec = {.interrupt_fd = fd};
    struct race_row row = {.variant = RACE_MUTEX, .rounds = RACE_ROUNDS_MAX};

    CHECK(fd >= 0);
    CHECK(race_in_threads(&spec, &row, &error) == MUSTER_ECANCELLED);
    close(fd);
}

int main(void)
{
    protected_account_is_overdrawn();
    counts_of_the_unprotected_do_not_fit_each_other();
    interrupt_is_not_heard();
    return 0;
}
