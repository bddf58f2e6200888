/* SPDX-License-Identifier: MIT
 *
 * Calls that sleep until they are cancelled, by another thread and from a signal handler, and
 * sleeps that signals interrupt. A wake-up that is lost shows as a test that does not end.
 */
#include "jobs/call.h"

#include "base/clock.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

enum { SLEEPERS = 3, ROUNDS = 200 };

static struct call_cancel signalled;

static void check(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "failed: %s\n", what);
        exit(1);
    }
}

struct sleeper {
    struct call_cancel *cancel;
    double seconds;
    int code;
};

static void *sleep_until_cancelled(void *context)
{
    struct sleeper *sleeper = context;
    struct call call;

    call_init(&call, NULL, sleeper->cancel, NULL);
    sleeper->code = muster_call_sleep(&call.base, sleeper->seconds);
    return NULL;
}

static void cancel_wakes_every_sleeper(void)
{
    struct call_cancel cancel = {0};
    struct sleeper sleepers[SLEEPERS];
    pthread_t threads[SLEEPERS];
    int i;

    for (i = 0; i < SLEEPERS; i++) {
        sleepers[i] = (struct sleeper){&cancel, i == 0 ? INFINITY : 1e6, 0};
        check(pthread_create(&threads[i], NULL, sleep_until_cancelled, &sleepers[i]) == 0, "a thread");
    }
    call_cancel_raise(&cancel);
    for (i = 0; i < SLEEPERS; i++) {
        pthread_join(threads[i], NULL);
        check(sleepers[i].code == MUSTER_ECANCELLED, "a sleeper learns that it is cancelled");
    }
}

static void raise_on_signal(int number)
{
    (void)number;
    call_cancel_raise(&signalled);
}

static void cancel_from_a_signal_handler_wakes_the_sleeper(void)
{
    struct sigaction action = {.sa_handler = raise_on_signal};
    struct sleeper sleeper = {&signalled, INFINITY, 0};
    pthread_t thread;

    sigaction(SIGUSR1, &action, NULL);
    check(pthread_create(&thread, NULL, sleep_until_cancelled, &sleeper) == 0, "a thread");
    raise(SIGUSR1);
    pthread_join(thread, NULL);
    check(sleeper.code == MUSTER_ECANCELLED, "the sleeper is cancelled by the signal");
}

static void do_nothing(int number)
{
    (void)number;
}

static void sleep_that_signals_interrupt_is_not_shorter(void)
{
    struct sigaction action = {.sa_handler = do_nothing};
    struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    struct call_cancel cancel = {0};
    struct sleeper sleeper = {&cancel, 0.03, -1};
    uint64_t start_ns = clock_now_ns();

    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    sleep_until_cancelled(&sleeper);
    setitimer(ITIMER_REAL, &never, NULL);
    check(sleeper.code == 0, "an interrupted sleep succeeds");
    check(clock_now_ns() - start_ns >= 30 * CLOCK_NS_PER_MS, "an interrupted sleep lasts as long as asked");
}

int main(void)
{
    int round;

    for (round = 0; round < ROUNDS; round++)
        cancel_wakes_every_sleeper();
    cancel_from_a_signal_handler_wakes_the_sleeper();
    sleep_that_signals_interrupt_is_not_shorter();
    return 0;
}
