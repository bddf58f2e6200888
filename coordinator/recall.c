/* SPDX-License-Identifier: MIT
 *
 * Taking jobs back: when a worker has nothing to do and nothing waits that it could be given, jobs
 * that another one holds and has not begun are asked for, and handed out again when they come.
 * Those with most of their work before them are asked for a part of it, one that is long silent for
 * all that it has not begun. What comes back was in no worker's hands: its attempt does not count.
 *
 * Nobody is asked twice for the same job. One that came back goes to a worker that begins it at
 * once, or is alone in its chunk once it has come back often: so it does not travel for ever. Part of
 * the core: pure.
 */
#include "base/clock.h"
#include "coordinator/room.h"

#include <math.h>
#include <stdlib.h>
#include <utlist.h>

/* Work of less than this is not asked for, and a worker is not called late for less: to ask, to be
 * answered and to hand out again takes some 300 us. */
static const double WORTH_NS = 1e6;

/* What a chunk may take of which no job was measured yet: a worker reports what ended every 50 ms, or
 * runs a long job. */
static const double UNKNOWN_NS = 100e6;

/* How long an answer is waited for until somebody else is asked. */
static const uint64_t PATIENCE_NS = 10 * CLOCK_NS_PER_MS;

/* A look at a worker takes some 4 ns. With more of them than this they are not looked at at each event: at
 * most a tenth of the time goes into it. */
enum { LOOK_MANY = 256, LOOK_PAUSE_NS = 40 };

/* Jobs that are asked for in one message. */
struct ask {
    const struct batch *batch; /* NULL: none yet */
    uint64_t first, end;
};

static void look_at(struct core *core, uint64_t when_ns)
{
    if (when_ns < core->recall_ns)
        core->recall_ns = when_ns;
}

static const struct span *last_span(const struct chunk *chunk)
{
    return &spans_list(&chunk->left)[chunk->left.count - 1];
}

/* Whether jobs of the chunk may be asked for: those that were are not any more in it. */
static bool askable(const struct core *core, const struct chunk *chunk)
{
    const struct span *last = last_span(chunk);

    (void)core;
    return !chunk->batch->cancel && (chunk->recalled == 0 || last->first + last->count <= chunk->recalled);
}

/* Likewise, for others to begin them, who could not if they wait for their batch's limit or for the host. */
static bool recallable(const struct core *core, const struct chunk *chunk)
{
    return askable(core, chunk) && room_elsewhere(core, chunk->batch);
}

/* Between the ends of two jobs of the chunk; 0: not known. */
static double pace_ns(const struct worker *worker, const struct chunk *chunk)
{
    const struct pacing *pacing = &chunk->batch->pacing;
    unsigned places = hold_places(worker, chunk->batch);

    return pacing->largest ? pacing->mean_ns / (double)pacing_overlap(pacing, places) : 0;
}

/* Jobs that the worker has begun, as far as can be known: it begins them in order. */
static uint64_t begun(const struct worker *worker)
{
    const struct batch *batch = worker->chunks->batch;
    uint64_t places = pacing_overlap(&batch->pacing, hold_places(worker, batch));

    if (places > 1)
        places = worker->concurrency;
    return places < worker->jobs ? places : worker->jobs;
}

/* When the worker should have reported all that it holds, counted from when it last did. */
static double expected_ns(const struct worker *worker)
{
    const struct chunk *chunk;
    double sum_ns = 0;

    DL_FOREACH(worker->chunks, chunk) {
        double each_ns = pace_ns(worker, chunk);

        if (!chunk->batch->cancel)
            sum_ns += each_ns > 0 ? each_ns * (double)spans_jobs(&chunk->left) : UNKNOWN_NS;
    }
    chunk = worker->chunks;
    return worker->concurrency > 1 ? sum_ns + chunk->batch->pacing.mean_ns : sum_ns;
}

static bool holds_recallable(const struct core *core, const struct worker *worker)
{
    const struct chunk *chunk;

    DL_FOREACH(worker->chunks, chunk)
        if (recallable(core, chunk) && (chunk != worker->chunks || spans_jobs(&chunk->left) > 1))
            return true;
    return false;
}

/* Whether the worker has something to give, and how much work it has before it. Where that is not
 * yet so, core->recall_ns is when it will be at the latest. */
static bool weigh(struct core *core, uint64_t now_ns, struct worker *worker, struct load *ret_load)
{
    double expected, left_ns;
    uint64_t due_ns;

    if (worker->state != WORKER_READY || worker->jobs < 2 || !holds_recallable(core, worker))
        return false;
    expected = expected_ns(worker);
    left_ns = expected - (double)(now_ns - worker->moved_ns);
    due_ns = expected < 1e18 ? clock_after(worker->moved_ns, (uint64_t)(expected + WORTH_NS)) : CLOCK_NEVER;
    *ret_load = (struct load){.worker = worker, .left_ns = now_ns >= due_ns ? INFINITY : left_ns};
    if (now_ns >= due_ns)
        return true;
    look_at(core, due_ns);
    return left_ns >= WORTH_NS && worker->jobs > begun(worker);
}

/* How many of the last jobs of a chunk are worth so much. Chunks whose size the user set are not
 * cut. */
static uint64_t jobs_worth(const struct worker *worker, const struct chunk *chunk, double give_ns)
{
    uint64_t jobs = spans_jobs(&chunk->left), most = chunk == worker->chunks ? jobs - 1 : jobs;
    double each_ns = pace_ns(worker, chunk), wanted;

    if (isinf(give_ns))
        return most;
    if (each_ns <= 0)
        return 0;
    wanted = floor(give_ns / each_ns + 0.5);
    if (wanted >= (double)most)
        wanted = (double)most;
    return chunk->batch->pacing.fixed && wanted < (double)jobs ? 0 : (uint64_t)wanted;
}

/* The first of the last `count` jobs that are left of the chunk. */
static uint64_t find_first(const struct chunk *chunk, uint64_t count)
{
    const struct span *span = last_span(chunk);

    for (; count > span->count; span--)
        count -= span->count;
    return span->first + span->count - count;
}

static void send_ask(const struct worker *worker, const struct ask *ask, struct outbox *outbox)
{
    if (ask->batch)
        outbox_send(outbox, worker->name,
                    &(struct proto_message){.type = PROTO_CANCEL,
                                            .cancel = {.id = ask->batch->id,
                                                       .mode = PROTO_CANCEL_RETURN,
                                                       .first = ask->first,
                                                       .count = ask->end - ask->first}});
}

/* Asks for work of so long, what would be begun last first; neighbours with one message. `why` says
 * which chunks are meant. */
static void take_back(struct core *core, struct worker *worker, double give_ns, uint64_t now_ns,
                      bool (*why)(const struct core *core, const struct chunk *chunk), struct outbox *outbox)
{
    struct chunk *chunk = worker->chunks->prev; /* the last */
    struct ask ask = {.batch = NULL};

    for (;; chunk = chunk->prev) {
        uint64_t count = why(core, chunk) ? jobs_worth(worker, chunk, give_ns) : 0;

        if (count > 0) {
            const struct span *last = last_span(chunk);
            uint64_t end = last->first + last->count;

            chunk->recalled = find_first(chunk, count);
            give_ns -= (double)count * pace_ns(worker, chunk);
            if (ask.batch != chunk->batch || ask.first != end) {
                send_ask(worker, &ask, outbox);
                ask = (struct ask){.batch = chunk->batch, .end = end};
            }
            ask.first = chunk->recalled;
            worker->asked_ns = now_ns;
            worker->slow = true;
        }
        if (chunk == worker->chunks || give_ns <= 0)
            break;
    }
    send_ask(worker, &ask, outbox);
    if (worker->asked_ns == now_ns)
        look_at(core, clock_after(now_ns, PATIENCE_NS));
}

/* Workers that have nothing, less those that somebody is already asked for. */
static unsigned count_idle(struct core *core, uint64_t now_ns)
{
    unsigned idle = core->roster.counts.idle, asked = 0;

    for (unsigned i = 0; i < core->slots; i++) {
        const struct worker *worker = &core->workers[i];
        uint64_t until_ns = clock_after(worker->asked_ns, PATIENCE_NS);

        if (worker->state != WORKER_READY || worker->asked_ns == 0 || until_ns <= now_ns)
            continue;
        asked++;
        look_at(core, until_ns);
    }
    return idle > asked ? idle - asked : 0;
}

static int compare(const void *a, const void *b)
{
    const struct load *x = a, *y = b;

    if (x->left_ns != y->left_ns)
        return x->left_ns < y->left_ns ? 1 : -1;
    return x->worker->slot < y->worker->slot ? -1 : 1;
}

/* Whether all workers were looked at so shortly before that it has to wait. */
static bool looked_just_now(struct core *core, uint64_t now_ns)
{
    uint64_t pause_ns = core->slots > LOOK_MANY ? (uint64_t)core->slots * LOOK_PAUSE_NS : 0;
    uint64_t again_ns = clock_after(core->looked_ns, pause_ns);

    if (now_ns < again_ns) {
        look_at(core, again_ns);
        return true;
    }
    core->looked_ns = now_ns;
    return false;
}

void recall(struct core *core, uint64_t now_ns, struct outbox *outbox)
{
    struct load *loads = core->loads;
    unsigned idle, count = 0, givers;

    core->recall_ns = CLOCK_NEVER;
    if (!core->batches || core->stopped || core->draining)
        return;
    if (core->roster.counts.idle == 0 || core->roster.counts.several == 0)
        return; /* nobody needs any, or nobody has any */
    if (looked_just_now(core, now_ns))
        return;
    idle = room_for_idle(core, count_idle(core, now_ns));
    if (idle == 0)
        return;
    for (unsigned i = 0; i < core->slots; i++)
        count += core->workers[i].holds > 0 && weigh(core, now_ns, &core->workers[i], &loads[count]);
    qsort(loads, count, sizeof *loads, compare);
    givers = count < idle ? count : idle;
    for (unsigned i = 0; i < givers; i++) /* all of them have the same before them then, about */
        take_back(core, loads[i].worker, loads[i].left_ns * idle / (idle + givers), now_ns, recallable,
                  outbox);
}

void recall_unbegun(struct core *core, uint64_t now_ns, struct worker *worker, struct outbox *outbox)
{
    if (worker->state == WORKER_READY && worker->chunks)
        take_back(core, worker, INFINITY, now_ns, askable, outbox);
}
