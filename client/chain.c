/* SPDX-License-Identifier: MIT
 *
 * Callbacks, chains, and futures without a job. Links are taken one after another from the
 * futures that are due; a step that ends the next future puts that into the same list, so a
 * chain of any length takes no stack. See futures.h.
 */
#include "client/handle.h"
#include "client/keep.h"

#include <stdlib.h>

int muster_promise(muster *m, struct muster_future **ret_future)
{
    struct muster_future *future;
    int code = futures_check_open(m->futures, NULL);

    if (code != 0)
        return code;
    if (!(future = future_create(m->futures)))
        return MUSTER_ENOMEM;
    *ret_future = future;
    return 0;
}

int muster_future_on_end(struct muster_future *future, muster_callback *on_success,
                         muster_callback *on_failure, void *context)
{
    struct link *link;
    int code = futures_check_open(future->owner, NULL);

    if (code != 0)
        return code;
    if (!(link = malloc(sizeof *link)))
        return MUSTER_ENOMEM;
    *link = (struct link){.kind = LINK_CALLBACK, .callback = {on_success, on_failure}, .context = context};
    future_append(future, link);
    futures_refresh(future->owner);
    return 0;
}

/* `future` waits for `upstream`, whose link holds a reference from now on. */
static void attach(struct muster_future *future, struct muster_future *upstream)
{
    future->upstream = upstream;
    future_append(upstream, &muster_future_keep(future)->link);
    futures_refresh(upstream->owner);
}

int muster_then(struct muster_future *future, muster_step *on_success, muster_step *on_failure, void *context,
                struct muster_future **ret_next)
{
    struct muster_future *next;
    int code = futures_check_open(future->owner, NULL);

    if (code != 0)
        return code;
    if (!(next = future_create(future->owner)))
        return MUSTER_ENOMEM;
    next->link = (struct link){.kind = LINK_THEN, .step = {on_success, on_failure}, .context = context};
    attach(next, future);
    *ret_next = next;
    return 0;
}

/* Whether it is for somebody to say how it ends. */
static bool is_open(const struct muster_future *future)
{
    return future->state == MUSTER_PENDING && !future->has_job && !future->upstream;
}

int muster_future_resolve(struct muster_future *future, const msgpack_object *value)
{
    msgpack_object copy;
    int code;

    if (!is_open(future))
        return MUSTER_ESTATE;
    if ((code = keep_value(&future->zone, NULL, value, &copy)) != 0)
        return code;
    future_succeed(future, copy);
    futures_refresh(future->owner);
    return 0;
}

int muster_future_reject(struct muster_future *future, int code, const char *text)
{
    if (!is_open(future))
        return MUSTER_ESTATE;
    if (code >= 0)
        return MUSTER_EINVALID;
    if (text && !(text = keep_text(&future->zone, text)))
        return MUSTER_ENOMEM;
    future_fail(future, code, text);
    futures_refresh(future->owner);
    return 0;
}

/* Whether `other` waits for `future`, over any number of links. A future waits for one other
 * at most, so the way up does not branch; where nothing waits for `future` it is not walked. */
static bool waits_for(const struct muster_future *other, const struct muster_future *future)
{
    if (!future->first)
        return other == future;
    while (other && other != future && other->state == MUSTER_PENDING)
        other = other->upstream;
    return other == future;
}

int muster_future_follow(struct muster_future *future, struct muster_future *other)
{
    if (!is_open(future))
        return MUSTER_ESTATE;
    if (other->owner != future->owner || waits_for(other, future))
        return MUSTER_EINVALID;
    if (other->state != MUSTER_PENDING) {
        future_share(future, other);
        futures_refresh(future->owner);
        return 0;
    }
    future->link = (struct link){.kind = LINK_FOLLOW};
    attach(future, other);
    return 0;
}

static struct muster_future *future_of(struct link *link)
{
    return (struct muster_future *)((char *)link - offsetof(struct muster_future, link));
}

static void run_callback(struct link *link, struct muster_future *ended)
{
    muster_callback *callback =
        ended->state == MUSTER_SUCCEEDED ? link->callback.on_success : link->callback.on_failure;
    void *context = link->context;

    free(link);
    if (callback)
        callback(context, ended);
}

/* The step may have `next` follow another future, for which its link is used again. */
static void run_step(struct link *link, struct muster_future *ended)
{
    struct muster_future *next = future_of(link);
    muster_step *step = ended->state == MUSTER_SUCCEEDED ? link->step.on_success : link->step.on_failure;
    int code;

    next->upstream = NULL;
    if (next->state == MUSTER_PENDING && !step) {
        future_share(next, ended);
    } else if (next->state == MUSTER_PENDING) {
        code = step(link->context, ended, next);
        if (next->state == MUSTER_PENDING && code != 0)
            future_fail(next, code < 0 ? code : MUSTER_EFAILED, NULL);
        else if (is_open(next))
            future_succeed(next, (msgpack_object){.type = MSGPACK_OBJECT_NIL});
    }
    muster_future_drop(next);
}

static void run_follower(struct link *link, struct muster_future *ended)
{
    struct muster_future *follower = future_of(link);

    follower->upstream = NULL;
    if (follower->state == MUSTER_PENDING)
        future_share(follower, ended);
    muster_future_drop(follower);
}

static void run(struct link *link, struct muster_future *ended)
{
    switch (link->kind) {
    case LINK_CALLBACK:
        run_callback(link, ended);
        return;
    case LINK_THEN:
        run_step(link, ended);
        return;
    case LINK_FOLLOW:
        run_follower(link, ended);
        return;
    case LINK_COMPLETION:
        completion_ended(link);
        return;
    }
}

void chain_run(struct futures *futures, unsigned budget)
{
    for (; budget > 0 && futures->due; budget--) {
        struct muster_future *ended = futures->due;

        run(future_take_link(ended), ended);
        muster_future_drop(ended);
    }
}
