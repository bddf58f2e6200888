/* SPDX-License-Identifier: MIT
 *
 * How long an iteration of the function `kernel` takes: the yardstick of what is useful work.
 */
#ifndef MUSTER_LAB_KERNEL_H
#define MUSTER_LAB_KERNEL_H

#include "base/error.h"

/* Measures it alone on a core, in 0.2 s: the shortest of many runs, since what else the machine does
 * only ever adds. 0 or MUSTER_ESYSTEM. */
int kernel_calibrate(double *ret_iteration_ns, struct muster_error *ret_error);

#endif
