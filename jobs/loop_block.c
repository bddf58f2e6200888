/* SPDX-License-Identifier: MIT
 *
 * Code that blocks, on threads beside the loop: the fiber that called muster_call_block waits
 * for it like for anything else. A few threads serve all fibers, first come first served; they
 * start when they are needed, take no signals, and end with the loop.
 */
#include "jobs/loop_internal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* What blocks waits for a disk or a resolver, which gain little from more at once. */
enum { THREADS_MAX = 4 };

enum block_state { BLOCK_QUEUED, BLOCK_RUNNING, BLOCK_RETURNED };

/* On the stack of the fiber. */
struct block {
    struct block *prev, *next; /* of the queue, or of those that returned */
    struct fiber *fiber;
    void (*run)(void *context);
    void *context;
    enum block_state state; /* guarded by the mutex, as the lists are */
    bool over;              /* the loop's thread: returned, and taken out */
};

struct loop_blocks {
    struct loop *loop; /* borrowed */
    pthread_t threads[THREADS_MAX];
    unsigned thread_count;

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t wake;
    struct block *queue, *returned;
    unsigned queued, idle; /* blocks, threads */
    bool closing;
};

static void *serve(void *opaque)
{
    struct loop_blocks *blocks = opaque;
    struct block *block;

    pthread_mutex_lock(&blocks->mutex);
    for (;;) {
        blocks->idle++;
        while (!blocks->queue && !blocks->closing)
            pthread_cond_wait(&blocks->wake, &blocks->mutex);
        blocks->idle--;
        if (!(block = blocks->queue))
            break;
        DL_DELETE(blocks->queue, block);
        blocks->queued--;
        block->state = BLOCK_RUNNING;
        pthread_mutex_unlock(&blocks->mutex);
        block->run(block->context);
        pthread_mutex_lock(&blocks->mutex);
        block->state = BLOCK_RETURNED;
        DL_APPEND(blocks->returned, block);
        loop_wake(blocks->loop);
    }
    pthread_mutex_unlock(&blocks->mutex);
    return NULL;
}

/* An errno value. */
static int start_thread(struct loop_blocks *blocks)
{
    sigset_t all, before;
    int failed;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&blocks->threads[blocks->thread_count], NULL, serve, blocks);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    blocks->thread_count += failed == 0;
    return failed;
}

static struct loop_blocks *create(struct loop *loop)
{
    struct loop_blocks *blocks = calloc(1, sizeof *blocks);

    if (!blocks)
        return NULL;
    blocks->loop = loop;
    pthread_mutex_init(&blocks->mutex, NULL);
    pthread_cond_init(&blocks->wake, NULL);
    return blocks;
}

void loop_blocks_destroy(struct loop_blocks *blocks)
{
    if (!blocks)
        return;
    pthread_mutex_lock(&blocks->mutex);
    blocks->closing = true;
    pthread_cond_broadcast(&blocks->wake);
    pthread_mutex_unlock(&blocks->mutex);
    for (unsigned i = 0; i < blocks->thread_count; i++)
        pthread_join(blocks->threads[i], NULL);
    pthread_cond_destroy(&blocks->wake);
    pthread_mutex_destroy(&blocks->mutex);
    free(blocks);
}

/* Hands it to the threads; an errno value when there is none to take it. */
static int enqueue(struct loop *loop, struct block *block)
{
    struct loop_blocks *blocks = loop->blocks;
    bool enough;
    int failed;

    if (!blocks && !(blocks = loop->blocks = create(loop)))
        return ENOMEM;
    pthread_mutex_lock(&blocks->mutex);
    enough = blocks->idle > blocks->queued;
    pthread_mutex_unlock(&blocks->mutex);
    if (!enough && blocks->thread_count < THREADS_MAX && (failed = start_thread(blocks)) != 0 &&
        blocks->thread_count == 0)
        return failed;
    pthread_mutex_lock(&blocks->mutex);
    DL_APPEND(blocks->queue, block);
    blocks->queued++;
    pthread_cond_signal(&blocks->wake);
    pthread_mutex_unlock(&blocks->mutex);
    return 0;
}

/* Takes it back if no thread has begun it. */
static bool withdraw(struct loop_blocks *blocks, struct block *block)
{
    bool queued;

    pthread_mutex_lock(&blocks->mutex);
    queued = block->state == BLOCK_QUEUED;
    if (queued) {
        DL_DELETE(blocks->queue, block);
        blocks->queued--;
    }
    pthread_mutex_unlock(&blocks->mutex);
    return queued;
}

void loop_blocks_collect(struct loop *loop)
{
    struct loop_blocks *blocks = loop->blocks;
    struct block *returned, *block, *next;

    if (!blocks)
        return;
    pthread_mutex_lock(&blocks->mutex);
    returned = blocks->returned;
    blocks->returned = NULL;
    pthread_mutex_unlock(&blocks->mutex);
    DL_FOREACH_SAFE(returned, block, next) {
        block->over = true;
        fiber_resume(block->fiber);
    }
}

int loop_block(muster_call *base, void (*run)(void *context), void *context)
{
    struct call *call = (struct call *)base;
    struct fiber *fiber = fiber_of_call(base);
    struct block block = {.fiber = fiber, .run = run, .context = context};
    int failed;

    if (atomic_load_explicit(&call->cancel->raised, memory_order_acquire))
        return MUSTER_ECANCELLED;
    if ((failed = enqueue(fiber->loop, &block)) != 0)
        return muster_call_fail(base, "cannot start a thread for what blocks: %s", strerror(failed));
    fiber_suspend(fiber, call->cancel);
    if (!block.over && withdraw(fiber->loop->blocks, &block))
        return MUSTER_ECANCELLED;
    while (!block.over)
        fiber_suspend(fiber, NULL);
    return 0;
}
