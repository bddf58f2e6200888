/* SPDX-License-Identifier: MIT
 *
 * Nobody starves: each time that jobs are handed out, those that were passed over must have had their share.
 * The books of who had how much are kept here, from what workers report, as docs/DESIGN.md ("Turns") promises
 * it: users of one priority, and the batches of each, in order of the time of workers that they had; who
 * comes, or had nothing to be served, starts at the virtual time. The link wraps the places where the core
 * hands out, hears reports and buries workers; schedule.c is not asked.
 *
 * What each had is a range where it cannot be known: who had nothing to be served may have been raised to the
 * virtual time, or not. When one is served while another could have been, it had no more than the other: then
 * both ranges get smaller, or there is no such order, which is a violation. Whoever is passed over for ever
 * is found as soon as others have had more than that. See sim.h.
 */
#include "tests/sim/sim.h"

#include "coordinator/room.h"

#include <string.h>

enum { USERS_MAX = 256, LEVELS_MAX = 4 };

/* Nanoseconds that sums of durations may be wrong by. */
static const double ROUNDING_NS = 1000;

/* How long a batch that may run waits until the core has it, when nothing fails: as long as those before it
 * take, also of jobs that take nearly all of the host each. */
static const uint64_t WAITS_MAX_NS = 60 * CLOCK_NS_PER_S;

struct range {
    double lo, hi;
};

/* What it had is `had` and, of what workers hold of it, as long as that is taken to last. */
struct share {
    struct range had;
    double out_ns;
    bool doubt; /* it may wait for nothing, and be raised to the virtual time when it does again */
};

struct rank {
    int32_t priority;
    struct range now; /* the most that any had who was served */
    unsigned flows;
};

struct party {
    char name[PROTO_USER_MAX + 1];
    struct rank *level;
    struct share share;
    struct range now; /* likewise, among its batches */
    unsigned flows;
};

/* A batch. */
struct flow {
    uint64_t batch; /* 0: there is none */
    struct batch *core;
    struct party *user;
    struct share share;
    uint64_t begun; /* jobs that were handed out: bits, by index */
};

static struct {
    unsigned life;
    uint64_t seed;
    struct rank levels[LEVELS_MAX];
    unsigned level_count;
    struct party users[USERS_MAX];
    unsigned user_count;
    struct flow flows[SIM_SUBMISSIONS_MAX];
} turns;

/* --- ranges */

static struct range later(struct range a, struct range b)
{
    return (struct range){a.lo > b.lo ? a.lo : b.lo, a.hi > b.hi ? a.hi : b.hi};
}

static struct range sum_of(const struct share *share)
{
    return (struct range){share->had.lo + share->out_ns, share->had.hi + share->out_ns};
}

/* It is at the virtual time at least. */
static void raise_to(struct share *share, struct range now)
{
    struct range sum = later(sum_of(share), now);

    share->had = (struct range){sum.lo - share->out_ns, sum.hi - share->out_ns};
}

static void may_be_raised(struct share *share, struct range now)
{
    struct range raised = later(sum_of(share), now);

    if (share->doubt)
        share->had.hi = raised.hi - share->out_ns;
}

static void charge(struct flow *flow, double least_ns, double most_ns)
{
    struct share *shares[] = {&flow->share, &flow->user->share};

    for (unsigned i = 0; i < 2; i++) {
        shares[i]->had.lo += least_ns;
        shares[i]->had.hi += most_ns;
    }
}

/* --- who takes part */

static struct flow *find_flow(uint64_t batch)
{
    for (unsigned i = 0; i < SIM_SUBMISSIONS_MAX; i++)
        if (turns.flows[i].batch == batch)
            return &turns.flows[i];
    return NULL;
}

static struct rank *find_level(int32_t priority)
{
    struct rank *level = turns.levels;

    while (level < turns.levels + turns.level_count && level->priority != priority)
        level++;
    if (level == turns.levels + turns.level_count) {
        SIM_CHECK(turns.level_count++ < LEVELS_MAX, "more priorities than clients have");
        *level = (struct rank){.priority = priority};
    }
    return level;
}

static struct party *find_user(struct rank *level, const char *name)
{
    struct party *user = turns.users;

    while (user < turns.users + turns.user_count && (user->level != level || strcmp(user->name, name) != 0))
        user++;
    if (user == turns.users + turns.user_count) {
        SIM_CHECK(turns.user_count++ < USERS_MAX, "more users than there were clients");
        *user = (struct party){.level = level};
        memcpy(user->name, name, strlen(name) + 1);
    }
    return user;
}

/* Batches that have ended. A level that none is left of begins anew, and so does a user: they are compared
 * only with each other. */
static void drop_ended(const struct core *core)
{
    for (unsigned i = 0; i < SIM_SUBMISSIONS_MAX; i++) {
        struct flow *flow = &turns.flows[i];

        if (flow->batch == 0 || core_batch(core, flow->batch))
            continue;
        flow->user->flows--;
        flow->user->level->flows--;
        *flow = (struct flow){.batch = 0};
    }
    for (unsigned i = 0; i < turns.user_count; i++) {
        struct party *user = &turns.users[i];

        if (user->level->flows == 0) {
            user->level->now = (struct range){0};
            user->share = (struct share){.doubt = false};
        }
        if (user->flows == 0)
            user->now = (struct range){0};
    }
}

static void add_flow(struct batch *batch)
{
    struct flow *flow = find_flow(0);
    struct rank *level = find_level(batch->settings.priority);
    struct party *user = find_user(level, batch->turn.user->name);

    SIM_CHECK(flow, "more batches than were submitted");
    if (user->flows++ == 0)
        raise_to(&user->share, level->now);
    level->flows++;
    *flow = (struct flow){.batch = batch->id, .user = user, .share = {.had = user->now}};
}

/* Is in the order, and not parked. */
static bool is_ready(const struct batch *batch)
{
    return batch_ready(batch) && !room_is_used_up(batch);
}

/* What workers hold, and who came and left. */
static void take_stock(const struct core *core)
{
    struct batch *batch;

    if (turns.life != world.host.life || turns.seed != world.seed)
        memset(&turns, 0, sizeof turns);
    turns.life = world.host.life;
    turns.seed = world.seed;
    drop_ended(core);
    for (unsigned i = 0; i < turns.user_count; i++)
        turns.users[i].share.out_ns = 0;
    DL_FOREACH(core->batches, batch) {
        struct flow *flow = find_flow(batch->id);
        const struct chunk *chunk;

        if (!flow) {
            add_flow(batch);
            flow = find_flow(batch->id);
        }
        flow->core = batch;
        flow->share.out_ns = 0;
        DL_FOREACH2(batch->chunks, chunk, batch_next)
        flow->share.out_ns += chunk->each_ns * (double)spans_jobs(&chunk->left);
        flow->user->share.out_ns += flow->share.out_ns;
    }
}

/* --- the order */

/* Who had `a` goes before who had `b`, and did. */
static void put_before(struct share *a, struct share *b, const char *text_a, const char *text_b)
{
    struct range x = sum_of(a), y = sum_of(b);

    SIM_CHECK(x.lo <= y.hi + ROUNDING_NS,
              "%s is served, of which at least %.0f ns were, and %s waits, which had %.0f ns at most", text_a,
              x.lo, text_b, y.hi);
    world.sum.turns++;
    if (x.hi > y.hi)
        a->had.hi = y.hi - a->out_ns;
    if (y.lo < x.lo)
        b->had.lo = x.lo - b->out_ns;
    if (a->had.lo > a->had.hi) /* by what sums are wrong */
        a->had.lo = a->had.hi;
    if (b->had.lo > b->had.hi)
        b->had.hi = b->had.lo;
}

/* Of the batch `a` jobs were handed out, and it was possible to hand out some of `b` there. */
static void compare(struct flow *a, struct flow *b)
{
    const struct batch *x = a->core, *y = b->core;

    SIM_CHECK(x->settings.priority >= y->settings.priority,
              "batch %lu is served, and %lu waits, of a higher priority", (unsigned long)x->id,
              (unsigned long)y->id);
    if (x->settings.priority > y->settings.priority)
        return;
    if (a->user != b->user)
        put_before(&a->user->share, &b->user->share, a->user->name, b->user->name);
    else
        put_before(&a->share, &b->share, x->function, y->function);
}

static bool takes_no_more(const struct demand *a, const struct demand *b)
{
    return a->cpus <= b->cpus && a->memory_bytes <= b->memory_bytes;
}

/* Whether a job of the batch could have begun at the worker, which had nothing, instead of one of `given`. */
static bool could_begin(const struct core *core, const struct batch *batch, const struct worker *worker,
                        const struct batch *given)
{
    if (!is_ready(batch) || (worker->host && batch->stays))
        return false;
    if (worker->concurrency > 1 && worker->slow && batch_recalled(batch))
        return false;
    return worker->host || core->demanding == 0 || takes_no_more(&batch->demand, &given->demand);
}

/* Whether jobs of others wait for what the host has. */
static bool others_wait_for_host(const struct core *core, const struct batch *batch)
{
    const struct batch *other;

    DL_FOREACH(core->batches, other)
        if (other != batch && !demand_is_plain(&other->demand) && other->queued > 0)
            return true;
    return false;
}

/* Whether the host has less left than a job of the batch, for which others have to leave it, takes. */
static bool is_kept_out(const struct core *core, const struct batch *batch, const struct batch *given)
{
    const struct demand *has = &core->capacity.has, *used = &core->capacity.used;

    if (!is_ready(batch) || demand_is_plain(&batch->demand) || others_wait_for_host(core, batch))
        return false;
    return (batch->demand.cpus > 1 && used->cpus + batch->demand.cpus > has->cpus) ||
           (batch->demand.memory_bytes > 0 && given->demand.memory_bytes > 0 &&
            used->memory_bytes + batch->demand.memory_bytes > has->memory_bytes);
}

/* Jobs of the flow were handed out to a worker that had nothing; `last`: to none after it. */
static void check_order(const struct core *core, struct flow *flow, const struct worker *worker, bool last)
{
    for (unsigned i = 0; i < SIM_SUBMISSIONS_MAX; i++) {
        struct flow *other = &turns.flows[i];

        if (other->batch == 0 || other == flow)
            continue;
        if (could_begin(core, other->core, worker, flow->core) ||
            (last && !worker->host && is_kept_out(core, other->core, flow->core)))
            compare(flow, other);
    }
}

/* --- what is handed out */

static struct worker *worker_of(const struct core *core, const struct outbox_item *item)
{
    struct worker *worker = NULL;

    if (item->kind == OUTBOX_SEND && item->message.type == PROTO_CHUNK)
        HASH_FIND_STR(core->workers_by_name, item->peer, worker);
    return worker;
}

/* Chunks that the worker was given from this item on. */
static unsigned given_from(const struct outbox *outbox, size_t from, const char *worker)
{
    unsigned given = 0;

    for (size_t i = from; i < outbox->count; i++)
        given += outbox->items[i].kind == OUTBOX_SEND && outbox->items[i].message.type == PROTO_CHUNK &&
                 strcmp(outbox->items[i].peer, worker) == 0;
    return given;
}

static void serve(struct flow *flow, const struct chunk *chunk)
{
    struct party *user = flow->user;
    double takes_ns = chunk->each_ns * (double)chunk->run.count;

    user->level->now = later(user->level->now, sum_of(&user->share));
    user->now = later(user->now, sum_of(&flow->share));
    flow->share.out_ns += takes_ns;
    user->share.out_ns += takes_ns;
}

/* Those of a batch that came back go first. What was begun in another life is not known. */
static void check_queue(struct flow *flow, const struct proto_chunk *chunk)
{
    uint64_t jobs = ((UINT64_C(1) << chunk->count) - 1) << chunk->first;

    SIM_CHECK((flow->begun & jobs) || !flow->core->requeued || sim_find(chunk)->life != world.host.life,
              "batch %lu has jobs that came back, and others begin", (unsigned long)flow->batch);
    flow->begun |= jobs;
}

/* Jobs that came back go ahead of their turn, where nobody counts what the host has. */
static void note_given(const struct core *core, const struct outbox *outbox, size_t place, bool last)
{
    const struct outbox_item *item = &outbox->items[place];
    struct worker *worker = worker_of(core, item);
    const struct chunk *chunk = hold_find(worker, item->message.chunk.chunk);
    struct flow *flow = find_flow(item->message.chunk.batch);
    bool idle = worker->holds == given_from(outbox, place, item->peer);

    SIM_CHECK(chunk && flow, "a chunk is handed out that nobody holds");
    if (idle && chunk->run.recalls == 0)
        check_order(core, flow, worker, last);
    check_queue(flow, &item->message.chunk);
    serve(flow, chunk);
}

static size_t last_given(const struct core *core, const struct outbox *outbox, size_t from)
{
    size_t last = SIZE_MAX;

    for (size_t i = from; i < outbox->count; i++)
        if (worker_of(core, &outbox->items[i]))
            last = i;
    return last;
}

/* --- who has nothing */

/* Whether what the host has is enough for a job of the batch, also beside one of any other that waits for it.
 */
static bool host_has(const struct core *core, const struct batch *batch)
{
    const struct demand *has = &core->capacity.has;
    struct demand taken = core->capacity.used, most = {0};
    const struct batch *other;

    DL_FOREACH(core->batches, other)
        if (other != batch && other->queued > 0 && core->demanding > 0) {
            most.cpus = other->demand.cpus > most.cpus ? other->demand.cpus : most.cpus;
            most.memory_bytes = other->demand.memory_bytes > most.memory_bytes ? other->demand.memory_bytes
                                                                               : most.memory_bytes;
        }
    taken.cpus += batch->demand.cpus + most.cpus;
    taken.memory_bytes += batch->demand.memory_bytes + most.memory_bytes;
    return core->demanding == 0 || takes_no_more(&taken, has);
}

/* Behind all that is handed out nobody has nothing to do while a job waits that could begin there. */
static void check_idle(const struct core *core)
{
    const struct batch *batch;

    for (unsigned i = 0; i < core->slots && core->roster.counts.idle > 0; i++) {
        const struct worker *worker = &core->workers[i];

        if (worker->state != WORKER_READY || !worker->crew || worker->holds > 0 || worker->credit == 0 ||
            worker->standing > 0)
            continue;
        DL_FOREACH(core->batches, batch)
            SIM_CHECK(!could_begin(core, batch, worker, batch) || !(worker->host || host_has(core, batch)),
                      "%s has nothing to do, and batch %lu has jobs", worker->name, (unsigned long)batch->id);
    }
}

/* Nor does any of the others have a place for a function that waits, of which it has none. Commands wait for
 * those of others wherever there are some, and a worker that is slow to answer may have to give jobs back. */
static void check_places(const struct core *core)
{
    const struct batch *batch;

    for (unsigned i = 0; i < core->slots && core->roster.counts.open > 0; i++) {
        const struct worker *worker = &core->workers[i];

        if (worker->state != WORKER_READY || !worker->crew || worker->holds >= worker->credit ||
            worker->running >= worker->concurrency || worker->standing > 0 ||
            (core->demanding > 0 && !worker->host)) /* its places are not all that matters */
            continue;
        DL_FOREACH(core->batches, batch)
            SIM_CHECK(batch->held[i] > 0 || batch->settings.most_running > 0 || batch->stays ||
                          !could_begin(core, batch, worker, batch),
                      "%s has %lu of %u places taken, and batch %lu has jobs", worker->name,
                      (unsigned long)worker->running, worker->concurrency, (unsigned long)batch->id);
    }
}

/* --- what the core does not have */

/* Whether nothing keeps jobs of the submission, which is kept, from being run. */
static bool may_run(const struct sim_submission *submission)
{
    const struct sim_submission *first =
        submission->after.batch ? sim_find_number(submission->after.batch) : NULL;

    return submission->accepted && submission->settings.keep && !submission->over && !submission->void_ &&
           !submission->cancelled && !submission->forgotten &&
           (!submission->after.batch ||
            (first && first->over && submission->after.condition == PROTO_AFTER_ANY)) &&
           submission->settings.begin_ms <= clock_read_ns(CLOCK_REALTIME) / CLOCK_NS_PER_MS;
}

void sim_turns_check(void)
{
    for (unsigned i = 1; i <= world.submission_count; i++) {
        struct sim_submission *submission = &world.submissions[i];

        if (!world.calm || !world.host.ready || !may_run(submission) ||
            core_batch(world.host.core, submission->number))
            submission->waits_ns = 0;
        else if (submission->waits_ns == 0)
            submission->waits_ns = world.now_ns;
        SIM_CHECK(submission->waits_ns == 0 || world.now_ns - submission->waits_ns < WAITS_MAX_NS,
                  "%s was accepted and may run, and the core does not have it", submission->function);
    }
}

/* --- where the link comes in */

void __real_dispatch(struct core *core, uint64_t now_ns, struct outbox *outbox);
void __wrap_dispatch(struct core *core, uint64_t now_ns, struct outbox *outbox);
bool __real_settle_result(struct core *core, uint64_t now_ns, struct worker *worker,
                          const struct proto_message *message, struct outbox *outbox);
bool __wrap_settle_result(struct core *core, uint64_t now_ns, struct worker *worker,
                          const struct proto_message *message, struct outbox *outbox);
void __real_bury_worker(uint64_t now_ns, struct worker *worker, const struct worker_exit *exit,
                        struct outbox *outbox);
void __wrap_bury_worker(uint64_t now_ns, struct worker *worker, const struct worker_exit *exit,
                        struct outbox *outbox);

/* Who had something to be served before, and has, was not raised since. */
static void wake(void)
{
    for (unsigned i = 0; i < SIM_SUBMISSIONS_MAX; i++) {
        struct flow *flow = &turns.flows[i];

        if (flow->batch == 0)
            continue;
        may_be_raised(&flow->user->share, flow->user->level->now);
        may_be_raised(&flow->share, flow->user->now);
        flow->share.doubt &= !is_ready(flow->core);
    }
}

static void park(void)
{
    for (unsigned i = 0; i < turns.user_count; i++)
        turns.users[i].share.doubt = true;
    for (unsigned i = 0; i < SIM_SUBMISSIONS_MAX; i++) {
        struct flow *flow = &turns.flows[i];

        if (flow->batch == 0)
            continue;
        flow->share.doubt |= !is_ready(flow->core);
        if (!flow->share.doubt)
            flow->user->share.doubt = false;
    }
}

void __wrap_dispatch(struct core *core, uint64_t now_ns, struct outbox *outbox)
{
    size_t before = outbox->count, last;

    if (core != world.host.core) { /* scale.c has one, which nobody looks at */
        __real_dispatch(core, now_ns, outbox);
        return;
    }
    take_stock(core);
    wake();
    __real_dispatch(core, now_ns, outbox);
    last = last_given(core, outbox, before);
    for (size_t i = before; i < outbox->count; i++)
        if (worker_of(core, &outbox->items[i]))
            note_given(core, outbox, i, i == last);
    park();
    if (core->awaited == 0 && !core->draining) {
        check_idle(core);
        check_places(core);
    }
}

/* What jobs took is known from their worker, but for what is heard twice, or of a life before. */
bool __wrap_settle_result(struct core *core, uint64_t now_ns, struct worker *worker,
                          const struct proto_message *message, struct outbox *outbox)
{
    const struct proto_outcome *outcome = &message->result.outcome;
    const struct chunk *chunk = hold_find(worker, message->result.chunk);
    struct flow *flow = core == world.host.core && chunk ? find_flow(chunk->batch->id) : NULL;

    if (flow) {
        double most_ns = (double)(now_ns - chunk->run.assigned_ns) * worker->concurrency;
        double took_ns = (double)outcome->execute_ns;
        bool all = outcome->attempt == chunk->run.attempts + 1 && message->result.batch == flow->batch;

        for (uint64_t i = 0; i < outcome->count; i++)
            all &= spans_hold(&chunk->left, outcome->first + i);
        took_ns = (took_ns < most_ns ? took_ns : most_ns) * chunk->batch->demand.cpus;
        charge(flow, all ? took_ns : 0, took_ns);
    }
    return __real_settle_result(core, now_ns, worker, message, outbox);
}

/* The job that killed it had what its worker spent since it last reported, unless it was cancelled. */
void __wrap_bury_worker(uint64_t now_ns, struct worker *worker, const struct worker_exit *exit,
                        struct outbox *outbox)
{
    const struct chunk *chunk = world.host.core && exit->executing ? hold_find(worker, exit->chunk) : NULL;
    struct flow *flow = chunk ? find_flow(chunk->batch->id) : NULL;
    double spent_ns = (double)(now_ns - worker->moved_ns);

    if (flow && spans_hold(&chunk->left, exit->index) && worker->doom != DOOM_CANCELLED && !exit->lost &&
        !settle_is_cancelled(chunk->batch, exit->index))
        charge(flow, spent_ns * chunk->batch->demand.cpus, spent_ns * chunk->batch->demand.cpus);
    __real_bury_worker(now_ns, worker, exit, outbox);
}
