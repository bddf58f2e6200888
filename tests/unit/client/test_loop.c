/* SPDX-License-Identifier: MIT
 *
 * What only coroutines can show: that jobs that wait overlap, however many, that those that
 * compute are not held up by them, and that order, bounds and ends hold meanwhile.
 */
#include "base/clock.h"
#include "loop_fixture.h"

#include <string.h>

/* The job that waits. */
static unsigned sleeper_at;

/* The last of MANY to arrive lets all go on. */
static int job_meet_all(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    if (arrived + 1 == MANY)
        raise_gate();
    CHECK(wait_at_gate(call) == 0);
    return job_twice(call, argument, ret_result);
}

static void thousands_of_jobs_wait_at_once(void)
{
    struct numbers numbers = {.next = 1, .last = MANY};
    struct fixture f;

    for (int kind = 0; kind < 3; kind++) {
        open_gated(&f, MANY);
        f.batch.unordered = kind == 1;
        if (kind == 2)
            f.batch.source = numbers_source(&numbers);
        CHECK(fixture_map(&f, job_meet_all) == 0);
        CHECK(most_at_once == MANY && fixture_all_succeeded(&f, 1, MANY) && fixture_adds_up(&f, MANY));
        CHECK(f.outcomes[MANY].value == 2 * MANY && (kind == 1 || !f.disordered));
        close_gated(&f);
    }
}

static int job_doze(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    begin_wait();
    CHECK(muster_call_sleep(call, 0.001) == 0);
    at_once--;
    return job_twice(call, argument, ret_result);
}

static void no_more_jobs_wait_at_once_than_was_asked_for(void)
{
    struct muster_options options = {.workers = 1, .concurrency = 7};
    struct muster_error error;
    struct fixture f;

    open_gated(&f, 100);
    f.model->ops->close(f.model, &(struct task *){NULL});
    CHECK(model_loop.open(&options, NULL, &f.model, &error) == 0);
    CHECK(fixture_map(&f, job_doze) == 0 && fixture_all_succeeded(&f, 1, 100) && !f.disordered);
    CHECK(most_at_once == 7);
    close_gated(&f);
}

/* Job `sleeper_at` waits until the last job has run. */
static int job_wait_for_last(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    if (argument->via.u64 == sleeper_at)
        CHECK(wait_at_gate(call) == 0);
    if (argument->via.u64 == 20000)
        raise_gate();
    return job_twice(call, argument, ret_result);
}

/* In the middle of a chunk, too: jobs of no length run in chunks of thousands. */
static void jobs_behind_one_that_waits_go_on(void)
{
    static const unsigned places[] = {1, 2, 33, 5000, 19999};
    struct numbers numbers;
    struct fixture f;

    for (size_t i = 0; i < 4 * sizeof places / sizeof *places; i++) {
        open_gated(&f, 20000);
        sleeper_at = places[i / 4];
        f.batch.unordered = i % 2;
        numbers = (struct numbers){.next = 1, .last = 20000};
        if (i % 4 >= 2)
            f.batch.source = numbers_source(&numbers);
        CHECK(fixture_map(&f, job_wait_for_last) == 0 && arrived == 1);
        CHECK(fixture_all_succeeded(&f, 1, 20000) && fixture_adds_up(&f, 20000));
        CHECK(i % 2 ? f.last == sleeper_at : !f.disordered);
        CHECK(f.outcomes[20000].value == 40000 && f.outcomes[sleeper_at].value == 2 * sleeper_at);
        close_gated(&f);
    }
}

static int job_wait_at_5000(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    if (argument->via.u64 == 5000)
        CHECK(wait_at_gate(call) == 0);
    return job_twice(call, argument, ret_result);
}

static void open_gate_at_4999(struct fixture *f, const struct muster_result *result)
{
    (void)f;
    if (result->index == 4999)
        raise_gate();
}

/* The one that waits is let go on by the delivery of the result before it. */
static void results_before_one_that_waits_are_delivered_meanwhile(void)
{
    struct fixture f;

    for (int unordered = 0; unordered < 2; unordered++) {
        open_gated(&f, 6000);
        f.each = open_gate_at_4999;
        f.batch.unordered = unordered;
        CHECK(fixture_map(&f, job_wait_at_5000) == 0 && fixture_all_succeeded(&f, 1, 6000));
        CHECK(unordered || !f.disordered);
        close_gated(&f);
    }
}

/* They wake in the reverse order of their start. */
static int job_sleep_the_longer_the_earlier(muster_call *call, const msgpack_object *argument,
                                            msgpack_object *ret_result)
{
    CHECK(muster_call_sleep(call, (double)(300 - argument->via.u64) / 2000) == 0);
    return argument->via.u64 % 3 ? job_twice(call, argument, ret_result) : muster_call_fail(call, "third");
}

static void order_is_kept_when_jobs_end_in_reverse(void)
{
    struct fixture f;

    for (int failures_only = 0; failures_only < 2; failures_only++) {
        open_gated(&f, 300);
        f.batch.failures_only = failures_only;
        CHECK(fixture_map(&f, job_sleep_the_longer_the_earlier) == 0);
        CHECK(!f.disordered && f.delivered == (failures_only ? 100 : 300) && f.summary.failed == 100);
        CHECK(f.outcomes[3].code == MUSTER_EFAILED && strcmp(f.outcomes[3].text, "third") == 0);
        close_gated(&f);
    }
}

/* --- bounds */

static int job_bulky_behind_first(muster_call *call, const msgpack_object *argument,
                                  msgpack_object *ret_result)
{
    if (argument->via.u64 == 1)
        CHECK(wait_at_gate(call) == 0);
    return job_bulky(call, argument, ret_result);
}

/* Two ticks in a row without a job in between: the batch waits for the first job. */
static void open_gate_when_stalled(struct fixture *f)
{
    static unsigned calls_before;
    unsigned calls = atomic_load(&fixture_calls);

    (void)f;
    if (calls > 0 && calls == calls_before) {
        CHECK(calls <= 2 * (64 << 20) / (64 << 10));
        raise_gate();
    }
    calls_before = calls;
}

static void results_behind_one_that_waits_are_bounded_and_arrive(void)
{
    struct numbers numbers = {.next = 1, .last = 6000};
    struct fixture f;

    for (int kind = 0; kind < 2; kind++) {
        open_gated(&f, 6000);
        f.each_tick = open_gate_when_stalled;
        if (kind == 1)
            f.batch.source = numbers_source(&numbers);
        CHECK(fixture_map(&f, job_bulky_behind_first) == 0);
        CHECK(fixture_all_succeeded(&f, 1, 6000) && !f.disordered);
        close_gated(&f);
    }
}

static int job_keep_argument(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    CHECK(argument->type == MSGPACK_OBJECT_STR && argument->via.str.ptr[0] == 'a');
    CHECK(muster_call_sleep(call, 0.001) == 0);
    CHECK(argument->via.str.ptr[argument->via.str.size - 1] == 'a');
    ret_result->type = MSGPACK_OBJECT_NIL;
    return 0;
}

static struct numbers large = {.next = 1, .last = 400, .grow = true};

static void check_read_ahead(struct fixture *f, const struct muster_result *result)
{
    (void)f;
    CHECK(atomic_load(&large.pulled) <= result->index + 80);
}

/* Of a source of 1 MiB strings no more are held than memory is meant for them. */
static void arguments_of_jobs_that_wait_are_bounded(void)
{
    struct fixture f;

    open_gated(&f, 1);
    f.each = check_read_ahead;
    f.batch.source = numbers_source(&large);
    CHECK(fixture_map(&f, job_keep_argument) == 0 && fixture_all_succeeded(&f, 1, 400));
    close_gated(&f);
}

/* --- ends */

static void an_interrupt_ends_all_that_wait_at_once(void)
{
    struct fixture f;

    open_gated(&f, INT64_C(1) << 50);
    f.batch.interrupt_fd = fixture_started;
    CHECK(fixture_map(&f, job_await_end) == MUSTER_ECANCELLED);
    CHECK(f.delivered == 0 && f.summary.cancelled == UINT64_C(1) << 50);
    f.batch.interrupt_fd = -1;
    f.batch.source = muster_source_range(1, 100);
    CHECK(fixture_map(&f, job_twice) == 0 && fixture_all_succeeded(&f, 1, 100));
    close_gated(&f);
}

static int job_fail_beside_waiting(muster_call *call, const msgpack_object *argument,
                                   msgpack_object *ret_result)
{
    if (argument->via.u64 == 500)
        return muster_call_fail(call, "five hundred");
    return argument->via.u64 % 2 ? muster_call_sleep(call, 3600) : job_twice(call, argument, ret_result);
}

static void a_halt_now_ends_jobs_that_wait(void)
{
    struct fixture f;

    open_gated(&f, 100000);
    f.batch.halt_failures = 1;
    f.batch.halt_now = true;
    CHECK(fixture_map(&f, job_fail_beside_waiting) == 0);
    CHECK(f.summary.failed == 1 && f.outcomes[500].code == MUSTER_EFAILED && f.outcomes[1].times == 0);
    CHECK(fixture_all_succeeded(&f, 2, 2) && fixture_all_succeeded(&f, 498, 498));
    CHECK(f.delivered == f.summary.succeeded + 1 && fixture_adds_up(&f, 100000));
    close_gated(&f);
}

static void a_taker_that_gives_up_ends_jobs_that_wait(void)
{
    struct fixture f;

    open_gated(&f, 100000);
    f.batch.unordered = true;
    f.give_up_at = 10;
    CHECK(fixture_map(&f, job_fail_beside_waiting) == 77);
    CHECK(f.delivered == 10 && fixture_adds_up(&f, 100000));
    close_gated(&f);
}

static int job_doze_and_fail_once(muster_call *call, const msgpack_object *argument,
                                  msgpack_object *ret_result)
{
    if (argument->via.u64 % 2)
        CHECK(muster_call_sleep(call, 0.001) == 0);
    return job_fail_once(call, argument, ret_result);
}

static void failed_jobs_are_tried_again_whether_they_wait_or_not(void)
{
    struct fixture f;

    open_gated(&f, 1000);
    f.batch.retries = 1;
    CHECK(fixture_map(&f, job_doze_and_fail_once) == 0 && fixture_all_succeeded(&f, 1, 1000));
    CHECK(f.summary.retried == 1000 && f.outcomes[1].attempts == 2 && f.outcomes[999].value == 1998);
    close_gated(&f);
}

static int job_spin_or_sleep(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    uint64_t until_ns;

    if (argument->via.u64 % 2)
        return muster_call_sleep(call, 0.05);
    until_ns = clock_thread_cpu_ns() + 20 * CLOCK_NS_PER_MS;
    while (clock_thread_cpu_ns() < until_ns)
        ;
    return job_twice(call, argument, ret_result);
}

static void check_times(struct fixture *f, const struct muster_result *result)
{
    (void)f;
    CHECK(result->began_ns > 0 && result->wall_ns >= result->cpu_ns / 2);
    if (result->index % 2)
        CHECK(result->wall_ns >= 50 * CLOCK_NS_PER_MS && result->cpu_ns < 10 * CLOCK_NS_PER_MS);
    else
        CHECK(result->cpu_ns >= 20 * CLOCK_NS_PER_MS);
}

/* Those that sleep, sleep while the others compute. */
static void times_are_those_of_the_job_alone(void)
{
    struct fixture f;

    open_gated(&f, 10);
    f.each = check_times;
    f.batch.want_timings = true;
    CHECK(fixture_map(&f, job_spin_or_sleep) == 0 && fixture_all_succeeded(&f, 1, 10));
    CHECK(f.summary.execute_cpu_ns >= 100 * CLOCK_NS_PER_MS && f.summary.stall_ns >= 20 * CLOCK_NS_PER_MS);
    close_gated(&f);
}

int main(void)
{
    static const struct check checks[] = {
#define C(name) {#name, name}
        C(thousands_of_jobs_wait_at_once),
        C(no_more_jobs_wait_at_once_than_was_asked_for),
        C(jobs_behind_one_that_waits_go_on),
        C(results_before_one_that_waits_are_delivered_meanwhile),
        C(order_is_kept_when_jobs_end_in_reverse),
        C(results_behind_one_that_waits_are_bounded_and_arrive),
        C(arguments_of_jobs_that_wait_are_bounded),
        C(an_interrupt_ends_all_that_wait_at_once),
        C(a_halt_now_ends_jobs_that_wait),
        C(a_taker_that_gives_up_ends_jobs_that_wait),
        C(failed_jobs_are_tried_again_whether_they_wait_or_not),
        C(times_are_those_of_the_job_alone),
    };

    return check_all(checks, sizeof checks / sizeof *checks);
}
