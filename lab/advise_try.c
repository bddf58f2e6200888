/* SPDX-License-Identifier: MIT
 *
 * Tries ways of running the samples: what a job costs that does nothing with the same values, then
 * the jobs themselves, in rounds in which the ways take turns. See advise_internal.h.
 */
#include "lab/advise_internal.h"

#include "lab/sample.h"

#include <math.h>
#include <stdio.h>

/* Rounds that time is shared out for; fewer where jobs are long. Ways that after the first of them are
 * slower than the best by more than this leave their turns to the others. */
enum { ROUNDS = 7, ROUNDS_OF_ALL = 3 };
static const double BEHIND = 1.5;

/* Jobs that do nothing are run for so long, so often; single ones so often. */
static const double NULL_RUN_S = 8e-3;
enum { NULL_ROUNDS = 3, NULL_JOBS_MAX = 1 << 16, SINGLE_JOBS = 30 };

/* When the trials should be over, of the time to measure; what must fit into what is left. */
static const double OVER = 0.95, FITS = 0.9;

/* What is left for the trials however long the rest took. */
static const double LEAST = 0.25;

/* Smaller results cost nothing that could be seen beside the job's own cost. */
static const double SMALL_RESULT_BYTES = 64;

/* Reading clocks, 1 us, is nothing beside such a job. */
static const double LONG_JOB_S = 1e-3;

enum { GROWTH = 8 };

/* One way, while it is tried. */
struct attempt {
    struct advise_way *way;
    uint64_t jobs;             /* of a round */
    struct sample walls, cpus; /* of a job */
    bool behind;               /* it is not tried any more */
};

struct attempts {
    struct attempt items[ADVISE_WAYS_MAX];
};

/* What the way did wrong. */
static void note_fault(struct advise *advise, size_t place, enum advise_fault fault, const char *text)
{
    advise->report.ways[place].fault = fault;
    snprintf(advise->report.faults[place], sizeof advise->report.faults[place], "%.*s",
             ADVISE_FAULT_BYTES - 1, text);
}

/* A sample that had succeeded crashed its worker when it was run again. */
static void note_crash(struct advise *advise, const char *text)
{
    struct advise_report *report = &advise->report;

    report->job.unsafe = true;
    snprintf(report->relapse, sizeof report->relapse, "%.*s", ADVISE_FAULT_BYTES - 1, text);
}

/* Has the way's member do it. 0, also when the way was found to be at fault; else what ends the
 * advice. */
static int ask(struct advise *advise, size_t place, const struct crew_order *order, double expected_s,
               struct crew_answer *ret_answer, struct muster_error *ret_error)
{
    struct muster_error error;
    int code = advise_ask(advise, place, order, expected_s, ret_answer, &error);

    if (code == MUSTER_ECANCELLED)
        return muster_error_set(ret_error, code, "%s", error.text);
    if (code == MUSTER_ECRASHED)
        note_fault(advise, place, ADVISE_CRASHED, error.text);
    else if (code == MUSTER_ETIMEOUT)
        note_fault(advise, place, ADVISE_HUNG, error.text);
    else if (code == MUSTER_EFAILED)
        note_crash(advise, error.text);
    else if (code)
        note_fault(advise, place, ADVISE_REFUSED, error.text);
    return 0;
}

static bool is_sound(const struct advise *advise, size_t place)
{
    return advise->report.ways[place].fault == ADVISE_SOUND;
}

/* Whether there is more to be learned of it: what runs of jobs that crash take says nothing of processes. */
static bool goes_on(const struct advise *advise, size_t place)
{
    return is_sound(advise, place) &&
           !(advise->report.relapse[0] && advise->report.ways[place].model == MUSTER_PROCESSES);
}

/* The least wall time of a job that does nothing, of several runs that are long enough. */
static int measure_null(struct advise *advise, size_t place, enum crew_function function, bool on_results,
                        double *ret_job_s, struct muster_error *ret_error)
{
    struct crew_order order = {
        .function = function, .on_results = on_results, .mask = advise->good, .jobs = 1};
    struct crew_answer answer;
    double least_s = INFINITY;
    int code;

    for (int round = 0; round < NULL_ROUNDS;) {
        if ((code = ask(advise, place, &order, 1, &answer, ret_error)) != 0 || !is_sound(advise, place))
            return code;
        if (answer.wall_s < NULL_RUN_S && order.jobs < NULL_JOBS_MAX) {
            order.jobs *= GROWTH;
            least_s = INFINITY; /* shorter runs that were held up are forgotten */
            round = 0;
            continue;
        }
        if (answer.wall_s / (double)order.jobs < least_s)
            least_s = answer.wall_s / (double)order.jobs;
        round++;
    }
    *ret_job_s = least_s;
    return 0;
}

/* What values cost the way: their way in as arguments of noop, and their way out as what echo takes
 * beyond it. */
static int measure_values(struct advise *advise, size_t place, struct muster_error *ret_error)
{
    struct advise_way *way = &advise->report.ways[place];
    double in_s = 0, taken_s = 0, returned_s = 0;
    bool large = way->model == MUSTER_PROCESSES && place == MEMBER_PROCESSES && advise->kept &&
                 advise->report.job.bytes_out > SMALL_RESULT_BYTES;
    int code = measure_null(advise, place, CREW_NOOP, false, &in_s, ret_error);

    if (!code && large && is_sound(advise, place))
        code = measure_null(advise, place, CREW_NOOP, true, &taken_s, ret_error);
    if (!code && large && is_sound(advise, place))
        code = measure_null(advise, place, CREW_ECHO, true, &returned_s, ret_error);
    way->null_s = in_s + (returned_s > taken_s ? returned_s - taken_s : 0);
    return code;
}

/* Whether another way tells what values cost this one: that of the same model, with other workers;
 * for the loop inline, which runs on one thread, too. */
static bool takes_null_of(const struct advise *advise, size_t place, double *ret_null_s)
{
    const struct advise_way *ways = advise->report.ways;

    for (size_t i = 0; i < place; i++)
        if (ways[i].fault == ADVISE_SOUND && (ways[i].model == ways[place].model ||
                                              (ways[place].model == MUSTER_LOOP && i == MEMBER_INLINE))) {
            *ret_null_s = ways[i].null_s;
            return true;
        }
    return false;
}

/* How long a single job takes, there and back. */
static int measure_round_trip(struct advise *advise, struct muster_error *ret_error)
{
    const struct crew_order order = {
        .function = CREW_NOOP, .batch = 1, .mask = advise->good, .jobs = SINGLE_JOBS};
    struct crew_answer answer;
    int code = ask(advise, MEMBER_PROCESSES, &order, 1, &answer, ret_error);

    if (!code && is_sound(advise, MEMBER_PROCESSES))
        advise->report.round_trip_s = answer.wall_s / SINGLE_JOBS;
    return code;
}

/* Opens the way, unless looking at the jobs did that already, and measures what it costs by itself. */
static int prepare(struct advise *advise, size_t place, struct muster_error *ret_error)
{
    struct advise_way *way = &advise->report.ways[place];
    const struct crew_order order = {.open = true,
                                     .model = way->model,
                                     .workers = way->workers,
                                     .concurrency = way->tried_concurrency,
                                     .function = CREW_NOOP};
    struct crew_answer answer;
    int code = 0;

    if (place != MEMBER_PROCESSES) {
        if ((code = ask(advise, place, &order, 1, &answer, ret_error)) != 0 || !is_sound(advise, place))
            return code;
        way->start_s = answer.wall_s;
    }
    if (takes_null_of(advise, place, &way->null_s))
        return 0;
    code = measure_values(advise, place, ret_error);
    return code || place != MEMBER_PROCESSES ? code : measure_round_trip(advise, ret_error);
}

/* Whether the results are those of inline, where inline gives the same each time. */
static bool agrees(const struct advise *advise, const struct crew_answer *answer)
{
    for (size_t i = 0; i < advise->spec.sample_count; i++) {
        const struct crew_sample *own = &answer->samples[i], *seen = &advise->seen[i];

        if (own->jobs > 0 && (own->differs || (seen->outcome && own->outcome != seen->outcome)))
            return false;
    }
    return true;
}

/* Samples that went well once may crash, or not end, when they are repeated. */
static void note_crashes(struct advise *advise, const struct crew_answer *answer)
{
    for (size_t i = 0; i < advise->spec.sample_count; i++) {
        int code = answer->samples[i].code;

        if (code == MUSTER_ECRASHED || code == MUSTER_EQUARANTINED || code == MUSTER_ETIMEOUT)
            advise->report.job.unsafe = true;
    }
}

/* Enters what a round came to. */
static void note_round(struct advise *advise, struct attempt *attempt, const struct crew_answer *answer)
{
    double expected_s = advise_sum_s(advise, attempt->jobs), time_s = advise->report.job.time_s;
    /* By what these samples take, since a round need not have whole turns of them. */
    double part = time_s / (expected_s > 0 ? expected_s : time_s);

    sample_add(&attempt->walls, answer->wall_s * part);
    sample_add(&attempt->cpus, answer->cpu_s * part);
}

/* A round in which each job is timed: whether the way comes to the same results. Where jobs are long
 * beside a clock, it counts like the others. */
static int check(struct advise *advise, struct attempt *attempt, size_t place, struct muster_error *ret_error)
{
    const struct crew_order order = {
        .function = CREW_SELF, .timed = true, .mask = advise->good, .jobs = attempt->jobs};
    struct crew_answer answer;
    int code = ask(advise, place, &order, advise_sum_s(advise, attempt->jobs), &answer, ret_error);

    if (code || !goes_on(advise, place))
        return code;
    note_crashes(advise, &answer);
    if (advise->report.repeatable && !agrees(advise, &answer))
        note_fault(advise, place, ADVISE_DISAGREED, "gives other results than inline");
    else if (advise->report.job.time_s >= LONG_JOB_S)
        note_round(advise, attempt, &answer);
    return 0;
}

/* Jobs under way at once in the trial. */
static double places_of(const struct advise_way *way)
{
    return (double)way->workers * way->tried_concurrency;
}

/* How many jobs a round of the way has: all its places filled, several times where jobs are short. */
static void size_round(const struct advise *advise, struct attempt *attempt, double slot_s)
{
    struct advise_way *way = attempt->way;
    uint64_t least;
    double job_s;

    least = (uint64_t)places_of(way);
    job_s = advise_predict(&advise->report.job, way, way->tried_concurrency, advise->report.cores);
    attempt->jobs = advise_jobs_for(advise, slot_s, job_s, least);
    if (attempt->jobs < least * GROWTH) /* the last ones should not run alone */
        attempt->jobs -= attempt->jobs % least;
}

/* How long a round takes of all ways that are still tried. */
static double round_s(const struct advise *advise, const struct attempts *attempts)
{
    const struct advise_report *report = &advise->report;
    double sum_s = 0;

    for (size_t i = 0; i < report->way_count; i++)
        if (goes_on(advise, i) && !attempts->items[i].behind)
            sum_s += (double)attempts->items[i].jobs * advise_predict(&report->job, &report->ways[i],
                                                                      report->ways[i].tried_concurrency,
                                                                      report->cores);
    return sum_s;
}

/* One turn of a way. */
static int take_turn(struct advise *advise, struct attempt *attempt, size_t place,
                     struct muster_error *ret_error)
{
    const struct crew_order order = {.function = CREW_SELF, .mask = advise->good, .jobs = attempt->jobs};
    struct crew_answer answer;
    int code = ask(advise, place, &order, advise_sum_s(advise, attempt->jobs), &answer, ret_error);

    if (code == 0 && goes_on(advise, place))
        note_round(advise, attempt, &answer);
    return code;
}

/* Enters what the rounds of a way came to. */
static void note_rounds(struct attempt *attempt)
{
    struct advise_way *way = attempt->way;
    struct sample_summary walls;

    if (attempt->walls.count == 0)
        return;
    walls = sample_summarize(&attempt->walls);
    way->tried = true;
    /* What else the machine does only ever adds, but the very best round may have been lucky. */
    way->tried_s = walls.low;
    way->tried_low_s = attempt->walls.values[0]; /* they are sorted now */
    way->tried_high_s = walls.median;
    way->noisy = walls.noisy;
    way->tried_cpu_s = sample_summarize(&attempt->cpus).median;
}

/* Wall time a job of the way in the long run, by the rounds so far. */
static double settled_s(const struct advise *advise, struct attempt *attempt)
{
    struct advise_way way;

    note_rounds(attempt);
    way = *attempt->way;
    advise_settle(&advise->report.job, &way, advise->report.cores);
    return way.job_s;
}

/* Finds the ways that cannot be advised any more. */
static void leave_behind(const struct advise *advise, struct attempts *attempts)
{
    double best_s = INFINITY;

    for (size_t i = 0; i < advise->report.way_count; i++)
        if (is_sound(advise, i))
            best_s = fmin(best_s, settled_s(advise, &attempts->items[i]));
    for (size_t i = 0; i < advise->report.way_count; i++)
        attempts->items[i].behind =
            is_sound(advise, i) && settled_s(advise, &attempts->items[i]) > BEHIND * best_s;
}

static int run_rounds(struct advise *advise, struct attempts *attempts, struct muster_error *ret_error)
{
    struct advise_report *report = &advise->report;
    double end_s = OVER * advise->spec.time_s;
    int code = 0;

    for (size_t i = 0; i < report->way_count && !code; i++)
        if (i != MEMBER_INLINE && goes_on(advise, i))
            code = check(advise, &attempts->items[i], i, ret_error);
    for (int round = 0; round < SAMPLE_MAX && !code; round++) {
        if (round == ROUNDS_OF_ALL)
            leave_behind(advise, attempts);
        if (round > 0 && advise_elapsed_s(advise) + round_s(advise, attempts) > end_s)
            break;
        for (size_t i = 0; i < report->way_count && !code; i++)
            if (goes_on(advise, i) && !attempts->items[i].behind &&
                (round > 0 || attempts->items[i].walls.count == 0))
                code = take_turn(advise, &attempts->items[i], i, ret_error);
    }
    for (size_t i = 0; i < report->way_count && !code; i++)
        if (is_sound(advise, i))
            note_rounds(&attempts->items[i]);
    return code;
}

int advise_try(struct advise *advise, struct muster_error *ret_error)
{
    struct advise_report *report = &advise->report;
    struct attempts attempts = {.items = {{.jobs = 0}}};
    double left_s;
    int code = 0;

    for (size_t i = 0; i < report->way_count && !code; i++) {
        attempts.items[i].way = &report->ways[i];
        report->ways[i].tried_concurrency = advise_trial_concurrency(&report->job, &report->ways[i]);
        if (is_sound(advise, i))
            code = prepare(advise, i, ret_error);
    }
    if (code)
        return code;
    left_s = OVER * advise->spec.time_s - advise_elapsed_s(advise);
    if (left_s < LEAST * advise->spec.time_s)
        left_s = LEAST * advise->spec.time_s;
    for (size_t i = 0; i < report->way_count; i++)
        size_round(advise, &attempts.items[i], left_s / (double)((ROUNDS + 1) * report->way_count));
    /* Jobs that are too long to be tried are predicted: what a way costs is little beside them. */
    if ((report->job.time_s >= LONG_JOB_S ? 1 : 2) * round_s(advise, &attempts) > FITS * left_s)
        return 0;
    return run_rounds(advise, &attempts, ret_error);
}
