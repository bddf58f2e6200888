/* SPDX-License-Identifier: MIT
 *
 * The function `kernel`: how long an iteration of it takes, the yardstick of what is useful work, and how
 * long jobs of it take.
 */
#ifndef MUSTER_LAB_KERNEL_H
#define MUSTER_LAB_KERNEL_H

#include "client/muster.h"

/* Measures it alone on a core, in 0.2 s: the shortest of many runs, since what else the machine does
 * only ever adds. 0 or MUSTER_ESYSTEM. */
int kernel_calibrate(double *ret_iteration_ns, struct muster_error *ret_error);

/* Maps it over so many arguments from `first` on. MUSTER_EFAILED when jobs failed, or as muster_map. */
int kernel_map(muster *m, int64_t first, uint64_t jobs, int interrupt_fd, uint64_t *ret_wall_ns,
               struct muster_error *ret_error);

#endif
