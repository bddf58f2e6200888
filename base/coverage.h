/* SPDX-License-Identifier: MIT
 *
 * For `tests/run --coverage`: a process writes down what it has reached when it ends by exit. One that
 * ends in another way does so before, in that build alone.
 */
#ifndef MUSTER_BASE_COVERAGE_H
#define MUSTER_BASE_COVERAGE_H

#ifdef MUSTER_COVERAGE
#include <gcov.h>

/* Adds what was reached since the last time. */
static inline void coverage_save(void)
{
    __gcov_dump();
    __gcov_reset();
}
#else
static inline void coverage_save(void)
{
}
#endif

#endif
