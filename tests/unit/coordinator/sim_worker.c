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
    SIM_CHECK(sim, held <= PROTO_CREDIT_MAX, "worker %u was given %u chunks", worker->slot, held);
}

static void end_task(struct sim_worker *worker)
{
    struct sim_task *task = worker->tasks;

    DL_DELETE(worker->tasks, task);
    blob_unref(task->arguments.blob);
    free(task);
    worker->started = worker->ended = worker->reported = 0;
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

static void say_hello(struct sim *sim, struct sim_worker *worker)
{
    struct proto_message hello = {
        .type = PROTO_HELLO,
        .hello = {.version = PROTO_VERSION,
                  .role = PROTO_WORKER,
                  .pid = 1,
                  .concurrency = 1,
                  .credit = 1 + (uint32_t)sim_below(sim, sim_once_in(sim, 2) ? 3 : PROTO_CREDIT_MAX)}};

    worker->life = SIM_ALIVE;
    sim_post(&worker->from, &hello);
}

/* Packs the values of jobs that were executed and not yet reported. */
static struct blob *pack_report(const struct sim_worker *worker, uint64_t ticket)
{
    const struct proto_chunk *chunk = &worker->tasks->chunk;
    msgpack_sbuffer buffer;
    msgpack_packer packer;
    struct blob *blob;

    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    for (uint32_t i = worker->reported; i < worker->ended; i++)
        if (worker->codes[i] == 0)
            msgpack_pack_int64(&packer, 3 * sim_argument(ticket, chunk->first + i));
    blob = blob_copy(buffer.data, buffer.size);
    cr_assert(blob);
    msgpack_sbuffer_destroy(&buffer);
    return blob;
}

static void report(struct sim *sim, struct sim_worker *worker, bool final)
{
    const struct proto_chunk *chunk = &worker->tasks->chunk;
    struct proto_failure failures[SIM_JOBS_MAX];
    uint64_t timings[PROTO_TIMINGS * SIM_JOBS_MAX] = {0};
    bool lie = sim_fault(sim, 200);
    struct blob *values = pack_report(worker, sim_find_batch(sim, worker->tasks->function)->settings.ticket);
    struct proto_message message = {
        .type = PROTO_RESULT,
        .result = {.batch = chunk->batch,
                   .chunk = chunk->chunk,
                   .final = final,
                   .outcome = {.first = chunk->first + worker->reported,
                               .count = worker->ended - worker->reported,
                               .attempt = chunk->attempt + lie,
                               .execute_ns = sim_below(sim, 60 * CLOCK_NS_PER_MS),
                               .failures = failures}},
        .payload = {.blob = values, .size = values->size},
    };
    struct proto_outcome *outcome = &message.result.outcome;

    for (uint32_t i = worker->reported; i < worker->ended; i++)
        if (worker->codes[i] != 0)
            failures[outcome->failure_count++] = (struct proto_failure){
                .index = chunk->first + i, .code = worker->codes[i], .text = {"no", 2}};
    if (chunk->timings && outcome->count > 0)
        outcome->timings = timings;
    sim_post(&worker->from, &message);
    worker->lied |= lie;
    blob_unref(values);
    worker->reported = worker->ended;
    if (final)
        end_task(worker);
}

/* --- what it does */

static void begin_job(struct sim *sim, struct sim_worker *worker)
{
    const struct proto_chunk *chunk = &worker->tasks->chunk;

    if (worker->started == 0)
        check_arguments(sim, worker->tasks);
    worker->exit.chunk = chunk->chunk;
    worker->exit.index = chunk->first + worker->started++;
    worker->exit.executing = true;
}

static void end_job(struct sim *sim, struct sim_worker *worker)
{
    struct sim_task *task = worker->tasks;
    struct sim_job *job = &sim_find_batch(sim, task->function)->jobs[worker->exit.index];
    int32_t code = 0;

    if (sim_once_in(sim, task->cancelled ? 2 : 40)) /* a function may say so by itself */
        code = MUSTER_ECANCELLED;
    else if (sim_once_in(sim, 12))
        code = MUSTER_EFAILED;
    job->failures += code != 0;
    worker->codes[worker->ended++] = code;
    worker->exit.executing = false;
}

static void run(struct sim *sim, struct sim_worker *worker)
{
    const struct sim_task *task = worker->tasks;

    if (worker->exit.executing) {
        end_job(sim, worker);
        if (worker->ended < task->chunk.count && sim_once_in(sim, 6))
            report(sim, worker, false);
    } else if (worker->ended == task->chunk.count || task->skip) {
        if (worker->ended > worker->reported && sim_once_in(sim, 8))
            report(sim, worker, false); /* and the last one is empty */
        report(sim, worker, true);
    } else {
        begin_job(sim, worker);
    }
}

/* Whether the worker dies now: by chance, or of the job that it executes. */
static bool dies(struct sim *sim, const struct sim_worker *worker)
{
    if (worker->exit.executing && sim_once_in(sim, 2) &&
        sim_find_batch(sim, worker->tasks->function)->poison == worker->exit.index)
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
        if (worker->exit.executing && worker->tasks->chunk.timeout_ms && sim_fault(sim, 20)) {
            sim_worker_die(worker, "killed by SIGKILL");
            worker->exit.timed_out = true;
        } else {
            run(sim, worker);
        }
    }
}

static void cancel(struct sim_worker *worker, const struct proto_cancel *cancel)
{
    struct sim_task *task;

    DL_FOREACH(worker->tasks, task)
        if (task->chunk.batch == cancel->id) {
            task->skip = true;
            task->cancelled |= cancel->mode == PROTO_CANCEL_NOW;
        }
}

void sim_worker_receive(struct sim *sim, struct sim_worker *worker)
{
    struct sim_opened opened;

    if (worker->stalled || !sim_open(&worker->to, &opened))
        return;
    if (opened.message.type == PROTO_CHUNK)
        add_task(sim, worker, &opened.message);
    else if (opened.message.type == PROTO_CANCEL)
        cancel(worker, &opened.message.cancel);
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

    if (worker->exit.executing && !excused) {
        struct sim_batch *batch = sim_find_batch(sim, worker->tasks->function);
        struct sim_job *job = &batch->jobs[worker->exit.index];

        job->blamed += !worker->exit.timed_out;
        job->failures += worker->exit.timed_out;
        SIM_CHECK(sim, job->blamed <= batch->settings.crash_limit, "%s: job %lu crashes on and on",
                  batch->function, (unsigned long)worker->exit.index);
    }
    leave_letters(sim, worker);
    sim_drop(&worker->to);
    while (worker->tasks)
        end_task(worker);
    worker->exit.executing = false;
    worker->life = SIM_ABSENT;
}
