/* SPDX-License-Identifier: MIT
 *
 * What the futures of one `muster *` share: the descriptor that an application polls, one
 * round of dispatch, and closing. See futures.h.
 *
 * The descriptor is an epoll set of the model's own, a timerfd for the earliest alarm and an
 * eventfd that is readable while links are due. Inside a dispatch none of them is touched; they
 * are set once at its end.
 */
#include "client/futures.h"

#include "client/handle.h"
#include "client/keep.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <utlist.h>

/* Timers and links of one dispatch, each: a callback takes about a microsecond at least, so
 * that is a millisecond or more, in which a frame of an animation still has its time. */
enum { DISPATCH_MAX = 1000 };

/* 30 years, and far from where the arithmetic ends. */
static const double SECONDS_MAX = 1e9;

static int watch(struct futures *futures, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};

    return fd < 0 ? -1 : epoll_ctl(futures->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int make_descriptors(struct futures *futures, struct muster_error *ret_error)
{
    const struct model_ops *ops = futures->model->ops;

    futures->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    futures->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    futures->due_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    futures->model_fd = ops->fd(futures->model);
    if (watch(futures, futures->timer_fd) < 0 || watch(futures, futures->due_fd) < 0 ||
        watch(futures, futures->model_fd) < 0)
        return muster_error_system(ret_error, errno, "cannot make the descriptor of callbacks");
    return 0;
}

int futures_create(struct model *model, struct futures **ret_futures, struct muster_error *ret_error)
{
    struct futures *futures = calloc(1, sizeof *futures);
    int code;

    if (!futures)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    futures->references = 1;
    futures->phase = FUTURES_CLOSED;
    futures->armed_ns = CLOCK_NEVER;
    futures->job_ns = UINT64_MAX;
    futures->model = model;
    spin_init(&futures->spin);
    if ((code = make_descriptors(futures, ret_error)) != 0) {
        futures_drop(futures);
        return code;
    }
    futures->phase = FUTURES_IDLE;
    *ret_futures = futures;
    return 0;
}

void futures_keep(struct futures *futures)
{
    futures->references++;
}

static void close_descriptors(struct futures *futures)
{
    const int fds[] = {futures->epoll_fd, futures->timer_fd, futures->due_fd};

    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    futures->epoll_fd = futures->timer_fd = futures->due_fd = -1;
}

void futures_drop(struct futures *futures)
{
    if (--futures->references > 0)
        return;
    close_descriptors(futures);
    free(futures);
}

uint64_t futures_deadline(double seconds)
{
    if (!(seconds > 0))
        return clock_now_ns();
    if (seconds > SECONDS_MAX)
        return CLOCK_NEVER;
    return clock_after(clock_now_ns(), (uint64_t)(seconds * (double)CLOCK_NS_PER_S));
}

int futures_check_seconds(double seconds, const char *what, struct muster_error *ret_error)
{
    if (seconds <= SECONDS_MAX)
        return 0;
    return muster_error_set(ret_error, MUSTER_EINVALID, "a %s of %g seconds is out of range: at most %g",
                            what, seconds, SECONDS_MAX);
}

int futures_check_open(const struct futures *futures, struct muster_error *ret_error)
{
    if (futures->phase != FUTURES_CLOSING && futures->phase != FUTURES_CLOSED)
        return 0;
    return muster_error_set(ret_error, MUSTER_ESTATE, "this muster is being closed or was");
}

bool futures_are_active(const struct futures *futures)
{
    return futures->job_count > 0 || futures->timers.count > 0 || futures->due;
}

static void set_signal(struct futures *futures, bool wanted)
{
    eventfd_t count;

    if (wanted == futures->signalled)
        return;
    if (wanted)
        eventfd_write(futures->due_fd, 1);
    else
        eventfd_read(futures->due_fd, &count);
    futures->signalled = wanted;
}

/* To set a timerfd also takes back that it expired. */
static void set_timer(struct futures *futures, uint64_t deadline_ns)
{
    struct itimerspec time = {.it_value = {.tv_sec = 0}};

    if (deadline_ns == futures->armed_ns)
        return;
    if (deadline_ns != CLOCK_NEVER) {
        time.it_value.tv_sec = (time_t)(deadline_ns / CLOCK_NS_PER_S);
        time.it_value.tv_nsec = (long)(deadline_ns % CLOCK_NS_PER_S);
    }
    timerfd_settime(futures->timer_fd, TFD_TIMER_ABSTIME, &time, NULL);
    futures->armed_ns = deadline_ns;
}

void futures_follow(struct futures *futures)
{
    if (futures->connection == futures->model->connection)
        return;
    futures->connection = futures->model->connection;
    futures->lost.code = 0;
    /* It may have the old one's number, of which the kernel let go as that was closed. */
    futures->model_fd = futures->model->ops->fd(futures->model);
    if (watch(futures, futures->model_fd) < 0)
        muster_error_system(&futures->lost, errno, "cannot watch the new connection");
}

void futures_refresh(struct futures *futures)
{
    if (futures->phase != FUTURES_IDLE)
        return;
    set_signal(futures, futures->due != NULL);
    set_timer(futures, timers_deadline(&futures->timers));
}

static void hand_back(struct task *ended)
{
    struct task *task, *next;

    DL_FOREACH_SAFE(ended, task, next)
        future_job_ended(task);
}

/* Ends the jobs that wait for their delay. */
static void end_delayed(struct futures *futures, int code, const char *text)
{
    struct muster_future *future, *next;

    DL_FOREACH_SAFE(futures->pending, future, next) {
        if (!future->has_job || !timer_is_set(&future->delay.timer))
            continue;
        timers_remove(&futures->timers, &future->delay.timer);
        future_fail(future, code, text ? keep_text(&future->zone, text) : NULL);
        muster_future_drop(future);
    }
}

static void collect(struct futures *futures)
{
    struct task *ended = NULL;

    if (futures->lost.code != 0)
        return;
    if (futures->model->ops->dispatch(futures->model, &ended, &futures->lost) == 0)
        futures->lost.code = 0;
    hand_back(ended);
    if (futures->lost.code == 0)
        return;
    epoll_ctl(futures->epoll_fd, EPOLL_CTL_DEL, futures->model_fd, NULL);
    end_delayed(futures, futures->lost.code, futures->lost.text);
}

static void ring(struct futures *futures)
{
    uint64_t now_ns = clock_now_ns();
    struct timer *timer;

    for (unsigned i = 0; i < DISPATCH_MAX && (timer = timers_take_due(&futures->timers, now_ns)); i++) {
        struct alarm *alarm = (struct alarm *)timer;

        alarm->ring(futures, alarm);
    }
}

int futures_dispatch(struct futures *futures, struct muster_error *ret_error)
{
    futures->phase = FUTURES_DISPATCHING;
    collect(futures);
    ring(futures);
    chain_run(futures, DISPATCH_MAX);
    futures->phase = FUTURES_IDLE;
    futures_refresh(futures);
    return futures->lost.code ? muster_error_set(ret_error, futures->lost.code, "%s", futures->lost.text) : 0;
}

static void run_all(struct futures *futures)
{
    while (futures->due)
        chain_run(futures, DISPATCH_MAX);
}

void futures_close(struct futures *futures)
{
    struct task *ended = NULL;

    if (!futures)
        return;
    assert(futures->phase == FUTURES_IDLE); /* not from a callback */
    futures->phase = FUTURES_CLOSING;
    calls_clear(futures);
    end_delayed(futures, MUSTER_ECANCELLED, NULL);
    model_close(futures->model, &ended);
    futures->model = NULL;
    hand_back(ended);
    run_all(futures);
    /* What is left are promises and what waits for them. */
    while (futures->pending) {
        struct muster_future *root = futures->pending;

        while (root->upstream)
            root = root->upstream;
        muster_future_cancel(root);
        run_all(futures);
    }
    futures->phase = FUTURES_CLOSED;
    timers_fini(&futures->timers);
    close_descriptors(futures);
    futures_drop(futures);
}

int muster_fd(const muster *m)
{
    return m->futures->epoll_fd;
}

int muster_dispatch(muster *m, struct muster_error *ret_error)
{
    if (m->futures->phase != FUTURES_IDLE)
        return muster_error_set(ret_error, MUSTER_ESTATE, "a callback must not dispatch");
    return futures_dispatch(m->futures, ret_error);
}

uint64_t muster_pending(const muster *m)
{
    return m->futures->pending_count + calls_count(m->futures);
}
