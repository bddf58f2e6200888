/* SPDX-License-Identifier: MIT
 *
 * A thread that does nothing but wait for signals: no handler runs in the middle of other
 * code. The thread is detached and ends with the process.
 */
#include "cli/interrupt.h"

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

enum {
    GRACE_S = 2,             /* for the batch to end in order */
    STATUS_OF_SIGNALS = 128, /* what shells add to a signal's number */
    STACK_BYTES = 64 << 10,
};

static struct {
    sigset_t signals; /* written before the thread starts */
    int fd;
    _Atomic int first;
} interrupt;

static void *wait_for_signals(void *unused)
{
    const struct timespec grace = {.tv_sec = GRACE_S};
    const uint64_t one = 1;
    int number;

    (void)unused;
    while (sigwait(&interrupt.signals, &number) != 0)
        ;
    atomic_store(&interrupt.first, number);
    if (write(interrupt.fd, &one, sizeof one) == (ssize_t)sizeof one)
        while (sigtimedwait(&interrupt.signals, NULL, &grace) < 0 && errno == EINTR)
            ;
    log_error("ended at once, by a second signal or because jobs did not end within %d s", GRACE_S);
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

int interrupt_start(int *ret_fd, struct muster_error *ret_error)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int error;

    choose_signals(&interrupt.signals);
    interrupt.fd = eventfd(0, EFD_CLOEXEC);
    if (interrupt.fd < 0)
        return muster_error_system(ret_error, errno, "cannot prepare for interrupts");
    error = pthread_sigmask(SIG_BLOCK, &interrupt.signals, NULL);
    if (!error)
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
