/* SPDX-License-Identifier: MIT
 *
 * The worker's link to its coordinator. See link.h.
 */
#include "worker/link.h"

#include "base/clock.h"
#include "base/log.h"

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

/* Chunks of a worker that runs one job at a time: the one it runs, and what is fetched ahead. */
enum { CREDIT = 16 };

/* What was posted has so long to leave once the coordinator said STOP: no longer than a silent
 * worker is waited for. */
enum { LINGER_MS = 5000 };

struct link {
    struct wire_context *context;
    struct wire *wire; /* the thread's */
    struct flight_page *flight;
    pthread_t thread;
    uint64_t seen_position, seen_ns; /* the thread's: where the executor was when it last moved */
    bool told;                       /* the thread's: that the job at seen_position is slow */
    bool stopped;                    /* the thread's: the coordinator said STOP, and will read on */
    int parent_fd;                   /* pidfd; -1: none */
    int wake_fd;                     /* eventfd: there is something for the thread to see */

    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t arrived;
    struct assignment *queue;   /* chunks not yet taken; owned */
    struct assignment *current; /* taken, not yet released; the executor's */
    unsigned queued;
    struct outgoing *outgoing; /* owned */
    void (*slow)(void *context, uint64_t seen_ns);
    void *slow_context;
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
    free(assignment);
}

void link_kill_worker(void)
{
    kill(getpgrp() == getpid() ? 0 : getpid(), SIGKILL);
}

/* --- the executor's side */

int link_take(struct link *link, struct assignment **ret_assignment)
{
    int result = MUSTER_EEND;

    pthread_mutex_lock(&link->mutex);
    while (!link->queue && !link->stopping)
        pthread_cond_wait(&link->arrived, &link->mutex);
    if (!link->stopping) {
        struct assignment *assignment = link->queue;

        DL_DELETE(link->queue, assignment);
        link->queued--;
        link->current = assignment;
        *ret_assignment = assignment;
        result = 0;
        if (assignment->chunk->timeout_ms)
            wake(link); /* it has a limit to watch from now on */
    }
    pthread_mutex_unlock(&link->mutex);
    return result;
}

void link_release(struct link *link, struct assignment *assignment)
{
    pthread_mutex_lock(&link->mutex);
    link->current = NULL;
    pthread_mutex_unlock(&link->mutex);
    destroy_assignment(assignment);
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

/* No more chunks: the executor ends when it has finished the one it runs. */
static void stop_taking(struct link *link)
{
    pthread_mutex_lock(&link->mutex);
    link->stopping = true;
    pthread_cond_signal(&link->arrived);
    pthread_mutex_unlock(&link->mutex);
}

static void enqueue(struct link *link, struct wire_frame **frame)
{
    struct assignment *assignment = calloc(1, sizeof *assignment);

    if (!assignment) {
        stop_taking(link);
        return;
    }
    assignment->frame = *frame;
    assignment->chunk = &(*frame)->message.chunk;
    *frame = NULL;
    pthread_mutex_lock(&link->mutex);
    if (link->queued == CREDIT) {
        link->stopping = true; /* more than this worker ever gave credit for */
        destroy_assignment(assignment);
    } else {
        DL_APPEND(link->queue, assignment);
        link->queued++;
    }
    pthread_cond_signal(&link->arrived);
    pthread_mutex_unlock(&link->mutex);
}

static void cancel_one(struct assignment *assignment, const struct proto_cancel *cancel)
{
    if (!assignment || assignment->chunk->batch != cancel->id || cancel->count > 0)
        return; /* a job that is cancelled by itself runs on, as if that had come too late */
    atomic_fetch_or_explicit(&assignment->asked, ASSIGNMENT_SKIP, memory_order_relaxed);
    if (cancel->mode == PROTO_CANCEL_NOW)
        call_cancel_raise(&assignment->cancel);
}

static void cancel(struct link *link, const struct proto_cancel *cancel)
{
    struct assignment *assignment;

    pthread_mutex_lock(&link->mutex);
    cancel_one(link->current, cancel);
    DL_FOREACH(link->queue, assignment)
        cancel_one(assignment, cancel);
    pthread_mutex_unlock(&link->mutex);
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

/* A job has passed its limit. It cannot be ended alone; the flight recorder says that it was
 * the one, and that it was not a crash. Even if it ends now, its outcome is not sent. */
__attribute__((noreturn)) static void end_for_time(struct link *link, uint64_t chunk, uint64_t index)
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
    if (link->current) {
        limit_ns = link->current->chunk->timeout_ms * CLOCK_NS_PER_MS;
        chunk = link->current->chunk->chunk;
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
        end_for_time(link, chunk, position >> 1);
    return clock_after(since_ns, limit_ns);
}

/* Looks whether the executor is at one job for long, and else lets it know that time passes;
 * returns when to look again. */
static uint64_t watch_progress(struct link *link)
{
    uint64_t position = atomic_load_explicit(&link->flight->position, memory_order_acquire);
    uint64_t now_ns = clock_now_ns();
    void (*slow)(void *context, uint64_t seen_ns) = NULL;

    pthread_mutex_lock(&link->mutex);
    if (link->current || link->queue)
        slow = link->slow;
    if (link->current && position != link->seen_position)
        atomic_fetch_or_explicit(&link->current->asked, ASSIGNMENT_LOOK, memory_order_relaxed);
    pthread_mutex_unlock(&link->mutex);
    if (!slow)
        return CLOCK_NEVER;
    if (position != link->seen_position) {
        link->seen_position = position;
        link->seen_ns = now_ns;
        link->told = false;
    } else if (!link->told && (position & 1) && now_ns >= clock_after(link->seen_ns, SLOW_NS)) {
        link->told = true;
        slow(link->slow_context, link->seen_ns);
    }
    return clock_after(now_ns, SLOW_NS);
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
        uint64_t look_ns = least(watch_time(link), watch_progress(link));

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
                .credit = CREDIT,
                .concurrency = 1,
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
    wire_context_destroy(link->context);
    if (link->wake_fd >= 0)
        close(link->wake_fd);
    pthread_cond_destroy(&link->arrived);
    pthread_mutex_destroy(&link->mutex);
    free(link);
}

int link_start(const char *endpoint, const char *name, int parent_fd, struct flight_page *flight,
               struct link **ret_link, struct muster_error *ret_error)
{
    struct link *link = calloc(1, sizeof *link);
    int result;

    if (!link)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "worker: out of memory");
    link->flight = flight;
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

void link_watch(struct link *link, void (*slow)(void *context, uint64_t seen_ns), void *context)
{
    pthread_mutex_lock(&link->mutex);
    link->slow = slow;
    link->slow_context = context;
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
