/* SPDX-License-Identifier: MIT
 *
 * What only several threads can show: that they run at once, that order is kept while they
 * do, and that nothing piles up behind a job that takes long.
 */
#include "base/sanitize.h"
#include "fixture.h"
#include "tests/support/self.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static pthread_barrier_t barrier;

static int job_meet(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call;
    pthread_barrier_wait(&barrier);
    *ret_result = *argument;
    return 0;
}

/* Each of the jobs waits for the others: fewer threads than workers would never end. */
static void as_many_jobs_run_at_once_as_there_are_workers(void)
{
    struct numbers numbers = {.next = 1, .last = 40};
    struct fixture f;

    CHECK(pthread_barrier_init(&barrier, NULL, 4) == 0);
    fixture_open(&f, &model_threads, 4, 40);
    f.batch.chunk_jobs = 1;
    CHECK(fixture_map(&f, job_meet) == 0 && fixture_all_succeeded(&f, 1, 40) && f.summary.chunks == 40);
    f.batch.source = numbers_source(&numbers);
    CHECK(fixture_map(&f, job_meet) == 0 && fixture_all_succeeded(&f, 1, 40));
    f.batch.chunk_jobs = 0;
    f.batch.source = muster_source_range(1, 4);
    CHECK(fixture_map(&f, job_meet) == 0 && fixture_all_succeeded(&f, 1, 4));
    fixture_close(&f);
    pthread_barrier_destroy(&barrier);
}

/* Job 1 ends when `release` is raised. */
static atomic_uint release, ran;

static void wait_for_release(const msgpack_object *argument)
{
    while (argument->via.u64 == 1 && !atomic_load(&release))
        sched_yield();
}

static int job_first_last(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    wait_for_release(argument);
    if (atomic_fetch_add(&ran, 1) + 1 == 20000)
        atomic_store(&release, 1);
    return job_twice(call, argument, ret_result);
}

static void order_is_kept_when_the_first_job_ends_last(void)
{
    static const unsigned sizes[] = {0, 1};
    struct fixture f;

    fixture_open(&f, &model_threads, 3, 20001);
    for (int kind = 0; kind < 4; kind++) {
        atomic_store(&ran, 0);
        atomic_store(&release, 0);
        f.batch.chunk_jobs = sizes[kind % 2];
        f.batch.failures_only = kind >= 2;
        CHECK(fixture_map(&f, job_first_last) == 0 && !f.disordered && fixture_adds_up(&f, 20001));
        CHECK(f.summary.succeeded == 20001 && f.delivered == (kind >= 2 ? 0 : 20001));
    }
    fixture_close(&f);
}

static int job_bulky_behind_first(muster_call *call, const msgpack_object *argument,
                                  msgpack_object *ret_result)
{
    wait_for_release(argument);
    return job_bulky(call, argument, ret_result);
}

/* Two ticks in a row without a job in between: the workers wait for the first job. */
static void release_when_stalled(struct fixture *f)
{
    static unsigned calls_before;
    unsigned calls = atomic_load(&fixture_calls);

    (void)f;
    if (calls > 0 && calls == calls_before && !atomic_load(&release)) {
        CHECK(calls <= 2 * (64 << 20) / (64 << 10));
        atomic_store(&release, 1);
    }
    calls_before = calls;
}

static void results_behind_a_long_job_are_bounded_and_arrive(void)
{
    struct numbers numbers = {.next = 1, .last = 6000};
    struct fixture f;

    for (int kind = 0; kind < 2; kind++) {
        atomic_store(&release, 0);
        fixture_open(&f, &model_threads, 3, 6000);
        f.each_tick = release_when_stalled;
        if (kind == 1)
            f.batch.source = numbers_source(&numbers);
        CHECK(fixture_map(&f, job_bulky_behind_first) == 0);
        CHECK(atomic_load(&release) && fixture_all_succeeded(&f, 1, 6000) && !f.disordered);
        fixture_close(&f);
    }
}

static int job_slow_taker(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call;
    *ret_result = *argument;
    ret_result->type = MSGPACK_OBJECT_NIL;
    return 0;
}

/* Arguments are read as jobs take them: a source of 1 MiB strings is not read into memory. */
static struct numbers large = {.next = 1, .last = 400, .grow = true};

static void check_read_ahead(struct fixture *f, const struct muster_result *result)
{
    (void)f;
    CHECK(atomic_load(&large.pulled) <= result->index + 80);
}

static void a_source_is_read_only_as_fast_as_its_jobs_are_taken(void)
{
    struct fixture f;

    fixture_open(&f, &model_threads, 2, 1);
    f.each = check_read_ahead;
    f.batch.source = numbers_source(&large);
    CHECK(fixture_map(&f, job_slow_taker) == 0 && fixture_all_succeeded(&f, 1, 400));
    fixture_close(&f);
}

static size_t resident_early;

/* The 2.5 million results after the first would take 160 MB. The thread sanitizer keeps a history
 * that grows; it sees as many hand-overs as it needs in fewer. */
enum { EARLY = 500000, ENOUGH = SANITIZE_THREAD ? 600000 : 3000000 };

static void watch_memory(struct fixture *f, const struct muster_result *result)
{
    (void)result;
    if (f->delivered == EARLY)
        resident_early = self_resident_bytes();
    if (!SANITIZE_THREAD && f->delivered > EARLY && f->delivered % 100000 == 0)
        CHECK(self_resident_bytes() < resident_early + (100 << 20));
}

static void memory_does_not_grow_with_a_huge_range(void)
{
    struct fixture f;

    fixture_open(&f, &model_threads, 2, INT64_C(1) << 62);
    f.each = watch_memory;
    f.give_up_at = ENOUGH;
    CHECK(fixture_map(&f, job_twice) == 77);
    CHECK(fixture_adds_up(&f, UINT64_C(1) << 62) && f.delivered == ENOUGH && resident_early > 0);
    fixture_close(&f);
}

static void an_interrupt_wakes_jobs_that_wait(void)
{
    struct fixture f;

    fixture_open(&f, &model_threads, 4, INT64_C(1) << 50);
    f.batch.interrupt_fd = fixture_started;
    CHECK(fixture_map(&f, job_await_end) == MUSTER_ECANCELLED);
    CHECK(f.delivered == 0 && f.summary.cancelled == UINT64_C(1) << 50);
    fixture_close(&f);
}

/* Job 7 fails, but only while job 1 waits to be cancelled. */
static int job_fail_beside_waiting(muster_call *call, const msgpack_object *argument,
                                   msgpack_object *ret_result)
{
    if (argument->via.u64 == 1) {
        atomic_store(&release, 1);
        return muster_call_sleep(call, 3600);
    }
    while (!atomic_load(&release))
        sched_yield();
    return argument->via.u64 == 7 ? muster_call_fail(call, "seven") : job_twice(call, argument, ret_result);
}

static void a_halt_now_ends_running_jobs_too(void)
{
    struct fixture f;

    atomic_store(&release, 0);
    fixture_open(&f, &model_threads, 2, 100000);
    f.batch.halt_failures = 1;
    f.batch.halt_now = true;
    CHECK(fixture_map(&f, job_fail_beside_waiting) == 0);
    CHECK(f.summary.failed == 1 && f.outcomes[7].code == MUSTER_EFAILED && f.outcomes[1].times == 0);
    CHECK(f.summary.cancelled > 0 && fixture_adds_up(&f, 100000));
    CHECK(f.delivered == f.summary.succeeded + 1 && fixture_all_succeeded(&f, 2, 6));
    fixture_close(&f);
}

static atomic_uint long_jobs;

/* Short, until they are suddenly long. */
static int job_turns_long(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    if (argument->via.u64 > 60000 && muster_call_sleep(call, 0.03) == 0)
        atomic_fetch_add(&long_jobs, 1);
    return job_twice(call, argument, ret_result);
}

static void a_chunk_whose_jobs_turn_long_is_shared_out_again(void)
{
    unsigned by_worker[5] = {0};
    struct fixture f;

    fixture_open(&f, &model_threads, 4, 60024);
    CHECK(fixture_map(&f, job_turns_long) == 0 && fixture_all_succeeded(&f, 1, 60024) && !f.disordered);
    for (uint64_t i = 60001; i <= 60024; i++)
        by_worker[f.outcomes[i].worker]++;
    for (unsigned worker = 1; worker <= 4; worker++)
        CHECK(by_worker[worker] <= 12);
    CHECK(atomic_load(&long_jobs) == 24);
    fixture_close(&f);
}

static void pinned_workers_run_on_allowed_cores(void)
{
    struct muster_options options = {.workers = 3, .pin = true};
    struct muster_error error;
    struct model *model;

    CHECK(model_threads.open(&options, NULL, &model, &error) == 0);
    model_threads.close(model, &(struct task *){NULL});
}

int main(void)
{
    static const struct check tests[] = {
#define TEST(name) {#name, name}
        TEST(as_many_jobs_run_at_once_as_there_are_workers),
        TEST(order_is_kept_when_the_first_job_ends_last),
        TEST(results_behind_a_long_job_are_bounded_and_arrive),
        TEST(a_source_is_read_only_as_fast_as_its_jobs_are_taken),
        TEST(memory_does_not_grow_with_a_huge_range),
        TEST(an_interrupt_wakes_jobs_that_wait),
        TEST(a_halt_now_ends_running_jobs_too),
        TEST(a_chunk_whose_jobs_turn_long_is_shared_out_again),
        TEST(pinned_workers_run_on_allowed_cores),
#undef TEST
    };

    return check_all(tests, sizeof tests / sizeof *tests);
}
