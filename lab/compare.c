/* SPDX-License-Identifier: MIT
 *
 * Runs the same jobs under each model, in turns, and checks every result against what inline
 * made of the job in the first round. See compare.h.
 */
#include "lab/compare.h"

#include "base/clock.h"
#include "lab/delay.h"
#include "lab/dispute.h"
#include "lab/ledger.h"
#include "lab/row.h"
#include "lab/verdict.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Jobs of the warm-up for each worker: enough that each has worked and been waited for, and
 * done within a millisecond. */
enum { WARM_UP_JOBS = 64 };

/* One model of the comparison. */
struct contender {
    enum muster_model model;
    unsigned concurrency;      /* jobs that each worker may have under way at once */
    muster *m;                 /* owned */
    struct row_run *runs;      /* owned; one a round, and that of the timelines */
    struct timeline *timeline; /* owned; NULL until its round */
};

struct comparison {
    const struct compare_spec *spec;
    struct contender contenders[COMPARE_MODELS_MAX];
    size_t count;
    unsigned rounds;
    bool started;         /* the source is no longer at its start */
    struct ledger ledger; /* what inline made of the jobs */
    struct compare_report report;
};

/* One run of the jobs under one model. */
struct run {
    struct comparison *comparison;
    bool first;                /* of all: enters the ledger; others are checked against it */
    struct timeline *timeline; /* borrowed; NULL except in its round */
    int code;                  /* of the ledger; 0 */
    struct dispute dispute;
};

static void note_failure(struct compare_report *report, const struct muster_result *result)
{
    struct compare_failure *failure;

    if (report->failure_count == COMPARE_FAILURES_MAX)
        return;
    failure = &report->failures[report->failure_count++];
    failure->index = result->index;
    snprintf(failure->text, sizeof failure->text, "%s", result->text);
}

static int on_result(void *context, const struct muster_result *result)
{
    struct run *run = context;
    struct ledger *ledger = &run->comparison->ledger;
    uint64_t outcome = ledger_outcome(result);

    if (run->timeline)
        timeline_add(run->timeline, result->worker, result->began_ns, result->wall_ns, result->cpu_ns);
    if (run->first) {
        if (result->code != 0)
            note_failure(&run->comparison->report, result);
        return run->code = ledger_enter(ledger, result->index, outcome, COMPARE_JOBS_MAX);
    }
    if (ledger_find(ledger, result->index) == outcome)
        return 0;
    dispute_note(&run->dispute, result);
    return run->code = MUSTER_ESTATE;
}

/* What the run itself found, in words; `code` is of muster_map. */
static int judge(const struct run *run, const struct contender *contender,
                 const struct muster_summary *summary, int code, struct muster_error *ret_error)
{
    const struct comparison *comparison = run->comparison;

    if (run->code == MUSTER_ELIMIT)
        return muster_error_set(ret_error, MUSTER_ELIMIT, "too many jobs to compare: at most %d; give fewer",
                                COMPARE_JOBS_MAX);
    if (run->code == MUSTER_ESTATE)
        return dispute_explain(&run->dispute, comparison->spec, comparison->contenders[0].m, contender->model,
                               ret_error);
    if (code != 0)
        return code;
    if (summary->jobs == 0)
        return muster_error_set(ret_error, MUSTER_EINVALID, "no arguments: there is nothing to compare");
    if (summary->succeeded + summary->failed != comparison->ledger.count)
        return muster_error_set(ret_error, MUSTER_ESTATE, "%s ran %" PRIu64 " of the %zu jobs",
                                muster_model_name(contender->model), summary->succeeded + summary->failed,
                                comparison->ledger.count);
    return 0;
}

static int run_jobs(struct comparison *comparison, struct contender *contender, unsigned round,
                    struct muster_error *ret_error)
{
    const struct compare_spec *spec = comparison->spec;
    struct run run = {
        .comparison = comparison, .first = comparison->ledger.count == 0, .timeline = contender->timeline};
    struct row_run *figures = &contender->runs[round];
    struct muster_batch batch = spec->batch;
    int code;

    batch.halt_failures = 0;
    batch.unordered = true;
    batch.failures_only = batch.want_arguments = false;
    batch.want_timings = run.timeline != NULL;
    batch.on_result = on_result;
    batch.on_tick = NULL;
    batch.context = &run;
    if (comparison->started && batch.source.kind == MUSTER_SOURCE_STREAM &&
        (code = spec->rewind(batch.source.context)) != 0)
        return muster_error_set(ret_error, code, "cannot read the arguments again: %s",
                                muster_error_name(code));
    comparison->started = true;
    if (spec->on_run)
        spec->on_run(spec->context, contender->model, round + 1);
    if (run.timeline)
        run.timeline->origin_ns = clock_now_ns();
    figures->delay_ns = delay_ns();
    code = muster_map(contender->m, &batch, &figures->summary, ret_error);
    figures->delay_ns = delay_ns() - figures->delay_ns;
    return judge(&run, contender, &figures->summary, code, ret_error);
}

/* The round of the timelines. */
static int run_timeline(struct comparison *comparison, struct contender *contender,
                        struct muster_error *ret_error)
{
    unsigned workers = contender->concurrency == 1 ? contender->runs[0].summary.workers : 0;
    int code;

    if (!(contender->timeline = timeline_create(workers, 0)))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory for a timeline");
    code = run_jobs(comparison, contender, comparison->rounds, ret_error);
    contender->timeline->wall_ns = contender->runs[comparison->rounds].summary.wall_ns;
    return code;
}

/* Opens the model with its workers ready, and lets each do something. */
static int prepare(struct comparison *comparison, struct contender *contender, struct muster_error *ret_error)
{
    struct muster_options options = comparison->spec->options;
    struct muster_batch batch = {.function = "noop",
                                 .source = muster_source_range(1, WARM_UP_JOBS),
                                 .interrupt_fd = comparison->spec->batch.interrupt_fd};
    int code;

    if (!(contender->runs = calloc(comparison->rounds + 1, sizeof *contender->runs)))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory for %u rounds", comparison->rounds);
    options.model = contender->model;
    options.concurrency = contender->concurrency;
    options.warm = true;
    if ((code = muster_open(&options, &contender->m, ret_error)) != 0)
        return code;
    batch.source.last *= options.workers ? options.workers : muster_cores();
    return muster_map(contender->m, &batch, NULL, ret_error);
}

/* Whether it is among those chosen. */
static bool has(const struct comparison *comparison, enum muster_model model)
{
    for (size_t i = 0; i < comparison->count; i++)
        if (comparison->contenders[i].model == model)
            return true;
    return false;
}

static int check(const struct comparison *comparison, struct muster_error *ret_error)
{
    const struct compare_spec *spec = comparison->spec;
    const struct muster_source *source = &spec->batch.source;

    if (spec->model_count > COMPARE_MODELS_MAX)
        return muster_error_set(ret_error, MUSTER_EINVALID, "%zu models are too many to compare: at most %d",
                                spec->model_count, COMPARE_MODELS_MAX);
    if (comparison->rounds > COMPARE_ROUNDS_MAX)
        return muster_error_set(ret_error, MUSTER_EINVALID, "%u rounds are too many: at most %d",
                                comparison->rounds, COMPARE_ROUNDS_MAX);
    if (source->kind == MUSTER_SOURCE_STREAM && !spec->rewind)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "a stream that cannot be read again cannot be compared");
    if (source->kind == MUSTER_SOURCE_RANGE && source->last >= source->first &&
        (uint64_t)source->last - (uint64_t)source->first >= COMPARE_JOBS_MAX)
        return muster_error_set(ret_error, MUSTER_ELIMIT, "too many jobs to compare: at most %d; give fewer",
                                COMPARE_JOBS_MAX);
    return 0;
}

/* Jobs that each worker of the model has under way at once: --concurrency is that of processes,
 * and loop takes as many as there are. */
static unsigned concurrency_of(enum muster_model model, const struct muster_options *options)
{
    switch (model) {
    case MUSTER_INLINE:
    case MUSTER_THREADS:
    case MUSTER_GIL:
        return 1;
    case MUSTER_LOOP:
        return MUSTER_LOOP_CONCURRENCY;
    case MUSTER_PROCESSES:
        break;
    }
    return options->concurrency ? options->concurrency : 1;
}

static void add(struct comparison *comparison, enum muster_model model)
{
    comparison->contenders[comparison->count++] =
        (struct contender){.model = model, .concurrency = concurrency_of(model, &comparison->spec->options)};
}

/* Inline, then the others in their order, each once. */
static int choose(struct comparison *comparison, struct muster_error *ret_error)
{
    const struct compare_spec *spec = comparison->spec;

    add(comparison, MUSTER_INLINE);
    for (size_t i = 0; i < spec->model_count; i++) {
        if (has(comparison, spec->models[i]))
            continue;
        if (comparison->count == COMPARE_MODELS_MAX)
            return muster_error_set(ret_error, MUSTER_EINVALID, "too many models to compare: at most %d",
                                    COMPARE_MODELS_MAX);
        add(comparison, spec->models[i]);
    }
    return 0;
}

static int by_wall(const void *a, const void *b)
{
    uint64_t left = ((const struct row_run *)a)->summary.wall_ns;
    uint64_t right = ((const struct row_run *)b)->summary.wall_ns;

    return (left > right) - (left < right);
}

/* Fills the report in; sorts the runs. */
static void make_report(struct comparison *comparison)
{
    struct compare_report *report = &comparison->report;

    report->cores = muster_cores();
    for (size_t i = 0; i < comparison->count; i++) {
        struct contender *contender = &comparison->contenders[i];
        const struct row_run *median = &contender->runs[(comparison->rounds - 1) / 2];

        qsort(contender->runs, comparison->rounds, sizeof *contender->runs, by_wall);
        report->rows[i] = row_make(contender->model, contender->concurrency, median,
                                   i > 0 ? &report->rows[0] : NULL, report->cores);
        report->rows[i].spread = (double)(contender->runs[comparison->rounds - 1].summary.wall_ns -
                                          contender->runs[0].summary.wall_ns) /
                                 (double)CLOCK_NS_PER_S / report->rows[i].wall_s;
        report->rows[i].timeline = contender->timeline;
        contender->timeline = NULL;
    }
    report->count = comparison->count;
    report->computing = row_computing(&report->rows[0]);
    verdict_write(report);
}

int compare_run(const struct compare_spec *spec, struct compare_report *ret_report,
                struct muster_error *ret_error)
{
    struct comparison comparison = {.spec = spec, .rounds = spec->rounds ? spec->rounds : 1};
    int code;

    ledger_init(&comparison.ledger);
    if ((code = check(&comparison, ret_error)) != 0 || (code = choose(&comparison, ret_error)) != 0)
        goto out;
    for (size_t i = 0; i < comparison.count; i++)
        if ((code = prepare(&comparison, &comparison.contenders[i], ret_error)) != 0)
            goto out;
    for (unsigned round = 0; round < comparison.rounds; round++)
        for (size_t i = 0; i < comparison.count; i++)
            if ((code = run_jobs(&comparison, &comparison.contenders[i], round, ret_error)) != 0)
                goto out;
    for (size_t i = 0; spec->timeline && i < comparison.count; i++)
        if ((code = run_timeline(&comparison, &comparison.contenders[i], ret_error)) != 0)
            goto out;
    make_report(&comparison);
    *ret_report = comparison.report;
out:
    for (size_t i = 0; i < comparison.count; i++) {
        muster_close(comparison.contenders[i].m);
        free(comparison.contenders[i].runs);
        free(comparison.contenders[i].timeline);
    }
    ledger_fini(&comparison.ledger);
    return code;
}

uint64_t compare_span_ns(const struct compare_report *report)
{
    uint64_t span_ns = 1;

    for (size_t i = 0; i < report->count; i++)
        if (report->rows[i].timeline && report->rows[i].timeline->wall_ns > span_ns)
            span_ns = report->rows[i].timeline->wall_ns;
    return span_ns;
}

void compare_report_fini(struct compare_report *report)
{
    for (size_t i = 0; i < report->count; i++)
        free(report->rows[i].timeline);
    report->count = 0;
}
