/* SPDX-License-Identifier: MIT
 *
 * The state machine of jobs: every state with every event, what each counts, and runs cut in
 * two.
 */
#include "base/error.h"
#include "coordinator/job.h"

#include <criterion/criterion.h>

enum { NEVER = -1 };

/* As the drawing in job.h says, written down a second time. */
struct transition {
    enum job_event event;
    int from_queued, from_assigned;
    uint32_t attempts, failures, crashes, orphaned, recalls; /* that it adds */
};

static const struct transition expected[] = {
    {JOB_ASSIGN, JOB_ASSIGNED, NEVER, 0, 0, 0, 0, 0},
    {JOB_RETURN, NEVER, JOB_QUEUED, 0, 0, 0, 0, 0},
    {JOB_RECALL, NEVER, JOB_QUEUED, 0, 0, 0, 0, 1},
    {JOB_ORPHAN, NEVER, JOB_QUEUED, 0, 0, 0, 1, 0},
    {JOB_SUCCEED, NEVER, JOB_SUCCEEDED, 1, 0, 0, 0, 0},
    {JOB_RETRY, NEVER, JOB_QUEUED, 1, 1, 0, 0, 0},
    {JOB_FAIL, NEVER, JOB_FAILED, 1, 1, 0, 0, 0},
    {JOB_CRASH, NEVER, JOB_QUEUED, 1, 0, 1, 0, 0},
    {JOB_QUARANTINE, NEVER, JOB_FAILED, 1, 0, 1, 0, 0},
    {JOB_CANCEL, JOB_CANCELLED, JOB_CANCELLED, 0, 0, 0, 0, 0},
};

enum { EVENTS = sizeof expected / sizeof *expected };

static struct job_run run_in(enum job_state state)
{
    return (struct job_run){.first = 11,
                            .count = 5,
                            .state = state,
                            .attempts = 7,
                            .failures = 3,
                            .crashes = 2,
                            .orphaned = 4,
                            .recalls = 6};
}

static void check_unchanged(const struct job_run *run, enum job_state state)
{
    cr_assert_eq(run->state, state);
    cr_assert_eq(run->attempts, 7);
    cr_assert_eq(run->failures, 3);
    cr_assert_eq(run->crashes, 2);
    cr_assert_eq(run->orphaned, 4);
    cr_assert_eq(run->recalls, 6);
    cr_assert_eq(run->first, 11);
    cr_assert_eq(run->count, 5);
}

static void check_transition(enum job_state from, const struct transition *transition, int next)
{
    struct job_run run = run_in(from);
    int result = job_apply(&run, transition->event);

    if (next == NEVER) {
        cr_assert_eq(result, MUSTER_ESTATE, "state %d, event %d", from, transition->event);
        check_unchanged(&run, from);
        return;
    }
    cr_assert_eq(result, 0, "state %d, event %d", from, transition->event);
    cr_assert_eq((int)run.state, next, "state %d, event %d", from, transition->event);
    cr_assert_eq(run.attempts, 7 + transition->attempts);
    cr_assert_eq(run.failures, 3 + transition->failures);
    cr_assert_eq(run.crashes, 2 + transition->crashes);
    cr_assert_eq(run.orphaned, 4 + transition->orphaned);
    cr_assert_eq(run.recalls, 6 + transition->recalls);
    cr_assert_eq(run.first, 11);
    cr_assert_eq(run.count, 5);
}

Test(job, event_that_cannot_happen_is_refused_and_changes_nothing)
{
    for (unsigned i = 0; i < EVENTS; i++) {
        cr_assert_eq((unsigned)expected[i].event, i, "the table has every event, in order");
        check_transition(JOB_QUEUED, &expected[i], expected[i].from_queued);
        check_transition(JOB_ASSIGNED, &expected[i], expected[i].from_assigned);
    }
    cr_assert_eq(EVENTS, JOB_CANCEL + 1);
}

Test(job, job_that_ended_never_leaves_its_state)
{
    static const enum job_state ended[] = {JOB_SUCCEEDED, JOB_FAILED, JOB_CANCELLED};

    for (unsigned s = 0; s < sizeof ended / sizeof *ended; s++)
        for (unsigned i = 0; i < EVENTS; i++)
            check_transition(ended[s], &expected[i], NEVER);
}

Test(job, only_jobs_that_can_run_again_are_not_over)
{
    cr_assert_not(job_ended(JOB_QUEUED));
    cr_assert_not(job_ended(JOB_ASSIGNED));
    cr_assert(job_ended(JOB_SUCCEEDED));
    cr_assert(job_ended(JOB_FAILED));
    cr_assert(job_ended(JOB_CANCELLED));
}

Test(job, run_cut_in_two_keeps_its_history_on_both_sides)
{
    struct job_run rest = run_in(JOB_ASSIGNED), taken = job_run_take(&rest, 2);

    cr_assert_eq(taken.first, 11);
    cr_assert_eq(taken.count, 2);
    cr_assert_eq(rest.first, 13);
    cr_assert_eq(rest.count, 3);
    cr_assert_eq(taken.attempts, 7);
    cr_assert_eq(rest.attempts, 7);
    cr_assert_eq(taken.failures, 3);
    cr_assert_eq(rest.crashes, 2);
    cr_assert_eq(taken.state, JOB_ASSIGNED);
}

Test(job, nothing_or_everything_can_be_cut_off)
{
    struct job_run rest = run_in(JOB_QUEUED), none = job_run_take(&rest, 0), all;

    cr_assert_eq(none.count, 0);
    cr_assert_eq(rest.first, 11);
    cr_assert_eq(rest.count, 5);
    all = job_run_take(&rest, 5);
    cr_assert_eq(all.first, 11);
    cr_assert_eq(all.count, 5);
    cr_assert_eq(rest.first, 16);
    cr_assert_eq(rest.count, 0);
}

Test(job, history_of_a_job_adds_up_over_its_attempts)
{
    static const enum job_event life[] = {JOB_ASSIGN, JOB_RETRY,  JOB_ASSIGN, JOB_CRASH,
                                          JOB_ASSIGN, JOB_RETURN, JOB_ASSIGN, JOB_FAIL};
    struct job_run run = {.first = 1, .count = 1, .state = JOB_QUEUED};

    for (unsigned i = 0; i < sizeof life / sizeof *life; i++)
        cr_assert_eq(job_apply(&run, life[i]), 0, "event %u", i);
    cr_assert_eq(run.state, JOB_FAILED);
    cr_assert_eq(run.attempts, 3);
    cr_assert_eq(run.failures, 2);
    cr_assert_eq(run.crashes, 1);
}
