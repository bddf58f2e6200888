/* SPDX-License-Identifier: MIT
 *
 * An advice as a table, a few lines and a command; or as an object. See advise_report.h.
 */
#include "cli/advise_report.h"

#include "cli/json_write.h"
#include "cli/table.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { WIDTH = 80 };

/* The text in lines that are no longer than WIDTH, where its words are not. */
static int print_wrapped(const char *text, struct output *output)
{
    int code = 0;

    while (*text && !code) {
        size_t size = strlen(text), end = size;

        if (size > WIDTH) {
            for (end = WIDTH; end > 0 && text[end] != ' '; end--)
                ;
            if (end == 0)
                end = strcspn(text, " ");
        }
        code = output_text(output, "%.*s\n", (int)end, text);
        text += end + strspn(text + end, " ");
    }
    return code;
}

static const char *mark_of(const struct advise_report *report, size_t place)
{
    if (place == report->choice.advised)
        return "advised";
    switch (report->ways[place].fault) {
    case ADVISE_SOUND:
        break;
    case ADVISE_CRASHED:
        return "crashed";
    case ADVISE_HUNG:
        return "hung";
    case ADVISE_DISAGREED:
        return "other results";
    case ADVISE_REFUSED:
        return "not possible";
    }
    return report->ways[place].tried ? "" : "predicted";
}

static void add_way(struct table *table, const struct advise_report *report, size_t place)
{
    const struct advise_way *way = &report->ways[place];

    table_add(table, "%s", muster_model_name(way->model));
    table_add(table, "%u", way->workers);
    table_add(table, "%u", way->concurrency);
    if (way->fault == ADVISE_SOUND) {
        table_add_time(table, way->job_s);
        table_add(table, "%.2fx%s", report->ways[0].job_s / way->job_s, way->tried && way->noisy ? " ?" : "");
    } else {
        table_add(table, "-");
        table_add(table, "-");
    }
    if (way->start_s > 0)
        table_add_time(table, way->start_s);
    else
        table_add(table, "-");
    table_add(table, "%s", mark_of(report, place));
}

int advise_report_text(const struct advise_report *report, const char *function, struct output *output)
{
    static const char *const headings[] = {"model",   "workers",  "at once", "time/job",
                                           "speedup", "start-up", ""};
    enum { COLUMNS = sizeof headings / sizeof *headings };
    struct table table;
    int code;

    table_init(&table, headings, COLUMNS);
    table.left |= 1U << (COLUMNS - 1);
    for (size_t i = 0; i < report->way_count; i++)
        add_way(&table, report, i);
    code = output_text(output, "%s, %zu sample%s, %" PRIu64 " runs, %u core%s\n\n", function, report->samples,
                       report->samples == 1 ? "" : "s", report->runs, report->cores,
                       report->cores == 1 ? "" : "s");
    if (!code)
        code = table_print(&table, output);
    if (!code)
        code = output_text(output, "\n");
    if (!code)
        code = print_wrapped(report->sentence, output);
    return code;
}

/* null for what is not known, or never. */
static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *way_document(const struct advise_report *report, size_t place)
{
    const struct advise_way *way = &report->ways[place];
    bool sound = way->fault == ADVISE_SOUND;

    return json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:f, s:f, s:b, s:b, s:o}", "model",
                     muster_model_name(way->model), "workers", (json_int_t)way->workers, "concurrency",
                     (json_int_t)way->concurrency, "job_s", number(sound ? way->job_s : NAN), "low_s",
                     number(sound ? way->low_s : NAN), "high_s", number(sound ? way->high_s : NAN), "speedup",
                     number(sound ? report->ways[0].job_s / way->job_s : NAN), "start_s", way->start_s,
                     "null_s", way->null_s, "tried", (int)way->tried, "noisy", (int)way->noisy, "fault",
                     sound ? json_null() : json_write_text(report->faults[place]));
}

static json_t *ways_document(const struct advise_report *report)
{
    json_t *array = json_array();

    for (size_t i = 0; array && i < report->way_count; i++)
        if (json_array_append_new(array, way_document(report, i))) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *job_document(const struct advise_report *report)
{
    const struct advise_job *job = &report->job;

    return json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:b}", "kind",
                     advise_kind_name(advise_kind(job)), "time_s", job->time_s, "longest_s", job->longest_s,
                     "computing", job->computing, "spread_between_samples", job->between,
                     "spread_of_a_sample", job->within, "disturbed", report->disturbed, "bytes_in",
                     job->bytes_in, "bytes_out", job->bytes_out, "repeatable", (int)report->repeatable);
}

static json_t *samples_document(const struct advise_report *report)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "given", (json_int_t)report->samples, "failed",
                     (json_int_t)report->failed, "crashed", (json_int_t)report->crashed, "timed_out",
                     (json_int_t)report->timed_out, "unfinished", (json_int_t)report->unfinished, "runs",
                     (json_int_t)report->runs);
}

static json_t *advice_document(const struct advise_report *report)
{
    static const char *const reasons[] = {[ADVISE_FASTEST] = "fastest",
                                          [ADVISE_ISOLATED] = "isolated",
                                          [ADVISE_SIMPLE] = "simple",
                                          [ADVISE_SAFE] = "safe"};
    const struct advise_way *way = &report->ways[report->choice.advised];

    return json_pack("{s:s, s:I, s:I, s:s, s:I, s:s, s:s, s:o, s:o, s:o, s:b}", "model",
                     muster_model_name(way->model), "workers", (json_int_t)way->workers, "concurrency",
                     (json_int_t)way->concurrency, "chunk", "auto", "chunk_jobs",
                     (json_int_t)report->chunk_jobs, "options", report->options, "reason",
                     reasons[report->choice.reason], "speedup", number(report->speedup), "speedup_low",
                     number(report->speedup_low), "speedup_high", number(report->speedup_high), "uncertain",
                     (int)report->uncertain);
}

json_t *advise_report_document(const struct advise_report *report, const char *function)
{
    const struct advise_breaks *breaks = &report->breaks;

    return json_pack("{s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:I, s:o, s:{s:o, s:o, s:o}, s:f, s:o}", "function",
                     function, "cores", (json_int_t)report->cores, "workers", (json_int_t)report->workers,
                     "jobs", (json_int_t)report->jobs, "samples", samples_document(report), "job",
                     job_document(report), "ways", ways_document(report), "fastest",
                     (json_int_t)report->choice.fastest, "advice", advice_document(report), "break_even",
                     "beats_inline_s", number(breaks->beats_inline_s), "near_threads_s",
                     number(breaks->near_threads_s), "pays_start_jobs", number(breaks->pays_start_jobs),
                     "round_trip_s", report->round_trip_s, "sentence", json_write_text(report->sentence));
}
