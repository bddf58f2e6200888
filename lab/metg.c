/* SPDX-License-Identifier: MIT
 *
 * Where a curve of efficiency passes a share. See metg.h.
 *
 * With an overhead o a job, efficiency = 1 - o / granularity: a straight line over 1 / granularity,
 * which is what is interpolated.
 */
#include "lab/metg.h"

bool metg_find(const struct metg_point *points, size_t count, double share, double *ret_granularity_s)
{
    size_t i = count;
    double below, above, part;

    while (i > 0 && points[i - 1].efficiency >= share)
        i--;
    if (i == count)
        return false;
    if (i == 0) {
        *ret_granularity_s = points[0].granularity_s;
        return true;
    }
    below = 1 / points[i - 1].granularity_s;
    above = 1 / points[i].granularity_s;
    part = (share - points[i - 1].efficiency) / (points[i].efficiency - points[i - 1].efficiency);
    *ret_granularity_s = 1 / (below + part * (above - below));
    return true;
}
