/* SPDX-License-Identifier: MIT
 *
 * The coordinator's thread: waits for messages, deaths and deadlines, hands each to the core,
 * and carries out what the core decided. See loop.h. An idle loop uses no CPU.
 */
#include "coordinator/loop.h"

#include "base/clock.h"
#include "base/log.h"
#include "coordinator/books.h"
#include "coordinator/core.h"
#include "coordinator/core_look.h"
#include "coordinator/gate.h"
#include "coordinator/guests.h"
#include "coordinator/hosts.h"
#include "coordinator/journal.h"
#include "coordinator/post.h"
#include "coordinator/supervisor.h"
#include "proto/shared.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    DRAIN_MAX = 64,      /* messages handled before deaths and deadlines are looked at again */
    LAST_WORDS_MS = 100, /* that clients get to hear why the coordinator ends */
};

/* A connection that ends has clients with keys looked after so much later: what they sent before is read by
 * then, and strangers who come and go cause no more work than that. */
static const uint64_t PROBE_NS = CLOCK_NS_PER_S;

/* While messages keep coming, deaths are looked for so often. */
static const uint64_t LOOK_NS = CLOCK_NS_PER_MS;

static void release(struct coordinator *c, const struct slice *payload)
{
    shared_discard(c->mappings, slice_bytes(payload), payload->size);
}

static int spawn(struct coordinator *c, const struct outbox_item *item, struct muster_error *ret_error)
{
    int slots_fd = post_open(c->post, item->slot, item->peer);
    int result =
        supervisor_spawn(c->supervisor, item->slot, item->peer, slots_fd, post_bell(c->post), ret_error);

    if (slots_fd >= 0)
        close(slots_fd);
    if (result != 0)
        post_close(c->post, item->slot);
    return result;
}

static bool has_client(const struct coordinator *c, const char *name)
{
    return c->books ? books_has_client(c->books, name) : core_has_client(c->core, name);
}

static bool is_known(const struct coordinator *c, const char *peer)
{
    return has_client(c, peer) || core_has_worker(c->core, peer) || hosts_has(c->hosts, peer);
}

static void forget_client(struct coordinator *c, const char *name)
{
    guests_forget(c->guests, name);
    journal_client(c->journal, name, "is gone");
    if (c->books)
        books_gone(c->books, name, &c->outbox);
    else
        core_client_gone(c->core, clock_now_ns(), name, &c->outbox);
}

/* A client or a host that died, or whose connection did. The gate leaves last: it may keep the name. */
static void lose_client(struct coordinator *c, const char *name)
{
    if (has_client(c, name))
        forget_client(c, name);
    hosts_lose(c->hosts, clock_now_ns(), name, "its connection is gone", &c->outbox);
    guests_forget(c->guests, name);
    wire_forget(c->router, name, false);
    gate_leave(c->gate, name);
}

/* A worker that has gone is dealt with when its end is seen; one of another host with its host. */
static void send_item(struct coordinator *c, const struct outbox_item *item)
{
    char host[PROTO_PEER_NAME_MAX + 1] = "";
    const char *route = hosts_route(c->hosts, item->peer);
    int result;

    if (route && !route[0])
        return; /* it is away: what matters of this will be said again */
    if (route)
        snprintf(host, sizeof host, "%s", route);
    result = route ? post_send_via(c->post, host, item->peer, &item->message)
                   : post_send(c->post, item->peer, &item->message);
    if (result == MUSTER_ENOMEM)
        c->outbox.failed = true;
    else if (result == MUSTER_ELOST)
        lose_client(c, route ? host : item->peer);
    else
        journal_message(c->journal, item->peer, &item->message);
}

static void carry_out_item(struct coordinator *c, const struct outbox_item *item)
{
    struct muster_error error;

    switch (item->kind) {
    case OUTBOX_SEND:
        if (c->books && strcmp(item->peer, LEDGER_PEER) == 0)
            books_told(c->books, &item->message, &c->outbox);
        else
            send_item(c, item);
        return;
    case OUTBOX_SPAWN: /* unless its host was lost meanwhile */
        if (!core_has_worker(c->core, item->peer) ||
            hosts_spawn(c->hosts, item->slot, item->peer, &c->outbox) || spawn(c, item, &error) == 0)
            return;
        journal_spawn_failed(c->journal, error.text);
        core_spawn_failed(c->core, clock_now_ns(), item->slot, &error, &c->outbox);
        return;
    case OUTBOX_KILL:
        if (!hosts_kill(c->hosts, item->slot, &c->outbox))
            supervisor_kill(c->supervisor, item->slot);
        return;
    case OUTBOX_KEEP:
        if (c->books)
            books_keep(c->books, item->slot, item->peer, item->number, &c->outbox);
        return;
    case OUTBOX_RELEASE:
        release(c, &item->message.payload);
        return;
    case OUTBOX_SCALE:
        core_scale(c->core, clock_now_ns(), (unsigned)item->number, &c->outbox);
        return;
    case OUTBOX_DRAIN:
        core_drain(c->core, clock_now_ns(), item->number != 0, &c->outbox);
        return;
    case OUTBOX_STOP:
        c->stopping |= item->number == PROTO_STOP_NOW;
        core_finish(c->core, clock_now_ns(), &c->outbox);
        return;
    case OUTBOX_CORE:
        if (item->message.type == PROTO_SUBMIT)
            core_submit_known(c->core, clock_now_ns(), LEDGER_PEER, item, &c->outbox);
        else
            core_message(c->core, clock_now_ns(), LEDGER_PEER, &item->message, &c->outbox);
        return;
    case OUTBOX_FORWARD:
        core_message(c->core, clock_now_ns(), item->peer, &item->message, &c->outbox);
        return;
    case OUTBOX_STORE:
        if (books_request(c->books, item->request) != 0)
            c->outbox.failed = true;
        return;
    }
}

/* Carries out what the core decided, and what it decides meanwhile about failures. Out of memory it stops
 * there: what comes behind may say that what was left out is done. */
static void carry_out(struct coordinator *c)
{
    while (c->outbox.count > 0 && !c->outbox.failed) {
        struct outbox decided = c->outbox;

        c->outbox = c->spare;
        c->spare = decided;
        for (size_t i = 0; i < c->spare.count && !c->outbox.failed; i++)
            carry_out_item(c, &c->spare.items[i]);
        outbox_clear(&c->spare);
    }
}

/* Whether he is of this host is not known: his end shows in his connection's. */
static void attend_member(struct coordinator *c, const struct wire_frame *frame)
{
    bool confined;

    if (gate_enter(c->gate, frame, &confined) != 0)
        c->outbox.failed = true;
    else if (confined && c->books)
        books_confine(c->books, frame->peer);
}

/* A client has said HELLO or STOP, or a host JOIN. Whoever is not of this process is watched: the kernel
 * knows who he is over ipc; else it is whom he says he is, unless that is nobody this process can see. */
static void attend(struct coordinator *c, const struct wire_frame *frame)
{
    uint64_t pid;
    int result;

    wire_know(c->router, frame, is_known(c, frame->peer));
    if (frame->message.type == PROTO_STOP) {
        journal_client(c->journal, frame->peer, "left");
        guests_forget(c->guests, frame->peer);
        gate_leave(c->gate, frame->peer);
        return;
    }
    if (!has_client(c, frame->peer) && !hosts_has(c->hosts, frame->peer))
        return;
    if (frame->message.type == PROTO_HELLO)
        journal_client(c->journal, frame->peer, "connected");
    if (frame->keyed) {
        attend_member(c, frame);
        return;
    }
    pid = frame->pid                          ? (uint64_t)frame->pid
          : frame->message.type == PROTO_JOIN ? frame->message.join.pid
                                              : frame->message.hello.pid;
    if (pid == 0 || pid > INT_MAX || pid == (uint64_t)getpid())
        return;
    result = guests_watch(c->guests, frame->peer, (pid_t)pid);
    if (result == MUSTER_ENOMEM)
        c->outbox.failed = true;
    else if (result == MUSTER_ELOST && frame->pid)
        lose_client(c, frame->peer);
}

/* Only clients do not have names that the core gave. What comes late of a worker that is buried is no
 * client's: nobody is told. One that begins is of another life, and was not adopted: it is refused. */
static void hand_to_books(struct coordinator *c, const struct wire_frame *frame)
{
    bool worker = strncmp(frame->peer, CORE_WORKER_PREFIX, strlen(CORE_WORKER_PREFIX)) == 0;

    if (worker && frame->error.code == 0 && frame->message.type == PROTO_HELLO)
        core_message(c->core, clock_now_ns(), frame->peer, &frame->message, &c->outbox);
    if (worker)
        return;
    if (frame->error.code != 0)
        books_malformed(c->books, frame->peer, &frame->error, &c->outbox);
    else
        books_message(c->books, frame->peer, &frame->message, &c->outbox);
}

static void tell_error(struct coordinator *c, const char *peer, uint64_t ticket, int code, const char *why)
{
    outbox_send(&c->outbox, peer,
                &(struct proto_message){
                    .type = PROTO_ERROR,
                    .error = {.ticket = ticket, .code = code, .text = outbox_text(&c->outbox, why)}});
}

/* What is not about a request is the end of the connection, as far as its client goes. */
static void deny(struct coordinator *c, const struct wire_frame *frame, const char *why)
{
    bool asks = frame->error.code == 0 && frame->message.type == PROTO_REQUEST;

    tell_error(c, frame->peer, asks ? frame->message.request.ticket : 0, MUSTER_EDENIED, why);
}

/* The list of keys may have changed: who has no longer what he came with has to come again. */
static void refresh_gate(struct coordinator *c)
{
    gate_refresh(c->gate);
    for (const char *name = gate_next(c->gate, NULL), *next; name; name = next) {
        next = gate_next(c->gate, name);
        if (!gate_is_withdrawn(c->gate, name))
            continue;
        tell_error(c, name, 0, MUSTER_EDENIED, "this key is not allowed what it was");
        wire_forget(c->router, name, true);
        hosts_expel(c->hosts, clock_now_ns(), name, "its key is withdrawn", &c->outbox);
        lose_client(c, name);
    }
    carry_out(c);
}

static void answer_door(struct coordinator *c)
{
    if (gate_is_stale(c->gate, clock_now_ns(), true))
        refresh_gate(c);
    gate_answer(c->gate);
}

/* Whether its sender was told that this was not for him to say. */
static bool is_refused(const struct coordinator *c, const char *peer)
{
    for (size_t i = 0; i < c->outbox.count; i++) {
        const struct outbox_item *item = &c->outbox.items[i];

        if (item->kind == OUTBOX_SEND && item->message.type == PROTO_ERROR &&
            item->message.error.ticket == 0 && strcmp(item->peer, peer) == 0)
            return true;
    }
    return false;
}

/* Whether it came from somebody who never was a client, or is none any more, and goes on. */
static bool is_outsiders(const struct coordinator *c, const struct wire_frame *frame)
{
    return !is_known(c, frame->peer) && frame->message.type != PROTO_STOP &&
           strncmp(frame->peer, CORE_WORKER_PREFIX, strlen(CORE_WORKER_PREFIX)) != 0;
}

/* Whether only another host says that. */
static bool is_from_host(const struct wire_frame *frame)
{
    return frame->error.code == 0 &&
           (frame->message.type == PROTO_JOIN || frame->message.type == PROTO_BEAT ||
            frame->message.type == PROTO_EXITED);
}

static void handle(struct coordinator *c, struct wire_frame *frame)
{
    uint64_t now_ns = clock_now_ns();
    const char *why;

    if (frame->keyed && gate_is_stale(c->gate, now_ns, false))
        refresh_gate(c);
    why = gate_check(c->gate, frame, /* whose workers these are, hosts_take knows */
                     frame->via[0] || is_from_host(frame) || core_has_worker(c->core, frame->peer));
    if (!why && has_client(c, frame->peer) && (frame->via[0] || is_from_host(frame)))
        why = "this name belongs to a client";
    if (why)
        deny(c, frame, why);
    else if (hosts_take(c->hosts, now_ns, frame, &c->outbox))
        ; /* dealt with */
    else if (c->books && !core_has_worker(c->core, frame->peer))
        hand_to_books(c, frame);
    else if (frame->error.code != 0)
        core_malformed(c->core, now_ns, frame->peer, &frame->error, &c->outbox);
    else
        core_message(c->core, now_ns, frame->peer, &frame->message, &c->outbox);
    if (!why && frame->error.code == 0 && !frame->via[0] && /* else the connection is that of its host */
        (frame->message.type == PROTO_HELLO || frame->message.type == PROTO_STOP ||
         frame->message.type == PROTO_JOIN))
        attend(c, frame);
    if (frame->fd >= 0 && (is_refused(c, frame->peer) || is_outsiders(c, frame)))
        wire_blame(c->router, frame);
    carry_out(c);
}

/* Handles what post_receive, or post_receive_last, returned. Returns whether that was a message. */
static bool handle_received(struct coordinator *c, int result, struct wire_frame *frame)
{
    if (result == MUSTER_EAGAIN)
        return false;
    if (result != 0) {
        c->outbox.failed = true; /* MUSTER_ENOMEM: libzmq gives no other reason not to receive */
        return false;
    }
    handle(c, frame);
    wire_frame_destroy(frame);
    return true;
}

/* Peers whose connections were ended for what came by them are gone, too. */
static void drain_cut(struct coordinator *c)
{
    char name[PROTO_PEER_NAME_MAX + 1];
    const char *why;

    while (!c->outbox.failed && wire_take_cut(c->router, name, &why)) {
        if (why)
            log_error("%s was cut off: %s", name, why);
        if (why && has_client(c, name)) /* his connection may not have ended yet */
            tell_error(c, name, 0, MUSTER_ELIMIT, why);
        lose_client(c, name);
        carry_out(c);
    }
}

/* Returns whether there were any. */
static bool drain_messages(struct coordinator *c)
{
    struct wire_frame *frame = NULL;
    int count = 0, result;

    do
        result = post_receive(c->post, &frame);
    while (handle_received(c, result, frame) && ++count < DRAIN_MAX && !c->outbox.failed);
    drain_cut(c);
    return count > 0;
}

static void drain_deaths(struct coordinator *c)
{
    struct worker_exit exit;
    struct wire_frame *frame = NULL;
    int result;

    while (!c->outbox.failed && supervisor_reap(c->supervisor, &exit) == 0) {
        result = post_receive_last(c->post, exit.slot, &frame);
        handle_received(c, result, frame);
        post_close(c->post, exit.slot);
        if (!core_expects_exit(c->core, exit.slot))
            journal_exit(c->journal, &exit);
        core_worker_exited(c->core, clock_now_ns(), &exit, &c->outbox);
        carry_out(c);
    }
}

static void drain_guests(struct coordinator *c)
{
    char name[PROTO_PEER_NAME_MAX + 1];

    while (!c->outbox.failed && guests_next_dead(c->guests, name) == 0) {
        lose_client(c, name);
        carry_out(c);
    }
}

static void drain_records(struct coordinator *c)
{
    for (int i = 0; i < DRAIN_MAX && !c->outbox.failed && books_take(c->books, &c->outbox); i++)
        carry_out(c);
}

/* Clients that came with a key have it shown whether they are there. */
static void probe_members(struct coordinator *c)
{
    const char *name = NULL, *next;

    c->probe_ns = CLOCK_NEVER;
    for (name = gate_next(c->gate, NULL); name; name = next) {
        next = gate_next(c->gate, name);
        if (post_send(c->post, name, &(struct proto_message){.type = PROTO_PING}) == MUSTER_ELOST)
            lose_client(c, name);
    }
}

static uint64_t deadline(const struct coordinator *c)
{
    uint64_t all[] = {core_deadline(c->core), c->books ? books_deadline(c->books) : CLOCK_NEVER,
                      wire_guard_deadline(c->router), hosts_deadline(c->hosts), gate_deadline(c->gate)};
    uint64_t first_ns = c->probe_ns;

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        first_ns = all[i] < first_ns ? all[i] : first_ns;
    return first_ns;
}

static void tick(struct coordinator *c)
{
    uint64_t now_ns = clock_now_ns();

    if (core_deadline(c->core) <= now_ns)
        core_tick(c->core, now_ns, &c->outbox);
    if (c->books)
        books_tick(c->books, &c->outbox);
    if (c->probe_ns <= now_ns)
        probe_members(c);
    if (gate_deadline(c->gate) <= now_ns && gate_is_stale(c->gate, now_ns, false))
        refresh_gate(c);
    if (hosts_deadline(c->hosts) <= now_ns)
        hosts_tick(c->hosts, now_ns, &c->outbox);
    carry_out(c);
}

/* Tells the clients why the loop ends; what was decided before is not carried out. */
static void fail(struct coordinator *c, int code, const char *reason)
{
    journal_stopping(c->journal, reason);
    c->code = code;
    outbox_clear(&c->outbox);
    c->outbox.failed = false;
    core_fail(c->core, code, reason, &c->outbox);
}

/* Connections have come, and ended. */
static void note_ends(struct coordinator *c)
{
    if (wire_guard_tick(c->router, clock_now_ns()) != 0)
        c->outbox.failed = true; /* MUSTER_ENOMEM, as in handle_received */
    if (c->gate && c->probe_ns == CLOCK_NEVER && wire_take_ends(c->router))
        c->probe_ns = clock_after(clock_now_ns(), PROBE_NS);
}

/* Sees what is there; `asleep`: waits for it. */
static int look(struct coordinator *c, bool asleep)
{
    struct wire_poll *items = c->items;
    int timeout_ms, result;

    note_ends(c);
    timeout_ms = asleep ? clock_poll_ms(clock_now_ns(), deadline(c)) : 0;
    if (!post_sleep(c->post))
        timeout_ms = 0;
    result = wire_wait(items, ITEMS, timeout_ms);
    post_wake(c->post, items[BELL].ready);
    c->looked_ns = clock_now_ns();
    return result < 0 ? result : 0;
}

/* Handles messages, and waits for them or for something else to see when there are none. Out of memory it
 * does not wait: nobody may ever wake it. */
static int wait(struct coordinator *c)
{
    bool heard = drain_messages(c);
    int result;

    for (int i = 0; i < ITEMS; i++)
        c->items[i].ready = false;
    if (heard)
        return clock_now_ns() - c->looked_ns >= LOOK_NS ? look(c, false) : 0;
    spin_begin(&c->spin);
    while (!heard && !c->outbox.failed && spin_again(&c->spin))
        heard = drain_messages(c);
    result = heard || c->outbox.failed ? 0 : look(c, true);
    spin_end(&c->spin);
    return result;
}

/* Clients are heard when the ledger knows what the store has, and workers of another life when the core has
 * the batches whose jobs they do. False: it shall end, or has to. */
static bool open_books(struct coordinator *c)
{
    struct wire_poll items[] = {{.fd = books_fd(c->books)}, {.fd = c->stop_fd}};

    if (!c->books)
        return true;
    books_start(c->books, &c->outbox);
    carry_out(c);
    while (!books_ready(c->books) && !books_failure(c->books) && !items[1].ready && !c->outbox.failed &&
           wire_wait(items, 2, clock_poll_ms(clock_now_ns(), books_deadline(c->books))) >= 0) {
        drain_records(c);
        books_tick(c->books, &c->outbox);
        carry_out(c);
    }
    if (books_failure(c->books))
        fail(c, MUSTER_ESYSTEM, books_failure(c->books));
    else if (items[1].ready)
        journal_stopping(c->journal, "it was asked to");
    return !books_failure(c->books) && !items[1].ready;
}

void loop_launch(struct coordinator *c)
{
    core_start(c->core, clock_now_ns(), &c->outbox);
    carry_out(c);
}

/* Until the end is asked for, or is there. */
static void serve(struct coordinator *c)
{
    loop_launch(c);
    if (!open_books(c))
        return;
    core_listen(c->core, clock_now_ns());
    hosts_listen(c->hosts, clock_now_ns());
    while (!core_stopped(c->core) && !c->stopping && !c->outbox.failed) {
        if (wait(c) < 0) {
            fail(c, MUSTER_ESYSTEM, "the coordinator cannot wait for messages");
            return;
        }
        if (c->items[DEATHS].ready || c->items[GUESTS].ready)
            drain_messages(c); /* first: what the dead still sent counts */
        if (c->items[DEATHS].ready)
            drain_deaths(c);
        if (c->items[GUESTS].ready)
            drain_guests(c);
        if (c->items[RECORDS].ready)
            drain_records(c);
        if (c->items[KEYS].ready)
            refresh_gate(c);
        if (c->items[KNOCKS].ready)
            answer_door(c);
        if (supervisor_settle(c->supervisor))
            mappings_trim(c->mappings);
        if (c->items[STOP].ready) {
            journal_stopping(c->journal, "it was asked to");
            return;
        }
        tick(c);
    }
    if (c->outbox.failed)
        fail(c, MUSTER_ENOMEM, "the coordinator is out of memory");
}

void *loop_run(void *coordinator)
{
    struct coordinator *c = coordinator;

    c->items[MESSAGES].wire = c->router;
    c->items[DEATHS].fd = supervisor_fd(c->supervisor);
    c->items[BELL].fd = post_bell(c->post);
    c->items[GUESTS].fd = guests_fd(c->guests);
    c->items[RECORDS].fd = books_fd(c->books);
    c->items[STOP].fd = c->stop_fd;
    c->items[KNOCKS].wire = gate_door(c->gate);
    c->items[KNOCKS].fd = -1;
    c->items[KEYS].fd = gate_fd(c->gate);
    pthread_setname_np(pthread_self(), "coordinator");
    spin_init(&c->spin);
    serve(c);
    core_stop(c->core, &c->outbox);
    hosts_stop(c->hosts, &c->outbox);
    carry_out(c);
    hosts_leave(c->hosts);
    wire_close(c->router, LAST_WORDS_MS); /* which takes ZeroMQ as long as the last worker takes */
    supervisor_await(c->supervisor);
    supervisor_destroy(c->supervisor);
    guests_destroy(c->guests);
    post_destroy(c->post);
    return NULL;
}
