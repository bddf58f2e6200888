/* SPDX-License-Identifier: MIT
 *
 * See processes_fixture.h.
 */
#include "processes_fixture.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

const struct model_ops *const ops = &model_processes;
char folder[] = "/tmp/muster-test-processes-XXXXXX", gate[64];

void bench_open(struct bench *bench, unsigned workers)
{
    static const char *const plugins[] = {MUSTER_TEST_PLUGINS "/faulty.so"};
    struct muster_options options = {
        .model = MUSTER_PROCESSES,
        .workers = workers,
        .plugins = plugins,
        .plugin_count = 1,
        .crash_limit = 1,
        .heartbeat_s = 5,
        .worker_program = getenv("MUSTER"),
    };

    CHECK(options.worker_program);
    *bench = (struct bench){.pending = 0};
    if (ops->open(&options, NULL, &bench->model, &bench->error) != 0) {
        fprintf(stderr, "%s\n", bench->error.text);
        exit(1);
    }
}

struct task *make_task(const char *name, msgpack_object argument)
{
    /* Kinds of tasks are told apart by the address of their function. */
    static muster_function functions[16];
    unsigned k = 0;
    struct task *task = calloc(1, sizeof *task);

    CHECK(task && (task->zone = msgpack_zone_new(256)) != NULL);
    while (functions[k].name && strcmp(functions[k].name, name) != 0)
        CHECK(++k < 16);
    functions[k].name = name;
    task->function = &functions[k];
    task->argument = argument;
    return task;
}

msgpack_object number(uint64_t value)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = value};
}

msgpack_object text(const char *string)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_STR,
                            .via.str = {.ptr = string, .size = (uint32_t)strlen(string)}};
}

void submit_task(struct bench *bench, struct task *task)
{
    CHECK(ops->submit(bench->model, task, &bench->error) == 0);
    bench->pending++;
}

struct task *submit(struct bench *bench, const char *function, msgpack_object argument)
{
    struct task *task = make_task(function, argument);

    submit_task(bench, task);
    return task;
}

void release(struct task *task)
{
    msgpack_zone_free(task->zone);
    free(task);
}

void bench_count(struct bench *bench, const struct task *task)
{
    CHECK(task->code <= 0 && (task->code == 0) == (task->text == NULL));
    CHECK(task->code == 0 || task->value.type == MSGPACK_OBJECT_NIL);
    CHECK(bench->pending > 0);
    bench->pending--;
    bench->ended++;
    bench->succeeded += task->code == 0;
    bench->cancelled += task->code == MUSTER_ECANCELLED;
}

bool is_readable(const struct bench *bench, int timeout_ms)
{
    struct pollfd item = {.fd = ops->fd(bench->model), .events = POLLIN};

    return poll(&item, 1, timeout_ms) == 1;
}

struct task *await_one(struct bench *bench)
{
    struct task *task;

    while (!bench->handed) {
        CHECK(is_readable(bench, BENCH_WAIT_MS));
        CHECK(ops->dispatch(bench->model, &bench->handed, &bench->error) == 0);
    }
    task = bench->handed;
    DL_DELETE(bench->handed, task);
    bench_count(bench, task);
    return task;
}

void await_all(struct bench *bench)
{
    while (bench->pending > 0)
        release(await_one(bench));
}

void bench_close(struct bench *bench)
{
    struct task *task, *next;

    model_close(bench->model, &bench->handed);
    DL_FOREACH_SAFE(bench->handed, task, next) {
        bench_count(bench, task);
        release(task);
    }
    CHECK(bench->pending == 0);
}

void open_gate(void)
{
    FILE *file = fopen(gate, "w");

    CHECK(file);
    fclose(file);
}

int bench_check_all(const struct check *checks, size_t count)
{
    CHECK(mkdtemp(folder));
    snprintf(gate, sizeof gate, "%s/gate", folder);
    check_all(checks, count);
    CHECK(rmdir(folder) == 0);
    return 0;
}
