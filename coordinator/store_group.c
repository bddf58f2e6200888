/* SPDX-License-Identifier: MIT
 *
 * Groups of requests, each a transaction. See store_group.h.
 */
#include "coordinator/store_group.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/size.h"
#include "coordinator/store_schema.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    READ_TRIES = 3, /* more, of a read that found no memory, or no disk */
    READ_PAUSE_MS = 10,
    GROUP_BYTES_MAX = 64 << 20, /* of payloads in one: what the log grows by at most */
    GROUP_MAX = 1000,           /* requests of one transaction: a sync each thousand costs little a request */
    RETRY_MS = 1000,            /* until what is kept is tried again */
};

void store_queue_init(struct store_queue *queue)
{
    *queue = (struct store_queue){.first = NULL, .last = &queue->first};
}

void store_queue_append(struct store_queue *queue, struct store_entry *entry)
{
    entry->next = NULL;
    *queue->last = entry;
    queue->last = &entry->next;
}

struct store_entry *store_queue_take(struct store_queue *queue)
{
    struct store_entry *entry = queue->first;

    if (entry) {
        queue->first = entry->next;
        if (!queue->first)
            queue->last = &queue->first;
    }
    return entry;
}

void store_queue_join(struct store_queue *to, struct store_queue *from)
{
    if (!from->first)
        return;
    *to->last = from->first;
    to->last = from->last;
    store_queue_init(from);
}

void store_queue_destroy(struct store_queue *queue)
{
    struct store_entry *entry;

    while ((entry = store_queue_take(queue)))
        store_entry_destroy(entry);
}

void store_group_init(struct store_group *group, const struct store_database *database)
{
    *group = (struct store_group){.database = *database};
    store_queue_init(&group->kept);
}

void store_group_fini(struct store_group *group)
{
    store_queue_destroy(&group->kept);
    store_lacking_free(&group->database);
    store_database_close(&group->database);
}

void store_group_take(struct store_queue *submitted, struct store_queue *ret_queue)
{
    size_t bytes = 0;

    store_queue_init(ret_queue);
    for (int i = 0; i < GROUP_MAX && bytes < GROUP_BYTES_MAX && submitted->first; i++) {
        struct store_entry *entry = store_queue_take(submitted);

        bytes += store_entry_bytes(entry);
        store_queue_append(ret_queue, entry);
    }
}

/* Hands the queue's entries over as completions. */
static void complete(const struct store_group *group, struct store_queue *queue, struct store_queue *done)
{
    for (struct store_entry *entry = queue->first; entry; entry = entry->next)
        entry->done.full = group->full;
    store_queue_join(done, queue);
}

static bool has_writes(const struct store_queue *queue)
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
static void attempt(struct store_database *database, const struct store_queue *queue,
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
    if (!sqlite.get_autocommit(database->handle))
        sql_run(database, database->statements[SQL_ROLLBACK]);
    database->failure = failure;
}

/* There is more than there may be, or no more. Says so once. */
static void note_full(struct store_group *group)
{
    const struct store_database *database = &group->database;
    char limit[SIZE_TEXT_BYTES];

    if (database->full && !group->full)
        log_error("%s: has reached its limit of %s: nothing is accepted, and jobs wait, until batches are "
                  "forgotten",
                  database->path, size_text(database->limit_bytes, limit));
    if (!database->full && group->full)
        log_error("%s: has room again", database->path);
    group->full = database->full;
}

/* No later try mends that. */
static bool is_damage(int failure)
{
    return (failure & 0xff) == SQLITE_CORRUPT;
}

/* Whether a read that has failed may do better now: memory, or the disk, may be there again, and who asks may
 * give up a batch for want of an answer; or it knows which batch it has to pass. */
static bool is_worth_another_try(struct store_entry *entry, int failure)
{
    const struct timespec pause = {.tv_nsec = READ_PAUSE_MS * (long)CLOCK_NS_PER_MS};
    int kind = failure & 0xff;

    if (is_damage(failure))
        return store_damage_passes(entry);
    if (kind != SQLITE_NOMEM && kind != SQLITE_IOERR)
        return false;
    if (entry->tries++ >= READ_TRIES)
        return false;
    nanosleep(&pause, NULL);
    return true;
}

/* Whether the request itself has failed, and not the disk beneath all of them: it only reads, or it meets a
 * damaged page, which no later try mends. */
static bool fails_alone(const struct store_entry *entry, int failure)
{
    return store_entry_trouble(entry) == STORE_TROUBLE_READS || is_damage(failure);
}

/* What cannot be done with what it is about. */
static const char *deed(const struct store_entry *entry)
{
    if (store_entry_trouble(entry) == STORE_TROUBLE_READS)
        return "read";
    return entry->request.operation == STORE_END && entry->request.state == STORE_LOST ? "recorded as lost"
                                                                                       : "written";
}

/* Answers that the request failed for what the database says. When there is no memory to note what that means
 * for others, the database fails with that. */
static void fail_alone(struct store_database *database, struct store_entry *entry)
{
    char which[32] = "";

    if (entry->request.operation == STORE_RESULT && store_lacking_note(database, &entry->request) != 0)
        return;
    store_entry_clear(entry);
    if (entry->done.batch != 0)
        snprintf(which, sizeof which, "batch %llu ", (unsigned long long)entry->done.batch);
    log_error("%s: %scannot be %s: %s", database->path, which, deed(entry), database->why);
    store_entry_fail(entry, MUSTER_ESYSTEM, "%s: %scannot be %s: %s", database->path, which, deed(entry),
                     database->why);
    entry->done.passing = !is_damage(database->failure);
    entry->unreadable = true;
}

/* It is known from now on what the batch came to. */
static void note_end(struct store_database *database, const struct store_entry *entry)
{
    store_lacking_forget(database, entry->request.batch);
    if (entry->done.code == 0 && entry->done.state == STORE_LOST)
        log_error("%s: batch %llu is lost: `muster results %llu` says why", database->path,
                  (unsigned long long)entry->done.batch, (unsigned long long)entry->done.batch);
}

/* All of the queue is on disk. */
static void note_done(struct store_group *group, const struct store_queue *queue)
{
    note_full(group);
    for (const struct store_entry *entry = queue->first; entry; entry = entry->next)
        if (entry->request.operation == STORE_END)
            note_end(&group->database, entry);
}

/* Does all of the queue as one transaction. Returns whether it did: else nothing has happened, and the
 * database has a failure. What meets a damaged page is answered so, and the others are done. */
static bool run(struct store_group *group, const struct store_queue *queue)
{
    struct store_database *database = &group->database;
    struct store_entry *culprit;

    for (;;) {
        attempt(database, queue, &culprit);
        if (!database->failure)
            note_done(group, queue);
        if (!database->failure || !culprit || !fails_alone(culprit, database->failure))
            return !database->failure;
        if (!is_worth_another_try(culprit, database->failure))
            fail_alone(database, culprit);
    }
}

/* Writing failed, or it works again. Says so once. */
static void note_trouble(struct store_group *group, bool troubled)
{
    const struct store_database *database = &group->database;

    if (troubled)
        memcpy(group->why, database->why, sizeof group->why);
    if (troubled && !group->troubled)
        log_error("%s: cannot be written: %s: nothing is accepted until it can; results are kept in memory",
                  database->path, group->why);
    if (!troubled && group->troubled)
        log_error("%s: is written again", database->path);
    group->troubled = troubled;
}

static void refuse(const struct store_group *group, struct store_entry *entry)
{
    store_entry_clear(entry);
    store_entry_fail(entry, MUSTER_ESYSTEM, "%s: cannot be written: %s", group->database.path, group->why);
}

/* A read by itself: it answers from what is on disk, or says why not. */
static void read_alone(struct store_group *group, struct store_entry *entry)
{
    struct store_queue alone;

    store_queue_init(&alone);
    store_queue_append(&alone, entry);
    if (!run(group, &alone)) {
        store_entry_clear(entry);
        store_entry_fail(entry, MUSTER_ESYSTEM, "%s: cannot be read: %s", group->database.path,
                         group->database.why);
        entry->done.passing = !is_damage(group->database.failure);
    }
}

/* What becomes of requests when nothing can be written. */
static void sort_out(struct store_group *group, struct store_queue *queue, struct store_queue *done)
{
    struct store_queue answered;
    struct store_entry *entry;

    store_queue_init(&answered);
    while ((entry = store_queue_take(queue))) {
        switch (store_entry_trouble(entry)) {
        case STORE_TROUBLE_KEPT:
            store_queue_append(&group->kept, entry);
            continue;
        case STORE_TROUBLE_REFUSED:
            refuse(group, entry);
            break;
        case STORE_TROUBLE_READS:
            read_alone(group, entry);
            break;
        }
        store_queue_append(&answered, entry);
    }
    complete(group, &answered, done);
}

void store_group_retry(struct store_group *group, uint64_t now_ns, struct store_queue *done)
{
    bool written = run(group, &group->kept);

    note_trouble(group, !written);
    if (written)
        complete(group, &group->kept, done);
    else
        group->retry_ns = clock_after(now_ns, RETRY_MS * CLOCK_NS_PER_MS);
}

void store_group_serve(struct store_group *group, uint64_t now_ns, struct store_queue *queue,
                       struct store_queue *done)
{
    bool first = !group->kept.first;

    if (first && run(group, queue)) {
        if (has_writes(queue))
            note_trouble(group, false);
        complete(group, queue, done);
        return;
    }
    if (first && has_writes(queue))
        note_trouble(group, true);
    sort_out(group, queue, done);
    if (first && group->kept.first) /* without what was refused, it may be possible */
        store_group_retry(group, now_ns, done);
}
