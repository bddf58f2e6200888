/* SPDX-License-Identifier: MIT
 *
 * Single jobs in the pool, as the futures drive them: submitted, cancelled and handed back by
 * one thread, under threads and gil.
 */
#include "base/clock.h"
#include "bench.h"
#include "fixture.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct setting {
    const char *name;
    const struct model_ops *ops;
};

/* Raised from outside: jobs that wait for a gate go on. Each adds one to `arrived` before. */
static int gates[2], arrived;
static atomic_uint runs;

static void open_gated(struct bench *bench, const struct setting *s, unsigned workers)
{
    struct muster_options options = {.workers = workers, .concurrency = 10000};

    bench_open(bench, s->ops, &options);
    for (int i = 0; i < 2; i++)
        CHECK((gates[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) >= 0);
    CHECK((arrived = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE)) >= 0);
    atomic_store(&runs, 0);
}

static void close_gated(struct bench *bench)
{
    bench_close(bench);
    close(gates[0]);
    close(gates[1]);
    close(arrived);
}

/* With a code that the pool has to set. */
static struct task *submit_to_pool(struct bench *bench, const muster_function *function, uint64_t argument)
{
    struct task *task = make_task(function, number(argument));

    task->code = 1;
    submit_task(bench, task);
    return task;
}

static void await_arrival(void)
{
    struct pollfd item = {.fd = arrived, .events = POLLIN};
    eventfd_t one;

    CHECK(poll(&item, 1, BENCH_WAIT_MS) == 1 && eventfd_read(arrived, &one) == 0);
}

/* --- functions */

/* Waits at the gate of its argument, 0 or 1. */
static int run_gated(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)ret_result;
    CHECK(eventfd_write(arrived, 1) == 0);
    return muster_call_wait_fd(call, gates[argument->via.u64], POLLIN, BENCH_WAIT_MS / 1000.0);
}

static int run_opener(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call;
    (void)ret_result;
    return eventfd_write(gates[argument->via.u64], 1);
}

static int run_count(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    atomic_fetch_add(&runs, 1);
    return job_twice(call, argument, ret_result);
}

static const muster_function gated = {.name = "gated", .run = run_gated};
static const muster_function opener = {.name = "opener", .run = run_opener};
static const muster_function counted = {.name = "counted", .run = run_count};
static const muster_function third = {.name = "third", .run = job_fail_third};
static const muster_function garbage = {.name = "garbage", .run = job_garbage};
static const muster_function once = {.name = "once", .run = job_fail_once};

/* --- tests */

static void every_task_is_handed_back_once_with_its_result(const struct setting *s)
{
    enum { TASKS = 20000 };
    struct bench bench;

    open_gated(&bench, s, 3);
    for (uint64_t i = 0; i < TASKS; i++)
        submit_to_pool(&bench, &third, i);
    while (bench.pending > 0) {
        struct task *task = await_one(&bench);
        uint64_t argument = task->argument.via.u64;

        CHECK(task->attempts == 1 && task->worker >= 1 && task->worker <= 3);
        if (argument % 3 == 0)
            CHECK(task->code == MUSTER_EFAILED && strncmp(task->text, "no thirds", 9) == 0);
        else
            CHECK(task->code == 0 && task->value.via.u64 == 2 * argument);
        release(task);
    }
    CHECK(bench.ended == TASKS && !is_readable(&bench, 0));
    close_gated(&bench);
}

static void tasks_are_begun_in_the_order_of_their_submission(const struct setting *s)
{
    struct bench bench;

    open_gated(&bench, s, 1);
    for (uint64_t i = 0; i < 5000; i++)
        submit_to_pool(&bench, &counted, i);
    for (uint64_t i = 0; i < 5000; i++) {
        struct task *task = await_one(&bench);

        CHECK(task->argument.via.u64 == i);
        release(task);
    }
    close_gated(&bench);
}

static void failed_tasks_are_retried_and_garbage_fails(const struct setting *s)
{
    struct bench bench;
    struct fixture reset;
    struct task *task;

    fixture_open(&reset, &model_inline, 1, 1); /* job_fail_once notes its failures there */
    open_gated(&bench, s, 2);
    task = make_task(&once, number(17));
    task->retries = 2;
    submit_task(&bench, task);
    task = await_one(&bench);
    CHECK(task->code == 0 && task->attempts == 2 && task->value.via.u64 == 34);
    release(task);
    submit_to_pool(&bench, &garbage, 1);
    task = await_one(&bench);
    CHECK(task->code == MUSTER_EFAILED || task->code == MUSTER_EINVALID);
    CHECK(strstr(task->text, "no value") && task->value.type == MSGPACK_OBJECT_NIL);
    release(task);
    close_gated(&bench);
    fixture_close(&reset);
}

static void dispatch_is_bounded_and_says_that_there_is_more(const struct setting *s)
{
    struct task *task;
    struct bench bench;
    unsigned most = 0, had;

    open_gated(&bench, s, 1);
    for (uint64_t i = 0; i < 5000; i++)
        submit_to_pool(&bench, &counted, i);
    submit_to_pool(&bench, &gated, 0);
    await_arrival(); /* all before have ended */
    while (bench.pending > 1) {
        CHECK(is_readable(&bench, 0));
        had = bench.pending;
        bench_dispatch(&bench);
        while ((task = take_one(&bench)))
            release(task);
        most = had - bench.pending > most ? had - bench.pending : most;
    }
    CHECK(most <= 1000 && !is_readable(&bench, 0));
    CHECK(eventfd_write(gates[0], 1) == 0);
    await_all(&bench);
    close_gated(&bench);
}

/* The worker takes several tasks at once; the first of them waits for the last. */
static void a_task_behind_one_that_waits_is_run_by_another_worker(const struct setting *s)
{
    struct bench bench;

    open_gated(&bench, s, 2);
    submit_to_pool(&bench, &gated, 0);
    submit_to_pool(&bench, &gated, 0);
    await_arrival();
    await_arrival();
    submit_to_pool(&bench, &gated, 1);
    for (uint64_t i = 0; i < 62; i++)
        submit_to_pool(&bench, &counted, i);
    submit_to_pool(&bench, &opener, 1);
    CHECK(eventfd_write(gates[0], 1) == 0);
    await_all(&bench);
    CHECK(bench.succeeded == 66);
    close_gated(&bench);
}

static void a_cancelled_task_that_was_not_begun_is_handed_back_at_once(const struct setting *s)
{
    struct task *tasks[8], *task;
    struct bench bench;

    open_gated(&bench, s, 1);
    submit_to_pool(&bench, &gated, 0);
    await_arrival();
    submit_to_pool(&bench, &gated, 1);
    for (uint64_t i = 0; i < 8; i++)
        tasks[i] = submit_to_pool(&bench, &counted, i);
    CHECK(eventfd_write(gates[0], 1) == 0);
    await_arrival(); /* of the second, with which the worker took others */
    release(await_one(&bench));
    for (int i = 0; i < 8; i += 2) {
        bench_cancel(&bench, tasks[i]);
        bench_cancel(&bench, tasks[i]); /* again: nothing happens */
        task = await_one(&bench);
        CHECK(task == tasks[i] && task->code == MUSTER_ECANCELLED && atomic_load(&runs) == 0);
        release(task);
    }
    CHECK(eventfd_write(gates[1], 1) == 0);
    await_all(&bench);
    CHECK(atomic_load(&runs) == 4);
    close_gated(&bench);
}

static void a_running_task_is_asked_to_end(const struct setting *s)
{
    struct task *task, *other;
    struct bench bench;

    open_gated(&bench, s, 2);
    task = submit_to_pool(&bench, &gated, 0);
    other = submit_to_pool(&bench, &gated, 1);
    await_arrival();
    await_arrival();
    bench_cancel(&bench, task);
    CHECK(await_one(&bench) == task && task->code == MUSTER_ECANCELLED);
    release(task);
    CHECK(eventfd_write(gates[1], 1) == 0);
    CHECK(await_one(&bench) == other && other->code == 0);
    release(other);
    close_gated(&bench);
}

static void thousands_of_cancelled_tasks_leave_the_others_alone(const struct setting *s)
{
    enum { TASKS = 8000 };
    static struct task *tasks[TASKS];
    struct bench bench;

    open_gated(&bench, s, 3);
    for (uint64_t i = 0; i < TASKS; i++)
        tasks[i] = submit_to_pool(&bench, &counted, i);
    for (unsigned i = 0; i < TASKS; i += 2)
        bench_cancel(&bench, tasks[i]);
    await_all(&bench);
    CHECK(bench.ended == TASKS && bench.succeeded >= TASKS / 2);
    CHECK(bench.succeeded + bench.cancelled == TASKS);
    close_gated(&bench);
}

static void closing_ends_what_runs_and_hands_back_what_does_not(const struct setting *s)
{
    struct bench bench;

    for (unsigned round = 0; round < 20; round++) {
        open_gated(&bench, s, 2);
        submit_to_pool(&bench, &gated, 0);
        submit_to_pool(&bench, &gated, 0);
        await_arrival();
        await_arrival();
        for (uint64_t i = 0; i < 100; i++)
            submit_to_pool(&bench, &counted, i);
        close_gated(&bench);
        CHECK(bench.ended == 102 && bench.cancelled == 102 && atomic_load(&runs) == 0);
    }
}

static void closing_beside_tasks_of_no_length_loses_none(const struct setting *s)
{
    struct bench bench;

    for (unsigned round = 0; round < 50; round++) {
        open_gated(&bench, s, 3);
        for (uint64_t i = 0; i < 500 + 37 * round; i++)
            submit_to_pool(&bench, &counted, i);
        close_gated(&bench);
        CHECK(bench.ended == 500 + 37 * round && bench.succeeded == atomic_load(&runs));
    }
}

static int take_none(void *context, const struct muster_result *result)
{
    (void)context;
    (void)result;
    return 0;
}

static int tick_none(void *context, const struct muster_progress *progress)
{
    (void)context;
    (void)progress;
    return 0;
}

/* The batch ends only when a task that was submitted before it has opened the gate; another
 * waits meanwhile. */
static void tasks_go_on_beside_a_batch(const struct setting *s)
{
    struct muster_batch batch = {.source = muster_source_range(1, 1),
                                 .on_result = take_none,
                                 .on_tick = tick_none,
                                 .interrupt_fd = -1};
    struct muster_summary summary = {.jobs = 0};
    struct muster_error error;
    struct bench bench;

    open_gated(&bench, s, 3);
    submit_to_pool(&bench, &gated, 0);
    await_arrival();
    for (uint64_t i = 0; i < 3000; i++)
        submit_to_pool(&bench, &counted, i);
    submit_to_pool(&bench, &opener, 1);
    CHECK(bench.model->ops->map(bench.model, &gated, &batch, &summary, &error) == 0);
    CHECK(summary.succeeded == 1);
    CHECK(eventfd_write(gates[0], 1) == 0);
    await_all(&bench);
    CHECK(bench.succeeded == 3002);
    close_gated(&bench);
}

static const struct {
    const char *name;
    void (*run)(const struct setting *setting);
} tests[] = {
#define TEST(name)  \
    {               \
#name, name \
    }
    TEST(every_task_is_handed_back_once_with_its_result),
    TEST(tasks_are_begun_in_the_order_of_their_submission),
    TEST(failed_tasks_are_retried_and_garbage_fails),
    TEST(dispatch_is_bounded_and_says_that_there_is_more),
    TEST(a_task_behind_one_that_waits_is_run_by_another_worker),
    TEST(a_cancelled_task_that_was_not_begun_is_handed_back_at_once),
    TEST(a_running_task_is_asked_to_end),
    TEST(thousands_of_cancelled_tasks_leave_the_others_alone),
    TEST(closing_ends_what_runs_and_hands_back_what_does_not),
    TEST(closing_beside_tasks_of_no_length_loses_none),
    TEST(tasks_go_on_beside_a_batch),
#undef TEST
};

int main(void)
{
    static const struct setting settings[] = {{"threads", &model_threads}, {"gil", &model_gil}};

    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        for (size_t k = 0; k < sizeof tests / sizeof *tests; k++) {
            printf("%s: %s\n", settings[i].name, tests[k].name);
            fflush(stdout);
            tests[k].run(&settings[i]);
        }
    return 0;
}
