/* SPDX-License-Identifier: MIT
 *
 * Single jobs that reach their worker through its slot: workers that are stopped or killed with a
 * message in it, and jobs that follow each other at once.
 */
#include "client/muster.h"

#include "tests/support/check.h"

#include <signal.h>
#include <stdlib.h>

static muster *open_workers(double heartbeat_s)
{
    static const char *const plugins[] = {MUSTER_TEST_PLUGINS "/faulty.so"};
    struct muster_options options = {
        .model = MUSTER_PROCESSES,
        .workers = 1,
        .plugins = plugins,
        .plugin_count = 1,
        .heartbeat_s = heartbeat_s,
        .worker_program = getenv("MUSTER"),
    };
    struct muster_error error;
    muster *m;

    CHECK(options.worker_program);
    CHECK_SAYING(muster_open(&options, &m, &error) == 0, error.text);
    return m;
}

static muster_future *submit(muster *m, const char *function)
{
    msgpack_object argument = {.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = 1};
    struct muster_job job = {.function = function, .argument = &argument};
    struct muster_error error;
    muster_future *future;

    CHECK(muster_submit(m, &job, &future, &error) == 0);
    return future;
}

/* Waits for the result of `pid`, takes the future. */
static pid_t await_pid(muster_future *future, unsigned attempts)
{
    const msgpack_object *value;
    struct muster_error error;
    pid_t pid;

    CHECK_SAYING(muster_await(future, &value, &error) == 0, error.text);
    CHECK(muster_future_result(future)->attempts == attempts);
    pid = (pid_t)value->via.u64;
    muster_future_drop(future);
    return pid;
}

static void each_of_many_jobs_one_by_one_is_answered(void)
{
    muster *m = open_workers(10);
    pid_t pid = await_pid(submit(m, "pid"), 1);

    for (int i = 0; i < 2000; i++)
        CHECK(await_pid(submit(m, "pid"), 1) == pid);
    muster_close(m);
}

/* It was idle, so no thread of it is told; that it does not answer is seen all the same. */
static void idle_worker_that_was_stopped_is_replaced_when_it_gets_a_job(void)
{
    muster *m = open_workers(0.5);
    pid_t pid = await_pid(submit(m, "pid"), 1);

    CHECK(kill(pid, SIGSTOP) == 0);
    CHECK(await_pid(submit(m, "pid"), 1) != pid);
    muster_close(m);
}

/* The message is in the slot, or on its way there: the job had not begun, so nobody is to blame. */
static void job_in_the_slot_of_a_worker_that_is_killed_runs_elsewhere(void)
{
    muster *m = open_workers(10);

    for (int round = 0; round < 20; round++) {
        pid_t pid = await_pid(submit(m, "pid"), 1);
        muster_future *future;

        CHECK(kill(pid, SIGSTOP) == 0);
        future = submit(m, "pid");
        CHECK(muster_dispatch(m, NULL) == 0);
        CHECK(kill(pid, SIGKILL) == 0);
        CHECK(await_pid(future, 1) != pid);
    }
    muster_close(m);
}

static void stopped_worker_goes_on_with_what_lies_in_its_slot(void)
{
    muster *m = open_workers(10);
    pid_t pid = await_pid(submit(m, "pid"), 1);

    for (int round = 0; round < 20; round++) {
        muster_future *future;

        CHECK(kill(pid, SIGSTOP) == 0);
        future = submit(m, "pid");
        CHECK(muster_dispatch(m, NULL) == 0);
        CHECK(kill(pid, SIGCONT) == 0);
        CHECK(await_pid(future, 1) == pid);
    }
    muster_close(m);
}

int main(void)
{
    static const struct check checks[] = {
        {"each_of_many_jobs_one_by_one_is_answered", each_of_many_jobs_one_by_one_is_answered},
        {"idle_worker_that_was_stopped_is_replaced_when_it_gets_a_job",
         idle_worker_that_was_stopped_is_replaced_when_it_gets_a_job},
        {"job_in_the_slot_of_a_worker_that_is_killed_runs_elsewhere",
         job_in_the_slot_of_a_worker_that_is_killed_runs_elsewhere},
        {"stopped_worker_goes_on_with_what_lies_in_its_slot",
         stopped_worker_goes_on_with_what_lies_in_its_slot},
    };

    return check_all(checks, sizeof checks / sizeof *checks);
}
