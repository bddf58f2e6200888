/* SPDX-License-Identifier: MIT
 *
 * The public entry: checks options and batches once for all models, builds the registry of
 * functions, and measures what every model is measured by, wall and CPU time of a batch.
 */
#include "client/muster.h"

#include "base/clock.h"
#include "base/cores.h"
#include "base/sandbox.h"
#include "client/handle.h"
#include "client/probe.h"
#include "client/program.h"
#include "coordinator/place.h"
#include "proto/limits.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { CRASH_LIMIT_DEFAULT = 3 };

static const double HEARTBEAT_DEFAULT_S = 5;

/* A coordinator that is restarted, with its host, too, is back by then. */

/* A worker has three threads with stacks of 8 MiB each and takes 2 MiB beyond them before its
 * first job; doubled, and rounded up, for the job. */
static const uint64_t MEMORY_MIN_BYTES = UINT64_C(64) << 20;

/* A worker under a time limit checks it with timers of a millisecond. */
static const double TIMEOUT_MIN_S = 0.001;
static const double BACKOFF_MAX_S = 3600; /* the longest that a failed job waits in any case */

const char *muster_phase_name(enum muster_phase phase)
{
    static const char *const words[] = {
#define X(name, word) [MUSTER_PHASE_##name] = (word),
        MUSTER_PHASE_MAP(X)
#undef X
    };

    return (unsigned)phase < MUSTER_PHASES ? words[phase] : NULL;
}

const char *muster_model_name(enum muster_model model)
{
    switch (model) {
#define X(name, word)   \
    case MUSTER_##name: \
        return word;
        MUSTER_MODEL_MAP(X)
#undef X
    }
    return NULL;
}

int muster_model_parse(const char *word, enum muster_model *ret_model, struct muster_error *ret_error)
{
#define X(name, text)               \
    if (strcmp(word, text) == 0) {  \
        *ret_model = MUSTER_##name; \
        return 0;                   \
    }
    MUSTER_MODEL_MAP(X)
#undef X
#define X(name, text) " " text
    return muster_error_set(ret_error, MUSTER_EINVALID, "no model '%s'; there are:" MUSTER_MODEL_MAP(X),
                            word);
#undef X
}

unsigned muster_cores(void)
{
    unsigned count;

    return cores_count(&count) == 0 ? count : 1;
}

static const struct model_ops *ops_of(enum muster_model model)
{
    switch (model) {
    case MUSTER_INLINE:
        return &model_inline;
    case MUSTER_THREADS:
        return &model_threads;
    case MUSTER_GIL:
        return &model_gil;
    case MUSTER_LOOP:
        return &model_loop;
    case MUSTER_PROCESSES:
        return &model_processes;
    }
    return NULL;
}

/* Whether `seconds` is 0 or a time that limits and timers can hold. */
static bool is_duration(double seconds)
{
    return isfinite(seconds) &&
           (seconds == 0 || (seconds >= TIMEOUT_MIN_S && seconds <= PROTO_TIMEOUT_MS_MAX / 1000.0));
}

/* What a coordinator that runs already has of its own. */
static int check_connection(const struct muster_options *options, struct muster_error *ret_error)
{
    const char *what = options->workers        ? "workers"
                       : options->start        ? "a start method"
                       : options->transport    ? "a transport"
                       : options->functions    ? "functions of this program"
                       : options->concurrency  ? "a concurrency"
                       : options->memory_bytes ? "a memory limit"
                       : options->sandbox      ? "a sandbox"
                       : options->pin          ? "pinning"
                       : options->warm         ? "warming up"
                                               : NULL;

    if (!options->coordinator)
        return 0;
    if (options->model != MUSTER_PROCESSES)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "a coordinator needs the model 'processes', not '%s'",
                                muster_model_name(options->model));
    if (what)
        return muster_error_set(
            ret_error, MUSTER_EINVALID,
            "%s: that is set where the coordinator is started, not where it is connected to", what);
    return strcmp(options->coordinator, MUSTER_COORDINATOR_DEFAULT) == 0
               ? 0
               : place_check(options->coordinator, ret_error);
}

static_assert((int)MUSTER_SANDBOX == SANDBOX_ON && (int)MUSTER_SANDBOX_STRICT == SANDBOX_STRICT &&
                  (int)MUSTER_SANDBOX_NET == SANDBOX_NET && (int)MUSTER_SANDBOX_HOME == SANDBOX_HOME &&
                  (int)MUSTER_SANDBOX_LOCAL == SANDBOX_LOCAL,
              "the two headers agree");

/* What a strict one needs is looked at before anything starts. */
static int check_sandbox(const struct muster_options *options, struct muster_error *ret_error)
{
    struct sandbox_layers layers;
    char missing[SANDBOX_MISSING_BYTES];

    if (options->sandbox == 0)
        return 0;
    if (!(options->sandbox & MUSTER_SANDBOX) || options->sandbox > SANDBOX_ALL)
        return muster_error_set(ret_error, MUSTER_EINVALID, "no sandbox of number %u", options->sandbox);
    if (options->model != MUSTER_PROCESSES)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "a sandbox needs the model 'processes': under '%s' jobs run in their caller",
                                muster_model_name(options->model));
    sandbox_probe(&layers);
    sandbox_missing(&layers, missing);
    if (!(options->sandbox & MUSTER_SANDBOX_STRICT) || !missing[0])
        return 0;
    return muster_error_set(ret_error, MUSTER_EINVALID, "a strict sandbox cannot be had: this host has no %s",
                            missing);
}

int handle_check_options(const struct muster_options *options, struct muster_options *ret_options,
                         struct muster_error *ret_error)
{
    struct muster_options checked = *options;
    int code;

    if (!ops_of(checked.model))
        return muster_error_set(ret_error, MUSTER_EINVALID, "no model of number %d", (int)checked.model);
    code = check_connection(options, ret_error);
    if (code != 0)
        return code;
    if ((unsigned)checked.start > MUSTER_FORK_CLEAN)
        return muster_error_set(ret_error, MUSTER_EINVALID, "no way to start workers of number %d",
                                (int)checked.start);
    if ((unsigned)checked.transport > MUSTER_TCP)
        return muster_error_set(ret_error, MUSTER_EINVALID, "no transport of number %d",
                                (int)checked.transport);
    if (checked.workers == 0)
        checked.workers = muster_cores() < PROTO_WORKERS_MAX ? muster_cores() : PROTO_WORKERS_MAX;
    if (checked.workers > PROTO_WORKERS_MAX)
        return muster_error_set(ret_error, MUSTER_EINVALID, "%u workers are too many: at most %d",
                                checked.workers, PROTO_WORKERS_MAX);
    if (checked.model == MUSTER_INLINE || checked.model == MUSTER_LOOP)
        checked.workers = 1;
    if (checked.concurrency > PROTO_CONCURRENCY_MAX)
        return muster_error_set(ret_error, MUSTER_EINVALID, "a concurrency of %u is too high: at most %d",
                                checked.concurrency, PROTO_CONCURRENCY_MAX);
    if (checked.concurrency == 0)
        checked.concurrency = checked.model == MUSTER_LOOP ? MUSTER_LOOP_CONCURRENCY : 1;
    if (checked.crash_limit > PROTO_CRASH_LIMIT_MAX)
        return muster_error_set(ret_error, MUSTER_EINVALID, "a crash limit of %u is too large: at most %d",
                                checked.crash_limit, PROTO_CRASH_LIMIT_MAX);
    if (checked.crash_limit == 0)
        checked.crash_limit = CRASH_LIMIT_DEFAULT;
    if (!is_duration(checked.heartbeat_s))
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "a heartbeat of %g seconds is out of range: %g to %g", checked.heartbeat_s,
                                TIMEOUT_MIN_S, PROTO_TIMEOUT_MS_MAX / 1000.0);
    if (checked.heartbeat_s == 0)
        checked.heartbeat_s = HEARTBEAT_DEFAULT_S;
    if (!(checked.away_s <= PROTO_TIMEOUT_MS_MAX / 1000.0))
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "%g seconds are too long to wait for a coordinator: at most %g",
                                checked.away_s, PROTO_TIMEOUT_MS_MAX / 1000.0);
    if (checked.away_s == 0)
        checked.away_s = MUSTER_AWAY_DEFAULT_S;
    if (checked.memory_bytes && checked.model != MUSTER_PROCESSES)
        return muster_error_set(
            ret_error, MUSTER_EINVALID,
            "a memory limit needs the model 'processes': under '%s' jobs share the memory "
            "of their caller",
            muster_model_name(checked.model));
    if (checked.memory_bytes && checked.memory_bytes < MEMORY_MIN_BYTES)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "a memory limit of %llu bytes is too small for a worker to start: at least "
                                "%llu MiB",
                                (unsigned long long)checked.memory_bytes,
                                (unsigned long long)MEMORY_MIN_BYTES >> 20);
    if ((code = check_sandbox(&checked, ret_error)) != 0)
        return code;
    if (checked.plugin_count && !checked.plugins)
        return muster_error_set(ret_error, MUSTER_EINVALID, "%u plug-ins were announced and none given",
                                checked.plugin_count);
    if (checked.functions && checked.model == MUSTER_PROCESSES && checked.start == MUSTER_SPAWN)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "workers that are started anew do not have the functions of this program: "
                                "make them a plug-in, or let workers be copies of it (MUSTER_FORK)");
    *ret_options = checked;
    return 0;
}

/* Those of the calling program, first: a plug-in that has a name of theirs is refused. */
static int add_functions(struct muster *m, struct muster_error *ret_error)
{
    if (!m->options.functions)
        return 0;
    return registry_add(m->registry, m->options.functions, "the calling program", ret_error);
}

/* Fills the worker program in, which nothing needs but `processes` that spawns its own workers. */
static int find_program(struct muster *m, struct muster_error *ret_error)
{
    bool needed =
        m->options.model == MUSTER_PROCESSES && m->options.start == MUSTER_SPAWN && !m->options.coordinator;
    int code;

    if (m->options.worker_program)
        return 0;
    if (!needed && m->options.plugin_count == 0)
        return 0;
    code = program_find(program_installed(), secure_getenv("PATH"), m->program, ret_error);
    if (code == 0)
        m->options.worker_program = m->program;
    return needed ? code : 0;
}

/* A plug-in may crash as it loads: a child tries it first where there is a program to do it. With a sandbox
 * it does not stay, unless workers are copies of this process: jobs may be able to write to its file. */
static int load_plugins(struct muster *m, struct muster_error *ret_error)
{
    bool stays = !m->options.sandbox || m->options.start != MUSTER_SPAWN;

    for (unsigned i = 0; i < m->options.plugin_count; i++) {
        const char *path = m->options.plugins[i];
        int code = 0;

        if (m->options.worker_program)
            code = probe_plugin(m->options.worker_program, path, ret_error);
        if (code == 0)
            code = stays ? registry_load(m->registry, path, ret_error)
                         : registry_load_names(m->registry, path, ret_error);
        if (code != 0)
            return code;
    }
    return 0;
}

/* The model's own ends with it, before the last callbacks. */
static int keep_scratch(struct muster *m, struct muster_error *ret_error)
{
    if (!m->model->scratch || (m->scratch = strdup(m->model->scratch)) != NULL)
        return 0;
    return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
}

int muster_open(const struct muster_options *options, muster **ret_muster, struct muster_error *ret_error)
{
    struct muster *m = calloc(1, sizeof *m);
    int code = MUSTER_ENOMEM;

    if (!m || !(m->registry = registry_create())) {
        muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
        goto out;
    }
    if ((code = handle_check_options(options, &m->options, ret_error)) != 0 ||
        (code = add_functions(m, ret_error)) != 0 || (code = find_program(m, ret_error)) != 0 ||
        (code = load_plugins(m, ret_error)) != 0 ||
        (code = ops_of(m->options.model)->open(&m->options, m->registry, &m->model, ret_error)) != 0 ||
        (code = keep_scratch(m, ret_error)) != 0 ||
        (code = futures_create(m->model, &m->futures, ret_error)) != 0)
        goto out;
    *ret_muster = m;
    return 0;
out:
    muster_close(m);
    return code;
}

unsigned muster_workers(const struct muster *m)
{
    if (!m->model)
        return m->workers;
    return m->model->workers ? m->model->workers : m->options.workers;
}

const char *muster_scratch(const struct muster *m)
{
    return m->scratch;
}

void model_close(struct model *model, struct task **ended)
{
    struct heap *heap = model->heap;

    model->ops->close(model, ended);
    heap_destroy(heap);
}

void muster_close(struct muster *m)
{
    struct task *ended = NULL;
    struct model *model;

    if (!m)
        return;
    if ((model = m->model) != NULL) {
        m->workers = muster_workers(m);
        m->model = NULL;
    }
    if (m->futures)
        futures_close(m->futures); /* calls back, with `m` */
    else if (model)
        model_close(model, &ended);
    registry_destroy(m->registry);
    free(m->scratch);
    free(m);
}

static int ignore_result(void *context, const struct muster_result *result)
{
    (void)context;
    (void)result;
    return 0;
}

static int ignore_tick(void *context, const struct muster_progress *progress)
{
    (void)context;
    (void)progress;
    return 0;
}

static int check_source(const struct muster_source *source, struct muster_error *ret_error)
{
    switch (source->kind) {
    case MUSTER_SOURCE_RANGE:
        if (source->first > source->last)
            return muster_error_set(ret_error, MUSTER_EINVALID,
                                    "the range %lld..%lld is empty: the first number "
                                    "is above the last",
                                    (long long)source->first, (long long)source->last);
        if ((uint64_t)source->last - (uint64_t)source->first >= (uint64_t)PROTO_BATCH_JOBS_MAX)
            return muster_error_set(
                ret_error, MUSTER_ELIMIT, "the range %lld..%lld is too long: at most %lld jobs",
                (long long)source->first, (long long)source->last, (long long)PROTO_BATCH_JOBS_MAX);
        return 0;
    case MUSTER_SOURCE_STREAM:
        if (!source->next)
            return muster_error_set(ret_error, MUSTER_EINVALID, "a stream of arguments without a next()");
        return 0;
    }
    return muster_error_set(ret_error, MUSTER_EINVALID, "no source of arguments of number %d",
                            (int)source->kind);
}

int handle_check_limits(const struct muster *m, double timeout_s, unsigned retries,
                        struct muster_error *ret_error)
{
    if (retries > PROTO_RETRIES_MAX)
        return muster_error_set(ret_error, MUSTER_EINVALID, "%u retries are too many: at most %d", retries,
                                PROTO_RETRIES_MAX);
    if (!is_duration(timeout_s))
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "a time limit of %g seconds is out of range: %g to %g", timeout_s,
                                TIMEOUT_MIN_S, PROTO_TIMEOUT_MS_MAX / 1000.0);
    if (timeout_s > 0 && m->options.model != MUSTER_PROCESSES)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "a time limit needs the model 'processes': under '%s' a job cannot be ended "
                                "without its caller",
                                muster_model_name(m->options.model));
    return 0;
}

/* What only workers can be held to. */
static int check_need(const struct muster *m, const char *what, bool needed, struct muster_error *ret_error)
{
    if (!needed || m->options.model == MUSTER_PROCESSES)
        return 0;
    return muster_error_set(ret_error, MUSTER_EINVALID,
                            "%s needs the model 'processes': under '%s' jobs run wherever a thread is free",
                            what, muster_model_name(m->options.model));
}

/* When, and beside how many others, jobs of the batch may run. */
static int check_turn(const struct muster *m, const struct muster_batch *batch,
                      struct muster_error *ret_error)
{
    int code;

    if (batch->priority < -PROTO_PRIORITY_MAX || batch->priority > PROTO_PRIORITY_MAX)
        return muster_error_set(ret_error, MUSTER_EINVALID, "a priority of %d is out of range: %d to %d",
                                batch->priority, -PROTO_PRIORITY_MAX, PROTO_PRIORITY_MAX);
    if (batch->cpus > PROTO_WORKERS_MAX)
        return muster_error_set(ret_error, MUSTER_EINVALID, "%u CPUs for a job are too many: at most %d",
                                batch->cpus, PROTO_WORKERS_MAX);
    if (!(batch->backoff_s == 0 || (batch->backoff_s >= TIMEOUT_MIN_S && batch->backoff_s <= BACKOFF_MAX_S)))
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "a wait of %g seconds before a retry is out of range: %g to %g",
                                batch->backoff_s, TIMEOUT_MIN_S, BACKOFF_MAX_S);
    if ((code = check_need(m, "a limit on jobs at once", batch->most_running > 0, ret_error)) != 0 ||
        (code = check_need(m, "more than one CPU for a job", batch->cpus > 1, ret_error)) != 0)
        return code;
    return check_need(m, "a wait before a retry", batch->backoff_s > 0, ret_error);
}

/* What only a coordinator that has other batches, too, knows how to heed. */
static int check_queue(const struct muster *m, const struct muster_batch *batch,
                       struct muster_error *ret_error)
{
    const char *what = batch->after_count > 0    ? "waiting for another batch"
                       : batch->begin_ms > 0     ? "a time to begin at"
                       : batch->memory_bytes > 0 ? "memory of a job"
                                                 : NULL;

    if (batch->name && strlen(batch->name) > PROTO_NAME_MAX)
        return muster_error_set(ret_error, MUSTER_EINVALID, "a name of %zu bytes is too long: at most %d",
                                strlen(batch->name), PROTO_NAME_MAX);
    if (batch->after_count > PROTO_AFTER_MAX)
        return muster_error_set(ret_error, MUSTER_EINVALID, "a batch cannot wait for %u others: at most %d",
                                batch->after_count, PROTO_AFTER_MAX);
    if (batch->begin_ms > (uint64_t)PROTO_BEGIN_MS_MAX ||
        batch->memory_bytes > (uint64_t)PROTO_MEMORY_BYTES_MAX)
        return muster_error_set(ret_error, MUSTER_EINVALID, "%s is out of range", what);
    if (batch->common && m->options.model != MUSTER_PROCESSES)
        return muster_error_set(ret_error, MUSTER_EINVALID, "only processes run commands");
    if (!what || m->options.coordinator)
        return 0;
    return muster_error_set(ret_error, MUSTER_EINVALID, "%s needs a coordinator that outlives this process",
                            what);
}

static int check_chunk(const struct muster_batch *batch, struct muster_error *ret_error)
{
    if (batch->chunk_jobs <= PROTO_CHUNK_JOBS_MAX)
        return 0;
    return muster_error_set(ret_error, MUSTER_EINVALID, "a chunk of %u jobs is too large: at most %d",
                            batch->chunk_jobs, PROTO_CHUNK_JOBS_MAX);
}

/* What a coordinator that keeps batches is asked for. */
static int check_stay(const struct muster *m, const struct muster_batch *batch,
                      struct muster_error *ret_error)
{
    const char *what = batch->attach   ? "to attach to a batch"
                       : batch->detach ? "to detach from a batch"
                                       : NULL;

    if (what && !m->options.coordinator)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "%s takes a coordinator that keeps it: 'muster coordinator --state FILE'",
                                what);
    if (batch->attach && batch->detach)
        return muster_error_set(ret_error, MUSTER_EINVALID, "a batch that is attached to has been submitted");
    if (batch->detach && batch->halt_failures)
        return muster_error_set(
            ret_error, MUSTER_EINVALID,
            "a batch that is detached from cannot halt early: nobody looks at its results");
    return 0;
}

/* The function and its arguments: those of a batch that is attached to are known where it is. */
static int check_subject(const struct muster *m, const struct muster_batch *batch,
                         const muster_function **ret_function, struct muster_error *ret_error)
{
    const muster_function *function = NULL;
    int code;

    if (!batch->attach) {
        if (!batch->function)
            return muster_error_set(ret_error, MUSTER_EINVALID, "a batch without a function");
        if ((code = check_source(&batch->source, ret_error)) != 0)
            return code;
    }
    if (!m->options.coordinator && /* else that knows what its workers have */
        (code = registry_require(m->registry, batch->function, &function, ret_error)) != 0)
        return code;
    *ret_function = function;
    return 0;
}

/* Fills what the caller left out into *ret_batch. */
static int check_batch(const struct muster *m, const struct muster_batch *batch,
                       struct muster_batch *ret_batch, const muster_function **ret_function,
                       struct muster_error *ret_error)
{
    struct muster_batch checked = *batch;
    int code;

    if ((code = check_stay(m, batch, ret_error)) != 0 || (code = check_chunk(batch, ret_error)) != 0 ||
        (code = handle_check_limits(m, batch->timeout_s, batch->retries, ret_error)) != 0 ||
        (code = check_turn(m, batch, ret_error)) != 0 || (code = check_queue(m, batch, ret_error)) != 0 ||
        (code = check_subject(m, batch, ret_function, ret_error)) != 0)
        return code;
    if (!checked.on_result) {
        checked.on_result = ignore_result;
        checked.failures_only = true; /* no result is kept for nobody */
        checked.want_arguments = false;
    }
    if (!checked.on_tick)
        checked.on_tick = ignore_tick;
    if (checked.attach)
        checked.halt_failures = 0;
    if (checked.interrupt_fd <= 0)
        checked.interrupt_fd = -1;
    if (checked.wake_fd <= 0)
        checked.wake_fd = -1;
    *ret_batch = checked;
    return 0;
}

static void count_switches(const struct rusage *before, struct muster_summary *summary)
{
    struct rusage now;

    getrusage(RUSAGE_SELF, &now);
    summary->voluntary_switches += (uint64_t)(now.ru_nvcsw - before->ru_nvcsw);
    summary->involuntary_switches += (uint64_t)(now.ru_nivcsw - before->ru_nivcsw);
}

int muster_map(struct muster *m, const struct muster_batch *batch, struct muster_summary *ret_summary,
               struct muster_error *ret_error)
{
    struct muster_summary summary = {.workers = m->options.workers};
    struct muster_batch checked;
    const muster_function *function;
    struct rusage before;
    uint64_t wall_ns, cpu_ns;
    int code = check_batch(m, batch, &checked, &function, ret_error);

    if (code != 0)
        return code;
    if (m->futures->phase != FUTURES_IDLE)
        return muster_error_set(ret_error, MUSTER_ESTATE, "a callback must not map");
    m->futures->phase = FUTURES_MAPPING;
    getrusage(RUSAGE_SELF, &before);
    cpu_ns = clock_process_cpu_ns();
    wall_ns = clock_now_ns();
    code = m->model->ops->map(m->model, function, &checked, &summary, ret_error);
    summary.wall_ns = clock_now_ns() - wall_ns;
    summary.cpu_ns += clock_process_cpu_ns() - cpu_ns;
    count_switches(&before, &summary);
    m->futures->phase = FUTURES_IDLE;
    futures_follow(m->futures);
    futures_refresh(m->futures);
    if (ret_summary)
        *ret_summary = summary;
    return code;
}
