/* SPDX-License-Identifier: MIT
 *
 * What the tests of the in-process models share: functions to map, sources of arguments, and
 * a taker that notes results. Everything is reset by fixture_open.
 */
#ifndef MUSTER_TESTS_CLIENT_FIXTURE_H
#define MUSTER_TESTS_CLIENT_FIXTURE_H

#include "client/model.h"

#include "tests/support/check.h"

#include <stdatomic.h>

enum { FIXTURE_JOBS_MAX = 1 << 17 };

/* What became of a job, by index. */
struct outcome {
    unsigned times; /* it was given to on_result */
    int code;
    uint64_t value, argument; /* UINT64_MAX: none */
    unsigned attempts, worker;
    uint64_t began_ns, wall_ns;
    char text[64];
};

struct fixture {
    struct model *model;
    struct muster_batch batch; /* on_result, on_tick and context are set */
    struct muster_summary summary;
    struct muster_error error;
    unsigned workers;
    uint64_t began_ns; /* the latest batch */

    struct outcome *outcomes; /* FIXTURE_JOBS_MAX + 1 */
    uint64_t delivered, last; /* results so far; the index of the latest */
    bool disordered;          /* an index was not above the one before */
    uint64_t give_up_at;      /* on_result fails at this delivery, and from it on; 0: never */
    int give_up_with;         /* 0: 77 */
    unsigned ticks;
    unsigned give_up_at_tick; /* on_tick fails with 78; 0: never */
    void (*each)(struct fixture *fixture, const struct muster_result *result); /* may be NULL */
    void (*each_tick)(struct fixture *fixture);
};

/* Opens the model and sets a batch of the range 1..jobs; fixture_map maps it. */
void fixture_open(struct fixture *fixture, const struct model_ops *ops, unsigned workers, int64_t jobs);
void fixture_close(struct fixture *fixture);
int fixture_map(struct fixture *fixture, muster_function_run *run);

/* The jobs from `first` to `last` were given once each, as successes. */
bool fixture_all_succeeded(const struct fixture *fixture, uint64_t first, uint64_t last);

/* The summary adds up to `jobs`, and its receipt to the time of the workers. */
bool fixture_adds_up(const struct fixture *fixture, uint64_t jobs);

/* Functions. Arguments are integers. */
extern muster_function_run job_twice;      /* 2 * argument */
extern muster_function_run job_fail_third; /* twice; fails with "no thirds: ARGUMENT" at multiples of 3 */
extern muster_function_run job_fail_once;  /* twice; its first call with an argument fails */
extern muster_function_run job_garbage;    /* no value at all */
extern muster_function_run job_deep;       /* arrays, ARGUMENT inside each other */
extern muster_function_run job_await_end;  /* raises fixture_started, then sleeps until it is cancelled */
extern muster_function_run job_bulky;      /* 64 KiB of binary */

extern atomic_uint fixture_calls; /* calls of job_fail_once, job_bulky and job_twice */
extern int fixture_started;       /* an eventfd, written by job_await_end */

/* A stream of first..last. */
struct numbers {
    uint64_t next, last;
    int fail_with; /* instead of the end; 0: end */
    bool grow;     /* arguments are strings of 1 MiB in the zone, not numbers */
    atomic_uint pulled;
};

int numbers_next(void *context, msgpack_zone *zone, msgpack_object *ret_argument,
                 struct muster_error *ret_error);
struct muster_source numbers_source(struct numbers *numbers);

#endif
