/* SPDX-License-Identifier: MIT
 *
 * Single jobs of a model, as the futures drive them: submitted, cancelled and handed back by one thread.
 */
#ifndef MUSTER_TESTS_UNIT_CLIENT_BENCH_H
#define MUSTER_TESTS_UNIT_CLIENT_BENCH_H

#include "client/model.h"
#include "tests/support/check.h"

enum { BENCH_WAIT_MS = 60000 };

/* A model, and the tasks that it has not handed back. */
struct bench {
    struct model *model;
    struct task *handed;                  /* taken from dispatch and not looked at yet */
    unsigned pending;                     /* submitted and not looked at */
    uint64_t ended, succeeded, cancelled; /* of those looked at */
    struct muster_error error;
};

void bench_open(struct bench *bench, const struct model_ops *ops, const struct muster_options *options);

/* Closes the model and looks at all that it hands back, of which nothing may be missing. */
void bench_close(struct bench *bench);

msgpack_object number(uint64_t value);
msgpack_object text(const char *string);

/* Whoever is given a task by take_one or await_one releases it. */
struct task *make_task(const muster_function *function, msgpack_object argument);
void release(struct task *task);

void submit_task(struct bench *bench, struct task *task);
struct task *submit(struct bench *bench, const muster_function *function, msgpack_object argument);
void bench_cancel(struct bench *bench, struct task *task);

/* One call of the model's dispatch, and whether its descriptor says that there is something to do. */
void bench_dispatch(struct bench *bench);
bool is_readable(const struct bench *bench, int timeout_ms);

/* The next of those that were handed back; NULL: there is none. */
struct task *take_one(struct bench *bench);

/* The next that is handed back, waited for; and all, which are released. */
struct task *await_one(struct bench *bench);
void await_all(struct bench *bench);

#endif
