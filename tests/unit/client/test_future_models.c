/* SPDX-License-Identifier: MIT
 *
 * Futures under every model: the same program with the same answers, jobs in flight that are
 * cancelled, waited for and closed upon. Functions are those that ship, since workers have those.
 */
#include "base/clock.h"
#include "futures_fixture.h"

#include <poll.h>
#include <string.h>

/* A model runs jobs beside each other, or one after another. */
static const struct setting {
    enum muster_model model;
    bool beside;
} settings[] = {
    {MUSTER_INLINE, false}, {MUSTER_THREADS, true},   {MUSTER_GIL, true},
    {MUSTER_LOOP, true},    {MUSTER_PROCESSES, true},
};

static muster *m;
static bool beside, processes;

static muster_future *submit_value(const char *function, const msgpack_object *argument, double delay_s)
{
    const struct muster_job job = {.function = function, .argument = argument, .delay_s = delay_s};
    struct muster_error error;
    muster_future *future;

    if (muster_submit(m, &job, &future, &error) != 0) {
        fprintf(stderr, "%s\n", error.text);
        exit(1);
    }
    return future;
}

/* A job that waits. */
static muster_future *request(int64_t number, double seconds)
{
    msgpack_object_kv members[] = {
        {{.type = MSGPACK_OBJECT_STR, .via.str = {6, "number"}}, integer(number)},
        {{.type = MSGPACK_OBJECT_STR, .via.str = {7, "seconds"}},
         {.type = MSGPACK_OBJECT_FLOAT64, .via.f64 = seconds}},
    };
    const msgpack_object argument = {.type = MSGPACK_OBJECT_MAP, .via.map = {2, members}};

    return submit_value("request", &argument, 0);
}

static void answers_are_those_of_every_model(void)
{
    enum { JOBS = 300 };
    muster_future *futures[JOBS], *bad = submit(m, "fib", -1);
    struct muster_error error;

    for (int i = 0; i < JOBS; i++)
        futures[i] = submit(m, "fib", i % 20);
    CHECK(muster_wait_all(futures, JOBS, -1) == 0);
    for (int i = 0; i < JOBS; i++) {
        CHECK(i % 20 != 10 || number_of(futures[i]) == 55);
        CHECK(muster_future_result(futures[i])->attempts == 1 &&
              muster_future_result(futures[i])->worker >= 1);
        muster_future_drop(futures[i]);
    }
    CHECK(muster_await(bad, NULL, &error) == MUSTER_EFAILED && strstr(error.text, "fib"));
    muster_future_drop(bad);
}

/* Workers that are processes run commands. */
static void command_that_failed_has_its_outcome(void)
{
    msgpack_object_kv members[] = {
        {{.type = MSGPACK_OBJECT_STR, .via.str = {5, "shell"}},
         {.type = MSGPACK_OBJECT_STR, .via.str = {7, "/bin/sh"}}},
        {{.type = MSGPACK_OBJECT_STR, .via.str = {4, "line"}},
         {.type = MSGPACK_OBJECT_STR, .via.str = {6, "exit 3"}}},
    };
    const msgpack_object argument = {.type = MSGPACK_OBJECT_MAP, .via.map = {2, members}};
    muster_future *future = submit_value("command", &argument, 0);
    const struct muster_result *result;
    struct muster_error error;

    CHECK(muster_await(future, NULL, &error) == MUSTER_EFAILED);
    result = muster_future_result(future);
    if (processes) {
        CHECK(result->value && result->value->type == MSGPACK_OBJECT_ARRAY &&
              result->value->via.array.ptr[0].via.i64 == 3);
    } else {
        CHECK(!result->value);
    }
    muster_future_drop(future);
}

/* The receipt of a job that ended, submitted and awaited between these. */
static void check_receipt(muster_future *future, uint64_t before_ns, uint64_t after_ns)
{
    const struct muster_result *result = muster_future_result(future);
    const struct muster_receipt *receipt = result->receipt;
    uint64_t sum = 0;

    CHECK(receipt);
    for (int i = 0; i < MUSTER_PHASES; i++)
        sum += receipt->phase_ns[i];
    CHECK(sum == receipt->total_ns && receipt->total_ns <= after_ns - before_ns);
    CHECK(result->began_ns >= before_ns && result->began_ns + result->wall_ns <= after_ns);
    CHECK(receipt->phase_ns[MUSTER_PHASE_EXECUTE] <= result->wall_ns);
    CHECK(receipt->phase_ns[MUSTER_PHASE_IDLE] == 0);
}

static void job_that_is_alone_has_a_receipt_however_short_it_is(void)
{
    for (int i = 0; i < 100; i++) {
        uint64_t before_ns = clock_now_ns();
        muster_future *future = submit(m, "noop", i);

        CHECK(muster_await(future, NULL, NULL) == 0);
        check_receipt(future, before_ns, clock_now_ns());
        muster_future_drop(future);
    }
}

/* After tiny ones: the first of the long ones may not be timed. */
static void long_jobs_have_receipts_and_tiny_ones_among_others_have_none(void)
{
    enum { TINY = 2000, LONG = 100, ROUNDS_MAX = 50 };
    static muster_future *futures[TINY];
    unsigned receipts = TINY;
    uint64_t before_ns;

    /* Of the first ones nothing is known before; on a busy machine, tiny ones may look long. */
    for (unsigned round = 0; round < ROUNDS_MAX && receipts >= TINY / 2; round++) {
        receipts = 0;
        for (unsigned i = 0; i < TINY; i++)
            futures[i] = submit(m, "noop", i);
        CHECK(muster_wait_all(futures, TINY, -1) == 0);
        for (unsigned i = 0; i < TINY; i++) {
            receipts += muster_future_result(futures[i])->receipt != NULL;
            muster_future_drop(futures[i]);
        }
    }
    CHECK(receipts < TINY / 2);
    receipts = 0;
    before_ns = clock_now_ns();
    for (unsigned i = 0; i < LONG; i++)
        futures[i] = request(i, 0.001);
    CHECK(muster_wait_all(futures, LONG, -1) == 0);
    for (unsigned i = 0; i < LONG; i++) {
        if (muster_future_result(futures[i])->receipt)
            check_receipt(futures[i], before_ns, clock_now_ns());
        receipts += muster_future_result(futures[i])->receipt != NULL;
        muster_future_drop(futures[i]);
    }
    CHECK(receipts > 0);
}

static void failed_job_has_a_receipt_and_a_cancelled_one_has_none(void)
{
    uint64_t before_ns = clock_now_ns();
    muster_future *bad = submit(m, "fib", -1), *cancelled;

    CHECK(muster_await(bad, NULL, NULL) == MUSTER_EFAILED);
    check_receipt(bad, before_ns, clock_now_ns());
    muster_future_drop(bad);
    cancelled = request(1, 3600);
    CHECK(muster_future_cancel(cancelled) && !muster_future_result(cancelled)->receipt);
    muster_future_drop(cancelled);
}

static int submit_next(void *context, muster_future *ended, muster_future *next)
{
    muster_future *job = submit(m, "echo", (int64_t)number_of(ended) + 1);
    int code = muster_future_follow(next, job);

    (void)context;
    muster_future_drop(job);
    return code;
}

static void chain_of_jobs_that_each_submit_the_next(void)
{
    enum { LINKS = 200 };
    muster_future *end = submit(m, "echo", 0);

    for (int i = 0; i < LINKS; i++) {
        muster_future *next;

        CHECK(muster_then(end, submit_next, NULL, NULL, &next) == 0);
        muster_future_drop(end);
        end = next;
    }
    CHECK(muster_await(end, NULL, NULL) == 0 && number_of(end) == LINKS);
    muster_future_drop(end);
}

static void job_that_ends_first_is_completed_first(void)
{
    muster_future *slow, *quick, *next;
    muster_completions *completions;
    size_t place;

    if (!beside)
        return;
    slow = request(1, 3600);
    quick = submit(m, "echo", 2);
    CHECK(muster_completions_create(m, &completions) == 0);
    CHECK(muster_completions_add(completions, slow) == 0);
    CHECK(muster_completions_add(completions, quick) == 0);
    CHECK(muster_completions_next(completions, -1, &next) == 0 && next == quick);
    CHECK(muster_wait_any((muster_future *[]){slow, quick}, 2, -1, &place) == 0 && place == 1);
    CHECK(muster_future_wait(slow, 0.01) == MUSTER_ETIMEOUT);
    CHECK(muster_wait_all((muster_future *[]){quick, slow}, 2, 0) == MUSTER_ETIMEOUT);
    muster_future_drop(next);
    CHECK(muster_future_cancel(slow));
    CHECK(muster_completions_next(completions, -1, &next) == 0 && next == slow);
    muster_future_drop(next);
    muster_completions_destroy(completions);
    muster_future_drop(slow);
    muster_future_drop(quick);
}

static void thousands_of_cancelled_jobs_hold_nobody_up(void)
{
    enum { JOBS = 5000 };
    static muster_future *futures[JOBS];
    muster_future *last;

    for (int i = 0; i < JOBS; i++)
        futures[i] = request(i, 3600);
    if (beside)
        muster_dispatch(m, NULL);
    for (int i = 0; i < JOBS; i++) {
        CHECK(muster_future_cancel(futures[i]) && !muster_future_cancel(futures[i]));
        CHECK(muster_future_state(futures[i]) == MUSTER_CANCELLED);
        muster_future_drop(futures[i]);
    }
    last = submit(m, "echo", 7);
    CHECK(muster_await(last, NULL, NULL) == 0 && number_of(last) == 7);
    CHECK(muster_pending(m) == 0);
    muster_future_drop(last);
}

static void count(void *context, muster_future *future)
{
    (void)future;
    ++*(unsigned *)context;
}

static void descriptor_wakes_an_applications_loop(void)
{
    enum { JOBS = 2000 };
    struct pollfd item = {.fd = muster_fd(m), .events = POLLIN};
    unsigned ended = 0;

    for (int i = 0; i < JOBS; i++) {
        muster_future *future = submit(m, "echo", i);

        CHECK(muster_future_on_end(future, count, NULL, &ended) == 0);
        muster_future_drop(future);
    }
    while (ended < JOBS) {
        CHECK(poll(&item, 1, 60000) == 1);
        CHECK(muster_dispatch(m, NULL) == 0);
    }
    CHECK(muster_pending(m) == 0);
}

static int add(void *context, const struct muster_result *result)
{
    *(uint64_t *)context += result->value->via.u64;
    return 0;
}

static void batch_runs_beside_pending_futures(void)
{
    enum { JOBS = 100 };
    uint64_t sum = 0;
    const struct muster_batch batch = {
        .function = "echo", .source = muster_source_range(1, 1000), .on_result = add, .context = &sum};
    muster_future *futures[JOBS];

    for (int i = 0; i < JOBS; i++)
        futures[i] = submit(m, "echo", i);
    for (int round = 0; round < 3; round++)
        CHECK(muster_map(m, &batch, NULL, NULL) == 0);
    CHECK(sum == 3 * 500500);
    for (int i = 0; i < JOBS; i++)
        CHECK(muster_future_state(futures[i]) == MUSTER_PENDING); /* until the next dispatch */
    CHECK(muster_wait_all(futures, JOBS, -1) == 0);
    for (int i = 0; i < JOBS; i++)
        CHECK(number_of(futures[i]) == (uint64_t)i);
    for (int i = 0; i < JOBS; i++)
        muster_future_drop(futures[i]);
}

static void delayed_jobs_run_in_the_order_of_their_delays(void)
{
    const msgpack_object argument = integer(1);
    uint64_t began_ns = clock_now_ns();
    muster_future *later = submit_value("echo", &argument, 0.03),
                  *sooner = submit_value("echo", &argument, 0.01);
    muster_future *never = submit_value("echo", &argument, 3600);

    CHECK(muster_await(later, NULL, NULL) == 0);
    CHECK(clock_now_ns() - began_ns >= 30 * CLOCK_NS_PER_MS);
    CHECK(muster_await(sooner, NULL, NULL) == 0);
    CHECK(muster_future_cancel(never));
    muster_future_drop(later);
    muster_future_drop(sooner);
    muster_future_drop(never);
}

static void open_model(const struct setting *setting)
{
    const struct muster_options options = {
        .model = setting->model, .workers = 2, .worker_program = getenv("MUSTER")};
    struct muster_error error;

    beside = setting->beside;
    processes = setting->model == MUSTER_PROCESSES;
    if (muster_open(&options, &m, &error) != 0) {
        fprintf(stderr, "%s: %s\n", muster_model_name(setting->model), error.text);
        exit(1);
    }
}

/* Two jobs run and will for an hour; the others wait for them. */
static void close_ends_jobs_in_flight(const struct setting *setting)
{
    enum { JOBS = 200 };
    muster_future *futures[JOBS], *quick = NULL;
    unsigned failures = 0, successes = 0;

    open_model(setting);
    if (beside)
        quick = submit(m, "echo", 1);
    for (int i = 0; i < JOBS; i++) {
        futures[i] = request(i, 3600);
        CHECK(muster_future_on_end(futures[i], count, NULL, &successes) == 0);
        CHECK(muster_future_on_end(futures[i], NULL, count, &failures) == 0);
    }
    if (beside)
        CHECK(muster_future_wait(quick, -1) == 0);
    muster_future_drop(quick);
    muster_close(m);
    CHECK(failures == JOBS && successes == 0);
    for (int i = 0; i < JOBS; i++) {
        CHECK(muster_future_state(futures[i]) == MUSTER_CANCELLED);
        CHECK(muster_await(futures[i], NULL, NULL) == MUSTER_ECANCELLED);
        muster_future_drop(futures[i]);
    }
}

/* The model is no more then: its memory, too. */
static void ask_muster(void *context, muster_future *future)
{
    (void)future;
    CHECK(muster_workers(m) == 2);
    if (processes)
        CHECK(muster_scratch(m) && strncmp(muster_scratch(m), "/tmp/", 5) == 0);
    else
        CHECK(!muster_scratch(m));
    ++*(unsigned *)context;
}

static void callback_inside_close_asks_for_workers_and_scratch(enum muster_model model)
{
    const struct muster_options options = {
        .model = model, .workers = 2, .worker_program = getenv("MUSTER"), .scratch = "/tmp"};
    unsigned calls = 0;
    muster_future *promise;

    processes = model == MUSTER_PROCESSES;
    CHECK(muster_open(&options, &m, NULL) == 0 && muster_promise(m, &promise) == 0);
    CHECK(muster_future_on_end(promise, NULL, ask_muster, &calls) == 0);
    muster_close(m);
    CHECK(calls == 1);
    muster_future_drop(promise);
}

int main(void)
{
    static void (*const tests[])(void) = {
        answers_are_those_of_every_model,
        command_that_failed_has_its_outcome,
        job_that_is_alone_has_a_receipt_however_short_it_is,
        long_jobs_have_receipts_and_tiny_ones_among_others_have_none,
        failed_job_has_a_receipt_and_a_cancelled_one_has_none,
        chain_of_jobs_that_each_submit_the_next,
        job_that_ends_first_is_completed_first,
        thousands_of_cancelled_jobs_hold_nobody_up,
        descriptor_wakes_an_applications_loop,
        batch_runs_beside_pending_futures,
        delayed_jobs_run_in_the_order_of_their_delays,
    };

    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        fprintf(stderr, "%s\n", muster_model_name(settings[i].model));
        open_model(&settings[i]);
        for (size_t k = 0; k < sizeof tests / sizeof *tests; k++)
            tests[k]();
        muster_close(m);
        close_ends_jobs_in_flight(&settings[i]);
    }
    callback_inside_close_asks_for_workers_and_scratch(MUSTER_THREADS);
    callback_inside_close_asks_for_workers_and_scratch(MUSTER_PROCESSES);
    return 0;
}
