/* SPDX-License-Identifier: MIT
 *
 * Single jobs under the model `processes`, as the futures drive them: a model with real workers that have the
 * plug-in `faulty`, and the tasks that it has not handed back.
 */
#ifndef MUSTER_TESTS_UNIT_CLIENT_PROCESSES_FIXTURE_H
#define MUSTER_TESTS_UNIT_CLIENT_PROCESSES_FIXTURE_H

#include "client/processes.h"
#include "tests/support/check.h"

enum { BENCH_WAIT_MS = 60000 };

struct bench {
    struct model *model;
    struct task *handed; /* taken from dispatch and not looked at yet */
    unsigned pending;
    uint64_t ended, succeeded, cancelled;
    struct muster_error error;
};

extern const struct model_ops *const ops;
extern char folder[]; /* of the run, */
extern char gate[64]; /* and a file in it, for which `wait_file` waits */

void bench_open(struct bench *bench, unsigned workers);

/* Takes all that is left, of which nothing may be missing. */
void bench_close(struct bench *bench);

msgpack_object number(uint64_t value);
msgpack_object text(const char *string);

/* Whoever takes a task from await_one or from dispatch releases it. */
struct task *make_task(const char *function, msgpack_object argument);
void submit_task(struct bench *bench, struct task *task);
struct task *submit(struct bench *bench, const char *function, msgpack_object argument);
void release(struct task *task);

/* A task that was handed back: it is counted by how it ended. */
void bench_count(struct bench *bench, const struct task *task);

bool is_readable(const struct bench *bench, int timeout_ms);

/* The next that ended, waited for; and all, which are released. */
struct task *await_one(struct bench *bench);
void await_all(struct bench *bench);

void open_gate(void);

/* check_all with the folder. */
int bench_check_all(const struct check *checks, size_t count);

#endif
