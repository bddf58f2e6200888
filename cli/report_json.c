/* SPDX-License-Identifier: MIT
 *
 * A comparison as a JSON document. See report.h.
 */
#include "cli/report.h"

#include "base/clock.h"
#include "cli/json_write.h"
#include "lab/row.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PARTS = 300, /* of the longest timeline: about as many as a page can show */
    LABEL_BYTES = 32,
};

static double seconds(uint64_t ns)
{
    return (double)ns / (double)CLOCK_NS_PER_S;
}

/* Shares of a lane's parts, rounded to what can be seen. */
static json_t *make_shares(const struct timeline_share *shares, size_t count, bool computing)
{
    json_t *array = json_array();

    for (size_t i = 0; array && i < count; i++) {
        double share = computing ? shares[i].computing : shares[i].waiting;

        if (json_array_append_new(array, json_real(round(share * 1000) / 1000))) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

/* A lane; `label` is the worker's number, or what the rest stands for. */
static json_t *make_lane(const struct timeline *timeline, const struct timeline_lane *lane, uint64_t span_ns,
                         const char *label)
{
    struct timeline_share shares[PARTS];
    size_t parts = (size_t)ceil((double)timeline->wall_ns / (double)span_ns * PARTS);

    timeline_sample(timeline, lane, span_ns, PARTS, shares);
    parts = parts < PARTS ? parts : PARTS;
    return json_pack("{s:s, s:I, s:f, s:f, s:o, s:o}", "label", label, "jobs", (json_int_t)lane->jobs,
                     "computing_s", seconds(lane->computing_ns), "waiting_s", seconds(lane->waiting_ns),
                     "computing", make_shares(shares, parts, true), "waiting",
                     make_shares(shares, parts, false));
}

static json_t *make_lanes(const struct timeline *timeline, uint64_t span_ns)
{
    const struct timeline_lane *rest = timeline_rest(timeline);
    json_t *array = json_array();
    char label[LABEL_BYTES];
    int failed = !array;

    for (size_t i = 0; i < timeline->lane_count && !failed; i++) {
        snprintf(label, sizeof label, "%zu", i + 1);
        failed = json_array_append_new(array, make_lane(timeline, &timeline->lanes[i], span_ns, label));
    }
    if (rest && !failed) {
        snprintf(label, sizeof label, "+%" PRIu64,
                 timeline->workers ? (uint64_t)(timeline->workers - timeline->lane_count) : rest->jobs);
        failed = json_array_append_new(array, make_lane(timeline, rest, span_ns, label));
    }
    if (!failed)
        return array;
    json_decref(array);
    return NULL;
}

/* Adds a row's timeline to its object. 0 or -1. */
static int add_timeline(json_t *object, const struct timeline *timeline, uint64_t span_ns)
{
    json_t *made =
        json_pack("{s:s, s:f, s:f, s:I, s:o}", "lane", timeline->workers ? "worker" : "job", "wall_s",
                  seconds(timeline->wall_ns), "part_s", seconds(span_ns) / PARTS, "unknown",
                  (json_int_t)timeline->unknown, "lanes", make_lanes(timeline, span_ns));

    return json_object_set_new(object, "timeline", made);
}

static json_t *make_row(const struct compare_row *row)
{
    char name[COMPARE_NAME_BYTES];

    row_name(row, name);
    return json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:f, s:f}", //
        "name", name,                                                                            //
        "model", muster_model_name(row->model),                                                  //
        "workers", (json_int_t)row->workers,                                                     //
        "concurrency", (json_int_t)row->concurrency,                                             //
        "jobs", (json_int_t)row->jobs,                                                           //
        "failed", (json_int_t)row->failed,                                                       //
        "wall_s", row->wall_s,                                                                   //
        "cpu_s", row->cpu_s,                                                                     //
        "speedup", row->speedup,                                                                 //
        "ideal_speedup", row->ideal_speedup,                                                     //
        "efficiency", row->efficiency,                                                           //
        "utilization", row->utilization,                                                         //
        "overhead_us_per_job", row->overhead_us_per_job,                                         //
        "voluntary_switches", (json_int_t)row->voluntary_switches,                               //
        "involuntary_switches", (json_int_t)row->involuntary_switches,                           //
        "stall_s", row->stall_s, "spread", row->spread);
}

static json_t *make_rows(const struct compare_report *report)
{
    json_t *array = json_array();
    uint64_t span_ns = compare_span_ns(report);

    for (size_t i = 0; array && i < report->count; i++) {
        json_t *object = make_row(&report->rows[i]);
        const struct timeline *timeline = report->rows[i].timeline;

        if (!object || (timeline && add_timeline(object, timeline, span_ns)) ||
            json_array_append(array, object)) {
            json_decref(array);
            array = NULL;
        }
        json_decref(object);
    }
    return array;
}

static json_t *make_failures(const struct compare_report *report)
{
    json_t *array = json_array();

    for (size_t i = 0; array && i < report->failure_count; i++)
        if (json_array_append_new(array, json_pack("{s:I, s:o}", "job", (json_int_t)report->failures[i].index,
                                                   "error", json_write_text(report->failures[i].text)))) {
            json_decref(array);
            return NULL;
        }
    return array;
}

json_t *report_document(const struct compare_report *report, const char *function, unsigned rounds)
{
    return json_pack("{s:s, s:I, s:I, s:f, s:o, s:o, s:s}", "function", function, "cores",
                     (json_int_t)report->cores, "rounds", (json_int_t)rounds, "computing", report->computing,
                     "rows", make_rows(report), "failures", make_failures(report), "sentence",
                     report->sentence);
}
