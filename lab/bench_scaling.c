/* SPDX-License-Identifier: MIT
 *
 * How the same work gets faster with workers, in threads and in processes: speedup over running
 * the jobs one after another, and the laws of lab/fit.h fitted to it.
 *
 * A job is a millisecond of the function `kernel`: a fixed amount of work, unlike CPU time, of
 * which a slower core would do less. Each turn opens a model of its own, so that no more workers
 * are there than are measured, and is timed once these are warm.
 */
#include "lab/bench.h"
#include "lab/fit.h"
#include "lab/kernel.h"

#include "jobs/builtin.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* In the order of the table. */
enum { THREADS, PROCESSES, MODELS };

enum {
    COUNTS_MAX = 8, /* of numbers of workers */
    TURNS_MAX = 1 + MODELS * COUNTS_MAX,
    JOBS_MIN = 320,       /* a turn of one worker lasts 0.3 s, one of two half of it */
    JOBS_PER_WORKER = 16, /* the last job of a worker that others wait for is 3% of its jobs at most */
    ROUNDS = 5,
    ROUNDS_OF_MANY = 3, /* with more workers than this: */
    MANY = 16,
};

static const double JOB_NS = 1e6;

/* Of a coefficient: an error by which nothing is told of it. */
static const double NOISY = 0.05;

/* What a turn is. */
struct way {
    const struct bench_spec *spec;
    enum muster_model model;
    unsigned workers;
    int64_t first; /* argument of `kernel` */
};

struct scaling {
    const struct bench_spec *spec;
    unsigned cores, rounds;
    uint64_t jobs;
    unsigned counts[COUNTS_MAX], count;
    struct way ways[TURNS_MAX]; /* `inline`, then by models, each by counts */
    struct bench_turn turns[TURNS_MAX];
};

static const char *const names[MODELS] = {[THREADS] = "threads", [PROCESSES] = "processes"};

/* --- measuring */

static int run_way(void *context, uint64_t times, uint64_t *ret_ns, struct muster_error *ret_error)
{
    const struct way *way = context;
    struct muster_options options = {.model = way->model,
                                     .workers = way->model == MUSTER_INLINE ? 0 : way->workers,
                                     .warm = true,
                                     .worker_program = way->spec->worker_program};
    uint64_t warm_ns;
    muster *m;
    int code = muster_open(&options, &m, ret_error);

    if (code)
        return code;
    if ((code = kernel_map(m, way->first, 2 * (uint64_t)way->workers, way->spec->interrupt_fd, &warm_ns,
                           ret_error)) == 0)
        code = kernel_map(m, way->first, times, way->spec->interrupt_fd, ret_ns, ret_error);
    muster_close(m);
    return code;
}

/* All numbers up to COUNTS_MAX, else so many that grow by the same factor. */
static void choose_counts(struct scaling *s)
{
    unsigned most = s->spec->workers;

    for (unsigned i = 0; i < COUNTS_MAX; i++) {
        unsigned n = most <= COUNTS_MAX ? i + 1 : (unsigned)lround(pow(most, i / (COUNTS_MAX - 1.0)));

        if (n <= most && (s->count == 0 || n > s->counts[s->count - 1]))
            s->counts[s->count++] = n;
    }
}

static void prepare(struct scaling *s, double iteration_ns)
{
    int64_t first = (int64_t)(JOB_NS / iteration_ns) << KERNEL_SHIFT;

    choose_counts(s);
    s->jobs = (uint64_t)s->spec->workers * JOBS_PER_WORKER;
    if (s->jobs < JOBS_MIN)
        s->jobs = JOBS_MIN;
    s->jobs = bench_turn_share(s->spec, s->jobs);
    s->ways[0] = (struct way){s->spec, MUSTER_INLINE, 1, first};
    for (size_t i = 0; i < s->count; i++) {
        s->ways[1 + THREADS * s->count + i] = (struct way){s->spec, MUSTER_THREADS, s->counts[i], first};
        s->ways[1 + PROCESSES * s->count + i] = (struct way){s->spec, MUSTER_PROCESSES, s->counts[i], first};
    }
    for (size_t i = 0; i < 1 + MODELS * (size_t)s->count; i++)
        s->turns[i] = (struct bench_turn){.block = run_way, .context = &s->ways[i], .times = s->jobs};
}

static const struct bench_turn *turn_of(const struct scaling *s, unsigned model, size_t place)
{
    return &s->turns[1 + model * s->count + place];
}

/* --- figures */

/* Of each round, over the same round's `inline`. False when either was not measured. */
static bool speedup_of(const struct scaling *s, unsigned model, size_t place,
                       struct sample_summary *ret_summary)
{
    const struct bench_turn *turn = turn_of(s, model, place);
    struct sample sample = {.count = 0};

    for (size_t i = 0; i < turn->sample.count && i < s->turns[0].sample.count; i++)
        sample_add(&sample, s->turns[0].sample.values[i] / turn->sample.values[i]);
    if (sample.count == 0)
        return false;
    *ret_summary = sample_summarize(&sample);
    return true;
}

static int add_speedup(const struct scaling *s, unsigned model, size_t place, struct bench_report *report)
{
    const struct bench_turn *turn = turn_of(s, model, place);
    unsigned workers = s->counts[place];
    struct bench_figure figure = {.unit = "x", .baseline = "ideal"};
    struct sample walls = turn->sample;
    struct sample_summary summary;

    snprintf(figure.figure, sizeof figure.figure, "speedup, %s, %u worker%s", names[model], workers,
             workers == 1 ? "" : "s");
    figure.measured = speedup_of(s, model, place, &summary);
    if (!figure.measured) {
        snprintf(figure.note, sizeof figure.note, "%.*s", BENCH_NOTE_BYTES - 1,
                 turn->error.code ? turn->error.text : s->turns[0].error.text);
        return bench_add(report, &figure);
    }
    figure.value = summary.median;
    figure.low = summary.low;
    figure.high = summary.high;
    figure.noisy = summary.noisy;
    figure.baseline_value = workers < s->cores ? workers : s->cores;
    summary = sample_summarize(&walls);
    snprintf(figure.note, sizeof figure.note, "%.4f s for %u jobs of 1 ms%s",
             summary.median * (double)s->jobs / 1e9, (unsigned)s->jobs,
             workers > s->cores ? "; more workers than cores" : "");
    return bench_add(report, &figure);
}

/* Rounds of a model, as far as each worker can have a core. */
static size_t points_of(const struct scaling *s, unsigned model,
                        struct fit_point points[COUNTS_MAX * SAMPLE_MAX])
{
    size_t count = 0;

    for (size_t place = 0; place < s->count && s->counts[place] <= s->cores; place++) {
        const struct sample *sample = &turn_of(s, model, place)->sample;

        for (size_t i = 0; i < sample->count; i++)
            points[count++] = (struct fit_point){s->counts[place], sample->values[i] * (double)s->jobs / 1e9};
    }
    return count;
}

/* A coefficient in percent; its middle half is a third of the 95% interval, were errors normal. */
static int add_coefficient(struct bench_report *report, const char *what, unsigned model,
                           const struct fit_value *value, const char *remark)
{
    static const double MIDDLE_HALF = 0.6745 / 1.96;
    struct bench_figure figure = {.unit = "%", .measured = value != NULL, .less_is_better = true};

    snprintf(figure.figure, sizeof figure.figure, "%s, %s", what, names[model]);
    if (!value) {
        snprintf(figure.note, sizeof figure.note, "%s", remark);
        return bench_add(report, &figure);
    }
    figure.value = 100 * value->value;
    figure.low = 100 * (value->value - MIDDLE_HALF * value->error);
    figure.high = 100 * (value->value + MIDDLE_HALF * value->error);
    figure.noisy = value->error > NOISY;
    snprintf(figure.note, sizeof figure.note, "+- %.2g%% (95%%)%s%s", 100 * value->error,
             value->value <= value->error ? ", so none is seen" : "", remark);
    return bench_add(report, &figure);
}

static int add_fits(const struct scaling *s, unsigned model, struct bench_report *report,
                    struct fit *ret_amdahl, bool *ret_fitted)
{
    struct fit_point points[COUNTS_MAX * SAMPLE_MAX];
    size_t count = points_of(s, model, points);
    struct fit amdahl, scalability;
    bool two = fit_amdahl(points, count, &amdahl), three = fit_scalability(points, count, &scalability);
    char remark[128];
    int code;

    snprintf(remark, sizeof remark, "needs 2 numbers of workers up to %u cores, and 2 rounds", s->cores);
    code = add_coefficient(report, "serial fraction (Amdahl)", model, two ? &amdahl.contention : NULL,
                           !two           ? remark
                           : amdahl.exact ? "; 2 numbers of workers do not test the law"
                                          : "");
    snprintf(remark, sizeof remark,
             "needs 3 numbers of workers up to %u cores: fewer cannot tell it from coherence", s->cores);
    if (!code)
        code = add_coefficient(report, "contention (scalability)", model,
                               three ? &scalability.contention : NULL, three ? "" : remark);
    snprintf(remark, sizeof remark,
             "needs 3 numbers of workers up to %u cores: fewer cannot tell it from contention", s->cores);
    if (!code)
        code = add_coefficient(report, "coherence (scalability)", model,
                               three ? &scalability.coherence : NULL, three ? "" : remark);
    *ret_fitted = two;
    if (two)
        *ret_amdahl = amdahl;
    return code;
}

/* --- curves and words */

static int add_curve(const struct scaling *s, const char *name, const struct fit *fit, unsigned model,
                     struct bench_report *report)
{
    struct bench_curve curve = {
        .plot = "scaling", .x_axis = "workers", .y_axis = "speedup", .computed = fit || model == MODELS};
    struct sample_summary first, summary;

    snprintf(curve.name, sizeof curve.name, "%s", name);
    if (!(curve.points = calloc(s->count + 1, sizeof *curve.points)))
        return MUSTER_ENOMEM;
    for (size_t place = 0; place < s->count; place++) {
        struct bench_point *point = &curve.points[curve.count];

        point->x = s->counts[place];
        if (model == MODELS)
            point->y = s->counts[place] < s->cores ? s->counts[place] : s->cores;
        else if (!speedup_of(s, model, place, &summary))
            continue;
        else
            point->y = summary.median;
        if (fit && speedup_of(s, model, 0, &first)) /* speedup over `inline`, as the others */
            point->y = first.median * fit_speedup(fit, s->counts[place]);
        curve.count++;
    }
    return bench_add_curve(report, &curve);
}

static int add_curves(const struct scaling *s, const struct fit *fits, const bool *fitted,
                      struct bench_report *report)
{
    int code = add_curve(s, "ideal", NULL, MODELS, report);

    for (unsigned model = 0; model < MODELS && !code; model++) {
        char name[BENCH_NAME_BYTES];

        code = add_curve(s, names[model], NULL, model, report);
        snprintf(name, sizeof name, "%s, Amdahl's law", names[model]);
        if (!code && fitted[model])
            code = add_curve(s, name, &fits[model], model, report);
    }
    return code;
}

static void judge(const struct scaling *s, const struct fit *fit, struct bench_report *report)
{
    unsigned most = s->counts[s->count - 1], ideal = most < s->cores ? most : s->cores;
    char *text = report->sentence;
    size_t size = sizeof report->sentence, used;
    struct sample_summary summary;

    if (!speedup_of(s, PROCESSES, s->count - 1, &summary)) {
        snprintf(text, size, "Processes could not be measured: %.*s.", BENCH_SENTENCE_BYTES / 2,
                 turn_of(s, PROCESSES, s->count - 1)->error.text);
        return;
    }
    used = (size_t)snprintf(
        text, size,
        "With %u worker%s on %u core%s jobs of 1 ms end %.2f times as fast in processes as one "
        "after another: %.1f%% of what is possible.",
        most, most == 1 ? "" : "s", s->cores, s->cores == 1 ? "" : "s", summary.median,
        100 * summary.median / ideal);
    if (!fit)
        snprintf(text + used, size - used, " That says nothing of how it goes on.");
    else if (summary.noisy || fit->contention.error > NOISY)
        snprintf(
            text + used, size - used,
            " The rounds are too far apart to tell how it goes on: run it again when the machine has less "
            "to do.");
    else if (fit->contention.value > fit->contention.error)
        snprintf(text + used, size - used,
                 " %.2g%% (+- %.2g%%) of it does not get faster with workers: by Amdahl's law no number of "
                 "them is "
                 "more than %.0f times as fast.",
                 100 * fit->contention.value, 100 * fit->contention.error, 1 / fit->contention.value);
    else
        snprintf(text + used, size - used,
                 " No part is seen that does not get faster with workers (%.2g%% +- %.2g%% by Amdahl's law).",
                 100 * fit->contention.value, 100 * fit->contention.error);
}

static int report_all(const struct scaling *s, struct bench_report *report)
{
    struct fit fits[MODELS];
    bool fitted[MODELS] = {false};
    int code = 0;

    for (unsigned model = 0; model < MODELS; model++)
        for (size_t place = 0; place < s->count && !code; place++)
            code = add_speedup(s, model, place, report);
    for (unsigned model = 0; model < MODELS && !code; model++)
        code = add_fits(s, model, report, &fits[model], &fitted[model]);
    if (!code)
        code = add_curves(s, fits, fitted, report);
    if (!code)
        judge(s, fitted[PROCESSES] ? &fits[PROCESSES] : NULL, report);
    return code;
}

int bench_scaling(const struct bench_spec *spec, struct bench_report *report, struct muster_error *ret_error)
{
    struct scaling *s = calloc(1, sizeof *s);
    double iteration_ns;
    int code;

    if (!s)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    s->spec = spec;
    s->cores = muster_cores();
    if ((code = kernel_calibrate(&iteration_ns, ret_error)) == 0) {
        prepare(s, iteration_ns);
        code = bench_take_turns(spec, spec->workers > MANY ? ROUNDS_OF_MANY : ROUNDS, s->turns,
                                1 + MODELS * (size_t)s->count, ret_error);
    }
    if (!code && report_all(s, report))
        code = muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    free(s);
    return code;
}
