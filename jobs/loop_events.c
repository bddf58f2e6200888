/* SPDX-License-Identifier: MIT
 *
 * What a loop waits for: descriptors (epoll), times (a heap of timers), and being woken (an
 * eventfd). See loop_internal.h.
 *
 * The loop's own waits end by a timeout of epoll's. The timerfd is for others that poll the
 * loop's descriptor, and is set only for them.
 */
#include "jobs/loop_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <utlist.h>

enum {
    /* Events that are taken at once; the rest come with the next turn. */
    EVENTS = 256,

    WATCHED_FIRST = 64,
};

/* Faults come whether they are asked for or not; asked for, no watch is without an event. */
static const uint32_t ALWAYS = EPOLLERR | EPOLLHUP;

/* --- descriptors */

static bool make_room(struct loop *loop, int fd)
{
    size_t count = loop->watched_count ? loop->watched_count : WATCHED_FIRST;
    struct watched *watched;

    if ((size_t)fd < loop->watched_count)
        return true;
    while (count <= (size_t)fd)
        count *= 2;
    if (!(watched = reallocarray(loop->watched, count, sizeof *watched)))
        return false;
    memset(watched + loop->watched_count, 0, (count - loop->watched_count) * sizeof *watched);
    loop->watched = watched;
    loop->watched_count = count;
    return true;
}

static int control(struct loop *loop, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events};

    event.data.u64 = (uint64_t)loop->watched[fd].generation << 32 | (uint32_t)fd;
    return epoll_ctl(loop->epoll_fd, operation, fd, &event) == 0 ? 0 : MUSTER_ESYSTEM;
}

static uint32_t wanted(const struct loop *loop, int fd)
{
    const struct loop_watch *watch;
    uint32_t events = 0;

    DL_FOREACH(loop->watched[fd].watches, watch)
        events |= watch->events;
    return events;
}

/* Tells epoll what to look for. A descriptor that was closed meanwhile is not known to it any
 * more. */
static int tell_epoll(struct loop *loop, int fd, uint32_t events)
{
    struct watched *watched = &loop->watched[fd];
    int code = 0;

    if (events == 0) {
        if (watched->armed)
            control(loop, EPOLL_CTL_DEL, fd, 0);
    } else if (!watched->armed) {
        watched->generation++;
        code = control(loop, EPOLL_CTL_ADD, fd, events);
    } else if ((code = control(loop, EPOLL_CTL_MOD, fd, events)) != 0 && errno == ENOENT) {
        watched->generation++;
        code = control(loop, EPOLL_CTL_ADD, fd, events);
    }
    watched->armed = code == 0 ? events : 0;
    return code;
}

/* Thousands may watch one descriptor: none is looked at but this one. What is looked for in vain
 * after it shows in dispatch. */
int loop_watch_set(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
    struct watched *watched;
    int code;

    if (events == 0 && watch->events == 0)
        return 0;
    if (watch->fd < 0) {
        errno = EBADF;
        return MUSTER_ESYSTEM;
    }
    if (!make_room(loop, watch->fd))
        return MUSTER_ENOMEM;
    watched = &loop->watched[watch->fd];
    if (watch->events)
        DL_DELETE(watched->watches, watch);
    watch->events = 0;
    if (events == 0) {
        if (!watched->watches && watch->fd != loop->dispatching)
            tell_epoll(loop, watch->fd, 0);
        return 0;
    }
    if ((code = tell_epoll(loop, watch->fd, watched->armed | events | ALWAYS)) != 0)
        return code;
    watch->events = events | ALWAYS;
    DL_APPEND(watched->watches, watch);
    return 0;
}

/* A watch of the descriptor that wants the event and was not called in this round. */
static struct loop_watch *next_watch(const struct loop *loop, int fd, uint32_t events)
{
    struct loop_watch *watch;

    DL_FOREACH(loop->watched[fd].watches, watch)
        if (watch->round != loop->round && (watch->events & events))
            return watch;
    return NULL;
}

static void dispatch(struct loop *loop, const struct epoll_event *event)
{
    int fd = (int)(uint32_t)event->data.u64;
    uint32_t generation = (uint32_t)(event->data.u64 >> 32);
    struct loop_watch *watch;
    uint32_t events;

    loop->dispatching = fd;
    loop->round++;
    while (loop->watched[fd].generation == generation && (watch = next_watch(loop, fd, event->events))) {
        watch->round = loop->round;
        watch->ready(watch, event->events & watch->events);
    }
    loop->dispatching = -1;
    if ((events = wanted(loop, fd)) != loop->watched[fd].armed)
        tell_epoll(loop, fd, events);
}

/* --- times */

int loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t deadline_ns)
{
    return timers_add(&loop->timers, &timer->timer, deadline_ns);
}

void loop_timer_clear(struct loop *loop, struct loop_timer *timer)
{
    timers_remove(&loop->timers, &timer->timer);
}

/* Those that are due now; timers that are set meanwhile, for now, have their turn next. */
static void call_due(struct loop *loop)
{
    uint64_t now_ns;
    struct timer *timer;

    if (loop->timers.count == 0)
        return;
    now_ns = clock_now_ns();
    while ((timer = timers_take_due(&loop->timers, now_ns))) {
        struct loop_timer *due = (struct loop_timer *)timer;

        due->due(due);
    }
}

void loop_events_arm(struct loop *loop)
{
    uint64_t deadline_ns = timers_deadline(&loop->timers);
    struct itimerspec when = {.it_value.tv_nsec = 0};

    /* Set too early it makes for one needless turn, which then sets it right. */
    if (loop->armed_ns <= deadline_ns && (loop->armed_ns == CLOCK_NEVER || clock_now_ns() < loop->armed_ns))
        return;
    if (deadline_ns != CLOCK_NEVER) {
        when.it_value.tv_sec = (time_t)(deadline_ns / CLOCK_NS_PER_S);
        when.it_value.tv_nsec = (long)(deadline_ns % CLOCK_NS_PER_S);
        if (deadline_ns == 0)
            when.it_value.tv_nsec = 1; /* zero would mean never */
    }
    timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
    loop->armed_ns = deadline_ns;
}

static void on_timer(struct loop_watch *watch, uint32_t events)
{
    struct loop *loop = (struct loop *)((char *)watch - offsetof(struct loop, timer_watch));
    uint64_t count;

    (void)events;
    if (read(loop->timer_fd, &count, sizeof count) > 0)
        loop->armed_ns = CLOCK_NEVER;
}

/* --- being woken */

void loop_wake(struct loop *loop)
{
    static const uint64_t one = 1;
    int saved = errno;

    if (!atomic_exchange(&loop->woken, true))
        while (write(loop->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
            ;
    errno = saved;
}

/* In this order: who wakes the loop in between has done what it is woken for. */
static void on_wake(struct loop_watch *watch, uint32_t events)
{
    struct loop *loop = (struct loop *)((char *)watch - offsetof(struct loop, wake_watch));
    uint64_t count;

    (void)events;
    if (read(loop->wake_fd, &count, sizeof count) < 0)
        return;
    atomic_exchange(&loop->woken, false);
    loop_blocks_collect(loop);
}

/* --- all of it */

int loop_events_init(struct loop *loop)
{
    int code;

    loop->dispatching = -1;
    loop->armed_ns = CLOCK_NEVER;
    loop->timer_fd = loop->wake_fd = -1;
    if ((loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0 ||
        (loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) < 0 ||
        (loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        return MUSTER_ESYSTEM;
    loop->timer_watch = (struct loop_watch){.fd = loop->timer_fd, .ready = on_timer};
    loop->wake_watch = (struct loop_watch){.fd = loop->wake_fd, .ready = on_wake};
    if ((code = loop_watch_set(loop, &loop->timer_watch, EPOLLIN)) != 0)
        return code;
    return loop_watch_set(loop, &loop->wake_watch, EPOLLIN);
}

static void close_if_open(int fd)
{
    if (fd >= 0)
        close(fd);
}

void loop_events_fini(struct loop *loop)
{
    close_if_open(loop->epoll_fd);
    close_if_open(loop->timer_fd);
    close_if_open(loop->wake_fd);
    timers_fini(&loop->timers);
    free(loop->watched);
}

/* As epoll_wait, to the nanosecond where the kernel can (Linux 5.11). */
static int wait_for_events(struct loop *loop, struct epoll_event *events, uint64_t deadline_ns)
{
    uint64_t now_ns = deadline_ns && deadline_ns != CLOCK_NEVER ? clock_now_ns() : 0;
    uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    struct timespec timeout = {.tv_sec = (time_t)(left_ns / CLOCK_NS_PER_S),
                               .tv_nsec = (long)(left_ns % CLOCK_NS_PER_S)};
    int count;

    if (left_ns == 0)
        return epoll_wait(loop->epoll_fd, events, EVENTS, 0);
    count = epoll_pwait2(loop->epoll_fd, events, EVENTS, deadline_ns == CLOCK_NEVER ? NULL : &timeout, NULL);
    if (count < 0 && errno == ENOSYS)
        count = epoll_wait(loop->epoll_fd, events, EVENTS, clock_poll_ms(now_ns, deadline_ns));
    return count;
}

void loop_events_take(struct loop *loop, uint64_t deadline_ns)
{
    struct epoll_event events[EVENTS];
    uint64_t due_ns = timers_deadline(&loop->timers);
    int count = wait_for_events(loop, events, due_ns < deadline_ns ? due_ns : deadline_ns);

    for (int i = 0; i < count; i++)
        dispatch(loop, &events[i]);
    call_due(loop);
}
