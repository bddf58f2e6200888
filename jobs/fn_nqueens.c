/* SPDX-License-Identifier: MIT
 *
 * nqueens: in how many ways n queens stand on an n x n board so that none attacks another,
 * by backtracking row by row with a bit for each attacked column and diagonal.
 */
#include "jobs/argument.h"
#include "jobs/builtin.h"

#include "base/error.h"

enum {
    N_MAX = 18,       /* half an hour */
    ROWS_ASKING = 12, /* with fewer rows left, a call takes milliseconds: it does not ask for cancellation */
};

/* What the queens so far attack in the next row, a bit for each column. */
struct row {
    uint32_t columns, left, right;
};

static struct row below(struct row row, uint32_t queen)
{
    return (struct row){row.columns | queen, (row.left | queen) << 1, (row.right | queen) >> 1};
}

static uint64_t count(uint32_t board, struct row row)
{
    uint32_t free_columns = board & ~(row.columns | row.left | row.right);
    uint64_t solutions = 0;

    if (row.columns == board)
        return 1;
    for (; free_columns; free_columns &= free_columns - 1)
        solutions += count(board, below(row, free_columns & -free_columns));
    return solutions;
}

/* The same, asking for cancellation; false when it was. */
static bool count_asking(muster_call *call, uint32_t board, struct row row, int rows, uint64_t *solutions)
{
    uint32_t free_columns = board & ~(row.columns | row.left | row.right);
    uint32_t places = (uint32_t)__builtin_popcount(board);

    if (rows < ROWS_ASKING) {
        *solutions += count(board, row);
        return !muster_call_cancelled(call);
    }
    for (; free_columns; free_columns &= free_columns - 1) {
        if (!row.columns)
            muster_call_progress(call, (double)__builtin_ctz(free_columns) / places);
        if (!count_asking(call, board, below(row, free_columns & -free_columns), rows - 1, solutions))
            return false;
    }
    return true;
}

static int nqueens(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    uint64_t solutions = 0;
    int64_t n;

    if (!argument_integer(argument, 1, N_MAX, &n))
        return argument_refuse(call, &function_nqueens, argument);
    if (!count_asking(call, (UINT32_C(1) << n) - 1, (struct row){0, 0, 0}, (int)n, &solutions))
        return MUSTER_ECANCELLED;
    ret_result->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
    ret_result->via.u64 = solutions;
    return 0;
}

const muster_function function_nqueens = {
    .name = "nqueens",
    .summary = "in how many ways n queens stand on a board without attacking each other",
    .argument = "an integer from 1 to 18",
    .result = "an integer",
    .example = "10",
    .run = nqueens,
};
