/* SPDX-License-Identifier: MIT
 *
 * The lock of the model gil, and what jobs see of it: one of them runs at a time, whoever waits
 * gets its turn, and waits let others run.
 */
#include "base/clock.h"
#include "client/gil.h"
#include "fixture.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { THREADS = 4, TURNS = 200000, WAIT_S = 60 };

/* --- the lock by itself */

static struct gil lock;
static uint64_t counter; /* not atomic: the lock orders it */
static atomic_uint through;

static void *count_up(void *self)
{
    gil_take(&lock, self);
    for (unsigned i = 0; i < TURNS; i++) {
        counter++;
        gil_check(&lock, self);
        if (i % 4096 == 0) { /* as before a wait */
            gil_drop(&lock, self);
            gil_take(&lock, self);
        }
    }
    gil_drop(&lock, self);
    return NULL;
}

static void run_threads(void *(*body)(void *self))
{
    pthread_t threads[THREADS];
    char selves[THREADS];

    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, body, &selves[i]) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static void two_holders_at_once_would_lose_counts(void)
{
    gil_init(&lock);
    counter = 0;
    run_threads(count_up);
    CHECK(counter == (uint64_t)THREADS * TURNS);
    gil_fini(&lock);
}

/* Holds the lock, as a computing thread does, until every thread had it. */
static void *hold_until_all_had_it(void *self)
{
    gil_take(&lock, self);
    atomic_fetch_add(&through, 1);
    while (atomic_load(&through) < THREADS)
        gil_check(&lock, self);
    gil_drop(&lock, self);
    return NULL;
}

static void a_holder_that_computes_starves_nobody(void)
{
    gil_init(&lock);
    atomic_store(&through, 0);
    run_threads(hold_until_all_had_it);
    CHECK(lock.switches >= THREADS);
    gil_fini(&lock);
}

/* Lets go and takes it again without end, as jobs with short waits do: whoever waits must not
 * have its interval begun anew each time. */
static void *let_go_until_all_had_it(void *self)
{
    gil_take(&lock, self);
    atomic_fetch_add(&through, 1);
    while (atomic_load(&through) < THREADS) {
        gil_drop(&lock, self);
        gil_take(&lock, self);
    }
    gil_drop(&lock, self);
    return NULL;
}

static void a_holder_that_comes_back_at_once_starves_nobody(void)
{
    gil_init(&lock);
    atomic_store(&through, 0);
    run_threads(let_go_until_all_had_it);
    gil_fini(&lock);
}

/* --- jobs */

static int gate = -1;
static atomic_uint inside, most_inside;
static char deaf_url[64];

static void spin(uint64_t ns)
{
    uint64_t end_ns = clock_now_ns() + ns;

    while (clock_now_ns() < end_ns)
        ;
}

static int run_exclusive(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    unsigned now = atomic_fetch_add(&inside, 1) + 1;

    if (now > atomic_load(&most_inside))
        atomic_store(&most_inside, now);
    for (unsigned i = 0; i < 100; i++)
        counter++;
    atomic_fetch_sub(&inside, 1);
    (void)muster_call_cancelled(call);
    return job_twice(call, argument, ret_result);
}

static void one_job_computes_at_a_time(void)
{
    struct fixture f;

    counter = 0;
    atomic_store(&most_inside, 0);
    fixture_open(&f, &model_gil, 4, 50000);
    CHECK(fixture_map(&f, run_exclusive) == 0 && fixture_all_succeeded(&f, 1, 50000));
    CHECK(counter == 5000000 && atomic_load(&most_inside) == 1);
    fixture_close(&f);
}

/* Each job computes until the other has begun: without a hand-over at the check points of
 * _cancelled and _progress the first would compute for ever. */
static int run_meet(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    uint64_t limit_ns = clock_now_ns() + WAIT_S * CLOCK_NS_PER_S;

    atomic_fetch_add(&through, 1);
    while (atomic_load(&through) < 2) {
        if (argument->via.u64 == 1)
            muster_call_progress(call, 0.5);
        else if (muster_call_cancelled(call))
            return MUSTER_JOB_FAILED;
        if (clock_now_ns() > limit_ns)
            return muster_call_fail(call, "the other never got the lock");
    }
    return job_twice(call, argument, ret_result);
}

static void a_computing_job_hands_the_lock_over_at_its_check_points(void)
{
    struct fixture f;

    fixture_open(&f, &model_gil, 2, 2);
    f.batch.chunk_jobs = 1;
    for (int round = 0; round < 3; round++) {
        atomic_store(&through, 0);
        CHECK(fixture_map(&f, run_meet) == 0 && fixture_all_succeeded(&f, 1, 2));
    }
    fixture_close(&f);
}

static void wait_for_gate(void *context)
{
    struct pollfd item = {.fd = gate, .events = POLLIN};

    *(int *)context = poll(&item, 1, WAIT_S * 1000);
}

/* Jobs 1 to 3 wait in three ways; job 4 opens the gate, which it can only when none of them
 * holds the lock. */
static int run_wait(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    int opened = 0, code = 0;

    atomic_fetch_add(&through, 1);
    switch (argument->via.u64) {
    case 1:
        code = muster_call_wait_fd(call, gate, POLLIN, WAIT_S);
        break;
    case 2:
        code = muster_call_block(call, wait_for_gate, &opened);
        code = code == 0 && opened == 1 ? 0 : MUSTER_JOB_FAILED;
        break;
    case 3:
        while (code == 0 && atomic_load(&through) < 4)
            code = muster_call_sleep(call, 0.001);
        break;
    default:
        while (atomic_load(&through) < 4)
            if (muster_call_cancelled(call))
                return MUSTER_JOB_FAILED;
        CHECK(eventfd_write(gate, 1) == 0);
        break;
    }
    return code ? MUSTER_JOB_FAILED : job_twice(call, argument, ret_result);
}

static void jobs_that_wait_let_others_run(void)
{
    struct fixture f;

    CHECK((gate = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) >= 0);
    atomic_store(&through, 0);
    fixture_open(&f, &model_gil, 4, 4);
    f.batch.chunk_jobs = 1;
    CHECK(fixture_map(&f, run_wait) == 0 && fixture_all_succeeded(&f, 1, 4));
    fixture_close(&f);
    close(gate);
}

/* Job 1 looks every so often whether it is cancelled while it waits for a server that never
 * answers; the others keep the lock for longer than that, or wait for it, without a check point. */
static int run_fetch(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    if (argument->via.u64 == 1) {
        struct muster_fetch fetch = {.url = deaf_url, .timeout_s = 0.5};

        atomic_store(&through, 1);
        CHECK(muster_call_fetch(call, &fetch) != 0);
    } else {
        while (atomic_load(&through) == 0)
            if (muster_call_cancelled(call))
                return MUSTER_JOB_FAILED;
        spin(40 * GIL_INTERVAL_NS);
    }
    return job_twice(call, argument, ret_result);
}

static void a_job_that_waits_without_the_lock_hands_none_over(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct fixture f;
    int deaf = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(deaf >= 0 && bind(deaf, (struct sockaddr *)&address, size) == 0 && listen(deaf, 8) == 0);
    CHECK(getsockname(deaf, (struct sockaddr *)&address, &size) == 0);
    snprintf(deaf_url, sizeof deaf_url, "http://127.0.0.1:%d/", ntohs(address.sin_port));
    atomic_store(&through, 0);
    fixture_open(&f, &model_gil, 3, 3);
    f.batch.chunk_jobs = 1;
    CHECK(fixture_map(&f, run_fetch) == 0 && fixture_all_succeeded(&f, 1, 3));
    fixture_close(&f);
    close(deaf);
}

/* --- cancelling */

static int started = -1;

/* Keeps the lock, without a check point, until the gate is open: a native function. */
static int run_native(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    int opened;

    (void)call;
    (void)argument;
    (void)ret_result;
    CHECK(eventfd_write(started, 1) == 0);
    wait_for_gate(&opened);
    return 0;
}

static struct task *make_task(const muster_function *function)
{
    struct task *task = calloc(1, sizeof *task);

    CHECK(task && (task->zone = msgpack_zone_new(256)) != NULL);
    task->function = function;
    task->argument.type = MSGPACK_OBJECT_NIL;
    return task;
}

static struct task *await_task(struct model *model)
{
    struct pollfd item = {.fd = model->ops->fd(model), .events = POLLIN};
    struct task *ended = NULL;

    CHECK(poll(&item, 1, WAIT_S * 1000) == 1);
    CHECK(model->ops->dispatch(model, &ended, NULL) == 0);
    CHECK(ended && !ended->next);
    return ended;
}

static void release(struct task *task)
{
    msgpack_zone_free(task->zone);
    free(task);
}

/* Whether a worker waits with it for the lock or not, which only time tells. */
static void a_task_that_waits_for_the_lock_can_be_cancelled(void)
{
    static const muster_function native = {.name = "native", .run = run_native};
    struct muster_options options = {.workers = 2};
    struct pollfd item = {.events = POLLIN};
    struct task *first = make_task(&native), *second = make_task(&native);
    struct task *ended = NULL;
    struct muster_error error;
    struct model *model;

    CHECK((gate = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) >= 0);
    CHECK((started = item.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) >= 0);
    CHECK(model_gil.open(&options, NULL, &model, &error) == 0);
    CHECK(model_gil.submit(model, first, &error) == 0);
    CHECK(poll(&item, 1, WAIT_S * 1000) == 1);
    CHECK(model_gil.submit(model, second, &error) == 0);
    model_gil.cancel(model, second);
    CHECK(await_task(model) == second && second->code == MUSTER_ECANCELLED);
    CHECK(eventfd_write(gate, 1) == 0);
    CHECK(await_task(model) == first && first->code == 0);
    model_gil.close(model, &ended);
    CHECK(!ended);
    release(first);
    release(second);
    close(gate);
    close(started);
}

/* Job 1 computes without a check point for as long as the other worker needs to ask for the
 * lock; job 2, if it comes after that, keeps the lock until job 1 was reported. */
static int run_first_or_native(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    int opened = 1;

    if (argument->via.u64 == 1) {
        atomic_store(&through, 1);
        spin(10 * GIL_INTERVAL_NS);
    } else if (atomic_load(&through) == 1) {
        wait_for_gate(&opened);
    }
    return opened == 1 ? job_twice(call, argument, ret_result) : MUSTER_JOB_FAILED;
}

static void open_gate(struct fixture *f, const struct muster_result *result)
{
    (void)f;
    if (result->index == 1)
        CHECK(eventfd_write(gate, 1) == 0);
}

static void a_job_that_ended_is_reported_while_another_keeps_the_lock(void)
{
    struct fixture f;

    CHECK((gate = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) >= 0);
    atomic_store(&through, 0);
    fixture_open(&f, &model_gil, 2, 2);
    f.batch.chunk_jobs = 1;
    f.each = open_gate;
    CHECK(fixture_map(&f, run_first_or_native) == 0 && fixture_all_succeeded(&f, 1, 2));
    fixture_close(&f);
    close(gate);
}

int main(void)
{
    two_holders_at_once_would_lose_counts();
    a_holder_that_computes_starves_nobody();
    a_holder_that_comes_back_at_once_starves_nobody();
    one_job_computes_at_a_time();
    a_computing_job_hands_the_lock_over_at_its_check_points();
    jobs_that_wait_let_others_run();
    a_job_that_waits_without_the_lock_hands_none_over();
    a_task_that_waits_for_the_lock_can_be_cancelled();
    a_job_that_ended_is_reported_while_another_keeps_the_lock();
    return 0;
}
