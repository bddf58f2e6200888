/* SPDX-License-Identifier: MIT
 *
 * An advice in plain words: what the jobs are, what to do and why, from when on processes pay, and
 * what there is to doubt. Pure; see advise.h.
 */
#include "lab/advise.h"

#include "lab/words.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* Samples that differ by more from each other (standard deviation / mean) may not be like the jobs
 * that they stand for; runs of the same sample that do were held up. */
static const double DIFFERENT = 0.5, SCATTERED = 0.25;

/* A share of inline's time that other programs took, and that is worth a word. */
static const double DISTURBED = 0.1;

/* What is faster by less is as fast. */
static const double AS_FAST = 0.005;

/* A time that was measured to be shorter than this is none. */
static const double NOTHING_S = 1e-9;

static const struct advise_way *advised_way(const struct advise_report *report)
{
    return &report->ways[report->choice.advised];
}

static const struct advise_way *fastest_way(const struct advise_report *report)
{
    return &report->ways[report->choice.fastest];
}

/* "processes of 2 workers, 100 jobs at once in each" */
static void say_way(struct words *words, const struct advise_way *way)
{
    words_say(words, "%s", muster_model_name(way->model));
    if (way->model != MUSTER_INLINE && way->model != MUSTER_LOOP)
        words_say(words, ", %u worker%s", way->workers, way->workers == 1 ? "" : "s");
    if (way->model == MUSTER_PROCESSES && way->concurrency > 1)
        words_say(words, " of %u jobs at once", way->concurrency);
}

static void write_options(struct advise_report *report)
{
    const struct advise_way *way = advised_way(report);
    struct words words = {.text = report->options, .size = sizeof report->options};

    words_say(&words, "--model %s", muster_model_name(way->model));
    if (way->model == MUSTER_THREADS || way->model == MUSTER_PROCESSES)
        words_say(&words, " -j%u", way->workers);
    if (way->concurrency > 1)
        words_say(&words, " --concurrency %u", way->concurrency);
    if (way->model == MUSTER_PROCESSES && report->timeout_s > 0)
        words_say(&words, " --timeout %.9g", report->timeout_s);
}

static void say_jobs(struct words *words, const struct advise_report *report)
{
    char time[WORDS_BYTES];

    words_time(report->job.time_s, time);
    words_say(words, "The jobs are %s: %s each", advise_kind_name(advise_kind(&report->job)), time);
    if (advise_kind(&report->job) != ADVISE_CPU_BOUND)
        words_say(words, ", computing for %.*f%% of it", report->job.computing < 0.0995 ? 1 : 0,
                  100 * report->job.computing);
    words_say(words, ".");
}

/* How the other ways are out of the question, or slower. */
static void say_reason(struct words *words, const struct advise_report *report)
{
    const struct advise_way *advised = advised_way(report), *fastest = fastest_way(report);
    double faster = advise_batch_s(&report->job, advised, report->jobs) /
                        advise_batch_s(&report->job, fastest, report->jobs) -
                    1;

    switch (report->choice.reason) {
    case ADVISE_FASTEST:
        words_say(words, advised->model == MUSTER_INLINE ? ": nothing is faster than one after another"
                                                         : ": nothing is faster");
        break;
    case ADVISE_ISOLATED:
        if (faster < AS_FAST)
            words_say(words, ": as fast as %s, where a crash would end all jobs; here it costs one",
                      muster_model_name(fastest->model));
        else
            words_say(words, ": %s would be %.1f%% faster, but a crash would end all jobs; here it costs one",
                      muster_model_name(fastest->model), 100 * faster);
        break;
    case ADVISE_SIMPLE:
        words_say(words, ": %s would be %.1f%% faster, which is not worth the trouble",
                  muster_model_name(fastest->model), 100 * faster);
        break;
    case ADVISE_SAFE:
        words_say(words, ": only there does a job that crashes, or never ends, cost nothing but itself");
        break;
    }
}

/* Behind the point: three digits are more than is known. */
static int digits_of(double speedup)
{
    return speedup < 10 ? 2 : speedup < 100 ? 1 : 0;
}

static void say_advice(struct words *words, const struct advise_report *report)
{
    const struct advise_way *advised = advised_way(report);

    words_say(words, " Advised: ");
    say_way(words, advised);
    if (report->jobs > 0) {
        words_say(words, ", for ");
        words_jobs(words, report->jobs);
    }
    say_reason(words, report);
    words_say(words, ".");
    if (advised->model == MUSTER_INLINE)
        return;
    words_say(words, " Expect %.*fx the speed of inline", digits_of(report->speedup), report->speedup);
    if (advised->tried)
        words_say(words, " (%.*f to %.*f)", digits_of(report->speedup_low), report->speedup_low,
                  digits_of(report->speedup_high), report->speedup_high);
    if (advised->concurrency == 1)
        words_say(words, ", in automatic chunks of about %" PRIu64, report->chunk_jobs);
    words_say(words, ".");
}

/* How much of it is predicted. */
static void say_places(struct words *words, const struct advise_report *report)
{
    const struct advise_way *advised = advised_way(report);

    if (advised->tried && advised->concurrency > advised->tried_concurrency)
        words_say(
            words,
            " That many at once are predicted from %u, which were tried: what the jobs wait for may bear "
            "fewer.",
            advised->workers * advised->tried_concurrency);
}

/* "jobs of 20 us on" */
static void say_length(struct words *words, double length_s)
{
    char time[WORDS_BYTES];

    if (length_s < NOTHING_S) {
        words_say(words, "the shortest jobs on");
        return;
    }
    words_time(length_s, time);
    words_say(words, "jobs of %s on", time);
}

/* From which length of jobs on, and how many of them, processes pay. */
static void say_breaks(struct words *words, const struct advise_report *report)
{
    const struct advise_breaks *breaks = &report->breaks;
    char time[WORDS_BYTES];

    if (isnan(breaks->beats_inline_s)) {
        words_say(words, report->cores == 1 || report->workers == 1
                             ? " On one core processes are never faster than inline; they isolate."
                             : " Processes are not faster than inline at any length.");
    } else {
        words_say(words, " With such values processes are faster than inline from ");
        say_length(words, breaks->beats_inline_s);
    }
    if (!isnan(breaks->beats_inline_s) && !isnan(breaks->near_threads_s)) {
        words_say(words, ", and within 5%% of threads from ");
        say_length(words, breaks->near_threads_s);
    }
    if (!isnan(breaks->beats_inline_s))
        words_say(words, ".");
    if (breaks->pays_start_jobs > 1) {
        words_time(report->ways[1].start_s, time);
        words_say(words, " Their start-up takes %s: %.0f jobs like these pay for it.", time,
                  breaks->pays_start_jobs);
    }
}

static void say_samples(struct words *words, const struct advise_report *report)
{
    char limit[WORDS_BYTES];

    words_time(report->timeout_s, limit);
    if (report->failed > 0)
        words_say(words, " %zu of %zu samples failed", report->failed, report->samples);
    if (report->crashed > 0)
        words_say(words, ", %zu by crashing the worker", report->crashed);
    if (report->timed_out > 0)
        words_say(words, ", %zu by not ending within %s", report->timed_out, limit);
    if (report->failed > 0)
        words_say(words, " (sample %zu: %s); the advice is for the others.", report->first_failed,
                  report->failure);
    if (report->relapse[0])
        words_say(words, " A sample that had succeeded failed when it was run again: %s.", report->relapse);
    if (report->unfinished > 0)
        words_say(words, " There was no time for %zu of the samples.", report->unfinished);
}

/* Ways that are out of the question. */
static void say_faults(struct words *words, const struct advise_report *report)
{
    for (size_t i = 0; i < report->way_count; i++)
        if (report->ways[i].fault != ADVISE_SOUND)
            words_say(words, " Do not use %s: it %s.", muster_model_name(report->ways[i].model),
                      report->faults[i]);
}

static bool is_noisy(const struct advise_report *report)
{
    for (size_t i = 0; i < report->way_count; i++)
        if (report->ways[i].fault == ADVISE_SOUND && report->ways[i].tried && report->ways[i].noisy)
            return true;
    return report->job.within > SCATTERED;
}

/* How far the machine, or the jobs, may have led the figures astray. */
static void say_noise(struct words *words, struct advise_report *report)
{
    bool noisy = is_noisy(report), disturbed = report->disturbed > DISTURBED;

    report->uncertain = report->uncertain || noisy || disturbed;
    if (disturbed)
        words_say(words,
                  " Other programs had the core for %.0f%% of inline's time: ask again when the machine is "
                  "quiet.",
                  100 * report->disturbed);
    else if (noisy)
        words_say(words,
                  " Something else uses the machine, or the same job takes different times: the figures "
                  "are rough.");
}

static void say_doubts(struct words *words, struct advise_report *report)
{
    size_t good = report->samples - report->failed - report->unfinished;
    bool tried = advised_way(report)->tried, different = report->job.between > DIFFERENT;

    report->uncertain = !tried || different || good == 1;
    if (good == 1)
        words_say(words, " One sample says nothing about how jobs differ: give several.");
    if (different)
        words_say(
            words,
            " The samples differ much (by %.0f%% of their mean; the longest takes %.1f times that): the "
            "advice is as good as they stand for the jobs.",
            100 * report->job.between, report->job.longest_s / report->job.time_s);
    if (!tried && report->relapse[0])
        words_say(words, " What is said of speed is predicted from one run of each.");
    else if (!tried)
        words_say(words, " The jobs are too long to be tried in this time (--time): what is said of speed is "
                         "predicted from one run of each.");
    say_noise(words, report);
}

void advise_explain(struct advise_report *report)
{
    struct words words = {.text = report->sentence, .size = sizeof report->sentence};

    report->sentence[0] = '\0';
    write_options(report);
    say_jobs(&words, report);
    say_advice(&words, report);
    say_places(&words, report);
    say_breaks(&words, report);
    say_samples(&words, report);
    say_faults(&words, report);
    say_doubts(&words, report);
}
