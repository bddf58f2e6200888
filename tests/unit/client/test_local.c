/* SPDX-License-Identifier: MIT
 *
 * What inline, threads and gil have in common: every check below runs under each, threads
 * with one and with several workers.
 */
#include "base/clock.h"
#include "base/sanitize.h"
#include "fixture.h"

#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Of a batch; a sanitizer, which takes ten times as long for one, sees all there is to see in fewer. */
enum {
    JOBS = SANITIZE_ADDRESS || SANITIZE_THREAD ? 9999 : 99999, /* thirds of them fail */
    MANY_CHUNKS = SANITIZE_ADDRESS || SANITIZE_THREAD ? 4000 : 20000,
};

struct setting {
    const char *name;
    const struct model_ops *ops;
    unsigned workers;
};

static void every_job_of_a_range_is_given_once_and_in_order(const struct setting *s)
{
    struct fixture f;

    fixture_open(&f, s->ops, s->workers, JOBS);
    CHECK(fixture_map(&f, job_twice) == 0);
    CHECK(fixture_all_succeeded(&f, 1, JOBS) && fixture_adds_up(&f, JOBS));
    CHECK(f.delivered == JOBS && !f.disordered);
    CHECK(f.outcomes[1].value == 2 && f.outcomes[JOBS].value == UINT64_C(2) * JOBS);
    CHECK(f.outcomes[77].attempts == 1 && f.outcomes[77].worker >= 1 && f.outcomes[77].worker <= s->workers);
    CHECK(f.summary.execute_ns > 0);
    fixture_close(&f);
}

static void unordered_results_are_complete(const struct setting *s)
{
    struct fixture f;

    fixture_open(&f, s->ops, s->workers, JOBS);
    f.batch.unordered = true;
    CHECK(fixture_map(&f, job_twice) == 0);
    CHECK(fixture_all_succeeded(&f, 1, JOBS) && f.delivered == JOBS && fixture_adds_up(&f, JOBS));
    fixture_close(&f);
}

static void a_range_of_one_and_one_at_the_edge_of_the_integers_run(const struct setting *s)
{
    struct fixture f;

    fixture_open(&f, s->ops, s->workers, 1);
    f.batch.want_arguments = true;
    CHECK(fixture_map(&f, job_twice) == 0 && f.delivered == 1 && f.outcomes[1].value == 2);
    f.batch.source = muster_source_range(INT64_MAX - 2, INT64_MAX);
    CHECK(fixture_map(&f, job_twice) == 0 && f.delivered == 3);
    CHECK(f.outcomes[3].argument == INT64_MAX && f.outcomes[1].argument == INT64_MAX - 2);
    f.batch.source = muster_source_range(INT64_MIN, INT64_MIN + 1);
    CHECK(fixture_map(&f, job_twice) == 0 && f.delivered == 2 && fixture_adds_up(&f, 2));
    fixture_close(&f);
}

static void a_chunk_size_that_is_set_changes_no_result(const struct setting *s)
{
    static const unsigned sizes[] = {1, 7, 4096, 65536};
    struct fixture f;

    fixture_open(&f, s->ops, s->workers, MANY_CHUNKS);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        f.batch.chunk_jobs = sizes[i];
        CHECK(fixture_map(&f, job_twice) == 0);
        CHECK(fixture_all_succeeded(&f, 1, MANY_CHUNKS) && !f.disordered && fixture_adds_up(&f, MANY_CHUNKS));
    }
    fixture_close(&f);
}

static void a_stream_gives_the_same_as_a_range(const struct setting *s)
{
    struct numbers numbers = {.next = 1, .last = 30000};
    struct fixture f;

    fixture_open(&f, s->ops, s->workers, 1);
    f.batch.source = numbers_source(&numbers);
    f.batch.want_arguments = true;
    CHECK(fixture_map(&f, job_twice) == 0);
    CHECK(fixture_all_succeeded(&f, 1, 30000) && !f.disordered && fixture_adds_up(&f, 30000));
    CHECK(f.outcomes[12345].value == 24690 && f.outcomes[12345].argument == 12345);
    fixture_close(&f);
}

static void an_empty_stream_ends_with_no_job(const struct setting *s)
{
    struct numbers numbers = {.next = 1, .last = 0};
    struct fixture f;

    fixture_open(&f, s->ops, s->workers, 1);
    f.batch.source = numbers_source(&numbers);
    CHECK(fixture_map(&f, job_twice) == 0 && f.delivered == 0 && fixture_adds_up(&f, 0));
    fixture_close(&f);
}

static void a_source_that_fails_ends_the_batch_after_the_arguments_so_far(const struct setting *s)
{
    struct numbers numbers = {.next = 1, .last = 1000, .fail_with = MUSTER_ELIMIT};
    struct fixture f;

    fixture_open(&f, s->ops, s->workers, 1);
    f.batch.source = numbers_source(&numbers);
    CHECK(fixture_map(&f, job_twice) == MUSTER_ELIMIT);
    CHECK(strcmp(f.error.text, "the numbers ran out") == 0);
    CHECK(fixture_all_succeeded(&f, 1, 1000) && fixture_adds_up(&f, 1000) && f.summary.succeeded == 1000);
    fixture_close(&f);
}

static int garbage_next(void *context, msgpack_zone *zone, msgpack_object *ret_argument,
                        struct muster_error *ret_error)
{
    (void)context;
    (void)zone;
    (void)ret_error;
    memset(ret_argument, 0x77, sizeof *ret_argument);
    return 0;
}

static void an_argument_that_is_no_value_is_an_error_and_no_job(const struct setting *s)
{
    struct fixture f;

    fixture_open(&f, s->ops, s->workers, 1);
    f.batch.source = (struct muster_source){.kind = MUSTER_SOURCE_STREAM, .next = garbage_next, .fd = -1};
    CHECK(fixture_map(&f, job_twice) == MUSTER_EINVALID && f.delivered == 0 && fixture_adds_up(&f, 0));
    fixture_close(&f);
}

/* A pipe whose next number is written when the model waits and has delivered all before it:
 * the source is empty again and again, and nothing but its descriptor tells when it is not. */
struct echo {
    int fds[2];
    uint64_t written;
    unsigned waits;
};

static struct echo echo;

static int echo_next(void *context, msgpack_zone *zone, msgpack_object *ret_argument,
                     struct muster_error *ret_error)
{
    uint64_t number;
    ssize_t got = read(echo.fds[0], &number, sizeof number);

    (void)context;
    (void)zone;
    (void)ret_error;
    if (got == 0)
        return MUSTER_EEND;
    if (got < 0) {
        echo.waits++;
        return MUSTER_EAGAIN;
    }
    ret_argument->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
    ret_argument->via.u64 = number;
    return 0;
}

static void echo_on(struct fixture *f)
{
    if (f->delivered < echo.written || echo.written > 200)
        return;
    if (echo.written++ < 200)
        CHECK(write(echo.fds[1], &echo.written, sizeof echo.written) == sizeof echo.written);
    else
        close(echo.fds[1]);
}

static void a_source_that_is_not_ready_is_waited_for(const struct setting *s)
{
    struct fixture f;

    fixture_open(&f, s->ops, s->workers, 1);
    CHECK(pipe2(echo.fds, O_CLOEXEC | O_NONBLOCK) == 0);
    echo.written = echo.waits = 0;
    f.each_tick = echo_on;
    f.batch.source =
        (struct muster_source){.kind = MUSTER_SOURCE_STREAM, .next = echo_next, .fd = echo.fds[0]};
    CHECK(fixture_map(&f, job_twice) == 0);
    CHECK(fixture_all_succeeded(&f, 1, 200) && fixture_adds_up(&f, 200) && echo.waits >= 199 &&
          f.ticks >= 199);
    close(echo.fds[0]);
    fixture_close(&f);
}

static void a_source_that_is_never_ready_and_has_no_descriptor_is_an_error(const struct setting *s)
{
    struct fixture f;

    fixture_open(&f, s->ops, s->workers, 1);
    CHECK(pipe2(echo.fds, O_CLOEXEC | O_NONBLOCK) == 0);
    f.batch.source = (struct muster_source){.kind = MUSTER_SOURCE_STREAM, .next = echo_next, .fd = -1};
    CHECK(fixture_map(&f, job_twice) == MUSTER_EAGAIN && fixture_adds_up(&f, 0));
    close(echo.fds[0]);
    close(echo.fds[1]);
    fixture_close(&f);
}

static void failed_jobs_are_named_with_their_reason(const struct setting *s)
{
    struct fixture f;

    fixture_open(&f, s->ops, s->workers, 3000);
    CHECK(fixture_map(&f, job_fail_third) == 0);
    CHECK(f.summary.failed == 1000 && f.summary.succeeded == 2000 && f.delivered == 3000 && !f.disordered);
    CHECK(f.outcomes[999].code == MUSTER_EFAILED && strcmp(f.outcomes[999].text, "no thirds: 999") == 0);
    CHECK(f.outcomes[999].argument == 999 && f.outcomes[998].argument == UINT64_MAX);
    CHECK(f.outcomes[1000].code == 0 && f.outcomes[1000].value == 2000);
    fixture_close(&f);
}

static void only_failures_are_given_when_nothing_else_is_wanted(const struct setting *s)
{
    struct fixture f;

    fixture_open(&f, s->ops, s->workers, JOBS);
    f.batch.failures_only = true;
    CHECK(fixture_map(&f, job_fail_third) == 0);
    CHECK(f.delivered == JOBS / 3 && f.summary.failed == JOBS / 3 && !f.disordered &&
          fixture_adds_up(&f, JOBS));
    CHECK(f.outcomes[3].times == 1 && f.outcomes[4].times == 0 && f.outcomes[JOBS].times == 1);
    CHECK(strcmp(f.outcomes[9999].text, "no thirds: 9999") == 0);
    fixture_close(&f);
}

static void a_job_that_fails_once_succeeds_when_it_is_retried(const struct setting *s)
{
    struct fixture f;

    fixture_open(&f, s->ops, s->workers, 500);
    f.batch.retries = 2;
    CHECK(fixture_map(&f, job_fail_once) == 0);
    CHECK(fixture_all_succeeded(&f, 1, 500) && f.outcomes[250].attempts == 2 && f.outcomes[250].value == 500);
    CHECK(f.summary.retried == 500 && atomic_load(&fixture_calls) == 1000);
    fixture_close(&f);
}

static void a_job_that_always_fails_is_tried_as_often_as_was_said(const struct setting *s)
{
    struct fixture f;

    fixture_open(&f, s->ops, s->workers, 3);
    f.batch.retries = 4;
    CHECK(fixture_map(&f, job_fail_third) == 0);
    CHECK(f.outcomes[3].attempts == 5 && f.outcomes[3].code == MUSTER_EFAILED && f.outcomes[2].attempts == 1);
    CHECK(f.summary.retried == 4 && f.summary.failed == 1);
    fixture_close(&f);
}

static void a_result_that_is_no_value_fails_its_job(const struct setting *s)
{
    struct fixture f;

    fixture_open(&f, s->ops, s->workers, 29);
    CHECK(fixture_map(&f, job_garbage) == 0);
    CHECK(f.summary.failed == 29 && f.outcomes[1].code == MUSTER_EINVALID);
    CHECK(fixture_map(&f, job_deep) == 0);
    CHECK(fixture_all_succeeded(&f, 1, 28) && f.outcomes[29].code == MUSTER_ELIMIT);
    fixture_close(&f);
}

static void a_taker_that_gives_up_ends_the_batch_with_its_code(const struct setting *s)
{
    struct fixture f;

    fixture_open(&f, s->ops, s->workers, INT64_C(1) << 40);
    f.give_up_at = 1000;
    CHECK(fixture_map(&f, job_twice) == 77);
    CHECK(f.delivered == 1000 && fixture_adds_up(&f, UINT64_C(1) << 40) && f.summary.cancelled > 0);
    fixture_close(&f);
}

static void a_taker_that_has_enough_gets_what_ran_and_no_error(const struct setting *s)
{
    struct fixture f;

    fixture_open(&f, s->ops, s->workers, INT64_C(1) << 40);
    f.give_up_at = 1000;
    f.give_up_with = MUSTER_EEND;
    CHECK(fixture_map(&f, job_twice) == 0);
    CHECK(f.delivered >= 1000 && f.delivered == f.summary.succeeded && !f.disordered);
    CHECK(f.summary.cancelled > 0 && fixture_adds_up(&f, UINT64_C(1) << 40));
    fixture_close(&f);
}

static void a_watcher_that_gives_up_ends_the_batch_with_its_code(const struct setting *s)
{
    struct fixture f;

    fixture_open(&f, s->ops, s->workers, INT64_C(1) << 40);
    f.batch.failures_only = true;
    f.give_up_at_tick = 2;
    CHECK(fixture_map(&f, job_twice) == 78);
    CHECK(f.ticks == 2 && fixture_adds_up(&f, UINT64_C(1) << 40));
    fixture_close(&f);
}

static void a_halt_starts_no_further_job(const struct setting *s)
{
    struct fixture f;

    fixture_open(&f, s->ops, s->workers, JOBS);
    f.batch.halt_failures = 5;
    CHECK(fixture_map(&f, job_fail_third) == 0);
    CHECK(f.summary.failed >= 5 && f.summary.failed < 5 + s->workers && fixture_adds_up(&f, JOBS));
    CHECK(f.summary.cancelled > 0 && f.delivered == f.summary.succeeded + f.summary.failed && !f.disordered);
    fixture_close(&f);
}

static void an_interrupt_ends_running_jobs_and_keeps_finished_results(const struct setting *s)
{
    struct numbers numbers = {.next = 1, .last = 1000000};
    uint64_t count;
    struct fixture f;

    fixture_open(&f, s->ops, s->workers, 1);
    f.batch.interrupt_fd = eventfd(1, EFD_CLOEXEC);
    f.batch.source = numbers_source(&numbers);
    numbers.last = UINT64_MAX;
    CHECK(f.batch.interrupt_fd >= 0);
    CHECK(fixture_map(&f, job_twice) == MUSTER_ECANCELLED);
    CHECK(f.delivered == f.summary.succeeded && f.summary.jobs == atomic_load(&numbers.pulled));
    CHECK(fixture_adds_up(&f, f.summary.jobs));
    CHECK(read(f.batch.interrupt_fd, &count, sizeof count) == sizeof count && count == 1);
    close(f.batch.interrupt_fd);
    fixture_close(&f);
}

static void timings_are_measured_when_they_are_wanted(const struct setting *s)
{
    uint64_t before_ns = clock_now_ns();
    struct fixture f;

    fixture_open(&f, s->ops, s->workers, 100);
    f.batch.want_timings = true;
    CHECK(fixture_map(&f, job_bulky) == 0 && f.outcomes[50].wall_ns > 0);
    for (unsigned i = 1; i <= 100; i++)
        CHECK(f.outcomes[i].began_ns >= before_ns &&
              f.outcomes[i].began_ns + f.outcomes[i].wall_ns <= clock_now_ns());
    f.batch.want_timings = false;
    CHECK(fixture_map(&f, job_bulky) == 0 && f.outcomes[50].wall_ns == 0 && f.outcomes[50].began_ns == 0);
    fixture_close(&f);
}

static int job_wait(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)argument;
    (void)ret_result;
    return muster_call_sleep(call, 1);
}

static void the_callers_stall_is_a_job_of_inline_and_none_of_the_pool(const struct setting *s)
{
    struct fixture f;

    fixture_open(&f, s->ops, s->workers, 1);
    CHECK(fixture_map(&f, job_wait) == 0);
    CHECK((f.summary.stall_ns >= CLOCK_NS_PER_S) == (s->ops == &model_inline));
    fixture_close(&f);
}

static void results_and_arguments_larger_than_a_chunk_pass_whole(const struct setting *s)
{
    struct numbers numbers = {.next = 1, .last = 100, .grow = true};
    struct fixture f;

    fixture_open(&f, s->ops, s->workers, 2000);
    CHECK(fixture_map(&f, job_bulky) == 0 && fixture_all_succeeded(&f, 1, 2000) && !f.disordered);
    f.batch.source = numbers_source(&numbers);
    CHECK(fixture_map(&f, job_bulky) == 0 && fixture_all_succeeded(&f, 1, 100) && !f.disordered);
    fixture_close(&f);
}

static void a_model_maps_again_after_a_batch_that_ended_early(const struct setting *s)
{
    struct fixture f;

    fixture_open(&f, s->ops, s->workers, JOBS);
    f.give_up_at = 10;
    CHECK(fixture_map(&f, job_twice) == 77);
    f.give_up_at = 0;
    for (int i = 0; i < 5; i++)
        CHECK(fixture_map(&f, job_twice) == 0 && fixture_all_succeeded(&f, 1, JOBS) && !f.disordered);
    fixture_close(&f);
}

static const struct {
    const char *name;
    void (*run)(const struct setting *setting);
} tests[] = {
#define TEST(name)  \
    {               \
#name, name \
    }
    TEST(every_job_of_a_range_is_given_once_and_in_order),
    TEST(unordered_results_are_complete),
    TEST(a_range_of_one_and_one_at_the_edge_of_the_integers_run),
    TEST(a_chunk_size_that_is_set_changes_no_result),
    TEST(a_stream_gives_the_same_as_a_range),
    TEST(an_empty_stream_ends_with_no_job),
    TEST(a_source_that_fails_ends_the_batch_after_the_arguments_so_far),
    TEST(an_argument_that_is_no_value_is_an_error_and_no_job),
    TEST(a_source_that_is_not_ready_is_waited_for),
    TEST(a_source_that_is_never_ready_and_has_no_descriptor_is_an_error),
    TEST(failed_jobs_are_named_with_their_reason),
    TEST(only_failures_are_given_when_nothing_else_is_wanted),
    TEST(a_job_that_fails_once_succeeds_when_it_is_retried),
    TEST(a_job_that_always_fails_is_tried_as_often_as_was_said),
    TEST(a_result_that_is_no_value_fails_its_job),
    TEST(a_taker_that_gives_up_ends_the_batch_with_its_code),
    TEST(a_taker_that_has_enough_gets_what_ran_and_no_error),
    TEST(a_watcher_that_gives_up_ends_the_batch_with_its_code),
    TEST(a_halt_starts_no_further_job),
    TEST(an_interrupt_ends_running_jobs_and_keeps_finished_results),
    TEST(timings_are_measured_when_they_are_wanted),
    TEST(the_callers_stall_is_a_job_of_inline_and_none_of_the_pool),
    TEST(results_and_arguments_larger_than_a_chunk_pass_whole),
    TEST(a_model_maps_again_after_a_batch_that_ended_early),
#undef TEST
};

int main(void)
{
    static const struct setting settings[] = {{"inline", &model_inline, 1},
                                              {"loop", &model_loop, 1},
                                              {"1 thread", &model_threads, 1},
                                              {"4 threads", &model_threads, 4},
                                              {"3 of gil", &model_gil, 3}};

    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        for (size_t k = 0; k < sizeof tests / sizeof *tests; k++) {
            printf("%s: %s\n", settings[i].name, tests[k].name);
            fflush(stdout);
            tests[k].run(&settings[i]);
        }
    return 0;
}
