/* SPDX-License-Identifier: MIT
 *
 * What a worker does with the chunks that it has: it runs their jobs, reports, gives back and lets go, as
 * PROTOCOL.md says of workers. See sim.h.
 */
#include "tests/sim/sim.h"

#include "proto/value.h"

#include <stdlib.h>

/* --- what it says */

void sim_worker_say(struct sim_worker *worker, const struct proto_message *message)
{
    if (worker->connected)
        sim_post(&worker->from, message);
}

/* --- chunks */

static void check_arguments(const struct proto_message *message, const struct sim_submission *submission)
{
    const struct proto_chunk *chunk = &message->chunk;
    size_t offset = 0;
    msgpack_zone zone;

    SIM_CHECK(chunk->first + chunk->count - 1 <= submission->jobs, "a chunk of jobs that never were");
    if (chunk->kind == PROTO_RANGE) {
        SIM_CHECK(chunk->argument == sim_argument(submission, chunk->first), "an argument of another job");
        return;
    }
    SIM_CHECK(msgpack_zone_init(&zone, 256), "out of memory");
    for (uint32_t i = 0; i < chunk->count; i++) {
        msgpack_object value;

        SIM_CHECK(value_unpack(slice_bytes(&message->payload), message->payload.size, &offset, &zone,
                               &value) == 0 &&
                      value.via.i64 == sim_argument(submission, chunk->first + i),
                  "job %lu got the argument of another", (unsigned long)(chunk->first + i));
    }
    msgpack_zone_destroy(&zone);
}

/* It was told to end all of it, by the next life of its coordinator. */
bool sim_task_is_unwanted(const struct sim_task *task)
{
    for (uint32_t i = 0; i < task->chunk.count; i++)
        if (!task->jobs[i].dropped && task->jobs[i].stage != SIM_TOLD && task->jobs[i].stage != SIM_RETURNED)
            return false;
    return true;
}

void sim_worker_take(struct sim_worker *worker, const struct proto_message *message)
{
    struct sim_task *task = calloc(1, sizeof *task);
    const struct sim_task *other;
    unsigned held = 0;

    SIM_CHECK(task, "out of memory");
    task->chunk = message->chunk;
    task->submission = sim_find(&message->chunk);
    task->chunk.function = task->submission->settings.function;
    task->chunk.common = task->submission->settings.common;
    check_arguments(message, task->submission);
    SIM_CHECK(!worker->outpost ||
                  (task->submission->settings.cpus <= 1 && task->submission->settings.memory_bytes == 0),
              "%s is given jobs that take more than a worker, on another host", worker->name);
    SIM_CHECK(!worker->outpost || !task->submission->commands, "%s is given commands, on another host",
              worker->name);
    task->arguments = message->payload;
    sim_memory_own(task);
    sim_memory_lend(&task->arguments);
    if (task->arguments.blob)
        blob_ref(task->arguments.blob);
    DL_APPEND(worker->tasks, task);
    if (worker->act_ns == CLOCK_NEVER)
        worker->act_ns = world.now_ns + sim_soon(world.pace_ns / 5);
    DL_FOREACH(worker->tasks, other)
        held += !sim_task_is_unwanted(other);
    SIM_CHECK(held <= worker->credit, "worker %u was given %u chunks", worker->slot, held);
}

void sim_task_end(struct sim_worker *worker, struct sim_task *task)
{
    for (uint32_t i = 0; i < task->chunk.count; i++)
        if (task->jobs[i].stage == SIM_RUNS)
            sim_job_ends(task->submission, task->chunk.first + i);
    DL_DELETE(worker->tasks, task);
    sim_memory_take_back(&task->arguments);
    blob_unref(task->arguments.blob);
    sim_memory_free(task);
}

static uint32_t count_in(const struct sim_task *task, enum sim_stage stage)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < task->chunk.count; i++)
        count += task->jobs[i].stage == stage;
    return count;
}

/* --- reports */

/* Whether a job that failed has a value nonetheless: every other one. */
static bool is_valued(const struct sim_task *task, uint32_t place)
{
    return task->jobs[place].code == MUSTER_EFAILED && (task->chunk.first + place) % 2 == 0;
}

static struct blob *pack_values(const struct sim_task *task, uint32_t from, uint32_t until)
{
    msgpack_sbuffer buffer;
    msgpack_packer packer;
    struct blob *blob;

    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    for (uint32_t i = from; i < until; i++)
        if (task->jobs[i].code == 0 || is_valued(task, i))
            msgpack_pack_int64(&packer, 3 * sim_argument(task->submission, task->chunk.first + i));
    blob = blob_copy(buffer.data, buffer.size);
    SIM_CHECK(blob, "out of memory");
    msgpack_sbuffer_destroy(&buffer);
    return blob;
}

/* Keeps it until it is on disk, where workers do. */
static void post_result(struct sim_worker *worker, const struct sim_task *task, struct proto_message *message)
{
    struct proto_result *result = &message->result;
    struct sim_kept *kept = worker->keeps ? calloc(1, sizeof *kept) : NULL;

    if (kept) {
        sim_memory_own(kept);
        kept->number = result->number = ++worker->number;
        kept->jobs = (struct proto_standing){.batch = result->batch,
                                             .chunk = result->chunk,
                                             .first = result->outcome.first,
                                             .count = result->outcome.count,
                                             .attempt = task->chunk.attempt};
        sim_post(&kept->letter, message);
        DL_APPEND(worker->kept, kept);
    }
    sim_worker_say(worker, message);
}

static bool lies(struct sim_worker *worker)
{
    bool lie = sim_fault(world.faults.worker_lies);

    worker->lied |= lie;
    return lie;
}

static void report(struct sim_worker *worker, struct sim_task *task, uint32_t from, uint32_t until,
                   bool final)
{
    const struct proto_chunk *chunk = &task->chunk;
    struct proto_failure failures[SIM_JOBS_MAX];
    uint64_t timings[PROTO_TIMINGS * SIM_JOBS_MAX] = {0}, execute_ns = sim_below(60 * CLOCK_NS_PER_MS);
    struct blob *values = pack_values(task, from, until);
    struct proto_message message = {
        .type = PROTO_RESULT,
        .result = {.batch = chunk->batch,
                   .chunk = chunk->chunk,
                   .final = final,
                   .outcome = {.first = chunk->first + from,
                               .count = until - from,
                               .attempt = chunk->attempt,
                               .execute_ns = execute_ns,
                               .cpu_ns = sim_below(execute_ns + 1),
                               .failures = failures}},
        .payload = {.blob = values, .size = values->size},
    };
    struct proto_outcome *outcome = &message.result.outcome;

    if (lies(worker))
        outcome->attempt++;
    for (uint32_t i = from; i < until; i++) {
        task->jobs[i].stage = SIM_TOLD;
        if (task->jobs[i].code != 0)
            failures[outcome->failure_count++] = (struct proto_failure){.index = chunk->first + i,
                                                                        .code = task->jobs[i].code,
                                                                        .text = proto_text("no"),
                                                                        .valued = is_valued(task, i)};
    }
    if (chunk->timings && outcome->count > 0)
        outcome->timings = timings;
    post_result(worker, task, &message);
    blob_unref(values);
    if (final)
        sim_task_end(worker, task);
}

/* Some of the jobs that ended, neighbours, from any place on; `final` when no more come. */
static void report_some(struct sim_worker *worker, struct sim_task *task)
{
    uint32_t count = task->chunk.count, from = (uint32_t)sim_below(count), until, left;

    if (worker->concurrency == 1 || sim_once_in(2))
        from = 0;
    while (from < count && task->jobs[from].stage != SIM_ENDED)
        from++;
    until = from;
    while (until < count && task->jobs[until].stage == SIM_ENDED && (until == from || !sim_once_in(8)))
        until++;
    left = count_in(task, SIM_RUNS) + count_in(task, SIM_ENDED) - (until - from) +
           (task->skip ? 0 : count_in(task, SIM_WAITS));
    if (left > 0 && until == from)
        return;
    if (left > 0 || (until > from && sim_once_in(8))) {
        report(worker, task, from, until, false);
        from = until; /* and if these were the last, an empty one comes */
    }
    if (left == 0)
        report(worker, task, from < count ? from : 0, from < count ? until : 0, true);
}

/* --- jobs */

static void begin_job(struct sim_worker *worker, struct sim_task *task)
{
    uint32_t place = task->started++;

    if (task->jobs[place].dropped) {
        task->jobs[place].stage = SIM_ENDED;
        task->jobs[place].code = MUSTER_ECANCELLED;
        return;
    }
    sim_job_begins(worker, task, task->chunk.first + place);
    task->jobs[place].stage = SIM_RUNS;
    worker->running++;
    worker->exit.chunk = task->chunk.chunk;
    worker->exit.index = task->chunk.first + place;
    worker->exit.batch = task->chunk.batch;
    worker->exit.attempt = task->chunk.attempt;
    worker->exit.executing = true;
}

static void end_job(struct sim_worker *worker, struct sim_task *task, uint32_t place)
{
    bool asked = task->cancelled || task->jobs[place].asked;
    int32_t code = 0;

    if (asked ? sim_once_in(2) : sim_fault(3 * world.faults.job_fails)) /* a function may say so by itself */
        code = MUSTER_ECANCELLED;
    else if (sim_fault(world.faults.job_fails))
        code = MUSTER_EFAILED;
    task->submission->list[task->chunk.first + place].failures += code != 0;
    sim_job_ends(task->submission, task->chunk.first + place);
    task->jobs[place].stage = SIM_ENDED;
    task->jobs[place].code = code;
    worker->running--;
    if (worker->exit.chunk == task->chunk.chunk && worker->exit.index == task->chunk.first + place)
        worker->exit.executing = false;
}

static void run_job(struct sim_worker *worker, struct sim_task *task)
{
    uint32_t place = (uint32_t)sim_below(task->chunk.count);

    for (uint32_t i = 0; i < task->chunk.count && task->jobs[place].stage != SIM_RUNS; i++)
        place = (place + 1) % task->chunk.count;
    if (worker->concurrency > 1 && sim_once_in(2)) { /* another job gets the thread, or none */
        worker->exit.executing = !sim_once_in(3);
        worker->exit.chunk = task->chunk.chunk;
        worker->exit.index = task->chunk.first + place;
        worker->exit.batch = task->chunk.batch;
        worker->exit.attempt = task->chunk.attempt;
    } else {
        end_job(worker, task, place);
    }
}

/* Whether a job of the task is left to begin: at task->started. */
static bool find_next(struct sim_task *task)
{
    while (task->started < task->chunk.count && task->jobs[task->started].stage == SIM_RETURNED)
        task->started++;
    return task->started < task->chunk.count && !task->skip;
}

/* Whose job is the next: they are begun in order, but of several places commands have one, and go first. */
static struct sim_task *find_fresh(const struct sim_worker *worker)
{
    struct sim_task *task, *fresh = NULL;
    bool commanding = false;

    DL_FOREACH(worker->tasks, task)
        commanding |= task->submission->commands && count_in(task, SIM_RUNS) > 0;
    DL_FOREACH(worker->tasks, task) {
        bool first = worker->concurrency > 1 && task->submission->commands;

        if (!find_next(task) || (first && commanding))
            continue;
        if (first)
            return task;
        fresh = fresh ? fresh : task;
    }
    return fresh;
}

void sim_worker_run(struct sim_worker *worker)
{
    struct sim_task *task = worker->tasks, *fresh = find_fresh(worker);
    uint64_t steps = worker->concurrency > 1 ? sim_below(3) : 0;

    while (steps-- > 0 && task->next)
        task = task->next;
    if (fresh && worker->running < worker->concurrency && (worker->running == 0 || sim_once_in(2)))
        begin_job(worker, fresh);
    else if (count_in(task, SIM_RUNS) > 0 && !(count_in(task, SIM_ENDED) > 0 && sim_once_in(3)))
        run_job(worker, task);
    else
        report_some(worker, task);
}

/* --- what it is told */

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

static bool goes_back(const struct sim_task *task, uint32_t place, const struct proto_cancel *cancel)
{
    uint64_t index = task->chunk.first + place;

    return task->jobs[place].stage == SIM_WAITS && index >= cancel->first &&
           index - cancel->first < cancel->count;
}

/* Some neighbours, which end before `until`. */
static uint32_t give_some_back(struct sim_worker *worker, struct sim_task *task, uint32_t until,
                               const struct proto_cancel *cancel)
{
    uint32_t from = until;

    while (from > 0 && goes_back(task, from - 1, cancel))
        task->jobs[--from].stage = SIM_RETURNED;
    if (from < until)
        sim_worker_say(worker, &(struct proto_message){.type = PROTO_RETURNED,
                                                       .returned = {.batch = task->chunk.batch + lies(worker),
                                                                    .chunk = task->chunk.chunk,
                                                                    .first = task->chunk.first + from,
                                                                    .count = until - from}});
    return from;
}

/* What did not begin goes back, from the end of its chunk on; from anywhere if its worker will not have to
 * say to another coordinator what it stands by. */
static void give_back(struct sim_worker *worker, struct sim_task *task, const struct proto_cancel *cancel)
{
    bool anywhere = !worker->keeps && sim_once_in(2);
    uint32_t until = task->chunk.count;

    while (until > 0 && task->jobs[until - 1].stage == SIM_RETURNED)
        until--;
    until = give_some_back(worker, task, until, cancel);
    while (anywhere && until > 0) {
        until--;
        if (!sim_once_in(4))
            until = give_some_back(worker, task, until, cancel);
    }
    if (count_in(task, SIM_TOLD) + count_in(task, SIM_RETURNED) < task->chunk.count ||
        count_in(task, SIM_RETURNED) == 0)
        return;
    if (sim_once_in(2))
        report(worker, task, 0, 0, true); /* which is late, and does no harm */
    else
        sim_task_end(worker, task);
}

void sim_worker_cancel(struct sim_worker *worker, const struct proto_cancel *cancel)
{
    struct sim_task *task, *next;

    DL_FOREACH_SAFE(worker->tasks, task, next) {
        if (task->chunk.batch != cancel->id)
            continue;
        if (cancel->mode == PROTO_CANCEL_RETURN) {
            if (!sim_fault(world.faults.worker_ignores))
                give_back(worker, task, cancel);
        } else if (cancel->count > 0) {
            cancel_some(task, cancel);
        } else {
            task->skip = true;
            task->cancelled |= cancel->mode == PROTO_CANCEL_NOW;
        }
    }
}
