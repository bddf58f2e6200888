/* SPDX-License-Identifier: MIT
 *
 * matmul: the product of two seeded n x n matrices of doubles, block by block: CPU work that
 * lives in the caches. The elements are integers from 0 to 15, so every sum is exact in any
 * order (at most 225 * n^3 < 2^53) and the checksum is the same on every machine.
 */
#include "jobs/argument.h"
#include "jobs/builtin.h"
#include "jobs/random.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

enum {
    N_MAX = 4096, /* 384 MiB, a minute or two */
    BLOCK = 64,   /* three blocks of 32 KiB fit an L2 cache */
};

static void fill(double *matrix, size_t elements, struct random *random)
{
    size_t i;

    for (i = 0; i < elements; i++)
        matrix[i] = (double)(random_next(random) >> 60);
}

static size_t block_end(size_t start, size_t n)
{
    return n - start < BLOCK ? n : start + BLOCK;
}

/* product += a block of `left` times a block of `right`; the innermost loop runs along rows. */
static void multiply_block(double *product, const double *left, const double *right, size_t n, size_t row,
                           size_t inner, size_t column)
{
    size_t i, j, k;

    for (i = row; i < block_end(row, n); i++)
        for (k = inner; k < block_end(inner, n); k++) {
            double factor = left[i * n + k];

            for (j = column; j < block_end(column, n); j++)
                product[i * n + j] += factor * right[k * n + j];
        }
}

/* False when cancelled. */
static bool multiply(muster_call *call, double *product, const double *left, const double *right, size_t n)
{
    size_t row, inner, column;

    for (row = 0; row < n; row += BLOCK) {
        muster_call_progress(call, (double)row / (double)n);
        for (inner = 0; inner < n; inner += BLOCK) {
            if (muster_call_cancelled(call))
                return false;
            for (column = 0; column < n; column += BLOCK)
                multiply_block(product, left, right, n, row, inner, column);
        }
    }
    return true;
}

static uint64_t sum(const double *matrix, size_t elements)
{
    uint64_t total = 0;
    size_t i;

    for (i = 0; i < elements; i++)
        total += (uint64_t)matrix[i];
    return total;
}

static int matmul(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    struct random random;
    int64_t n, seed;
    size_t elements;
    double *matrices;
    int code = 0;

    if (!argument_seeded(argument, "n", 1, N_MAX, &n, &seed))
        return argument_refuse(call, &function_matmul, argument);
    elements = (size_t)n * (size_t)n;
    matrices = malloc(3 * elements * sizeof *matrices);
    if (!matrices)
        return muster_call_fail(call, "out of memory for three matrices of %zu elements", elements);
    random_seed(&random, (uint64_t)seed);
    fill(matrices, 2 * elements, &random);
    memset(matrices + 2 * elements, 0, elements * sizeof *matrices);
    if (!multiply(call, matrices + 2 * elements, matrices, matrices + elements, (size_t)n)) {
        code = MUSTER_ECANCELLED;
        goto out;
    }
    ret_result->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
    ret_result->via.u64 = sum(matrices + 2 * elements, elements);
out:
    free(matrices);
    return code;
}

const muster_function function_matmul = {
    .name = "matmul",
    .summary = "multiplies two seeded n x n matrices: CPU work in the caches",
    .argument = "n from 1 to 4096, or {\"n\":N,\"seed\":S} with a seed from 0 on (default 0)",
    .result = "the sum of the product's elements, an integer",
    .example = "256",
    .run = matmul,
};
