/* SPDX-License-Identifier: MIT
 *
 * The median of any number of run times, in memory that does not grow: they are counted in classes of
 * which each is 2% wider than the one before, so the median is right within 1%.
 */
#ifndef MUSTER_CLI_RUN_TIMES_H
#define MUSTER_CLI_RUN_TIMES_H

#include <stdint.h>

enum {
    RUN_TIMES_PARTS = 32,                     /* of an octave: 2^(1/32) is 1.022 */
    RUN_TIMES_CLASSES = 64 * RUN_TIMES_PARTS, /* of 64 bits */
};

/* Zeroed: none. */
struct run_times {
    uint64_t count;
    uint64_t classes[RUN_TIMES_CLASSES];
};

void run_times_add(struct run_times *times, uint64_t time_ns);

/* 0: there are none. */
uint64_t run_times_median(const struct run_times *times);

#endif
