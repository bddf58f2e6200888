/* SPDX-License-Identifier: MIT
 *
 * From samples to an advice: looks at the jobs, has ways of running them tried, and draws the
 * conclusion. See advise.h.
 */
#include "lab/advise.h"

#include "base/clock.h"
#include "lab/advise_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Shares of the time to measure: each sample once; the jobs one after another. The rest is for the
 * ways. */
static const double EXAMINE = 0.4, ALONE = 0.1;

/* A job that takes a larger share than this is not run again. */
static const double TOO_LONG = 0.2;

/* Beyond what is expected, until something is said to hang. */
static const double GRACE_S = 10, GRACE_TIMES = 20;

/* Runs that are shorter say nothing. */
static const double SHORT_RUN_S = 3e-3;

/* A share of computing from here on is all of it (a virtual machine's host takes cores away, too);
 * so it is where jobs hardly ever gave their core up. */
static const double ALL_COMPUTING = 0.9, SWITCHES_OF_A_WAIT = 0.5, LEAST_COMPUTING = 1e-4;

/* The same of jobs that were seen in workers alone, of whom nobody knows how long they waited for a
 * core. */
static const double MUCH_COMPUTING = 0.5;

/* Reading clocks around a job takes about so long, two of them being system calls. Shorter jobs are
 * not asked how they differ: it would be the clocks that do. */
static const double TIMING_S = 1e-6, TIMED_S = 5e-6;

/* What the coordinator sizes chunks for. */
static const double CHUNK_S = 20e-3;

enum { GROWTH = 8, JOBS_MAX = 1 << 22 };

double advise_elapsed_s(const struct advise *advise)
{
    return (double)(clock_now_ns() - advise->began_ns) / (double)CLOCK_NS_PER_S;
}

int advise_ask(struct advise *advise, size_t member, const struct crew_order *order, double expected_s,
               struct crew_answer *ret_answer, struct muster_error *ret_error)
{
    int code = crew_ask(&advise->crew, member, order, GRACE_S + GRACE_TIMES * expected_s,
                        advise->interrupt_fd, ret_answer, ret_error);

    if (code == 0 && order->function == CREW_SELF)
        advise->report.runs += ret_answer->jobs;
    if (code == 0 && ret_answer->code)
        return muster_error_set(ret_error, ret_answer->code, "%s", ret_answer->error);
    return code;
}

int advise_open_way(struct advise *advise, size_t member, const struct advise_way *way,
                    struct crew_answer *ret_answer, struct muster_error *ret_error)
{
    struct crew_order order = {.open = true,
                               .model = way->model,
                               .workers = way->workers,
                               .concurrency = way->concurrency,
                               .function = CREW_NOOP};

    return advise_ask(advise, member, &order, 1, ret_answer, ret_error);
}

static bool is_good(const struct advise *advise, size_t sample)
{
    return advise->good & UINT64_C(1) << sample;
}

double advise_sum_s(const struct advise *advise, uint64_t jobs)
{
    uint64_t turns = jobs / advise->good_count, rest = jobs % advise->good_count;
    double sum_s = 0;

    for (size_t i = 0; i < advise->spec.sample_count; i++)
        if (is_good(advise, i)) {
            sum_s += (double)(turns + (rest > 0)) * advise->sample_s[i];
            rest -= rest > 0;
        }
    return sum_s;
}

/* The least part of a turn of the samples that takes so long. */
static uint64_t part_of_turn(const struct advise *advise, double seconds)
{
    uint64_t jobs = 1;

    while (jobs < advise->good_count && advise_sum_s(advise, jobs) < seconds)
        jobs++;
    return jobs;
}

uint64_t advise_jobs_for(const struct advise *advise, double seconds, double job_s, uint64_t least)
{
    uint64_t most = JOBS_MAX / advise->good_count, jobs;
    double turns = job_s > 0 ? seconds / (job_s * (double)advise->good_count) : (double)most;

    if (turns >= 1)
        jobs = advise->good_count * (turns < (double)most ? (uint64_t)turns : most);
    else
        jobs = part_of_turn(advise, turns * advise_sum_s(advise, advise->good_count));
    return jobs > least ? jobs : least;
}

static void step(const struct advise *advise, const char *what)
{
    if (advise->spec.on_step)
        advise->spec.on_step(advise->spec.context, what);
}

/* Enters what became of a sample in a worker. */
static void note_sample(struct advise *advise, size_t place, const struct crew_answer *answer)
{
    const struct crew_sample *sample = &answer->samples[place];
    struct advise_report *report = &advise->report;

    if (sample->jobs == 0 || sample->code == MUSTER_ECANCELLED) {
        report->unfinished++;
        return;
    }
    if (sample->code == 0) {
        advise->good |= UINT64_C(1) << place;
        advise->good_count++;
        advise->sample_s[place] = sample->sum_s;
        return;
    }
    report->failed++;
    report->crashed += sample->code == MUSTER_ECRASHED || sample->code == MUSTER_EQUARANTINED;
    report->timed_out += sample->code == MUSTER_ETIMEOUT;
}

/* What the jobs take, as far as workers that ran each sample once can tell. */
static void note_job(struct advise *advise, const struct crew_answer *answer)
{
    struct advise_job *job = &advise->report.job;
    double cpu_s = 0;

    for (size_t i = 0; i < advise->spec.sample_count; i++)
        if (is_good(advise, i))
            cpu_s += answer->samples[i].cpu_s;
    job->time_s = advise_sum_s(advise, advise->good_count) / (double)advise->good_count;
    job->computing = job->time_s > 0 ? cpu_s / (job->time_s * (double)advise->good_count) : 1;
    job->bytes_in = answer->bytes_in;
    job->bytes_out = answer->bytes_out;
    job->unsafe = advise->report.crashed + advise->report.timed_out > 0;
}

/* Runs each sample once in worker processes, where it may do what it likes. */
static int examine(struct advise *advise, struct muster_error *ret_error)
{
    struct advise_report *report = &advise->report;
    const struct advise_way way = {.model = MUSTER_PROCESSES, .workers = report->workers, .concurrency = 1};
    struct crew_order order = {.function = CREW_SELF,
                               .keep = true,
                               .timed = true,
                               .mask = UINT64_MAX,
                               .jobs = advise->spec.sample_count,
                               .batch = report->workers,
                               .timeout_s = advise->spec.timeout_s,
                               .limit_s = EXAMINE * advise->spec.time_s};
    struct crew_answer answer;
    int code;

    step(advise, "each sample once");
    if ((code = advise_open_way(advise, MEMBER_PROCESSES, &way, &answer, ret_error)) != 0)
        return code;
    advise->start_s = answer.wall_s;
    code = advise_ask(advise, MEMBER_PROCESSES, &order, (double)order.jobs * order.timeout_s, &answer,
                      ret_error);
    if (code)
        return code;
    for (size_t i = 0; i < advise->spec.sample_count; i++)
        note_sample(advise, i, &answer);
    if (report->failed > 0)
        report->first_failed = answer.error_sample + 1;
    if (report->timed_out > 0)
        report->timeout_s = advise->spec.timeout_s;
    snprintf(report->failure, sizeof report->failure, "%.*s", ADVISE_FAULT_BYTES - 1, answer.error);
    advise->kept = answer.kept;
    if (advise->good_count > 0)
        note_job(advise, &answer);
    else if (report->samples == 1)
        return muster_error_set(ret_error, MUSTER_EFAILED, "the sample failed: %s", report->failure);
    else
        return muster_error_set(ret_error, MUSTER_EFAILED, "all %zu samples failed, the first so: %s",
                                report->samples, report->failure);
    return 0;
}

/* The part of its time in which an inline run computed. */
static double computing_of(const struct crew_answer *answer)
{
    double own_s = answer->wall_s - answer->delay_s;
    double part = own_s > 0 ? answer->cpu_s / own_s : 1;

    if (part >= ALL_COMPUTING ||
        (double)answer->voluntary_switches < SWITCHES_OF_A_WAIT * (double)answer->jobs)
        return 1;
    return part > LEAST_COMPUTING ? part : LEAST_COMPUTING;
}

/* Spread, and what is known of each sample, from jobs that were timed one by one. */
static void note_spread(struct advise *advise, const struct crew_answer *answer)
{
    struct advise_job *job = &advise->report.job;
    double inner_s2 = 0, runs = 0;

    advise->report.repeatable = true;
    for (size_t i = 0; i < advise->spec.sample_count; i++) {
        const struct crew_sample *sample = &answer->samples[i];
        double mean_s;

        if (sample->jobs == 0)
            continue;
        mean_s = sample->sum_s / (double)sample->jobs;
        advise->seen[i] = *sample;
        advise->report.repeatable = advise->report.repeatable && !sample->differs;
        if (job->time_s >= TIMED_S)
            advise->sample_s[i] = mean_s;
        if (sample->jobs > 1) {
            inner_s2 += sample->square_s2 - (double)sample->jobs * mean_s * mean_s;
            runs += (double)sample->jobs - 1;
        }
    }
    if (job->time_s >= TIMED_S && runs > 0)
        job->within = sqrt(inner_s2 > 0 ? inner_s2 / runs : 0) / job->time_s;
}

/* How samples differ from each other, and the longest. */
static void note_differences(struct advise *advise)
{
    struct advise_job *job = &advise->report.job;
    double mean_s = advise_sum_s(advise, advise->good_count) / (double)advise->good_count, square_s2 = 0,
           most_s = 0;

    job->longest_s = job->time_s;
    if (job->time_s < TIMED_S || mean_s <= 0)
        return;
    for (size_t i = 0; i < advise->spec.sample_count; i++)
        if (is_good(advise, i)) {
            square_s2 += (advise->sample_s[i] - mean_s) * (advise->sample_s[i] - mean_s);
            most_s = advise->sample_s[i] > most_s ? advise->sample_s[i] : most_s;
        }
    job->between = sqrt(square_s2 / (double)advise->good_count) / mean_s;
    job->longest_s = job->time_s * most_s / mean_s;
}

/* How long a job takes, by a run that need not have whole turns of the samples. */
static double mean_of(const struct advise *advise, uint64_t jobs, double wall_s)
{
    double expected_s = advise_sum_s(advise, jobs), mean_s;

    mean_s = advise_sum_s(advise, advise->good_count) / (double)advise->good_count;
    return expected_s > 0 ? wall_s / expected_s * mean_s : wall_s / (double)jobs;
}

/* Runs jobs inline, more and more, until it can be said how long one takes. */
static int find_length(struct advise *advise, struct crew_answer *ret_answer, struct muster_error *ret_error)
{
    struct advise_job *job = &advise->report.job;
    struct crew_order order = {.function = CREW_SELF, .mask = advise->good};
    double wanted_s = ALONE * advise->spec.time_s;
    int code;

    order.jobs = advise_jobs_for(advise, SHORT_RUN_S, job->time_s, 1);
    for (;;) {
        code = advise_ask(advise, MEMBER_INLINE, &order, wanted_s, ret_answer, ret_error);
        if (code)
            return code;
        job->time_s = mean_of(advise, order.jobs, ret_answer->wall_s);
        if (ret_answer->wall_s >= SHORT_RUN_S || order.jobs >= JOBS_MAX)
            break;
        order.jobs *= GROWTH;
    }
    order.jobs = advise_jobs_for(advise, wanted_s, job->time_s, 1);
    code = advise_ask(advise, MEMBER_INLINE, &order, wanted_s, ret_answer, ret_error);
    if (code == 0)
        job->time_s = mean_of(advise, order.jobs, ret_answer->wall_s);
    return code;
}

/* Makes what is known of each sample fit to what they took together, where what goes on around jobs
 * is a part of it, and to what jobs take that are too short to be timed. */
static void fit_samples(struct advise *advise, const struct crew_answer *alone)
{
    struct advise_job *job = &advise->report.job;
    double sum_s = advise_sum_s(advise, alone->jobs);
    double around_s = (alone->wall_s - sum_s) / (double)alone->jobs;

    for (size_t i = 0; i < advise->spec.sample_count; i++)
        if (job->time_s < TIMED_S)
            advise->sample_s[i] = job->time_s;
        else if (around_s > 0)
            advise->sample_s[i] += around_s;
        else
            advise->sample_s[i] *= alone->wall_s / sum_s;
    job->time_s = advise_sum_s(advise, advise->good_count) / (double)advise->good_count;
}

/* The jobs one after another, in one process: how long they take and what of that is waiting. */
static int measure_alone(struct advise *advise, struct muster_error *ret_error)
{
    const struct advise_way way = {.model = MUSTER_INLINE, .workers = 1, .concurrency = 1};
    struct advise_job *job = &advise->report.job;
    struct crew_order order = {.function = CREW_SELF, .mask = advise->good, .timed = true};
    struct crew_answer alone, timed;
    int code;

    step(advise, "one after another");
    if ((code = advise_open_way(advise, MEMBER_INLINE, &way, &alone, ret_error)) != 0 ||
        (code = find_length(advise, &alone, ret_error)) != 0)
        return code;
    job->computing = computing_of(&alone);
    advise->report.disturbed = alone.wall_s > 0 ? alone.delay_s / alone.wall_s : 0;
    order.jobs = advise_jobs_for(advise, ALONE * advise->spec.time_s, job->time_s + TIMING_S, 1);
    if ((code = advise_ask(advise, MEMBER_INLINE, &order, ALONE * advise->spec.time_s, &timed, ret_error)) !=
        0)
        return code;
    note_spread(advise, &timed);
    fit_samples(advise, &alone);
    advise->report.in_process = true;
    return 0;
}

/* What a way did wrong, for the report. */
static void note_fault(struct advise_report *report, size_t way, const struct muster_error *error)
{
    report->ways[way].fault = error->code == MUSTER_ECRASHED   ? ADVISE_CRASHED
                              : error->code == MUSTER_ETIMEOUT ? ADVISE_HUNG
                                                               : ADVISE_REFUSED;
    snprintf(report->faults[way], sizeof report->faults[way], "%.*s", ADVISE_FAULT_BYTES - 1, error->text);
}

/* Finds out about the jobs; what inline does wrong is no error, but a fault of inline. */
static int look_at_jobs(struct advise *advise, struct muster_error *ret_error)
{
    struct advise_report *report = &advise->report;
    struct muster_error error;
    int code;

    if ((code = examine(advise, ret_error)) != 0)
        return code;
    error.code = 0;
    if (report->job.time_s <= TOO_LONG * advise->spec.time_s)
        code = measure_alone(advise, &error);
    if (code == MUSTER_ECANCELLED || code == MUSTER_ESYSTEM || code == MUSTER_ENOMEM)
        return muster_error_set(ret_error, code, "%s", error.text);
    if (report->job.computing >= (report->in_process ? ALL_COMPUTING : MUCH_COMPUTING))
        report->job.computing = 1;
    if (report->job.computing < LEAST_COMPUTING)
        report->job.computing = LEAST_COMPUTING;
    note_differences(advise);
    report->way_count = advise_plan(&report->job, report->workers, report->ways);
    report->ways[MEMBER_PROCESSES].start_s = advise->start_s;
    if (code)
        note_fault(report, MEMBER_INLINE, &error);
    return 0;
}

static void conclude(struct advise *advise)
{
    struct advise_report *report = &advise->report;
    const struct advise_way *inl = &report->ways[0], *advised;
    double longest = report->job.longest_s / report->job.time_s;

    if (inl->tried) { /* by turns with the others, and often */
        report->job.time_s = inl->tried_s;
        report->job.longest_s = longest * inl->tried_s;
    }
    for (size_t i = 0; i < report->way_count; i++)
        advise_settle(&report->job, &report->ways[i], report->cores);
    report->choice = advise_choose(&report->job, report->ways, report->way_count, report->jobs);
    report->breaks = advise_breaks(&report->job, report->ways, report->way_count, report->cores);
    advised = &report->ways[report->choice.advised];
    report->speedup =
        advise_batch_s(&report->job, inl, report->jobs) / advise_batch_s(&report->job, advised, report->jobs);
    report->speedup_low = report->speedup * (inl->low_s / inl->job_s) / (advised->high_s / advised->job_s);
    report->speedup_high = report->speedup * (inl->high_s / inl->job_s) / (advised->low_s / advised->job_s);
    if (advised == inl)
        report->speedup_low = report->speedup_high = 1;
    report->chunk_jobs = report->job.time_s < CHUNK_S ? (uint64_t)(CHUNK_S / report->job.time_s) : 1;
    advise_explain(report);
}

int advise_run(struct advise *advise, int interrupt_fd, struct advise_report *ret_report,
               struct muster_error *ret_error)
{
    struct advise_report *report = &advise->report;
    int code;

    advise->interrupt_fd = interrupt_fd;
    advise->began_ns = clock_now_ns();
    report->samples = advise->spec.sample_count;
    report->jobs = advise->spec.jobs;
    report->cores = muster_cores();
    report->workers = advise->spec.options.workers ? advise->spec.options.workers : report->cores;
    if ((code = look_at_jobs(advise, ret_error)) != 0)
        return code;
    step(advise, "the ways of running them, by turns");
    if ((code = advise_try(advise, ret_error)) != 0)
        return code;
    conclude(advise);
    *ret_report = *report;
    return 0;
}

int advise_open(const struct advise_spec *spec, struct advise **ret_advise, struct muster_error *ret_error)
{
    struct advise *advise;
    struct crew_spec crew;
    int code;

    if (spec->sample_count == 0 || spec->sample_count > CREW_SAMPLES_MAX)
        return muster_error_set(ret_error, MUSTER_EINVALID, "1 to %d samples are needed, not %zu",
                                CREW_SAMPLES_MAX, spec->sample_count);
    if (!(advise = calloc(1, sizeof *advise)))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    advise->spec = *spec;
    advise->report.timeout_s = spec->timeout_s;
    if (advise->spec.time_s <= 0)
        advise->spec.time_s = ADVISE_TIME_S;
    if (advise->spec.timeout_s <= 0)
        advise->spec.timeout_s = ADVISE_TIMEOUT_S;
    crew = (struct crew_spec){.function = spec->function,
                              .samples = spec->samples,
                              .sample_count = spec->sample_count,
                              .around = spec->around,
                              .options = spec->options};
    if ((code = crew_open(&advise->crew, &crew, ret_error)) != 0) {
        free(advise);
        return code;
    }
    *ret_advise = advise;
    return 0;
}

void advise_close(struct advise *advise)
{
    if (!advise)
        return;
    crew_close(&advise->crew);
    free(advise);
}
