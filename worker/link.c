/* SPDX-License-Identifier: MIT
 *
 * The worker's link to its coordinator. See link.h.
 */
#include "base/clock.h"
#include "base/log.h"
#include "proto/threads.h"
#include "worker/link_internal.h"

#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utlist.h>

/* Chunks that a worker takes: those it runs, one for each job at worst, and what is fetched
 * ahead. */
enum { CREDIT = 16 };

/* What was posted has so long to leave once the coordinator said STOP: no longer than a silent
 * worker is waited for. */
enum { LINGER_MS = 5000 };

/* A late thread watches the parent from then on: a job may undo what else tells of its death. */
enum { LATE_MS = 50 };

/* Makes an eventfd readable. */
static void ring(int fd)
{
    uint64_t one = 1;

    if (write(fd, &one, sizeof one) < 0)
        return; /* the counter is full: whoever waits for it will wake */
}

void link_wake(const struct link *link)
{
    ring(link->wake_fd);
}

void link_need(const struct link *link)
{
    if (link->late)
        slots_want_wire(link->slots);
    link_wake(link);
}

/* LOCKING: mutex is held. Returns whether a message lies in the slot, all before it having been
 * sent. */
static bool post_to_slot(struct link *link, const struct wire_parcel *parcel)
{
    return link->bell_fd >= 0 && link->unsent == 0 &&
           slot_put(&link->slots->to_coordinator, link->sent, parcel);
}

/* LOCKING: mutex is held. */
static void post_to_thread(struct link *link, struct wire_parcel **parcel)
{
    struct outgoing *outgoing = malloc(sizeof *outgoing);

    if (!outgoing) {
        link->stopping = true; /* a result is lost: the coordinator will see the worker end */
        return;
    }
    outgoing->parcel = *parcel;
    *parcel = NULL;
    DL_APPEND(link->outgoing, outgoing);
    link->unsent++;
}

uint64_t link_number(struct link *link)
{
    return atomic_load_explicit(&link->keeps, memory_order_relaxed) ? ++link->numbered : 0;
}

void link_post(struct link *link, const struct proto_result *result, struct wire_parcel **parcel)
{
    bool in_slot;

    pthread_mutex_lock(&link->mutex);
    in_slot = post_to_slot(link, *parcel);
    if (result->number > 0 && kept_add(&link->kept, result, *parcel) != 0)
        link->stopping = true;
    if (!in_slot && !link->away)
        post_to_thread(link, parcel);
    pthread_mutex_unlock(&link->mutex);
    wire_parcel_destroy(*parcel);
    *parcel = NULL;
    if (!in_slot)
        link_need(link);
    else if (slots_must_wake(link->slots))
        ring(link->bell_fd);
}

void outgoing_drop(struct outgoing **list)
{
    struct outgoing *node, *next;

    DL_FOREACH_SAFE(*list, node, next) {
        wire_parcel_destroy(node->parcel);
        free(node);
    }
    *list = NULL;
}

/* --- the thread */

void link_stop_taking(struct link *link)
{
    pthread_mutex_lock(&link->mutex);
    link->stopping = true;
    pthread_mutex_unlock(&link->mutex);
    slots_ring(link->slots);
    watch_tell_arrived(link);
}

/* LOCKING: takes the mutex. */
static void count_sent(struct link *link, unsigned posted)
{
    pthread_mutex_lock(&link->mutex);
    link->sent++;
    link->unsent -= posted;
    pthread_mutex_unlock(&link->mutex);
}

static void answer(struct link *link, const struct proto_ping *ping)
{
    if (wire_send(link->wire, NULL, &(struct proto_message){.type = PROTO_PONG, .ping = *ping}) == 0)
        count_sent(link, 0);
}

/* Handles a message; takes *frame when it keeps it. */
static void handle(struct link *link, struct wire_frame **frame)
{
    const struct proto_message *message = &(*frame)->message;

    if ((*frame)->error.code != 0) {
        log_error("worker: the coordinator sent %s", (*frame)->error.text);
        link_stop_taking(link);
        return;
    }
    if (message->type == PROTO_CHUNK) {
        inbox_add(link, frame);
    } else if (message->type == PROTO_CANCEL) {
        if (message->cancel.mode == PROTO_CANCEL_RETURN)
            recall_jobs(link, &message->cancel);
        else
            inbox_cancel(link, &message->cancel);
    } else if (message->type == PROTO_PING) {
        answer(link, &message->ping);
    } else if (message->type == PROTO_WELCOME) {
        atomic_store(&link->keeps, link->grace_ns > 0 && message->welcome.keeps != PROTO_KEEPS_NOTHING);
    } else if (message->type == PROTO_KEPT) {
        away_drop_kept(link, message->kept.number);
    } else if (message->type == PROTO_ERROR) {
        log_error("worker: refused by the coordinator: %.*s", (int)message->error.text.size,
                  message->error.text.bytes);
        link_stop_taking(link);
        if (link->grace_ns > 0)
            away_end_worker(link);
    } else if (message->type == PROTO_STOP) {
        pthread_mutex_lock(&link->mutex);
        link->stopped = true;
        pthread_mutex_unlock(&link->mutex);
        link_stop_taking(link);
    }
}

static void count_handled(struct link *link)
{
    pthread_mutex_lock(&link->mutex);
    link->handled++;
    pthread_mutex_unlock(&link->mutex);
    if (slot_is_full(&link->slots->to_worker))
        slots_ring(link->slots); /* it may be its turn now */
}

static void drain_incoming(struct link *link)
{
    struct wire_frame *frame;
    int result;

    while ((result = wire_receive(link->wire, &frame)) == 0) {
        bool counts = frame->error.code != 0 || slot_counts(frame->message.type);

        inbox_add_slot(link); /* it was sent before this one, if it is its turn */
        handle(link, &frame);
        wire_frame_destroy(frame);
        if (counts)
            count_handled(link);
    }
    if (result == MUSTER_ELOST)
        away_leave(link);
    else if (result != MUSTER_EAGAIN)
        link_stop_taking(link);
}

bool link_is_settled(struct link *link)
{
    bool settled;

    pthread_mutex_lock(&link->mutex);
    settled = link->stopped && link->sent == 0 && link->unsent == 0;
    pthread_mutex_unlock(&link->mutex);
    return settled;
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
        if (wire_post(link->wire, NULL, &node->parcel) == 0)
            count_sent(link, 1);
        else
            link_stop_taking(link);
        wire_parcel_destroy(node->parcel);
        free(node);
    }
    return ending;
}

static void *run(void *argument)
{
    struct link *link = argument;
    struct wire_poll items[] = {{.fd = -1}, {.fd = link->wake_fd}, {.fd = link->parent_fd}};
    uint64_t count;

    pthread_setname_np(pthread_self(), "link");
    for (;;) {
        uint64_t look_ns = watch_jobs(link), away_ns = away_look(link);

        look_ns = away_ns < look_ns ? away_ns : look_ns;
        items[0].wire = link->wire;
        if (wire_wait(items, 3, clock_poll_ms(clock_now_ns(), look_ns)) < 0)
            link_stop_taking(link);
        if (items[1].ready && read(link->wake_fd, &count, sizeof count) < 0 && errno != EAGAIN)
            link_stop_taking(link);
        if (items[2].ready)
            link_kill_worker();
        drain_incoming(link);
        if (drain_outgoing(link))
            break;
    }
    wire_close(link->wire, link->stopped ? LINGER_MS : 0); /* `stopped`: the executor is done */
    return NULL;
}

/* --- life */

static struct proto_message say_who(const struct link *link, uint32_t standing)
{
    return (struct proto_message){
        .type = PROTO_HELLO,
        .hello =
            {
                .version = PROTO_VERSION,
                .role = PROTO_WORKER,
                .pid = (uint64_t)getpid(),
                .credit = link->credit,
                .concurrency = link->concurrency,
                .software = proto_text("muster " MUSTER_VERSION),
                .standing = standing,
            },
    };
}

int link_say_hello(struct link *link, uint32_t standing)
{
    struct proto_message hello = say_who(link, standing);

    return wire_send(link->wire, NULL, &hello);
}

/* Ahead of the wire: chunks may come while that is not there yet. */
static int greet_by_slot(struct link *link, struct muster_error *ret_error)
{
    struct proto_message hello = say_who(link, 0);
    struct wire_parcel *parcel;

    if (wire_pack(&hello, &parcel) != 0)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "worker: out of memory");
    slot_put(&link->slots->to_coordinator, 0, parcel);
    wire_parcel_destroy(parcel);
    if (slots_must_wake(link->slots))
        ring(link->bell_fd);
    return 0;
}

static void destroy(struct link *link)
{
    inbox_fini(link);
    outgoing_drop(&link->outgoing);
    kept_fini(&link->kept);
    wire_context_destroy(link->context);
    if (link->wake_fd >= 0)
        close(link->wake_fd);
    pthread_mutex_destroy(&link->mutex);
    if (link->bell_fd < 0)
        free(link->slots);
    free(link);
}

/* Where there is nobody to share them with, the executor waits on slots of our own all the same. */
static int init_slots(struct link *link, const struct link_options *options)
{
    link->slots = options->slots ? options->slots : aligned_alloc(alignof(struct slots), sizeof *link->slots);
    if (!link->slots)
        return MUSTER_ENOMEM;
    if (!options->slots)
        memset(link->slots, 0, sizeof *link->slots);
    link->bell_fd = options->slots ? options->bell_fd : -1;
    return 0;
}

static int connect_at_once(struct link *link, struct muster_error *ret_error)
{
    int result = wire_open_dealer(link->context, link->name, &link->wire, ret_error);

    if (result == 0)
        result = wire_connect(link->wire, link->endpoint, ret_error);
    if (result == 0 && link->bell_fd >= 0 && !link->late)
        result = greet_by_slot(link, ret_error);
    if (result == 0 && link_say_hello(link, 0) != 0)
        result = muster_error_set(ret_error, MUSTER_ESYSTEM, "worker: cannot send to %s", link->endpoint);
    return result;
}

static int open_wire(struct link *link, struct muster_error *ret_error)
{
    int result = wire_context_create(&link->context, ret_error);

    if (result != 0)
        return result;
    return link->away ? away_connect(link, ret_error) : connect_at_once(link, ret_error);
}

static bool is_over(struct link *link)
{
    bool over;

    pthread_mutex_lock(&link->mutex);
    over = link->ending && !link->outgoing;
    pthread_mutex_unlock(&link->mutex);
    return over;
}

/* ZeroMQ starts when there is something for it. */
static void *run_late(void *argument)
{
    struct link *link = argument;
    struct muster_error error;

    slots_await_want(link->slots, LATE_MS);
    if (is_over(link))
        return NULL;
    if (open_wire(link, &error) == 0)
        return run(link);
    log_error("%s", error.text);
    away_end_worker(link);
    return NULL;
}

/* Whether ZeroMQ will have threads is known before HELLO is said, in any case. */
static int open_link(struct link *link, struct muster_error *ret_error)
{
    int result;

    if (link->wake_fd < 0)
        return muster_error_system(ret_error, errno, "worker: eventfd");
    if (!link->late)
        return open_wire(link, ret_error);
    result = threads_check(ret_error);
    return result == 0 ? greet_by_slot(link, ret_error) : result;
}

int link_start(const struct link_options *options, struct link **ret_link, struct muster_error *ret_error)
{
    struct link *link = calloc(1, sizeof *link);
    int result;

    if (!link || init_slots(link, options) != 0) {
        free(link);
        return muster_error_set(ret_error, MUSTER_ENOMEM, "worker: out of memory");
    }
    link->flight = options->flight;
    link->concurrency = options->concurrency;
    link->credit = options->concurrency > 1 ? options->concurrency + CREDIT : CREDIT;
    link->parent_fd = options->parent_fd;
    link->endpoint = options->endpoint;
    link->name = options->name;
    link->grace_ns = options->grace_ns;
    link->away = options->grace_ns > 0;
    pthread_mutex_init(&link->mutex, NULL);
    spin_init(&link->spin);
    link->late = options->late && link->bell_fd >= 0;
    link->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    result = open_link(link, ret_error);
    if (result == 0 && pthread_create(&link->thread, NULL, link->late ? run_late : run, link) != 0)
        result = muster_error_system(ret_error, EAGAIN, "worker: cannot start a thread");
    if (result != 0) {
        wire_close(link->wire, 0);
        destroy(link);
        return result;
    }
    *ret_link = link;
    return 0;
}

void link_stop(struct link *link)
{
    if (!link)
        return;
    pthread_mutex_lock(&link->mutex);
    link->ending = true;
    pthread_mutex_unlock(&link->mutex);
    link_need(link);
    pthread_join(link->thread, NULL);
    destroy(link);
}
