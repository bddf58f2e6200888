/* SPDX-License-Identifier: MIT
 *
 * A thread that does nothing but wait for signals: no handler runs in the middle of other
 * code. The thread is detached and ends with the process.
 */
#include "cli/interrupt.h"

#include "base/clock.h"
#include "base/coverage.h"
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static const uint64_t GRACE_NS = 2 * CLOCK_NS_PER_S;   /* for what runs to end in order, usually */
static const uint64_t SAME_NS = 500 * CLOCK_NS_PER_MS; /* signals this close are one */

enum {
    STATUS_OF_SIGNALS = 128, /* what shells add to a signal's number */
    STACK_BYTES = 64 << 10,
};

static struct {
    sigset_t signals; /* written before the thread starts */
    int fd;
    _Atomic int first;
    atomic_bool lets_run, hung_up, again; /* see interrupt_let_run */
    atomic_bool awaits;                   /* see interrupt_await */
    _Atomic uint64_t grace_ns;
    const char *what; /* may hold it up; written before the thread starts */
} interrupt = {.grace_ns = GRACE_NS, .what = "jobs, or whoever reads the results,"};

/* Waits for a further signal until the deadline. Returns whether one came. */
static bool wait_for_another(uint64_t deadline_ns)
{
    for (uint64_t now_ns = clock_now_ns(); now_ns < deadline_ns; now_ns = clock_now_ns()) {
        const struct timespec rest = {.tv_sec = (time_t)((deadline_ns - now_ns) / CLOCK_NS_PER_S),
                                      .tv_nsec = (long)((deadline_ns - now_ns) % CLOCK_NS_PER_S)};

        if (sigtimedwait(&interrupt.signals, NULL, &rest) > 0)
            return true;
    }
    return false;
}

/* The first that ends what runs. */
static int wait_for_first(void)
{
    uint64_t hung_up_ns = 0, now_ns;
    int number;

    for (;;) {
        if (sigwait(&interrupt.signals, &number) != 0)
            continue;
        now_ns = clock_now_ns();
        if (number != SIGHUP || !atomic_load(&interrupt.lets_run) ||
            (hung_up_ns && now_ns - hung_up_ns >= SAME_NS))
            return number;
        hung_up_ns = hung_up_ns ? hung_up_ns : now_ns;
        atomic_store(&interrupt.hung_up, true);
    }
}

/* Gives the batch so long to end. Returns early, with true, at a further signal. Those that follow the
 * last at once are the same one: timeout(1) signals its child and then the child's group, a terminal that
 * closes is heard from the shell and from the kernel. */
static bool wait_for_next(uint64_t grace_ns)
{
    uint64_t since_ns = clock_now_ns();

    while (wait_for_another(clock_after(since_ns, grace_ns)))
        if (clock_now_ns() - since_ns >= SAME_NS)
            return true;
    return false;
}

/* As wait_for_next, for as long as the coordinator has not said whether it accepted the batch, too. */
static bool wait_for_word(uint64_t grace_ns)
{
    bool again = wait_for_next(grace_ns), told = false;

    while (!again && atomic_load(&interrupt.awaits)) {
        if (!told)
            log_error(
                "interrupted: the coordinator has not said yet whether it has accepted the batch; another "
                "signal ends this at once");
        told = true;
        again = wait_for_next(GRACE_NS);
    }
    return again;
}

static void *wait_for_signals(void *unused)
{
    const uint64_t one = 1;
    uint64_t grace_ns;
    bool again;
    int number = wait_for_first();

    (void)unused;
    grace_ns = atomic_load(&interrupt.grace_ns);
    atomic_store(&interrupt.first, number);
    again = write(interrupt.fd, &one, sizeof one) != (ssize_t)sizeof one || wait_for_word(grace_ns);
    if (again && atomic_load(&interrupt.lets_run)) {
        atomic_store(&interrupt.again, true);
        again = wait_for_next(grace_ns = GRACE_NS);
    }
    if (again && atomic_load(&interrupt.awaits))
        log_error("ended at once, by another signal: 'muster jobs' shows whether the batch was accepted");
    else if (again)
        log_error("ended at once, by another signal");
    else
        log_error("ended at once: %s held it up for %d s", interrupt.what, (int)(grace_ns / CLOCK_NS_PER_S));
    coverage_save();
    _exit(STATUS_OF_SIGNALS + number);
}

/* SIGINT, SIGTERM and SIGHUP, without those the parent wants ignored. */
static void choose_signals(sigset_t *ret_signals)
{
    static const int wanted[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action;

    sigemptyset(ret_signals);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (sigaction(wanted[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(ret_signals, wanted[i]);
}

void interrupt_hold(void)
{
    choose_signals(&interrupt.signals);
    pthread_sigmask(SIG_BLOCK, &interrupt.signals, NULL);
}

void interrupt_release(sigset_t *ret_held)
{
    sigset_t signals;

    choose_signals(&signals);
    pthread_sigmask(SIG_UNBLOCK, &signals, ret_held);
}

int interrupt_start(int *ret_fd, struct muster_error *ret_error)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int error;

    interrupt_hold();
    interrupt.fd = eventfd(0, EFD_CLOEXEC);
    if (interrupt.fd < 0)
        return muster_error_system(ret_error, errno, "cannot prepare for interrupts");
    error = pthread_attr_init(&attributes);
    if (!error) {
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        pthread_attr_setstacksize(&attributes, STACK_BYTES);
        error = pthread_create(&thread, &attributes, wait_for_signals, NULL);
        pthread_attr_destroy(&attributes);
    }
    if (error) {
        close(interrupt.fd);
        return muster_error_system(ret_error, error, "cannot prepare for interrupts");
    }
    *ret_fd = interrupt.fd;
    return 0;
}

int interrupt_signal(void)
{
    return atomic_load(&interrupt.first);
}

void interrupt_give(uint64_t grace_ns, const char *what)
{
    atomic_store(&interrupt.grace_ns, grace_ns);
    interrupt.what = what;
}

void interrupt_let_run(uint64_t grace_ns)
{
    atomic_store(&interrupt.grace_ns, grace_ns);
    atomic_store(&interrupt.lets_run, true);
}

void interrupt_await(bool waits)
{
    atomic_store(&interrupt.awaits, waits);
}

bool interrupt_hung_up(void)
{
    return atomic_load(&interrupt.hung_up);
}

bool interrupt_came_again(void)
{
    return atomic_load(&interrupt.again);
}
