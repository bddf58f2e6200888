/* SPDX-License-Identifier: MIT
 *
 * The executor of chunks. See execute.h.
 *
 * The hot path is a job of some ten nanoseconds: it reads no clock, allocates nothing, and
 * writes two words of the flight recorder. A clock is read behind each job (TIMED_JOB_NS), and
 * behind each part of it (SPLIT_JOB_NS), only where jobs are so long that this costs under 1%
 * of them, or when the batch asks; elsewhere once in a while, when the link's thread says that
 * time has passed.
 *
 * Results that were gathered do not wait for a long job: while the function runs, the link's
 * thread may take them (executor_flush). The hot path pays two plain stores and a load for
 * that, because the other side makes its check safe with membarrier(2).
 */
#include "worker/execute.h"

#include "base/clock.h"
#include "proto/value.h"
#include "worker/command.h"
#include "worker/lent.h"
#include "worker/report.h"

#include <linux/membarrier.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A clock reading takes about 25 ns; one a job, and three. */
static const uint64_t TIMED_JOB_NS = 2500;
static const uint64_t SPLIT_JOB_NS = 7500;

/* Results of long jobs are not held back longer than this. */
static const uint64_t REPORT_NS = 50 * CLOCK_NS_PER_MS;

/* Where clocks are read. */
enum timing { TIMING_CHUNKS, TIMING_JOBS, TIMING_PARTS };

/* When a job had its argument, and its function had returned; 0: it was not called. */
struct parts {
    uint64_t decoded_ns, executed_ns;
};

struct executor {
    const struct registry *registry;
    struct link *link;
    struct flight_page *flight;
    msgpack_zone zone; /* of one call */
    struct lent lent;
    struct report report;
    uint64_t began_ns, began_cpu_ns; /* what the report covers */
    uint64_t job_cpu_ns;             /* of the thread when the job that runs began, if it is measured */
    enum timing timing;              /* of the chunk that is being run */
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
                                 struct flight_page *flight, int heap_fd)
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
    if (lent_init(&x->lent, heap_fd) != 0) {
        msgpack_zone_destroy(&x->zone);
        free(x);
        return NULL;
    }
    if (report_init(&x->report) != 0) {
        lent_fini(&x->lent);
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
    lent_fini(&executor->lent);
    msgpack_zone_destroy(&executor->zone);
    free(executor);
}

/* Starts a new report with the job `first`. */
static int begin_report(struct executor *x, const struct assignment *assignment, uint64_t first,
                        uint64_t now_ns)
{
    int result = report_begin(&x->report, assignment, first, now_ns);

    x->began_ns = now_ns;
    x->began_cpu_ns = x->job_cpu_ns = clock_thread_cpu_ns();
    x->report.outcome.split = x->timing == TIMING_PARTS;
    return result;
}

/* What was neither decoding nor encoding was executing. */
static void note_executed(struct executor *x, uint64_t until_ns)
{
    struct proto_outcome *outcome = &x->report.outcome;

    outcome->execute_ns = until_ns - x->began_ns - outcome->decode_ns - outcome->encode_ns;
}

static int send_report(struct executor *x, const struct proto_chunk *chunk, bool final, uint64_t now_ns)
{
    note_executed(x, now_ns);
    lent_publish(&x->lent);
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
        if (executor->timing != TIMING_CHUNKS)
            began_ns = atomic_load_explicit(&executor->flight->since_ns, memory_order_relaxed);
        began_ns = began_ns > executor->began_ns ? began_ns : executor->began_ns;
        note_executed(executor, began_ns);
        outcome->cpu_ns = 0; /* told with the next report */
        lent_publish(&executor->lent);
        executor->lost = report_post(report, executor->assignment->chunk, false, executor->link) != 0;
        report_go_on(report, began_ns);
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
    return report_failure(&x->report,
                          &(struct proto_failure){.index = index, .code = code, .text = proto_text(text)});
}

/* Whether a report is due before the chunk is over: it is large, or has waited. */
static bool report_due(const struct executor *x, uint64_t now_ns)
{
    const struct report *report = &x->report;

    return report->values.size + report->outcome.shared_bytes >= PROTO_BLOCK_BYTES ||
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

/* Notes what the function returned, as the values may be that take the long way. */
static int note_result(struct executor *x, uint64_t index, const msgpack_object *result)
{
    struct muster_error error;
    int code = lent_pack(&x->lent, x->assignment->chunk, result, &x->report.values,
                         &x->report.outcome.shared_bytes, &error);

    return code == 0 ? 0 : note_failure(x, index, code, error.text);
}

/* Notes that the call failed, and its result, if it has one nonetheless. Out of the way of calls that
 * succeed. */
__attribute__((cold, noinline)) static int note_failed_call(struct executor *x, const struct call *call,
                                                            uint64_t index, int code,
                                                            const msgpack_object *result)
{
    struct proto_failure failure = {
        .index = index, .code = code, .text = proto_text(call->text), .valued = call->valued};
    struct muster_error error;
    int packed;

    if (code != MUSTER_EFAILED || !call->valued)
        return note_failure(x, index, code, call->text);
    packed = lent_pack(&x->lent, x->assignment->chunk, result, &x->report.values,
                       &x->report.outcome.shared_bytes, &error);
    return packed == 0 ? report_failure(&x->report, &failure) : note_failure(x, index, packed, error.text);
}

/* Runs the function and notes what it returned. `parts` may be NULL. */
static inline int call_function(struct executor *x, const muster_function *function, struct call *call,
                                uint64_t index, const msgpack_object *argument, struct parts *parts)
{
    msgpack_object result;
    int code = call_flushable(x, call, function, argument, &result);

    if (parts)
        parts->executed_ns = clock_now_ns();
    if (x->lost)
        return MUSTER_ENOMEM;
    if (code != 0)
        return note_failed_call(x, call, index, code, &result);
    return value_pack_short(&result, &x->report.values) ? 0 : note_result(x, index, &result);
}

/* One job: its argument is made, its function run, its outcome noted. What the function left
 * behind may crash the worker only when it is encoded or freed, so the job ends after that. Inline,
 * so that the hot path, which has no `parts`, does not look for them. */
static inline __attribute__((always_inline)) int run_job(struct executor *x, struct assignment *assignment,
                                                         const muster_function *function, struct call *call,
                                                         uint64_t place, size_t *offset, struct parts *parts)
{
    uint64_t index = assignment->chunk->first + place;
    msgpack_object argument;
    int code;

    flight_begin_job(x->flight, index);
    code = next_argument(x, assignment, place, offset, &argument);
    if (code == 0)
        code = lent_argument(&x->lent, assignment->chunk, &x->zone, &argument);
    if (parts)
        parts->decoded_ns = clock_now_ns();
    if (code == 0)
        code = call_function(x, function, call, index, &argument, parts);
    else
        code = note_failure(x, index, code, muster_error_name(code));
    x->report.outcome.count++;
    value_zone_clear(&x->zone);
    flight_end_job(x->flight, index);
    return code;
}

/* What the flight recorder says of a job that is timed. */
static void note_start(struct executor *x, uint64_t began_ns)
{
    atomic_store_explicit(&x->flight->since_ns, began_ns, memory_order_relaxed);
    atomic_store_explicit(&x->flight->progress, 0, memory_order_relaxed);
}

/* Adds a job that has ended to the times of its report; `timing` is its own, or NULL. */
static void note_parts(struct executor *x, uint64_t began_ns, const struct parts *parts, uint64_t ended_ns,
                       uint64_t *timing)
{
    uint64_t executed_ns = parts->executed_ns ? parts->executed_ns : parts->decoded_ns, cpu_ns;
    struct proto_outcome *outcome = &x->report.outcome;

    outcome->decode_ns += parts->decoded_ns - began_ns;
    outcome->encode_ns += ended_ns - executed_ns;
    if (!timing)
        return;
    cpu_ns = clock_thread_cpu_ns();
    timing[0] = began_ns - outcome->began_ns;
    timing[1] = parts->decoded_ns - began_ns;
    timing[2] = executed_ns - parts->decoded_ns;
    timing[3] = ended_ns - executed_ns;
    timing[4] = cpu_ns - x->job_cpu_ns;
    x->job_cpu_ns = cpu_ns;
}

/* As run_job, with a clock behind each of its parts. *now_ns moves on. */
static int run_split(struct executor *x, struct assignment *assignment, const muster_function *function,
                     struct call *call, uint64_t place, size_t *offset, uint64_t *now_ns)
{
    uint64_t began_ns = *now_ns, *timing = NULL;
    struct parts parts = {0};
    int result;

    note_start(x, began_ns);
    result = run_job(x, assignment, function, call, place, offset, &parts);
    *now_ns = clock_now_ns();
    if (assignment->chunk->timings)
        timing = &x->report.timings[PROTO_TIMINGS * (size_t)(x->report.outcome.count - 1)];
    note_parts(x, began_ns, &parts, *now_ns, timing);
    if (timing)
        *now_ns = clock_now_ns(); /* reading the CPU time is nobody's */
    return result;
}

/* As run_job, as the chunk is timed. *now_ns moves on where clocks are read. */
static int run_next(struct executor *x, struct assignment *assignment, const muster_function *function,
                    struct call *call, uint64_t place, size_t *offset, uint64_t *now_ns)
{
    int result;

    if (x->timing == TIMING_CHUNKS)
        return run_job(x, assignment, function, call, place, offset, NULL);
    if (x->timing == TIMING_PARTS)
        return run_split(x, assignment, function, call, place, offset, now_ns);
    note_start(x, *now_ns);
    result = run_job(x, assignment, function, call, place, offset, NULL);
    *now_ns = clock_now_ns();
    return result;
}

static enum timing choose_timing(const struct executor *x, const struct proto_chunk *chunk)
{
    if (chunk->timings || x->job_ns >= SPLIT_JOB_NS)
        return TIMING_PARTS;
    return chunk->timeout_ms || x->job_ns >= TIMED_JOB_NS ? TIMING_JOBS : TIMING_CHUNKS;
}

/* As the link asked: jobs that are not timed may have become slow ones. */
static uint64_t look_at_clock(struct assignment *assignment)
{
    atomic_fetch_and_explicit(&assignment->asked, ~(unsigned)ASSIGNMENT_LOOK, memory_order_relaxed);
    return clock_now_ns();
}

/* The next job does not start. */
static void clear_timing(struct executor *x, const struct proto_chunk *chunk)
{
    if (chunk->timings)
        memset(&x->report.timings[PROTO_TIMINGS * (size_t)x->report.outcome.count], 0,
               PROTO_TIMINGS * sizeof *x->report.timings);
}

/* A job that was cancelled by itself does not start. */
static int skip_job(struct executor *x, const struct assignment *assignment, uint64_t place, size_t *offset)
{
    uint64_t index = assignment->chunk->first + place;
    msgpack_object argument;
    int result = next_argument(x, assignment, place, offset, &argument);

    value_zone_clear(&x->zone);
    clear_timing(x, assignment->chunk);
    x->report.outcome.count++;
    return result == 0 ? note_failure(x, index, MUSTER_ECANCELLED, muster_error_name(MUSTER_ECANCELLED))
                       : result;
}

static int run_jobs(struct executor *x, struct assignment *assignment, const muster_function *function)
{
    const struct proto_chunk *chunk = assignment->chunk;
    uint64_t now_ns = clock_now_ns(), began_ns = now_ns, place;
    size_t offset = 0;
    struct call call;
    int result;

    x->assignment = assignment;
    x->timing = choose_timing(x, chunk);
    flight_begin_chunk(x->flight, chunk->batch, chunk->chunk, chunk->attempt, now_ns);
    call_init(&call, &x->zone, &assignment->cancel, &x->flight->progress);
    call.memory = &x->lent.memory;
    call.common = chunk->common.bytes;
    call.common_bytes = chunk->common.size;
    lent_begin(&x->lent, chunk);
    result = begin_report(x, assignment, chunk->first, now_ns);
    for (place = 0; place < chunk->count && result == 0; place++) {
        unsigned asked = atomic_load_explicit(&assignment->asked, memory_order_relaxed);

        if ((asked & ASSIGNMENT_SKIP) || !assignment_begin(assignment, (uint32_t)place))
            break;
        if (asked & ASSIGNMENT_LOOK)
            now_ns = look_at_clock(assignment);
        if ((asked & ASSIGNMENT_SOME) && link_begin_some(x->link, assignment, chunk->first + place))
            result = skip_job(x, assignment, place, &offset);
        else
            result = run_next(x, assignment, function, &call, place, &offset, &now_ns);
        if (result != 0 || place + 1 == chunk->count || !report_due(x, now_ns))
            continue;
        now_ns = clock_now_ns();
        result = send_report(x, chunk, false, now_ns);
        if (result == 0)
            result = begin_report(x, assignment, chunk->first + place + 1, now_ns);
    }
    now_ns = clock_now_ns();
    x->job_ns = place ? (now_ns - began_ns) / place : x->job_ns;
    return result == 0 ? send_report(x, chunk, true, now_ns) : result;
}

/* A function that this worker lacks: all jobs of the chunk fail with the reason. */
static int refuse(struct executor *x, const struct assignment *assignment, const char *reason)
{
    const struct proto_chunk *chunk = assignment->chunk;
    uint64_t now_ns = clock_now_ns();
    int result;

    x->timing = TIMING_CHUNKS;
    result = begin_report(x, assignment, chunk->first, now_ns);
    for (uint32_t i = 0; i < chunk->count && result == 0; i++) {
        result = note_failure(x, chunk->first + i, MUSTER_ENOTFOUND, reason);
        clear_timing(x, chunk);
        x->report.outcome.count++;
        if (result == 0 && i + 1 < chunk->count && report_due(x, now_ns)) {
            result = send_report(x, chunk, false, now_ns);
            if (result == 0)
                result = begin_report(x, assignment, chunk->first + i + 1, now_ns);
        }
    }
    return result == 0 ? send_report(x, chunk, true, now_ns) : result;
}

int executor_run(struct executor *executor, struct assignment *assignment)
{
    const struct proto_text *name = &assignment->chunk->function;
    const muster_function *function = command_find(executor->registry, name->bytes, name->size);

    if (!function)
        return refuse(executor, assignment, "this worker does not have the function");
    return run_jobs(executor, assignment, function);
}
