/* SPDX-License-Identifier: MIT
 *
 * Fibers and their turns. See loop.h.
 */
#include "jobs/loop_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

/* After so long a turn ends although fibers could go on: who calls it has an eye on other
 * things, such as an interrupt. */
static const uint64_t TURN_NS = 10 * CLOCK_NS_PER_MS;

static void push(struct fiber_queue *queue, struct fiber *fiber)
{
    fiber->next_ready = NULL;
    fiber->ready = true;
    *queue->end = fiber;
    queue->end = &fiber->next_ready;
    queue->count++;
}

static struct fiber *pop(struct fiber_queue *queue)
{
    struct fiber *fiber = queue->first;

    if (!fiber)
        return NULL;
    if (!(queue->first = fiber->next_ready))
        queue->end = &queue->first;
    fiber->ready = false;
    queue->count--;
    return fiber;
}

int loop_create(const struct loop_watcher *watcher, struct loop **ret_loop, struct muster_error *ret_error)
{
    static const struct loop_watcher nobody;
    struct loop *loop = calloc(1, sizeof *loop);
    int code = MUSTER_ENOMEM;

    if (!loop)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    loop->watcher = watcher ? watcher : &nobody;
    loop->ready.end = &loop->ready.first;
    loop->yielded.end = &loop->yielded.first;
    loop_call_ops(&loop->ops);
    if ((code = loop_events_init(loop)) == MUSTER_ESYSTEM) {
        muster_error_system(ret_error, errno, "cannot make the descriptors of an event loop");
    } else if (code != 0 || !(loop->stacks = coroutine_stacks_create(0))) {
        code = muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    } else {
        *ret_loop = loop;
        return 0;
    }
    loop_destroy(loop);
    return code;
}

void loop_destroy(struct loop *loop)
{
    if (!loop)
        return;
    assert(loop->fiber_count == 0);
    if (loop->fetcher)
        loop->fetcher_destroy(loop->fetcher);
    loop_blocks_destroy(loop->blocks);
    coroutine_stacks_destroy(loop->stacks);
    loop_events_fini(loop);
    free(loop);
}

int loop_fd(const struct loop *loop)
{
    return loop->epoll_fd;
}

static void run_body(void *opaque)
{
    struct fiber *fiber = opaque;

    fiber->body(fiber, fiber->context);
}

int loop_start(struct loop *loop, void (*body)(struct fiber *fiber, void *context), void *context)
{
    struct fiber *fiber = calloc(1, sizeof *fiber);

    if (!fiber || !(fiber->coroutine = coroutine_create(loop->stacks, run_body, fiber))) {
        free(fiber);
        return MUSTER_ENOMEM;
    }
    fiber->loop = loop;
    fiber->body = body;
    fiber->context = context;
    DL_APPEND(loop->fibers, fiber);
    loop->fiber_count++;
    push(&loop->ready, fiber);
    return 0;
}

unsigned loop_fibers(const struct loop *loop)
{
    return loop->fiber_count;
}

unsigned loop_ready(const struct loop *loop)
{
    return loop->ready.count + loop->yielded.count;
}

static void end(struct fiber *fiber)
{
    struct loop *loop = fiber->loop;

    DL_DELETE(loop->fibers, fiber);
    loop->fiber_count--;
    free(fiber);
}

static void run(struct loop *loop, struct fiber *fiber)
{
    void *context = fiber->context;
    bool yielded;

    if (loop->watcher->resumed)
        loop->watcher->resumed(context);
    yielded = coroutine_resume(fiber->coroutine);
    if (loop->counting) {
        uint64_t cpu_ns = clock_thread_cpu_ns();

        fiber->cpu_ns += cpu_ns - loop->switched_cpu_ns;
        loop->switched_cpu_ns = cpu_ns;
    }
    if (!yielded)
        end(fiber);
    if (loop->watcher->suspended)
        loop->watcher->suspended(context);
}

static void run_ready(struct loop *loop)
{
    uint64_t until_ns = clock_now_ns() + TURN_NS;
    struct fiber *fiber;

    if (loop->counting)
        loop->switched_cpu_ns = clock_thread_cpu_ns();
    do
        run(loop, pop(&loop->ready));
    while (loop->ready.first && clock_now_ns() < until_ns);
    while ((fiber = pop(&loop->yielded)))
        push(&loop->ready, fiber);
}

static void resume_cancelled(struct loop *loop)
{
    struct fiber *fiber;

    if (!loop->cancelled)
        return;
    loop->cancelled = false;
    DL_FOREACH(loop->fibers, fiber)
        if (fiber->cancel && atomic_load_explicit(&fiber->cancel->raised, memory_order_acquire))
            fiber_resume(fiber);
}

void loop_turn(struct loop *loop, uint64_t deadline_ns)
{
    assert(!coroutine_running());
    resume_cancelled(loop);
    loop_events_take(loop, loop->ready.first ? 0 : deadline_ns);
    if (loop->ready.first)
        run_ready(loop);
    if (deadline_ns > 0)
        return;
    if (loop->ready.first || loop->cancelled)
        loop_wake(loop);
    loop_events_arm(loop);
}

void loop_cancelled(struct loop *loop)
{
    if (!loop->cancelled)
        loop_wake(loop);
    loop->cancelled = true;
}

void fiber_suspend(struct fiber *fiber, const struct call_cancel *cancel)
{
    assert(coroutine_running() == fiber->coroutine);
    fiber->cancel = cancel;
    coroutine_yield();
    fiber->cancel = NULL;
}

void fiber_resume(struct fiber *fiber)
{
    if (!fiber->ready)
        push(&fiber->loop->ready, fiber);
}

void loop_yield(struct fiber *fiber)
{
    push(&fiber->loop->yielded, fiber);
    fiber_suspend(fiber, NULL);
}

uint64_t fiber_cpu_ns(struct fiber *fiber)
{
    struct loop *loop = fiber->loop;
    uint64_t cpu_ns = clock_thread_cpu_ns();

    if (!loop->counting) {
        loop->counting = true;
        loop->switched_cpu_ns = cpu_ns;
    }
    return fiber->cpu_ns + (cpu_ns - loop->switched_cpu_ns);
}
