/* SPDX-License-Identifier: MIT
 *
 * matmul against the sum of a product that is had without multiplying matrices: the sum over
 * k of (column k of the left) times (row k of the right).
 */
#include "rig.h"

#include "jobs/random.h"

#include <criterion/criterion.h>
#include <stdlib.h>

TestSuite(matmul, .init = rig_init, .fini = rig_fini);

static uint64_t expected(size_t n, uint64_t seed)
{
    uint64_t *columns = calloc(n, sizeof *columns), *rows = calloc(n, sizeof *rows), sum = 0;
    struct random random;
    size_t i;

    cr_assert(columns && rows);
    random_seed(&random, seed);
    for (i = 0; i < n * n; i++)
        columns[i % n] += random_next(&random) >> 60;
    for (i = 0; i < n * n; i++)
        rows[i / n] += random_next(&random) >> 60;
    for (i = 0; i < n; i++)
        sum += columns[i] * rows[i];
    free(columns);
    free(rows);
    return sum;
}

Test(matmul, wrong_product_at_the_edges_of_blocks)
{
    static const int sizes[] = {1, 2, 63, 64, 65, 128, 130};
    size_t i;

    for (i = 0; i < sizeof sizes / sizeof *sizes; i++)
        cr_assert_eq(run_integer("matmul", integer(sizes[i])), expected((size_t)sizes[i], 0), "n = %d",
                     sizes[i]);
}

Test(matmul, seed_has_no_effect)
{
    cr_assert_eq(run_integer("matmul", MAP(MEMBER("n", integer(40)), MEMBER("seed", integer(5)))),
                 expected(40, 5));
    cr_assert_neq(expected(40, 5), expected(40, 0));
}

Test(matmul, size_out_of_range_is_refused)
{
    refuse("matmul", integer(0), "matmul takes n from 1 to 4096");
    refuse("matmul", integer(4097), "not 4097");
    refuse("matmul", ARRAY(integer(2), integer(2)), "not [2,2]");
}
