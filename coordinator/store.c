/* SPDX-License-Identifier: MIT
 *
 * The thread of a store: takes all that waits, does it in one transaction, and completes it when that
 * is on disk. See store.h.
 *
 * When a transaction fails, it is undone, reads are done one by one, submissions are refused, and what
 * must not be lost goes to `kept`, which later comes first. While anything is kept nothing else is written.
 */
#include "coordinator/store.h"

#include "base/clock.h"
#include "base/log.h"
#include "coordinator/store_entry.h"
#include "coordinator/store_schema.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    GROUP_BYTES_MAX = 64 << 20, /* of payloads in one: what the log grows by at most */
    GROUP_MAX = 1000,           /* requests of one transaction: a sync each thousand costs little a request */
    RETRY_MS = 1000,            /* until what is kept is tried again */
};

struct queue {
    struct store_entry *first, **last;
};

struct store {
    struct store_database database; /* the thread's, while it runs */
    pthread_t thread;
    int fd;               /* counts completions that are not seen yet */
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;  /* something was submitted, or it is to stop */
    struct queue submitted, completed;
    bool stopping;
    /* the thread's own */
    struct queue kept;
    bool troubled, full;
    char why[MUSTER_ERROR_TEXT_BYTES / 2]; /* when troubled */
    uint64_t retry_ns;                     /* when something is kept */
};

static void queue_init(struct queue *queue)
{
    *queue = (struct queue){.first = NULL, .last = &queue->first};
}

static void queue_append(struct queue *queue, struct store_entry *entry)
{
    entry->next = NULL;
    *queue->last = entry;
    queue->last = &entry->next;
}

static struct store_entry *queue_take(struct queue *queue)
{
    struct store_entry *entry = queue->first;

    if (entry) {
        queue->first = entry->next;
        if (!queue->first)
            queue->last = &queue->first;
    }
    return entry;
}

/* Moves all of `from` behind `to`. */
static void queue_join(struct queue *to, struct queue *from)
{
    if (!from->first)
        return;
    *to->last = from->first;
    to->last = from->last;
    queue_init(from);
}

static void queue_destroy(struct queue *queue)
{
    struct store_entry *entry;

    while ((entry = queue_take(queue)))
        store_entry_destroy(entry);
}

/* Hands the queue's entries over as completions. */
static void complete(struct store *store, struct queue *queue)
{
    uint64_t one = 1;

    if (!queue->first)
        return;
    for (struct store_entry *entry = queue->first; entry; entry = entry->next)
        entry->done.full = store->full;
    pthread_mutex_lock(&store->lock);
    queue_join(&store->completed, queue);
    pthread_mutex_unlock(&store->lock);
    if (write(store->fd, &one, sizeof one) < 0)
        return; /* the counter is full, and so the descriptor readable */
}

static bool has_writes(const struct queue *queue)
{
    for (const struct store_entry *entry = queue->first; entry; entry = entry->next)
        if (store_entry_trouble(entry) != STORE_TROUBLE_READS)
            return true;
    return false;
}

/* Looks how much is kept. */
static void measure(struct store_database *database)
{
    uint64_t used;

    if (database->limit_bytes > 0 && !database->failure &&
        sql_number(database, database->statements[SQL_USED], &used) == 0)
        database->full = used >= database->limit_bytes;
}

/* Tries all of the queue as one transaction. On failure the database has one, nothing has happened, and
 * *ret_culprit is the request that met it: NULL when none did. */
static void attempt(struct store_database *database, const struct queue *queue,
                    struct store_entry **ret_culprit)
{
    struct store_entry *entry;
    int failure;

    database->failure = 0;
    memset(database->tally, 0, sizeof database->tally);
    sql_run(database, database->statements[has_writes(queue) ? SQL_BEGIN_WRITE : SQL_BEGIN]);
    for (entry = database->failure ? NULL : queue->first; entry; entry = entry->next) {
        if (entry->unreadable)
            continue;
        store_entry_clear(entry);
        store_write(database, entry);
        if (database->failure)
            break;
    }
    *ret_culprit = entry;
    measure(database);
    if (!database->failure && store_tally_write(database) == 0)
        sql_run(database, database->statements[SQL_COMMIT]);
    failure = database->failure;
    if (!sqlite3_get_autocommit(database->handle))
        sql_run(database, database->statements[SQL_ROLLBACK]);
    database->failure = failure;
}

/* There is more than there may be, or no more. Says so once. */
static void note_full(struct store *store)
{
    const struct store_database *database = &store->database;

    if (database->full && !store->full)
        log_error(
            "%s: has reached its limit of %.4g MiB: nothing is accepted, and jobs wait, until batches are "
            "forgotten",
            database->path, (double)database->limit_bytes / (1 << 20));
    if (!database->full && store->full)
        log_error("%s: has room again", database->path);
    store->full = database->full;
}

/* Does all of the queue as one transaction. Returns whether it did: else nothing has happened, and the
 * database has a failure. A read that meets a damaged page is answered so, and the others are done. */
static bool run(struct store *store, const struct queue *queue)
{
    struct store_database *database = &store->database;
    struct store_entry *culprit;

    for (;;) {
        attempt(database, queue, &culprit);
        if (!database->failure)
            note_full(store);
        if (!database->failure || !culprit || store_entry_trouble(culprit) != STORE_TROUBLE_READS)
            return !database->failure;
        store_entry_clear(culprit);
        log_error("%s: cannot be read: %s", database->path, database->why);
        store_entry_fail(culprit, MUSTER_ESYSTEM, "%s: cannot be read: %s", database->path, database->why);
        culprit->unreadable = true;
    }
}

/* Writing failed, or it works again. Says so once. */
static void note_trouble(struct store *store, bool troubled)
{
    const struct store_database *database = &store->database;

    if (troubled)
        memcpy(store->why, database->why, sizeof store->why);
    if (troubled && !store->troubled)
        log_error("%s: cannot be written: %s: nothing is accepted until it can; results are kept in memory",
                  database->path, store->why);
    if (!troubled && store->troubled)
        log_error("%s: is written again", database->path);
    store->troubled = troubled;
}

static void refuse(const struct store *store, struct store_entry *entry)
{
    store_entry_clear(entry);
    store_entry_fail(entry, MUSTER_ESYSTEM, "%s: cannot be written: %s", store->database.path, store->why);
}

/* A read by itself: it answers from what is on disk, or says why not. */
static void read_alone(struct store *store, struct store_entry *entry)
{
    struct queue alone;

    queue_init(&alone);
    queue_append(&alone, entry);
    if (!run(store, &alone)) {
        store_entry_clear(entry);
        store_entry_fail(entry, MUSTER_ESYSTEM, "%s: cannot be read: %s", store->database.path,
                         store->database.why);
    }
}

/* What becomes of requests when nothing can be written. */
static void sort_out(struct store *store, struct queue *queue)
{
    struct store_entry *entry;
    struct queue done;

    queue_init(&done);
    while ((entry = queue_take(queue))) {
        switch (store_entry_trouble(entry)) {
        case STORE_TROUBLE_KEPT:
            queue_append(&store->kept, entry);
            continue;
        case STORE_TROUBLE_REFUSED:
            refuse(store, entry);
            break;
        case STORE_TROUBLE_READS:
            read_alone(store, entry);
            break;
        }
        queue_append(&done, entry);
    }
    complete(store, &done);
}

/* Tries what is kept. */
static void retry(struct store *store)
{
    bool done = run(store, &store->kept);

    note_trouble(store, !done);
    if (done)
        complete(store, &store->kept);
    else
        store->retry_ns = clock_after(clock_now_ns(), RETRY_MS * CLOCK_NS_PER_MS);
}

static void serve(struct store *store, struct queue *queue)
{
    bool first = !store->kept.first;

    if (first && run(store, queue)) {
        if (has_writes(queue))
            note_trouble(store, false);
        complete(store, queue);
        return;
    }
    if (first && has_writes(queue))
        note_trouble(store, true);
    sort_out(store, queue);
    if (first && store->kept.first) /* without what was refused, it may be possible */
        retry(store);
}

/* LOCKING: held. Waits for something to do. */
static void wait_for_work(struct store *store)
{
    uint64_t until = store->kept.first ? store->retry_ns : CLOCK_NEVER;
    struct timespec end = {.tv_sec = (time_t)(until / CLOCK_NS_PER_S),
                           .tv_nsec = (long)(until % CLOCK_NS_PER_S)};

    while (!store->submitted.first && !store->stopping) {
        if (until == CLOCK_NEVER)
            pthread_cond_wait(&store->wake, &store->lock);
        else if (pthread_cond_timedwait(&store->wake, &store->lock, &end) == ETIMEDOUT)
            return;
    }
}

/* LOCKING: held. What the next transaction is of. */
static void take_group(struct store *store, struct queue *ret_queue)
{
    size_t bytes = 0;

    queue_init(ret_queue);
    for (int i = 0; i < GROUP_MAX && bytes < GROUP_BYTES_MAX && store->submitted.first; i++) {
        struct store_entry *entry = queue_take(&store->submitted);

        bytes += store_entry_bytes(entry);
        queue_append(ret_queue, entry);
    }
}

static void *serve_all(void *argument)
{
    struct store *store = argument;
    bool over = false;

    while (!over) {
        struct queue queue;

        pthread_mutex_lock(&store->lock);
        wait_for_work(store);
        take_group(store, &queue);
        over = store->stopping && !queue.first;
        pthread_mutex_unlock(&store->lock);
        if (queue.first)
            serve(store, &queue);
        if (store->kept.first && (over || clock_now_ns() >= store->retry_ns))
            retry(store);
    }
    if (store->kept.first)
        log_error("%s: cannot be written: %s: what ended since then is lost", store->database.path,
                  store->why);
    return NULL;
}

int store_submit(struct store *store, const struct store_request *request)
{
    struct store_entry *entry;
    int result = store_entry_create(request, &entry);

    if (result != 0)
        return result;
    pthread_mutex_lock(&store->lock);
    queue_append(&store->submitted, entry);
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->lock);
    return 0;
}

uint32_t store_epoch(const struct store *store)
{
    return store->database.epoch;
}

uint64_t store_identity(const struct store *store)
{
    return store->database.identity;
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
    entry = queue_take(&store->completed);
    pthread_mutex_unlock(&store->lock);
    if (entry)
        return &entry->done;
    if (read(store->fd, &count, sizeof count) < 0)
        return NULL; /* EAGAIN: it was read before */
    /* What came between looking and reading rings no more. */
    pthread_mutex_lock(&store->lock);
    entry = queue_take(&store->completed);
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
    store->database.limit_bytes = bytes;
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
    queue_destroy(&store->kept);
    queue_destroy(&store->submitted);
    queue_destroy(&store->completed);
    store_database_close(&store->database);
    if (store->fd >= 0)
        close(store->fd);
    pthread_cond_destroy(&store->wake);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

int store_create(const char *path, struct store **ret_store, struct muster_error *ret_error)
{
    struct store *store = calloc(1, sizeof *store);
    pthread_condattr_t attributes;
    int result;

    if (!store)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    pthread_mutex_init(&store->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&store->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    queue_init(&store->submitted);
    queue_init(&store->completed);
    queue_init(&store->kept);
    store->database.lock_fd = -1;
    store->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    result = store->fd < 0 ? muster_error_system(ret_error, errno, "an event descriptor for the store")
                           : store_database_open(path, &store->database, ret_error);
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
