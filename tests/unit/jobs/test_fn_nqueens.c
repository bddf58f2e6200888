/* SPDX-License-Identifier: MIT
 *
 * nqueens against known counts (OEIS A000170).
 */
#include "rig.h"

#include <criterion/criterion.h>

TestSuite(nqueens, .init = rig_init, .fini = rig_fini);

Test(nqueens, wrong_count)
{
    static const uint64_t known[] = {1, 0, 0, 2, 10, 4, 40, 92, 352, 724, 2680, 14200};
    size_t i;

    for (i = 0; i < sizeof known / sizeof *known; i++)
        cr_assert_eq(run_integer("nqueens", integer((int64_t)i + 1)), known[i], "%zu queens", i + 1);
}

Test(nqueens, board_of_no_or_too_many_rows_is_refused)
{
    refuse("nqueens", integer(0), "nqueens takes an integer from 1 to 18, not 0");
    refuse("nqueens", integer(19), "not 19");
    refuse("nqueens", text("8"), "not \"8\"");
}
