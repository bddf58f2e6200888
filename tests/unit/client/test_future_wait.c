/* SPDX-License-Identifier: MIT
 *
 * Waiting for one, any and all futures, futures as they end, timers, and the descriptor that an
 * application's own loop polls. No time is asserted but that something is not too early.
 */
#include "base/clock.h"
#include "futures_fixture.h"

#include <criterion/criterion.h>
#include <math.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static muster *m;

static void open_inline(void)
{
    m = futures_open(MUSTER_INLINE, 1);
}

static void close_inline(void)
{
    muster_close(m);
}

TestSuite(wait, .init = open_inline, .fini = close_inline);

static muster_future *promise(void)
{
    muster_future *future;

    cr_assert_eq(muster_promise(m, &future), 0);
    return future;
}

static void keep_promise(void *context)
{
    const msgpack_object value = integer(1);

    cr_expect_eq(muster_future_resolve(context, &value), 0);
}

static bool is_readable(void)
{
    struct pollfd item = {.fd = muster_fd(m), .events = POLLIN};

    return poll(&item, 1, 0) == 1;
}

/* --- waits */

Test(wait, wait_gives_up_when_the_time_is_over)
{
    muster_future *future = promise();

    cr_assert_eq(muster_call_after(m, 3600, keep_promise, future, NULL, NULL), 0);
    cr_expect_eq(muster_future_wait(future, 0), MUSTER_ETIMEOUT);
    cr_expect_eq(muster_future_wait(future, 0.01), MUSTER_ETIMEOUT);
    cr_expect_eq(muster_future_wait(future, NAN), MUSTER_EINVALID);
    cr_expect_eq(muster_future_state(future), MUSTER_PENDING);
    muster_future_drop(future);
}

Test(wait, any_names_the_first_that_has_ended)
{
    muster_future *futures[] = {submit(m, "twice", 0), submit(m, "twice", 1), submit(m, "twice", 2)};
    size_t place = 9;

    cr_expect_eq(muster_wait_any(futures, 0, -1, &place), MUSTER_EINVALID);
    cr_expect_eq(muster_wait_any(futures + 1, 2, -1, &place), 0);
    cr_expect_eq(place, 0);
    cr_expect_eq(muster_wait_any(futures + 1, 2, 0, &place), 0, "it has ended already");
    cr_expect_eq(place, 0);
    cr_expect_eq(muster_wait_any(futures + 2, 1, -1, &place), 0);
    cr_expect_eq(place, 0);
    for (int i = 0; i < 3; i++)
        muster_future_drop(futures[i]);
}

Test(wait, any_and_all_give_up_when_the_time_is_over)
{
    muster_future *futures[] = {promise(), submit(m, "twice", 1), promise()};
    size_t place = 9;

    cr_assert_eq(muster_call_after(m, 3600, keep_promise, futures[0], NULL, NULL), 0);
    cr_expect_eq(muster_wait_all(futures, 3, 0.01), MUSTER_ETIMEOUT);
    cr_expect_eq(muster_future_state(futures[1]), MUSTER_SUCCEEDED);
    cr_expect_eq(muster_wait_any(&futures[2], 1, 0.01, &place), MUSTER_ETIMEOUT);
    cr_expect_eq(place, 9);
    cr_expect_eq(muster_wait_all(futures, 0, -1), 0, "none is all of none");
    for (int i = 0; i < 3; i++)
        muster_future_drop(futures[i]);
}

Test(wait, all_of_many_is_not_quadratic)
{
    enum { MANY = 100000 };
    static muster_future *futures[MANY];
    size_t place;

    for (int i = 0; i < MANY; i++)
        futures[i] = submit(m, "twice", i);
    cr_expect_eq(muster_wait_any(&futures[MANY / 2], MANY / 2, -1, &place), 0);
    cr_expect_eq(place, 0);
    cr_expect_eq(muster_wait_all(futures, MANY, -1), 0);
    for (int i = 0; i < MANY; i++) {
        cr_expect_eq(number_of(futures[i]), (uint64_t)(2 * i));
        muster_future_drop(futures[i]);
    }
}

static void drop_both(void *context, muster_future *future)
{
    muster_future **futures = context;

    (void)future;
    muster_future_drop(futures[0]);
    muster_future_drop(futures[1]);
}

Test(wait, callback_drops_the_futures_that_are_waited_for)
{
    muster_future *futures[] = {submit(m, "twice", 1), submit(m, "twice", 2)};

    muster_future_on_end(futures[0], drop_both, NULL, futures);
    cr_expect_eq(muster_wait_all(futures, 2, -1), 0);
}

static void wait_for_any(void *context, muster_future *future)
{
    size_t place = 9;

    (void)future;
    cr_expect_eq(muster_wait_any(context, 2, 0, &place), MUSTER_ESTATE);
    cr_expect_eq(place, 9);
}

static void keep_promise_too(void *context, muster_future *future)
{
    (void)future;
    keep_promise(context);
}

Test(wait, callback_that_waits_for_any_does_not_take_the_end_from_its_own_wait)
{
    muster_future *first = submit(m, "twice", 1), *second = submit(m, "twice", 2);
    muster_future *futures[] = {promise(), promise()};
    size_t place = 9;

    cr_assert_eq(muster_future_on_end(first, wait_for_any, NULL, futures), 0);
    cr_assert_eq(muster_future_on_end(second, keep_promise_too, NULL, futures[1]), 0);
    cr_assert_eq(muster_wait_any(futures, 2, 60, &place), 0);
    cr_expect_eq(place, 1);
    muster_future_drop(first);
    muster_future_drop(second);
    muster_future_drop(futures[0]);
    muster_future_drop(futures[1]);
}

/* --- completions */

Test(wait, completions_come_in_the_order_in_which_they_end)
{
    muster_future *futures[] = {promise(), promise(), promise()}, *next;
    muster_completions *completions;
    uint64_t timer;

    cr_assert_eq(muster_completions_create(m, &completions), 0);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(muster_completions_add(completions, futures[i]), 0);
    cr_expect_eq(muster_completions_next(completions, 0, &next), MUSTER_ESTATE, "nobody can end them");
    keep_promise(futures[2]);
    muster_future_reject(futures[0], MUSTER_EFAILED, NULL);
    for (int i = 2; i >= 0; i -= 2) {
        cr_assert_eq(muster_completions_next(completions, -1, &next), 0);
        cr_expect_eq(next, futures[i]);
        muster_future_drop(next);
    }
    muster_call_after(m, 3600, keep_promise, futures[1], &timer, NULL);
    cr_expect_eq(muster_completions_next(completions, 0.01, &next), MUSTER_ETIMEOUT);
    cr_expect(muster_timer_cancel(m, timer));
    muster_call_after(m, 0.01, keep_promise, futures[1], NULL, NULL);
    cr_assert_eq(muster_completions_next(completions, -1, &next), 0);
    cr_expect_eq(next, futures[1]);
    muster_future_drop(next);
    cr_expect_eq(muster_completions_next(completions, -1, &next), MUSTER_EEND);
    cr_assert_eq(muster_completions_add(completions, futures[0]), 0);
    cr_assert_eq(muster_completions_next(completions, -1, &next), 0, "it had ended when it was added");
    cr_expect_eq(next, futures[0]);
    muster_future_drop(next);
    muster_completions_destroy(completions);
    for (int i = 0; i < 3; i++)
        muster_future_drop(futures[i]);
}

Test(wait, completions_keep_what_their_caller_drops)
{
    muster_completions *completions;
    muster_future *future;
    uint64_t sum = 0;

    cr_assert_eq(muster_completions_create(m, &completions), 0);
    for (int i = 0; i < 1000; i++) {
        future = submit(m, "twice", i);
        cr_assert_eq(muster_completions_add(completions, future), 0);
        muster_future_drop(future);
    }
    while (muster_completions_next(completions, -1, &future) == 0) {
        sum += number_of(future);
        muster_future_drop(future);
    }
    cr_expect_eq(sum, 999000);
    muster_completions_destroy(completions);
}

Test(wait, completions_are_destroyed_with_futures_inside)
{
    muster_future *ended = submit(m, "twice", 1), *pending = submit(m, "twice", 2), *promised = promise();
    struct notes notes = {.length = 0};
    muster_completions *completions;

    cr_assert_eq(muster_completions_create(m, &completions), 0);
    muster_completions_add(completions, ended);
    muster_completions_add(completions, pending);
    muster_completions_add(completions, promised);
    muster_future_on_end(pending, note_success, note_failure, &notes);
    muster_dispatch(m, NULL);
    muster_future_drop(ended);
    muster_future_drop(promised);
    muster_completions_destroy(completions);
    muster_completions_destroy(NULL);
    cr_expect_eq(muster_future_wait(pending, -1), 0);
    cr_expect_str_eq(notes.text, "S");
    muster_future_drop(pending);
}

static void destroy_completions(void *context, muster_future *future)
{
    (void)future;
    muster_completions_destroy(context);
}

Test(wait, completions_are_destroyed_by_a_callback_while_they_are_waited_for)
{
    muster_future *job = submit(m, "twice", 1), *promised = promise(), *next = NULL;
    muster_completions *completions;

    cr_assert_eq(muster_completions_create(m, &completions), 0);
    cr_assert_eq(muster_completions_add(completions, promised), 0);
    cr_assert_eq(muster_future_on_end(job, destroy_completions, NULL, completions), 0);
    cr_expect_eq(muster_completions_next(completions, -1, &next), MUSTER_ESTATE);
    cr_expect_null(next);
    muster_future_drop(promised);
    muster_future_drop(job);
}

Test(wait, completions_outlive_their_muster)
{
    muster *other = futures_open(MUSTER_INLINE, 1);
    muster_completions *completions;
    muster_future *future, *next;

    cr_assert_eq(muster_completions_create(other, &completions), 0);
    future = submit(other, "twice", 1);
    muster_completions_add(completions, future);
    muster_close(other);
    cr_assert_eq(muster_completions_next(completions, -1, &next), 0);
    cr_expect_eq(muster_future_state(next), MUSTER_CANCELLED);
    cr_expect_eq(muster_completions_next(completions, -1, &future), MUSTER_EEND);
    cr_expect_eq(muster_completions_add(completions, next), MUSTER_ESTATE);
    muster_future_drop(next);
    muster_future_drop(future);
    muster_completions_destroy(completions);
}

/* --- timers */

static void note_timer(void *context)
{
    note(context, 't');
}

Test(wait, timer_in_the_past_is_called_by_the_next_dispatch)
{
    struct notes notes = {.length = 0};
    uint64_t first = 0, second = 0;

    cr_assert_eq(muster_call_after(m, -5, note_timer, &notes, &first, NULL), 0);
    cr_assert_eq(muster_call_after(m, 0, note_timer, &notes, &second, NULL), 0);
    cr_assert_eq(muster_call_after(m, -INFINITY, note_timer, &notes, NULL, NULL), 0);
    cr_expect_str_eq(notes.text, "");
    cr_expect(first != 0 && second != 0 && first != second);
    cr_expect(is_readable());
    muster_dispatch(m, NULL);
    cr_expect_str_eq(notes.text, "ttt");
    cr_expect_not(is_readable());
    cr_expect_not(muster_timer_cancel(m, first), "it was called");
}

Test(wait, timer_that_is_out_of_range_is_refused)
{
    const double bad[] = {NAN, INFINITY, 1.1e9};
    struct muster_error error;

    for (int i = 0; i < 3; i++)
        cr_expect_eq(muster_call_after(m, bad[i], note_timer, NULL, NULL, &error), MUSTER_EINVALID);
    cr_expect_not_null(strstr(error.text, "out of range"), "%s", error.text);
    cr_expect_eq(muster_pending(m), 0);
}

Test(wait, cancelled_timer_is_not_called)
{
    struct notes notes = {.length = 0};
    uint64_t soon, later;

    cr_assert_eq(muster_call_after(m, 0, note_timer, &notes, &soon, NULL), 0);
    cr_assert_eq(muster_call_after(m, 3600, note_timer, &notes, &later, NULL), 0);
    cr_expect_eq(muster_pending(m), 2);
    cr_expect(muster_timer_cancel(m, soon));
    cr_expect_not(muster_timer_cancel(m, soon));
    cr_expect_not(muster_timer_cancel(m, 0));
    cr_expect_not(is_readable(), "nothing is due");
    muster_dispatch(m, NULL);
    cr_expect_str_eq(notes.text, "");
    cr_expect(muster_timer_cancel(m, later));
    cr_expect_eq(muster_pending(m), 0);
}

struct rearmed {
    uint64_t numbers[2];
    int calls;
};

static void cancel_the_other(void *context)
{
    struct rearmed *rearmed = context;

    rearmed->calls++;
    cr_expect(muster_timer_cancel(m, rearmed->numbers[1]));
}

Test(wait, timer_cancels_another_that_is_due_too)
{
    struct rearmed rearmed = {.calls = 0};

    for (int i = 0; i < 2; i++)
        muster_call_after(m, 0, cancel_the_other, &rearmed, &rearmed.numbers[i], NULL);
    muster_dispatch(m, NULL);
    muster_dispatch(m, NULL);
    cr_expect_eq(rearmed.calls, 1);
}

static void set_again(void *context)
{
    struct rearmed *rearmed = context;

    rearmed->calls++;
    muster_call_after(m, 0, set_again, rearmed, &rearmed->numbers[0], NULL);
}

Test(wait, timer_that_sets_itself_again_does_not_hold_the_caller)
{
    struct rearmed rearmed = {.calls = 0};

    set_again(&rearmed);
    for (int i = 0; i < 3; i++)
        muster_dispatch(m, NULL);
    cr_expect(rearmed.calls > 1 && rearmed.calls <= 4, "%d", rearmed.calls);
    cr_expect(is_readable());
    cr_expect(muster_timer_cancel(m, rearmed.numbers[0]));
}

Test(wait, delayed_job_runs_after_its_delay_and_not_before)
{
    const msgpack_object argument = integer(3);
    uint64_t began_ns = clock_now_ns();
    muster_future *soon, *past, *never;

    cr_assert_eq(
        muster_submit(m, &(struct muster_job){.function = "twice", .argument = &argument, .delay_s = 0.02},
                      &soon, NULL),
        0);
    cr_assert_eq(
        muster_submit(m, &(struct muster_job){.function = "twice", .argument = &argument, .delay_s = -1},
                      &past, NULL),
        0);
    cr_assert_eq(muster_submit(m, &(struct muster_job){.function = "twice", .delay_s = 3600}, &never, NULL),
                 0);
    muster_dispatch(m, NULL);
    cr_expect_eq(number_of(past), 6);
    cr_expect_eq(muster_await(soon, NULL, NULL), 0);
    cr_expect_geq(clock_now_ns() - began_ns, 20 * CLOCK_NS_PER_MS);
    cr_expect_eq(number_of(soon), 6);
    cr_expect(muster_future_cancel(never));
    cr_expect_eq(muster_pending(m), 0);
    cr_expect_eq(atomic_load(&futures_calls), 2);
    muster_future_drop(soon);
    muster_future_drop(past);
    muster_future_drop(never);
}

/* --- the descriptor */

Test(wait, descriptor_is_readable_while_there_is_something_to_do)
{
    struct notes notes = {.length = 0};
    muster_future *first = submit(m, "twice", 1), *second = submit(m, "twice", 2);

    cr_expect(is_readable());
    cr_expect(is_readable(), "level-triggered");
    muster_dispatch(m, NULL);
    cr_expect(is_readable(), "there is a second job");
    muster_dispatch(m, NULL);
    cr_expect_not(is_readable());
    muster_future_on_end(first, note_success, NULL, &notes);
    cr_expect(is_readable(), "a callback is due");
    muster_dispatch(m, NULL);
    cr_expect_not(is_readable());
    cr_expect_str_eq(notes.text, "S");
    muster_future_drop(first);
    muster_future_drop(second);
}

Test(wait, one_dispatch_calls_a_bounded_number_of_callbacks)
{
    enum { MANY = 5000 };
    muster_future *future = promise();
    muster_future *next = muster_future_keep(future);
    unsigned dispatches = 0;

    for (int i = 0; i < MANY; i++) {
        muster_future *end;

        cr_assert_eq(muster_then(next, step_plus_one, NULL, NULL, &end), 0);
        muster_future_drop(next);
        next = end;
    }
    keep_promise(future);
    while (is_readable()) {
        cr_assert_eq(muster_dispatch(m, NULL), 0);
        dispatches++;
    }
    cr_expect_eq(number_of(next), MANY + 1);
    cr_expect_geq(dispatches, 5);
    muster_future_drop(future);
    muster_future_drop(next);
}

Test(wait, application_with_an_epoll_loop_runs_jobs_timers_and_its_own)
{
    struct notes notes = {.length = 0};
    int loop = epoll_create1(EPOLL_CLOEXEC), pipe_fds[2];
    struct epoll_event event = {.events = EPOLLIN, .data.fd = muster_fd(m)};
    muster_future *job = submit(m, "twice", 1), *failing = submit(m, "refuse", 2);
    bool own = false;

    cr_assert(loop >= 0 && pipe(pipe_fds) == 0);
    cr_assert_eq(epoll_ctl(loop, EPOLL_CTL_ADD, muster_fd(m), &event), 0);
    event.data.fd = pipe_fds[0];
    cr_assert_eq(epoll_ctl(loop, EPOLL_CTL_ADD, pipe_fds[0], &event), 0);
    cr_assert_eq(write(pipe_fds[1], "x", 1), 1);
    muster_future_on_end(job, note_success, note_failure, &notes);
    muster_future_on_end(failing, note_success, note_failure, &notes);
    muster_call_after(m, 0.01, note_timer, &notes, NULL, NULL);
    while (muster_pending(m) > 0 || !own) {
        char byte;

        cr_assert_eq(epoll_wait(loop, &event, 1, 20000), 1);
        if (event.data.fd == muster_fd(m))
            cr_assert_eq(muster_dispatch(m, NULL), 0);
        else
            own = read(pipe_fds[0], &byte, 1) == 1;
    }
    cr_expect(notes.length == 3 && strchr(notes.text, 'S') && strchr(notes.text, 'F') &&
              strchr(notes.text, 't'));
    cr_expect_eq(epoll_wait(loop, &event, 1, 0), 0, "nothing is left to do");
    muster_future_drop(job);
    muster_future_drop(failing);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    close(loop);
}
