/* SPDX-License-Identifier: MIT
 *
 * What clang-tidy has to be told, since it sees one file at a time: the functions that fill
 * in an error never return 0, so that what they were called instead of setting is not read.
 * Included before each file by .ci/run.
 */
#include "base/error.h"
#include "jobs/muster_job.h"

#define muster_error_set(ret_error, code, ...) ((muster_error_set)(ret_error, code, __VA_ARGS__), (code))
#define muster_error_system(ret_error, code, ...) \
    ((muster_error_system)(ret_error, code, __VA_ARGS__), MUSTER_ESYSTEM)
#define muster_call_fail(call, ...) ((muster_call_fail)(call, __VA_ARGS__), MUSTER_JOB_FAILED)
