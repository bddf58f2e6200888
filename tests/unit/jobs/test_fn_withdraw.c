/* SPDX-License-Identifier: MIT
 *
 * withdraw: where it draws the line, and what it refuses.
 */
#include "rig.h"

#include <criterion/criterion.h>

TestSuite(withdraw, .init = rig_init, .fini = rig_fini);

Test(withdraw, account_is_overdrawn_or_not_emptied)
{
    cr_assert(run_boolean("withdraw", ARRAY(integer(100), integer(80))));
    cr_assert(run_boolean("withdraw", ARRAY(integer(80), integer(80))));
    cr_assert_not(run_boolean("withdraw", ARRAY(integer(79), integer(80))));
    cr_assert_not(run_boolean("withdraw", ARRAY(integer(0), integer(1))));
    cr_assert(run_boolean("withdraw", ARRAY(integer(0), integer(0))));
}

Test(withdraw, negative_amount_pays_in)
{
    refuse("withdraw", ARRAY(integer(100), integer(-80)), "withdraw takes [balance, amount]");
    refuse("withdraw", ARRAY(integer(100)), "withdraw takes [balance, amount]");
    refuse("withdraw", integer(100), "withdraw takes [balance, amount]");
}
