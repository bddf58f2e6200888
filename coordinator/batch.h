/* SPDX-License-Identifier: MIT
 *
 * A batch: its jobs as runs, its arguments as a range or as blocks of encoded values, and
 * the counts from which it is known when it is over. Memory grows with what is in flight
 * and with the arguments that the client was granted to send, not with the number of jobs.
 * Pure: no socket, no clock.
 */
#ifndef MUSTER_COORDINATOR_BATCH_H
#define MUSTER_COORDINATOR_BATCH_H

#include "base/timers.h"
#include "coordinator/capacity.h"
#include "coordinator/delays.h"
#include "coordinator/job.h"
#include "coordinator/pacing.h"
#include "coordinator/schedule.h"
#include "coordinator/spans.h"
#include "proto/limits.h"
#include "proto/messages.h"

/* The arguments of one ARGUMENTS message. */
struct block {
    struct slice payload; /* holds a reference */
    uint64_t first;       /* index of its first job */
    uint32_t count;
    uint32_t unended; /* jobs of it that are not over; freed with the last */
    uint64_t came_ns;
    uint64_t shared_bytes; /* of the arguments, in shared memory */
    struct block *prev, *next;
};

/* Jobs that are to run again, in order of index. */
struct requeued {
    struct job_run run;
    struct requeued *prev, *next;
};

struct client; /* coordinator/state.h */
struct chunk;

struct batch {
    uint64_t id;
    char client[PROTO_PEER_NAME_MAX + 1]; /* whose it is; "": the client has left */
    char function[PROTO_FUNCTION_NAME_MAX + 1];
    struct proto_submit settings; /* settings.function is `function`, settings.common is `common` */
    char *common;                 /* owned */
    uint64_t reader;              /* process that reads results in shared memory; 0: none does */
    uint64_t came_ns;

    bool sealed;          /* `total` is final */
    uint64_t total;       /* jobs known so far */
    struct job_run fresh; /* jobs that were never assigned: up to `total` */
    struct spans skipped; /* of these, behind the first, jobs that were taken out: cancelled, or taken over */
    size_t fresh_offset;  /* LIST: where the first of them starts in its block */
    struct block *blocks; /* oldest first; owned */
    struct requeued *requeued;      /* owned; neighbours with one history are one run */
    struct requeued *requeued_last; /* put in last, where the next one is likely to go; NULL: none */
    struct delays delays;           /* those that are to run again, but not yet */
    uint64_t queued, assigned;      /* jobs; those that are delayed are queued, too */

    struct spans before;           /* jobs that had ended before the batch came here; not in the totals */
    struct spans cancelled;        /* jobs that workers hold and the client cancelled */
    struct spans urged;            /* of these, those that were asked to end if they run */
    enum proto_cancel_mode cancel; /* of the whole batch; 0: not cancelled */
    uint64_t cancel_deadline_ns;   /* when workers that still run its jobs are killed */

    uint64_t received_cost, taken_cost, granted_cost; /* arguments, see PROTO_MESSAGE_COST_BYTES */
    uint64_t sent_cost, consumed_cost;                /* results */

    double mean_result; /* bytes of a job's result, recent ones counting most; 0: not known */

    struct turn turn;     /* among the batches of the coordinator */
    struct demand demand; /* of each job */
    bool stays;           /* its jobs run on the coordinator's host only */
    bool single;          /* a worker runs one of its jobs at a time, however many places it has */
    struct pacing pacing;
    struct proto_ended totals; /* what ENDED will say, but for its text */
    char *reason;              /* of totals.code: that text; owned, NULL: none */

    struct batch *prev, *next; /* of the core's list */

    /* How the core finds it; see changes.c. Lists that it is in say so. */
    struct client *owner;   /* whose it is, by number of ticket; borrowed, NULL: the client has left */
    struct batch **changed; /* the list for batches of whose jobs something became; NULL: nobody looks */
    bool is_changed, recalled;
    struct batch *changed_prev, *changed_next, *recalled_prev, *recalled_next;
    struct timer timer;
    UT_hash_handle hh_id, hh_ticket;

    uint64_t running;     /* jobs that may be running: of each worker's, as many as it has places for them */
    unsigned workers;     /* at least 1; so many jobs may be assigned, however large the results are */
    uint64_t *held;       /* jobs that each worker holds, by slot from 1; owned */
    unsigned slots;       /* of these */
    struct chunk *chunks; /* that workers have; see hold.c */
};

/* For a coordinator of so many workers. NULL when out of memory. */
struct batch *batch_create(uint64_t id, uint64_t now_ns, const char *client,
                           const struct proto_submit *submit, unsigned workers);
void batch_destroy(struct batch *batch);

/* From now on there are so many workers, in so many slots. 0 or MUSTER_ENOMEM. */
int batch_scale(struct batch *batch, unsigned workers, unsigned slots);

/* Adds a block of arguments. 0; MUSTER_ESTATE when the batch is sealed or a range, or the
 * client was not granted so much; MUSTER_EPROTOCOL when it does not follow the last one. */
int batch_append(struct batch *batch, uint64_t now_ns, const struct proto_message *message);

/* No more arguments come. 0, MUSTER_ESTATE when sealed, MUSTER_EPROTOCOL for a wrong total. */
int batch_seal(struct batch *batch, uint64_t total);

/* Jobs that are queued, and not delayed. */
static inline uint64_t batch_waiting(const struct batch *batch)
{
    return batch->queued - batch->delays.jobs;
}

/* These jobs, those to come included, have ended before: they are not run, and not counted. Once, before
 * any is assigned. 0 or MUSTER_ENOMEM. */
int batch_end_before(struct batch *batch, const struct span *ended, uint32_t count);

/* Whether a job could be assigned now: one is queued, and its result may be sent. */
bool batch_ready(const struct batch *batch);

/* Jobs that the next chunk may have at most, so that the results of all that are assigned fit
 * what is left of the window; at least 1. */
uint32_t batch_room(const struct batch *batch);

/* Whether the jobs that batch_take takes next were taken back from a worker. */
bool batch_recalled(const struct batch *batch);

/* `jobs` jobs, at least 1, have ended with so many bytes of results together. */
void batch_note_results(struct batch *batch, uint32_t jobs, uint64_t bytes);

/* Takes up to `count` neighbouring queued jobs, assigns them, and says where their arguments
 * are: a slice (borrowed) for a LIST, the first argument for a RANGE. Jobs that ran before
 * come first. Call only when batch_ready. 0, or MUSTER_EPROTOCOL for arguments that do not
 * scan. */
int batch_take(struct batch *batch, uint64_t now_ns, uint32_t count, struct job_run *ret_run,
               struct slice *ret_arguments, int64_t *ret_first_argument);

/* Applies an event to jobs that were taken, and counts; jobs that are queued again go back, and wait
 * until run.due_ns. 0 or MUSTER_ENOMEM. */
int batch_settle(struct batch *batch, struct job_run run, enum job_event event);

/* Jobs that were delayed, and may run by now, can be taken. 0 or MUSTER_ENOMEM. */
int batch_end_delays(struct batch *batch, uint64_t now_ns);

/* Cancels queued jobs among first .. first + count - 1: the next run of them, which is over then;
 * call it until it returns none (count 0). 0 or MUSTER_ENOMEM. */
int batch_cancel_queued(struct batch *batch, uint64_t first, uint64_t count, struct job_run *ret_run);

/* Assigns queued jobs among first .. first + count - 1 to somebody who has them already: the next run of
 * them; call it until it returns none (count 0). The run says nothing of where their arguments are. 0
 * or MUSTER_ENOMEM. */
int batch_take_queued(struct batch *batch, uint64_t first, uint64_t count, struct job_run *ret_run);

/* The batch is to be looked at: it may be over, have jobs that came back, or wait for another time. What
 * changes its jobs, here, says so by itself. */
void batch_note_change(struct batch *batch);

/* Notes why the batch ends early, for ENDED; the last reason counts. 0 or MUSTER_ENOMEM. */
int batch_explain(struct batch *batch, int code, const char *reason);

/* Cancels all queued jobs, and lets no more come. */
void batch_drop_queue(struct batch *batch);

/* Whether every job has ended and no more will come. */
bool batch_over(const struct batch *batch);

#endif
