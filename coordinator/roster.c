/* SPDX-License-Identifier: MIT
 *
 * Workers by load and by deadline, and how many there are of a kind. See roster.h. Part of the core:
 * pure.
 */
#include "coordinator/state.h"

/* How long a worker that is not needed any more may take to end. */
static const uint64_t STOP_NS = 5 * CLOCK_NS_PER_S;

/* A load and a slot in one number: places that are taken, jobs, the slot. */
enum { PLACES_BITS = 15, SLOT_BITS = 16, JOBS_BITS = 64 - PLACES_BITS - SLOT_BITS };

static const uint64_t JOBS_MOST = (UINT64_C(1) << JOBS_BITS) - 1;

_Static_assert(PROTO_WORKERS_MAX < 1 << SLOT_BITS, "a slot fits beside a load");
_Static_assert(PROTO_CONCURRENCY_MAX < 1 << PLACES_BITS, "places fit above jobs");

int roster_init(struct roster *roster, unsigned slots)
{
    int result = lowest_init(&roster->due, slots);

    if (result != 0)
        return result;
    result = lowest_init(&roster->loads, slots);
    if (result != 0)
        lowest_fini(&roster->due);
    return result;
}

void roster_fini(struct roster *roster)
{
    lowest_fini(&roster->due);
    lowest_fini(&roster->loads);
}

/* --- deadlines */

static uint64_t ready_deadline(const struct core *core, const struct worker *worker)
{
    uint64_t heartbeat_ns = core->options.heartbeat_ns, due = CLOCK_NEVER;

    if (worker->holds > 0 && worker->pinged_ns) /* from then on, however late it was: it has to have time */
        due = clock_after(worker->pinged_ns, heartbeat_ns - heartbeat_ns / 3);
    else if (worker->holds > 0)
        due = clock_after(worker->heard_ns, heartbeat_ns / 3);
    return worker->unwanted.count > 0 && worker->unwanted_ns < due ? worker->unwanted_ns : due;
}

uint64_t worker_deadline(const struct core *core, const struct worker *worker)
{
    if ((worker->awaited || worker->expected) && worker->state != WORKER_DOOMED)
        return clock_after(worker->heard_ns, WORKER_AWAY_NS);
    switch (worker->state) {
    case WORKER_ABSENT: /* nobody spawns one too many */
        return worker->respawn_ns && worker->crew ? worker->respawn_ns : CLOCK_NEVER;
    case WORKER_READY:
        return ready_deadline(core, worker);
    case WORKER_STARTING:
        return clock_after(worker->heard_ns, WORKER_START_NS);
    case WORKER_STOPPING:
        return clock_after(worker->heard_ns, STOP_NS);
    case WORKER_AWAY: /* its host is to come back first */
    case WORKER_DOOMED:
        return CLOCK_NEVER;
    }
    return CLOCK_NEVER;
}

/* --- loads */

uint64_t worker_load(const struct worker *worker)
{
    uint64_t places;

    if (worker->concurrency <= 1)
        return worker->holds;
    places = worker->running < worker->concurrency ? worker->running : worker->concurrency;
    return places << JOBS_BITS | (worker->jobs < JOBS_MOST ? worker->jobs : JOBS_MOST);
}

struct worker *roster_least_loaded(const struct core *core)
{
    uint64_t least = lowest_number(&core->roster.loads);

    return least == UINT64_MAX ? NULL : &core->workers[(least & ((1 << SLOT_BITS) - 1)) - 1];
}

/* --- counts */

/* One that is away, and has nothing that is known of, is nobody who would do what there is to do. */
static bool is_present(const struct worker *worker)
{
    bool unexpected = worker->state == WORKER_AWAY && worker->awaited && !worker->holds_up;

    return worker->state != WORKER_ABSENT && !unexpected && !(worker->cut && worker->holds == 0);
}

static struct roster_entry look(const struct worker *worker)
{
    bool crew = worker->crew, ready = worker->state == WORKER_READY, told = ready && worker->standing == 0;
    struct roster_entry entry = {
        .counts = {.present = crew && is_present(worker),
                   .idle = crew && told && worker->holds == 0,
                   .open = crew && told && worker->running < worker->concurrency,
                   .several = ready && worker->jobs > 1,
                   .ready = ready,
                   .starting = worker->state == WORKER_STARTING},
        .places = crew && told ? worker->concurrency : 0,
    };

    if (!worker->host) /* another host's is not this one's to give */
        entry.taken = worker->taken;
    return entry;
}

static void recount(struct roster_counts *sum, const struct roster_counts *before,
                    const struct roster_counts *now)
{
    sum->present += now->present - before->present;
    sum->idle += now->idle - before->idle;
    sum->open += now->open - before->open;
    sum->several += now->several - before->several;
    sum->ready += now->ready - before->ready;
    sum->starting += now->starting - before->starting;
}

/* Those that another life of this coordinator started may have other places. Numbers are all the same if,
 * and only if, the square of their sum is the sum of their squares so many times; at most 2^28 * 2^30. */
static void recount_places(struct roster *roster, uint64_t before, uint64_t now)
{
    roster->givens += (now > 0) - (before > 0);
    roster->places += now - before;
    roster->squares += now * now - before * before;
    roster->alike = roster->places * roster->places == roster->givens * roster->squares;
}

void roster_update(struct core *core, struct worker *worker)
{
    struct roster *roster = &core->roster;
    struct demand *used = &core->capacity.used;
    struct roster_entry before = worker->roster, now = look(worker);
    uint64_t load = worker_load(worker) << SLOT_BITS | worker->slot;
    bool takes = now.places > 0 && worker->holds < worker->credit;

    lowest_set(&roster->due, worker->slot - 1, worker_deadline(core, worker));
    lowest_set(&roster->loads, worker->slot - 1, takes ? load : UINT64_MAX);
    recount(&roster->counts, &before.counts, &now.counts);
    used->cpus += now.taken.cpus - before.taken.cpus;
    used->memory_bytes += now.taken.memory_bytes - before.taken.memory_bytes;
    worker->roster = now;
    recount_places(roster, before.places, now.places);
}
