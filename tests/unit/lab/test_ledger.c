/* SPDX-License-Identifier: MIT
 *
 * Outcomes that must differ differ, and no index is lost or out of bounds.
 */
#include "lab/ledger.h"

#include <criterion/criterion.h>

static uint64_t of_number(uint64_t number)
{
    msgpack_object value = {.type = MSGPACK_OBJECT_POSITIVE_INTEGER};
    struct muster_result result = {.index = 1, .value = &value};

    value.via.u64 = number;
    return ledger_outcome(&result);
}

static uint64_t of_failure(int code, const char *text)
{
    struct muster_result result = {.index = 1, .code = code, .text = text};

    return ledger_outcome(&result);
}

Test(ledger, failures_are_alike_by_code_and_unlike_any_value)
{
    cr_expect_eq(of_failure(MUSTER_EFAILED, "worker 12"), of_failure(MUSTER_EFAILED, "worker 13"));
    cr_expect_neq(of_failure(MUSTER_EFAILED, ""), of_failure(MUSTER_ELIMIT, ""));
    cr_expect_neq(of_failure(MUSTER_EFAILED, ""), of_number(0));
    cr_expect_neq(of_number(1), of_number(2));
    cr_expect_eq(of_number(7), of_number(7));
}

Test(ledger, outcomes_entered_in_any_order_are_found)
{
    struct ledger ledger;

    ledger_init(&ledger);
    for (uint64_t index = 5000; index >= 1; index--)
        cr_assert_eq(ledger_enter(&ledger, index, index * 3, 5000), 0);
    for (uint64_t index = 1; index <= 5000; index++)
        cr_assert_eq(ledger_find(&ledger, index), index * 3);
    cr_expect_eq(ledger.count, 5000);
    ledger_fini(&ledger);
}

Test(ledger, index_that_was_not_entered_is_not_found)
{
    struct ledger ledger;

    ledger_init(&ledger);
    cr_expect_eq(ledger_find(&ledger, 1), 0);
    cr_assert_eq(ledger_enter(&ledger, 3, 9, 10), 0);
    cr_expect_eq(ledger_find(&ledger, 2), 0);
    cr_expect_eq(ledger_find(&ledger, 0), 0);
    cr_expect_eq(ledger_find(&ledger, 4), 0);
    ledger_fini(&ledger);
}

Test(ledger, jobs_beyond_the_limit_are_refused)
{
    struct ledger ledger;

    ledger_init(&ledger);
    cr_expect_eq(ledger_enter(&ledger, UINT64_MAX, 1, 1 << 20), MUSTER_ELIMIT);
    cr_expect_eq(ledger.count, 0);
    ledger_fini(&ledger);
}
