/* SPDX-License-Identifier: MIT
 *
 * Stacks, and the switches between them. See coroutine.h.
 *
 * A stack is entered by makecontext once, and stays entered: when the body of a coroutine has
 * returned, the frame below it waits for the next body. All switches but the first are
 * _setjmp and _longjmp, which save what swapcontext saves except for the signal mask, and so
 * make no system call; and the address sanitizer takes them as they are, where it warns of
 * swapcontext.
 *
 * Stacks are cut from slabs, each with a guard below it:
 *
 *     guard | stack | guard | stack | ...
 */
#undef _FORTIFY_SOURCE /* its longjmp refuses to go to another stack */
#include "jobs/coroutine.h"

#include <assert.h>
#include <setjmp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#if SANITIZE_ADDRESS
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if SANITIZE_THREAD
#include <sanitizer/tsan_interface.h>
#endif

enum {
    /* A frame with an array larger than this may reach past the guard. Costs addresses only. */
    GUARD_BYTES = 64 << 10,

    /* With 192 KiB for each stack and its guard, 12 MiB of addresses a slab. */
    SLAB_STACKS = 64,

    /* Idle stacks that keep their pages: 32 MiB at worst. Others give them back, for about a
     * microsecond, and one more for new pages when they are used again. */
    WARM_STACKS = 256,
};

struct coroutine {
    struct coroutine_stacks *stacks; /* borrowed */
    struct coroutine *next;          /* of idle ones */
    unsigned char *stack;            /* the lowest usable byte; above its guard */
    void (*body)(void *context);
    void *context;
    struct coroutine *resumer; /* that is to go on when this one yields; NULL: none */
    bool mapped;               /* the stack can be written */
    bool entered;              /* `inside` is where it goes on, or waits for its next body */
    bool begun, ended;         /* the body was called; and has returned */
    jmp_buf inside, *outside;
#if SANITIZE_ADDRESS
    void *fake, *resumer_fake; /* where the sanitizer keeps variables of the two stacks */
    const void *resumer_stack;
    size_t resumer_bytes;
#endif
#if SANITIZE_THREAD
    void *fiber, *resumer_fiber;
#endif
};

struct slab {
    struct slab *next;
    unsigned char *memory; /* of all guards and stacks */
    struct coroutine coroutines[SLAB_STACKS];
};

struct coroutine_stacks {
    size_t stack_bytes;
    struct slab *slabs;            /* owned; the newest first */
    unsigned used;                 /* of the newest slab */
    struct coroutine *warm, *cold; /* idle; with and without pages */
    unsigned warm_count;
    unsigned live; /* begun and not ended */
};

/* In the thread's own block, so that a signal handler can read it. */
static __thread struct coroutine *running __attribute__((tls_model("initial-exec")));

/* --- what the sanitizers are told */

/* Before a switch to the coroutine; after it, on the coroutine's stack; before a switch back;
 * after that. `self` is the coroutine in all four. */
#if SANITIZE_ADDRESS
static void say_entering(struct coroutine *self)
{
    __sanitizer_start_switch_fiber(&self->resumer_fake, self->stack, self->stacks->stack_bytes);
}

static void say_entered(struct coroutine *self)
{
    __sanitizer_finish_switch_fiber(self->fake, &self->resumer_stack, &self->resumer_bytes);
}

static void say_leaving(struct coroutine *self)
{
    self->fake = NULL;
    __sanitizer_start_switch_fiber(self->ended ? NULL : &self->fake, self->resumer_stack,
                                   self->resumer_bytes);
}

static void say_left(struct coroutine *self)
{
    __sanitizer_finish_switch_fiber(self->resumer_fake, NULL, NULL);
}
#elif SANITIZE_THREAD
static void say_entering(struct coroutine *self)
{
    if (!self->entered)
        self->fiber = __tsan_create_fiber(0);
    self->resumer_fiber = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(self->fiber, 0);
}

static void say_entered(struct coroutine *self)
{
    (void)self;
}

static void say_leaving(struct coroutine *self)
{
    __tsan_switch_to_fiber(self->resumer_fiber, 0);
}

static void say_left(struct coroutine *self)
{
    (void)self;
}
#else
static void say_entering(struct coroutine *self)
{
    (void)self;
}

static void say_entered(struct coroutine *self)
{
    (void)self;
}

static void say_leaving(struct coroutine *self)
{
    (void)self;
}

static void say_left(struct coroutine *self)
{
    (void)self;
}
#endif

/* What is on the stack will not be gone on with. */
static void say_forgotten(struct coroutine *self)
{
#if SANITIZE_ADDRESS
    __asan_unpoison_memory_region(self->stack, self->stacks->stack_bytes);
#elif SANITIZE_THREAD
    if (self->entered)
        __tsan_destroy_fiber(self->fiber);
#else
    (void)self;
#endif
}

/* --- stacks */

struct coroutine_stacks *coroutine_stacks_create(size_t stack_bytes)
{
    struct coroutine_stacks *stacks = calloc(1, sizeof *stacks);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    if (!stacks)
        return NULL;
    stack_bytes = stack_bytes ? stack_bytes : COROUTINE_STACK_BYTES;
    stacks->stack_bytes = (stack_bytes + page - 1) / page * page;
    stacks->used = SLAB_STACKS;
    return stacks;
}

static size_t slab_bytes(const struct coroutine_stacks *stacks)
{
    return SLAB_STACKS * (GUARD_BYTES + stacks->stack_bytes);
}

void coroutine_stacks_destroy(struct coroutine_stacks *stacks)
{
    struct slab *slab;

    if (!stacks)
        return;
    assert(stacks->live == 0);
    while ((slab = stacks->slabs)) {
        stacks->slabs = slab->next;
        for (unsigned i = 0; i < SLAB_STACKS; i++)
            if (slab->coroutines[i].mapped)
                say_forgotten(&slab->coroutines[i]);
        munmap(slab->memory, slab_bytes(stacks));
        free(slab);
    }
    free(stacks);
}

/* Nothing of it can be touched yet: a stack counts as memory (RLIMIT_DATA) from its first use. */
static bool add_slab(struct coroutine_stacks *stacks)
{
    struct slab *slab = calloc(1, sizeof *slab);

    if (!slab)
        return false;
    slab->memory =
        mmap(NULL, slab_bytes(stacks), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (slab->memory == MAP_FAILED) {
        free(slab);
        return false;
    }
    for (unsigned i = 0; i < SLAB_STACKS; i++) {
        slab->coroutines[i].stacks = stacks;
        slab->coroutines[i].stack = slab->memory + i * (GUARD_BYTES + stacks->stack_bytes) + GUARD_BYTES;
    }
    slab->next = stacks->slabs;
    stacks->slabs = slab;
    stacks->used = 0;
    return true;
}

/* One that is idle, the most recently used first, else a new one; NULL when there is none. */
static struct coroutine *take(struct coroutine_stacks *stacks)
{
    struct coroutine **idle = stacks->warm ? &stacks->warm : &stacks->cold, *taken = *idle;

    if (taken) {
        stacks->warm_count -= idle == &stacks->warm;
        *idle = taken->next;
        return taken;
    }
    if (stacks->used == SLAB_STACKS && !add_slab(stacks))
        return NULL;
    taken = &stacks->slabs->coroutines[stacks->used];
    if (mprotect(taken->stack, stacks->stack_bytes, PROT_READ | PROT_WRITE) != 0)
        return NULL;
    taken->mapped = true;
    stacks->used++;
    return taken;
}

struct coroutine *coroutine_create(struct coroutine_stacks *stacks, void (*body)(void *context),
                                   void *context)
{
    struct coroutine *coroutine = take(stacks);

    if (!coroutine)
        return NULL;
    coroutine->body = body;
    coroutine->context = context;
    coroutine->begun = coroutine->ended = false;
    return coroutine;
}

static void give_back(struct coroutine *coroutine)
{
    struct coroutine_stacks *stacks = coroutine->stacks;
    struct coroutine **idle = &stacks->warm;

    stacks->live--;
    if (stacks->warm_count < WARM_STACKS) {
        stacks->warm_count++;
    } else {
        say_forgotten(coroutine);
        coroutine->entered = false;
        madvise(coroutine->stack, stacks->stack_bytes, MADV_DONTNEED);
        idle = &stacks->cold;
    }
    coroutine->next = *idle;
    *idle = coroutine;
}

/* --- switches */

static void leave(struct coroutine *self)
{
    if (_setjmp(self->inside) == 0) {
        say_leaving(self);
        _longjmp(*self->outside, 1);
    }
    say_entered(self);
}

/* The lowest frame of every stack. */
static void run_bodies(void)
{
    struct coroutine *self = running;

    say_entered(self);
    for (;;) {
        self->body(self->context);
        self->ended = true;
        leave(self);
    }
}

/* Its frame is left without a return: what the address sanitizer marks around its variables would
 * stay marked, on the stack of whoever resumes. */
__attribute__((noinline, no_sanitize_address)) static void enter(struct coroutine *coroutine)
{
    ucontext_t context;

    if (coroutine->entered)
        _longjmp(coroutine->inside, 1);
    coroutine->entered = true;
    if (getcontext(&context) != 0)
        abort(); /* it only reads the signal mask, into memory that is there */
    context.uc_stack.ss_sp = coroutine->stack;
    context.uc_stack.ss_size = coroutine->stacks->stack_bytes;
    context.uc_link = NULL;
    makecontext(&context, run_bodies, 0);
    setcontext(&context);
    abort();
}

bool coroutine_resume(struct coroutine *coroutine)
{
    jmp_buf outside;

    assert(coroutine != running && !coroutine->ended);
    coroutine->stacks->live += !coroutine->begun;
    coroutine->begun = true;
    coroutine->resumer = running;
    coroutine->outside = &outside;
    running = coroutine;
    if (_setjmp(outside) == 0) {
        say_entering(coroutine);
        enter(coroutine);
    }
    say_left(coroutine);
    running = coroutine->resumer;
    if (!coroutine->ended)
        return true;
    give_back(coroutine);
    return false;
}

void coroutine_yield(void)
{
    leave(running);
}

struct coroutine *coroutine_running(void)
{
    return running;
}

size_t coroutine_overflowed(const void *address)
{
    const unsigned char *byte = address;

    if (!running || byte >= running->stack || byte < running->stack - GUARD_BYTES)
        return 0;
    return running->stacks->stack_bytes;
}
