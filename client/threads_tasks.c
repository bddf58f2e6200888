/* SPDX-License-Identifier: MIT
 *
 * Single jobs in the pool. See threads_pool.h.
 *
 * One queue, from which workers take a share at once, so that jobs of no length do not cost a
 * turn of the mutex each. What a worker took and has not begun is not lost behind a job that
 * lasts: an idle worker, a cancel and the end recall it into the queue; who begins a job is
 * decided by one atomic word of the worker. Jobs that ended go onto a stack without a lock, and
 * only the first of them wakes the caller. At most one worker is being woken at a time; it
 * wakes the next if there is more.
 */
#include "client/threads_pool.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utlist.h>

/* Tasks that one call of dispatch hands back, at most. */
enum { DISPATCH_MAX = 1000 };

static void raise_fd(int fd)
{
    static const uint64_t one = 1;

    while (write(fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

/* Wakes a worker for tasks, unless one is on its way. LOCKING: pool->mutex. */
static void wake_one(struct pool *pool)
{
    if (!pool->idle || pool->waking)
        return;
    pool->waking = true;
    pool_wake(pool, 1);
}

/* Puts what the worker took and has not begun back in front of the queue. LOCKING: pool->mutex. */
static void recall(struct worker *worker)
{
    struct pool *pool = worker->pool;
    uint32_t begun;

    if (atomic_load_explicit(&worker->begun, memory_order_relaxed) >= worker->hand_count)
        return;
    begun = atomic_fetch_or_explicit(&worker->begun, HAND_RECALLED, memory_order_acq_rel);
    for (uint32_t i = worker->hand_count; i > begun; i--) {
        struct task *task = worker->hand[i - 1];

        task->place = pool;
        DL_PREPEND(pool->tasks, task);
        pool->tasks_queued++;
    }
}

/* LOCKING: pool->mutex. */
static void recall_all(struct pool *pool)
{
    for (unsigned i = 0; i < pool->worker_count; i++)
        recall(&pool->workers[i]);
}

bool pool_take_tasks(struct worker *worker)
{
    struct pool *pool = worker->pool;
    uint64_t share;
    uint32_t count = 0;

    if (!pool->tasks)
        recall_all(pool);
    if (!pool->tasks)
        return false;
    share = pool->tasks_queued / (2 * (uint64_t)pool->worker_count);
    do {
        struct task *task = pool->tasks;

        DL_DELETE(pool->tasks, task);
        task->place = worker;
        worker->hand[count++] = task;
    } while (pool->tasks && count < share && count < HAND_MAX);
    pool->tasks_queued -= count;
    worker->hand_count = count;
    atomic_store_explicit(&worker->over, 0, memory_order_relaxed);
    atomic_store_explicit(&worker->begun, 0, memory_order_relaxed);
    if (pool->tasks || pool->queue)
        wake_one(pool);
    return true;
}

/* Whether the worker may begin the next task of its hand: then nobody recalls it. */
static bool begin(struct worker *worker, uint32_t position)
{
    if (position == worker->hand_count)
        return false;
    return atomic_compare_exchange_strong_explicit(&worker->begun, &(uint32_t){position}, position + 1,
                                                   memory_order_acq_rel, memory_order_relaxed);
}

/* Hands a task that ended to the caller, who is woken by the first since it last looked. */
static void push(struct pool *pool, struct task *task)
{
    struct task *top = atomic_load_explicit(&pool->ended, memory_order_relaxed);

    do
        task->next = top;
    while (!atomic_compare_exchange_weak_explicit(&pool->ended, &top, task, memory_order_release,
                                                  memory_order_relaxed));
    if (!top)
        raise_fd(pool->tasks_fd);
}

void pool_run_tasks(struct worker *worker)
{
    struct local_runner *runner = &worker->runner;

    if (runner->guard)
        runner->guard->enter(runner);
    for (uint32_t i = 0; begin(worker, i); i++) {
        struct task *task = worker->hand[i];

        local_run_task(runner, task);
        atomic_store_explicit(&worker->over, i + 1, memory_order_relaxed);
        push(worker->pool, task);
        if (runner->guard && i + 1 < worker->hand_count)
            runner->guard->pass(runner);
    }
    if (runner->guard)
        runner->guard->leave(runner);
}

/* `over` is counted before its task is pushed: one that is not over was not handed back. */
void pool_recall_tasks(struct pool *pool)
{
    recall_all(pool);
    for (unsigned i = 0; i < pool->worker_count; i++) {
        struct worker *worker = &pool->workers[i];
        uint32_t begun = atomic_load_explicit(&worker->begun, memory_order_relaxed) & ~HAND_RECALLED;

        if (atomic_load_explicit(&worker->over, memory_order_relaxed) < begun)
            call_cancel_raise(&worker->hand[begun - 1]->cancel);
    }
}

int pool_submit(struct model *model, struct task *task, struct muster_error *ret_error)
{
    struct pool *pool = (struct pool *)model;

    (void)ret_error;
    pthread_mutex_lock(&pool->mutex);
    task->place = pool;
    DL_APPEND(pool->tasks, task);
    pool->tasks_queued++;
    wake_one(pool);
    pthread_mutex_unlock(&pool->mutex);
    return 0;
}

static void end_cancelled(struct task *task)
{
    task->code = MUSTER_ECANCELLED;
    task->text = muster_error_name(MUSTER_ECANCELLED);
    task->value.type = MSGPACK_OBJECT_NIL;
    task->place = NULL;
}

/* The place of a task is the pool while it waits, the worker that took it, then NULL. */
void pool_cancel(struct model *model, struct task *task)
{
    struct pool *pool = (struct pool *)model;
    bool queued;

    pthread_mutex_lock(&pool->mutex);
    if (task->place && task->place != pool)
        recall(task->place);
    queued = task->place == pool;
    if (queued) {
        DL_DELETE(pool->tasks, task);
        pool->tasks_queued--;
    }
    pthread_mutex_unlock(&pool->mutex);
    if (!queued) {
        call_cancel_raise(&task->cancel);
        return;
    }
    end_cancelled(task);
    DL_APPEND(pool->collected, task);
    raise_fd(pool->tasks_fd);
}

/* Takes what ended off the stack, which has the last on top. */
static void collect(struct pool *pool)
{
    struct task *task = atomic_exchange_explicit(&pool->ended, NULL, memory_order_acquire);
    struct task *first = NULL, *next;

    for (; task; task = next) {
        next = task->next;
        task->next = first;
        first = task;
    }
    for (task = first; task; task = next) {
        next = task->next;
        DL_APPEND(pool->collected, task);
    }
}

int pool_dispatch(struct model *model, struct task **ended, struct muster_error *ret_error)
{
    struct pool *pool = (struct pool *)model;
    eventfd_t count;

    (void)ret_error;
    (void)eventfd_read(pool->tasks_fd, &count); /* before the stack: what is pushed later raises it anew */
    collect(pool);
    for (unsigned i = 0; i < DISPATCH_MAX && pool->collected; i++) {
        struct task *task = pool->collected;

        DL_DELETE(pool->collected, task);
        task->place = NULL;
        DL_APPEND(*ended, task);
    }
    if (pool->collected)
        raise_fd(pool->tasks_fd);
    return 0;
}

int pool_fd(const struct model *model)
{
    return ((const struct pool *)model)->tasks_fd;
}

void pool_give_back(struct pool *pool, struct task **ended)
{
    struct task *task, *next;

    collect(pool);
    DL_CONCAT(*ended, pool->collected);
    DL_FOREACH_SAFE(pool->tasks, task, next) {
        DL_DELETE(pool->tasks, task);
        end_cancelled(task);
        DL_APPEND(*ended, task);
    }
}
