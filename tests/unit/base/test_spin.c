/* SPDX-License-Identifier: MIT
 *
 * Which waits are awake, and for how long.
 */
#include "base/clock.h"
#include "base/spin.h"

#include <criterion/criterion.h>
#include <time.h>

static struct spin spin;

/* A wait that nobody ends before it would sleep. Returns how often it looked. */
static unsigned long wait_in_vain(void)
{
    unsigned long looks = 0;

    spin_begin(&spin);
    while (spin_again(&spin))
        looks++;
    return looks;
}

Test(spin, first_wait_sleeps_at_once)
{
    spin_init(&spin);
    cr_assert_eq(wait_in_vain(), 0);
}

Test(spin, wait_after_a_long_one_sleeps_at_once)
{
    static const struct timespec long_time = {.tv_nsec = CLOCK_NS_PER_MS};

    spin_init(&spin);
    spin.pays = true;
    spin_begin(&spin);
    nanosleep(&long_time, NULL);
    spin_end(&spin);
    cr_assert_eq(wait_in_vain(), 0);
}

/* Short is a bound that a busy machine may miss now and then, hence the rounds. */
Test(spin, wait_after_a_short_one_is_awake_and_gives_up)
{
    bool awake = false;

    spin_init(&spin);
    spin.cores = true;
    for (int round = 0; round < 1000 && !awake; round++) {
        spin_begin(&spin);
        spin_end(&spin);
        awake = wait_in_vain() > 0; /* it returns */
    }
    cr_assert(awake);
}

Test(spin, nobody_spins_where_there_is_one_core)
{
    spin_init(&spin);
    spin.cores = false;
    spin.pays = true;
    cr_assert_eq(wait_in_vain(), 0);
}
