/* SPDX-License-Identifier: MIT
 *
 * The sentence of a comparison: what was fastest, what the boundary cost, and whether it
 * paid. See verdict.h.
 */
#include "lab/verdict.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What is not this much faster than inline does not pay: less is within the noise of a run. */
static const double PAYS = 1.05;

/* Where nothing pays: a job below this is itself the reason, since handing out one job by
 * itself, without others in its chunk, costs about as much. */
static const double SHORT_JOB_S = 10e-6;

enum { WORDS_BYTES = 32 };

struct sentence {
    char *text;
    size_t used;
};

__attribute__((format(printf, 2, 3))) static void say(struct sentence *sentence, const char *format, ...)
{
    size_t room = COMPARE_SENTENCE_BYTES - sentence->used;
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(sentence->text + sentence->used, room, format, arguments);
    va_end(arguments);
    if (size > 0)
        sentence->used += (size_t)size < room ? (size_t)size : room - 1;
}

/* "1,234,567 jobs" */
static void say_jobs(struct sentence *sentence, uint64_t jobs)
{
    char digits[WORDS_BYTES], grouped[2 * WORDS_BYTES];
    size_t used = 0, left = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, jobs);

    for (const char *digit = digits; *digit; digit++) {
        grouped[used++] = *digit;
        if (--left > 0 && left % 3 == 0)
            grouped[used++] = ',';
    }
    grouped[used] = '\0';
    say(sentence, "%s job%s", grouped, jobs == 1 ? "" : "s");
}

/* Two or three digits and the unit that suits. */
static void write_time(double seconds, char words[WORDS_BYTES])
{
    static const struct {
        double unit;
        const char *name;
    } units[] = {{1, "s"}, {1e-3, "ms"}, {1e-6, "us"}, {1e-9, "ns"}};
    size_t i = 0;
    double amount;

    while (i + 1 < sizeof units / sizeof *units && seconds < 0.9995 * units[i].unit)
        i++;
    amount = seconds / units[i].unit;
    snprintf(words, WORDS_BYTES, "%.*f %s", amount < 9.95 ? 1 : 0, amount, units[i].name);
}

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

static void say_workers(struct sentence *sentence, unsigned workers, unsigned cores)
{
    say(sentence, "on %u worker%s", workers, workers == 1 ? "" : "s");
    if (workers > cores)
        say(sentence, " and %u core%s", cores, cores == 1 ? "" : "s");
}

/* Who was fastest, and how fast the others were. */
static void say_speed(struct sentence *sentence, const struct compare_report *report, unsigned cores)
{
    const struct compare_row *best = &report->rows[0];
    const char *comma = ";";

    for (size_t i = 1; i < report->count; i++)
        if (report->rows[i].wall_s < best->wall_s)
            best = &report->rows[i];
    say(sentence, "%s ran the ", muster_model_name(best->model));
    say_jobs(sentence, report->rows[0].jobs);
    say(sentence, " fastest");
    if (best->model != MUSTER_INLINE) {
        say(sentence, ", %.2fx as fast as inline ", best->speedup);
        say_workers(sentence, best->workers, cores);
        comma = ",";
    }
    for (size_t i = 1; i < report->count; i++) {
        const struct compare_row *row = &report->rows[i];

        if (row == best)
            continue;
        say(sentence, "%s %s %.2fx", comma, muster_model_name(row->model), row->speedup);
        if (best->model == MUSTER_INLINE && *comma == ';') {
            say(sentence, " as fast ");
            say_workers(sentence, row->workers, cores);
        }
        comma = ",";
    }
}

/* What the process boundary cost a job, against threads where they ran; else what a model's
 * whole apparatus did. */
static void say_cost(struct sentence *sentence, const struct compare_report *report, unsigned cores)
{
    const struct compare_row *threads = find(report, MUSTER_THREADS),
                             *processes = find(report, MUSTER_PROCESSES);
    const struct compare_row *row = processes ? processes : threads;
    double job = job_seconds(report), cost = row->overhead_us_per_job * 1e-6;
    const char *what = processes ? "dispatch, serialization and waiting" : "dispatch and waiting";
    char cost_words[WORDS_BYTES], job_words[WORDS_BYTES];
    unsigned used = row->workers < cores ? row->workers : cores;

    if (processes && threads) {
        cost = (processes->wall_s - threads->wall_s) * used / (double)row->jobs;
        what = "the process boundary";
    }
    if (cost <= 0) {
        say(sentence, "; %s cost nothing that could be measured", what);
        return;
    }
    write_time(cost, cost_words);
    write_time(job, job_words);
    say(sentence, "; %s cost %s a job, %.*f%% of a %s job", what, cost_words, cost < 0.0995 * job ? 1 : 0,
        100 * cost / job, job_words);
}

static bool pays(const struct compare_row *row)
{
    return row && row->speedup >= PAYS;
}

/* Why it did not pay, where it did not. */
static void say_reason(struct sentence *sentence, const struct compare_report *report, unsigned cores)
{
    const struct compare_row *threads = find(report, MUSTER_THREADS),
                             *processes = find(report, MUSTER_PROCESSES);
    const struct compare_row *row = processes ? processes : threads;
    char words[WORDS_BYTES];

    if (pays(processes) || (pays(threads) && !processes))
        return;
    write_time(job_seconds(report), words);
    if (row->jobs < 2)
        say(sentence, "; one job cannot run in parallel");
    else if (row->workers < 2 || cores < 2)
        say(sentence, "; one %s cannot run two jobs at once", cores < 2 ? "core" : "worker");
    else if (pays(threads))
        say(sentence, "; jobs of %s, or so few of them, are too short for processes to pay", words);
    else if (job_seconds(report) < SHORT_JOB_S)
        say(sentence, "; jobs of %s are too short to pay in parallel", words);
    else
        say(sentence,
            "; more workers did not pay: the jobs wait for something they share, such as memory, or "
            "other programs kept the cores busy");
}

void verdict_write(struct compare_report *report)
{
    unsigned cores = report->cores;
    struct sentence sentence = {.text = report->sentence};
    char words[WORDS_BYTES];

    report->sentence[0] = '\0';
    if (report->count == 1) {
        say(&sentence, "inline ran the ");
        say_jobs(&sentence, report->rows[0].jobs);
        write_time(job_seconds(report), words);
        say(&sentence, ", %s each; there was no other model to compare with.", words);
        return;
    }
    say_speed(&sentence, report, cores);
    say_cost(&sentence, report, cores);
    say_reason(&sentence, report, cores);
    say(&sentence, ".");
}
