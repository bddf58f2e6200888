/* SPDX-License-Identifier: MIT
 *
 * Single jobs under the model `processes` that do not end by themselves: they are cancelled, closed upon, or
 * have no worker.
 */
#include "processes_fixture.h"

#include <string.h>

static void thousands_of_cancelled_tasks_leave_the_others_alone(void)
{
    enum { TASKS = 8000 };
    static struct task *tasks[TASKS];
    static bool asked[TASKS];
    struct bench bench;

    open_processes(&bench, 2);
    for (int i = 0; i < TASKS; i++)
        tasks[i] = submit(&bench, named("echo"), number((uint64_t)i));
    for (int i = 0; i < TASKS; i++) {
        asked[i] = i % 3 == 1 || i >= 6000;
        if (asked[i]) {
            bench_cancel(&bench, tasks[i]);
            bench_cancel(&bench, tasks[i]); /* again: nothing happens */
        }
    }
    while (bench.pending > 0) {
        struct task *task = await_one(&bench);

        CHECK(task->code == 0 || (task->code == MUSTER_ECANCELLED && asked[task->argument.via.u64]));
        release(task);
    }
    bench_close(&bench);
}

/* Their arguments are less than is granted at once. */
static void more_neighbours_than_one_message_may_name_are_cancelled(void)
{
    enum { TASKS = PROTO_CHUNK_JOBS_MAX + 500 };
    static struct task *tasks[TASKS];
    struct bench bench;

    open_processes(&bench, 1);
    for (int i = 0; i < TASKS; i++)
        tasks[i] = submit(&bench, named("wait_file"), text(gate));
    while (((struct processes *)bench.model)->tasks.recent->queued > 0) {
        CHECK(is_readable(&bench, BENCH_WAIT_MS));
        bench_dispatch(&bench);
    }
    for (int i = 0; i < TASKS; i++)
        bench_cancel(&bench, tasks[i]);
    await_all(&bench);
    CHECK(bench.cancelled == TASKS);
    submit(&bench, named("echo"), number(1));
    await_all(&bench);
    CHECK(bench.succeeded == 1);
    bench_close(&bench);
}

static void a_running_task_is_asked_to_end_and_its_neighbours_run(void)
{
    struct task *running, *tasks[20];
    struct bench bench;

    open_processes(&bench, 1);
    running = submit(&bench, named("wait_file"), text(gate));
    if (is_readable(&bench, 0))
        bench_dispatch(&bench);
    for (int i = 0; i < 20; i++)
        tasks[i] = submit(&bench, named("wait_file"), text("/dev/null"));
    for (int i = 1; i < 20; i += 2)
        bench_cancel(&bench, tasks[i]);
    bench_cancel(&bench, running);
    await_all(&bench);
    CHECK(bench.succeeded == 10 && bench.cancelled == 11);
    bench_close(&bench);
}

static void a_task_that_has_ended_is_not_cancelled(void)
{
    struct bench bench;
    struct task *first, *second;

    open_processes(&bench, 1);
    first = submit(&bench, named("echo"), number(1));
    while (!bench.handed) {
        CHECK(is_readable(&bench, BENCH_WAIT_MS));
        bench_dispatch(&bench);
    }
    second = submit(&bench, named("echo"), number(2));
    bench_cancel(&bench, first);
    CHECK(await_one(&bench) == first && first->code == 0);
    release(first);
    CHECK(await_one(&bench) == second && second->code == 0);
    release(second);
    bench_close(&bench);
}

static void closing_cancels_what_waits_and_what_runs(void)
{
    struct bench bench;

    open_processes(&bench, 2);
    for (int i = 0; i < 3000; i++)
        submit(&bench, named(i < 2 ? "hang" : "wait_file"), text(gate));
    CHECK(is_readable(&bench, BENCH_WAIT_MS));
    bench_dispatch(&bench);
    bench_close(&bench);
    CHECK(bench.cancelled == 3000);
}

static void workers_that_do_not_start_fail_the_tasks(void)
{
    struct muster_options options = {.model = MUSTER_PROCESSES,
                                     .workers = 1,
                                     .crash_limit = 3,
                                     .heartbeat_s = 5,
                                     .worker_program = "/bin/false"};
    struct bench bench;
    struct task *task;

    bench_open(&bench, &model_processes, &options);
    for (int i = 0; i < 300; i++)
        submit(&bench, named("echo"), number(1));
    for (int i = 0; i < 300; i++) {
        task = await_one(&bench);
        CHECK(task->code == MUSTER_ELOST && strstr(task->text, "do not start"));
        release(task);
    }
    CHECK(!is_readable(&bench, 0));
    bench_close(&bench);
}

int main(void)
{
    static const struct check checks[] = {
#define C(name) {#name, name}
        C(thousands_of_cancelled_tasks_leave_the_others_alone),
        C(more_neighbours_than_one_message_may_name_are_cancelled),
        C(a_running_task_is_asked_to_end_and_its_neighbours_run),
        C(a_task_that_has_ended_is_not_cancelled),
        C(closing_cancels_what_waits_and_what_runs),
        C(workers_that_do_not_start_fail_the_tasks),
    };

    return check_all_in_folder(checks, sizeof checks / sizeof *checks);
}
