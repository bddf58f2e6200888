/* SPDX-License-Identifier: MIT
 *
 * The thread of a store: takes all that waits, has it done in one transaction (store_group.h), and
 * completes it when that is on disk. See store.h.
 */
#include "coordinator/store.h"

#include "base/clock.h"
#include "base/log.h"
#include "coordinator/store_group.h"
#include "coordinator/store_schema.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct store {
    struct store_group group; /* the thread's, while it runs */
    pthread_t thread;
    int fd;               /* counts completions that are not seen yet */
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;  /* something was submitted, or it is to stop */
    struct store_queue submitted, completed;
    bool stopping;
};

/* Hands the queue's entries over as completions. */
static void complete(struct store *store, struct store_queue *queue)
{
    uint64_t one = 1;

    if (!queue->first)
        return;
    pthread_mutex_lock(&store->lock);
    store_queue_join(&store->completed, queue);
    pthread_mutex_unlock(&store->lock);
    if (write(store->fd, &one, sizeof one) < 0)
        return; /* the counter is full, and so the descriptor readable */
}

/* LOCKING: held. Waits for something to do. */
static void wait_for_work(struct store *store)
{
    uint64_t until = store->group.kept.first ? store->group.retry_ns : CLOCK_NEVER;
    struct timespec end = {.tv_sec = (time_t)(until / CLOCK_NS_PER_S),
                           .tv_nsec = (long)(until % CLOCK_NS_PER_S)};

    while (!store->submitted.first && !store->stopping) {
        if (until == CLOCK_NEVER)
            pthread_cond_wait(&store->wake, &store->lock);
        else if (pthread_cond_timedwait(&store->wake, &store->lock, &end) == ETIMEDOUT)
            return;
    }
}

static void *serve_all(void *argument)
{
    struct store *store = argument;
    bool over = false;

    while (!over) {
        struct store_queue queue, done;

        store_queue_init(&done);
        pthread_mutex_lock(&store->lock);
        wait_for_work(store);
        store_group_take(&store->submitted, &queue);
        over = store->stopping && !queue.first;
        pthread_mutex_unlock(&store->lock);
        if (queue.first)
            store_group_serve(&store->group, clock_now_ns(), &queue, &done);
        if (store->group.kept.first && (over || clock_now_ns() >= store->group.retry_ns))
            store_group_retry(&store->group, clock_now_ns(), &done);
        complete(store, &done);
    }
    if (store->group.kept.first)
        log_error("%s: cannot be written: %s: what ended since then is lost", store->group.database.path,
                  store->group.why);
    return NULL;
}

int store_submit(struct store *store, const struct store_request *request)
{
    struct store_entry *entry;
    int result = store_entry_create(request, &entry);

    if (result != 0)
        return result;
    pthread_mutex_lock(&store->lock);
    store_queue_append(&store->submitted, entry);
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->lock);
    return 0;
}

uint32_t store_epoch(const struct store *store)
{
    return store->group.database.epoch;
}

uint64_t store_identity(const struct store *store)
{
    return store->group.database.identity;
}

int store_fd(const struct store *store)
{
    return store->fd;
}

struct store_done *store_take(struct store *store)
{
    struct store_entry *entry;
    uint64_t count;

    pthread_mutex_lock(&store->lock);
    entry = store_queue_take(&store->completed);
    pthread_mutex_unlock(&store->lock);
    if (entry)
        return &entry->done;
    if (read(store->fd, &count, sizeof count) < 0)
        return NULL; /* EAGAIN: it was read before */
    /* What came between looking and reading rings no more. */
    pthread_mutex_lock(&store->lock);
    entry = store_queue_take(&store->completed);
    pthread_mutex_unlock(&store->lock);
    return entry ? &entry->done : NULL;
}

void store_done_free(struct store_done *done)
{
    store_entry_destroy((struct store_entry *)done); /* its first member */
}

void store_limit(struct store *store, uint64_t bytes)
{
    pthread_mutex_lock(&store->lock); /* the thread has looked into nothing but its queue by now */
    store->group.database.limit_bytes = bytes;
    pthread_mutex_unlock(&store->lock);
}

static int start(struct store *store, struct muster_error *ret_error)
{
    sigset_t all, before;
    int result;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the caller's threads */
    result = pthread_create(&store->thread, NULL, serve_all, store);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result == 0 ? 0 : muster_error_system(ret_error, result, "a thread for the store");
}

static void release(struct store *store)
{
    store_queue_destroy(&store->submitted);
    store_queue_destroy(&store->completed);
    store_group_fini(&store->group);
    if (store->fd >= 0)
        close(store->fd);
    pthread_cond_destroy(&store->wake);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

int store_create(const char *path, struct store **ret_store, struct muster_error *ret_error)
{
    struct store *store = calloc(1, sizeof *store);
    struct store_database database = {.lock_fd = -1};
    pthread_condattr_t attributes;
    int result;

    if (!store)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    pthread_mutex_init(&store->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&store->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    store_queue_init(&store->submitted);
    store_queue_init(&store->completed);
    store_group_init(&store->group, &database);
    store->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    result = store->fd < 0 ? muster_error_system(ret_error, errno, "an event descriptor for the store")
                           : store_database_open(path, &store->group.database, ret_error);
    if (result == 0)
        result = start(store, ret_error);
    if (result != 0) {
        release(store);
        return result;
    }
    *ret_store = store;
    return 0;
}

void store_destroy(struct store *store)
{
    if (!store)
        return;
    pthread_mutex_lock(&store->lock);
    store->stopping = true;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->lock);
    pthread_join(store->thread, NULL);
    release(store);
}
