/* SPDX-License-Identifier: MIT
 *
 * What the measurements of `muster bench` have in common: the table of them, their report, and
 * the turns that a figure and its baseline take. See bench.h.
 */
#include "lab/bench.h"

#include "base/clock.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TIMES_MAX = 1 << 30, /* of what takes no time */
    GLANCE = 10,         /* nobody can tell of a single round what it is worth, however long it is */
};

/* Some fifty time slices of the scheduler, so that one which another program takes is 2%. */
static const uint64_t ROUND_NS = 200 * CLOCK_NS_PER_MS;

const struct bench_subject bench_subjects[] = {
    {"throughput", bench_throughput},   {"latency", bench_latency}, {"payload", bench_payload},
    {"granularity", bench_granularity}, {"scaling", bench_scaling},
};
const size_t bench_subject_count = sizeof bench_subjects / sizeof *bench_subjects;

/* --- the report */

/* Makes room for one more of `size` bytes each behind `count`, doubling at powers of two. */
static int grow(void *items, size_t count, size_t size)
{
    void *grown, **place = items;

    if ((count & (count - 1)) != 0)
        return 0;
    grown = reallocarray(*place, count ? 2 * count : 1, size);
    if (!grown)
        return MUSTER_ENOMEM;
    *place = grown;
    return 0;
}

int bench_add(struct bench_report *report, const struct bench_figure *figure)
{
    struct bench_figure *added;

    if (grow(&report->figures, report->figure_count, sizeof *figure))
        return MUSTER_ENOMEM;
    added = &report->figures[report->figure_count++];
    *added = *figure;
    added->ratio =
        figure->measured && figure->baseline_value > 0 ? figure->value / figure->baseline_value : 0;
    return 0;
}

int bench_add_curve(struct bench_report *report, const struct bench_curve *curve)
{
    if (grow(&report->curves, report->curve_count, sizeof *curve)) {
        free(curve->points);
        return MUSTER_ENOMEM;
    }
    report->curves[report->curve_count++] = *curve;
    return 0;
}

void bench_report_fini(struct bench_report *report)
{
    for (size_t i = 0; i < report->curve_count; i++)
        free(report->curves[i].points);
    free(report->curves);
    free(report->figures);
    *report = (struct bench_report){.figures = NULL};
}

static double scaled(double ns, const struct bench_scale *scale)
{
    return scale->rate ? scale->factor * (double)CLOCK_NS_PER_S / ns : scale->factor * ns;
}

/* Short rounds make a time of 0 of what is too fast for the clock; no figure is infinite. */
static struct sample_summary summarize(const struct bench_turn *turn)
{
    struct sample sample = turn->sample;
    struct sample_summary summary;

    for (size_t i = 0; i < sample.count; i++)
        if (sample.values[i] <= 0)
            sample.values[i] = 1e-3;
    summary = sample_summarize(&sample);
    summary.noisy = summary.noisy || sample.count < BENCH_ROUNDS_TO_TELL;
    return summary;
}

int bench_add_turn(struct bench_report *report, const char *name, const struct bench_turn *turn,
                   const char *baseline_name, const struct bench_turn *baseline,
                   const struct bench_scale *scale)
{
    struct bench_figure figure = {.measured = turn->sample.count > 0, .less_is_better = !scale->rate};
    struct sample_summary summary;

    snprintf(figure.figure, sizeof figure.figure, "%s", name);
    snprintf(figure.unit, sizeof figure.unit, "%s", scale->unit);
    if (!figure.measured) {
        snprintf(figure.note, sizeof figure.note, "%.*s", BENCH_NOTE_BYTES - 1, turn->error.text);
        return bench_add(report, &figure);
    }
    summary = summarize(turn);
    figure.value = scaled(summary.median, scale);
    figure.low = scaled(scale->rate ? summary.high : summary.low, scale);
    figure.high = scaled(scale->rate ? summary.low : summary.high, scale);
    figure.noisy = summary.noisy;
    if (baseline)
        snprintf(figure.baseline, sizeof figure.baseline, "%s", baseline_name);
    if (baseline && baseline->sample.count > 0) {
        summary = summarize(baseline);
        figure.baseline_value = scaled(summary.median, scale);
        figure.noisy = figure.noisy || summary.noisy;
    } else if (baseline) {
        snprintf(figure.note, sizeof figure.note, "not measured: %.*s", BENCH_NOTE_BYTES / 2,
                 baseline->error.text);
    }
    return bench_add(report, &figure);
}

/* --- turns */

muster *bench_open(const struct bench_spec *spec, enum muster_model model, enum muster_transport transport,
                   unsigned workers, struct muster_error *ret_error)
{
    struct muster_options options = {.model = model,
                                     .workers = workers,
                                     .transport = transport,
                                     .warm = true,
                                     .worker_program = spec->worker_program};
    muster *m = NULL;

    *ret_error = (struct muster_error){.code = 0};
    ret_error->code = muster_open(&options, &m, ret_error);
    return m;
}

bool bench_interrupted(const struct bench_spec *spec)
{
    struct pollfd item = {.fd = spec->interrupt_fd, .events = POLLIN};

    return poll(&item, 1, 0) > 0;
}

uint64_t bench_turn_share(const struct bench_spec *spec, uint64_t full)
{
    return spec->rounds != 1 || full == 0 ? full : (full + GLANCE - 1) / GLANCE;
}

static void take(struct bench_turn *turn, uint64_t times, uint64_t *ret_ns)
{
    struct muster_error error;
    int code;

    *ret_ns = 0;
    if (turn->error.code)
        return;
    if ((code = turn->block(turn->context, times, ret_ns, &error)) == 0)
        return;
    turn->error = error;
    turn->error.code = code;
    turn->sample.count = 0;
}

/* Runs it until it is warm and, where that is to be found, until it is known how often it has to be
 * done to fill a round. */
static void warm_up(struct bench_turn *turn, uint64_t round_ns)
{
    uint64_t times = turn->times ? turn->times : 16, ns;

    take(turn, times, &ns);
    if (turn->times)
        return;
    take(turn, times, &ns); /* the first one started processes and touched pages */
    while (!turn->error.code && ns < round_ns / 4 && times < TIMES_MAX) {
        times *= ns < round_ns / 64 ? 8 : 4;
        take(turn, times, &ns);
    }
    turn->times = ns > 0 ? (uint64_t)((double)times * (double)round_ns / (double)ns) + 1 : times;
}

int bench_take_turns(const struct bench_spec *spec, unsigned rounds, struct bench_turn *turns, size_t count,
                     struct muster_error *ret_error)
{
    uint64_t ns;

    rounds = spec->rounds ? spec->rounds : rounds;
    assert(rounds <= SAMPLE_MAX);
    for (unsigned round = 0; round <= rounds; round++)
        for (size_t i = 0; i < count; i++) {
            struct bench_turn *turn = &turns[i];

            if (bench_interrupted(spec))
                return muster_error_set(ret_error, MUSTER_ECANCELLED, "interrupted");
            if (round == 0) {
                warm_up(turn, bench_turn_share(spec, ROUND_NS));
                continue;
            }
            take(turn, turn->times, &ns);
            if (!turn->error.code)
                sample_add(&turn->sample, (double)ns / (double)turn->times);
        }
    return 0;
}
