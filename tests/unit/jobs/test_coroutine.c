/* SPDX-License-Identifier: MIT
 *
 * Coroutines: what a switch keeps, what a stack is used for after its coroutine has ended, and
 * what becomes of one that overflows. Crashes happen in children.
 */
#include "jobs/coroutine.h"

#include "tests/support/self.h"

#include <alloca.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* The sanitizers bound threads, which coroutines are to them, and memory. */
enum { MANY = SANITIZE_ADDRESS || SANITIZE_THREAD ? 1000 : 20000 };

struct steps {
    char text[64];
};

static void note(struct steps *steps, const char *step)
{
    strcat(steps->text, step);
}

static void count_to_three(void *context)
{
    double kept = 1.5;

    for (int i = 1; i <= 3; i++) {
        note(context, i == 1 ? "a" : i == 2 ? "b" : "c");
        kept *= 2;
        coroutine_yield();
    }
    note(context, kept == 12 ? "d" : "?");
}

static void a_coroutine_goes_on_where_it_yielded(void)
{
    struct coroutine_stacks *stacks = coroutine_stacks_create(0);
    struct steps steps = {""};
    struct coroutine *coroutine;

    CHECK(stacks && !coroutine_running());
    CHECK((coroutine = coroutine_create(stacks, count_to_three, &steps)));
    while (coroutine_resume(coroutine)) {
        CHECK(!coroutine_running());
        note(&steps, "-");
    }
    CHECK(strcmp(steps.text, "a-b-c-d") == 0);
    coroutine_stacks_destroy(stacks);
}

static struct coroutine *inner;

static void resume_another(void *context)
{
    struct coroutine *self = coroutine_running();

    CHECK(self && self != inner);
    while (coroutine_resume(inner)) {
        CHECK(coroutine_running() == self);
        note(context, "(");
        coroutine_yield();
        note(context, ")");
    }
    CHECK(coroutine_running() == self);
}

static void a_coroutine_inside_a_coroutine_yields_to_that_one(void)
{
    struct coroutine_stacks *stacks = coroutine_stacks_create(0);
    struct steps steps = {""};
    struct coroutine *outer;

    CHECK(stacks);
    CHECK((inner = coroutine_create(stacks, count_to_three, &steps)));
    CHECK((outer = coroutine_create(stacks, resume_another, &steps)));
    while (coroutine_resume(outer))
        note(&steps, "-");
    CHECK(strcmp(steps.text, "a(-)b(-)c(-)d") == 0);
    coroutine_stacks_destroy(stacks);
}

static void keep_address(void *context)
{
    unsigned char here[256];

    memset(here, 0x5a, sizeof here);
    *(uintptr_t *)context = (uintptr_t)here;
    coroutine_yield();
    for (size_t i = 0; i < sizeof here; i++)
        CHECK(here[i] == 0x5a);
}

static void a_stack_is_used_again_by_the_next_coroutine(void)
{
    struct coroutine_stacks *stacks = coroutine_stacks_create(0);
    uintptr_t first = 0, other = 0, address = 0;
    struct coroutine *coroutine, *second;

    CHECK(stacks);
    CHECK((coroutine = coroutine_create(stacks, keep_address, &first)) && coroutine_resume(coroutine));
    CHECK((second = coroutine_create(stacks, keep_address, &other)) && coroutine_resume(second));
    CHECK(!coroutine_resume(coroutine));
    for (int i = 0; i < 1000; i++) {
        CHECK((coroutine = coroutine_create(stacks, keep_address, &address)) && coroutine_resume(coroutine));
        CHECK(SANITIZE_ADDRESS || address == first); /* which may put variables elsewhere */
        CHECK(!coroutine_resume(coroutine));
    }
    CHECK(!coroutine_resume(second));
    coroutine_stacks_destroy(stacks);
}

/* All of them live at once, twice: the second time on stacks that gave their pages back. */
static void thousands_live_at_once_and_give_their_memory_back(void)
{
    struct coroutine_stacks *stacks = coroutine_stacks_create(0);
    struct coroutine **all = calloc(MANY, sizeof(struct coroutine *));
    uintptr_t *addresses = calloc(MANY, sizeof *addresses);
    size_t before = self_resident_bytes();

    CHECK(stacks && all && addresses);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MANY; i++) {
            CHECK((all[i] = coroutine_create(stacks, keep_address, &addresses[i])));
            CHECK(coroutine_resume(all[i]));
        }
        for (int i = 0; i < MANY; i++)
            CHECK(!coroutine_resume(all[i]));
    }
    CHECK(SANITIZE_ADDRESS || SANITIZE_THREAD || self_resident_bytes() < before + (48 << 20));
    coroutine_stacks_destroy(stacks);
    free(addresses);
    free(all);
}

static void one_that_never_ran_is_freed(void)
{
    struct coroutine_stacks *stacks = coroutine_stacks_create(1);
    struct steps steps = {""};

    CHECK(stacks && coroutine_create(stacks, count_to_three, &steps));
    coroutine_stacks_destroy(stacks);
    CHECK(steps.text[0] == '\0');
    coroutine_stacks_destroy(NULL);
}

static void *run_on_a_thread(void *context)
{
    struct coroutine_stacks *stacks = coroutine_stacks_create(0);
    struct coroutine *coroutine;

    CHECK(stacks);
    for (int i = 0; i < 1000; i++) {
        ((struct steps *)context)->text[0] = '\0';
        CHECK((coroutine = coroutine_create(stacks, count_to_three, context)));
        while (coroutine_resume(coroutine))
            CHECK(!coroutine_running());
        CHECK(strcmp(((struct steps *)context)->text, "abcd") == 0);
    }
    coroutine_stacks_destroy(stacks);
    return NULL;
}

static void do_nothing(void *context)
{
    (void)context;
}

/* Resumes a new coroutine with `depth` words more on the stack than before. */
static void resume_below(struct coroutine_stacks *stacks, size_t depth)
{
    volatile char *words = alloca(8 * depth + 1);
    struct coroutine *coroutine = coroutine_create(stacks, do_nothing, NULL);

    words[8 * depth] = 1;
    CHECK(coroutine && !coroutine_resume(coroutine));
    CHECK(words[8 * depth] == 1);
}

/* A regression: the first switch to a stack left marks of the address sanitizer on the resumer's. */
static void the_first_resume_spoils_the_stack_of_the_resumer(void)
{
    for (size_t depth = 0; depth < 64; depth++) {
        struct coroutine_stacks *stacks = coroutine_stacks_create(0);

        resume_below(stacks, depth);
        coroutine_stacks_destroy(stacks);
    }
}

static void threads_have_coroutines_of_their_own(void)
{
    struct steps steps[4];
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, run_on_a_thread, &steps[i]) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static void block_a_signal(void *context)
{
    sigset_t set;

    (void)context;
    coroutine_yield();
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &set) == 0);
    CHECK(sigismember(&set, SIGUSR2));
}

static void a_switch_leaves_the_signal_mask_alone(void)
{
    struct coroutine_stacks *stacks = coroutine_stacks_create(0);
    struct coroutine *coroutine;
    sigset_t set;

    CHECK(stacks && (coroutine = coroutine_create(stacks, block_a_signal, NULL)));
    CHECK(coroutine_resume(coroutine));
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    CHECK(!coroutine_resume(coroutine));
    CHECK(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
    coroutine_stacks_destroy(stacks);
}

/* --- overflow */

static bool died_of(int status, int number)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == number;
}

static void say(const char *text)
{
    CHECK(write(STDERR_FILENO, text, strlen(text)) == (ssize_t)strlen(text));
}

static void report(size_t stack_bytes)
{
    say(stack_bytes == COROUTINE_STACK_BYTES ? "overflow\n" : "overflow of another size\n");
}

/* Not endless, so that no compiler takes it for what cannot be. */
__attribute__((noinline)) static unsigned sink(unsigned depth)
{
    volatile unsigned char frame[512];

    frame[depth % sizeof frame] = (unsigned char)depth;
    return depth == 0 ? 0 : sink(depth - 1) + frame[depth % sizeof frame];
}

static void overflow(void *context)
{
    (void)context;
    sink(1 << 20);
}

static volatile uintptr_t nowhere = 8; /* read at run time: the compiler refuses an address it knows */

static void fault(void *context)
{
    (void)context;
    *(volatile int *)nowhere = 1;
}

static void *run_in_coroutine(void *body)
{
    struct coroutine_stacks *stacks = coroutine_stacks_create(0);
    struct coroutine *coroutine;

    CHECK(stacks && (coroutine = coroutine_create(stacks, *(void (**)(void *))body, NULL)));
    CHECK(coroutine_watch_overflow(report) == 0);
    CHECK(!coroutine_resume(coroutine));
    coroutine_stacks_destroy(stacks);
    return NULL;
}

static void (*const overflow_body)(void *) = overflow, (*const fault_body)(void *) = fault;

static void overflow_here(void)
{
    CHECK(coroutine_watch_overflow(report) == 0);
    run_in_coroutine((void *)(uintptr_t)&overflow_body);
}

static void overflow_on_a_thread(void)
{
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, run_in_coroutine, (void *)(uintptr_t)&overflow_body) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

static void fault_here(void)
{
    run_in_coroutine((void *)(uintptr_t)&fault_body);
}

static void fault_outside(void)
{
    CHECK(coroutine_watch_overflow(report) == 0);
    fault(NULL);
}

static void send_the_signal(void)
{
    CHECK(coroutine_watch_overflow(report) == 0);
    CHECK(kill(getpid(), SIGSEGV) == 0);
}

static void ignore_the_signal(void)
{
    CHECK(signal(SIGSEGV, SIG_IGN) != SIG_ERR);
    send_the_signal();
    say("ignored\n");
}

static void an_overflow_is_reported_and_kills(void)
{
    char text[64];

    CHECK(died_of(self_in_child(overflow_here, text, sizeof text), SIGSEGV));
    CHECK(strcmp(text, "overflow\n") == 0);
    CHECK(died_of(self_in_child(overflow_on_a_thread, text, sizeof text), SIGSEGV));
    CHECK(strcmp(text, "overflow\n") == 0);
}

static void other_faults_and_signals_do_what_they_did(void)
{
    char text[64];

    CHECK(died_of(self_in_child(fault_here, text, sizeof text), SIGSEGV) && text[0] == '\0');
    CHECK(died_of(self_in_child(fault_outside, text, sizeof text), SIGSEGV) && text[0] == '\0');
    CHECK(died_of(self_in_child(send_the_signal, text, sizeof text), SIGSEGV) && text[0] == '\0');
    CHECK(self_in_child(ignore_the_signal, text, sizeof text) == 0 && strcmp(text, "ignored\n") == 0);
}

static volatile sig_atomic_t handled;
static sigjmp_buf after_fault;
static void *closed_page;

static void open_page(int number, siginfo_t *info, void *machine)
{
    sigset_t set;

    (void)machine;
    pthread_sigmask(SIG_SETMASK, NULL, &set);
    if (number == SIGSEGV && info->si_addr == closed_page && sigismember(&set, SIGUSR1))
        handled++;
    mprotect(closed_page, 4096, PROT_READ | PROT_WRITE);
}

static void jump_away(int number)
{
    (void)number;
    siglongjmp(after_fault, 1);
}

static void write_to_page(void *context)
{
    (void)context;
    *(volatile char *)closed_page = 1;
}

static void fall_into_old_handlers(void)
{
    static void (*const body)(void *) = write_to_page;
    struct sigaction action = {.sa_sigaction = open_page, .sa_flags = SA_SIGINFO};

    closed_page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(closed_page != MAP_FAILED);
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGUSR1);
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
    for (int i = 1; i <= 3; i++) {
        CHECK(mprotect(closed_page, 4096, PROT_NONE) == 0);
        run_in_coroutine((void *)(uintptr_t)&body);
        CHECK(handled == i);
    }
    say("mended\n");
}

static void jump_out_of_old_handler(void)
{
    CHECK(signal(SIGSEGV, jump_away) != SIG_ERR);
    CHECK(coroutine_watch_overflow(report) == 0);
    for (int i = 1; i <= 3; i++)
        if (sigsetjmp(after_fault, 1) == 0)
            fault(NULL);
    say("away\n");
}

static void overflow_into_old_handler(void)
{
    struct sigaction action = {.sa_handler = jump_away, .sa_flags = SA_ONSTACK};

    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
    if (sigsetjmp(after_fault, 1) == 0)
        overflow_here();
    say("away\n");
}

static void a_handler_that_was_there_gets_what_is_not_ours(void)
{
    char text[64];

    CHECK(self_in_child(fall_into_old_handlers, text, sizeof text) == 0 && strcmp(text, "mended\n") == 0);
    CHECK(self_in_child(jump_out_of_old_handler, text, sizeof text) == 0 && strcmp(text, "away\n") == 0);
    if (!SANITIZE_ADDRESS && !SANITIZE_THREAD) { /* which lose track of a coroutine that is left so */
        CHECK(self_in_child(overflow_into_old_handler, text, sizeof text) == 0);
        CHECK(strcmp(text, "overflow\naway\n") == 0);
    }
}

int main(void)
{
    static const struct check tests[] = {
#define TEST(name) {#name, name}
        TEST(a_coroutine_goes_on_where_it_yielded),
        TEST(a_coroutine_inside_a_coroutine_yields_to_that_one),
        TEST(a_stack_is_used_again_by_the_next_coroutine),
        TEST(thousands_live_at_once_and_give_their_memory_back),
        TEST(one_that_never_ran_is_freed),
        TEST(the_first_resume_spoils_the_stack_of_the_resumer),
        TEST(threads_have_coroutines_of_their_own),
        TEST(a_switch_leaves_the_signal_mask_alone),
        TEST(an_overflow_is_reported_and_kills),
        TEST(other_faults_and_signals_do_what_they_did),
        TEST(a_handler_that_was_there_gets_what_is_not_ours),
#undef TEST
    };

    return check_all(tests, sizeof tests / sizeof *tests);
}
