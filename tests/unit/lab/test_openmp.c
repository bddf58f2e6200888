/* SPDX-License-Identifier: MIT
 *
 * Tasks of OpenMP, called without a compiler's help: that they are run, all of them. Where the
 * library is not installed there is nothing to test.
 */
#include "lab/openmp.h"

#include "base/clock.h"

#include <stdio.h>

enum { JOBS = 200, ITERATIONS = 100000 };

int main(void)
{
    struct muster_error error;
    uint64_t ns, cpu_ns;

    if (openmp_load(&error)) {
        puts(error.text);
        return error.code == MUSTER_ENOTFOUND ? 0 : 1;
    }
    cpu_ns = clock_process_cpu_ns();
    openmp_tasks(2, ITERATIONS, JOBS, &ns);
    cpu_ns = clock_process_cpu_ns() - cpu_ns;
    /* An iteration takes a cycle at the very least; 10 GHz are not to be feared. */
    if (cpu_ns < JOBS * ITERATIONS / 10) {
        fprintf(stderr, "tasks were left out: %llu ns of CPU\n", (unsigned long long)cpu_ns);
        return 1;
    }
    return openmp_load(&error) == 0 ? 0 : 1;
}
