/* SPDX-License-Identifier: MIT
 *
 * Receipts: where time went. Part of muster.h; include that. All times are differences of
 * CLOCK_MONOTONIC, which is one clock for all processes of a host.
 *
 * A job's receipt splits the time from its submission (for a range, of the batch; for a stream,
 * from when the block of arguments that its own is in was asked for) until its result was handed
 * over. The phases follow each other without a gap, so they add up to total_ns. Of attempts that
 * failed and were repeated, the time counts as waiting for the last one.
 *
 * A batch's receipt splits the time of its workers: workers * wall time. What a worker does is
 * decode, execute and encode_result; the time in which it had nothing to run is given to
 * what the jobs that it ran next were held up by (encode, queued, send, wait); when no worker has
 * a job any more, to what becomes of the results that were reported last (return, decode_result,
 * commit); and else it is idle: there was no job for it. So what is hidden behind other work costs
 * nothing, and what remains is what the boundary took from the workers. A worker of several jobs
 * at once (processes with a concurrency, loop) executes while any of them is under way. Where the
 * caller is the worker (inline, loop), it commits in its own time. What was executed by attempts
 * that were repeated is known as a sum, and taken from what would else be queued, wait and idle.
 */
#ifndef MUSTER_RECEIPT_H
#define MUSTER_RECEIPT_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, word in JSON), in order of time. */
#define MUSTER_PHASE_MAP(X)                                                                                \
    X(ENCODE, "encode")               /* its argument, by the caller, and asking for it */                 \
    X(QUEUED, "queued")               /* for a worker to be assigned, attempts before the last included; a \
                                         single job also for others to be sent with it */                  \
    X(SEND, "send")                   /* on its way to the coordinator, and from there to the worker */    \
    X(WAIT, "wait")                   /* at the worker, behind other jobs */                               \
    X(DECODE, "decode")               /* its argument, by the worker */                                    \
    X(EXECUTE, "execute")             /* the function; of a job that ended its worker, until that was      \
                                         known */                                                          \
    X(ENCODE_RESULT, "encode_result") /* by the worker */                                                  \
    X(RETURN, "return")               /* until the caller has it, with waiting for jobs that are reported  \
                                         together with it */                                               \
    X(DECODE_RESULT, "decode_result") /* by the caller */                                                  \
    X(COMMIT, "commit") /* waiting for results that come before it in order, and handing over */           \
    X(IDLE, "idle")     /* of a batch: there was no job */

enum muster_phase {
#define X(name, word) MUSTER_PHASE_##name,
    MUSTER_PHASE_MAP(X)
#undef X
};

enum { MUSTER_PHASES = MUSTER_PHASE_IDLE + 1 };

struct muster_receipt {
    uint64_t phase_ns[MUSTER_PHASES];
    uint64_t total_ns; /* measured by itself, not added up */
    /* decode and encode_result were measured job by job. False: jobs are so short that reading a
     * clock around each would be more than 1% of them, and execute has all three. */
    bool split;
};

/* "execute" and so on; NULL for a number that is no phase. */
const char *muster_phase_name(enum muster_phase phase);

#ifdef __cplusplus
}
#endif

#endif
