/* SPDX-License-Identifier: MIT
 *
 * The verdict of a comparison, in a few sentences: what was fastest and what the boundary cost;
 * whether the jobs compute or wait, and what that means for threads, an event loop and
 * processes; what there is to doubt. See verdict.h.
 */
#include "lab/verdict.h"

#include "lab/row.h"
#include "lab/words.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What is not this much faster than inline does not pay: less is within the noise of a run. */
static const double PAYS = 1.05;

/* One core for all jobs that compute: less than this, whatever the noise. */
static const double ON_ONE_CORE = 1.25;

/* What is slower than another by no more than this is as good. */
static const double AS_GOOD = 0.9;

/* Where nothing pays: a job below this is itself the reason, since handing out one job by
 * itself, without others in its chunk, costs about as much. */
static const double SHORT_JOB_S = 10e-6;

/* What coroutines must gain over one job for each worker to be given the credit. */
static const double MANY = 1.5;

/* A run this short is mostly start and noise. */
static const double SHORT_RUN_S = 1e-3;

/* Jobs that compute for less than this part of their time are called I/O-bound. */
static const double IO_BOUND = 0.5;

/* And for less than this, they do next to nothing but wait. */
static const double ALWAYS_WAITING = 0.01;

/* Shares of inline's time that other programs took: worth a word; and too much to say why models
 * differ. */
static const double DISTURBED = 0.1, TOO_DISTURBED = 0.25;

/* The same for rounds of one model that differ. */
static const double SPREAD = 0.1, TOO_SPREAD = 0.3;

static const struct compare_row *find(const struct compare_report *report, enum muster_model model)
{
    for (size_t i = 0; i < report->count; i++)
        if (report->rows[i].model == model)
            return &report->rows[i];
    return NULL;
}

static double job_seconds(const struct compare_report *report)
{
    return report->rows[0].wall_s / (double)report->rows[0].jobs;
}

static void say_workers(struct words *sentence, unsigned workers, unsigned cores)
{
    words_say(sentence, "on %u worker%s", workers, workers == 1 ? "" : "s");
    if (workers > cores)
        words_say(sentence, " and %u core%s", cores, cores == 1 ? "" : "s");
}

static unsigned cores_used(const struct compare_row *row, unsigned cores)
{
    return row->workers < cores ? row->workers : cores;
}

static const struct compare_row *best_of(const struct compare_report *report)
{
    const struct compare_row *best = &report->rows[0];

    for (size_t i = 1; i < report->count; i++)
        if (report->rows[i].wall_s < best->wall_s)
            best = &report->rows[i];
    return best;
}

/* Who was fastest, and how fast the others were. */
static void say_speed(struct words *sentence, const struct compare_report *report)
{
    const struct compare_row *best = best_of(report);
    char name[COMPARE_NAME_BYTES];
    const char *comma = ";";

    row_name(best, name);
    words_say(sentence, "%s ran the ", name);
    words_jobs(sentence, report->rows[0].jobs);
    words_say(sentence, " fastest");
    if (best->model != MUSTER_INLINE) {
        words_say(sentence, ", %.2fx as fast as inline ", best->speedup);
        say_workers(sentence, best->workers, report->cores);
        comma = ",";
    }
    for (size_t i = 1; i < report->count; i++) {
        const struct compare_row *row = &report->rows[i];

        if (row == best)
            continue;
        row_name(row, name);
        words_say(sentence, "%s %s %.2fx", comma, name, row->speedup);
        if (best->model == MUSTER_INLINE && *comma == ';') {
            words_say(sentence, " as fast ");
            say_workers(sentence, row->workers, report->cores);
        }
        comma = ",";
    }
}

/* What the process boundary cost a job, against threads where they ran; else what a model's
 * whole apparatus did. */
static void say_cost(struct words *sentence, const struct compare_report *report)
{
    const struct compare_row *threads = find(report, MUSTER_THREADS),
                             *processes = find(report, MUSTER_PROCESSES);
    const struct compare_row *row = processes ? processes : threads;
    const char *what = processes ? "dispatch, serialization and waiting" : "dispatch and waiting";
    char cost_words[WORDS_BYTES], job_words[WORDS_BYTES];
    double job = job_seconds(report), cost;

    if (!row || row->concurrency > 1)
        return;
    cost = row->overhead_us_per_job * 1e-6;
    if (processes && threads) {
        cost = (processes->wall_s - threads->wall_s) * cores_used(row, report->cores) / (double)row->jobs;
        what = "the process boundary";
    }
    if (cost <= 0) {
        words_say(sentence, "; %s cost nothing that could be measured", what);
        return;
    }
    words_time(cost, cost_words);
    words_time(job, job_words);
    words_say(sentence, "; %s cost %s a job, %.*f%% of a %s job", what, cost_words,
              cost < 0.0995 * job ? 1 : 0, 100 * cost / job, job_words);
}

static bool pays(const struct compare_row *row)
{
    return row && row->speedup >= PAYS;
}

/* What the jobs do with their time. */
static void say_kind(struct words *sentence, const struct compare_report *report)
{
    if (report->computing >= 1)
        words_say(sentence, " The jobs are CPU-bound.");
    else if (report->computing < ALWAYS_WAITING)
        words_say(sentence, " The jobs are I/O-bound: they wait nearly all the time.");
    else if (report->computing < IO_BOUND)
        words_say(sentence, " The jobs are I/O-bound: they wait %.0f%% of their time.",
                  100 * (1 - report->computing));
    else
        words_say(sentence, " The jobs compute %.0f%% of their time and wait for the rest.",
                  100 * report->computing);
}

/* Why nothing paid. */
static void say_nothing_paid(struct words *sentence, const struct compare_report *report)
{
    const struct compare_row *row = &report->rows[report->count - 1];
    char words[WORDS_BYTES];

    words_time(job_seconds(report), words);
    if (row->jobs < 2)
        words_say(sentence, " One job cannot run in parallel.");
    else if (row->workers < 2)
        words_say(sentence, " One worker cannot run two jobs at once.");
    else if (report->cores < 2)
        words_say(sentence, " One core cannot compute two jobs at once.");
    else if (job_seconds(report) < SHORT_JOB_S)
        words_say(sentence, " Jobs of %s are too short to pay in parallel.", words);
    else
        words_say(sentence,
                  " More workers did not pay: the jobs wait for something they share, such as memory, or "
                  "other programs kept the cores busy.");
}

/* Jobs that compute: who has more than one core to do it with. */
static void say_who_computes(struct words *sentence, const struct compare_report *report)
{
    const struct compare_row *threads = find(report, MUSTER_THREADS), *gil = find(report, MUSTER_GIL),
                             *loop = find(report, MUSTER_LOOP), *processes = find(report, MUSTER_PROCESSES);
    bool locked = gil && gil->speedup < ON_ONE_CORE;
    char words[WORDS_BYTES];

    if (pays(threads))
        words_say(sentence, " Threads help%s",
                  locked ? ", as no lock holds them back;" : ": they share nothing that holds them back.");
    if (locked)
        words_say(sentence, "%snder an interpreter lock (gil) one thread computes at a time%s",
                  pays(threads) ? " u" : " U", pays(processes) ? ", and only processes help." : ".");
    if (loop && loop->speedup < ON_ONE_CORE && report->computing >= 1)
        words_say(sentence, " An event loop has one thread to compute with, and does not help.");
    else if (pays(loop) && report->computing < 1)
        words_say(sentence, " An event loop helps, as far as they wait.");
    if (threads && !pays(threads) && pays(processes))
        words_say(sentence, " Only processes help%s: threads wait for something they share, such as memory.",
                  locked ? " even without that lock" : "");
    if (pays(threads) && processes && !pays(processes)) {
        words_time(job_seconds(report), words);
        words_say(sentence, " Jobs of %s, or so few of them, are too short for processes to pay.", words);
    }
}

/* Jobs that wait: who waits for many at once. */
static void say_who_waits(struct words *sentence, const struct compare_report *report)
{
    const struct compare_row *threads = find(report, MUSTER_THREADS), *gil = find(report, MUSTER_GIL),
                             *loop = find(report, MUSTER_LOOP), *processes = find(report, MUSTER_PROCESSES);
    const struct compare_row *best = best_of(report);

    if (pays(loop) && loop->speedup >= AS_GOOD * best->speedup)
        words_say(sentence, " An event loop is enough: its one thread waits for all of them at once.");
    else if (pays(loop))
        words_say(sentence, " An event loop helps, but its one thread is not enough for what they compute.");
    if (pays(threads))
        words_say(sentence, " Threads help as far as they go, each waiting for one job%s.",
                  pays(gil) ? ", also under an interpreter lock (gil), which is free meanwhile" : "");
    if (processes && processes->concurrency > 1 && processes->speedup >= MANY * processes->workers)
        words_say(sentence, " Processes of %u coroutines each wait for many jobs and compute on every core.",
                  processes->concurrency);
}

/* More workers than cores: what came of it. */
static void say_oversubscribed(struct words *sentence, const struct compare_report *report)
{
    const struct compare_row *row = find(report, MUSTER_THREADS);

    row = row ? row : find(report, MUSTER_PROCESSES);
    if (!row || row->workers <= report->cores)
        return;
    if (row->speedup >= PAYS * report->cores)
        words_say(sentence, " %u workers on %u core%s paid: while some wait, others compute.", row->workers,
                  report->cores, report->cores == 1 ? "" : "s");
    else if (report->computing >= 1)
        words_say(sentence,
                  " %u workers cannot compute more than %u core%s: %s took turns, preempted %" PRIu64
                  " time%s, and reached %.0f%% of what the cores can do.",
                  row->workers, report->cores, report->cores == 1 ? " can" : "s can",
                  muster_model_name(row->model), row->involuntary_switches,
                  row->involuntary_switches == 1 ? "" : "s", 100 * row->efficiency);
}

/* The model whose rounds differ most. */
static const struct compare_row *widest_of(const struct compare_report *report)
{
    const struct compare_row *widest = &report->rows[0];

    for (size_t i = 1; i < report->count; i++)
        if (report->rows[i].spread > widest->spread)
            widest = &report->rows[i];
    return widest;
}

/* Whether other programs left figures that explain anything. */
static bool is_telling(const struct compare_report *report)
{
    return report->rows[0].delay_s <= TOO_DISTURBED * report->rows[0].wall_s &&
           widest_of(report)->spread <= TOO_SPREAD;
}

static void say_noise(struct words *sentence, const struct compare_report *report)
{
    const struct compare_row *baseline = &report->rows[0], *widest = widest_of(report);
    const char *worth = is_telling(report)
                            ? "these figures are rough"
                            : "these figures say little; more jobs, or a quiet machine, would tell more";

    if (baseline->delay_s > DISTURBED * baseline->wall_s)
        words_say(sentence, " Other programs had the core for %.0f%% of inline's time: %s.",
                  100 * baseline->delay_s / baseline->wall_s, worth);
    else if (widest->spread > SPREAD)
        words_say(sentence, " Rounds of %s differ by %.0f%%: %s.", muster_model_name(widest->model),
                  100 * widest->spread, worth);
}

/* What the figures are worth. */
static void say_doubts(struct words *sentence, const struct compare_report *report)
{
    const struct compare_row *baseline = &report->rows[0];
    char words[WORDS_BYTES];

    if (baseline->failed == baseline->jobs)
        words_say(sentence, " All jobs failed: what was compared is how they fail.");
    else if (baseline->failed > 0)
        words_say(sentence, " %.*f%% of the jobs failed, which may have cut their work short.",
                  baseline->failed * 100 < baseline->jobs ? 2 : 0,
                  100 * (double)baseline->failed / (double)baseline->jobs);
    if (baseline->wall_s < SHORT_RUN_S) {
        words_time(baseline->wall_s, words);
        words_say(sentence, " All of it took inline %s: more jobs would tell more.", words);
    }
    say_noise(sentence, report);
}

/* What helped and what did not, and the reason. */
static void say_why(struct words *sentence, const struct compare_report *report)
{
    if (!pays(best_of(report)) && (find(report, MUSTER_THREADS) || find(report, MUSTER_PROCESSES)))
        say_nothing_paid(sentence, report);
    else if (report->computing < IO_BOUND)
        say_who_waits(sentence, report);
    else
        say_who_computes(sentence, report);
    say_oversubscribed(sentence, report);
}

void verdict_write(struct compare_report *report)
{
    struct words sentence = {.text = report->sentence, .size = sizeof report->sentence};
    char words[WORDS_BYTES];

    report->sentence[0] = '\0';
    if (report->count == 1) {
        words_say(&sentence, "inline ran the ");
        words_jobs(&sentence, report->rows[0].jobs);
        words_time(job_seconds(report), words);
        words_say(&sentence, ", %s each; there was no other model to compare with.", words);
        say_kind(&sentence, report);
        say_doubts(&sentence, report);
        return;
    }
    say_speed(&sentence, report);
    say_cost(&sentence, report);
    words_say(&sentence, ".");
    say_kind(&sentence, report);
    if (is_telling(report))
        say_why(&sentence, report);
    say_doubts(&sentence, report);
}
