/* SPDX-License-Identifier: MIT
 *
 * The runner's side of a muster_call: how the worker and the in-process models run one
 * function, and how its waiting, failing and cancelling work where a wait blocks its thread.
 */
#ifndef MUSTER_JOBS_CALL_H
#define MUSTER_JOBS_CALL_H

#include "base/error.h"
#include "jobs/muster_job.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>

/* A flag that ends calls early, shared by whoever may cancel and the calls it covers, in one
 * process. */
struct call_cancel {
    _Atomic uint32_t raised; /* 0 or 1; also the futex that muster_call_sleep waits on */
};

/* Raises the flag and wakes calls that sleep. Async-signal-safe. */
void call_cancel_raise(struct call_cancel *cancel);

/* Where large memory of calls comes from, other than their zones; embedded in whoever has it. */
struct call_memory {
    /* Memory that lives as long as what is in the zone; NULL: it comes from the zone. */
    void *(*alloc)(struct call_memory *memory, msgpack_zone *zone, size_t bytes);
};

/* What a function of muster's own returns that has failed, by muster_call_fail, and has set its result
 * nonetheless. */
enum { CALL_FAILED_VALUED = INT_MIN };

struct call {
    muster_call base;           /* first: a muster_call * is a struct call * */
    struct call_cancel *cancel; /* borrowed, never NULL */
    _Atomic uint32_t *progress; /* where progress goes, in 1/1000; borrowed, may be NULL */
    struct call_memory *memory; /* borrowed; NULL: all is in the zone */
    void *host;                 /* of whoever runs the call, for ops other than those here; or NULL */
    const void *common;         /* what jobs of its batch have in common, one encoded value, which the */
    size_t common_bytes;        /* scan has passed; borrowed; 0: nothing */
    bool valued;                /* of a call that failed: there is a result nonetheless */
    char text[MUSTER_ERROR_TEXT_BYTES]; /* what muster_call_fail said; "" when it was not called */
};

/* The ops that call_init sets: waits block the thread. Other runners take from them what suits
 * them. */
extern const struct muster_call_ops call_blocking_ops;

/* `zone` is borrowed; the caller clears it when it has taken the result. */
void call_init(struct call *call, msgpack_zone *zone, struct call_cancel *cancel, _Atomic uint32_t *progress);

/* The monotonic time `seconds`, at least 0, from now; CLOCK_NEVER where that is beyond the clock. */
uint64_t call_deadline(double seconds);

/* Runs the function: *ret_result starts as nil. Returns 0, MUSTER_EFAILED (call->text then says why, never
 * empty, and call->valued whether *ret_result is set) or MUSTER_ECANCELLED when it failed, with no result,
 * after the flag was raised. */
int call_run(struct call *call, const muster_function *function, const msgpack_object *argument,
             msgpack_object *ret_result);

#endif
