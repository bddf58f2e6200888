/* SPDX-License-Identifier: MIT
 *
 * Workers that do what workers do, and what they should not. See sim.h.
 */
#include "base/clock.h"
#include "proto/value.h"
#include "tests/unit/coordinator/sim.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* --- chunks */

static void add_task(struct sim *sim, struct sim_worker *worker, const struct proto_message *message)
{
    struct sim_task *task = calloc(1, sizeof *task);
    unsigned held;

    cr_assert(task);
    task->chunk = message->chunk;
    SIM_CHECK(sim, task->chunk.function.size < sizeof task->function, "the name of the function has grown");
    memcpy(task->function, message->chunk.function.bytes, message->chunk.function.size);
    task->chunk.function.bytes = task->function;
    task->arguments = message->payload;
    if (task->arguments.blob)
        blob_ref(task->arguments.blob);
    DL_APPEND(worker->tasks, task);
    DL_COUNT(worker->tasks, task, held);
    SIM_CHECK(sim, held <= worker->credit, "worker %u was given %u chunks", worker->slot, held);
}

static void end_task(struct sim_worker *worker, struct sim_task *task)
{
    DL_DELETE(worker->tasks, task);
    blob_unref(task->arguments.blob);
    free(task);
}

static struct sim_job *job_of(struct sim *sim, const struct sim_task *task, uint32_t place)
{
    return &sim_find_batch(sim, task->function)->jobs[task->chunk.first + place];
}

/* The worker got the arguments of the jobs that it was told to run. */
static void check_arguments(struct sim *sim, const struct sim_task *task)
{
    const struct proto_chunk *chunk = &task->chunk;
    uint64_t ticket = sim_find_batch(sim, task->function)->settings.ticket;
    size_t offset = 0;
    msgpack_zone zone;

    if (chunk->kind == PROTO_RANGE) {
        SIM_CHECK(sim, chunk->argument == sim_argument(ticket, chunk->first), "an argument of another job");
        return;
    }
    cr_assert(msgpack_zone_init(&zone, 256));
    for (uint32_t i = 0; i < chunk->count; i++) {
        msgpack_object value;

        SIM_CHECK(sim,
                  value_unpack(slice_bytes(&task->arguments), task->arguments.size, &offset, &zone, &value) ==
                          0 &&
                      value.via.i64 == sim_argument(ticket, chunk->first + i),
                  "job %lu got the argument of another", (unsigned long)(chunk->first + i));
    }
    msgpack_zone_destroy(&zone);
}

/* --- what it says */

static uint32_t choose_places(struct sim *sim)
{
    return sim_once_in(sim, 2) ? 1 : 1 + (uint32_t)sim_below(sim, 6);
}

static void say_hello(struct sim *sim, struct sim_worker *worker)
{
    struct proto_message hello = {.type = PROTO_HELLO,
                                  .hello = {.version = PROTO_VERSION, .role = PROTO_WORKER, .pid = 1}};

    worker->life = SIM_ALIVE;
    worker->credit = hello.hello.credit = 1 + (uint32_t)sim_below(sim, sim_once_in(sim, 2) ? 3 : 16);
    worker->concurrency = hello.hello.concurrency = sim->places ? sim->places : choose_places(sim);
    sim_post(&worker->from, &hello);
}

/* Packs the values of jobs that ended. */
/* Whether a job that failed has a value nonetheless: every other one. */
static bool is_valued(const struct sim_task *task, uint32_t place)
{
    return task->jobs[place].code == MUSTER_EFAILED && (task->chunk.first + place) % 2 == 0;
}

static struct blob *pack_values(const struct sim_task *task, uint64_t ticket, uint32_t from, uint32_t until)
{
    msgpack_sbuffer buffer;
    msgpack_packer packer;
    struct blob *blob;

    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    for (uint32_t i = from; i < until; i++)
        if (task->jobs[i].code == 0 || is_valued(task, i))
            msgpack_pack_int64(&packer, 3 * sim_argument(ticket, task->chunk.first + i));
    blob = blob_copy(buffer.data, buffer.size);
    cr_assert(blob);
    msgpack_sbuffer_destroy(&buffer);
    return blob;
}

static void report(struct sim *sim, struct sim_worker *worker, struct sim_task *task, uint32_t from,
                   uint32_t until, bool final)
{
    const struct proto_chunk *chunk = &task->chunk;
    struct proto_failure failures[SIM_JOBS_MAX];
    uint64_t timings[PROTO_TIMINGS * SIM_JOBS_MAX] = {0}, execute_ns = sim_below(sim, 60 * CLOCK_NS_PER_MS);
    bool lie = sim_fault(sim, 200);
    struct blob *values =
        pack_values(task, sim_find_batch(sim, task->function)->settings.ticket, from, until);
    struct proto_message message = {
        .type = PROTO_RESULT,
        .result = {.batch = chunk->batch,
                   .chunk = chunk->chunk,
                   .final = final,
                   .outcome = {.first = chunk->first + from,
                               .count = until - from,
                               .attempt = chunk->attempt + lie,
                               .execute_ns = execute_ns,
                               .cpu_ns = sim_below(sim, execute_ns + 1),
                               .failures = failures}},
        .payload = {.blob = values, .size = values->size},
    };
    struct proto_outcome *outcome = &message.result.outcome;

    for (uint32_t i = from; i < until; i++) {
        task->jobs[i].stage = SIM_TOLD;
        if (task->jobs[i].code != 0)
            failures[outcome->failure_count++] = (struct proto_failure){.index = chunk->first + i,
                                                                        .code = task->jobs[i].code,
                                                                        .text = {"no", 2},
                                                                        .valued = is_valued(task, i)};
    }
    if (chunk->timings && outcome->count > 0)
        outcome->timings = timings;
    sim_post(&worker->from, &message);
    worker->lied |= lie;
    blob_unref(values);
    if (final)
        end_task(worker, task);
}

/* --- what it does */

static uint32_t count_in(const struct sim_task *task, enum sim_stage stage)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < task->chunk.count; i++)
        count += task->jobs[i].stage == stage;
    return count;
}

uint32_t sim_worker_runs(const struct sim_worker *worker, const char *function)
{
    const struct sim_task *task;
    uint32_t count = 0;

    if (worker->life == SIM_ALIVE)
        DL_FOREACH(worker->tasks, task)
            count += strcmp(task->function, function) == 0 ? count_in(task, SIM_RUNS) : 0;
    return count;
}

/* Some of the jobs that ended, neighbours, from any place on; `final` when no more come. */
static void report_some(struct sim *sim, struct sim_worker *worker, struct sim_task *task)
{
    uint32_t count = task->chunk.count, from = (uint32_t)sim_below(sim, count), until, left;

    if (worker->concurrency == 1 || sim_once_in(sim, 2))
        from = 0;
    while (from < count && task->jobs[from].stage != SIM_ENDED)
        from++;
    until = from;
    while (until < count && task->jobs[until].stage == SIM_ENDED && (until == from || !sim_once_in(sim, 8)))
        until++;
    left = count_in(task, SIM_RUNS) + count_in(task, SIM_ENDED) - (until - from) +
           (task->skip ? 0 : count_in(task, SIM_WAITS));
    if (left > 0 && until == from)
        return;
    if (left > 0 || (until > from && sim_once_in(sim, 8))) {
        report(sim, worker, task, from, until, false);
        from = until; /* and if these were the last, an empty one comes */
    }
    if (left == 0)
        report(sim, worker, task, from < count ? from : 0, from < count ? until : 0, true);
}

static void begin_job(struct sim *sim, struct sim_worker *worker, struct sim_task *task)
{
    uint32_t place = task->started++;

    if (place == 0)
        check_arguments(sim, task);
    if (task->jobs[place].dropped) {
        task->jobs[place].stage = SIM_ENDED;
        task->jobs[place].code = MUSTER_ECANCELLED;
        return;
    }
    task->jobs[place].stage = SIM_RUNS;
    worker->running++;
    worker->exit.chunk = task->chunk.chunk;
    worker->exit.index = task->chunk.first + place;
    worker->exit.executing = true;
}

static void end_job(struct sim *sim, struct sim_worker *worker, struct sim_task *task, uint32_t place)
{
    bool asked = task->cancelled || task->jobs[place].asked;
    int32_t code = 0;

    if (sim_once_in(sim, asked ? 2 : 40)) /* a function may say so by itself */
        code = MUSTER_ECANCELLED;
    else if (sim_once_in(sim, 12))
        code = MUSTER_EFAILED;
    job_of(sim, task, place)->failures += code != 0;
    task->jobs[place].stage = SIM_ENDED;
    task->jobs[place].code = code;
    worker->running--;
    if (worker->exit.chunk == task->chunk.chunk && worker->exit.index == task->chunk.first + place)
        worker->exit.executing = false;
}

/* Another job gets the thread, or none, when all of them wait. */
static void switch_job(struct sim *sim, struct sim_worker *worker, const struct sim_task *task,
                       uint32_t place)
{
    worker->exit.executing = !sim_once_in(sim, 3);
    worker->exit.chunk = task->chunk.chunk;
    worker->exit.index = task->chunk.first + place;
}

static void run_job(struct sim *sim, struct sim_worker *worker, struct sim_task *task)
{
    uint32_t place = (uint32_t)sim_below(sim, task->chunk.count);

    for (uint32_t i = 0; i < task->chunk.count && task->jobs[place].stage != SIM_RUNS; i++)
        place = (place + 1) % task->chunk.count;
    if (task->jobs[place].stage != SIM_RUNS)
        return;
    if (worker->concurrency > 1 && sim_once_in(sim, 2))
        switch_job(sim, worker, task, place);
    else
        end_job(sim, worker, task, place);
}

/* Whether a job of the task is left to begin: at task->started. */
static bool find_next(struct sim_task *task)
{
    while (task->started < task->chunk.count && task->jobs[task->started].stage == SIM_RETURNED)
        task->started++;
    return task->started < task->chunk.count && !task->skip;
}

static void run(struct sim *sim, struct sim_worker *worker)
{
    struct sim_task *task = worker->tasks, *fresh = NULL, *other;
    uint64_t steps = worker->concurrency > 1 ? sim_below(sim, 3) : 0;

    DL_FOREACH(worker->tasks, other)
        if (!fresh && find_next(other))
            fresh = other; /* they are begun in order */
    while (steps-- > 0 && task->next)
        task = task->next;
    if (fresh && worker->running < worker->concurrency && (worker->running == 0 || sim_once_in(sim, 2)))
        begin_job(sim, worker, fresh);
    else if (count_in(task, SIM_RUNS) > 0 && !(count_in(task, SIM_ENDED) > 0 && sim_once_in(sim, 3)))
        run_job(sim, worker, task);
    else
        report_some(sim, worker, task);
}

/* NULL when no job has the thread. */
static struct sim_task *executing_task(const struct sim_worker *worker)
{
    struct sim_task *task;

    DL_SEARCH_SCALAR(worker->tasks, task, chunk.chunk, worker->exit.chunk);
    return worker->exit.executing ? task : NULL;
}

/* Whether the worker dies now: by chance, or of the job that it executes. */
static bool dies(struct sim *sim, const struct sim_worker *worker)
{
    const struct sim_task *task = executing_task(worker);

    if (task && sim_once_in(sim, 2) && sim_find_batch(sim, task->function)->poison == worker->exit.index)
        return true;
    return sim_fault(sim, worker->life == SIM_STARTING ? 12 : 250);
}

void sim_worker_act(struct sim *sim, struct sim_worker *worker)
{
    if (dies(sim, worker)) {
        sim_worker_die(worker, "killed by SIGSEGV");
    } else if (worker->life == SIM_STARTING) {
        say_hello(sim, worker);
    } else if (sim_fault(sim, 300)) {
        worker->stalled = true;
    } else if (worker->tasks && !worker->stalled) {
        const struct sim_task *task = executing_task(worker);

        if (task && task->chunk.timeout_ms && sim_fault(sim, 20)) {
            sim_worker_die(worker, "killed by SIGKILL");
            worker->exit.timed_out = true;
        } else {
            run(sim, worker);
        }
    }
}

static void cancel_some(struct sim_task *task, const struct proto_cancel *cancel)
{
    for (uint32_t i = 0; i < task->chunk.count; i++) {
        uint64_t index = task->chunk.first + i;

        if (index < cancel->first || index - cancel->first >= cancel->count)
            continue;
        task->jobs[i].dropped = true;
        task->jobs[i].asked |= cancel->mode == PROTO_CANCEL_NOW;
    }
}

/* What did not begin goes back, unless the worker does not care, or lies. */
static void give_back(struct sim *sim, struct sim_worker *worker, struct sim_task *task,
                      const struct proto_cancel *cancel)
{
    const struct proto_chunk *chunk = &task->chunk;
    bool lie = sim_fault(sim, 100);

    for (uint32_t from = 0, until; from < chunk->count; from = until + 1) {
        for (until = from;
             until < chunk->count && task->jobs[until].stage == SIM_WAITS &&
             chunk->first + until >= cancel->first && chunk->first + until < cancel->first + cancel->count;
             until++) {
        }
        if (until == from || sim_once_in(sim, 4))
            continue;
        for (uint32_t i = from; i < until; i++)
            task->jobs[i].stage = SIM_RETURNED;
        sim_post(&worker->from, &(struct proto_message){.type = PROTO_RETURNED,
                                                        .returned = {.batch = chunk->batch + lie,
                                                                     .chunk = chunk->chunk,
                                                                     .first = chunk->first + from,
                                                                     .count = until - from}});
        worker->lied |= lie;
    }
    if (count_in(task, SIM_TOLD) + count_in(task, SIM_RETURNED) < chunk->count)
        return;
    if (sim_once_in(sim, 2))
        report(sim, worker, task, 0, 0, true); /* which is late, and does no harm */
    else
        end_task(worker, task);
}

static void give_all_back(struct sim *sim, struct sim_worker *worker, const struct proto_cancel *cancel)
{
    struct sim_task *task, *next;

    DL_FOREACH_SAFE(worker->tasks, task, next)
        if (task->chunk.batch == cancel->id && !sim_once_in(sim, 8))
            give_back(sim, worker, task, cancel);
}

static void cancel(struct sim_worker *worker, const struct proto_cancel *cancel)
{
    struct sim_task *task;

    DL_FOREACH(worker->tasks, task) {
        if (task->chunk.batch != cancel->id)
            continue;
        if (cancel->count > 0) {
            cancel_some(task, cancel);
        } else {
            task->skip = true;
            task->cancelled |= cancel->mode == PROTO_CANCEL_NOW;
        }
    }
}

static void stop(struct sim *sim, struct sim_worker *worker)
{
    SIM_CHECK(sim, !worker->tasks || worker->lied, "worker %u has jobs, and is asked to stop", worker->slot);
    sim_worker_die(worker, "ended with exit status 0");
}

void sim_worker_receive(struct sim *sim, struct sim_worker *worker)
{
    struct sim_opened opened;

    if (worker->stalled || !sim_open(&worker->to, &opened))
        return;
    if (opened.message.type == PROTO_CHUNK)
        add_task(sim, worker, &opened.message);
    else if (opened.message.type == PROTO_CANCEL && opened.message.cancel.mode == PROTO_CANCEL_RETURN)
        give_all_back(sim, worker, &opened.message.cancel);
    else if (opened.message.type == PROTO_CANCEL)
        cancel(worker, &opened.message.cancel);
    else if (opened.message.type == PROTO_STOP)
        stop(sim, worker);
    else if (opened.message.type == PROTO_PING)
        sim_post(&worker->from, &(struct proto_message){.type = PROTO_PONG, .ping = opened.message.ping});
    sim_close(&opened);
}

/* --- life and death */

void sim_worker_spawn(struct sim_worker *worker, const char *name)
{
    cr_assert_eq(worker->life, SIM_ABSENT, "worker %u is spawned twice", worker->slot);
    memcpy(worker->name, name, strlen(name) + 1);
    worker->life = SIM_STARTING;
    worker->stalled = worker->lied = false;
    worker->running = 0;
    worker->exit = (struct worker_exit){.slot = worker->slot};
}

void sim_worker_die(struct sim_worker *worker, const char *reason)
{
    if (worker->life != SIM_STARTING && worker->life != SIM_ALIVE)
        return;
    worker->life = SIM_DEAD;
    strcpy(worker->exit.reason, reason);
}

/* What it had sent may still arrive, or is lost. */
static void leave_letters(struct sim *sim, struct sim_worker *worker)
{
    size_t ghost = sim_below(sim, SIM_GHOSTS);

    if (sim_once_in(sim, 2)) {
        sim_drop(&sim->ghosts[ghost].from);
        strcpy(sim->ghosts[ghost].name, worker->name);
        sim->ghosts[ghost].from = worker->from;
        worker->from = (struct sim_pipe){0};
    }
    sim_drop(&worker->from);
}

void sim_worker_bury(struct sim *sim, struct sim_worker *worker)
{
    bool excused = sim->core->workers[worker->slot - 1].doom == DOOM_CANCELLED;
    const struct sim_task *task = executing_task(worker);

    if (task && !excused) {
        struct sim_batch *batch = sim_find_batch(sim, task->function);
        struct sim_job *job = &batch->jobs[worker->exit.index];

        job->blamed += !worker->exit.timed_out;
        job->failures += worker->exit.timed_out;
        SIM_CHECK(sim, job->blamed <= batch->settings.crash_limit, "%s: job %lu crashes on and on",
                  batch->function, (unsigned long)worker->exit.index);
    }
    leave_letters(sim, worker);
    sim_drop(&worker->to);
    while (worker->tasks)
        end_task(worker, worker->tasks);
    worker->exit.executing = false;
    worker->life = SIM_ABSENT;
}
