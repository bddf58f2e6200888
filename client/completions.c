/* SPDX-License-Identifier: MIT
 *
 * Futures in the order in which they end: an entry waits in its future's list of links and is
 * moved to the end of `ready` when its turn among the links comes. See future.h.
 */
#include "client/handle.h"

#include <stdlib.h>
#include <utlist.h>

struct entry {
    struct link link;                /* first */
    struct entry *prev, *next;       /* in one of the lists; utlist's DL */
    struct muster_completions *list; /* NULL once that is destroyed */
    struct muster_future *future;    /* a reference, while there is a list */
};

struct muster_completions {
    uint32_t references;     /* the caller's, until it is destroyed, and of those that wait */
    struct futures *futures; /* a reference */
    struct entry *waiting;   /* in their futures' links, too, which own them */
    struct entry *ready;     /* owned */
};

int muster_completions_create(muster *m, struct muster_completions **ret_completions)
{
    struct muster_completions *completions;
    int code = futures_check_open(m->futures, NULL);

    if (code != 0)
        return code;
    if (!(completions = calloc(1, sizeof *completions)))
        return MUSTER_ENOMEM;
    completions->references = 1;
    completions->futures = m->futures;
    futures_keep(m->futures);
    *ret_completions = completions;
    return 0;
}

/* Returns whether it was the last reference. */
static bool drop(struct muster_completions *completions)
{
    if (--completions->references > 0)
        return false;
    futures_drop(completions->futures);
    free(completions);
    return true;
}

void muster_completions_destroy(struct muster_completions *completions)
{
    struct entry *entry, *next;

    if (!completions)
        return;
    DL_FOREACH_SAFE(completions->ready, entry, next) {
        muster_future_drop(entry->future);
        free(entry);
    }
    DL_FOREACH_SAFE(completions->waiting, entry, next) {
        entry->list = NULL;
        muster_future_drop(entry->future);
    }
    completions->ready = completions->waiting = NULL;
    drop(completions);
}

int muster_completions_add(struct muster_completions *completions, struct muster_future *future)
{
    struct entry *entry;
    int code =
        future->owner == completions->futures ? futures_check_open(future->owner, NULL) : MUSTER_EINVALID;

    if (code != 0)
        return code;
    if (!(entry = malloc(sizeof *entry)))
        return MUSTER_ENOMEM;
    *entry = (struct entry){
        .link = {.kind = LINK_COMPLETION}, .list = completions, .future = muster_future_keep(future)};
    DL_APPEND(completions->waiting, entry);
    future_append(future, &entry->link);
    futures_refresh(future->owner);
    return 0;
}

void completion_ended(struct link *link)
{
    struct entry *entry = (struct entry *)link;

    if (!entry->list) {
        free(entry);
        return;
    }
    DL_DELETE(entry->list->waiting, entry);
    DL_APPEND(entry->list->ready, entry);
}

static bool is_any_ready(void *context)
{
    const struct muster_completions *completions = context;

    return completions->ready || !completions->waiting;
}

int muster_completions_next(struct muster_completions *completions, double seconds,
                            struct muster_future **ret_future)
{
    struct entry *entry;
    int code;

    completions->references++;
    code = futures_wait(completions->futures, is_any_ready, completions, seconds, NULL);
    if (drop(completions))
        return MUSTER_ESTATE; /* a callback destroyed it */
    if (code != 0)
        return code;
    if (!(entry = completions->ready))
        return MUSTER_EEND;
    DL_DELETE(completions->ready, entry);
    *ret_future = entry->future;
    free(entry);
    return 0;
}
