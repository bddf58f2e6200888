/* SPDX-License-Identifier: MIT
 *
 * The coroutines of the executor of several jobs at once. See runner.h.
 */
#include "worker/runner.h"

#include "base/clock.h"
#include "proto/value.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <utlist.h>

/* What a job that passed its time limit has to end when it is asked to, while it runs. */
static const uint64_t RUN_GRACE_NS = 50 * CLOCK_NS_PER_MS;

/* --- who has the thread */

uint64_t runner_index(const struct runner *runner)
{
    return runner->lot->assignment->chunk->first + runner->place;
}

/* The flight recorder is about its job from now on. */
static void begin_record(const struct runner *runner, uint64_t now_ns)
{
    const struct proto_chunk *chunk = runner->lot->assignment->chunk;
    struct flight_page *flight = runner->x->flight;

    flight_begin_chunk(flight, chunk->batch, chunk->chunk, chunk->attempt, now_ns);
    atomic_store_explicit(&flight->progress, runner->progress, memory_order_relaxed);
}

static void take_thread(struct runner *runner, uint64_t now_ns)
{
    struct link_job job = {
        .assignment = runner->lot->assignment,
        .index = runner_index(runner),
        .deadline_ns = runner->deadline_ns,
        .kill_ns = clock_after(runner->deadline_ns > now_ns ? runner->deadline_ns : now_ns, RUN_GRACE_NS),
        .cancel = &runner->cancel,
    };

    runner->since_ns = now_ns;
    if (runner->deadline_ns == CLOCK_NEVER)
        job.kill_ns = CLOCK_NEVER;
    lent_begin(&runner->x->lent, runner->lot->assignment->chunk);
    link_run(runner->x->link, &job);
    begin_record(runner, now_ns);
    flight_begin_job(runner->x->flight, job.index);
}

/* A command runs on in its process, and may kill this one, while its coroutine waits: then it is the first
 * that is suspected, but not more than that, since whatever waits here may have been the end of it. */
static void leave_thread(struct runner *runner)
{
    const struct runner *commander = runner->x->commander;
    struct flight_page *flight = runner->x->flight;

    runner->progress = atomic_load_explicit(&flight->progress, memory_order_relaxed);
    flight_end_job(flight, runner_index(runner));
    if (commander && atomic_load(&flight->command) != 0) {
        begin_record(commander, commander->since_ns);
        flight_end_job(flight, runner_index(commander));
    }
    link_run(runner->x->link, &(struct link_job){.assignment = NULL});
}

/* The function runs: until it waits or returns, the link's thread may report what ended. It is no
 * mutex, since that would be let go of by one coroutine and taken by another. */
static void let_touch(struct concurrent *x)
{
    sem_post(&x->untouched);
}

static void stop_touching(struct concurrent *x)
{
    while (sem_wait(&x->untouched) != 0)
        assert(errno == EINTR);
}

void runner_resumed(void *context)
{
    struct runner *runner = context;

    runner->x->resumed_ns = clock_now_ns();
    if (!runner->lot)
        return;
    take_thread(runner, runner->x->resumed_ns);
    let_touch(runner->x);
}

void runner_suspended(void *context)
{
    struct runner *runner = context;

    if (runner->lot) {
        stop_touching(runner->x);
        runner->held_ns += clock_now_ns() - runner->since_ns;
        leave_thread(runner);
    }
    if (runner->done)
        LL_PREPEND(runner->x->spare, runner);
}

/* --- jobs */

/* The next job is not in the lot. */
static void pass(struct concurrent *x, const struct lot *lot)
{
    for (int kind = 0; kind < 2; kind++)
        if (x->fresh[kind] == lot)
            x->fresh[kind] = lot->next;
}

void concurrent_note_over(struct concurrent *x, struct lot *lot)
{
    if (!lot_over(lot))
        return;
    pass(x, lot);
    DL_DELETE(x->lots, lot);
    DL_APPEND(x->over, lot);
}

void concurrent_skip_rest(struct concurrent *x, struct lot *lot)
{
    if (!lot->skipped)
        x->waiting[lot->command] -= lot->count - lot->started;
    lot->skipped = true;
    pass(x, lot);
    concurrent_note_over(x, lot);
}

/* Whether the next job of the lot is still ours to begin. */
static bool may_begin(struct lot *lot)
{
    return !lot->skipped && lot->started < lot->count && assignment_begin(lot->assignment, lot->started);
}

/* The lot whose job is the next one of functions, or of commands; NULL: none waits. */
static struct lot *find_next(struct concurrent *x, bool command)
{
    struct lot *lot;

    while ((lot = x->fresh[command]) && (lot->command != command || !may_begin(lot)))
        if (lot->command == command)
            concurrent_skip_rest(x, lot);
        else
            x->fresh[command] = lot->next;
    return lot;
}

uint64_t concurrent_waiting(const struct concurrent *x)
{
    return x->waiting[false] + (x->commander ? 0 : x->waiting[true]);
}

/* A command goes first: it waits for its process, and leaves the thread to functions. */
bool runner_begin(struct runner *runner)
{
    struct concurrent *x = runner->x;
    struct lot *lot = NULL;

    if (x->result != 0)
        return false;
    if (!x->commander)
        lot = find_next(x, true);
    if (!lot)
        lot = find_next(x, false);
    if (!lot)
        return false;
    runner->lot = lot;
    runner->place = lot->started++;
    lot->running++;
    if (lot->command)
        x->commander = runner;
    runner->progress = 0;
    runner->held_ns = 0;
    runner->late = false;
    atomic_store(&runner->cancel.raised, 0);
    x->waiting[lot->command]--;
    DL_APPEND(x->busy, runner);
    return true;
}

static void end_job(struct runner *runner)
{
    struct concurrent *x = runner->x;
    struct lot *lot = runner->lot;

    timers_remove(&x->timers, &runner->timer);
    msgpack_zone_clear(&runner->zone);
    if (x->commander == runner)
        x->commander = NULL;
    leave_thread(runner);
    runner->lot = NULL;
    lot->running--;
    concurrent_note_over(x, lot);
    DL_DELETE(x->busy, runner);
}

static int take_argument(struct runner *runner, msgpack_object *ret_argument)
{
    struct lot *lot = runner->lot;
    const struct proto_chunk *chunk = lot->assignment->chunk;
    const struct slice *payload = &lot->assignment->frame->message.payload;
    int64_t argument;

    if (chunk->kind == PROTO_LIST)
        return value_unpack(slice_bytes(payload), payload->size, &lot->offset, &runner->zone, ret_argument);
    argument = (int64_t)((uint64_t)chunk->argument + runner->place);
    ret_argument->type = argument < 0 ? MSGPACK_OBJECT_NEGATIVE_INTEGER : MSGPACK_OBJECT_POSITIVE_INTEGER;
    ret_argument->via.i64 = argument;
    return 0;
}

bool runner_is_cancelled(const struct runner *runner, enum link_drop least)
{
    struct assignment *assignment = runner->lot->assignment;
    unsigned asked = atomic_load(&assignment->asked);

    return (asked & ASSIGNMENT_END) ||
           ((asked & ASSIGNMENT_SOME) &&
            link_is_dropped(runner->x->link, assignment, runner_index(runner)) >= least);
}

/* What a job that was made to end is told. */
static int explain_end(const struct runner *runner, char *text, size_t size)
{
    const struct proto_chunk *chunk = runner->lot->assignment->chunk;
    uint32_t progress = atomic_load_explicit(&runner->x->flight->progress, memory_order_relaxed);
    int used;

    if (runner->deadline_ns == CLOCK_NEVER || clock_now_ns() < runner->deadline_ns ||
        runner_is_cancelled(runner, LINK_END)) {
        snprintf(text, size, "%s", muster_error_name(MUSTER_ECANCELLED));
        return MUSTER_ECANCELLED;
    }
    used = snprintf(text, size, "timed out after %.3g s", chunk->timeout_ms / 1e3);
    if (progress > 0)
        snprintf(text + used, size - (size_t)used, ", at %u%%", progress / 10);
    return MUSTER_ETIMEOUT;
}

/* Calls the function, with clocks around it. */
static int call_function(struct runner *runner, struct fiber *fiber, const msgpack_object *argument,
                         struct outcome *outcome, msgpack_object *ret_value)
{
    struct concurrent *x = runner->x;
    bool timings = runner->lot->assignment->chunk->timings;
    uint64_t began_cpu_ns = timings ? fiber_cpu_ns(fiber) : 0, now_ns;

    if (runner->deadline_ns != CLOCK_NEVER &&
        timers_add(&x->timers, &runner->timer, runner->deadline_ns) != 0)
        return MUSTER_ENOMEM;
    runner->call.common = runner->lot->assignment->chunk->common.bytes;
    runner->call.common_bytes = runner->lot->assignment->chunk->common.size;
    let_touch(x);
    outcome->code = call_run(&runner->call, runner->lot->function, argument, ret_value);
    stop_touching(x);
    now_ns = clock_now_ns();
    outcome->execute_ns = now_ns - outcome->began_ns - outcome->decode_ns;
    outcome->held_ns = runner->held_ns + (now_ns - runner->since_ns);
    outcome->cpu_ns = timings ? fiber_cpu_ns(fiber) - began_cpu_ns : 0;
    outcome->valued = outcome->code == MUSTER_EFAILED && runner->call.valued;
    if (outcome->code == MUSTER_ECANCELLED)
        outcome->code = explain_end(runner, runner->call.text, sizeof runner->call.text);
    return 0;
}

/* As execute.c does it: what the function left behind may crash the worker only when it is encoded
 * or freed, so the job ends after that. */
int runner_run(struct runner *runner, struct fiber *fiber)
{
    struct concurrent *x = runner->x;
    const struct proto_chunk *chunk = runner->lot->assignment->chunk;
    struct outcome outcome = {.lot = runner->lot, .place = runner->place, .began_ns = clock_now_ns()};
    const char *text = runner->call.text;
    msgpack_object argument, value;
    int result = 0;

    runner->deadline_ns =
        chunk->timeout_ms ? clock_after(outcome.began_ns, chunk->timeout_ms * CLOCK_NS_PER_MS) : CLOCK_NEVER;
    take_thread(runner, outcome.began_ns);
    outcome.code = take_argument(runner, &argument);
    if (outcome.code == 0)
        outcome.code = lent_argument(&x->lent, chunk, &runner->zone, &argument);
    outcome.decode_ns = clock_now_ns() - outcome.began_ns;
    if (outcome.code != 0) {
        text = muster_error_name(outcome.code);
    } else if (!runner->lot->function) {
        outcome.code = MUSTER_ENOTFOUND;
        text = "this worker does not have the function";
    } else if (runner_is_cancelled(runner, LINK_SKIP)) {
        outcome.code = MUSTER_ECANCELLED;
        text = muster_error_name(outcome.code);
    } else {
        result = call_function(runner, fiber, &argument, &outcome, &value);
    }
    if (result == 0)
        result = ended_add(&x->ended, &outcome, &value, text);
    end_job(runner);
    return result;
}
