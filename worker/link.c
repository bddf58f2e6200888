/* SPDX-License-Identifier: MIT
 *
 * The worker's link to its coordinator. See link.h.
 */
#include "worker/link.h"

#include "base/clock.h"
#include "base/log.h"
#include "proto/holdings.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utlist.h>

/* Something that waits to be sent. */
struct outgoing {
    struct wire_parcel *parcel; /* owned */
    struct outgoing *prev, *next;
};

/* A job that takes longer than this is slow: results behind it are not held back for it. */
static const uint64_t SLOW_NS = 50 * CLOCK_NS_PER_MS;

/* Chunks that a worker takes: those it runs, one for each job at worst, and what is fetched
 * ahead. */
enum { CREDIT = 16 };

/* What was posted has so long to leave once the coordinator said STOP: no longer than a silent
 * worker is waited for. */
enum { LINGER_MS = 5000 };

struct link {
    struct wire_context *context;
    struct wire *wire; /* the thread's */
    struct flight_page *flight;
    unsigned concurrency, credit;
    pthread_t thread;
    uint64_t seen_position, seen_ns; /* the thread's: where the executor was when it last moved */
    bool told;                       /* the thread's: that the job at seen_position is slow */
    bool stopped;                    /* the thread's: the coordinator said STOP, and will read on */
    int parent_fd;                   /* pidfd; -1: none */
    int wake_fd;                     /* eventfd: there is something for the thread to see */

    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t arrived;
    struct assignment *queue; /* chunks not yet taken; owned */
    struct assignment *taken; /* and not yet released; the executor's */
    struct holdings holdings; /* both, by their jobs */
    struct link_job running;  /* where the executor runs several jobs */
    unsigned queued;
    struct outgoing *outgoing;          /* owned */
    const struct link_watcher *watcher; /* borrowed; NULL: nobody watches yet */
    void *watcher_context;
    bool stopping; /* no more chunks will be taken */
    bool ending;   /* the executor is done: send what is left and end */
};

static void wake(const struct link *link)
{
    uint64_t one = 1;

    if (write(link->wake_fd, &one, sizeof one) < 0)
        return; /* the counter is full: the thread will wake */
}

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

void link_kill_worker(void)
{
    kill(getpgrp() == getpid() ? 0 : getpid(), SIGKILL);
}

/* --- the executor's side */

/* LOCKING: mutex is held, and the queue is not empty. */
static struct assignment *take(struct link *link)
{
    struct assignment *assignment = link->queue;

    DL_DELETE(link->queue, assignment);
    link->queued--;
    DL_APPEND(link->taken, assignment);
    if (assignment->chunk->timeout_ms)
        wake(link); /* it has a limit to watch from now on */
    return assignment;
}

int link_take(struct link *link, struct assignment **ret_assignment)
{
    int result = MUSTER_EEND;

    pthread_mutex_lock(&link->mutex);
    while (!link->queue && !link->stopping)
        pthread_cond_wait(&link->arrived, &link->mutex);
    if (!link->stopping) {
        *ret_assignment = take(link);
        result = 0;
    }
    pthread_mutex_unlock(&link->mutex);
    return result;
}

int link_try_take(struct link *link, struct assignment **ret_assignment)
{
    int result = 0;

    pthread_mutex_lock(&link->mutex);
    if (link->stopping)
        result = MUSTER_EEND;
    else if (!link->queue)
        result = MUSTER_EAGAIN;
    else
        *ret_assignment = take(link);
    pthread_mutex_unlock(&link->mutex);
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
static enum link_drop find_drop(const struct assignment *assignment, uint64_t index)
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
    drop = find_drop(assignment, index);
    pthread_mutex_unlock(&link->mutex);
    return drop;
}

bool link_begin_some(struct link *link, struct assignment *assignment, uint64_t index)
{
    bool dropped;

    pthread_mutex_lock(&link->mutex);
    dropped = find_drop(assignment, index) != LINK_KEEP;
    if (!(atomic_load_explicit(&assignment->asked, memory_order_relaxed) & ASSIGNMENT_END))
        atomic_store(&assignment->cancel.raised, 0);
    pthread_mutex_unlock(&link->mutex);
    return dropped;
}

void link_run(struct link *link, const struct link_job *job)
{
    pthread_mutex_lock(&link->mutex);
    link->running = *job;
    pthread_mutex_unlock(&link->mutex);
}

void link_post(struct link *link, struct wire_parcel **parcel)
{
    struct outgoing *outgoing = malloc(sizeof *outgoing);

    pthread_mutex_lock(&link->mutex);
    if (outgoing) {
        outgoing->parcel = *parcel;
        *parcel = NULL;
        DL_APPEND(link->outgoing, outgoing);
    } else {
        link->stopping = true; /* a result is lost: the coordinator will see the worker end */
    }
    pthread_mutex_unlock(&link->mutex);
    wire_parcel_destroy(*parcel);
    *parcel = NULL;
    wake(link);
}

/* --- the thread's side */

/* Who watches, or somebody who does not care. */
static const struct link_watcher *watcher_of(struct link *link)
{
    static const struct link_watcher nobody;
    const struct link_watcher *watcher;

    pthread_mutex_lock(&link->mutex);
    watcher = link->watcher ? link->watcher : &nobody;
    pthread_mutex_unlock(&link->mutex);
    return watcher;
}

/* Both not with the mutex held: the executor may ask back. */
static void tell_arrived(struct link *link)
{
    const struct link_watcher *watcher = watcher_of(link);

    if (watcher->arrived)
        watcher->arrived(link->watcher_context);
}

static void tell_cancelled(struct link *link)
{
    const struct link_watcher *watcher = watcher_of(link);

    if (watcher->cancelled)
        watcher->cancelled(link->watcher_context);
}

/* No more chunks: the executor ends when it has finished what it runs. */
static void stop_taking(struct link *link)
{
    pthread_mutex_lock(&link->mutex);
    link->stopping = true;
    pthread_cond_signal(&link->arrived);
    pthread_mutex_unlock(&link->mutex);
    tell_arrived(link);
}

static void enqueue(struct link *link, struct wire_frame **frame)
{
    struct assignment *assignment = calloc(1, sizeof *assignment);
    struct holding holding;

    if (!assignment) {
        stop_taking(link);
        return;
    }
    assignment->frame = *frame;
    assignment->chunk = &(*frame)->message.chunk;
    *frame = NULL;
    holding = holding_of(assignment);
    pthread_mutex_lock(&link->mutex);
    if (link->queued == link->credit || holdings_add(&link->holdings, &holding) != 0) {
        link->stopping = true; /* more than this worker ever gave credit for, or has memory for */
        destroy_assignment(assignment);
    } else {
        DL_APPEND(link->queue, assignment);
        link->queued++;
    }
    pthread_cond_signal(&link->arrived);
    pthread_mutex_unlock(&link->mutex);
    tell_arrived(link);
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
        find_drop(job->assignment, job->index) == LINK_END)
        call_cancel_raise(job->cancel);
}

static void cancel(struct link *link, const struct proto_cancel *cancel)
{
    int result;

    pthread_mutex_lock(&link->mutex);
    result = cancel_held(link, cancel);
    cancel_running(&link->running);
    pthread_mutex_unlock(&link->mutex);
    if (result != 0)
        stop_taking(link);
    tell_cancelled(link);
}

/* Handles a message; takes *frame when it keeps it. */
static void handle(struct link *link, struct wire_frame **frame)
{
    const struct proto_message *message = &(*frame)->message;

    if ((*frame)->error.code != 0) {
        log_error("worker: the coordinator sent %s", (*frame)->error.text);
        stop_taking(link);
        return;
    }
    if (message->type == PROTO_CHUNK) {
        enqueue(link, frame);
    } else if (message->type == PROTO_CANCEL) {
        cancel(link, &message->cancel);
    } else if (message->type == PROTO_PING) {
        wire_send(link->wire, NULL, &(struct proto_message){.type = PROTO_PONG, .ping = message->ping});
    } else if (message->type == PROTO_ERROR) {
        log_error("worker: refused by the coordinator: %.*s", (int)message->error.text.size,
                  message->error.text.bytes);
        stop_taking(link);
    } else if (message->type == PROTO_STOP) {
        link->stopped = true;
        stop_taking(link);
    }
}

static void drain_incoming(struct link *link)
{
    struct wire_frame *frame;
    int result;

    while ((result = wire_receive(link->wire, &frame)) == 0) {
        handle(link, &frame);
        wire_frame_destroy(frame);
    }
    if (result != MUSTER_EAGAIN)
        stop_taking(link);
}

/* Returns whether the executor is done, and all it said is on its way. */
static bool drain_outgoing(struct link *link)
{
    struct outgoing *list, *node, *next;
    bool ending;

    pthread_mutex_lock(&link->mutex);
    list = link->outgoing;
    link->outgoing = NULL;
    ending = link->ending;
    pthread_mutex_unlock(&link->mutex);
    DL_FOREACH_SAFE(list, node, next) {
        if (wire_post(link->wire, NULL, &node->parcel) != 0)
            stop_taking(link);
        wire_parcel_destroy(node->parcel);
        free(node);
    }
    return ending;
}

/* It cannot be ended alone; the flight recorder says that it was the one, and that it was not a
 * crash. Even if it ends now, its outcome is not sent. */
void link_end_for_time(struct link *link, uint64_t chunk, uint64_t index)
{
    flight_time_out(link->flight, chunk, index);
    link_kill_worker();
    for (;;)
        pause();
}

/* Ends the worker if its job has passed its limit; else returns when to look again. A job
 * that starts later has a later limit. */
static uint64_t watch_time(struct link *link)
{
    uint64_t now_ns = clock_now_ns(), limit_ns = 0, chunk = 0, position, since_ns;

    pthread_mutex_lock(&link->mutex);
    if (link->taken) {
        limit_ns = link->taken->chunk->timeout_ms * CLOCK_NS_PER_MS;
        chunk = link->taken->chunk->chunk;
    }
    /* While it cannot be released: a job that is executing is one of this chunk. */
    position = atomic_load_explicit(&link->flight->position, memory_order_acquire);
    since_ns = atomic_load_explicit(&link->flight->since_ns, memory_order_relaxed);
    pthread_mutex_unlock(&link->mutex);
    if (limit_ns == 0)
        return CLOCK_NEVER;
    if ((position & 1) == 0)
        return clock_after(now_ns, limit_ns);
    if (now_ns >= clock_after(since_ns, limit_ns))
        link_end_for_time(link, chunk, position >> 1);
    return clock_after(since_ns, limit_ns);
}

/* Looks whether the executor is at one job for long, and else lets it know that time passes;
 * returns when to look again. */
static uint64_t watch_progress(struct link *link)
{
    uint64_t position = atomic_load_explicit(&link->flight->position, memory_order_acquire);
    uint64_t now_ns = clock_now_ns();
    const struct link_watcher *watcher = NULL;
    bool some = false;

    pthread_mutex_lock(&link->mutex);
    if (link->taken || link->queue)
        watcher = link->watcher;
    if (link->taken) {
        some = atomic_load(&link->taken->asked) & ASSIGNMENT_SOME;
        if (position != link->seen_position)
            atomic_fetch_or_explicit(&link->taken->asked, ASSIGNMENT_LOOK, memory_order_relaxed);
    }
    pthread_mutex_unlock(&link->mutex);
    if (!watcher)
        return CLOCK_NEVER;
    if (some)
        watcher->cancelled(link->watcher_context); /* the job may have begun since */
    if (position != link->seen_position) {
        link->seen_position = position;
        link->seen_ns = now_ns;
        link->told = false;
    } else if (!link->told && (position & 1) && now_ns >= clock_after(link->seen_ns, SLOW_NS)) {
        link->told = true;
        watcher->slow(link->watcher_context, link->seen_ns);
    }
    return clock_after(now_ns, SLOW_NS);
}

/* Where several jobs run: the one that has the thread is asked to end at its limit, and the
 * worker is ended if it does not. Returns when to look again; other jobs may have the thread by
 * then, with limits of their own. */
static uint64_t watch_running(struct link *link)
{
    uint64_t now_ns = clock_now_ns(), look_ns = CLOCK_NEVER;
    const struct link_job *job = &link->running;
    const struct link_watcher *watcher = NULL;

    pthread_mutex_lock(&link->mutex);
    if (job->assignment && now_ns >= job->kill_ns)
        link_end_for_time(link, job->assignment->chunk->chunk, job->index);
    if (job->assignment && now_ns >= job->deadline_ns)
        call_cancel_raise(job->cancel);
    if (job->assignment)
        watcher = link->watcher;
    if (link->taken || link->queue)
        look_ns = clock_after(now_ns, SLOW_NS);
    pthread_mutex_unlock(&link->mutex);
    if (watcher)
        watcher->slow(link->watcher_context, now_ns);
    return look_ns;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void *run(void *argument)
{
    struct link *link = argument;
    struct wire_poll items[] = {{.wire = link->wire}, {.fd = link->wake_fd}, {.fd = link->parent_fd}};
    uint64_t count;

    pthread_setname_np(pthread_self(), "link");
    for (;;) {
        uint64_t look_ns =
            link->concurrency > 1 ? watch_running(link) : least(watch_time(link), watch_progress(link));

        if (wire_wait(items, 3, clock_poll_ms(clock_now_ns(), look_ns)) < 0)
            stop_taking(link);
        if (items[1].ready && read(link->wake_fd, &count, sizeof count) < 0 && errno != EAGAIN)
            stop_taking(link);
        if (items[2].ready)
            link_kill_worker();
        drain_incoming(link);
        if (drain_outgoing(link))
            break;
    }
    wire_close(link->wire, link->stopped ? LINGER_MS : 0);
    return NULL;
}

/* --- life */

static int say_hello(struct link *link)
{
    struct proto_message hello = {
        .type = PROTO_HELLO,
        .hello =
            {
                .version = PROTO_VERSION,
                .role = PROTO_WORKER,
                .pid = (uint64_t)getpid(),
                .credit = link->credit,
                .concurrency = link->concurrency,
                .software = proto_text("muster " MUSTER_VERSION),
            },
    };

    return wire_send(link->wire, NULL, &hello);
}

static void destroy(struct link *link)
{
    struct assignment *assignment, *next;

    DL_FOREACH_SAFE(link->queue, assignment, next)
        destroy_assignment(assignment);
    holdings_fini(&link->holdings);
    wire_context_destroy(link->context);
    if (link->wake_fd >= 0)
        close(link->wake_fd);
    pthread_cond_destroy(&link->arrived);
    pthread_mutex_destroy(&link->mutex);
    free(link);
}

int link_start(const char *endpoint, const char *name, int parent_fd, struct flight_page *flight,
               unsigned concurrency, struct link **ret_link, struct muster_error *ret_error)
{
    struct link *link = calloc(1, sizeof *link);
    int result;

    if (!link)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "worker: out of memory");
    link->flight = flight;
    link->concurrency = concurrency;
    link->credit = concurrency > 1 ? concurrency + CREDIT : CREDIT;
    link->parent_fd = parent_fd;
    pthread_mutex_init(&link->mutex, NULL);
    pthread_cond_init(&link->arrived, NULL);
    link->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    result = link->wake_fd < 0 ? muster_error_system(ret_error, errno, "worker: eventfd")
                               : wire_context_create(&link->context, ret_error);
    if (result == 0)
        result = wire_open_dealer(link->context, name, &link->wire, ret_error);
    if (result == 0)
        result = wire_connect(link->wire, endpoint, ret_error);
    if (result == 0 && say_hello(link) != 0)
        result = muster_error_set(ret_error, MUSTER_ESYSTEM, "worker: cannot send to %s", endpoint);
    if (result == 0 && pthread_create(&link->thread, NULL, run, link) != 0)
        result = muster_error_system(ret_error, EAGAIN, "worker: cannot start a thread");
    if (result != 0) {
        wire_close(link->wire, 0);
        destroy(link);
        return result;
    }
    *ret_link = link;
    return 0;
}

void link_watch(struct link *link, const struct link_watcher *watcher, void *context)
{
    pthread_mutex_lock(&link->mutex);
    link->watcher = watcher;
    link->watcher_context = context;
    pthread_mutex_unlock(&link->mutex);
    wake(link); /* there may be a chunk by now */
}

void link_stop(struct link *link)
{
    if (!link)
        return;
    pthread_mutex_lock(&link->mutex);
    link->ending = true;
    pthread_mutex_unlock(&link->mutex);
    wake(link);
    pthread_join(link->thread, NULL);
    destroy(link);
}
