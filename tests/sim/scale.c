/* SPDX-License-Identifier: MIT
 *
 * What a job costs the coordinator as workers and jobs grow: one batch that is a range, workers that take
 * 20 µs of virtual time a job, and nothing else. CPU time is that of the core, and of finding out who is done
 * next.
 */
#include "tests/sim/sim.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JOB_NS = 20000, CREDIT = 3, HELD_MAX = 4 };

struct hand {
    char name[PROTO_PEER_NAME_MAX + 1];
    struct {
        uint64_t chunk, batch, first;
        uint32_t count, attempt;
    } held[HELD_MAX];
    unsigned holds;
    uint64_t done_ns; /* CLOCK_NEVER: it has nothing */
};

struct scale {
    struct core *core;
    struct outbox outbox;
    struct hand *hands; /* owned */
    unsigned *heap;     /* owned; slots, the one that is done first on top */
    unsigned *place;    /* owned; of each slot in it */
    unsigned workers;
    uint64_t cost, delivered, chunks;
    bool ended;
    struct blob *values;
};

/* --- who is done next */

static void put(struct scale *s, unsigned at, unsigned slot)
{
    s->heap[at] = slot;
    s->place[slot] = at;
}

/* The time of the slot has changed. */
static void sift(struct scale *s, unsigned slot)
{
    unsigned at = s->place[slot];
    uint64_t due_ns = s->hands[slot].done_ns;

    while (at > 0 && s->hands[s->heap[(at - 1) / 2]].done_ns > due_ns) {
        put(s, at, s->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (unsigned child = 2 * at + 1; child < s->workers; child = 2 * at + 1) {
        if (child + 1 < s->workers && s->hands[s->heap[child + 1]].done_ns < s->hands[s->heap[child]].done_ns)
            child++;
        if (s->hands[s->heap[child]].done_ns >= due_ns)
            break;
        put(s, at, s->heap[child]);
        at = child;
    }
    put(s, at, slot);
}

/* --- what is decided */

static void take_chunk(struct scale *s, unsigned slot, const struct proto_chunk *chunk)
{
    struct hand *hand = &s->hands[slot];

    SIM_CHECK(hand->holds < HELD_MAX, "worker %u was given too much", slot + 1);
    hand->held[hand->holds].chunk = chunk->chunk;
    hand->held[hand->holds].batch = chunk->batch;
    hand->held[hand->holds].first = chunk->first;
    hand->held[hand->holds].count = chunk->count;
    hand->held[hand->holds++].attempt = chunk->attempt;
    s->chunks++;
    if (hand->holds == 1) {
        hand->done_ns = world.now_ns + (uint64_t)chunk->count * JOB_NS;
        sift(s, slot);
    }
}

static void hear(struct scale *s, const struct proto_message *message)
{
    if (message->type == PROTO_RESULTS) {
        s->delivered += message->results.outcome.count;
        s->cost += proto_cost(message);
    }
    s->ended |= message->type == PROTO_ENDED;
}

static void carry_out(struct scale *s)
{
    unsigned slot;

    for (size_t i = 0; i < s->outbox.count; i++) {
        const struct outbox_item *item = &s->outbox.items[i];

        if (item->kind == OUTBOX_SPAWN)
            memcpy(s->hands[item->slot - 1].name, item->peer, sizeof item->peer);
        else if (item->kind == OUTBOX_SEND && item->message.type == PROTO_CHUNK &&
                 sscanf(item->peer, "worker-%u", &slot) == 1)
            take_chunk(s, slot - 1, &item->message.chunk);
        else if (item->kind == OUTBOX_SEND && item->peer[0] == 'c')
            hear(s, &item->message);
    }
    outbox_clear(&s->outbox);
}

static void say(struct scale *s, const char *peer, const struct proto_message *message)
{
    core_message(s->core, world.now_ns, peer, message, &s->outbox);
    carry_out(s);
}

/* The oldest chunk of the worker is over. */
static void report(struct scale *s, unsigned slot)
{
    struct hand *hand = &s->hands[slot];
    uint32_t count = hand->held[0].count;
    struct proto_message message = {
        .type = PROTO_RESULT,
        .result = {.batch = hand->held[0].batch,
                   .chunk = hand->held[0].chunk,
                   .final = true,
                   .outcome = {.first = hand->held[0].first,
                               .count = count,
                               .attempt = hand->held[0].attempt,
                               .execute_ns = (uint64_t)count * JOB_NS,
                               .cpu_ns = (uint64_t)count * JOB_NS}},
        .payload = {.blob = s->values, .size = count}, /* nil, as noop returns */
    };

    memmove(hand->held, hand->held + 1, --hand->holds * sizeof *hand->held);
    hand->done_ns = hand->holds ? world.now_ns + (uint64_t)hand->held[0].count * JOB_NS : CLOCK_NEVER;
    sift(s, slot);
    say(s, hand->name, &message);
}

/* --- a run */

static void begin(struct scale *s, unsigned workers, uint64_t jobs)
{
    struct core_options options = {.workers = workers, .heartbeat_ns = 3600 * CLOCK_NS_PER_S, .warm = true};
    struct proto_message hello = {.type = PROTO_HELLO,
                                  .hello = {.version = PROTO_VERSION, .role = PROTO_CLIENT, .pid = 1}};
    char *nils = malloc(PROTO_CHUNK_JOBS_MAX);

    *s = (struct scale){.workers = workers,
                        .hands = calloc(workers, sizeof *s->hands),
                        .heap = calloc(workers, sizeof *s->heap),
                        .place = calloc(workers, sizeof *s->place)};
    SIM_CHECK(s->hands && s->heap && s->place && nils && outbox_init(&s->outbox) == 0 &&
                  core_create(&options, &s->core) == 0,
              "out of memory");
    memset(nils, 0xc0, PROTO_CHUNK_JOBS_MAX);
    s->values = blob_take(nils, PROTO_CHUNK_JOBS_MAX);
    for (unsigned i = 0; i < workers; i++) {
        s->hands[i].done_ns = CLOCK_NEVER;
        put(s, i, i);
    }
    core_start(s->core, world.now_ns, &s->outbox);
    carry_out(s);
    say(s, "client", &hello);
    hello.hello.role = PROTO_WORKER;
    hello.hello.credit = CREDIT;
    hello.hello.concurrency = 1;
    for (unsigned i = 0; i < workers; i++)
        say(s, s->hands[i].name, &hello);
    say(s, "client",
        &(struct proto_message){.type = PROTO_SUBMIT,
                                .submit = {.ticket = 1,
                                           .function = proto_text("noop"),
                                           .kind = PROTO_RANGE,
                                           .first = 1,
                                           .last = (int64_t)jobs,
                                           .crash_limit = 3,
                                           .window_bytes = UINT64_C(1) << 40,
                                           .attach = true,
                                           .cpus = 1}});
}

static void end(struct scale *s)
{
    core_destroy(s->core);
    outbox_fini(&s->outbox);
    blob_unref(s->values);
    free(s->hands);
    free(s->heap);
    free(s->place);
}

static void run(unsigned workers, uint64_t jobs)
{
    struct scale s;
    size_t before = mallinfo2().uordblks, most = 0;
    uint64_t cpu_ns = clock_process_cpu_ns(), began_ns = world.now_ns;

    begin(&s, workers, jobs);
    most = mallinfo2().uordblks;
    while (!s.ended) {
        uint64_t done_ns = s.hands[s.heap[0]].done_ns, due_ns = core_deadline(s.core);

        SIM_CHECK(done_ns != CLOCK_NEVER || due_ns != CLOCK_NEVER, "nothing will ever happen again");
        world.now_ns = done_ns < due_ns ? done_ns : due_ns > world.now_ns ? due_ns : world.now_ns;
        if (done_ns <= due_ns) {
            report(&s, s.heap[0]);
        } else {
            core_tick(s.core, world.now_ns, &s.outbox);
            carry_out(&s);
        }
        if (s.chunks % 64 == 0 && mallinfo2().uordblks > most)
            most = mallinfo2().uordblks;
    }
    cpu_ns = clock_process_cpu_ns() - cpu_ns;
    SIM_CHECK(s.delivered == jobs, "%lu of %lu jobs ended", (unsigned long)s.delivered, (unsigned long)jobs);
    printf("%7u %11lu %9lu %12.2f %14.0f %12.1f %13.3f\n", workers, (unsigned long)jobs,
           (unsigned long)s.chunks, (double)cpu_ns / (double)jobs, (double)cpu_ns / (double)s.chunks,
           (double)(most - before) / 1024,
           (double)(world.now_ns - began_ns) * workers / JOB_NS / (double)jobs);
    fflush(stdout);
    end(&s);
}

void sim_scale(unsigned workers_max, uint64_t jobs_max)
{
    world.now_ns = CLOCK_NS_PER_S;
    puts("workers        jobs    chunks   CPU ns/job   CPU ns/chunk   memory KiB   finish/ideal");
    for (unsigned workers = 1; workers < workers_max; workers *= 8)
        run(workers, jobs_max);
    for (uint64_t jobs = 10000; jobs <= jobs_max; jobs *= 10)
        run(workers_max, jobs);
}
