/* SPDX-License-Identifier: MIT
 *
 * The kernel, calibrated on a core of its own. See kernel.h.
 */
#include "lab/kernel.h"

#include "base/clock.h"
#include "jobs/builtin.h"
#include "lab/pinned.h"

enum { RUNS = 100 }; /* of a millisecond and a half, less than what the scheduler gives at once */

static const uint64_t ITERATIONS = 1000000;

static void *calibrate(void *context)
{
    uint64_t *ret_ns = context, began_ns, took_ns, best_ns = UINT64_MAX;

    for (int i = 0; i < RUNS; i++) {
        began_ns = clock_now_ns();
        kernel_iterate(ITERATIONS);
        took_ns = clock_now_ns() - began_ns;
        best_ns = took_ns < best_ns ? took_ns : best_ns;
    }
    *ret_ns = best_ns;
    return NULL;
}

int kernel_calibrate(double *ret_iteration_ns, struct muster_error *ret_error)
{
    pthread_t thread;
    uint64_t ns;
    int code = pinned_start(calibrate, &ns, 0, &thread, ret_error);

    if (code)
        return code;
    pthread_join(thread, NULL);
    *ret_iteration_ns = (double)ns / (double)ITERATIONS;
    return 0;
}
