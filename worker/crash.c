/* SPDX-License-Identifier: MIT
 *
 * The signal handler that leaves word of a crash. See crash.h.
 *
 * What it knows for certain is written first, then the stack is walked, which may fault again where it
 * is broken: the signal is blocked then, so that ends the process, and what was written stays.
 * Addresses are told by file and offset: when somebody reads them the process is gone. _dl_find_object
 * and backtrace take no locks (glibc 2.35), once backtrace has loaded what it needs.
 */
#include "worker/crash.h"

#include "base/coverage.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

enum {
    STACK_BYTES = 64 << 10, /* of the handler */
    NEAR_BYTES = 1 << 20,   /* of the stack pointer: large variables are not touched from one end on */
    BELOW_BYTES = 64 << 20, /* of the stack: other mappings, such as stacks of coroutines, are further down */
    OWN_FRAMES = 8,         /* at most, of the handler itself and of what the kernel puts before it */
};

static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};

static struct flight_page *page; /* borrowed; NULL: nothing is recorded */

static uintptr_t stack_end; /* the lowest address of the stack of the thread that executes; 0: not known */

static uintptr_t program_counter(const ucontext_t *context)
{
#if defined(__x86_64__)
    return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)context->uc_mcontext.pc;
#else
    (void)context;
    return 0;
#endif
}

static uintptr_t stack_pointer(const ucontext_t *context)
{
#if defined(__x86_64__)
    return (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    return (uintptr_t)context->uc_mcontext.sp;
#else
    (void)context;
    return 0;
#endif
}

/* The number of a file in the page, which is added; FLIGHT_MODULES_MAX when there is no room. */
static uint32_t find_module(const char *path)
{
    const char *name = flight_module_name(path);
    uint32_t i;

    for (i = 0; i < FLIGHT_MODULES_MAX && page->modules[i].known; i++)
        if (strcmp(page->modules[i].name, name) == 0)
            return i;
    if (i < FLIGHT_MODULES_MAX) {
        page->modules[i].known = 1;
        strcpy(page->modules[i].name, name);
    }
    return i;
}

static void record_frame(uint32_t place, uintptr_t address)
{
    struct flight_frame *frame = &page->frames[place];
    struct dl_find_object object;

    frame->offset = address;
    frame->module = FLIGHT_MODULES_MAX;
    if (_dl_find_object((void *)address, &object) == 0) {
        frame->offset = address - object.dlfo_link_map->l_addr;
        frame->module = find_module(object.dlfo_link_map->l_name);
    }
    atomic_store_explicit(&page->frame_count, place + 1, memory_order_release);
}

/* A call that led to where no code is cannot be walked back, but has left where it came from. */
static void record_caller(const ucontext_t *context)
{
#if defined(__x86_64__)
    record_frame(1, *(const uintptr_t *)stack_pointer(context));
#else
    (void)context;
#endif
}

static void record_stack(const ucontext_t *context)
{
    uintptr_t counter = program_counter(context);
    void *addresses[FLIGHT_FRAMES_MAX + OWN_FRAMES];
    int count, from = 0;

    record_frame(0, counter);
    if (page->frames[0].module == FLIGHT_MODULES_MAX) {
        record_caller(context);
        return;
    }
    count = backtrace(addresses, FLIGHT_FRAMES_MAX + OWN_FRAMES);
    for (int i = 0; i < count && i < OWN_FRAMES; i++)
        if ((uintptr_t)addresses[i] == counter)
            from = i + 1;
    for (uint32_t place = 1; from > 0 && from < count && place < FLIGHT_FRAMES_MAX; place++)
        record_frame(place, (uintptr_t)addresses[from++]);
}

/* Of these two the instruction is over when the signal comes: a breakpoint, a system call that a filter
 * traps. */
static bool ran_on(int number)
{
    return number == SIGTRAP || number == SIGSYS;
}

/* Where a call, or a variable of one, touched what is just below the stack. What is near the stack pointer at
 * the other end is a buffer that was overrun. A coroutine's stack has a guard of its own (jobs/overflow.c).
 */
static bool is_overflow(uintptr_t address, uintptr_t stack)
{
    return address < stack_end && stack_end - address <= BELOW_BYTES && address + NEAR_BYTES > stack &&
           address < stack + NEAR_BYTES;
}

static void record(int number, const siginfo_t *info, const ucontext_t *context)
{
    uintptr_t address = (uintptr_t)info->si_addr;
    uint32_t flags = 0;

    if (info->si_code > 0 && info->si_code != SI_KERNEL && number != SIGABRT && !ran_on(number))
        flags |= FLIGHT_HAS_ADDRESS;
    if ((flags & FLIGHT_HAS_ADDRESS) && number == SIGSEGV && is_overflow(address, stack_pointer(context)))
        flags |= FLIGHT_STACK_IS_FULL;
    atomic_store(&page->fault_address, address);
    atomic_store(&page->fault_flags, flags);
    atomic_store_explicit(&page->fault_signal, (uint32_t)number, memory_order_release);
    record_stack(context);
}

/* The first of all threads has the page. */
static void on_crash(int number, siginfo_t *info, void *context)
{
    static atomic_flag taken = ATOMIC_FLAG_INIT;
    int saved = errno;

    if (page && !atomic_flag_test_and_set(&taken))
        record(number, info, context);
    coverage_save();
    signal(number, SIG_DFL);
    if (info->si_code <= 0 || ran_on(number)) /* maybe abort() sent it; a fault comes again by itself */
        pthread_kill(pthread_self(), number);
    errno = saved;
}

static int provide_stack(void)
{
    stack_t stack = {.ss_size = STACK_BYTES}, current;

    if (sigaltstack(NULL, &current) != 0)
        return -1;
    if (!(current.ss_flags & SS_DISABLE))
        return 0;
    stack.ss_sp = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack.ss_sp == MAP_FAILED)
        return -1;
    return sigaltstack(&stack, NULL); /* it stays for the life of the process */
}

/* Of the calling thread. Where it cannot be told, an overflow is told as the fault that it is. */
static void find_stack_end(void)
{
    pthread_attr_t attributes;
    size_t bytes;
    void *end;

    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return;
    if (pthread_attr_getstack(&attributes, &end, &bytes) == 0)
        stack_end = (uintptr_t)end;
    pthread_attr_destroy(&attributes);
}

int crash_watch(struct flight_page *flight, struct muster_error *ret_error)
{
    struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK}, current;
    void *first;

    (void)backtrace(&first, 1);
    if (provide_stack() != 0)
        return muster_error_system(ret_error, errno, "worker: cannot watch for crashes");
    find_stack_end();
    page = flight;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (sigaction(signals[i], NULL, &current) == 0 && !(current.sa_flags & SA_SIGINFO) &&
            current.sa_handler == SIG_DFL)
            sigaction(signals[i], &action, NULL);
    return 0;
}

void crash_unwatch(void)
{
    page = NULL;
}
