/* SPDX-License-Identifier: MIT
 *
 * Single jobs under the model `processes`: submitted and handed back by one thread, run by real workers that
 * may die.
 */
#include "processes_fixture.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

/* --- results */

static void every_task_is_handed_back_once_with_its_result(void)
{
    enum { TASKS = 20000 };
    static bool seen[TASKS];
    struct bench bench;

    memset(seen, 0, sizeof seen);
    open_processes(&bench, 2);
    for (uint64_t i = 0; i < TASKS; i++)
        submit(&bench, named("echo"), number(i * 1000));
    while (bench.pending > 0) {
        struct task *task = await_one(&bench);

        CHECK(task->code == 0 && task->attempts == 1 && task->worker >= 1 && task->worker <= 2);
        CHECK(task->value.via.u64 == task->argument.via.u64 && !seen[task->value.via.u64 / 1000]);
        seen[task->value.via.u64 / 1000] = true;
        release(task);
    }
    CHECK(bench.ended == TASKS && !is_readable(&bench, 0));
    bench_close(&bench);
}

/* The message that brought it is gone when it is looked at. */
static void a_value_with_bytes_of_its_own_outlives_its_message(void)
{
    struct task *tasks[500];
    struct bench bench;
    char words[500][40];

    open_processes(&bench, 1);
    for (int i = 0; i < 500; i++) {
        snprintf(words[i], sizeof words[i], "a string that is word number %d", i);
        tasks[i] = submit(&bench, named("echo"), text(words[i]));
    }
    for (int i = 0; i < 500; i++)
        await_one(&bench);
    for (int i = 0; i < 500; i++) {
        CHECK(tasks[i]->code == 0 && tasks[i]->value.type == MSGPACK_OBJECT_STR);
        CHECK(tasks[i]->value.via.str.size == strlen(words[i]));
        CHECK(memcmp(tasks[i]->value.via.str.ptr, words[i], strlen(words[i])) == 0);
        release(tasks[i]);
    }
    bench_close(&bench);
}

static void tasks_fail_alone_each_with_its_reason(void)
{
    struct bench bench;
    struct task *task;

    open_processes(&bench, 2);
    for (int i = 0; i < 100; i++)
        submit(&bench, named(i % 2 ? "fail" : "echo"), text("it was told to"));
    for (int i = 0; i < 100; i++) {
        task = await_one(&bench);
        if (strcmp(task->function->name, "fail") == 0)
            CHECK(task->code == MUSTER_EFAILED && strcmp(task->text, "it was told to") == 0);
        else
            CHECK(task->code == 0);
        release(task);
    }
    submit(&bench, named("nowhere"), number(1));
    task = await_one(&bench);
    CHECK(task->code == MUSTER_ENOTFOUND && strstr(task->text, "does not have the function"));
    release(task);
    task = submit(&bench, named("echo"), (msgpack_object){.type = (msgpack_object_type)77});
    CHECK(await_one(&bench) == task && task->code == MUSTER_EINVALID);
    release(task);
    submit(&bench, named("echo"), number(1));
    await_all(&bench);
    CHECK(bench.succeeded == 51);
    bench_close(&bench);
}

static void a_failed_task_is_tried_again_and_one_that_is_late_is_ended(void)
{
    static char path[80];
    msgpack_object pair[2];
    struct task *task, *late;
    struct bench bench;

    open_processes(&bench, 2);
    snprintf(path, sizeof path, "%s/times", folder);
    pair[0] = text(path);
    pair[1] = number(2);
    task = make_task(named("fail_times"),
                     (msgpack_object){.type = MSGPACK_OBJECT_ARRAY, .via.array = {2, pair}});
    task->retries = 2;
    submit_task(&bench, task);
    CHECK(await_one(&bench) == task && task->code == 0 && task->attempts == 3 && task->value.via.u64 == 3);
    release(task);
    late = make_task(named("hang"), number(1));
    late->timeout_s = 0.05;
    submit_task(&bench, late);
    CHECK(await_one(&bench) == late && late->code == MUSTER_ETIMEOUT);
    release(late);
    bench_close(&bench);
    unlink(path);
}

static void a_crash_fails_one_task_among_thousands(void)
{
    enum { TASKS = 5000 };
    struct task *guilty = NULL, *task;
    struct bench bench;

    open_processes(&bench, 2);
    for (uint64_t i = 1; i <= TASKS; i++) {
        task = submit(&bench, named("unlucky"), number(i == 2345 ? 1000 : 1001));
        if (i == 2345)
            guilty = task;
    }
    while (bench.pending > 0) {
        task = await_one(&bench);
        if (task == guilty)
            CHECK(task->code == MUSTER_ECRASHED && strstr(task->text, "SIGSEGV"));
        else
            CHECK(task->code == 0);
        release(task);
    }
    CHECK(bench.succeeded == TASKS - 1);
    bench_close(&bench);
}

static void a_worker_that_is_killed_from_outside_is_replaced(void)
{
    struct bench bench;
    struct task *task;
    pid_t pid;

    open_processes(&bench, 1);
    task = submit(&bench, named("pid"), number(1));
    CHECK(await_one(&bench) == task && task->code == 0);
    pid = (pid_t)task->value.via.u64;
    release(task);
    CHECK(kill(pid, SIGKILL) == 0);
    task = submit(&bench, named("pid"), number(1));
    CHECK(await_one(&bench) == task && task->code == 0 && (pid_t)task->value.via.u64 != pid);
    release(task);
    bench_close(&bench);
}

/* --- windows and descriptors */

/* 96 MiB of results in a window of 64. */
static void results_beyond_the_window_come_as_they_are_taken(void)
{
    enum { TASKS = 1536 };
    struct bench bench;

    open_processes(&bench, 2);
    for (int i = 0; i < TASKS; i++)
        submit(&bench, named("big"), number(64 << 10));
    while (bench.pending > 0) {
        struct task *task = await_one(&bench);

        CHECK(task->code == 0 && task->value.via.bin.size == 64 << 10);
        release(task);
    }
    CHECK(bench.succeeded == TASKS);
    bench_close(&bench);
}

/* 24 MiB of arguments, of which 4 are granted at once. */
static void arguments_beyond_the_grant_wait_for_it(void)
{
    enum { TASKS = 1536, BYTES = 16 << 10 };
    static char bytes[BYTES];
    struct bench bench;

    memset(bytes, 'x', sizeof bytes);
    open_processes(&bench, 1);
    for (int i = 0; i < TASKS; i++)
        submit(&bench, named("echo"),
               (msgpack_object){.type = MSGPACK_OBJECT_BIN, .via.bin = {.ptr = bytes, .size = BYTES}});
    while (bench.pending > 0) {
        struct task *task = await_one(&bench);

        CHECK(task->code == 0 && task->value.via.bin.size == BYTES);
        release(task);
    }
    CHECK(bench.succeeded == TASKS && !is_readable(&bench, 0));
    bench_close(&bench);
}

/* What ZeroMQ's own descriptor forgets: a task that ends while others are submitted. */
static void the_descriptor_stays_readable_until_all_is_taken(void)
{
    struct task *task;
    struct bench bench;
    unsigned most = 0;

    open_processes(&bench, 2);
    for (int round = 0; round < 300; round++)
        for (int i = 0; i < 1 + round % 7; i++) {
            submit(&bench, named("echo"), number(1));
            if (round % 3 == 0)
                release(await_one(&bench));
        }
    for (int i = 0; i < 5000; i++)
        submit(&bench, named("echo"), number(1));
    while (bench.handed)
        release(await_one(&bench));
    while (bench.pending > 0) {
        unsigned had = bench.pending;

        CHECK(is_readable(&bench, BENCH_WAIT_MS));
        bench_dispatch(&bench);
        while ((task = take_one(&bench)))
            release(task);
        most = had - bench.pending > most ? had - bench.pending : most;
    }
    CHECK(most <= 1000 && !is_readable(&bench, 0));
    bench_close(&bench);
}

/* More kinds than are kept open. */
static void many_kinds_of_tasks_are_told_apart(void)
{
    struct bench bench;

    open_processes(&bench, 2);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 60; i++) {
            struct task *task = make_task(named("echo"), number(i));

            task->retries = i;
            task->timeout_s = i % 2 ? 60 : 0;
            submit_task(&bench, task);
        }
        while (bench.pending > 0) {
            struct task *task = await_one(&bench);

            CHECK(task->code == 0 && task->value.via.u64 == task->argument.via.u64);
            release(task);
        }
    }
    CHECK(bench.succeeded == 180);
    bench_close(&bench);
}

/* One task is under way while 200,000 come and go: their table does not grow with them. */
static void a_long_task_does_not_bloat_the_table_of_those_behind_it(void)
{
    struct bench bench;
    struct processes *p;

    open_processes(&bench, 2);
    p = (struct processes *)bench.model;
    submit(&bench, named("wait_file"), text(gate));
    for (unsigned i = 0; i < 200000; i++) {
        submit(&bench, named("wait_file"), text("/dev/null"));
        if (bench.pending > 2000)
            release(await_one(&bench));
    }
    CHECK(p->tasks.all != p->tasks.recent); /* there is more than one stream */
    for (struct stream *stream = p->tasks.all; stream; stream = stream->next)
        CHECK(stream->capacity <= 1 << 17);
    open_gate();
    await_all(&bench);
    CHECK(bench.succeeded == 200001);
    bench_close(&bench);
    unlink(gate);
}

/* --- beside a map */

static int note_third(void *context, const struct muster_result *result)
{
    const struct bench *bench = context;

    CHECK(result->code == 0 && bench->pending > 0);
    if (result->index == 3)
        open_gate();
    return 0;
}

static int no_tick(void *context, const struct muster_progress *progress)
{
    (void)context;
    (void)progress;
    return 0;
}

static void a_map_runs_beside_tasks_and_they_beside_it(void)
{
    static const muster_function echo = {.name = "echo"};
    struct muster_summary summary;
    struct bench bench;
    struct muster_batch batch = {.function = "echo",
                                 .source = muster_source_range(1, 1000),
                                 .want_arguments = true,
                                 .on_result = note_third,
                                 .on_tick = no_tick,
                                 .context = &bench,
                                 .interrupt_fd = -1};

    open_processes(&bench, 2);
    submit(&bench, named("wait_file"), text(gate)); /* ends when the map has begun */
    for (int i = 0; i < 700; i++)
        submit(&bench, named("echo"), number(1));
    for (int round = 0; round < 3; round++) {
        summary = (struct muster_summary){.jobs = 0};
        CHECK(bench.model->ops->map(bench.model, &echo, &batch, &summary, &bench.error) == 0);
        CHECK(summary.succeeded == 1000 && summary.stall_ns > 0);
    }
    CHECK(is_readable(&bench, BENCH_WAIT_MS));
    await_all(&bench);
    CHECK(bench.succeeded == 701);
    bench_close(&bench);
    unlink(gate);
}

int main(void)
{
    static const struct check checks[] = {
#define C(name) {#name, name}
        C(every_task_is_handed_back_once_with_its_result),
        C(a_value_with_bytes_of_its_own_outlives_its_message),
        C(tasks_fail_alone_each_with_its_reason),
        C(a_failed_task_is_tried_again_and_one_that_is_late_is_ended),
        C(a_crash_fails_one_task_among_thousands),
        C(a_worker_that_is_killed_from_outside_is_replaced),
        C(results_beyond_the_window_come_as_they_are_taken),
        C(arguments_beyond_the_grant_wait_for_it),
        C(the_descriptor_stays_readable_until_all_is_taken),
        C(many_kinds_of_tasks_are_told_apart),
        C(a_long_task_does_not_bloat_the_table_of_those_behind_it),
        C(a_map_runs_beside_tasks_and_they_beside_it),
    };

    return check_all_in_folder(checks, sizeof checks / sizeof *checks);
}
