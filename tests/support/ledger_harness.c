/* SPDX-License-Identifier: MIT
 *
 * Ledger, core and store together. See ledger_harness.h.
 */
#include "tests/support/ledger_harness.h"

#include "proto/codec.h"
#include "proto/value.h"
#include "tests/support/check.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { WAIT_MS = 20000 };

/* --- what leaves */

static struct proto_text keep_text(msgpack_zone *zone, const struct proto_text *text)
{
    char *copy = msgpack_zone_malloc(zone, text->size + 1);

    memcpy(copy, text->bytes, text->size);
    copy[text->size] = '\0';
    return (struct proto_text){copy, text->size};
}

/* A message as the wire would bring it. */
static void deliver(struct world *w, const char *peer, const struct proto_message *message)
{
    struct letter *letter = calloc(1, sizeof *letter);
    struct muster_error error;
    msgpack_sbuffer buffer;
    struct proto_text header;

    CHECK(letter && msgpack_zone_init(&letter->zone, 1024));
    msgpack_sbuffer_init(&buffer);
    CHECK(proto_encode(message, &buffer) == 0);
    header = keep_text(&letter->zone, &(struct proto_text){buffer.data, (uint32_t)buffer.size});
    msgpack_sbuffer_destroy(&buffer);
    CHECK(proto_decode(header.bytes, header.size, &letter->zone, &letter->message, &error) == 0);
    memcpy(letter->peer, peer, strnlen(peer, PROTO_PEER_NAME_MAX));
    letter->message.payload = message->payload;
    if (letter->message.payload.blob)
        blob_ref(letter->message.payload.blob);
    CHECK(proto_check_payload(&letter->message, &error) == 0);
    DL_APPEND(w->letters, letter);
}

/* Counts an event. Whether it may happen. */
static bool lives(struct world *w)
{
    w->events++;
    w->dead |= w->die_at != 0 && w->events >= w->die_at;
    return !w->dead;
}

static void spawn(struct world *w, const struct outbox_item *item)
{
    struct proto_message hello = {
        .type = PROTO_HELLO,
        .hello = {.version = PROTO_VERSION, .role = PROTO_WORKER, .pid = 1, .credit = 4, .concurrency = 1},
    };

    if (w->unstartable) {
        core_spawn_failed(w->core, w->now_ns, item->slot,
                          &(struct muster_error){.code = MUSTER_ESYSTEM, .text = "there is no such program"},
                          &w->outbox);
        return;
    }
    CHECK(item->slot <= WORLD_WORKERS_MAX);
    memcpy(w->workers[item->slot], item->peer, sizeof item->peer);
    core_message(w->core, w->now_ns, item->peer, &hello, &w->outbox);
}

static void bury(struct world *w, unsigned slot, bool killed)
{
    struct worker_exit end = {.slot = slot, .reason = "killed by a test", .killed = killed};
    struct letter *letter, *next;

    DL_FOREACH_SAFE(w->letters, letter, next)
        if (strcmp(letter->peer, w->workers[slot]) == 0) {
            DL_DELETE(w->letters, letter);
            world_free(letter);
        }
    w->workers[slot][0] = '\0';
    core_worker_exited(w->core, w->now_ns, &end, &w->outbox);
}

static void carry_out_item(struct world *w, const struct outbox_item *item)
{
    switch (item->kind) {
    case OUTBOX_SEND:
        if (strcmp(item->peer, LEDGER_PEER) == 0)
            ledger_told(w->ledger, w->now_ms, &item->message, &w->outbox);
        else if (lives(w))
            deliver(w, item->peer, &item->message);
        return;
    case OUTBOX_CORE:
        if (item->message.type == PROTO_SUBMIT)
            core_submit_known(w->core, w->now_ns, LEDGER_PEER, item, &w->outbox);
        else
            core_message(w->core, w->now_ns, LEDGER_PEER, &item->message, &w->outbox);
        return;
    case OUTBOX_FORWARD:
        core_message(w->core, w->now_ns, item->peer, &item->message, &w->outbox);
        return;
    case OUTBOX_STORE:
        if (!lives(w))
            return;
        CHECK(store_submit(w->store, item->request) == 0);
        w->asked++;
        return;
    case OUTBOX_SPAWN:
        spawn(w, item);
        return;
    case OUTBOX_KILL:
        bury(w, item->slot, true);
        return;
    case OUTBOX_SCALE:
        core_scale(w->core, w->now_ns, (unsigned)item->number, &w->outbox);
        return;
    case OUTBOX_DRAIN:
        core_drain(w->core, w->now_ns, item->number != 0, &w->outbox);
        return;
    case OUTBOX_STOP:
        core_finish(w->core, w->now_ns, &w->outbox);
        return;
    case OUTBOX_KEEP:
    case OUTBOX_RELEASE:
        return;
    }
}

static void carry_out(struct world *w)
{
    while (w->outbox.count > 0) {
        struct outbox decided = w->outbox;

        CHECK(!decided.failed);
        w->outbox = w->spare;
        w->spare = decided;
        for (size_t i = 0; i < w->spare.count && !w->dead; i++)
            carry_out_item(w, &w->spare.items[i]);
        outbox_clear(&w->spare);
    }
}

/* --- workers */

static struct letter *find_letter(const struct world *w, const char *peer, enum proto_type type)
{
    struct letter *letter;

    DL_FOREACH(w->letters, letter)
        if (letter->message.type == type && strncmp(letter->peer, peer, strlen(peer)) == 0)
            return letter;
    return NULL;
}

void world_free(struct letter *letter)
{
    blob_unref(letter->message.payload.blob);
    msgpack_zone_destroy(&letter->zone);
    free(letter);
}

void world_work(struct world *w, const char *worker, const struct proto_message *chunk)
{
    const struct proto_chunk *asked = &chunk->chunk;
    struct proto_failure *failures = calloc(asked->count, sizeof *failures);
    struct proto_message result = {
        .type = PROTO_RESULT,
        .result = {.batch = asked->batch,
                   .chunk = asked->chunk,
                   .final = true,
                   .outcome = {.first = asked->first,
                               .count = asked->count,
                               .attempt = asked->attempt,
                               .failures = failures}},
    };
    msgpack_sbuffer buffer;
    msgpack_packer packer;

    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    for (uint64_t index = asked->first; index < asked->first + asked->count; index++) {
        bool fails = w->fail_every && index % w->fail_every == 0, valued = fails && index % 2 == 0;

        if (fails)
            failures[result.result.outcome.failure_count++] = (struct proto_failure){
                .index = index, .code = MUSTER_EFAILED, .text = proto_text("it failed"), .valued = valued};
        if (!fails || valued)
            msgpack_pack_uint64(&packer, index);
    }
    w->runs += asked->count;
    result.payload = (struct slice){.blob = blob_copy(buffer.data, buffer.size), .size = buffer.size};
    core_message(w->core, w->now_ns, worker, &result, &w->outbox);
    carry_out(w);
    blob_unref(result.payload.blob);
    msgpack_sbuffer_destroy(&buffer);
    free(failures);
}

bool world_step_worker(struct world *w, void (*check)(const struct proto_chunk *chunk))
{
    struct letter *letter = find_letter(w, "worker-", PROTO_CHUNK);

    if (!letter || !lives(w))
        return false;
    DL_DELETE(w->letters, letter);
    if (check)
        check(&letter->message.chunk);
    world_work(w, letter->peer, &letter->message);
    world_free(letter);
    return true;
}

/* --- the store */

bool world_step_store(struct world *w)
{
    struct store_done *done;
    struct pollfd item = {.fd = store_fd(w->store), .events = POLLIN};

    if (w->asked == 0 || !lives(w))
        return false;
    while (!(done = store_take(w->store)))
        CHECK(poll(&item, 1, WAIT_MS) == 1);
    w->asked--;
    if (w->unreadable && done->operation == *w->unreadable) {
        done->code = MUSTER_ESYSTEM;
        done->text = "a damaged page";
        done->passing = w->unreadable_now;
        done->count = 0;
    }
    ledger_done(w->ledger, w->now_ms, done, &w->outbox);
    carry_out(w);
    store_done_free(done);
    return true;
}

void world_kill_worker(struct world *w, unsigned slot)
{
    if (!w->workers[slot][0])
        return;
    bury(w, slot, false);
    carry_out(w);
}

void world_settle(struct world *w)
{
    do
        carry_out(w);
    while ((!w->hold_workers && world_step_worker(w, NULL)) || (!w->hold_store && world_step_store(w)));
}

/* --- steps */

/* The core's time began in 2023. */
static uint64_t wall_ms(uint64_t ns)
{
    return 1700000000000 + ns / CLOCK_NS_PER_MS;
}

void world_open(struct world *w, const char *path, uint32_t epoch, unsigned workers)
{
    enum proto_keeps keeps = path ? PROTO_KEEPS_ON_DISK : PROTO_KEEPS_IN_MEMORY;
    struct core_options core_options = {.workers = workers,
                                        .workers_max = workers + 4,
                                        .heartbeat_ns = 5 * CLOCK_NS_PER_S,
                                        .keeps = keeps,
                                        .epoch = epoch,
                                        .clients = w->clients + (w->clients > 0)};
    struct ledger_options options = {.keeps = keeps,
                                     .epoch = epoch,
                                     .workers_max = workers + 4,
                                     .wall_ms = wall_ms,
                                     .pid = 4711,
                                     .open = 4,
                                     .clients = w->clients,
                                     .promise_max = w->promise_max};
    struct muster_error error;

    *w = (struct world){.now_ns = CLOCK_NS_PER_S,
                        .now_ms = 1700000000000,
                        .hold_workers = w->hold_workers,
                        .unreadable = w->unreadable,
                        .unreadable_now = w->unreadable_now,
                        .die_at = w->die_at,
                        .clients = w->clients,
                        .promise_max = w->promise_max};
    CHECK(core_create(&core_options, &w->core) == 0);
    options.core = w->core;
    CHECK(ledger_create(&options, &w->ledger) == 0);
    if (store_create(path, &w->store, &error) != 0) {
        fprintf(stderr, "%s\n", error.text);
        abort();
    }
    CHECK(outbox_init(&w->outbox) == 0 && outbox_init(&w->spare) == 0);
    ledger_start(w->ledger, w->now_ms, &w->outbox);
    world_settle(w);
    CHECK(w->dead || w->unreadable_now || ledger_ready(w->ledger));
}

void world_close(struct world *w)
{
    struct letter *letter, *next;

    outbox_clear(&w->outbox);
    store_destroy(w->store);
    ledger_destroy(w->ledger);
    core_destroy(w->core);
    outbox_fini(&w->outbox);
    outbox_fini(&w->spare);
    DL_FOREACH_SAFE(w->letters, letter, next)
        world_free(letter);
    w->hold_workers = false;
}

void world_message(struct world *w, const char *client, const struct proto_message *message)
{
    ledger_message(w->ledger, w->now_ms, client, message, &w->outbox);
    carry_out(w);
}

void world_gone(struct world *w, const char *client)
{
    ledger_gone(w->ledger, w->now_ms, client, &w->outbox);
    carry_out(w);
}

void world_say(struct world *w, const char *client, const struct proto_message *message)
{
    world_message(w, client, message);
    world_settle(w);
}

void world_hello(struct world *w, const char *client, const char *user)
{
    world_say(
        w, client,
        &(struct proto_message){
            .type = PROTO_HELLO,
            .hello = {.version = PROTO_VERSION, .role = PROTO_CLIENT, .pid = 1, .user = proto_text(user)}});
    world_expect(w, client, PROTO_WELCOME);
}

struct letter *world_take(struct world *w, const char *peer)
{
    struct letter *letter;

    DL_FOREACH(w->letters, letter)
        if (strcmp(letter->peer, peer) == 0)
            break;
    if (letter)
        DL_DELETE(w->letters, letter);
    return letter;
}

bool world_has(const struct world *w, const char *peer, enum proto_type type)
{
    return find_letter(w, peer, type) != NULL;
}

const struct proto_message *world_expect(struct world *w, const char *peer, enum proto_type type)
{
    static struct letter *last;
    struct letter *letter = find_letter(w, peer, type), *other;

    if (!letter) {
        DL_FOREACH(w->letters, other)
            fprintf(stderr, "there is %s to %s\n", proto_type_name(other->message.type), other->peer);
        fprintf(stderr, "there is no %s to %s\n", proto_type_name(type), peer);
        abort();
    }
    DL_DELETE(w->letters, letter);
    if (last)
        world_free(last);
    last = letter;
    return &letter->message;
}
