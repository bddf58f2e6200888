/* SPDX-License-Identifier: MIT
 *
 * The life of a job. Jobs are not objects: neighbours of a batch that are in the same state
 * with the same history are one run, so a range of a hundred million jobs costs what one
 * costs. job_apply is the only writer of a run's state; what may follow what is one table.
 *
 *     queued -> assigned -> succeeded | failed | cancelled
 *        ^---------'  returned, to be retried, or crashed and to be tried again
 */
#ifndef MUSTER_COORDINATOR_JOB_H
#define MUSTER_COORDINATOR_JOB_H

#include <stdbool.h>
#include <stdint.h>

enum job_state { JOB_QUEUED, JOB_ASSIGNED, JOB_SUCCEEDED, JOB_FAILED, JOB_CANCELLED };

enum job_event {
    JOB_ASSIGN,     /* handed to a worker */
    JOB_RETURN,     /* came back without having been started, or through no fault of its own */
    JOB_RECALL,     /* as RETURN, because it was asked for */
    JOB_ORPHAN,     /* its worker died with it, but not while it executed it */
    JOB_SUCCEED,    /* its function returned a value */
    JOB_RETRY,      /* failed or timed out, and has retries left */
    JOB_FAIL,       /* failed or timed out for good */
    JOB_CRASH,      /* killed its worker, and may try again */
    JOB_QUARANTINE, /* killed its worker once too often */
    JOB_CANCEL,     /* the batch was cancelled before it ended */
};

struct block; /* batch.h */

/* Jobs first .. first + count - 1 of a batch. */
struct job_run {
    uint64_t first;
    uint64_t count;
    enum job_state state;
    uint32_t attempts;    /* executions that ended, however they did */
    uint32_t failures;    /* of these, failed or timed out: what --retries counts */
    uint32_t crashes;     /* of these, killed the worker: what --crash-limit counts */
    uint32_t orphaned;    /* workers that died with it otherwise, see settle.c; no attempts */
    uint32_t recalls;     /* how often it was taken back from a worker; no attempts */
    struct block *block;  /* that holds their arguments, borrowed; NULL: a range's */
    uint64_t due_ns;      /* not to be run again before; 0: at once */
    uint64_t queued_ns;   /* when these came; set, like the next, when they are assigned */
    uint64_t assigned_ns; /* the last time; 0: never yet */
};

/* Moves all jobs of the run. Returns 0, or MUSTER_ESTATE when the table has no such
 * transition: the run is then as it was. */
int job_apply(struct job_run *run, enum job_event event);

/* Whether jobs in this state are over. */
bool job_ended(enum job_state state);

/* Whether jobs that wait may run in one chunk: `after` follow, and have the same history. A job with
 * which a worker died runs alone. */
bool job_run_continues(const struct job_run *before, const struct job_run *after);

/* Cuts the first `count` jobs off *run and returns them; count <= run->count. */
struct job_run job_run_take(struct job_run *run, uint64_t count);

#endif
