/* SPDX-License-Identifier: MIT
 *
 * See bench.h.
 */
#include "bench.h"

#include <poll.h>
#include <string.h>
#include <utlist.h>

void bench_open(struct bench *bench, const struct model_ops *ops, const struct muster_options *options)
{
    *bench = (struct bench){.pending = 0};
    CHECK_SAYING(ops->open(options, NULL, &bench->model, &bench->error) == 0, bench->error.text);
}

void bench_close(struct bench *bench)
{
    struct task *task;

    model_close(bench->model, &bench->handed);
    while ((task = take_one(bench)))
        release(task);
    CHECK(bench->pending == 0);
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

struct task *make_task(const muster_function *function, msgpack_object argument)
{
    struct task *task = calloc(1, sizeof *task);

    CHECK(task && (task->zone = msgpack_zone_new(256)) != NULL);
    task->function = function;
    task->argument = argument;
    return task;
}

void release(struct task *task)
{
    msgpack_zone_free(task->zone);
    free(task);
}

void submit_task(struct bench *bench, struct task *task)
{
    CHECK_SAYING(bench->model->ops->submit(bench->model, task, &bench->error) == 0, bench->error.text);
    bench->pending++;
}

struct task *submit(struct bench *bench, const muster_function *function, msgpack_object argument)
{
    struct task *task = make_task(function, argument);

    submit_task(bench, task);
    return task;
}

void bench_cancel(struct bench *bench, struct task *task)
{
    bench->model->ops->cancel(bench->model, task);
}

void bench_dispatch(struct bench *bench)
{
    CHECK_SAYING(bench->model->ops->dispatch(bench->model, &bench->handed, &bench->error) == 0,
                 bench->error.text);
}

bool is_readable(const struct bench *bench, int timeout_ms)
{
    struct pollfd item = {.fd = bench->model->ops->fd(bench->model), .events = POLLIN};

    return poll(&item, 1, timeout_ms) == 1;
}

struct task *take_one(struct bench *bench)
{
    struct task *task = bench->handed;

    if (!task)
        return NULL;
    DL_DELETE(bench->handed, task);
    CHECK(task->code <= 0 && (task->code == 0) == (task->text == NULL));
    CHECK(task->code == 0 || task->value.type == MSGPACK_OBJECT_NIL);
    CHECK(bench->pending > 0);
    bench->pending--;
    bench->ended++;
    bench->succeeded += task->code == 0;
    bench->cancelled += task->code == MUSTER_ECANCELLED;
    return task;
}

struct task *await_one(struct bench *bench)
{
    struct task *task;

    while (!(task = take_one(bench))) {
        CHECK(is_readable(bench, BENCH_WAIT_MS));
        bench_dispatch(bench);
    }
    return task;
}

void await_all(struct bench *bench)
{
    while (bench->pending > 0)
        release(await_one(bench));
}
