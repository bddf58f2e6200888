/* SPDX-License-Identifier: MIT
 *
 * OpenMP tasks without a compiler's help: GCC's run-time library is loaded where it is installed,
 * and called as the compiler would for
 *
 *     #pragma omp parallel num_threads(workers)
 *     #pragma omp single
 *     for (...) {
 *     #pragma omp task
 *         kernel_iterate(iterations);
 *     }
 *
 * ("The libgomp ABI" in its manual). So the command neither links nor needs it.
 */
#ifndef MUSTER_LAB_OPENMP_H
#define MUSTER_LAB_OPENMP_H

#include "base/error.h"

#include <stdint.h>

/* Loads the library, for good: its threads stay. 0, or MUSTER_ENOTFOUND with what is missing. */
int openmp_load(struct muster_error *ret_error);

/* So many tasks, one a job, of `kernel`, on so many threads; how long it took. Returns when the
 * library's threads have gone to sleep, which they do not do at once. After openmp_load. */
void openmp_tasks(unsigned workers, uint64_t iterations, uint64_t jobs, uint64_t *ret_ns);

#endif
