/* SPDX-License-Identifier: MIT
 *
 * The event loop: calls that wait in fibers, each kind of wait, what ends it, and what the
 * loop tells those who poll it.
 */
#include "base/clock.h"
#include "base/sanitize.h"
#include "jobs/loop.h"

#include "tests/support/check.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { MANY = SANITIZE_ADDRESS || SANITIZE_THREAD ? 1000 : 10000, MOST = 10000 };

static const uint64_t LONG_NS = 60 * CLOCK_NS_PER_S;

static struct loop *loop;
static char trace[256]; /* what happened, in order */

static void note(const char *what)
{
    CHECK(strlen(trace) + strlen(what) < sizeof trace);
    strcat(trace, what);
}

/* A fiber that makes one wait. */
struct waiter {
    const char *name;
    int (*wait)(struct waiter *waiter, muster_call *call);
    double seconds;
    int fd;
    short events;
    struct call_cancel *cancel; /* NULL: its own */
    struct call_cancel own_cancel;
    struct call call;
    int code;
    bool over;
};

static void run_waiter(struct fiber *fiber, void *context)
{
    struct waiter *waiter = context;

    loop_call_init(fiber, &waiter->call, NULL, waiter->cancel ? waiter->cancel : &waiter->own_cancel, NULL);
    waiter->code = waiter->wait(waiter, &waiter->call.base);
    waiter->over = true;
    if (waiter->name)
        note(waiter->name);
}

static int wait_for_time(struct waiter *waiter, muster_call *call)
{
    return muster_call_sleep(call, waiter->seconds);
}

static int wait_for_fd(struct waiter *waiter, muster_call *call)
{
    return muster_call_wait_fd(call, waiter->fd, waiter->events, waiter->seconds);
}

static void open_loop(void)
{
    struct muster_error error;

    trace[0] = '\0';
    CHECK(loop_create(NULL, &loop, &error) == 0);
}

static void start(struct waiter *waiter)
{
    CHECK(loop_start(loop, run_waiter, waiter) == 0);
}

/* A turn ends after 10 ms, whoever could still go on. */
static void run_ready(void)
{
    do
        loop_turn(loop, 0);
    while (loop_ready(loop) > 0);
}

/* Turns until no fiber is left. */
static void finish(void)
{
    uint64_t limit_ns = clock_now_ns() + LONG_NS;

    while (loop_fibers(loop) > 0) {
        CHECK(clock_now_ns() < limit_ns);
        loop_turn(loop, limit_ns);
    }
}

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};

    return poll(&item, 1, timeout_ms) == 1;
}

static void sleepers_wake_in_order_of_their_times(void)
{
    struct waiter waiters[] = {
        {.name = "c", .wait = wait_for_time, .seconds = 0.4},
        {.name = "a", .wait = wait_for_time},
        {.name = "d", .wait = wait_for_time, .seconds = 0.6},
        {.name = "b", .wait = wait_for_time, .seconds = 0.2},
    };
    uint64_t began_ns = clock_now_ns();

    open_loop();
    for (int i = 0; i < 4; i++)
        start(&waiters[i]);
    finish();
    CHECK(strcmp(trace, "abcd") == 0 && clock_now_ns() - began_ns >= 600 * CLOCK_NS_PER_MS);
    for (int i = 0; i < 4; i++)
        CHECK(waiters[i].code == 0);
    loop_destroy(loop);
}

static void a_wait_for_no_time_at_all_fails_or_is_over_at_once(void)
{
    struct waiter zero = {.wait = wait_for_time}, past = {.wait = wait_for_time, .seconds = -1},
                  never = {.wait = wait_for_time, .seconds = 0.0 / 0.0};

    open_loop();
    start(&zero);
    start(&past);
    start(&never);
    finish();
    CHECK(zero.code == 0 && past.code == MUSTER_JOB_FAILED && never.code == MUSTER_JOB_FAILED);
    CHECK(strstr(past.call.text, "cannot wait for -1 seconds"));
    loop_destroy(loop);
}

static void thousands_of_sleepers_wait_together(void)
{
    static struct waiter waiters[MOST];
    uint64_t began_ns = clock_now_ns();

    open_loop();
    for (int i = 0; i < MANY; i++) {
        waiters[i] = (struct waiter){.wait = wait_for_time, .seconds = 0.2};
        start(&waiters[i]);
    }
    finish();
    for (int i = 0; i < MANY; i++)
        CHECK(waiters[i].over && waiters[i].code == 0);
    CHECK(clock_now_ns() - began_ns < MANY * 200 * CLOCK_NS_PER_MS / 10);
    loop_destroy(loop);
}

static void a_descriptor_that_is_ready_ends_the_wait_for_it(void)
{
    int fds[2];

    CHECK(pipe(fds) == 0);
    struct waiter reader = {.name = "r", .wait = wait_for_fd, .fd = fds[0], .events = POLLIN, .seconds = -1},
                  second = {.name = "s", .wait = wait_for_fd, .fd = fds[0], .events = POLLIN, .seconds = 60},
                  writer = {.name = "w", .wait = wait_for_fd, .fd = fds[1], .events = POLLOUT, .seconds = -1};

    open_loop();
    start(&reader);
    start(&second);
    start(&writer);
    run_ready();
    loop_turn(loop, clock_now_ns() + LONG_NS);
    CHECK(strcmp(trace, "w") == 0 && loop_fibers(loop) == 2 && !is_readable(loop_fd(loop), 0));
    CHECK(write(fds[1], "x", 1) == 1 && is_readable(loop_fd(loop), 0));
    finish();
    CHECK(strcmp(trace, "wrs") == 0 && reader.code == 0 && second.code == 0 && writer.code == 0);
    CHECK(!is_readable(loop_fd(loop), 0)); /* nobody watches it any more */
    loop_destroy(loop);
    close(fds[0]);
    close(fds[1]);
}

static void one_descriptor_is_watched_for_several_events(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct waiter in = {.name = "i", .wait = wait_for_fd, .fd = fd, .events = POLLIN, .seconds = -1},
                  out = {.name = "o", .wait = wait_for_fd, .fd = fd, .events = POLLOUT, .seconds = -1};

    open_loop();
    start(&in);
    start(&out);
    while (!out.over)
        loop_turn(loop, clock_now_ns() + LONG_NS);
    CHECK(!in.over && !is_readable(loop_fd(loop), 0)); /* it is writable still, and nobody asks */
    CHECK(eventfd_write(fd, 1) == 0);
    finish();
    CHECK(strcmp(trace, "oi") == 0 && in.code == 0);
    loop_destroy(loop);
    close(fd);
}

static void a_wait_for_a_descriptor_ends_with_its_time(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct waiter soon = {.name = "s", .wait = wait_for_fd, .fd = fd, .events = POLLIN, .seconds = 0.01},
                  now = {.name = "n", .wait = wait_for_fd, .fd = fd, .events = POLLIN};

    open_loop();
    start(&soon);
    start(&now);
    finish();
    CHECK(strcmp(trace, "ns") == 0 && soon.code == 1 && now.code == 1);
    loop_destroy(loop);
    close(fd);
}

static void a_closed_end_and_a_file_are_ready_and_no_descriptor_fails(void)
{
    int fds[2], file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    CHECK(pipe(fds) == 0 && file >= 0);
    close(fds[1]);
    struct waiter hung_up = {.wait = wait_for_fd, .fd = fds[0], .events = POLLIN, .seconds = -1},
                  of_file = {.wait = wait_for_fd, .fd = file, .events = POLLIN, .seconds = -1},
                  closed = {.wait = wait_for_fd, .fd = 1 << 20, .events = POLLIN, .seconds = -1},
                  none = {.wait = wait_for_fd, .fd = -1, .events = POLLIN, .seconds = -1};

    open_loop();
    start(&hung_up);
    start(&of_file);
    start(&closed);
    start(&none);
    finish();
    CHECK(hung_up.code == 0 && of_file.code == 0);
    CHECK(closed.code == MUSTER_JOB_FAILED && none.code == MUSTER_JOB_FAILED);
    CHECK(strcmp(none.call.text, "cannot wait for descriptor -1: it is not open") == 0);
    loop_destroy(loop);
    close(fds[0]);
    close(file);
}

/* The first wait's descriptor is closed by its fiber, and another gets its number. */
static int wait_for_two_of_one_number(struct waiter *waiter, muster_call *call)
{
    int code = muster_call_wait_fd(call, waiter->fd, POLLOUT, -1), next;

    CHECK(code == 0);
    close(waiter->fd);
    next = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK(next == waiter->fd);
    return muster_call_wait_fd(call, next, POLLIN, 0.01);
}

static void a_number_that_is_used_again_is_another_descriptor(void)
{
    struct waiter waiter = {.wait = wait_for_two_of_one_number};

    waiter.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    open_loop();
    start(&waiter);
    finish();
    CHECK(waiter.code == 1);
    loop_destroy(loop);
    close(waiter.fd);
}

/* --- cancelling */

static void waits_end_when_they_are_cancelled(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct call_cancel cancel = {0};
    struct waiter asleep = {.wait = wait_for_time, .seconds = 3600, .cancel = &cancel},
                  watching = {.wait = wait_for_fd,
                              .fd = fd,
                              .events = POLLIN,
                              .seconds = -1,
                              .cancel = &cancel},
                  spared = {.name = "s", .wait = wait_for_time, .seconds = 0.01},
                  late = {.wait = wait_for_time, .seconds = 3600, .cancel = &cancel};

    open_loop();
    start(&asleep);
    start(&watching);
    start(&spared);
    run_ready();
    CHECK(loop_fibers(loop) == 3);
    call_cancel_raise(&cancel);
    loop_cancelled(loop);
    CHECK(is_readable(loop_fd(loop), 0));
    run_ready();
    CHECK(asleep.code == MUSTER_ECANCELLED && watching.code == MUSTER_ECANCELLED && !spared.over);
    start(&late);
    finish();
    CHECK(late.code == MUSTER_ECANCELLED && spared.code == 0);
    loop_destroy(loop);
    close(fd);
}

/* --- what blocks */

static sem_t gate;

static void pass_gate(void *context)
{
    CHECK(sem_wait(&gate) == 0);
    *(pthread_t *)context = pthread_self();
}

static int wait_at_gate(struct waiter *waiter, muster_call *call)
{
    pthread_t thread = pthread_self();
    int code;

    (void)waiter;
    code = muster_call_block(call, pass_gate, &thread);
    CHECK(code != 0 || !pthread_equal(thread, pthread_self()));
    return code;
}

static void what_blocks_holds_nobody_up(void)
{
    struct waiter blocked[20], asleep = {.name = "s", .wait = wait_for_time, .seconds = 0.01};

    CHECK(sem_init(&gate, 0, 0) == 0);
    open_loop();
    for (int i = 0; i < 20; i++) {
        blocked[i] = (struct waiter){.name = "b", .wait = wait_at_gate};
        start(&blocked[i]);
    }
    start(&asleep);
    while (!asleep.over)
        loop_turn(loop, clock_now_ns() + LONG_NS);
    CHECK(loop_fibers(loop) == 20 && strcmp(trace, "s") == 0);
    for (int i = 0; i < 20; i++)
        CHECK(sem_post(&gate) == 0);
    finish();
    for (int i = 0; i < 20; i++)
        CHECK(blocked[i].code == 0);
    loop_destroy(loop);
    sem_destroy(&gate);
}

static atomic_int gates_reached;

static void reach_gate(void *context)
{
    (void)context;
    atomic_fetch_add(&gates_reached, 1);
    CHECK(sem_wait(&gate) == 0);
}

static int wait_at_reached_gate(struct waiter *waiter, muster_call *call)
{
    (void)waiter;
    return muster_call_block(call, reach_gate, NULL);
}

/* Of 20, those that no thread has begun are not run; those that one has are waited for. */
static void a_cancelled_block_is_waited_for_only_while_it_runs(void)
{
    struct call_cancel cancel = {0};
    struct waiter blocked[20];
    int begun, ran = 0;

    CHECK(sem_init(&gate, 0, 0) == 0);
    open_loop();
    for (int i = 0; i < 20; i++) {
        blocked[i] = (struct waiter){.wait = wait_at_reached_gate, .cancel = &cancel};
        start(&blocked[i]);
    }
    run_ready();
    while (atomic_load(&gates_reached) < 4)
        sched_yield();
    call_cancel_raise(&cancel);
    loop_cancelled(loop);
    run_ready();
    begun = atomic_load(&gates_reached);
    CHECK((int)loop_fibers(loop) == begun && begun < 20);
    for (int i = 0; i < begun; i++)
        CHECK(sem_post(&gate) == 0);
    finish();
    for (int i = 0; i < 20; i++)
        ran += blocked[i].code == 0;
    CHECK(ran == begun && atomic_load(&gates_reached) == begun);
    loop_destroy(loop);
    sem_destroy(&gate);
}

/* --- turns */

static void *wake_loop(void *context)
{
    CHECK(sem_wait(context) == 0);
    loop_wake(loop);
    return NULL;
}

static void a_turn_ends_when_another_thread_wakes_it(void)
{
    struct waiter asleep = {.wait = wait_for_time, .seconds = 3600};
    uint64_t limit_ns = clock_now_ns() + LONG_NS;
    pthread_t thread;
    sem_t waiting;

    CHECK(sem_init(&waiting, 0, 0) == 0);
    open_loop();
    CHECK(pthread_create(&thread, NULL, wake_loop, &waiting) == 0);
    start(&asleep);
    loop_turn(loop, 0);
    CHECK(sem_post(&waiting) == 0);
    loop_turn(loop, limit_ns);
    CHECK(clock_now_ns() < limit_ns && loop_fibers(loop) == 1);
    CHECK(pthread_join(thread, NULL) == 0);
    loop_wake(loop);
    loop_wake(loop);
    loop_turn(loop, limit_ns);
    CHECK(clock_now_ns() < limit_ns && !is_readable(loop_fd(loop), 0));
    call_cancel_raise(&asleep.own_cancel);
    loop_cancelled(loop);
    finish();
    loop_destroy(loop);
    sem_destroy(&waiting);
}

static void a_turn_waits_no_longer_than_it_may(void)
{
    uint64_t began_ns = clock_now_ns();

    open_loop();
    loop_turn(loop, began_ns + 20 * CLOCK_NS_PER_MS);
    CHECK(clock_now_ns() - began_ns >= 19 * CLOCK_NS_PER_MS);
    loop_turn(loop, 1);
    loop_turn(loop, began_ns);
    loop_destroy(loop);
}

/* As an application's event loop uses it: never waits inside, polls the descriptor outside. */
static void the_descriptor_tells_when_there_is_something_to_do(void)
{
    struct waiter waiters[3] = {{.name = "a", .wait = wait_for_time, .seconds = 0.01},
                                {.name = "b", .wait = wait_for_time, .seconds = 0.02},
                                {.name = "c", .wait = wait_for_time, .seconds = 3600}};

    open_loop();
    CHECK(!is_readable(loop_fd(loop), 0));
    for (int i = 0; i < 3; i++)
        start(&waiters[i]);
    loop_wake(loop);
    while (loop_fibers(loop) > 1) {
        CHECK(is_readable(loop_fd(loop), 60000));
        loop_turn(loop, 0);
    }
    CHECK(strcmp(trace, "ab") == 0 && !is_readable(loop_fd(loop), 0));
    call_cancel_raise(&waiters[2].own_cancel);
    loop_cancelled(loop);
    CHECK(is_readable(loop_fd(loop), 0));
    loop_turn(loop, 0);
    CHECK(loop_fibers(loop) == 0);
    loop_destroy(loop);
}

static void yield_twice(struct fiber *fiber, void *context)
{
    for (int i = 0; i < 2; i++) {
        note(context);
        loop_yield(fiber);
    }
    note(context);
}

static void fibers_that_yield_take_turns(void)
{
    char a[] = "a", b[] = "b";

    open_loop();
    CHECK(loop_start(loop, yield_twice, a) == 0 && loop_start(loop, yield_twice, b) == 0);
    CHECK(loop_ready(loop) == 2);
    loop_turn(loop, 0);
    CHECK(strcmp(trace, "ab") == 0 && loop_ready(loop) == 2 && is_readable(loop_fd(loop), 0));
    finish();
    CHECK(strcmp(trace, "ababab") == 0 && loop_ready(loop) == 0);
    loop_destroy(loop);
}

/* --- watching */

static void say_resumed(void *context)
{
    note("<");
    note(context);
}

static void say_suspended(void *context)
{
    (void)context;
    note(">");
}

static void a_watcher_sees_every_switch(void)
{
    static const struct loop_watcher watcher = {.resumed = say_resumed, .suspended = say_suspended};
    struct muster_error error;
    char a[] = "a";

    trace[0] = '\0';
    CHECK(loop_create(&watcher, &loop, &error) == 0);
    CHECK(loop_start(loop, yield_twice, a) == 0);
    finish();
    CHECK(strcmp(trace, "<aa><aa><aa>") == 0);
    loop_destroy(loop);
}

struct meter {
    uint64_t cpu_ns;
    unsigned spins;
};

static void measure(struct fiber *fiber, void *context)
{
    struct meter *meter = context;
    uint64_t began_ns = fiber_cpu_ns(fiber), last_ns = began_ns;

    for (unsigned i = 0; i < meter->spins; i++) {
        uint64_t until_ns = clock_thread_cpu_ns() + 5 * CLOCK_NS_PER_MS;

        while (clock_thread_cpu_ns() < until_ns)
            ;
        loop_yield(fiber);
        CHECK(fiber_cpu_ns(fiber) >= last_ns);
        last_ns = fiber_cpu_ns(fiber);
    }
    meter->cpu_ns = fiber_cpu_ns(fiber) - began_ns;
}

static void cpu_time_is_that_of_the_fiber_alone(void)
{
    struct meter idle = {0}, one = {.spins = 1}, four = {.spins = 4};
    uint64_t cpu_ns = clock_thread_cpu_ns();

    open_loop();
    CHECK(loop_start(loop, measure, &four) == 0 && loop_start(loop, measure, &idle) == 0);
    CHECK(loop_start(loop, measure, &one) == 0);
    finish();
    cpu_ns = clock_thread_cpu_ns() - cpu_ns;
    CHECK(one.cpu_ns >= 5 * CLOCK_NS_PER_MS && four.cpu_ns >= 20 * CLOCK_NS_PER_MS);
    CHECK(one.cpu_ns + four.cpu_ns + idle.cpu_ns <= cpu_ns);
    loop_destroy(loop);
}

int main(void)
{
    static const struct check tests[] = {
#define TEST(name) {#name, name}
        TEST(sleepers_wake_in_order_of_their_times),
        TEST(a_wait_for_no_time_at_all_fails_or_is_over_at_once),
        TEST(thousands_of_sleepers_wait_together),
        TEST(a_descriptor_that_is_ready_ends_the_wait_for_it),
        TEST(one_descriptor_is_watched_for_several_events),
        TEST(a_wait_for_a_descriptor_ends_with_its_time),
        TEST(a_closed_end_and_a_file_are_ready_and_no_descriptor_fails),
        TEST(a_number_that_is_used_again_is_another_descriptor),
        TEST(waits_end_when_they_are_cancelled),
        TEST(what_blocks_holds_nobody_up),
        TEST(a_cancelled_block_is_waited_for_only_while_it_runs),
        TEST(a_turn_ends_when_another_thread_wakes_it),
        TEST(a_turn_waits_no_longer_than_it_may),
        TEST(the_descriptor_tells_when_there_is_something_to_do),
        TEST(fibers_that_yield_take_turns),
        TEST(a_watcher_sees_every_switch),
        TEST(cpu_time_is_that_of_the_fiber_alone),
#undef TEST
    };

    return check_all(tests, sizeof tests / sizeof *tests);
}
