/* SPDX-License-Identifier: MIT
 *
 * Predictions, the choice, and the break-even. See advise_model.h.
 */
#include "lab/advise_model.h"

#include <math.h>

/* Jobs that compute for more of their time are CPU-bound, for less I/O-bound. */
static const double CPU_BOUND = 0.9, IO_BOUND = 0.1;

/* What isolation is worth: a crash costs one job, a job can be ended. Two models that are closer
 * together than this change places from one run to the next, anyway. */
static const double ISOLATION = 1.05;

/* What must be gained by running jobs in parallel, to be worth it. */
static const double GAIN = 1.05;

/* Chunks cost the processes under 1% of their work: what the coordinator sizes them by. */
static const double CHUNKS = 0.01;

/* Processes and threads for jobs that wait, one in each: of more, coroutines are the better. */
enum { THREADS_MAX = 64, PROCESSES_MAX = 16 };

/* Jobs under way are so many times those that would keep a core busy if they waited in turns: they do
 * not. Of jobs that were tried together it is known what they compute for then, and twice will do: of
 * waits of 1 ms, 330 at once took 3.1 us each in two processes, 660 took 4.7. Fewer coroutines than so
 * many save nothing. */
static const double PLACES = 4, PLACES_TRIED = 2, COROUTINES_MIN = 100;

/* Jobs under way at once in a trial: enough to see what many that wait together compute for, which is
 * less than one by itself, and no attack on a service that the jobs ask. Those that compute for much
 * of their time need fewer, but enough to be spread over the cores. */
enum { TRIAL_PLACES = 256, TRIAL_MIN = 32 };

enum { LARGE_MACHINE = 4 }; /* from so many workers on, half of them are tried, too */

enum advise_kind advise_kind(const struct advise_job *job)
{
    if (job->computing > CPU_BOUND)
        return ADVISE_CPU_BOUND;
    return job->computing < IO_BOUND ? ADVISE_IO_BOUND : ADVISE_MIXED;
}

const char *advise_kind_name(enum advise_kind kind)
{
    switch (kind) {
    case ADVISE_CPU_BOUND:
        return "CPU-bound";
    case ADVISE_MIXED:
        return "mixed";
    case ADVISE_IO_BOUND:
        return "I/O-bound";
    }
    return "unknown";
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static unsigned least(double wanted, unsigned most)
{
    return wanted < most ? (unsigned)wanted : most;
}

static void add(struct advise_way *ways, size_t *count, enum muster_model model, unsigned workers,
                unsigned concurrency)
{
    for (size_t i = 0; i < *count; i++)
        if (ways[i].model == model && ways[i].workers == workers && ways[i].concurrency == concurrency)
            return;
    ways[(*count)++] = (struct advise_way){.model = model, .workers = workers, .concurrency = concurrency};
}

/* Jobs under way in a worker, so many times those that keep a core busy, where each computes for this
 * part of its time. */
static unsigned coroutines_for(double times, double computing)
{
    return least(larger(ceil(times / computing), COROUTINES_MIN), MUSTER_LOOP_CONCURRENCY);
}

size_t advise_plan(const struct advise_job *job, unsigned workers,
                   struct advise_way ret_ways[ADVISE_WAYS_MAX])
{
    double busy = ceil(PLACES / job->computing); /* jobs under way that keep a core busy */
    unsigned many = coroutines_for(PLACES, job->computing);
    size_t count = 0;

    add(ret_ways, &count, MUSTER_INLINE, 1, 1);
    add(ret_ways, &count, MUSTER_PROCESSES, workers, 1);
    add(ret_ways, &count, MUSTER_THREADS, workers, 1);
    if (workers >= LARGE_MACHINE) {
        add(ret_ways, &count, MUSTER_PROCESSES, workers / 2, 1);
        add(ret_ways, &count, MUSTER_THREADS, workers / 2, 1);
    }
    if (advise_kind(job) == ADVISE_CPU_BOUND)
        return count;
    add(ret_ways, &count, MUSTER_LOOP, 1, many);
    add(ret_ways, &count, MUSTER_PROCESSES, workers, many);
    add(ret_ways, &count, MUSTER_THREADS, least(busy * workers, THREADS_MAX), 1);
    if (count < ADVISE_WAYS_MAX)
        add(ret_ways, &count, MUSTER_PROCESSES, least(busy * workers, PROCESSES_MAX), 1);
    return count;
}

/* Cores that the way can compute on. */
static double cores_of(const struct advise_way *way, unsigned cores)
{
    return way->workers < cores ? way->workers : cores;
}

double advise_predict(const struct advise_job *job, const struct advise_way *way, unsigned concurrency,
                      unsigned cores)
{
    double computing_s = job->time_s * job->computing / cores_of(way, cores);
    double places = (double)way->workers * concurrency;

    if (way->model == MUSTER_INLINE)
        return job->time_s;
    return larger(computing_s, job->time_s / places) + way->null_s;
}

unsigned advise_trial_concurrency(const struct advise_job *job, const struct advise_way *way)
{
    double busy = larger(ceil(PLACES / job->computing), TRIAL_MIN);
    unsigned most = least(busy, way->workers < TRIAL_PLACES ? TRIAL_PLACES / way->workers : 1);

    return way->concurrency < most ? way->concurrency : most;
}

void advise_settle(const struct advise_job *job, struct advise_way *way, unsigned cores)
{
    double found = 1, computing_s, waiting_s;

    if (!way->tried) {
        way->job_s = way->low_s = way->high_s = advise_predict(job, way, way->concurrency, cores);
        return;
    }
    way->job_s = way->tried_s;
    if (way->concurrency > 1 && way->tried_cpu_s > 0) {
        unsigned many = coroutines_for(PLACES_TRIED, way->tried_cpu_s / job->time_s);

        way->concurrency = way->concurrency > many ? way->concurrency : many;
    }
    if (way->concurrency > way->tried_concurrency) {
        /* More places shorten the waiting as far as it was found to overlap; what the jobs were found
         * to compute remains. */
        found = way->tried_s / advise_predict(job, way, way->tried_concurrency, cores);
        waiting_s = job->time_s / ((double)way->workers * way->concurrency) * larger(found, 1);
        computing_s = way->tried_cpu_s / cores_of(way, cores);
        way->job_s = larger(computing_s, waiting_s);
        if (way->job_s > way->tried_s)
            way->job_s = way->tried_s;
    }
    way->low_s = way->job_s * way->tried_low_s / way->tried_s;
    way->high_s = way->job_s * way->tried_high_s / way->tried_s;
}

double advise_batch_s(const struct advise_job *job, const struct advise_way *way, uint64_t jobs)
{
    double places = (double)way->workers * way->concurrency, rounds_s;

    if (jobs == 0)
        return way->job_s;
    /* Few jobs leave places empty; and while the longest runs, the others may be done. */
    rounds_s = (ceil((double)jobs / places) - 1) * job->time_s + job->longest_s;
    return way->start_s + larger(places > 1 ? rounds_s : 0, (double)jobs * way->job_s);
}

/* The best of the ways that are sound, or of the processes among them; -1 where there is none. */
static int best_of(const struct advise_job *job, const struct advise_way *ways, size_t count, uint64_t jobs,
                   bool isolated)
{
    int best = -1;

    for (size_t i = 0; i < count; i++) {
        if (ways[i].fault != ADVISE_SOUND || (isolated && ways[i].model != MUSTER_PROCESSES))
            continue;
        if (best < 0 || advise_batch_s(job, &ways[i], jobs) < advise_batch_s(job, &ways[best], jobs))
            best = (int)i;
    }
    return best;
}

struct advise_choice advise_choose(const struct advise_job *job, const struct advise_way *ways, size_t count,
                                   uint64_t jobs)
{
    int best = best_of(job, ways, count, jobs, false), isolated = best_of(job, ways, count, jobs, true);
    size_t fastest = best < 0 ? 1 : (size_t)best, safest = isolated < 0 ? 1 : (size_t)isolated;
    double fastest_s = advise_batch_s(job, &ways[fastest], jobs);

    if (job->unsafe)
        return (struct advise_choice){.fastest = fastest, .advised = safest, .reason = ADVISE_SAFE};
    if (ways[0].fault == ADVISE_SOUND && fastest != 0 &&
        advise_batch_s(job, &ways[0], jobs) <= GAIN * fastest_s)
        return (struct advise_choice){.fastest = fastest, .advised = 0, .reason = ADVISE_SIMPLE};
    if (fastest != 0 && ways[fastest].model != MUSTER_PROCESSES &&
        advise_batch_s(job, &ways[safest], jobs) <= ISOLATION * fastest_s)
        return (struct advise_choice){.fastest = fastest, .advised = safest, .reason = ADVISE_ISOLATED};
    return (struct advise_choice){.fastest = fastest, .advised = fastest, .reason = ADVISE_FASTEST};
}

static const struct advise_way *find(const struct advise_way *ways, size_t count, enum muster_model model)
{
    for (size_t i = 0; i < count; i++)
        if (ways[i].model == model && ways[i].fault == ADVISE_SOUND)
            return &ways[i];
    return NULL;
}

/* The job length T from which a job of processes, T (1 + CHUNKS) / W + null, is shorter than `share`
 * times one of the other way, T / V + its null; NAN where it never is. W and V are jobs at once. */
static double length_from(double share, double at_once, double null_s, double other_at_once,
                          double other_null_s)
{
    double gain = share / other_at_once - (1 + CHUNKS) / at_once, cost_s = null_s - share * other_null_s;

    if (gain <= 0)
        return NAN;
    return cost_s > 0 ? cost_s / gain : 0;
}

struct advise_breaks advise_breaks(const struct advise_job *job, const struct advise_way *ways, size_t count,
                                   unsigned cores)
{
    const struct advise_way *processes = find(ways, count, MUSTER_PROCESSES);
    const struct advise_way *threads = find(ways, count, MUSTER_THREADS),
                            *inl = find(ways, count, MUSTER_INLINE);
    struct advise_breaks breaks = {.beats_inline_s = NAN, .near_threads_s = NAN, .pays_start_jobs = NAN};
    double at_once, gain_s;

    if (!processes)
        return breaks;
    at_once = cores_of(processes, cores) / job->computing;
    if (at_once > processes->workers)
        at_once = processes->workers;
    if (inl) {
        breaks.beats_inline_s = length_from(1, at_once, processes->null_s, 1, inl->null_s);
        gain_s = inl->job_s - processes->job_s;
        if (gain_s > 0)
            breaks.pays_start_jobs = ceil(larger(processes->start_s - inl->start_s, 0) / gain_s);
    }
    if (threads && threads->workers == processes->workers)
        breaks.near_threads_s = length_from(ISOLATION, at_once, processes->null_s, at_once, threads->null_s);
    return breaks;
}
