/* SPDX-License-Identifier: MIT
 *
 * The executor of several jobs at once. See concurrent.h.
 *
 * Runners are the coroutines: each runs one job after another, until one waits. Only when all
 * runners wait, more are started, twice as many each time, so that jobs that compute are run by
 * one. The flight recorder names the job that has the thread; while all wait, the
 * command that runs, if one does, as one that may have to do with a death.
 */
#include "worker/concurrent.h"

#include "base/clock.h"
#include "base/log.h"
#include "jobs/coroutine.h"
#include "worker/command.h"
#include "worker/runner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* Outcomes are held back so long for others to join them, while jobs run and while all wait:
 * a message then costs some percent of the time. */
static const uint64_t HOLD_BUSY_NS = 2 * CLOCK_NS_PER_MS;
static const uint64_t HOLD_IDLE_NS = 200 * CLOCK_NS_PER_US;

/* How long a runner goes on with jobs that do not wait before others have their turn. */
static const uint64_t SLICE_NS = CLOCK_NS_PER_MS;

/* What a job that passed its time limit has to end when it is asked to, while it waits for something that
 * cannot be ended (muster_call_block). */
static const uint64_t WAIT_GRACE_NS = 250 * CLOCK_NS_PER_MS;

/* What a call's memory begins with. */
enum { ZONE_BYTES = 512 };

/* --- reports */

/* A chunk that was cancelled, and of which nothing ended since the last report. */
static int report_nothing(struct concurrent *x, const struct lot *lot)
{
    const struct proto_chunk *chunk = lot->assignment->chunk;
    int result = report_begin(&x->ended.report, lot->assignment, chunk->first, clock_now_ns());

    return result == 0 ? report_post(&x->ended.report, chunk, true, x->link) : result;
}

/* Reports all that ended, and lets go of chunks that are over. */
static void report(struct concurrent *x)
{
    struct lot *lot, *next;

    if (x->result == 0)
        x->result = ended_report(&x->ended, x->link);
    DL_FOREACH_SAFE(x->over, lot, next) {
        if (!lot->finished && x->result == 0)
            x->result = report_nothing(x, lot);
        link_release(x->link, lot->assignment);
        free(lot);
    }
    x->over = NULL;
}

/* --- runners */

static void run_jobs(struct fiber *fiber, void *context)
{
    struct runner *runner = context;
    struct concurrent *x = runner->x;

    loop_call_init(fiber, &runner->call, &runner->zone, &runner->cancel, &x->flight->progress);
    runner->call.memory = &x->lent.memory;
    while (runner_begin(runner)) {
        int result = runner_run(runner, fiber);
        uint64_t now_ns = clock_now_ns(), held_ns = now_ns - x->resumed_ns;

        if (x->result == 0)
            x->result = result;
        if (held_ns >= HOLD_BUSY_NS || ended_due(&x->ended, now_ns, HOLD_BUSY_NS))
            report(x);
        if (held_ns >= SLICE_NS)
            loop_yield(fiber);
    }
    runner->done = true;
}

static struct runner *create_runner(struct concurrent *x)
{
    struct runner *runner = calloc(1, sizeof *runner);

    if (!runner || !msgpack_zone_init(&runner->zone, ZONE_BYTES)) {
        free(runner);
        return NULL;
    }
    runner->x = x;
    return runner;
}

static void destroy_runner(struct runner *runner)
{
    msgpack_zone_destroy(&runner->zone);
    free(runner);
}

/* 0, or MUSTER_ENOMEM when there is no memory for one more. */
static int start_runner(struct concurrent *x)
{
    struct runner *runner = x->spare;

    if (runner)
        LL_DELETE(x->spare, runner);
    else
        runner = create_runner(x);
    if (!runner)
        return MUSTER_ENOMEM;
    runner->done = false;
    if (loop_start(x->loop, run_jobs, runner) != 0) {
        destroy_runner(runner);
        return MUSTER_ENOMEM;
    }
    return 0;
}

/* Starts as many as are worth it: one when none could go on, and as many again as wait. Without
 * memory for all, those that there are do. */
static void start_runners(struct concurrent *x)
{
    uint64_t fibers = loop_fibers(x->loop), ready = loop_ready(x->loop);
    uint64_t wanted = fibers - ready + 1, waiting = concurrent_waiting(x);

    if (wanted > waiting)
        wanted = waiting;
    if (wanted > x->concurrency - fibers)
        wanted = x->concurrency - fibers;
    for (; ready < wanted; ready++)
        if (start_runner(x) != 0) {
            if (loop_fibers(x->loop) == 0)
                x->result = MUSTER_ENOMEM;
            return;
        }
}

/* --- what happens */

static void take_chunk(struct concurrent *x, struct assignment *assignment)
{
    const struct proto_text *name = &assignment->chunk->function;
    struct lot *lot = calloc(1, sizeof *lot);

    if (!lot) {
        x->result = MUSTER_ENOMEM;
        return;
    }
    lot->assignment = assignment;
    lot->count = assignment->chunk->count;
    lot->function = command_find(x->registry, name->bytes, name->size);
    lot->command = command_is(lot->function);
    DL_APPEND(x->lots, lot);
    if (!x->fresh[lot->command])
        x->fresh[lot->command] = lot;
    x->waiting[lot->command] += lot->count;
    if (atomic_load(&assignment->asked) ||
        atomic_load(&assignment->returned)) /* of what comes later the link tells */
        atomic_store(&x->cancelled, true);
}

static void take_chunks(struct concurrent *x)
{
    struct assignment *assignment;
    int result = 0;

    if (!atomic_exchange(&x->arrived, false))
        return;
    while (x->result == 0 && (result = link_try_take(x->link, &assignment)) == 0)
        take_chunk(x, assignment);
    x->stopping |= result == MUSTER_EEND;
}

/* Forgets jobs that were given back. What the link has not settled yet is left for the next time. */
static void cut_lot(struct concurrent *x, struct lot *lot)
{
    uint32_t count = lot->assignment->chunk->count - atomic_load(&lot->assignment->returned);

    if (count >= lot->count || count < lot->started)
        return;
    x->waiting[lot->command] -= lot->count - count;
    lot->count = count;
}

/* Jobs of chunks that were cancelled do not start, and those that wait wake up. */
static void take_cancels(struct concurrent *x)
{
    struct runner *runner;
    struct lot *lot, *next;

    if (!atomic_exchange(&x->cancelled, false))
        return;
    DL_FOREACH_SAFE(x->lots, lot, next) {
        if (lot->skipped)
            continue;
        cut_lot(x, lot);
        if (atomic_load(&lot->assignment->asked) & ASSIGNMENT_SKIP)
            concurrent_skip_rest(x, lot);
        else
            concurrent_note_over(x, lot);
    }
    DL_FOREACH(x->busy, runner)
        if (runner_is_cancelled(runner, LINK_END))
            call_cancel_raise(&runner->cancel);
    loop_cancelled(x->loop);
}

/* Jobs that wait beyond their limit are asked to end, and then made to. Whoever could go on has
 * not had the time to end yet. */
static void end_late(struct concurrent *x)
{
    uint64_t now_ns = clock_now_ns();
    struct timer *timer;

    while (x->result == 0 && (timer = timers_take_due(&x->timers, now_ns))) {
        struct runner *runner = (struct runner *)timer;

        if (runner->late && loop_ready(x->loop) == 0)
            link_end_for_time(x->link, runner->lot->assignment->chunk->chunk, runner_index(runner));
        runner->late = true;
        call_cancel_raise(&runner->cancel);
        loop_cancelled(x->loop);
        x->result = timers_add(&x->timers, timer, clock_after(now_ns, WAIT_GRACE_NS));
    }
}

/* When there is something to do for which nobody calls. */
static uint64_t deadline(const struct concurrent *x)
{
    uint64_t deadline_ns = timers_deadline(&x->timers);
    uint64_t report_ns = x->ended.count ? clock_after(x->ended.oldest_ns, HOLD_IDLE_NS) : CLOCK_NEVER;

    return deadline_ns < report_ns ? deadline_ns : report_ns;
}

static bool goes_on(const struct concurrent *x)
{
    return x->result == 0 && !(x->stopping && !x->lots && !x->over && loop_fibers(x->loop) == 0);
}

static void serve(struct concurrent *x)
{
    while (goes_on(x)) {
        unsigned ready;

        take_chunks(x);
        take_cancels(x);
        end_late(x);
        start_runners(x);
        ready = loop_ready(x->loop);
        if (x->over || (ready == 0 && loop_fibers(x->loop) == 0 && x->ended.count > 0) ||
            ended_due(&x->ended, clock_now_ns(), ready ? HOLD_BUSY_NS : HOLD_IDLE_NS))
            report(x);
        if (goes_on(x))
            loop_turn(x->loop, deadline(x));
    }
}

/* --- life */

static void chunk_arrived(void *context)
{
    struct concurrent *x = context;

    atomic_store(&x->arrived, true);
    loop_wake(x->loop);
}

static void jobs_cancelled(void *context)
{
    struct concurrent *x = context;

    atomic_store(&x->cancelled, true);
    loop_wake(x->loop);
}

/* What ended before a job that computes for long does not wait for it. If the executor is not in
 * a function, it reports by itself. On the link's thread. */
static void report_held_back(void *context, uint64_t seen_ns)
{
    struct concurrent *x = context;

    if (sem_trywait(&x->untouched) != 0)
        return;
    if (x->over || ended_due(&x->ended, seen_ns, HOLD_BUSY_NS))
        report(x);
    sem_post(&x->untouched);
}

/* Of the signal handler: the page of this process. */
static struct flight_page *overflowed_flight;

static void note_overflow(size_t stack_bytes)
{
    flight_overflow(overflowed_flight, stack_bytes);
}

static void destroy(struct concurrent *x)
{
    struct runner *runner, *next;

    loop_destroy(x->loop);
    LL_FOREACH_SAFE(x->spare, runner, next)
        destroy_runner(runner);
    ended_fini(&x->ended);
    lent_fini(&x->lent);
    sem_destroy(&x->untouched);
    timers_fini(&x->timers);
}

static int prepare(struct concurrent *x, int heap_fd)
{
    static const struct loop_watcher watcher = {.resumed = runner_resumed, .suspended = runner_suspended};
    struct muster_error error;
    int result = lent_init(&x->lent, heap_fd);

    if (result == 0 && (result = loop_create(&watcher, &x->loop, &error)) != 0)
        lent_fini(&x->lent);
    if (result == 0 && (result = ended_init(&x->ended, &x->lent)) != 0) {
        loop_destroy(x->loop);
        lent_fini(&x->lent);
    }
    sem_init(&x->untouched, 0, 0);
    overflowed_flight = x->flight;
    if (result == 0 && coroutine_watch_overflow(note_overflow) != 0)
        log_error("worker: an overflow of a stack will be a plain SIGSEGV: %s", strerror(errno));
    return result;
}

int concurrent_serve(struct link *link, const struct registry *registry, struct flight_page *flight,
                     unsigned concurrency, int heap_fd)
{
    static const struct link_watcher watcher = {
        .slow = report_held_back, .cancelled = jobs_cancelled, .arrived = chunk_arrived};
    struct concurrent x = {
        .link = link, .registry = registry, .flight = flight, .concurrency = concurrency, .arrived = true};
    int result = prepare(&x, heap_fd);

    if (result != 0) {
        link_stop(link);
        return result;
    }
    link_watch(link, &watcher, &x);
    atomic_store(&flight->phase, FLIGHT_RUNNING);
    serve(&x);
    atomic_store(&flight->phase, FLIGHT_STOPPING);
    link_stop(link);
    if (x.result == 0) /* else jobs wait that nobody will go on with; the process ends */
        destroy(&x);
    return x.result;
}
