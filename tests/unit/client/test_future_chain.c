/* SPDX-License-Identifier: MIT
 *
 * Chains: steps, errors that skip to the next failure branch, promises, followers and cycles.
 */
#include "futures_fixture.h"

#include <criterion/criterion.h>
#include <string.h>

static muster *m;

static void open_inline(void)
{
    m = futures_open(MUSTER_INLINE, 1);
}

static void close_inline(void)
{
    muster_close(m);
}

TestSuite(chain, .init = open_inline, .fini = close_inline);

static muster_future *promise(void)
{
    muster_future *future;

    cr_assert_eq(muster_promise(m, &future), 0);
    return future;
}

static muster_future *then(muster_future *future, muster_step *on_success, muster_step *on_failure,
                           void *context)
{
    muster_future *next;

    cr_assert_eq(muster_then(future, on_success, on_failure, context, &next), 0);
    muster_future_drop(future);
    return next;
}

static int resolve(muster_future *future, int64_t number)
{
    const msgpack_object value = integer(number);

    return muster_future_resolve(future, &value);
}

Test(chain, each_step_makes_the_next_future)
{
    muster_future *end =
        then(then(submit(m, "twice", 5), step_plus_one, NULL, NULL), step_plus_one, NULL, NULL);

    cr_expect_eq(muster_await(end, NULL, NULL), 0);
    cr_expect_eq(number_of(end), 12);
    muster_future_drop(end);
}

Test(chain, error_skips_to_the_next_failure_branch)
{
    struct notes notes = {.length = 0};
    muster_future *skipped = then(submit(m, "refuse", 3), step_plus_one, NULL, &notes);
    muster_future *failed = then(muster_future_keep(skipped), step_plus_one, NULL, &notes);
    muster_future *recovered = then(muster_future_keep(failed), step_plus_one, step_recover, &notes);
    muster_future *end = then(muster_future_keep(recovered), step_plus_one, step_recover, &notes);
    struct muster_error error;

    cr_expect_eq(muster_await(end, NULL, NULL), 0);
    cr_expect_eq(number_of(end), 1001);
    cr_expect_str_eq(notes.text, "R+");
    cr_expect_eq(muster_await(failed, NULL, &error), MUSTER_EFAILED, "a wait on a failed chain");
    cr_expect_str_eq(error.text, "no: 3");
    cr_expect_eq(muster_future_result(failed)->attempts, 1);
    cr_expect_eq(muster_future_result(failed), muster_future_result(skipped), "it is shared, not copied");
    muster_future_drop(skipped);
    cr_expect_str_eq(muster_future_result(failed)->text, "no: 3");
    muster_future_drop(failed);
    muster_future_drop(recovered);
    muster_future_drop(end);
}

Test(chain, failure_branch_that_is_not_needed_is_passed)
{
    struct notes notes = {.length = 0};
    muster_future *end = then(submit(m, "twice", 4), NULL, step_recover, &notes);

    cr_expect_eq(muster_await(end, NULL, NULL), 0);
    cr_expect_eq(number_of(end), 8);
    cr_expect_str_eq(notes.text, "");
    muster_future_drop(end);
}

static int do_nothing(void *context, muster_future *ended, muster_future *next)
{
    (void)ended;
    (void)next;
    return *(int *)context;
}

Test(chain, step_without_a_word_succeeds_with_nil_and_a_code_fails)
{
    int codes[] = {0, MUSTER_ELIMIT, 5};
    muster_future *ends[3];
    const msgpack_object *value;
    struct muster_error error;

    for (int i = 0; i < 3; i++)
        ends[i] = then(submit(m, "twice", 4), do_nothing, NULL, &codes[i]);
    cr_assert_eq(muster_wait_all(ends, 3, -1), 0);
    cr_expect_eq(muster_await(ends[0], &value, NULL), 0);
    cr_expect_eq(value->type, MSGPACK_OBJECT_NIL);
    cr_expect_eq(muster_await(ends[1], NULL, &error), MUSTER_ELIMIT);
    cr_expect_str_eq(error.text, muster_error_name(MUSTER_ELIMIT));
    cr_expect_eq(muster_await(ends[2], NULL, &error), MUSTER_EFAILED, "a positive number is no code");
    for (int i = 0; i < 3; i++)
        muster_future_drop(ends[i]);
}

static int submit_next(void *context, muster_future *ended, muster_future *next)
{
    muster_future *job = submit(m, "twice", (int64_t)number_of(ended));
    int code = muster_future_follow(next, job);

    (void)context;
    muster_future_drop(job);
    return code;
}

Test(chain, step_submits_a_job_that_the_chain_goes_on_with)
{
    muster_future *end = then(then(submit(m, "twice", 1), submit_next, NULL, NULL), submit_next, NULL, NULL);

    cr_expect_eq(muster_await(end, NULL, NULL), 0);
    cr_expect_eq(number_of(end), 8);
    muster_future_drop(end);
}

static int follow_and_fail(void *context, muster_future *ended, muster_future *next)
{
    submit_next(context, ended, next);
    return MUSTER_ELIMIT;
}

Test(chain, step_that_follows_and_then_fails_has_failed)
{
    muster_future *end = then(submit(m, "twice", 1), follow_and_fail, NULL, NULL);

    cr_expect_eq(muster_await(end, NULL, NULL), MUSTER_ELIMIT);
    while (muster_pending(m) > 0)
        muster_dispatch(m, NULL);
    cr_expect_eq(atomic_load(&futures_calls), 2);
    cr_expect_eq(muster_future_result(end)->code, MUSTER_ELIMIT);
    muster_future_drop(end);
}

Test(chain, cancelled_link_takes_no_step_and_leaves_what_it_waits_for)
{
    struct notes notes = {.length = 0};
    muster_future *job = submit(m, "twice", 1),
                  *next = then(muster_future_keep(job), step_plus_one, NULL, &notes);
    muster_future *end = then(muster_future_keep(next), step_plus_one, step_recover, &notes);

    cr_expect(muster_future_cancel(next));
    cr_expect_eq(muster_future_state(job), MUSTER_PENDING);
    cr_expect_eq(muster_await(job, NULL, NULL), 0);
    cr_expect_eq(muster_await(end, NULL, NULL), 0);
    cr_expect_str_eq(notes.text, "R");
    cr_expect_eq(resolve(next, 1), MUSTER_ESTATE);
    muster_future_drop(job);
    muster_future_drop(next);
    muster_future_drop(end);
}

Test(chain, cancelling_the_first_fails_the_rest_as_cancelled)
{
    muster_future *job = submit(m, "twice", 1);
    muster_future *end =
        then(then(muster_future_keep(job), step_plus_one, NULL, NULL), step_plus_one, NULL, NULL);

    cr_expect(muster_future_cancel(job));
    cr_expect_eq(muster_await(end, NULL, NULL), MUSTER_ECANCELLED);
    cr_expect_eq(muster_future_state(end), MUSTER_CANCELLED);
    muster_future_drop(job);
    muster_future_drop(end);
}

/* --- promises */

Test(chain, promise_is_kept_once)
{
    struct notes notes = {.length = 0};
    muster_future *future = promise();
    char text[] = "kept";
    msgpack_object value = {.type = MSGPACK_OBJECT_STR, .via.str = {4, text}};

    muster_future_on_end(future, note_success, note_failure, &notes);
    cr_expect_eq(muster_future_resolve(future, &value), 0);
    cr_expect_eq(muster_future_state(future), MUSTER_SUCCEEDED);
    cr_expect_str_eq(notes.text, "", "callbacks follow with the next dispatch");
    memset(text, 'x', 4);
    cr_expect_eq(memcmp(muster_future_result(future)->value->via.str.ptr, "kept", 4), 0);
    cr_expect_eq(resolve(future, 1), MUSTER_ESTATE);
    cr_expect_eq(muster_future_reject(future, MUSTER_EFAILED, NULL), MUSTER_ESTATE);
    cr_expect_eq(muster_future_follow(future, future), MUSTER_ESTATE);
    muster_dispatch(m, NULL);
    cr_expect_str_eq(notes.text, "S");
    muster_future_drop(future);
}

Test(chain, promise_is_rejected_with_a_code_and_a_text)
{
    muster_future *first = promise(), *second = promise(), *third = promise();
    struct muster_error error;
    char text[] = "because";

    cr_expect_eq(muster_future_reject(first, 0, "no error"), MUSTER_EINVALID);
    cr_expect_eq(muster_future_reject(first, 3, "no error"), MUSTER_EINVALID);
    cr_expect_eq(muster_future_reject(first, MUSTER_EFAILED, text), 0);
    memset(text, 'x', sizeof text - 1);
    cr_expect_eq(muster_await(first, NULL, &error), MUSTER_EFAILED);
    cr_expect_str_eq(error.text, "because");
    cr_expect_eq(muster_future_reject(second, MUSTER_ELOST, NULL), 0);
    cr_expect_eq(muster_await(second, NULL, &error), MUSTER_ELOST);
    cr_expect_str_eq(error.text, muster_error_name(MUSTER_ELOST));
    cr_expect_eq(muster_future_reject(third, MUSTER_ECANCELLED, NULL), 0);
    cr_expect_eq(muster_future_state(third), MUSTER_CANCELLED);
    muster_future_drop(first);
    muster_future_drop(second);
    muster_future_drop(third);
}

Test(chain, garbage_keeps_no_promise)
{
    muster_future *future = promise();
    const msgpack_object garbage = {.type = (msgpack_object_type)99};

    cr_expect_eq(muster_future_resolve(future, &garbage), MUSTER_EINVALID);
    cr_expect_eq(muster_future_state(future), MUSTER_PENDING);
    cr_expect_eq(muster_future_resolve(future, NULL), 0);
    cr_expect_eq(muster_future_result(future)->value->type, MSGPACK_OBJECT_NIL);
    muster_future_drop(future);
}

Test(chain, future_of_a_job_or_a_step_to_come_is_no_promise)
{
    muster_future *job = submit(m, "twice", 1),
                  *next = then(muster_future_keep(job), step_plus_one, NULL, NULL);
    muster_future *other = promise();

    cr_expect_eq(resolve(job, 1), MUSTER_ESTATE);
    cr_expect_eq(muster_future_follow(job, other), MUSTER_ESTATE);
    cr_expect_eq(resolve(next, 1), MUSTER_ESTATE);
    cr_expect_eq(muster_future_follow(next, other), MUSTER_ESTATE);
    cr_expect_eq(muster_await(next, NULL, NULL), 0);
    cr_expect_eq(number_of(next), 3);
    muster_future_drop(job);
    muster_future_drop(next);
    muster_future_drop(other);
}

Test(chain, promise_that_everybody_dropped_fails_those_who_wait)
{
    muster_future *end = then(promise(), step_plus_one, NULL, NULL), *bare = promise();
    struct muster_error error;

    muster_future_drop(bare);
    cr_expect_eq(muster_await(end, NULL, &error), MUSTER_ESTATE);
    cr_expect_str_eq(error.text, "nobody is left who could keep the promise");
    cr_expect_eq(muster_pending(m), 0);
    muster_future_drop(end);
}

Test(chain, wait_for_a_promise_that_nobody_can_keep_returns)
{
    muster_future *future = promise(), *next = then(muster_future_keep(future), step_plus_one, NULL, NULL);
    struct muster_error error;
    size_t place;

    cr_expect_eq(muster_future_wait(future, -1), MUSTER_ESTATE);
    cr_expect_eq(muster_future_wait(future, 1000), MUSTER_ESTATE);
    cr_expect_eq(muster_await(next, NULL, &error), MUSTER_ESTATE);
    cr_expect_not_null(strstr(error.text, "cannot end"), "%s", error.text);
    cr_expect_eq(muster_wait_any(&next, 1, -1, &place), MUSTER_ESTATE);
    cr_expect_eq(resolve(future, 1), 0);
    cr_expect_eq(muster_await(next, NULL, &error), 0);
    muster_future_drop(future);
    muster_future_drop(next);
}

/* --- following */

Test(chain, follower_ends_as_what_it_follows_before_and_after)
{
    muster_future *first = promise(), *early = promise(), *late = promise(), *last = promise();

    cr_expect_eq(muster_future_follow(early, first), 0);
    cr_expect_eq(resolve(early, 5), MUSTER_ESTATE, "it is promised to follow");
    cr_expect_eq(resolve(first, 7), 0);
    cr_expect_eq(muster_future_follow(late, first), 0);
    cr_expect_eq(number_of(late), 7);
    muster_future_drop(first);
    cr_expect_eq(muster_await(early, NULL, NULL), 0);
    cr_expect_eq(muster_future_follow(last, early), 0);
    muster_future_drop(early);
    muster_future_drop(late);
    cr_expect_eq(number_of(last), 7, "the value lives as long as one that has it");
    muster_future_drop(last);
}

Test(chain, cancelled_is_followed_and_a_cancelled_follower_stays_so)
{
    muster_future *first = promise(), *second = promise(), *follower = promise();

    cr_expect_eq(muster_future_follow(follower, first), 0);
    cr_expect_eq(muster_future_follow(second, first), 0);
    cr_expect(muster_future_cancel(second));
    cr_expect_eq(resolve(first, 1), 0);
    cr_expect_eq(muster_await(follower, NULL, NULL), 0);
    cr_expect_eq(muster_future_state(second), MUSTER_CANCELLED);
    muster_future_drop(follower);
    follower = promise();
    cr_expect_eq(muster_future_follow(follower, second), 0);
    cr_expect_eq(muster_future_state(follower), MUSTER_CANCELLED);
    muster_future_drop(first);
    muster_future_drop(second);
    muster_future_drop(follower);
}

Test(chain, future_that_would_follow_itself_is_refused)
{
    muster_future *a = promise(), *b = promise(), *c = promise();
    muster_future *after = then(muster_future_keep(a), step_plus_one, NULL, NULL);

    cr_expect_eq(muster_future_follow(a, a), MUSTER_EINVALID);
    cr_expect_eq(muster_future_follow(b, a), 0);
    cr_expect_eq(muster_future_follow(c, b), 0);
    cr_expect_eq(muster_future_follow(a, c), MUSTER_EINVALID);
    cr_expect_eq(muster_future_follow(a, after), MUSTER_EINVALID, "through a step, too");
    cr_expect_eq(resolve(a, 3), 0);
    cr_expect_eq(muster_await(c, NULL, NULL), 0);
    cr_expect_eq(number_of(c), 3);
    muster_future_drop(a);
    muster_future_drop(b);
    muster_future_drop(c);
    muster_future_drop(after);
}

static int follow_itself(void *context, muster_future *ended, muster_future *next)
{
    (void)context;
    (void)ended;
    return muster_future_follow(next, next);
}

Test(chain, step_that_follows_itself_fails)
{
    muster_future *end = then(submit(m, "twice", 1), follow_itself, NULL, NULL);

    cr_expect_eq(muster_await(end, NULL, NULL), MUSTER_EINVALID);
    muster_future_drop(end);
}

/* b was cancelled while a was pending; what waits for b waits for a no longer. */
Test(chain, cancelled_link_makes_no_cycle)
{
    muster_future *a = promise(), *b = then(muster_future_keep(a), step_plus_one, NULL, NULL), *c = promise();

    cr_expect_eq(muster_future_follow(c, b), 0);
    cr_expect(muster_future_cancel(b));
    cr_expect_eq(muster_future_follow(a, c), 0);
    cr_expect_eq(muster_await(a, NULL, NULL), MUSTER_ECANCELLED);
    muster_future_drop(a);
    muster_future_drop(b);
    muster_future_drop(c);
}

Test(chain, futures_of_another_muster_are_refused)
{
    muster *other = futures_open(MUSTER_INLINE, 1);
    muster_future *ours = promise(), *theirs, *both[2];
    muster_completions *completions;
    size_t place;

    cr_assert_eq(muster_promise(other, &theirs), 0);
    both[0] = ours;
    both[1] = theirs;
    cr_expect_eq(muster_future_follow(ours, theirs), MUSTER_EINVALID);
    cr_expect_eq(muster_wait_any(both, 2, 0, &place), MUSTER_EINVALID);
    cr_expect_eq(muster_wait_all(both, 2, 0), MUSTER_EINVALID);
    cr_assert_eq(muster_completions_create(m, &completions), 0);
    cr_expect_eq(muster_completions_add(completions, theirs), MUSTER_EINVALID);
    muster_completions_destroy(completions);
    muster_future_drop(theirs);
    muster_close(other);
    muster_future_drop(ours);
}

/* --- length */

enum { LONG = 100000 };

Test(chain, hundred_thousand_steps_take_no_stack)
{
    muster_future *first = promise(), *end = muster_future_keep(first);

    for (int i = 0; i < LONG; i++)
        end = then(end, step_plus_one, NULL, NULL);
    cr_expect_eq(resolve(first, 0), 0);
    cr_expect_eq(muster_await(end, NULL, NULL), 0);
    cr_expect_eq(number_of(end), LONG);
    muster_future_drop(first);
    muster_future_drop(end);
}

/* Neither from the first to the last nor the other way is the chain walked at each link. */
Test(chain, hundred_thousand_futures_follow_each_other)
{
    static muster_future *futures[LONG];

    for (int i = 0; i < LONG; i++)
        futures[i] = promise();
    for (int i = 0; i < LONG / 2; i++)
        cr_assert_eq(muster_future_follow(futures[i], futures[i + 1]), 0);
    for (int i = LONG - 2; i >= LONG / 2; i--)
        cr_assert_eq(muster_future_follow(futures[i], futures[i + 1]), 0);
    cr_expect_eq(resolve(futures[LONG - 1], 9), 0);
    cr_expect_eq(muster_await(futures[0], NULL, NULL), 0);
    cr_expect_eq(number_of(futures[0]), 9);
    for (int i = LONG - 1; i >= 0; i--)
        muster_future_drop(futures[i]);
}

Test(chain, hundred_thousand_links_are_ended_by_close)
{
    muster_future *first = promise(), *end = muster_future_keep(first);
    muster *other = m;

    for (int i = 0; i < LONG; i++)
        end = then(end, step_plus_one, NULL, NULL);
    m = futures_open(MUSTER_INLINE, 1);
    muster_close(other);
    cr_expect_eq(muster_future_state(end), MUSTER_CANCELLED);
    muster_future_drop(first);
    muster_future_drop(end);
}
