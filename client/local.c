/* SPDX-License-Identifier: MIT
 *
 * Running chunks of jobs in this process. See local.h.
 *
 * What a job costs beside its function is a call, a look at two flags and one at a coarse
 * clock, about 15 ns in all; a result that is kept takes a record of 48 bytes.
 */
#include "client/local.h"

#include "base/clock.h"
#include "client/measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* CPU time is read for single jobs that last longer: two system calls of 0.3 us are under 1%. */
static const uint64_t TASK_CPU_NS = 100000;

enum {
    /* The first piece of a chunk's memory: little, since many chunks of few jobs may wait
     * behind one that takes long. */
    MEMORY_BYTES = 1024,

    /* What came of a chunk is handed over once it takes this much: half an L2 cache. */
    CHUNK_BYTES = 512 << 10,
};

/* A chunk was sized to take 16 ms at most; where its jobs take longer, it is cut, so
 * that results do not wait and other threads can have the rest. The coarse clock that tells
 * it costs 6 ns and moves in steps of 4 ms. */
static const uint64_t CUT_NS = 20 * CLOCK_NS_PER_MS;

_Static_assert(sizeof(struct local_result) == 48, "a record is three quarters of a cache line");

int local_runner_init(struct local_runner *runner, unsigned worker)
{
    runner->worker = worker;
    runner->task_ns = 0;
    runner->guard = NULL;
    runner->fiber = NULL;
    return msgpack_zone_init(&runner->scratch, MSGPACK_ZONE_CHUNK_SIZE) ? 0 : MUSTER_ENOMEM;
}

void local_runner_fini(struct local_runner *runner)
{
    msgpack_zone_destroy(&runner->scratch);
}

struct local_chunk *local_chunk_create(void)
{
    struct local_chunk *chunk = calloc(1, sizeof *chunk);

    if (!chunk || !msgpack_zone_init(&chunk->memory, MEMORY_BYTES)) {
        free(chunk);
        return NULL;
    }
    local_chunk_clear(chunk);
    return chunk;
}

void local_chunk_clear(struct local_chunk *chunk)
{
    feed_jobs_drop(&chunk->jobs);
    msgpack_zone_clear(&chunk->memory);
    chunk->newest_memory = chunk->memory.chunk_list.head;
    chunk->bytes = sizeof *chunk + MEMORY_BYTES;
    chunk->next = NULL;
    chunk->result_count = 0;
    chunk->failed = chunk->retried = chunk->execute_ns = chunk->cpu_ns = 0;
    chunk->taken_ns = chunk->began_ns = chunk->received_ns = 0;
    chunk->code = 0;
}

void local_chunk_destroy(struct local_chunk *chunk)
{
    if (!chunk)
        return;
    feed_jobs_drop(&chunk->jobs);
    msgpack_zone_destroy(&chunk->memory);
    free(chunk->results);
    free(chunk->timings);
    free(chunk);
}

/* Makes room for one more record, before the job that may need it runs. */
static bool reserve(struct local_chunk *chunk, bool timed)
{
    uint32_t first = chunk->jobs.count < 16 ? (uint32_t)chunk->jobs.count : 16;
    uint32_t capacity = chunk->result_capacity ? 2 * chunk->result_capacity : first;
    struct local_result *results;
    struct local_timing *timings;

    if (chunk->result_count < chunk->result_capacity)
        return true;
    if (!(results = realloc(chunk->results, capacity * sizeof *results)))
        return false;
    chunk->results = results;
    if (timed) {
        if (!(timings = realloc(chunk->timings, capacity * sizeof *timings)))
            return false;
        chunk->timings = timings;
    }
    chunk->result_capacity = capacity;
    return true;
}

static void free_zone(void *zone)
{
    msgpack_zone_free(zone);
}

/* A further attempt does not pile its memory upon that of the failed one: it gets memory of
 * its own, which goes with that of the first and is emptied for each attempt after. */
static msgpack_zone *zone_of_retry(msgpack_zone *first, msgpack_zone *zone)
{
    msgpack_zone *own;

    if (zone != first) {
        msgpack_zone_clear(zone);
        return zone;
    }
    if (!(own = msgpack_zone_new(MEMORY_BYTES)))
        return zone;
    if (!msgpack_zone_push_finalizer(zone, free_zone, own)) {
        msgpack_zone_free(own);
        return zone;
    }
    return own;
}

/* One attempt; a result that is no value is a failure. */
static int attempt(struct call *call, const muster_function *function, const msgpack_object *argument,
                   msgpack_object *ret_value, size_t *ret_bytes)
{
    int code = call_run(call, function, argument, ret_value);

    if (code == 0 && (code = measure_value(ret_value, ret_bytes)) != 0)
        snprintf(call->text, sizeof call->text, "%s returned %s", function->name,
                 code == MUSTER_ELIMIT ? "a value that is too large or nests too deeply"
                                       : "what is no value");
    return code;
}

/* A copy in `zone`; a text that says less when there is no memory. */
static const char *keep_text(msgpack_zone *zone, const struct call *call, int code)
{
    size_t size = strlen(call->text) + 1;
    char *text = msgpack_zone_malloc_no_align(zone, size);

    return text ? memcpy(text, call->text, size) : muster_error_name(code);
}

/* Counts what the chunk's memory grew by: where it got new pieces, the last of them. What
 * the value itself takes is in `value_bytes`. */
static void weigh(struct local_chunk *chunk, size_t value_bytes)
{
    const msgpack_zone_chunk_list *memory = &chunk->memory.chunk_list;

    chunk->bytes += sizeof(struct local_result) + value_bytes;
    if ((const void *)memory->head == chunk->newest_memory)
        return;
    chunk->newest_memory = memory->head;
    chunk->bytes += (size_t)(memory->ptr + memory->free - (const char *)memory->head);
}

static void count_failure(struct local_batch *run, struct local_chunk *chunk)
{
    uint64_t limit = run->batch->halt_failures;

    chunk->failed++;
    if (limit && atomic_fetch_add_explicit(&run->failures, 1, memory_order_relaxed) + 1 >= limit)
        local_stop(run, run->batch->halt_now);
}

/* Of whatever runs the jobs. */
static uint64_t cpu_time(const struct local_runner *runner)
{
    return runner->fiber ? fiber_cpu_ns(runner->fiber) : clock_thread_cpu_ns();
}

/* Runs the job at `position`. False when it was cancelled: then it did not end. */
static bool run_job(struct local_runner *runner, struct local_batch *run, struct local_chunk *chunk,
                    uint32_t position)
{
    const struct muster_batch *batch = run->batch;
    struct local_result *result;
    msgpack_zone *zone = batch->failures_only ? &runner->scratch : &chunk->memory;
    msgpack_object number, value;
    const msgpack_object *argument = feed_argument(&chunk->jobs, position, &number);
    struct local_timing timing = {.began_ns = 0};
    uint32_t attempts = 0;
    size_t bytes = 0;
    int code;

    do {
        if (attempts++ > 0)
            zone = zone_of_retry(&chunk->memory, zone);
        runner->call.base.zone = zone;
        if (batch->want_timings) {
            timing.cpu_ns = cpu_time(runner);
            timing.began_ns = clock_now_ns();
        }
        code = attempt(&runner->call, run->function, argument, &value, &bytes);
        if (batch->want_timings) {
            timing.wall_ns = clock_now_ns() - timing.began_ns;
            timing.cpu_ns = cpu_time(runner) - timing.cpu_ns;
        }
        if (code == MUSTER_ECANCELLED)
            return false;
    } while (code != 0 && attempts <= batch->retries && !local_is_stopped(run));

    chunk->retried += attempts - 1;
    if (code == 0 && batch->failures_only) {
        msgpack_zone_clear(&runner->scratch);
        return true;
    }
    result = &chunk->results[chunk->result_count]; /* those before may have been delivered meanwhile */
    *result = (struct local_result){.position = position, .code = code, .attempts = attempts};
    if (batch->want_timings)
        chunk->timings[chunk->result_count] = timing;
    if (code == 0) {
        result->value = value;
    } else {
        result->text = keep_text(&chunk->memory, &runner->call, code);
        count_failure(run, chunk);
        msgpack_zone_clear(&runner->scratch);
    }
    chunk->result_count++;
    weigh(chunk, bytes);
    return true;
}

static void begin_calls(struct local_runner *runner, msgpack_zone *zone, struct call_cancel *cancel)
{
    if (runner->fiber)
        loop_call_init(runner->fiber, &runner->call, zone, cancel, NULL);
    else
        call_init(&runner->call, zone, cancel, NULL);
    if (!runner->guard)
        return;
    runner->call.base.ops = &runner->guard->ops;
    runner->call.host = runner;
}

struct feed_jobs local_run(struct local_runner *runner, struct local_batch *run, struct local_chunk *chunk)
{
    uint64_t cut_ns = clock_read_ns(CLOCK_MONOTONIC_COARSE) + CUT_NS;
    uint64_t cpu_ns = cpu_time(runner);
    struct feed_jobs rest;

    chunk->worker = runner->worker;
    chunk->began_ns = clock_now_ns();
    chunk->ended = 0;
    begin_calls(runner, &chunk->memory, &run->cancel);
    while (chunk->ended < chunk->jobs.count && !local_is_stopped(run)) {
        if (!reserve(chunk, run->batch->want_timings)) {
            chunk->code = MUSTER_ENOMEM;
            break;
        }
        if (!run_job(runner, run, chunk, chunk->ended))
            break;
        chunk->ended++;
        if (runner->guard && chunk->ended < chunk->jobs.count)
            runner->guard->pass(runner);
        if (chunk->bytes >= CHUNK_BYTES || (run->cut_late && clock_read_ns(CLOCK_MONOTONIC_COARSE) >= cut_ns))
            break;
    }
    chunk->execute_ns = clock_now_ns() - chunk->began_ns;
    chunk->cpu_ns = cpu_time(runner) - cpu_ns;
    rest = chunk->jobs;
    chunk->jobs = feed_jobs_take(&rest, chunk->ended);
    return rest;
}

static bool is_cancelled(struct task *task)
{
    return atomic_load_explicit(&task->cancel.raised, memory_order_acquire) != 0;
}

/* A single job that is timed. */
struct task_clock {
    uint64_t began_ns, cpu_ns; /* cpu_ns: 0 where it is not read */
};

static struct task_clock start_clock(const struct local_runner *runner, const struct task *task)
{
    struct task_clock clock = {0};

    if (task->submitted_ns) {
        clock.cpu_ns = runner->task_ns >= TASK_CPU_NS ? cpu_time(runner) : 0;
        clock.began_ns = clock_now_ns();
    }
    return clock;
}

static void stop_clock(struct local_runner *runner, struct task *task, const struct task_clock *clock)
{
    struct work work = {.began_ns = clock->began_ns, .split = true};

    if (!clock->began_ns)
        return;
    work.execute_ns = runner->task_ns = clock_now_ns() - clock->began_ns;
    if (!task_wants_times(task, work.execute_ns))
        return;
    task_note_times(task, &(struct moments){.assigned_ns = work.began_ns}, &work,
                    &(struct delivery){.handed_ns = work.began_ns + work.execute_ns},
                    clock->cpu_ns ? cpu_time(runner) - clock->cpu_ns : 0, MUSTER_PHASE_RETURN);
}

void local_run_task(struct local_runner *runner, struct task *task)
{
    struct task_clock clock = start_clock(runner, task);
    msgpack_zone *zone = task->zone;
    size_t bytes;
    int code = MUSTER_ECANCELLED;

    begin_calls(runner, zone, &task->cancel);
    task->attempts = 0;
    task->worker = runner->worker;
    task->text = NULL;
    while (code != 0 && task->attempts <= task->retries && !is_cancelled(task)) {
        if (task->attempts++ > 0)
            zone = zone_of_retry(task->zone, zone);
        runner->call.base.zone = zone;
        code = attempt(&runner->call, task->function, &task->argument, &task->value, &bytes);
    }
    task->code = code;
    if (code == MUSTER_ECANCELLED)
        task->text = muster_error_name(code);
    else if (code != 0)
        task->text = keep_text(task->zone, &runner->call, code);
    if (code != 0)
        task->value.type = MSGPACK_OBJECT_NIL;
    if (task->attempts > 0)
        stop_clock(runner, task, &clock);
}
