/* SPDX-License-Identifier: MIT
 *
 * What a dead worker leaves: the one job that is to blame, if any is, and all others, which go
 * back. Part of the core: pure.
 */
#include "coordinator/state.h"

#include <stdio.h>
#include <string.h>

/* A job is given up when so many workers died with it that were not executing it, or as many as
 * --crash-limit says if that is more. One whose argument or result workers cannot live with (it
 * is too large for --memory) would kill them for ever; workers that are killed from outside are
 * hardly hit so often at the same job. */
enum { ORPHANED_MAX = 10 };

/* ", at 40%" behind a text, when the job had said so. */
static void add_progress(unsigned progress, char *text, size_t size)
{
    size_t used = strlen(text);

    if (progress > 0)
        snprintf(text + used, size - used, ", at %u%%", progress / 10);
}

/* What a job that crashed its worker is told when it does not get another try. */
static int crash_text(const struct batch *batch, const struct job_run *run, const struct worker_exit *exit,
                      char *ret_text, size_t size)
{
    unsigned crashes = run->crashes + 1;
    bool quarantined = crashes > 1 && crashes >= batch->settings.crash_limit;

    if (quarantined)
        snprintf(ret_text, size, "crashed its worker %u times and is quarantined; the last one: %s", crashes,
                 exit->reason);
    else
        snprintf(ret_text, size, "crashed its worker: %s", exit->reason);
    add_progress(exit->progress, ret_text, size);
    return quarantined ? MUSTER_EQUARANTINED : MUSTER_ECRASHED;
}

/* The job that was executing when its worker died. */
static void blame(uint64_t now_ns, struct batch *batch, const struct worker *worker, struct job_run run,
                  const struct worker_exit *exit, struct outbox *outbox)
{
    char text[PROTO_TEXT_MAX];
    enum job_event event;
    int code;

    if (batch->cancel == PROTO_CANCEL_NOW) {
        event = JOB_CANCEL;
    } else if (exit->timed_out) {
        code = MUSTER_ETIMEOUT;
        event = settle_judge(batch, &run, code);
        snprintf(text, sizeof text, "timed out after %.3g s", batch->settings.timeout_ms / 1e3);
        add_progress(exit->progress, text, sizeof text);
    } else if (run.crashes + 1 < batch->settings.crash_limit && !batch->cancel) {
        event = JOB_CRASH;
    } else {
        event = JOB_QUARANTINE;
        code = crash_text(batch, &run, exit, text, sizeof text);
    }
    if (event == JOB_FAIL || event == JOB_QUARANTINE)
        settle_failure(batch, worker->slot, &run, code, text, outbox);
    settle_delay(batch, now_ns, event, &run);
    settle_jobs(batch, run, event, outbox);
}

/* The job with which a worker died that was not executing it. */
static void orphan(struct batch *batch, const struct worker *worker, struct job_run run,
                   const struct worker_exit *exit, struct outbox *outbox)
{
    uint32_t crash_limit = batch->settings.crash_limit;
    uint32_t most = crash_limit > ORPHANED_MAX ? crash_limit : ORPHANED_MAX;
    enum job_event event = batch->cancel ? JOB_CANCEL : JOB_ORPHAN;
    char text[PROTO_TEXT_MAX];

    if (event == JOB_ORPHAN && run.orphaned + 1 >= most) {
        snprintf(text, sizeof text,
                 "%u workers died about when they ran it, and it is quarantined; the last one: "
                 "%s",
                 run.orphaned + 1, exit->reason);
        settle_failure(batch, worker->slot, &run, MUSTER_EQUARANTINED, text, outbox);
        event = JOB_QUARANTINE;
    }
    settle_jobs(batch, run, event, outbox);
}

/* Whether it may have faulted by a function that it held beside commands, which run in processes of their
 * own. */
static bool faulted_beside_commands(const struct worker *worker, const struct worker_exit *exit)
{
    const struct chunk *chunk = worker->chunks;

    if (!exit->faulted || exit->executing || worker->concurrency <= 1)
        return false;
    while (chunk && chunk->batch->single)
        chunk = chunk->next;
    return chunk;
}

/* Where there is none that the worker was about: the chunk that it has first. Of a worker of several jobs
 * the one that came last: those before it wait, maybe for so long that every kill from outside would hit the
 * same one. */
static struct chunk *find_nearest(const struct worker *worker, bool of_function)
{
    struct chunk *chunk = worker->chunks;

    if (!chunk || worker->concurrency <= 1)
        return chunk;
    chunk = chunk->prev;
    while (of_function && chunk->batch->single)
        chunk = chunk->prev;
    return chunk;
}

/* The job with which a worker died, and the chunk it is in: the one that it was executing; or
 * else the command that ran meanwhile, or the last job that it executed, if the outcome was lost with it;
 * or else its next one. NULL when it held nothing, was
 * killed for the sake of a batch that was cancelled, or that job was cancelled: it is over in any
 * case. */
static struct chunk *find_suspect(const struct worker *worker, const struct worker_exit *exit,
                                  uint64_t *ret_index)
{
    struct chunk *chunk = hold_find(worker, exit->chunk);
    bool of_function = faulted_beside_commands(worker, exit);

    if (worker->doom == DOOM_CANCELLED || exit->lost)
        return NULL;
    if (chunk && spans_hold(&chunk->left, exit->index) && !(of_function && chunk->batch->single)) {
        *ret_index = exit->index;
        return settle_is_cancelled(chunk->batch, exit->index) ? NULL : chunk;
    }
    chunk = exit->executing ? NULL : find_nearest(worker, of_function);
    if (!chunk)
        return NULL;
    *ret_index = spans_list(&chunk->left)->first;
    return settle_is_cancelled(chunk->batch, *ret_index) ? NULL : chunk;
}

/* Settles a run of jobs that the worker had, with the job `suspect` among them. */
static void bury_suspect(uint64_t now_ns, struct batch *batch, const struct worker *worker,
                         struct job_run run, uint64_t suspect, const struct worker_exit *exit,
                         struct outbox *outbox)
{
    settle_return(batch, worker, job_run_take(&run, suspect - run.first), JOB_RETURN, outbox);
    if (exit->executing)
        blame(now_ns, batch, worker, job_run_take(&run, 1), exit, outbox);
    else
        orphan(batch, worker, job_run_take(&run, 1), exit, outbox);
    settle_return(batch, worker, run, JOB_RETURN, outbox);
}

void bury_worker(uint64_t now_ns, struct worker *worker, const struct worker_exit *exit,
                 struct outbox *outbox)
{
    uint64_t index = 0;
    const struct chunk *suspect = find_suspect(worker, exit, &index);

    if (suspect && exit->executing) /* before jobs come back, which may raise its user to the virtual time */
        schedule_correct(&suspect->batch->turn,
                         (double)(now_ns - worker->moved_ns) * suspect->batch->demand.cpus);
    while (worker->chunks) {
        struct chunk *chunk = worker->chunks;
        struct batch *batch = chunk->batch;

        for (uint32_t i = 0; i < chunk->left.count; i++) {
            struct span span = spans_list(&chunk->left)[i];
            struct job_run run = chunk->run;

            run.first = span.first;
            run.count = span.count;
            if (chunk == suspect && index >= span.first && index - span.first < span.count)
                bury_suspect(now_ns, batch, worker, run, index, exit, outbox);
            else
                settle_return(batch, worker, run, JOB_RETURN, outbox);
        }
        hold_drop(worker, chunk);
        if (batch->held[worker->slot - 1] == 0 && !exit->timed_out && worker->doom != DOOM_CANCELLED)
            batch->totals.crashes++; /* once a batch: that was the last of its chunks */
    }
}
