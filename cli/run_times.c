/* SPDX-License-Identifier: MIT
 *
 * Run times by class. See run_times.h.
 */
#include "cli/run_times.h"

#include <math.h>

static unsigned class_of(uint64_t time_ns)
{
    double place = time_ns > 1 ? log2((double)time_ns) * RUN_TIMES_PARTS : 0;

    return place < RUN_TIMES_CLASSES - 1 ? (unsigned)place : RUN_TIMES_CLASSES - 1;
}

/* In the middle of the class. */
static uint64_t time_of(unsigned place)
{
    return (uint64_t)exp2((place + 0.5) / RUN_TIMES_PARTS);
}

void run_times_add(struct run_times *times, uint64_t time_ns)
{
    times->classes[class_of(time_ns)]++;
    times->count++;
}

uint64_t run_times_median(const struct run_times *times)
{
    uint64_t below = 0;
    unsigned place = 0;

    if (times->count == 0)
        return 0;
    while ((below += times->classes[place]) * 2 < times->count)
        place++;
    return time_of(place);
}
