/* SPDX-License-Identifier: MIT
 *
 * The state machine of jobs. See job.h. Pure.
 */
#include "coordinator/job.h"

#include "base/error.h"

#include <assert.h>

enum { STATES = JOB_CANCELLED + 1, EVENTS = JOB_CANCEL + 1, NO = -1 };

/* What each event makes of each state; NO: it cannot happen then. */
static const signed char transitions[STATES][EVENTS] = {
    /* clang-format off */
    /*                   ASSIGN        RETURN      RECALL      ORPHAN      SUCCEED        RETRY       FAIL        CRASH       QUARANTINE  CANCEL */
    [JOB_QUEUED]    = {  JOB_ASSIGNED, NO,         NO,         NO,         NO,            NO,         NO,         NO,         NO,         JOB_CANCELLED },
    [JOB_ASSIGNED]  = {  NO,           JOB_QUEUED, JOB_QUEUED, JOB_QUEUED, JOB_SUCCEEDED, JOB_QUEUED, JOB_FAILED, JOB_QUEUED, JOB_FAILED, JOB_CANCELLED },
    [JOB_SUCCEEDED] = {  NO,           NO,         NO,         NO,         NO,            NO,         NO,         NO,         NO,         NO },
    [JOB_FAILED]    = {  NO,           NO,         NO,         NO,         NO,            NO,         NO,         NO,         NO,         NO },
    [JOB_CANCELLED] = {  NO,           NO,         NO,         NO,         NO,            NO,         NO,         NO,         NO,         NO },
    /* clang-format on */
};

int job_apply(struct job_run *run, enum job_event event)
{
    int next = transitions[run->state][event];

    if (next == NO)
        return MUSTER_ESTATE;
    run->state = (enum job_state)next;
    switch (event) {
    case JOB_ASSIGN:
    case JOB_RETURN:
    case JOB_CANCEL:
        break;
    case JOB_RECALL:
        run->recalls++;
        break;
    case JOB_ORPHAN:
        run->orphaned++;
        break;
    case JOB_SUCCEED:
        run->attempts++;
        break;
    case JOB_RETRY:
    case JOB_FAIL:
        run->attempts++;
        run->failures++;
        break;
    case JOB_CRASH:
    case JOB_QUARANTINE:
        run->attempts++;
        run->crashes++;
        break;
    }
    return 0;
}

bool job_ended(enum job_state state)
{
    switch (state) {
    case JOB_QUEUED:
    case JOB_ASSIGNED:
        return false;
    case JOB_SUCCEEDED:
    case JOB_FAILED:
    case JOB_CANCELLED:
        return true;
    }
    return false;
}

bool job_run_continues(const struct job_run *before, const struct job_run *after)
{
    return before->first + before->count == after->first && before->attempts == after->attempts &&
           before->failures == after->failures && before->recalls == after->recalls &&
           before->block == after->block && before->due_ns == after->due_ns &&
           before->crashes + after->crashes + before->orphaned + after->orphaned == 0;
}

struct job_run job_run_take(struct job_run *run, uint64_t count)
{
    struct job_run taken = *run;

    assert(count <= run->count);
    taken.count = count;
    run->first += count;
    run->count -= count;
    return taken;
}
