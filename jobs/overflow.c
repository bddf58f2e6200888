/* SPDX-License-Identifier: MIT
 *
 * The overflow of a coroutine's stack: a fault in the guard below it, told apart from all other
 * faults by a signal handler that runs on a stack of its own. See coroutine_watch_overflow.
 *
 * The handler is installed once a process and stays. What it does not know it leaves to the
 * disposition that was there before it, in the way that disposition asked for.
 */
#include "jobs/coroutine.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>

/* The report is a few frames; a handler that was there before may want more. */
enum { HANDLER_STACK_BYTES = 64 << 10 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static bool installed;
static pthread_key_t handler_stack; /* of threads that had none */

/* Written before the handler is installed. */
static struct sigaction previous;

/* In the thread's own block, so that the handler can read it. */
static __thread void (*watcher)(size_t stack_bytes) __attribute__((tls_model("initial-exec")));

/* As the kernel would have done it. The mask is right already: the handler was installed with
 * that of the previous one. */
static void leave_to_previous(int number, siginfo_t *info, void *machine)
{
    struct sigaction action = previous;
    bool handled =
        (action.sa_flags & SA_SIGINFO) || (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN);

    if (handled && (action.sa_flags & (int)SA_RESETHAND))
        previous = (struct sigaction){.sa_handler = SIG_DFL};
    if (action.sa_flags & SA_SIGINFO) {
        action.sa_sigaction(number, info, machine);
    } else if (handled) {
        action.sa_handler(number);
    } else if (info->si_code > 0) {
        sigaction(number, &action, NULL); /* the fault comes again when this returns */
    } else if (action.sa_handler == SIG_DFL) {
        sigaction(number, &action, NULL);
        pthread_kill(pthread_self(), number); /* somebody sent it; it is taken when this returns */
    }
}

static void on_fault(int number, siginfo_t *info, void *machine)
{
    int saved = errno;
    size_t stack_bytes = info->si_code > 0 ? coroutine_overflowed(info->si_addr) : 0;

    if (stack_bytes > 0 && watcher) {
        watcher(stack_bytes);
        sigaction(number, &previous, NULL); /* the fault comes again when this returns */
    } else {
        leave_to_previous(number, info, machine);
    }
    errno = saved;
}

static void free_handler_stack(void *memory)
{
    stack_t current;

    if (sigaltstack(NULL, &current) == 0 && current.ss_sp == memory)
        sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    munmap(memory, HANDLER_STACK_BYTES);
}

/* The thread's own signal stack, where it has one, is as good. */
static int provide_handler_stack(void)
{
    stack_t stack = {.ss_size = HANDLER_STACK_BYTES};
    int failed;

    if (sigaltstack(NULL, &stack) != 0)
        return MUSTER_ESYSTEM;
    if (!(stack.ss_flags & SS_DISABLE))
        return 0;
    stack = (stack_t){.ss_size = HANDLER_STACK_BYTES};
    stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack.ss_sp == MAP_FAILED)
        return MUSTER_ESYSTEM;
    if ((failed = pthread_setspecific(handler_stack, stack.ss_sp)) == 0 && sigaltstack(&stack, NULL) == 0)
        return 0;
    failed = failed ? failed : errno;
    pthread_setspecific(handler_stack, NULL);
    munmap(stack.ss_sp, stack.ss_size);
    errno = failed;
    return MUSTER_ESYSTEM;
}

/* LOCKING: mutex. */
static int install(void)
{
    struct sigaction action;

    if (installed)
        return 0;
    if ((errno = pthread_key_create(&handler_stack, free_handler_stack)) != 0)
        return MUSTER_ESYSTEM;
    if (sigaction(SIGSEGV, NULL, &previous) != 0)
        return MUSTER_ESYSTEM;
    action = previous;
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | (previous.sa_flags & (SA_NODEFER | SA_RESTART));
    if (sigaction(SIGSEGV, &action, NULL) != 0)
        return MUSTER_ESYSTEM;
    installed = true;
    return 0;
}

int coroutine_watch_overflow(void (*report)(size_t stack_bytes))
{
    int code;

    if (watcher == report)
        return 0;
    pthread_mutex_lock(&mutex);
    code = install();
    pthread_mutex_unlock(&mutex);
    if (code == 0)
        code = provide_handler_stack();
    if (code == 0)
        watcher = report;
    return code;
}
