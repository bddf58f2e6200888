/* SPDX-License-Identifier: MIT
 *
 * The futures over a model of the test's own: one that is lost, that refuses, that hands back
 * late; and what a future costs.
 */
#include "client/handle.h"
#include "futures_fixture.h"
#include "jobs/registry.h"

#include <criterion/criterion.h>
#include <malloc.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utlist.h>

/* Holds tasks until the test ends them. */
struct fake {
    struct model model;
    struct task *tasks;
    int fd;
    int refuse_with, lose_with;
    bool returns; /* with the next map */
    unsigned submitted, cancelled;
};

static int fake_submit(struct model *model, struct task *task, struct muster_error *ret_error)
{
    struct fake *fake = (struct fake *)model;

    if (fake->refuse_with)
        return muster_error_set(ret_error, fake->refuse_with, "the fake is full");
    fake->submitted++;
    DL_APPEND(fake->tasks, task);
    return 0;
}

static void fake_cancel(struct model *model, struct task *task)
{
    ((struct fake *)model)->cancelled++;
    call_cancel_raise(&task->cancel);
}

static void end_all(struct fake *fake, int code, struct task **ended)
{
    struct task *task;

    DL_FOREACH(fake->tasks, task) {
        task->code = code;
        task->text = code ? "the fake says so" : NULL;
        task->value = integer(5);
    }
    DL_CONCAT(*ended, fake->tasks);
    fake->tasks = NULL;
}

static int fake_dispatch(struct model *model, struct task **ended, struct muster_error *ret_error)
{
    struct fake *fake = (struct fake *)model;
    eventfd_t what;

    if (fake->lose_with) {
        end_all(fake, fake->lose_with, ended);
        return muster_error_set(ret_error, fake->lose_with, "the fake is lost");
    }
    if (eventfd_read(fake->fd, &what) == 0)
        end_all(fake, 0, ended);
    return 0;
}

/* It connects anew: the new descriptor has the number of the old one. */
static int fake_map(struct model *model, const muster_function *function, const struct muster_batch *batch,
                    struct muster_summary *summary, struct muster_error *ret_error)
{
    struct fake *fake = (struct fake *)model;
    int number = fake->fd;

    (void)function, (void)batch, (void)summary, (void)ret_error;
    if (!fake->returns)
        return 0;
    close(number);
    fake->fd = eventfd(0, EFD_NONBLOCK);
    cr_assert_eq(fake->fd, number);
    fake->lose_with = 0;
    model->connection++;
    return 0;
}

static int fake_fd(const struct model *model)
{
    return ((const struct fake *)model)->fd;
}

static void fake_close(struct model *model, struct task **ended)
{
    struct fake *fake = (struct fake *)model;

    end_all(fake, MUSTER_ECANCELLED, ended);
    close(fake->fd);
}

static const struct model_ops fake_ops = {.close = fake_close,
                                          .map = fake_map,
                                          .submit = fake_submit,
                                          .cancel = fake_cancel,
                                          .dispatch = fake_dispatch,
                                          .fd = fake_fd};

static struct fake fake;
static muster *m;

static void open_fake(void)
{
    m = calloc(1, sizeof *m);
    fake = (struct fake){.model = {.ops = &fake_ops}, .fd = eventfd(0, EFD_NONBLOCK)};
    m->model = &fake.model;
    m->options.model = MUSTER_THREADS;
    m->registry = registry_create();
    cr_assert(m->registry && fake.fd >= 0);
    cr_assert_eq(futures_create(m->model, &m->futures, NULL), 0);
}

static void close_fake(void)
{
    muster_close(m);
}

TestSuite(futures, .init = open_fake, .fini = close_fake);

Test(futures, lost_model_fails_every_job_and_takes_no_more)
{
    struct notes notes = {.length = 0};
    muster_future *job = submit(m, "noop", 1), *delayed, *promise, *refused;
    struct muster_error error;

    cr_assert_eq(muster_submit(m, &(struct muster_job){.function = "noop", .delay_s = 3600}, &delayed, NULL),
                 0);
    cr_assert_eq(muster_promise(m, &promise), 0);
    muster_future_on_end(job, note_success, note_failure, &notes);
    fake.lose_with = MUSTER_ELOST;
    cr_expect_eq(muster_dispatch(m, &error), MUSTER_ELOST);
    cr_expect_str_eq(error.text, "the fake is lost");
    cr_expect_str_eq(notes.text, "F");
    cr_expect_eq(muster_await(job, NULL, &error), MUSTER_ELOST);
    cr_expect_str_eq(error.text, "the fake says so");
    cr_expect_eq(muster_await(delayed, NULL, &error), MUSTER_ELOST);
    cr_expect_str_eq(error.text, "the fake is lost");
    cr_expect_eq(muster_dispatch(m, &error), MUSTER_ELOST, "it stays lost");
    cr_expect_eq(muster_submit(m, &(struct muster_job){.function = "noop"}, &refused, &error), MUSTER_ELOST);
    cr_expect_str_eq(error.text, "the fake is lost");
    cr_expect_eq(muster_future_state(promise), MUSTER_PENDING, "it needs no model");
    cr_expect_eq(muster_future_resolve(promise, NULL), 0);
    muster_future_drop(job);
    muster_future_drop(delayed);
    muster_future_drop(promise);
}

static void map_fake(bool returns)
{
    const struct muster_batch batch = {.function = "noop", .source = muster_source_range(1, 1)};

    fake.returns = returns;
    cr_assert_eq(muster_map(m, &batch, NULL, NULL), 0);
}

/* Its end is heard by the descriptor alone. */
static void expect_job_is_heard(void)
{
    muster_future *job = submit(m, "noop", 1);
    struct pollfd item = {.fd = muster_fd(m), .events = POLLIN};

    cr_expect_eq(poll(&item, 1, 0), 0);
    eventfd_write(fake.fd, 1);
    cr_expect_eq(poll(&item, 1, 0), 1);
    cr_expect_eq(muster_dispatch(m, NULL), 0);
    cr_expect_eq(number_of(job), 5);
    muster_future_drop(job);
}

Test(futures, model_that_returned_with_a_descriptor_of_the_same_number_is_heard)
{
    map_fake(true);
    expect_job_is_heard();
    map_fake(false);
    expect_job_is_heard();
}

Test(futures, model_that_returned_after_a_dispatch_saw_its_loss_takes_jobs_again)
{
    struct muster_error error;

    fake.lose_with = MUSTER_ELOST;
    cr_expect_eq(muster_dispatch(m, &error), MUSTER_ELOST);
    map_fake(false);
    cr_expect_eq(muster_dispatch(m, &error), MUSTER_ELOST, "it has not returned");
    map_fake(true);
    expect_job_is_heard();
}

Test(futures, delayed_job_that_the_model_refuses_fails_with_its_error)
{
    muster_future *future, *refused = NULL;
    struct muster_error error;

    cr_assert_eq(muster_submit(m, &(struct muster_job){.function = "noop", .delay_s = 0.001}, &future, NULL),
                 0);
    fake.refuse_with = MUSTER_ELIMIT;
    cr_expect_eq(muster_await(future, NULL, &error), MUSTER_ELIMIT);
    cr_expect_str_eq(error.text, "the fake is full");
    cr_expect_eq(muster_submit(m, &(struct muster_job){.function = "noop"}, &refused, &error), MUSTER_ELIMIT);
    cr_expect_null(refused);
    cr_expect_eq(muster_pending(m), 0);
    muster_future_drop(future);
}

Test(futures, cancelled_job_is_dropped_when_the_model_hands_it_back)
{
    muster_future *future = submit(m, "noop", 1);

    cr_expect(muster_future_cancel(future));
    cr_expect_eq(fake.cancelled, 1);
    cr_expect_eq(muster_dispatch(m, NULL), 0);
    cr_expect_eq(fake.tasks, (struct task *)((char *)future + offsetof(struct muster_future, task)),
                 "the model has it still");
    muster_future_drop(future);
    eventfd_write(fake.fd, 1);
    cr_expect_eq(muster_dispatch(m, NULL), 0);
    cr_expect_null(fake.tasks);
}

Test(futures, delayed_job_that_is_cancelled_never_reaches_the_model)
{
    muster_future *future;

    cr_assert_eq(muster_submit(m, &(struct muster_job){.function = "noop", .delay_s = 0.001}, &future, NULL),
                 0);
    cr_expect(muster_future_cancel(future));
    muster_future_drop(future);
    cr_expect_eq(fake.submitted + fake.cancelled, 0);
    cr_expect_eq(timers_deadline(&m->futures->timers), CLOCK_NEVER);
}

Test(futures, job_that_had_ended_when_it_was_closed_keeps_its_value)
{
    muster_future *future = submit(m, "noop", 1);

    eventfd_write(fake.fd, 1);
    cr_expect_eq(muster_future_wait(future, -1), 0);
    cr_expect_eq(number_of(future), 5);
    muster_future_drop(future);
}

/* How many bytes malloc has given out. */
static size_t allocated(void)
{
    return mallinfo2().uordblks;
}

Test(futures, future_with_numbers_is_one_allocation_of_less_than_320_bytes)
{
    enum { JOBS = 1000 };
    static muster_future *futures[JOBS];
    size_t before = allocated();

    cr_expect_leq(sizeof(struct muster_future), 320 - 2 * sizeof(size_t));
    for (int i = 0; i < JOBS; i++)
        futures[i] = submit(m, "noop", i);
    eventfd_write(fake.fd, 1);
    cr_expect_eq(muster_dispatch(m, NULL), 0);
    cr_expect_eq(number_of(futures[JOBS - 1]), 5);
    cr_expect_leq(allocated() - before, JOBS * 320);
    for (int i = 0; i < JOBS; i++)
        muster_future_drop(futures[i]);
    cr_expect_leq(allocated(), before + 16 * 320, "they leave nothing but what malloc keeps for this thread");
}
