/* SPDX-License-Identifier: MIT
 *
 * The executor of chunks. See execute.h.
 *
 * The hot path is a job of some ten nanoseconds: it reads no clock, allocates nothing, and
 * writes two words of the flight recorder. Clocks are read around each job only where jobs
 * are long enough (TIMED_JOB_NS) that this costs under 1% of them, or when the batch asks;
 * elsewhere once in a while, when the link's thread says that time has passed.
 *
 * Results that were gathered do not wait for a long job: while the function runs, the link's
 * thread may take them (executor_flush). The hot path pays two plain stores and a load for
 * that, because the other side makes its check safe with membarrier(2).
 */
#include "worker/execute.h"

#include "base/clock.h"
#include "proto/value.h"
#include "worker/report.h"

#include <linux/membarrier.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A clock reading takes about 25 ns. */
static const uint64_t TIMED_JOB_NS = 2500;

/* Results of long jobs are not held back longer than this. */
static const uint64_t REPORT_NS = 50 * CLOCK_NS_PER_MS;

struct executor {
    const struct registry *registry;
    struct link *link;
    struct flight_page *flight;
    msgpack_zone zone; /* of one call */
    struct report report;
    uint64_t began_ns, began_cpu_ns; /* what the report covers */
    struct assignment *assignment;   /* that is being run */
    atomic_bool calling;             /* the function runs, and does not touch the report */
    atomic_bool flushing;            /* the report is not to be touched until `mutex` is free */
    pthread_mutex_t mutex;           /* held by executor_flush */
    bool lost;                       /* executor_flush ran out of memory */
    bool barriers;                   /* membarrier(2) can be had */
    uint64_t job_ns;                 /* mean of the last chunk; UINT64_MAX before the first */
};

bool executor_prepare(void)
{
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

struct executor *executor_create(const struct registry *registry, struct link *link,
                                 struct flight_page *flight)
{
    struct executor *x = calloc(1, sizeof *x);

    if (!x)
        return NULL;
    x->registry = registry;
    x->link = link;
    x->flight = flight;
    x->job_ns = UINT64_MAX;
    x->barriers = executor_prepare();
    pthread_mutex_init(&x->mutex, NULL);
    if (!msgpack_zone_init(&x->zone, 8192)) {
        free(x);
        return NULL;
    }
    if (report_init(&x->report) != 0) {
        msgpack_zone_destroy(&x->zone);
        free(x);
        return NULL;
    }
    return x;
}

void executor_destroy(struct executor *executor)
{
    if (!executor)
        return;
    pthread_mutex_destroy(&executor->mutex);
    report_fini(&executor->report);
    msgpack_zone_destroy(&executor->zone);
    free(executor);
}

/* Starts a new report with the job `first`. */
static int begin_report(struct executor *x, const struct proto_chunk *chunk, uint64_t first, uint64_t now_ns)
{
    x->began_ns = now_ns;
    x->began_cpu_ns = clock_thread_cpu_ns();
    return report_begin(&x->report, chunk, first, now_ns);
}

static int send_report(struct executor *x, const struct proto_chunk *chunk, bool final, uint64_t now_ns)
{
    x->report.outcome.execute_ns = now_ns - x->began_ns;
    x->report.outcome.cpu_ns = clock_thread_cpu_ns() - x->began_cpu_ns;
    return report_post(&x->report, chunk, final, x->link);
}

/* Either this sees that the function runs, and the executor will see `flushing` when it
 * returns; or it does not run, and nothing is done. The barrier is on both sides at once. */
void executor_flush(struct executor *executor, uint64_t began_ns)
{
    struct report *report = &executor->report;
    struct proto_outcome *outcome = &report->outcome;

    if (!executor->barriers)
        return;
    pthread_mutex_lock(&executor->mutex);
    atomic_store(&executor->flushing, true);
    syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    if (atomic_load(&executor->calling) && outcome->count > 0) {
        began_ns = began_ns > executor->began_ns ? began_ns : executor->began_ns;
        outcome->execute_ns = began_ns - executor->began_ns;
        outcome->cpu_ns = 0; /* told with the next report */
        executor->lost = report_post(report, executor->assignment->chunk, false, executor->link) != 0;
        *outcome = (struct proto_outcome){
            .first = outcome->first + outcome->count, .attempt = outcome->attempt, .began_ns = began_ns};
        msgpack_zone_clear(&report->texts);
        executor->began_ns = began_ns;
    }
    atomic_store(&executor->flushing, false);
    pthread_mutex_unlock(&executor->mutex);
}

/* As in executor_flush, the job that runs cannot end meanwhile. The second barrier lets the
 * executor see, when it can, that the flag was raised for this job alone. */
void executor_cancel(struct executor *executor)
{
    if (!executor->barriers)
        return;
    pthread_mutex_lock(&executor->mutex);
    atomic_store(&executor->flushing, true);
    syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    if (atomic_load(&executor->calling)) {
        struct assignment *assignment = executor->assignment;
        uint64_t index = atomic_load(&executor->flight->position) >> 1;

        if (link_is_dropped(executor->link, assignment, index) == LINK_END)
            call_cancel_raise(&assignment->cancel);
    }
    syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    atomic_store(&executor->flushing, false);
    pthread_mutex_unlock(&executor->mutex);
}

/* Runs the function; meanwhile the report may be taken away. */
static int call_flushable(struct executor *x, struct call *call, const muster_function *function,
                          const msgpack_object *argument, msgpack_object *ret_result)
{
    int code;

    atomic_store_explicit(&x->calling, true, memory_order_release);
    code = call_run(call, function, argument, ret_result);
    atomic_store_explicit(&x->calling, false, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&x->flushing, memory_order_acquire)) {
        pthread_mutex_lock(&x->mutex);
        pthread_mutex_unlock(&x->mutex);
    }
    return code;
}

static int note_failure(struct executor *x, uint64_t index, int code, const char *text)
{
    struct proto_text view = proto_text(text);

    return report_failure(&x->report, index, code, view.bytes, view.size);
}

/* Whether a report is due before the chunk is over: it is large, or has waited. */
static bool report_due(const struct executor *x, uint64_t now_ns)
{
    const struct report *report = &x->report;

    return report->values.size >= PROTO_BLOCK_BYTES ||
           report->outcome.failure_count >= PROTO_REPORT_FAILURES_MAX || now_ns - x->began_ns >= REPORT_NS;
}

static int next_argument(struct executor *x, const struct assignment *assignment, uint64_t place,
                         size_t *offset, msgpack_object *ret_argument)
{
    const struct proto_chunk *chunk = assignment->chunk;
    const struct slice *payload = &assignment->frame->message.payload;

    if (chunk->kind == PROTO_LIST)
        return value_unpack(slice_bytes(payload), payload->size, offset, &x->zone, ret_argument);
    int64_t argument = (int64_t)((uint64_t)chunk->argument + place);

    ret_argument->type = argument < 0 ? MSGPACK_OBJECT_NEGATIVE_INTEGER : MSGPACK_OBJECT_POSITIVE_INTEGER;
    ret_argument->via.i64 = argument;
    return 0;
}

/* Runs the function and notes what it returned. */
static int call_function(struct executor *x, const muster_function *function, struct call *call,
                         uint64_t index, const msgpack_object *argument)
{
    struct muster_error error;
    msgpack_object result;
    int code = call_flushable(x, call, function, argument, &result);

    if (x->lost)
        return MUSTER_ENOMEM;
    if (code != 0)
        return note_failure(x, index, code, call->text);
    code = value_pack(&result, &x->report.values, &error);
    return code == 0 ? 0 : note_failure(x, index, code, error.text);
}

/* One job: its argument is made, its function run, its outcome noted. What the function left
 * behind may crash the worker only when it is encoded or freed, so the job ends after that. */
static int run_job(struct executor *x, struct assignment *assignment, const muster_function *function,
                   struct call *call, uint64_t place, size_t *offset)
{
    uint64_t index = assignment->chunk->first + place;
    msgpack_object argument;
    int code;

    flight_begin_job(x->flight, index);
    code = next_argument(x, assignment, place, offset, &argument);
    if (code == 0)
        code = call_function(x, function, call, index, &argument);
    else
        code = note_failure(x, index, code, muster_error_name(code));
    x->report.outcome.count++;
    msgpack_zone_clear(&x->zone);
    flight_end_job(x->flight, index);
    return code;
}

/* As run_job, with clocks around it. *now_ns moves on. */
static int run_timed(struct executor *x, struct assignment *assignment, const muster_function *function,
                     struct call *call, uint64_t place, size_t *offset, uint64_t *now_ns)
{
    const struct proto_chunk *chunk = assignment->chunk;
    uint64_t began_ns = *now_ns, began_cpu_ns = chunk->timings ? clock_thread_cpu_ns() : 0;
    int result;

    atomic_store_explicit(&x->flight->since_ns, began_ns, memory_order_relaxed);
    atomic_store_explicit(&x->flight->progress, 0, memory_order_relaxed);
    result = run_job(x, assignment, function, call, place, offset);
    *now_ns = clock_now_ns();
    if (chunk->timings) {
        struct proto_outcome *outcome = &x->report.outcome;
        uint64_t *timing = &x->report.timings[PROTO_TIMINGS * (size_t)(outcome->count - 1)];

        if (outcome->count == 1)
            outcome->began_ns = began_ns; /* executor_flush may have moved it on */
        timing[0] = began_ns - outcome->began_ns;
        timing[1] = timing[3] = 0; /* decoding and encoding are in the middle one */
        timing[2] = *now_ns - began_ns;
        timing[4] = clock_thread_cpu_ns() - began_cpu_ns;
    }
    return result;
}

/* As the link asked: jobs that are not timed may have become slow ones. */
static uint64_t look_at_clock(struct assignment *assignment)
{
    atomic_fetch_and_explicit(&assignment->asked, ~(unsigned)ASSIGNMENT_LOOK, memory_order_relaxed);
    return clock_now_ns();
}

/* A job that was cancelled by itself does not start. */
static int skip_job(struct executor *x, const struct assignment *assignment, uint64_t place, size_t *offset)
{
    uint64_t index = assignment->chunk->first + place;
    msgpack_object argument;
    int result = next_argument(x, assignment, place, offset, &argument);

    msgpack_zone_clear(&x->zone);
    if (assignment->chunk->timings)
        memset(&x->report.timings[PROTO_TIMINGS * (size_t)x->report.outcome.count], 0,
               PROTO_TIMINGS * sizeof *x->report.timings);
    x->report.outcome.count++;
    return result == 0 ? note_failure(x, index, MUSTER_ECANCELLED, muster_error_name(MUSTER_ECANCELLED))
                       : result;
}

static int run_jobs(struct executor *x, struct assignment *assignment, const muster_function *function)
{
    const struct proto_chunk *chunk = assignment->chunk;
    bool timed = chunk->timings || chunk->timeout_ms || x->job_ns >= TIMED_JOB_NS;
    uint64_t now_ns = clock_now_ns(), began_ns = now_ns, place;
    size_t offset = 0;
    struct call call;
    int result;

    x->assignment = assignment;
    flight_begin_chunk(x->flight, chunk->chunk, chunk->attempt, now_ns);
    call_init(&call, &x->zone, &assignment->cancel, &x->flight->progress);
    result = begin_report(x, chunk, chunk->first, now_ns);
    for (place = 0; place < chunk->count && result == 0; place++) {
        unsigned asked = atomic_load_explicit(&assignment->asked, memory_order_relaxed);

        if (asked & ASSIGNMENT_SKIP)
            break;
        if (asked & ASSIGNMENT_LOOK)
            now_ns = look_at_clock(assignment);
        if ((asked & ASSIGNMENT_SOME) && link_begin_some(x->link, assignment, chunk->first + place))
            result = skip_job(x, assignment, place, &offset);
        else
            result = timed ? run_timed(x, assignment, function, &call, place, &offset, &now_ns)
                           : run_job(x, assignment, function, &call, place, &offset);
        if (result != 0 || place + 1 == chunk->count || !report_due(x, now_ns))
            continue;
        now_ns = clock_now_ns();
        result = send_report(x, chunk, false, now_ns);
        if (result == 0)
            result = begin_report(x, chunk, chunk->first + place + 1, now_ns);
    }
    now_ns = clock_now_ns();
    x->job_ns = place ? (now_ns - began_ns) / place : x->job_ns;
    return result == 0 ? send_report(x, chunk, true, now_ns) : result;
}

/* A function that this worker lacks: all jobs of the chunk fail with the reason. */
static int refuse(struct executor *x, const struct proto_chunk *chunk, const char *reason)
{
    uint64_t now_ns = clock_now_ns();
    int result = begin_report(x, chunk, chunk->first, now_ns);

    for (uint32_t i = 0; i < chunk->count && result == 0; i++) {
        result = note_failure(x, chunk->first + i, MUSTER_ENOTFOUND, reason);
        x->report.outcome.count++;
        if (result == 0 && i + 1 < chunk->count && report_due(x, now_ns)) {
            result = send_report(x, chunk, false, now_ns);
            if (result == 0)
                result = begin_report(x, chunk, chunk->first + i + 1, now_ns);
        }
    }
    return result == 0 ? send_report(x, chunk, true, now_ns) : result;
}

int executor_run(struct executor *executor, struct assignment *assignment)
{
    const struct proto_text *name = &assignment->chunk->function;
    const muster_function *function = registry_find(executor->registry, name->bytes, name->size);

    if (!function)
        return refuse(executor, assignment->chunk, "this worker does not have the function");
    return run_jobs(executor, assignment, function);
}
