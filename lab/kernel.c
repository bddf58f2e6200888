/* SPDX-License-Identifier: MIT
 *
 * The kernel, calibrated on a core of its own, and mapped. See kernel.h.
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

int kernel_map(muster *m, int64_t first, uint64_t jobs, int interrupt_fd, uint64_t *ret_wall_ns,
               struct muster_error *ret_error)
{
    struct muster_batch batch = {.function = function_kernel.name,
                                 .source = muster_source_range(first, first + (int64_t)jobs - 1),
                                 .interrupt_fd = interrupt_fd};
    struct muster_summary summary;
    int code = muster_map(m, &batch, &summary, ret_error);

    if (code)
        return code;
    if (summary.succeeded != jobs)
        return muster_error_set(ret_error, MUSTER_EFAILED, "jobs of the kernel failed");
    *ret_wall_ns = summary.wall_ns;
    return 0;
}
