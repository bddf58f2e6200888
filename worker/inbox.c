/* SPDX-License-Identifier: MIT
 *
 * The chunks that a worker was assigned: those that wait, those that its executor took, and
 * which of their jobs are cancelled. Filled by the link's thread, emptied by the executor's.
 */
#include "base/log.h"
#include "worker/link_internal.h"

#include <stdlib.h>
#include <utlist.h>

enum { IDLE_MS = 1000 }; /* the executor is told that there was nothing to take for so long */

static void destroy_assignment(struct assignment *assignment)
{
    wire_frame_destroy(assignment->frame);
    free(assignment->dropped);
    free(assignment);
}

/* By what it is found among the holdings. */
static struct holding holding_of(struct assignment *assignment)
{
    const struct proto_chunk *chunk = assignment->chunk;

    return (struct holding){
        .batch = chunk->batch, .first = chunk->first, .count = chunk->count, .chunk = assignment};
}

/* --- the executor's side */

/* LOCKING: mutex is held, and the queue is not empty. */
static struct assignment *take(struct link *link)
{
    struct assignment *assignment = link->queue;

    DL_DELETE(link->queue, assignment);
    link->queued--;
    assignment->taken = true;
    DL_APPEND(link->taken, assignment);
    if (assignment->chunk->timeout_ms || assignment->chunk->count > 1)
        link_need(link); /* it has a limit to watch from now on, or results that might wait */
    return assignment;
}

/* LOCKING: mutex is held. What was given more than once, or has no room, ends the worker. */
static void add(struct link *link, struct wire_frame **frame)
{
    struct assignment *assignment = calloc(1, sizeof *assignment);
    struct holding holding;

    if (!assignment) {
        link->stopping = true;
        return;
    }
    assignment->frame = *frame;
    assignment->chunk = &(*frame)->message.chunk;
    *frame = NULL;
    holding = holding_of(assignment);
    if (link->queued == link->credit || holdings_add(&link->holdings, &holding) != 0) {
        link->stopping = true; /* more than this worker ever gave credit for, or has memory for */
        destroy_assignment(assignment);
        return;
    }
    DL_APPEND(link->queue, assignment);
    link->queued++;
}

/* LOCKING: mutex is held. */
static void add_slot(struct link *link)
{
    struct wire_frame *frame;
    int result = slot_take(&link->slots->to_worker, link->handled, "", &frame);

    if (result == MUSTER_EAGAIN)
        return;
    if (result == 0 && frame->error.code == 0 && frame->message.type == PROTO_CHUNK) {
        add(link, &frame);
    } else if (result == 0 && frame->error.code == 0 && frame->message.type == PROTO_STOP) {
        link->stopped = link->stopping = true;
    } else {
        log_error("worker: the coordinator left %s",
                  result == 0 && frame->error.code != 0 ? frame->error.text : "neither chunk nor stop");
        link->stopping = true;
    }
    if (result == 0)
        wire_frame_destroy(frame);
}

int link_try_take(struct link *link, struct assignment **ret_assignment)
{
    int result = 0;

    pthread_mutex_lock(&link->mutex);
    if (!link->queue && !link->stopping)
        add_slot(link);
    if (link->stopping)
        result = MUSTER_EEND;
    else if (!link->queue || kept_is_full(&link->kept))
        result = MUSTER_EAGAIN;
    else
        *ret_assignment = take(link);
    pthread_mutex_unlock(&link->mutex);
    return result;
}

/* What there may be to take is announced by the bell, from whichever process and thread. */
int link_take(struct link *link, struct assignment **ret_assignment)
{
    uint32_t seen = atomic_load(&link->slots->bell);
    int result = link_try_take(link, ret_assignment);
    unsigned limit_ms = IDLE_MS;

    if (result != MUSTER_EAGAIN)
        return result;
    spin_begin(&link->spin);
    while (result == MUSTER_EAGAIN) {
        while (atomic_load(&link->slots->bell) == seen && spin_again(&link->spin)) {
        }
        if (!slots_sleep(link->slots, seen, limit_ms)) {
            watch_tell_idle(link);
            limit_ms = 0;
        }
        seen = atomic_load(&link->slots->bell);
        result = link_try_take(link, ret_assignment);
    }
    spin_end(&link->spin);
    return result;
}

void link_release(struct link *link, struct assignment *assignment)
{
    struct holding holding = holding_of(assignment);

    pthread_mutex_lock(&link->mutex);
    holdings_remove(&link->holdings, &holding);
    DL_DELETE(link->taken, assignment);
    pthread_mutex_unlock(&link->mutex);
    destroy_assignment(assignment);
}

/* LOCKING: mutex is held. */
enum link_drop inbox_find_drop(const struct assignment *assignment, uint64_t index)
{
    const struct proto_chunk *chunk = assignment->chunk;

    if (!assignment->dropped || index < chunk->first || index - chunk->first >= chunk->count)
        return LINK_KEEP;
    return (enum link_drop)assignment->dropped[index - chunk->first];
}

enum link_drop link_is_dropped(struct link *link, const struct assignment *assignment, uint64_t index)
{
    enum link_drop drop;

    pthread_mutex_lock(&link->mutex);
    drop = inbox_find_drop(assignment, index);
    pthread_mutex_unlock(&link->mutex);
    return drop;
}

bool link_begin_some(struct link *link, struct assignment *assignment, uint64_t index)
{
    bool dropped;

    pthread_mutex_lock(&link->mutex);
    dropped = inbox_find_drop(assignment, index) != LINK_KEEP;
    if (!(atomic_load_explicit(&assignment->asked, memory_order_relaxed) & ASSIGNMENT_END))
        atomic_store(&assignment->cancel.raised, 0);
    pthread_mutex_unlock(&link->mutex);
    return dropped;
}

/* --- the thread's side */

void inbox_add(struct link *link, struct wire_frame **frame)
{
    pthread_mutex_lock(&link->mutex);
    add(link, frame);
    pthread_mutex_unlock(&link->mutex);
    slots_ring(link->slots);
    watch_tell_arrived(link);
}

void inbox_add_slot(struct link *link)
{
    if (!slot_is_full(&link->slots->to_worker))
        return;
    pthread_mutex_lock(&link->mutex);
    add_slot(link);
    pthread_mutex_unlock(&link->mutex);
    slots_ring(link->slots);
}

/* LOCKING: mutex is held. Some jobs of the assignment, if it has any of them. */
static int drop_some(struct assignment *assignment, const struct proto_cancel *cancel)
{
    const struct proto_chunk *chunk = assignment->chunk;
    uint64_t end = cancel->first + cancel->count, chunk_end = chunk->first + chunk->count;
    uint64_t from = cancel->first > chunk->first ? cancel->first : chunk->first;
    enum link_drop drop = cancel->mode == PROTO_CANCEL_NOW ? LINK_END : LINK_SKIP;

    end = end < chunk_end ? end : chunk_end;
    if (from >= end)
        return 0;
    if (!assignment->dropped)
        assignment->dropped = calloc(chunk->count, 1);
    if (!assignment->dropped)
        return MUSTER_ENOMEM;
    for (uint64_t index = from; index < end; index++)
        if (assignment->dropped[index - chunk->first] < drop)
            assignment->dropped[index - chunk->first] = (uint8_t)drop;
    atomic_fetch_or(&assignment->asked, ASSIGNMENT_SOME);
    return 0;
}

/* LOCKING: mutex is held. */
static void drop_all(struct assignment *assignment, enum proto_cancel_mode mode)
{
    unsigned asked = ASSIGNMENT_SKIP | (mode == PROTO_CANCEL_NOW ? ASSIGNMENT_END : 0);

    atomic_fetch_or_explicit(&assignment->asked, asked, memory_order_relaxed);
    if (mode == PROTO_CANCEL_NOW)
        call_cancel_raise(&assignment->cancel);
}

/* LOCKING: mutex is held. */
static int cancel_held(const struct link *link, const struct proto_cancel *cancel)
{
    uint64_t end = cancel->count > 0 ? cancel->first + cancel->count : UINT64_MAX;
    size_t place = holdings_find(&link->holdings, cancel->id, cancel->first);
    struct assignment *assignment;
    int result = 0;

    while (result == 0 &&
           (assignment = holdings_next(&link->holdings, cancel->id, cancel->first, end, &place)) != NULL) {
        if (cancel->count > 0)
            result = drop_some(assignment, cancel);
        else
            drop_all(assignment, cancel->mode);
    }
    return result;
}

/* LOCKING: mutex is held. The job that has the thread may not give it back by itself. */
static void cancel_running(const struct link_job *job)
{
    if (!job->assignment)
        return;
    if ((atomic_load(&job->assignment->asked) & ASSIGNMENT_END) ||
        inbox_find_drop(job->assignment, job->index) == LINK_END)
        call_cancel_raise(job->cancel);
}

void inbox_cancel(struct link *link, const struct proto_cancel *cancel)
{
    int result;

    pthread_mutex_lock(&link->mutex);
    result = cancel_held(link, cancel);
    cancel_running(&link->running);
    pthread_mutex_unlock(&link->mutex);
    if (result != 0)
        link_stop_taking(link);
    watch_tell_cancelled(link);
}

void inbox_drop(struct link *link, struct assignment *assignment)
{
    struct holding holding = holding_of(assignment);

    holdings_remove(&link->holdings, &holding);
    DL_DELETE(link->queue, assignment);
    link->queued--;
    destroy_assignment(assignment);
}

void inbox_fini(struct link *link)
{
    struct assignment *assignment, *next;

    DL_FOREACH_SAFE(link->queue, assignment, next)
        destroy_assignment(assignment);
    holdings_fini(&link->holdings);
}
