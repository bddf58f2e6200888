/* SPDX-License-Identifier: MIT
 *
 * Speedup against what was possible. See row.h.
 */
#include "lab/row.h"

#include "base/clock.h"

#include <stdio.h>

/* A share of computing from here on is all of it: a virtual machine's host, too, takes cores
 * away, and nobody says for how long. */
static const double ALL_COMPUTING = 0.9;

/* Below a nanosecond of wall time there is nothing to divide by. */
static double seconds(uint64_t ns)
{
    return (double)(ns ? ns : 1) / (double)CLOCK_NS_PER_S;
}

double row_computing(const struct compare_row *baseline)
{
    double own = baseline->wall_s - baseline->delay_s;

    return baseline->cpu_s < ALL_COMPUTING * own ? baseline->cpu_s / own : 1;
}

static unsigned cores_used(const struct compare_row *row, unsigned cores)
{
    return row->workers < cores ? row->workers : cores;
}

/* How much faster than inline so many workers could be on so many cores: no more than the jobs
 * they have under way at once, and no more than the cores can compute. */
static double ideal_speedup(const struct compare_row *row, double computing, unsigned cores)
{
    double places = (double)row->workers * row->concurrency, limit;

    if (row->concurrency > 1 && places > (double)row->jobs)
        places = row->jobs > row->workers ? (double)row->jobs : row->workers;
    limit = computing * places; /* cores that so many jobs keep busy */
    return limit > cores_used(row, cores) ? cores_used(row, cores) / computing : places;
}

struct compare_row row_make(enum muster_model model, unsigned concurrency, const struct row_run *run,
                            const struct compare_row *baseline, unsigned cores)
{
    const struct muster_summary *summary = &run->summary;
    struct compare_row row = {
        .model = model,
        .workers = summary->workers,
        .concurrency = concurrency,
        .jobs = summary->jobs,
        .failed = summary->failed,
        .wall_s = seconds(summary->wall_ns),
        .cpu_s = (double)summary->cpu_ns / (double)CLOCK_NS_PER_S,
        .stall_s = (double)summary->stall_ns / (double)CLOCK_NS_PER_S,
        .delay_s = (double)run->delay_ns / (double)CLOCK_NS_PER_S,
        .voluntary_switches = summary->voluntary_switches,
        .involuntary_switches = summary->involuntary_switches,
        .speedup = 1,
        .ideal_speedup = 1,
        .efficiency = 1,
    };

    row.utilization = row.cpu_s / (row.wall_s * cores);
    if (!baseline)
        return row;
    row.speedup = baseline->wall_s / row.wall_s;
    row.ideal_speedup = ideal_speedup(&row, row_computing(baseline), cores);
    row.efficiency = row.speedup / row.ideal_speedup;
    row.overhead_us_per_job = (row.wall_s - baseline->wall_s / row.ideal_speedup) * cores_used(&row, cores) /
                              (double)row.jobs * 1e6;
    return row;
}

void row_name(const struct compare_row *row, char name[COMPARE_NAME_BYTES])
{
    if (row->model == MUSTER_PROCESSES && row->concurrency > 1)
        snprintf(name, COMPARE_NAME_BYTES, "%s x%u", muster_model_name(row->model), row->concurrency);
    else
        snprintf(name, COMPARE_NAME_BYTES, "%s", muster_model_name(row->model));
}
