/* SPDX-License-Identifier: MIT
 *
 * How small jobs may be: METG(50%) and METG(95%) (lab/metg.h) of the models threads and processes,
 * with automatic chunks, beside OpenMP tasks of the same kernel.
 *
 * The kernel is calibrated alone on a core. Then its length doubles, from what no way of
 * running jobs is efficient with to 0.1 ms; at each length the ways take turns, and each turn
 * has as many jobs as fill it. Every round gives a curve and a METG of its own.
 */
#include "lab/bench.h"
#include "lab/kernel.h"
#include "lab/metg.h"
#include "lab/openmp.h"
#include "lab/peers.h"

#include "base/clock.h"
#include "jobs/builtin.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* In the order of the table. */
enum { THREADS, PROCESSES, OPENMP, WAYS };

enum {
    ROUNDS_DEFAULT = 5,
    ITERATIONS_FIRST = 4, /* some 6 ns */
    LENGTHS = 15,         /* the last is 65536 iterations, about 100 us */
    FIRST_JOBS = 10000,
    PEER_ROUNDS = 3,
    PEER_NS_FIRST = 500,
    PEER_LENGTHS = 11, /* the last is 0.5 ms */
};

/* A turn. A batch's beginning and end, a millisecond together, are 1% of it; all of them, with five
 * rounds of three ways, take 27 s. */
static const uint64_t TURN_NS = 100 * CLOCK_NS_PER_MS;

static const uint64_t PEER_TURN_NS = 150 * CLOCK_NS_PER_MS, PEER_JOB_NS = 2 * CLOCK_NS_PER_US;

/* A way of running jobs of the kernel. */
struct way {
    const char *name;
    int (*run)(struct way *way, uint64_t jobs, uint64_t *ret_ns, struct muster_error *ret_error);
    unsigned workers;
    uint64_t iterations;                           /* of a job now */
    muster *model;                                 /* owned; NULL for others' */
    struct muster_error error;                     /* why it cannot be measured; code 0: it can */
    double ns_per_job;                             /* at the last length */
    struct metg_point points[SAMPLE_MAX][LENGTHS]; /* by rounds */
};

static int run_muster(struct way *way, uint64_t jobs, uint64_t *ret_ns, struct muster_error *ret_error)
{
    int64_t first = (int64_t)(way->iterations << KERNEL_SHIFT);
    struct muster_batch batch = {.function = function_kernel.name,
                                 .source = muster_source_range(first, first + (int64_t)jobs - 1),
                                 .interrupt_fd = -1};
    struct muster_summary summary;
    int code = muster_map(way->model, &batch, &summary, ret_error);

    if (code)
        return code;
    if (summary.succeeded != jobs)
        return muster_error_set(ret_error, MUSTER_EFAILED, "jobs of the kernel failed");
    *ret_ns = summary.wall_ns;
    return 0;
}

static int run_openmp(struct way *way, uint64_t jobs, uint64_t *ret_ns, struct muster_error *ret_error)
{
    (void)ret_error;
    openmp_tasks(way->workers, way->iterations, jobs, ret_ns);
    return 0;
}

static int run_block(void *context, uint64_t times, uint64_t *ret_ns, struct muster_error *ret_error)
{
    struct way *way = context;

    return way->run(way, times, ret_ns, ret_error);
}

/* --- ways */

static void open_model(struct way *way, const struct bench_spec *spec, enum muster_model model)
{
    struct muster_options options = {
        .model = model, .workers = spec->workers, .warm = true, .worker_program = spec->worker_program};

    way->run = run_muster;
    if (muster_open(&options, &way->model, &way->error) != 0)
        way->model = NULL;
}

static void open_ways(const struct bench_spec *spec, struct way ways[WAYS])
{
    static const char *const names[WAYS] = {
        [THREADS] = "threads", [PROCESSES] = "processes", [OPENMP] = "OpenMP tasks"};

    for (size_t i = 0; i < WAYS; i++) {
        ways[i].name = names[i];
        ways[i].workers = spec->workers;
        ways[i].ns_per_job = (double)TURN_NS / FIRST_JOBS;
    }
    open_model(&ways[THREADS], spec, MUSTER_THREADS);
    open_model(&ways[PROCESSES], spec, MUSTER_PROCESSES);
    ways[OPENMP].run = run_openmp;
    openmp_load(&ways[OPENMP].error);
}

/* One length: each way as many rounds as there are, by turns. */
static int measure_length(const struct bench_spec *spec, struct way ways[WAYS], size_t length,
                          double iteration_ns, struct muster_error *ret_error)
{
    struct bench_turn turns[WAYS];
    int code;

    for (size_t i = 0; i < WAYS; i++) {
        double jobs = (double)TURN_NS / ways[i].ns_per_job;

        ways[i].iterations = (uint64_t)ITERATIONS_FIRST << length;
        turns[i] = (struct bench_turn){.block = run_block,
                                       .context = &ways[i],
                                       .times = jobs > 1 ? (uint64_t)jobs : 1,
                                       .error = ways[i].error};
    }
    if ((code = bench_take_turns(spec, ROUNDS_DEFAULT, turns, WAYS, ret_error)) != 0)
        return code;
    for (size_t i = 0; i < WAYS; i++) {
        struct way *way = &ways[i];

        way->error = turns[i].error;
        for (size_t round = 0; round < turns[i].sample.count; round++) {
            double ns = turns[i].sample.values[round] * way->workers; /* of a worker, for a job */

            way->points[round][length] =
                (struct metg_point){ns / 1e9, (double)way->iterations * iteration_ns / ns};
        }
        if (turns[i].sample.count > 0) /* the next length takes less than twice as long */
            way->ns_per_job = sample_summarize(&turns[i].sample).median;
    }
    return 0;
}

/* --- the report */

static void set_summary(struct bench_figure *figure, const struct sample_summary *summary)
{
    figure->measured = true;
    figure->value = summary->median;
    figure->low = summary->low;
    figure->high = isfinite(summary->high) ? summary->high : summary->median;
    figure->noisy = summary->noisy || !isfinite(summary->high);
}

/* METG of every round, in us; rounds that do not reach the share count as the longest. False
 * when that makes the median one of them. */
static bool summarize(const struct way *way, unsigned rounds, double share,
                      struct sample_summary *ret_summary, unsigned *ret_missed)
{
    struct sample sample = {.count = 0};
    double found_s;

    *ret_missed = 0;
    if (way->error.code)
        return false;
    for (unsigned round = 0; round < rounds; round++) {
        if (!metg_find(way->points[round], LENGTHS, share, &found_s)) {
            found_s = INFINITY;
            ++*ret_missed;
        }
        sample_add(&sample, found_s * 1e6);
    }
    *ret_summary = sample_summarize(&sample);
    return isfinite(ret_summary->median);
}

static int add_figure(struct bench_report *report, const struct way *way, const struct way *baseline,
                      unsigned rounds, double share)
{
    struct bench_figure figure = {.less_is_better = true, .unit = "us"};
    struct sample_summary summary;
    unsigned missed, others;
    bool reached = summarize(way, rounds, share, &summary, &missed);

    snprintf(figure.figure, sizeof figure.figure, "METG(%.0f%%), %s", share * 100, way->name);
    if (reached)
        set_summary(&figure, &summary);
    if (way->error.code)
        snprintf(figure.note, sizeof figure.note, "%.*s", BENCH_NOTE_BYTES - 1, way->error.text);
    else if (missed > 0)
        snprintf(
            figure.note, sizeof figure.note,
            "%u of %u rounds did not reach it: something else has the cores, or they are slower together",
            missed, rounds);
    if (reached && baseline != way && summarize(baseline, rounds, share, &summary, &others)) {
        snprintf(figure.baseline, sizeof figure.baseline, "%s", baseline->name);
        figure.baseline_value = summary.median;
        figure.noisy = figure.noisy || summary.noisy;
    }
    return bench_add(report, &figure);
}

static int add_curve(struct bench_report *report, const struct way *way, unsigned rounds)
{
    struct bench_curve curve = {.plot = "granularity",
                                .x_axis = "granularity (us)",
                                .y_axis = "efficiency (%)",
                                .x_log = true,
                                .count = LENGTHS};

    if (way->error.code)
        return 0;
    snprintf(curve.name, sizeof curve.name, "%s", way->name);
    if (!(curve.points = calloc(LENGTHS, sizeof *curve.points)))
        return MUSTER_ENOMEM;
    for (size_t length = 0; length < LENGTHS; length++) {
        struct sample sizes = {.count = 0}, shares = {.count = 0};

        for (unsigned round = 0; round < rounds; round++) {
            sample_add(&sizes, way->points[round][length].granularity_s * 1e6);
            sample_add(&shares, way->points[round][length].efficiency * 100);
        }
        curve.points[length].x = sample_summarize(&sizes).median;
        curve.points[length].y = sample_summarize(&shares).median;
    }
    return bench_add_curve(report, &curve);
}

/* --- peers */

/* Of a worker in a turn: what 150 ms have room for, as far as the pools' own time for a job, some
 * microseconds, leaves it; and 20 at least. */
static uint64_t peer_jobs(uint64_t work_ns)
{
    uint64_t jobs = PEER_TURN_NS / (work_ns > PEER_JOB_NS ? work_ns : PEER_JOB_NS);

    return jobs > 20 ? jobs : 20;
}

/* Of Python's pools only half the time is looked for: lengths double until it is reached. */
static int measure_peer(const struct bench_spec *spec, struct peer *peer, struct bench_figure *figure,
                        struct muster_error *ret_error)
{
    struct metg_point points[SAMPLE_MAX][PEER_LENGTHS];
    struct sample sample = {.count = 0};
    struct sample_summary summary;
    unsigned rounds = 0;
    int code;

    for (size_t length = 0; length < PEER_LENGTHS && sample.count <= rounds / 2; length++) {
        uint64_t work_ns = (uint64_t)PEER_NS_FIRST << length;
        struct bench_turn turn = {
            .block = peer_run, .context = peer, .times = spec->workers * peer_jobs(work_ns)};

        peer_set_work(peer, work_ns);
        if ((code = bench_take_turns(spec, PEER_ROUNDS, &turn, 1, ret_error)) != 0)
            return code;
        if (turn.error.code)
            return muster_error_set(ret_error, turn.error.code, "%s", turn.error.text);
        rounds = (unsigned)turn.sample.count;
        sample.count = 0;
        for (unsigned round = 0; round < rounds; round++) {
            double ns = turn.sample.values[round] * spec->workers, found_s;

            points[round][length] = (struct metg_point){ns / 1e9, (double)work_ns / ns};
            if (metg_find(points[round], length + 1, 0.5, &found_s))
                sample_add(&sample, found_s * 1e6);
        }
    }
    if (sample.count <= rounds / 2)
        return muster_error_set(ret_error, MUSTER_ELIMIT, "not reached with jobs of 0.5 ms");
    summary = sample_summarize(&sample);
    set_summary(figure, &summary);
    return 0;
}

static int add_peer(const struct bench_spec *spec, size_t place, const struct bench_figure *own,
                    struct bench_report *report, struct muster_error *ret_error)
{
    struct bench_figure figure = {.less_is_better = true, .unit = "us"};
    struct peer *peer = NULL;
    struct muster_error why;
    int code;

    snprintf(figure.figure, sizeof figure.figure, "METG(50%%), %s", peers_name(PEER_WORK, place));
    if (spec->on_step)
        spec->on_step(spec->context, figure.figure);
    code = peer_start(spec, PEER_WORK, place, &peer, &why);
    if (!code)
        code = measure_peer(spec, peer, &figure, &why);
    peer_stop(peer);
    if (code == MUSTER_ECANCELLED || code == MUSTER_ENOMEM)
        return muster_error_set(ret_error, code, "%s", why.text);
    if (code) {
        snprintf(figure.note, sizeof figure.note, "%.*s", BENCH_NOTE_BYTES - 1, why.text);
    } else if (own->measured) {
        snprintf(figure.baseline, sizeof figure.baseline, "%s", own->figure);
        figure.baseline_value = own->value;
    }
    return bench_add(report, &figure) ? muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory") : 0;
}

/* --- all of it */

static int add_all(const struct bench_spec *spec, const struct way ways[WAYS], struct bench_report *report)
{
    static const double shares[] = {0.5, 0.95};
    unsigned rounds = spec->rounds ? spec->rounds : ROUNDS_DEFAULT;
    int code = 0;

    for (size_t s = 0; s < sizeof shares / sizeof *shares && !code; s++)
        for (size_t i = 0; i < WAYS && !code; i++)
            code = add_figure(report, &ways[i], &ways[OPENMP], rounds, shares[s]);
    for (size_t i = 0; i < WAYS && !code; i++)
        code = add_curve(report, &ways[i], rounds);
    return code;
}

static void judge(struct bench_report *report, unsigned workers, double iteration_ns)
{
    const struct bench_figure *half = &report->figures[PROCESSES], *most = &report->figures[WAYS + PROCESSES];
    char *text = report->sentence;
    size_t size = sizeof report->sentence, used;

    if (!half->measured) {
        snprintf(text, size, "In processes half of the workers' time was never spent on work: %s.",
                 half->note);
        return;
    }
    used =
        (size_t)snprintf(text, size, "Of %u workers' time in processes half is work when a job takes %.2f us",
                         workers, half->value);
    if (half->ratio > 0)
        used += (size_t)snprintf(text + used, size - used, " (%.2f of what OpenMP tasks need)", half->ratio);
    if (most->measured)
        used += (size_t)snprintf(text + used, size - used, ", 95%% when it takes %.2f us", most->value);
    snprintf(text + used, size - used, ". Work is iterations of %.2f ns, calibrated on one core.",
             iteration_ns);
}

static int measure(const struct bench_spec *spec, struct way ways[WAYS], double iteration_ns,
                   struct bench_report *report, struct muster_error *ret_error)
{
    struct bench_figure own;
    int code = 0;

    for (size_t length = 0; length < LENGTHS && !code; length++) {
        char text[64];

        snprintf(text, sizeof text, "jobs of %.2f us", (ITERATIONS_FIRST << length) * iteration_ns / 1e3);
        if (spec->on_step)
            spec->on_step(spec->context, text);
        code = measure_length(spec, ways, length, iteration_ns, ret_error);
    }
    if (code)
        return code;
    if (add_all(spec, ways, report))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    judge(report, spec->workers, iteration_ns);
    own = report->figures[PROCESSES];
    for (size_t place = 0; spec->peers && place < peers_count(PEER_WORK) && !code; place++)
        code = add_peer(spec, place, &own, report, ret_error);
    return code;
}

int bench_granularity(const struct bench_spec *spec, struct bench_report *report,
                      struct muster_error *ret_error)
{
    struct way *ways = calloc(WAYS, sizeof *ways);
    double iteration_ns;
    int code;

    if (!ways)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    if ((code = kernel_calibrate(&iteration_ns, ret_error)) == 0) {
        open_ways(spec, ways);
        code = measure(spec, ways, iteration_ns, report, ret_error);
        for (size_t i = 0; i < WAYS; i++)
            muster_close(ways[i].model);
    }
    free(ways);
    return code;
}
