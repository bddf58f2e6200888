/* SPDX-License-Identifier: MIT
 *
 * Single jobs in coroutines, as the futures drive them: those that wait overlap, and dispatch does not wait;
 * and a job that overflows its stack is named, single or in a batch.
 */
#include "bench.h"
#include "jobs/coroutine.h"
#include "loop_fixture.h"
#include "tests/support/self.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utlist.h>

enum { MOST = 10000 };

static int run_gated(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    int code = wait_at_gate(call);

    return code != 0 ? code : job_twice(call, argument, ret_result);
}

static const muster_function gated = {.name = "gated", .run = run_gated};
static const muster_function twice = {.name = "twice", .run = job_twice};
static const muster_function third = {.name = "third", .run = job_fail_third};

static void open_loop(struct bench *bench, unsigned concurrency)
{
    struct muster_options options = {.workers = 1, .concurrency = concurrency};

    bench_open(bench, &model_loop, &options);
    open_gate();
}

static void close_loop(struct bench *bench)
{
    bench_close(bench);
    close(gate);
}

/* Dispatches until so many are handed back, polling in between. */
static void await(struct bench *bench, unsigned count)
{
    struct task *task;
    unsigned had;

    for (;;) {
        DL_COUNT(bench->handed, task, had);
        if (had >= count)
            return;
        CHECK(is_readable(bench, BENCH_WAIT_MS));
        bench_dispatch(bench);
    }
}

/* How many were handed back, each with this code, and those that succeeded with their values. */
static unsigned release_handed(struct bench *bench, int code)
{
    struct task *task;
    unsigned count = 0;

    for (; (task = take_one(bench)); count++) {
        CHECK(task->code == code && (code != 0 || task->value.via.u64 == 2 * task->argument.via.u64));
        release(task);
    }
    return count;
}

static void single_jobs_run_in_dispatch_and_in_order(void)
{
    struct task *task;
    struct bench bench;
    uint64_t next = 1;

    open_loop(&bench, 10000);
    CHECK(!is_readable(&bench, 0));
    for (uint64_t i = 1; i <= 5000; i++)
        submit(&bench, &twice, number(i));
    await(&bench, 5000);
    DL_FOREACH(bench.handed, task)
        CHECK(task->argument.via.u64 == next++ && task->attempts == 1 && task->worker == 1);
    CHECK(release_handed(&bench, 0) == 5000 && !is_readable(&bench, 0));
    task = submit(&bench, &third, number(3));
    await(&bench, 1);
    CHECK(strcmp(task->text, "no thirds: 3") == 0 && release_handed(&bench, MUSTER_EFAILED) == 1);
    close_loop(&bench);
}

static void dispatch_is_bounded_and_says_that_there_is_more(void)
{
    struct bench bench;
    unsigned taken = 0, now;

    open_loop(&bench, 10000);
    for (uint64_t i = 1; i <= 5000; i++)
        submit(&bench, &twice, number(i));
    while (taken < 5000) {
        CHECK(is_readable(&bench, 0));
        bench_dispatch(&bench);
        now = release_handed(&bench, 0);
        CHECK(now <= 1000);
        taken += now;
    }
    close_loop(&bench);
}

static void single_jobs_wait_at_once_and_dispatch_does_not(void)
{
    struct bench bench;

    open_loop(&bench, 100);
    for (uint64_t i = 1; i <= 150; i++)
        submit(&bench, &gated, number(i));
    while (arrived < 100)
        bench_dispatch(&bench);
    CHECK(!bench.handed && !is_readable(&bench, 0) && at_once == 100);
    raise_gate();
    CHECK(is_readable(&bench, 0));
    await(&bench, 150);
    CHECK(release_handed(&bench, 0) == 150 && most_at_once == 100);
    close_loop(&bench);
}

static void cancelled_jobs_are_handed_back_whether_they_began_or_not(void)
{
    struct task *tasks[150];
    struct bench bench;

    open_loop(&bench, 100);
    for (uint64_t i = 0; i < 150; i++)
        tasks[i] = submit(&bench, &gated, number(i));
    while (arrived < 100)
        bench_dispatch(&bench);
    for (unsigned i = 0; i < 150; i++)
        if (i % 10) {
            bench_cancel(&bench, tasks[i]);
            bench_cancel(&bench, tasks[i]);
        }
    await(&bench, 135);
    CHECK(release_handed(&bench, MUSTER_ECANCELLED) == 135);
    raise_gate();
    await(&bench, 15);
    CHECK(release_handed(&bench, 0) == 15);
    close_loop(&bench);
}

static void thousands_that_wait_are_cancelled(void)
{
    static struct task *tasks[MOST];
    struct bench bench;

    open_loop(&bench, MOST);
    for (unsigned i = 0; i < MANY; i++)
        tasks[i] = submit(&bench, &gated, number(i));
    while (arrived < MANY)
        bench_dispatch(&bench);
    for (unsigned i = 0; i < MANY; i++)
        bench_cancel(&bench, tasks[i]);
    await(&bench, MANY);
    CHECK(release_handed(&bench, MUSTER_ECANCELLED) == MANY);
    close_loop(&bench);
}

static void closing_cancels_what_waits_and_what_was_not_begun(void)
{
    struct bench bench;

    open_loop(&bench, 10);
    for (uint64_t i = 0; i < 50; i++)
        submit(&bench, &gated, number(i));
    while (arrived < 10)
        bench_dispatch(&bench);
    CHECK(!bench.handed);
    close_loop(&bench);
    CHECK(bench.cancelled == 50);
    CHECK(arrived == 10);
}

/* They end during the batch, and the descriptor tells so after it. */
static void single_jobs_go_on_beside_a_batch(void)
{
    struct bench bench;
    struct fixture f;

    open_gated(&f, 3);
    bench = (struct bench){.model = f.model};
    submit(&bench, &gated, number(5));
    for (uint64_t i = 1; i <= 20; i++)
        submit(&bench, &twice, number(i));
    raise_gate();
    CHECK(fixture_map(&f, run_gated) == 0 && fixture_all_succeeded(&f, 1, 3));
    await(&bench, 21);
    CHECK(release_handed(&bench, 0) == 21);
    close_gated(&f);
}

/* --- overflow */

/* Not endless, so that no compiler takes it for what cannot be. */
__attribute__((noinline)) static unsigned sink(unsigned depth)
{
    volatile unsigned char frame[512];

    frame[depth % sizeof frame] = (unsigned char)depth;
    return depth == 0 ? 0 : sink(depth - 1) + frame[depth % sizeof frame];
}

static int run_deep(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    return argument->via.u64 == 17 ? (int)sink(1 << 20) : job_twice(call, argument, ret_result);
}

static void map_deep(void)
{
    struct fixture f;

    fixture_open(&f, &model_loop, 1, 100);
    fixture_map(&f, run_deep);
}

static void submit_deep(void)
{
    static const muster_function deep = {.name = "deep", .run = run_deep};
    struct bench bench;

    open_loop(&bench, 10);
    submit(&bench, &deep, number(17));
    await(&bench, 1);
}

/* What it wrote to standard error before it died of SIGSEGV. */
static const char *last_words(void (*run)(void))
{
    static char text[512];
    int status = self_in_child(run, text, sizeof text);

    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    return text;
}

static void an_overflow_names_the_job_before_the_process_dies(void)
{
    char expected[256];

    snprintf(expected, sizeof expected,
             "muster: job, job 17: it overflowed its stack of %d bytes, which is what a job has under the "
             "model loop\n",
             COROUTINE_STACK_BYTES);
    CHECK(strcmp(last_words(map_deep), expected) == 0);
    snprintf(
        expected, sizeof expected,
        "muster: deep: it overflowed its stack of %d bytes, which is what a job has under the model loop\n",
        COROUTINE_STACK_BYTES);
    CHECK(strcmp(last_words(submit_deep), expected) == 0);
}

int main(void)
{
    static const struct check checks[] = {
#define C(name) {#name, name}
        C(an_overflow_names_the_job_before_the_process_dies), /* first: it resets what models install */
        C(single_jobs_run_in_dispatch_and_in_order),
        C(dispatch_is_bounded_and_says_that_there_is_more),
        C(single_jobs_wait_at_once_and_dispatch_does_not),
        C(cancelled_jobs_are_handed_back_whether_they_began_or_not),
        C(thousands_that_wait_are_cancelled),
        C(closing_cancels_what_waits_and_what_was_not_begun),
        C(single_jobs_go_on_beside_a_batch),
    };

    return check_all(checks, sizeof checks / sizeof *checks);
}
