/* SPDX-License-Identifier: MIT
 *
 * Single jobs that are cancelled while a worker has them: it lets go of them and of nothing else,
 * and lives on, whether it runs one job at a time or many.
 */
#include "client/muster.h"
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 20, MANY = 500, CROWD = 4000, STRIDE = 1237 /* has no divisor of CROWD */ };

/* So long that a job which is not ended by its cancel fails the test, by its time limit. */
static const double LONG_S = 3600;

static muster *open_workers(unsigned concurrency)
{
    static const char *const plugins[] = {MUSTER_TEST_PLUGINS "/faulty.so"};
    struct muster_options options = {
        .model = MUSTER_PROCESSES,
        .workers = 1,
        .concurrency = concurrency,
        .plugins = plugins,
        .plugin_count = 1,
        .crash_limit = 1,
        .worker_program = getenv("MUSTER"),
    };
    struct muster_error error;
    muster *m;

    CHECK(options.worker_program);
    CHECK(muster_open(&options, &m, &error) == 0);
    return m;
}

static muster_future *submit(muster *m, const char *function, double seconds)
{
    msgpack_object argument = {.type = MSGPACK_OBJECT_FLOAT64, .via.f64 = seconds};
    msgpack_object parts[2] = {argument, {.type = MSGPACK_OBJECT_NIL}};
    struct muster_job job = {.function = function, .argument = &argument};
    struct muster_error error;
    muster_future *future;

    if (strcmp(function, "after") == 0)
        argument = (msgpack_object){.type = MSGPACK_OBJECT_ARRAY, .via.array = {2, parts}};
    CHECK(muster_submit(m, &job, &future, &error) == 0);
    return future;
}

/* The number of the worker's process. */
static uint64_t await_pid(muster *m)
{
    muster_future *future = submit(m, "pid", 0);
    const msgpack_object *value;
    struct muster_error error;
    uint64_t pid;

    CHECK(muster_await(future, &value, &error) == 0);
    pid = value->via.u64;
    muster_future_drop(future);
    return pid;
}

/* Of a worker with `concurrency` places all are taken by jobs that do not end by themselves. */
static void cancel_frees_the_places(const char *function, unsigned concurrency, unsigned taken)
{
    muster *m = open_workers(concurrency);
    uint64_t pid = await_pid(m);

    for (unsigned round = 0; round < ROUNDS; round++) {
        muster_future *jobs[MANY];

        for (unsigned i = 0; i < taken; i++)
            jobs[i] = submit(m, function, LONG_S);
        CHECK(muster_dispatch(m, NULL) == 0);
        for (unsigned i = 0; i < taken; i++) {
            CHECK(muster_future_cancel(jobs[i]));
            CHECK(muster_future_state(jobs[i]) == MUSTER_CANCELLED);
            muster_future_drop(jobs[i]);
        }
        CHECK(await_pid(m) == pid); /* it is free, and lives */
    }
    muster_close(m);
}

static void job_that_waits_is_ended_and_the_worker_takes_the_next(void)
{
    cancel_frees_the_places("after", 1, 1);
}

static void job_that_computes_and_asks_is_ended(void)
{
    cancel_frees_the_places("spin", 1, 1);
}

static void queue_behind_a_running_job_is_emptied(void)
{
    cancel_frees_the_places("after", 1, 100);
}

static void jobs_that_wait_together_are_ended(void)
{
    cancel_frees_the_places("after", MANY, MANY);
}

static void job_that_computes_among_others_is_ended(void)
{
    cancel_frees_the_places("spin", 4, 8);
}

/* Every other one of those that wait. */
static void neighbours_of_cancelled_jobs_end_as_if_nothing_had_happened(unsigned concurrency, double seconds)
{
    muster *m = open_workers(concurrency);
    muster_future *jobs[MANY];
    struct muster_error error;

    for (unsigned i = 0; i < MANY; i++)
        jobs[i] = submit(m, "after", i % 2 ? seconds : LONG_S);
    CHECK(muster_dispatch(m, NULL) == 0);
    for (unsigned i = 0; i < MANY; i += 2)
        CHECK(muster_future_cancel(jobs[i]));
    for (unsigned i = 0; i < MANY; i++) {
        const msgpack_object *value;
        int code = muster_await(jobs[i], &value, &error);

        CHECK(i % 2 ? code == 0 && value->via.f64 == seconds : code == MUSTER_ECANCELLED);
        CHECK(i % 2 == 0 || muster_future_result(jobs[i])->attempts == 1);
        muster_future_drop(jobs[i]);
    }
    muster_close(m);
}

/* Each is a chunk of its own, and the next one's neighbour is not the one that is cancelled next. */
static void thousands_of_chunks_are_cancelled_in_any_order(void)
{
    muster *m = open_workers(CROWD);
    muster_future **jobs = calloc(CROWD, sizeof(muster_future *));
    uint64_t pid = await_pid(m);

    CHECK(jobs);
    for (unsigned i = 0; i < CROWD; i++) {
        jobs[i] = submit(m, "after", LONG_S);
        CHECK(muster_dispatch(m, NULL) == 0);
    }
    for (unsigned i = 0; i < CROWD; i++)
        CHECK(muster_future_cancel(jobs[i * STRIDE % CROWD]));
    CHECK(await_pid(m) == pid);
    for (unsigned i = 0; i < CROWD; i++)
        muster_future_drop(jobs[i]);
    CHECK(muster_pending(m) == 0);
    muster_close(m);
    free(jobs);
}

int main(void)
{
    thousands_of_chunks_are_cancelled_in_any_order();
    job_that_waits_is_ended_and_the_worker_takes_the_next();
    job_that_computes_and_asks_is_ended();
    queue_behind_a_running_job_is_emptied();
    jobs_that_wait_together_are_ended();
    job_that_computes_among_others_is_ended();
    neighbours_of_cancelled_jobs_end_as_if_nothing_had_happened(MANY, 0.5);
    neighbours_of_cancelled_jobs_end_as_if_nothing_had_happened(1, 0);
    return 0;
}
