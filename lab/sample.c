/* SPDX-License-Identifier: MIT
 *
 * Medians and quartiles of a few values. See sample.h.
 */
#include "lab/sample.h"

#include <assert.h>
#include <stdlib.h>

static const double NOISY = 0.25; /* of the median */

void sample_add(struct sample *sample, double value)
{
    if (sample->count < SAMPLE_MAX)
        sample->values[sample->count++] = value;
}

static int by_size(const void *a, const void *b)
{
    const double *left = a, *right = b;

    return (*left > *right) - (*left < *right);
}

struct sample_summary sample_summarize(struct sample *sample)
{
    size_t quarter = sample->count / 4;
    struct sample_summary summary;

    assert(sample->count > 0);
    qsort(sample->values, sample->count, sizeof *sample->values, by_size);
    summary.median = sample->values[(sample->count - 1) / 2];
    summary.low = sample->values[quarter];
    summary.high = sample->values[sample->count - 1 - quarter];
    summary.noisy = summary.high - summary.low > NOISY * summary.median;
    return summary;
}
