/* SPDX-License-Identifier: MIT
 *
 * Futures of single jobs under `inline`: how they end, who may drop them when, what is refused.
 */
#include "futures_fixture.h"
#include "jobs/muster_job.h"

#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <string.h>

static muster *m;

static void open_inline(void)
{
    m = futures_open(MUSTER_INLINE, 1);
}

static void close_inline(void)
{
    muster_close(m);
    m = NULL;
}

TestSuite(future, .init = open_inline, .fini = close_inline);

Test(future, job_is_pending_until_it_was_dispatched)
{
    muster_future *future = submit(m, "twice", 21);

    cr_expect_eq(muster_future_state(future), MUSTER_PENDING);
    cr_expect_null(muster_future_result(future));
    cr_expect_eq(muster_pending(m), 1);
    cr_expect_eq(atomic_load(&futures_calls), 0);
    cr_assert_eq(muster_dispatch(m, NULL), 0);
    cr_expect_eq(muster_future_state(future), MUSTER_SUCCEEDED);
    cr_expect_eq(number_of(future), 42);
    cr_expect_eq(muster_future_result(future)->attempts, 1);
    cr_expect_eq(muster_future_result(future)->worker, 1);
    cr_expect_eq(muster_pending(m), 0);
    muster_future_drop(future);
}

Test(future, one_dispatch_runs_one_job)
{
    muster_future *first = submit(m, "twice", 1), *second = submit(m, "twice", 2);

    muster_dispatch(m, NULL);
    cr_expect_eq(number_of(first), 2);
    cr_expect_eq(muster_future_state(second), MUSTER_PENDING);
    muster_dispatch(m, NULL);
    cr_expect_eq(number_of(second), 4);
    muster_future_drop(first);
    muster_future_drop(second);
}

Test(future, await_gives_the_value_or_the_error_of_the_job)
{
    muster_future *good = submit(m, "twice", 4), *bad = submit(m, "refuse", 7);
    const msgpack_object *value = NULL;
    struct muster_error error;

    cr_expect_eq(muster_await(good, &value, &error), 0);
    cr_assert_not_null(value);
    cr_expect_eq(value->via.u64, 8);
    value = NULL;
    cr_expect_eq(muster_await(bad, &value, &error), MUSTER_EFAILED);
    cr_expect_str_eq(error.text, "no: 7");
    cr_expect_null(value);
    cr_expect_eq(muster_await(good, NULL, NULL), 0);
    muster_future_drop(good);
    muster_future_drop(bad);
}

Test(future, argument_is_copied_before_submit_returns)
{
    msgpack_object inner[] = {{.type = MSGPACK_OBJECT_STR, .via.str = {3, "abc"}}, integer(-5)};
    msgpack_object_kv pair = {.key = inner[0], .val = inner[1]};
    msgpack_object parts[] = {{.type = MSGPACK_OBJECT_ARRAY, .via.array = {2, inner}},
                              {.type = MSGPACK_OBJECT_MAP, .via.map = {1, &pair}},
                              {.type = MSGPACK_OBJECT_ARRAY},
                              {.type = MSGPACK_OBJECT_BIN, .via.bin = {2, "\1\2"}},
                              {.type = MSGPACK_OBJECT_EXT, .via.ext = {7, 1, "x"}},
                              {.type = MSGPACK_OBJECT_STR}};
    msgpack_object argument = {.type = MSGPACK_OBJECT_ARRAY, .via.array = {6, parts}};
    const msgpack_object *value;
    muster_future *future;
    char text[128];

    cr_assert_eq(
        muster_submit(m, &(struct muster_job){.function = "echo", .argument = &argument}, &future, NULL), 0);
    memset(inner, 0, sizeof inner);
    memset(parts, 0, sizeof parts);
    pair.key = pair.val = (msgpack_object){.type = MSGPACK_OBJECT_NIL};
    cr_assert_eq(muster_await(future, &value, NULL), 0);
    msgpack_object_print_buffer(text, sizeof text, *value);
    cr_expect_str_eq(text, "[[\"abc\", -5], {\"abc\"=>-5}, [], \"\\x01\\x02\", (ext: 7)\"x\", \"\"]");
    muster_future_drop(future);
}

Test(future, submit_refuses_what_cannot_be_run_and_makes_nothing)
{
    msgpack_object garbage = {.type = (msgpack_object_type)77};
    const struct {
        struct muster_job job;
        int code;
        const char *text;
    } cases[] = {
        {{.function = "twise"}, MUSTER_ENOTFOUND, "twice"},
        {{.function = NULL}, MUSTER_EINVALID, "without a function"},
        {{.function = "twice", .argument = &garbage}, MUSTER_EINVALID, "no value"},
        {{.function = "twice", .delay_s = NAN}, MUSTER_EINVALID, "delay"},
        {{.function = "twice", .delay_s = 2e9}, MUSTER_EINVALID, "delay"},
        {{.function = "twice", .delay_s = INFINITY}, MUSTER_EINVALID, "delay"},
        {{.function = "twice", .timeout_s = 1}, MUSTER_EINVALID, "'processes'"},
        {{.function = "twice", .timeout_s = -1}, MUSTER_EINVALID, "time limit"},
        {{.function = "twice", .retries = 1u << 30}, MUSTER_EINVALID, "retries"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct muster_error error = {.text = ""};
        muster_future *future = NULL;

        cr_expect_eq(muster_submit(m, &cases[i].job, &future, &error), cases[i].code, "%zu", i);
        cr_expect_not_null(strstr(error.text, cases[i].text), "%zu: %s", i, error.text);
        cr_expect_null(future);
    }
    cr_expect_eq(muster_pending(m), 0);
}

Test(future, job_that_fails_is_tried_again_as_often_as_was_said)
{
    struct muster_job job = {.function = "flaky", .retries = 2};
    muster_future *future;

    cr_assert_eq(muster_submit(m, &job, &future, NULL), 0);
    cr_expect_eq(muster_await(future, NULL, NULL), 0);
    cr_expect_eq(muster_future_result(future)->attempts, 3);
    muster_future_drop(future);

    atomic_store(&futures_calls, 0);
    job.retries = 1;
    cr_assert_eq(muster_submit(m, &job, &future, NULL), 0);
    cr_expect_eq(muster_await(future, NULL, NULL), MUSTER_EFAILED);
    cr_expect_eq(muster_future_result(future)->attempts, 2);
    muster_future_drop(future);
}

Test(future, job_of_a_dropped_future_runs_and_calls_back)
{
    struct notes notes = {.length = 0};
    muster_future *future = submit(m, "twice", 1);

    cr_assert_eq(muster_future_on_end(future, note_success, note_failure, &notes), 0);
    muster_future_drop(future);
    cr_expect_eq(muster_pending(m), 1);
    muster_dispatch(m, NULL);
    cr_expect_str_eq(notes.text, "S");
    cr_expect_eq(muster_pending(m), 0);
    muster_future_drop(NULL);
}

/* --- callbacks */

Test(future, callbacks_are_called_in_the_order_they_were_set_and_only_by_dispatch)
{
    struct notes notes = {.length = 0};
    muster_future *good = submit(m, "twice", 1), *bad = submit(m, "refuse", 1);

    muster_future_on_end(good, note_success, note_failure, &notes);
    muster_future_on_end(bad, note_success, note_failure, &notes);
    muster_future_on_end(good, NULL, note_failure, &notes);
    muster_future_on_end(good, note_success, NULL, &notes);
    cr_expect_str_eq(notes.text, "");
    muster_dispatch(m, NULL);
    cr_expect_str_eq(notes.text, "SS");
    muster_dispatch(m, NULL);
    cr_expect_str_eq(notes.text, "SSF");
    muster_future_on_end(good, note_success, note_failure, &notes);
    cr_expect_str_eq(notes.text, "SSF");
    muster_dispatch(m, NULL);
    cr_expect_str_eq(notes.text, "SSFS");
    muster_future_drop(good);
    muster_future_drop(bad);
}

static void drop_itself(void *context, muster_future *future)
{
    note_success(context, future);
    muster_future_drop(future);
}

Test(future, callback_drops_its_own_future)
{
    struct notes notes = {.length = 0};
    muster_future *future = submit(m, "twice", 1);

    muster_future_on_end(future, drop_itself, NULL, &notes);
    muster_future_on_end(future, note_success, NULL, &notes);
    muster_dispatch(m, NULL);
    cr_expect_str_eq(notes.text, "SS");
}

Test(future, callback_drops_its_own_future_while_it_is_waited_for)
{
    struct notes notes = {.length = 0};
    muster_future *future = submit(m, "twice", 1);

    muster_future_on_end(future, drop_itself, NULL, &notes);
    cr_expect_eq(muster_future_wait(future, -1), 0);
    cr_expect_str_eq(notes.text, "S");
}

static void submit_and_chain(void *context, muster_future *future)
{
    muster_future *again = submit(m, "twice", 5), *next;

    note_success(context, future);
    cr_expect_eq(muster_then(again, step_plus_one, NULL, context, &next), 0);
    cr_expect_eq(muster_future_on_end(next, note_success, note_failure, context), 0);
    muster_future_drop(again);
    muster_future_drop(next);
}

Test(future, callback_submits_chains_and_drops)
{
    struct notes notes = {.length = 0};
    muster_future *future = submit(m, "twice", 1);

    muster_future_on_end(future, submit_and_chain, NULL, &notes);
    muster_dispatch(m, NULL);
    cr_expect_str_eq(notes.text, "S");
    muster_dispatch(m, NULL);
    cr_expect_str_eq(notes.text, "S+S");
    muster_future_drop(future);
}

static void try_to_wait(void *context, muster_future *ended)
{
    const struct muster_batch batch = {.function = "twice", .source = muster_source_range(1, 2)};
    muster_future *other = context;
    struct muster_error error;
    size_t place;

    cr_expect_eq(muster_future_wait(other, 1), MUSTER_ESTATE);
    cr_expect_eq(muster_await(other, NULL, &error), MUSTER_ESTATE);
    cr_expect_str_eq(error.text, "a callback must not wait");
    cr_expect_eq(muster_wait_any(&other, 1, 1, &place), MUSTER_ESTATE);
    cr_expect_eq(muster_wait_all(&other, 1, 1), MUSTER_ESTATE);
    cr_expect_eq(muster_dispatch(m, &error), MUSTER_ESTATE);
    cr_expect_eq(muster_map(m, &batch, NULL, &error), MUSTER_ESTATE);
    cr_expect_eq(muster_await(ended, NULL, &error), 0, "what has ended need not be waited for");
    cr_expect_eq(muster_future_state(other), MUSTER_PENDING);
}

Test(future, callback_that_waits_is_refused)
{
    muster_future *first = submit(m, "twice", 1), *other = submit(m, "twice", 2);

    muster_future_on_end(first, try_to_wait, NULL, other);
    muster_dispatch(m, NULL);
    cr_expect_eq(muster_future_wait(other, -1), 0);
    muster_future_drop(first);
    muster_future_drop(other);
}

/* --- cancelling */

Test(future, cancelled_job_does_not_run_and_its_callbacks_follow)
{
    struct notes notes = {.length = 0};
    muster_future *future = submit(m, "twice", 1);

    muster_future_on_end(future, note_success, note_failure, &notes);
    cr_expect(muster_future_cancel(future));
    cr_expect_eq(muster_future_state(future), MUSTER_CANCELLED);
    cr_expect_eq(muster_future_result(future)->code, MUSTER_ECANCELLED);
    cr_expect_str_eq(muster_future_result(future)->text, "cancelled");
    cr_expect_str_eq(notes.text, "");
    muster_dispatch(m, NULL);
    cr_expect_str_eq(notes.text, "F");
    cr_expect_eq(atomic_load(&futures_calls), 0);
    cr_expect_eq(muster_await(future, NULL, NULL), MUSTER_ECANCELLED);
    muster_future_drop(future);
}

Test(future, cancel_after_completion_changes_nothing)
{
    muster_future *future = submit(m, "twice", 1);

    muster_dispatch(m, NULL);
    cr_expect_not(muster_future_cancel(future));
    cr_expect_eq(muster_future_state(future), MUSTER_SUCCEEDED);
    cr_expect_eq(number_of(future), 2);
    muster_future_drop(future);
    future = submit(m, "twice", 1);
    cr_expect(muster_future_cancel(future));
    cr_expect_not(muster_future_cancel(future));
    muster_future_drop(future);
}

static void cancel_other(void *context, muster_future *future)
{
    (void)future;
    cr_expect(muster_future_cancel(context));
}

Test(future, callback_cancels_another_job)
{
    muster_future *first = submit(m, "twice", 1), *second = submit(m, "twice", 2);

    muster_future_on_end(first, cancel_other, NULL, second);
    cr_expect_eq(muster_future_wait(second, -1), 0);
    cr_expect_eq(muster_future_state(second), MUSTER_CANCELLED);
    cr_expect_eq(atomic_load(&futures_calls), 1);
    muster_future_drop(first);
    muster_future_drop(second);
}

Test(future, thousands_of_cancelled_jobs_leave_nothing)
{
    enum { JOBS = 10000 };
    static muster_future *futures[JOBS];
    struct notes notes = {.length = 0};
    muster_future *last;

    for (int i = 0; i < JOBS; i++)
        futures[i] = submit(m, "twice", i);
    last = submit(m, "twice", 1);
    muster_future_on_end(futures[JOBS - 1], note_success, note_failure, &notes);
    for (int i = 0; i < JOBS; i++) {
        cr_assert(muster_future_cancel(futures[i]));
        muster_future_drop(futures[i]);
    }
    cr_expect_eq(muster_pending(m), 1);
    cr_expect_eq(muster_future_wait(last, -1), 0);
    cr_expect_eq(atomic_load(&futures_calls), 1);
    cr_expect_str_eq(notes.text, "F");
    muster_future_drop(last);
}

/* --- closing */

Test(future, close_cancels_jobs_in_flight_and_calls_back)
{
    struct notes notes = {.length = 0};
    muster_future *job = submit(m, "twice", 1), *delayed, *promise, *next;

    cr_assert_eq(muster_submit(m, &(struct muster_job){.function = "twice", .delay_s = 1000}, &delayed, NULL),
                 0);
    cr_assert_eq(muster_promise(m, &promise), 0);
    cr_assert_eq(muster_then(promise, NULL, step_recover, &notes, &next), 0);
    muster_future_on_end(job, note_success, note_failure, &notes);
    muster_future_on_end(delayed, note_success, note_failure, &notes);
    muster_future_on_end(next, note_success, note_failure, &notes);
    close_inline();
    cr_expect_eq(muster_future_state(job), MUSTER_CANCELLED);
    cr_expect_eq(muster_future_state(delayed), MUSTER_CANCELLED);
    cr_expect_eq(muster_future_state(promise), MUSTER_CANCELLED);
    cr_expect_eq(number_of(next), 1000, "a failure branch still makes good what was cancelled");
    cr_expect_str_eq(notes.text, "FFRS");
    cr_expect_eq(atomic_load(&futures_calls), 0);
    muster_future_drop(job);
    muster_future_drop(delayed);
    muster_future_drop(promise);
    muster_future_drop(next);
}

static void try_to_go_on(void *context, muster_future *future)
{
    muster_completions *completions;
    muster_future *next;
    struct muster_error error;

    note_failure(context, future);
    cr_expect_eq(muster_submit(m, &(struct muster_job){.function = "twice"}, &next, &error), MUSTER_ESTATE);
    cr_expect_eq(muster_call_after(m, 0, NULL, NULL, NULL, &error), MUSTER_ESTATE);
    cr_expect_eq(muster_promise(m, &next), MUSTER_ESTATE);
    cr_expect_eq(muster_completions_create(m, &completions), MUSTER_ESTATE);
    cr_expect_eq(muster_then(future, NULL, step_recover, NULL, &next), MUSTER_ESTATE);
    cr_expect_eq(muster_future_on_end(future, NULL, note_failure, context), MUSTER_ESTATE);
}

Test(future, callback_inside_close_can_start_nothing)
{
    struct notes notes = {.length = 0};
    muster_future *future = submit(m, "twice", 1);

    muster_future_on_end(future, NULL, try_to_go_on, &notes);
    muster_future_drop(future);
    close_inline();
    cr_expect_str_eq(notes.text, "F");
}

Test(future, futures_outlive_their_muster)
{
    muster_future *good = submit(m, "twice", 1), *bad = submit(m, "refuse", 2), *next;
    const msgpack_object *value;
    struct muster_error error;

    muster_future_wait(good, -1);
    muster_future_wait(bad, -1);
    close_inline();
    cr_expect_eq(muster_await(good, &value, &error), 0);
    cr_expect_eq(value->via.u64, 2);
    cr_expect_eq(muster_await(bad, &value, &error), MUSTER_EFAILED);
    cr_expect_str_eq(error.text, "no: 2");
    cr_expect_eq(muster_then(good, NULL, NULL, NULL, &next), MUSTER_ESTATE);
    cr_expect_not(muster_future_cancel(good));
    muster_future_drop(muster_future_keep(good));
    muster_future_drop(good);
    muster_future_drop(bad);
}

static void close_it(void *context, muster_future *future)
{
    (void)context;
    (void)future;
    muster_close(m);
}

Test(future, close_inside_a_callback_is_a_bug, .signal = SIGABRT)
{
    muster_future *future = submit(m, "twice", 1);

    muster_future_on_end(future, close_it, NULL, NULL);
    muster_dispatch(m, NULL);
}

/* --- beside batches */

static int take(void *context, const struct muster_result *result)
{
    *(uint64_t *)context += result->value->via.u64;
    return 0;
}

Test(future, map_runs_beside_pending_futures_and_leaves_them_to_dispatch)
{
    struct muster_batch batch = {
        .function = "twice", .source = muster_source_range(1, 100), .on_result = take};
    muster_future *future = submit(m, "twice", 1);
    uint64_t sum = 0;

    batch.context = &sum;
    cr_expect_eq(muster_map(m, &batch, NULL, NULL), 0);
    cr_expect_eq(sum, 10100);
    cr_expect_eq(muster_future_state(future), MUSTER_PENDING);
    muster_dispatch(m, NULL);
    cr_expect_eq(number_of(future), 2);
    muster_future_drop(future);
}

Test(future, functions_of_the_caller_need_workers_that_are_copies_of_it)
{
    static const muster_function none[] = {{.name = "f", .summary = "f"}};
    static const muster_plugin bad = MUSTER_PLUGIN(none);
    struct muster_options options = {.model = MUSTER_PROCESSES, .functions = &bad};
    struct muster_error error;
    muster *other = NULL;

    cr_expect_eq(muster_open(&options, &other, &error), MUSTER_EINVALID);
    cr_expect_not_null(strstr(error.text, "MUSTER_FORK"), "%s", error.text);
    options.model = MUSTER_INLINE;
    cr_expect_lt(muster_open(&options, &other, &error), 0, "a function without code");
    cr_expect_not_null(strstr(error.text, "the calling program"), "%s", error.text);
    cr_expect_null(other);
}
