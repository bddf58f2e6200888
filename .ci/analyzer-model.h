/* SPDX-License-Identifier: MIT
 *
 * What clang-tidy has to be told, since it sees one file at a time and loses its way in
 * macros. Included before each file by .ci/run.
 */
#include "base/error.h"
#include "jobs/muster_job.h"

#include <uthash.h>

/* Functions that fill in an error never return 0: what they were called instead of setting is
 * not read. */
#define muster_error_set(ret_error, code, ...) ((muster_error_set)(ret_error, code, __VA_ARGS__), (code))
#define muster_error_system(ret_error, code, ...) \
    ((muster_error_system)(ret_error, code, __VA_ARGS__), MUSTER_ESYSTEM)
#define muster_call_fail(call, ...) ((muster_call_fail)(call, __VA_ARGS__), MUSTER_JOB_FAILED)

/* A table forgets what is taken out of it. */
#undef HASH_DEL
#define HASH_DEL(head, item) ((head) = (head) == (item) ? (item)->hh.next : (head))
