/* SPDX-License-Identifier: MIT
 *
 * bench latency: one job at a time, from its submission until its result is there; beside a message
 * of ZeroMQ there and back, and a futex. Where the time of the median job went, and what it costs
 * to know that. See bench.h.
 */
#include "lab/bench.h"

#include "base/clock.h"
#include "lab/bare.h"
#include "lab/peers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 5, TRIPS = 3000 /* of a round: three are beyond p99.9 */ };

/* --- trips */

static const struct {
    const char *name;
    double part;
} percentiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}};
enum { PERCENTILES = sizeof percentiles / sizeof *percentiles };

struct trip {
    uint64_t ns;
    struct muster_receipt receipt; /* of a job */
};

/* One way of going there and back. */
struct road {
    muster *m; /* whose jobs, or whose processes are at the other end */
    enum muster_transport transport;
    bool warm;
    struct trip *trips;               /* TRIPS of them, in order of their length once they were made */
    struct sample found[PERCENTILES]; /* a value of each round */
};

static int by_length(const void *a, const void *b)
{
    const struct trip *left = a, *right = b;

    return (left->ns > right->ns) - (left->ns < right->ns);
}

/* The end of a round. */
static void note_trips(struct road *road, size_t count, uint64_t *ret_ns)
{
    uint64_t sum_ns = 0;

    for (size_t i = 0; i < count; i++)
        sum_ns += road->trips[i].ns;
    qsort(road->trips, count, sizeof *road->trips, by_length);
    for (size_t i = 0; i < PERCENTILES && road->warm; i++) {
        size_t place = (size_t)(percentiles[i].part * (double)count);

        sample_add(&road->found[i], (double)road->trips[place < count ? place : count - 1].ns);
    }
    road->warm = true;
    *ret_ns = sum_ns;
}

static int make_trip(muster *m, struct trip *ret_trip, struct muster_error *ret_error)
{
    struct muster_job job = {.function = "noop"};
    uint64_t began_ns = clock_now_ns();
    const struct muster_result *result;
    muster_future *future;
    int code;

    if ((code = muster_submit(m, &job, &future, ret_error)) != 0)
        return code;
    code = muster_await(future, NULL, ret_error);
    ret_trip->ns = clock_now_ns() - began_ns;
    if ((result = muster_future_result(future)) != NULL && result->receipt)
        ret_trip->receipt = *result->receipt;
    muster_future_drop(future);
    return code;
}

static int run_jobs(void *context, uint64_t times, uint64_t *ret_ns, struct muster_error *ret_error)
{
    struct road *road = context;
    int code = 0;

    for (size_t i = 0; i < times && !code; i++)
        code = make_trip(road->m, &road->trips[i], ret_error);
    if (!code)
        note_trips(road, times, ret_ns);
    return code;
}

static int run_bare(struct road *road, bool futex, size_t times, uint64_t *ret_ns,
                    struct muster_error *ret_error)
{
    uint64_t *ns = calloc(times, sizeof *ns);
    int code;

    if (!ns)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    code = futex ? bare_futex(road->m, times, ns, ret_error)
                 : bare_ping(road->m, road->transport, times, ns, ret_error);
    for (size_t i = 0; i < times; i++)
        road->trips[i].ns = ns[i];
    free(ns);
    if (!code)
        note_trips(road, times, ret_ns);
    return code;
}

static int run_ping(void *context, uint64_t times, uint64_t *ret_ns, struct muster_error *ret_error)
{
    return run_bare(context, false, times, ret_ns, ret_error);
}

static int run_futex(void *context, uint64_t times, uint64_t *ret_ns, struct muster_error *ret_error)
{
    return run_bare(context, true, times, ret_ns, ret_error);
}

/* --- what receipts cost */

struct range {
    muster *m;
    bool timed;
};

static int run_range(void *context, uint64_t times, uint64_t *ret_ns, struct muster_error *ret_error)
{
    const struct range *range = context;
    struct muster_batch batch = {.function = "noop",
                                 .source = muster_source_range(1, (int64_t)times),
                                 .want_timings = range->timed,
                                 .interrupt_fd = -1};
    struct muster_summary summary;
    int code = muster_map(range->m, &batch, &summary, ret_error);

    if (!code)
        *ret_ns = summary.wall_ns;
    return code;
}

/* --- the figures */

enum { JOBS, JOBS_ALONE, JOBS_TCP, THREADS, PING, PING_TCP, FUTEX, ROADS };
enum { TIMED = ROADS, UNTIMED, TURNS };

static const struct bench_scale microseconds = {"us", false, 1e-3}, nanoseconds = {"ns", false, 1};

/* A percentile of a road as a turn. */
static struct bench_turn turn_of(const struct bench_turn *turn, size_t percentile)
{
    const struct road *road = turn->context;
    struct bench_turn part = {.error = turn->error};

    if (!part.error.code)
        part.sample = road->found[percentile];
    return part;
}

static int add(struct bench_report *report, const char *name, const struct bench_turn *turn,
               const char *baseline_name, const struct bench_turn *baseline, size_t percentile)
{
    struct bench_turn part = turn_of(turn, percentile), other = turn_of(baseline, percentile);

    return bench_add_turn(report, name, &part, baseline_name, &other, &microseconds);
}

/* Of the jobs in the middle tenth of the last round, what each phase took on average. */
static int add_phases(struct bench_report *report, const struct road *road)
{
    size_t from = TRIPS * 45 / 100, count = TRIPS / 10;
    double phases_ns[MUSTER_PHASES] = {0}, total_ns = 0;
    int code = 0;

    for (size_t i = from; i < from + count; i++) {
        total_ns += (double)road->trips[i].receipt.total_ns;
        for (size_t k = 0; k < MUSTER_PHASES; k++)
            phases_ns[k] += (double)road->trips[i].receipt.phase_ns[k];
    }
    for (size_t k = 0; k < MUSTER_PHASES && !code && total_ns > 0; k++) {
        struct bench_figure figure = {.measured = true, .unit = "us", .less_is_better = true};

        if (phases_ns[k] == 0)
            continue;
        snprintf(figure.figure, sizeof figure.figure, "  %s", muster_phase_name((enum muster_phase)k));
        figure.value = figure.low = figure.high = phases_ns[k] / (double)count * 1e-3;
        snprintf(figure.note, sizeof figure.note, "%.0f%% of the median job of the last round",
                 100 * phases_ns[k] / total_ns);
        code = bench_add(report, &figure);
    }
    return code;
}

/* The distribution of the last round. */
static int add_curve(struct bench_report *report, const char *name, const struct bench_turn *turn)
{
    static const double parts[] = {0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999};
    const struct road *road = turn->context;
    struct bench_curve curve = {
        .plot = "latency", .x_axis = "part of the jobs, %", .y_axis = "round trip, us", .y_log = true};

    if (turn->error.code || !(curve.points = calloc(sizeof parts / sizeof *parts, sizeof *curve.points)))
        return turn->error.code ? 0 : MUSTER_ENOMEM;
    snprintf(curve.name, sizeof curve.name, "%s", name);
    for (; curve.count < sizeof parts / sizeof *parts; curve.count++)
        curve.points[curve.count] = (struct bench_point){
            100 * parts[curve.count], (double)road->trips[(size_t)(parts[curve.count] * TRIPS)].ns * 1e-3};
    return bench_add_curve(report, &curve);
}

static int add_figures(struct bench_report *report, const struct bench_turn *turns)
{
    int code = 0;

    for (size_t i = 0; i < PERCENTILES && !code; i++)
        code = add(report, percentiles[i].name, &turns[JOBS], "ZeroMQ, ipc", &turns[PING], i);
    if (!code)
        code = bench_add_turn(report, "mean", &turns[JOBS], "ZeroMQ, ipc", &turns[PING], &microseconds);
    if (!code && !turns[JOBS].error.code)
        code = add_phases(report, turns[JOBS].context);
    if (code || (code = add(report, "p50 beside a futex", &turns[JOBS], "futex", &turns[FUTEX], 0)) != 0 ||
        (code = add(report, "p50, messages alone", &turns[JOBS_ALONE], "ZeroMQ, ipc", &turns[PING], 0)) !=
            0 ||
        (code = add(report, "p50, tcp", &turns[JOBS_TCP], "ZeroMQ, tcp", &turns[PING_TCP], 0)) != 0 ||
        (code = add(report, "p50, threads", &turns[THREADS], "futex", &turns[FUTEX], 0)) != 0 ||
        (code = bench_add_turn(report, "a job of a range, each timed", &turns[TIMED], "none timed",
                               &turns[UNTIMED], &nanoseconds)) != 0 ||
        (code = add_curve(report, "processes", &turns[JOBS])) != 0 ||
        (code = add_curve(report, "processes, messages alone", &turns[JOBS_ALONE])) != 0 ||
        (code = add_curve(report, "threads", &turns[THREADS])) != 0 ||
        (code = add_curve(report, "ZeroMQ, ipc", &turns[PING])) != 0)
        return code;
    return add_curve(report, "futex", &turns[FUTEX]);
}

static void judge(struct bench_report *report)
{
    const struct bench_figure *p50 = &report->figures[0], *tail = &report->figures[3];
    size_t used;

    if (!p50->measured) {
        snprintf(report->sentence, sizeof report->sentence, "It could not be measured: %s.", p50->note);
        return;
    }
    used = (size_t)snprintf(report->sentence, sizeof report->sentence,
                            "A job that does nothing is back after %.0f us; one in a thousand takes more "
                            "than %.0f us.",
                            p50->value, tail->value);
    if (p50->ratio > 0)
        snprintf(report->sentence + used, sizeof report->sentence - used,
                 " That is %.2f times what a bare message of ZeroMQ takes there and back, which does nothing "
                 "but travel.",
                 p50->ratio);
}

int bench_latency(const struct bench_spec *spec, struct bench_report *report, struct muster_error *ret_error)
{
    static const struct {
        bench_block *block;
        enum muster_model model;
        enum muster_transport transport;
        bool bare;
    } ways[ROADS] = {
        [JOBS] = {run_jobs, MUSTER_PROCESSES, MUSTER_IPC, false},
        [JOBS_ALONE] = {run_jobs, MUSTER_PROCESSES, MUSTER_IPC_ALONE, false},
        [JOBS_TCP] = {run_jobs, MUSTER_PROCESSES, MUSTER_TCP, false},
        [THREADS] = {run_jobs, MUSTER_THREADS, MUSTER_IPC, false},
        [PING] = {run_ping, MUSTER_PROCESSES, MUSTER_IPC, true},
        [PING_TCP] = {run_ping, MUSTER_PROCESSES, MUSTER_TCP, true},
        [FUTEX] = {run_futex, MUSTER_PROCESSES, MUSTER_IPC, true},
    };
    struct bench_turn turns[TURNS] = {{.block = NULL}};
    struct road roads[ROADS] = {{.m = NULL}};
    struct range ranges[] = {{NULL, true}, {NULL, false}};
    int code = 0;

    for (size_t i = 0; i < ROADS; i++) {
        turns[i] = (struct bench_turn){.block = ways[i].block, .context = &roads[i], .times = TRIPS};
        roads[i].transport = ways[i].transport;
        roads[i].m = ways[i].bare
                         ? spec->crew
                         : bench_open(spec, ways[i].model, ways[i].transport, spec->workers, &turns[i].error);
        if (ways[i].bare && !spec->crew)
            muster_error_set(&turns[i].error, MUSTER_ESTATE, "%s", spec->without);
        if (!(roads[i].trips = calloc(TRIPS, sizeof *roads[i].trips)))
            code = muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < 2; i++) {
        ranges[i].m = roads[JOBS].m;
        turns[TIMED + i] =
            (struct bench_turn){.block = run_range, .context = &ranges[i], .error = turns[JOBS].error};
    }
    if (!code)
        code = bench_take_turns(spec, ROUNDS, turns, TURNS, ret_error);
    if (!code && (code = add_figures(report, turns)) != 0)
        muster_error_set(ret_error, code, "out of memory");
    if (!code)
        code =
            peers_compare(spec, PEER_TRIP, "mean of muster", &turns[JOBS], &microseconds, report, ret_error);
    for (size_t i = 0; i < ROADS; i++) {
        if (!ways[i].bare)
            muster_close(roads[i].m);
        free(roads[i].trips);
    }
    if (!code)
        judge(report);
    return code;
}
