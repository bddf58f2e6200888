/* SPDX-License-Identifier: MIT
 *
 * Ways of running jobs, by the length of these. See grain.h.
 */
#include "lab/grain.h"

#include "base/clock.h"
#include "lab/metg.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    TURNS_MAX = 4,
    FIRST_JOBS = 10000, /* of a turn, as long as nothing is known */
    JOBS_MIN = 20,      /* for each worker */
};

/* A batch's beginning and end, a millisecond together, are 1% of it; fifteen lengths, with five rounds
 * and a warm-up of three ways, take 27 s. */
static const uint64_t TURN_NS = 100 * CLOCK_NS_PER_MS;

/* --- measuring */

/* Of a turn, by what a job took at the length before: it takes up to twice as long now. */
static uint64_t jobs_of(const struct grain *grain, uint64_t turn_ns)
{
    double jobs = FIRST_JOBS, least = JOBS_MIN * (double)grain->workers;

    if (grain->count > 0)
        jobs = (double)turn_ns * grain->workers / grain->lengths[grain->count - 1].median;
    return (uint64_t)(jobs > least ? jobs : least);
}

static void note_length(struct grain *grain, struct bench_turn *turn)
{
    grain->error = turn->error;
    if (grain->error.code)
        return;
    grain->few = turn->sample.count < BENCH_ROUNDS_TO_TELL;
    for (size_t i = 0; i < turn->sample.count; i++)
        turn->sample.values[i] *= grain->workers;
    grain->lengths[grain->count++] = sample_summarize(&turn->sample);
}

int grain_measure(const struct bench_spec *spec, unsigned rounds, struct grain *const *grains, size_t count,
                  struct muster_error *ret_error)
{
    struct bench_turn turns[TURNS_MAX];
    int code;

    assert(count <= TURNS_MAX);
    for (size_t i = 0; i < count; i++) {
        struct grain *grain = grains[i];

        assert(grain->count < GRAIN_LENGTHS);
        if (!grain->error.code)
            grain->set_length(grain->context, grain->count);
        turns[i] = (struct bench_turn){.block = grain->block,
                                       .context = grain->context,
                                       .times = jobs_of(grain, bench_turn_share(spec, TURN_NS)),
                                       .error = grain->error};
    }
    if ((code = bench_take_turns(spec, rounds, turns, count, ret_error)) != 0)
        return code;
    for (size_t i = 0; i < count; i++)
        note_length(grains[i], &turns[i]);
    return 0;
}

/* --- METG */

enum curve { FAST, MIDDLE, SLOW, CURVES };

static struct metg_point point_of(const struct grain *grain, size_t length, enum curve curve)
{
    const struct sample_summary *took = &grain->lengths[length];
    const double ns[CURVES] = {[FAST] = took->low, [MIDDLE] = took->median, [SLOW] = took->high};

    double work_ns = grain->peak ? grain->peak->lengths[length].median : ldexp(grain->first_ns, (int)length);

    return (struct metg_point){ns[curve] / (double)CLOCK_NS_PER_S, work_ns / ns[curve]};
}

bool grain_metg(const struct grain *grain, double share, struct sample_summary *ret_summary)
{
    struct metg_point points[GRAIN_LENGTHS];
    struct sample sample = {.count = 0};
    double found_s, middle_s = 0;

    if (grain->peak && grain->peak->count < grain->count)
        return false;
    for (enum curve curve = FAST; curve < CURVES; curve++) {
        for (size_t i = 0; i < grain->count; i++)
            points[i] = point_of(grain, i, curve);
        if (metg_find(points, grain->count, share, &found_s))
            sample_add(&sample, found_s * 1e6);
        else if (curve != SLOW)
            return false;
        if (curve == MIDDLE)
            middle_s = found_s;
    }
    *ret_summary = sample_summarize(&sample);
    ret_summary->median = middle_s * 1e6;
    ret_summary->noisy = ret_summary->noisy || sample.count < CURVES || grain->few;
    return true;
}

/* --- the report */

/* Why there is no METG, or what is to be thought of it. */
static void write_note(const struct grain *grain, double share, bool reached, struct bench_figure *figure)
{
    double longest_us = grain->count > 0 ? ldexp(grain->first_ns, (int)grain->count - 1) / 1e3 : 0;

    if (grain->error.code)
        snprintf(figure->note, sizeof figure->note, "%.*s", BENCH_NOTE_BYTES - 1, grain->error.text);
    else if (!reached)
        snprintf(figure->note, sizeof figure->note,
                 "jobs of %.3g us do not reach it: something else has the cores, or they are slower together",
                 longest_us);
    else if (point_of(grain, 0, MIDDLE).efficiency >= share)
        snprintf(figure->note, sizeof figure->note, "or less: nothing shorter was looked at");
}

int grain_add_figure(struct bench_report *report, const struct grain *grain, double share,
                     const char *baseline_name, const struct grain *baseline)
{
    struct bench_figure figure = {.less_is_better = true, .unit = "us"};
    struct sample_summary summary = {.noisy = true};

    snprintf(figure.figure, sizeof figure.figure, "METG(%.0f%%%s), %s", share * 100,
             grain->peak ? " of the cores together" : "", grain->name);
    figure.measured = !grain->error.code && grain_metg(grain, share, &summary);
    write_note(grain, share, figure.measured, &figure);
    if (figure.measured) {
        figure.value = summary.median;
        figure.low = summary.low;
        figure.high = summary.high;
        figure.noisy = summary.noisy;
    }
    if (figure.measured && baseline && !baseline->error.code && grain_metg(baseline, share, &summary)) {
        snprintf(figure.baseline, sizeof figure.baseline, "%s", baseline_name);
        figure.baseline_value = summary.median;
        figure.noisy = figure.noisy || summary.noisy;
    }
    return bench_add(report, &figure);
}

int grain_add_curve(struct bench_report *report, const struct grain *grain)
{
    struct bench_curve curve = {.plot = "granularity",
                                .x_axis = "granularity (us)",
                                .y_axis = "efficiency (%)",
                                .x_log = true,
                                .count = grain->count};

    if (grain->error.code || grain->count == 0)
        return 0;
    snprintf(curve.name, sizeof curve.name, "%s", grain->name);
    if (!(curve.points = calloc(grain->count, sizeof *curve.points)))
        return MUSTER_ENOMEM;
    for (size_t i = 0; i < grain->count; i++) {
        struct metg_point point = point_of(grain, i, MIDDLE);

        curve.points[i] = (struct bench_point){point.granularity_s * 1e6, point.efficiency * 100};
    }
    return bench_add_curve(report, &curve);
}
