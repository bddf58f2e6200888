/* SPDX-License-Identifier: MIT
 *
 * A comparison as a JSON document. See report.h.
 */
#include "cli/report.h"

#include "lab/row.h"

static json_t *make_row(const struct compare_row *row)
{
    char name[COMPARE_NAME_BYTES];

    row_name(row, name);
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:f}", //
                     "name", name,                                                                       //
                     "model", muster_model_name(row->model),                                             //
                     "workers", (json_int_t)row->workers,                                                //
                     "concurrency", (json_int_t)row->concurrency,                                        //
                     "jobs", (json_int_t)row->jobs,                                                      //
                     "failed", (json_int_t)row->failed,                                                  //
                     "wall_s", row->wall_s,                                                              //
                     "cpu_s", row->cpu_s,                                                                //
                     "speedup", row->speedup,                                                            //
                     "ideal_speedup", row->ideal_speedup,                                                //
                     "efficiency", row->efficiency,                                                      //
                     "utilization", row->utilization,                                                    //
                     "overhead_us_per_job", row->overhead_us_per_job,                                    //
                     "voluntary_switches", (json_int_t)row->voluntary_switches,                          //
                     "involuntary_switches", (json_int_t)row->involuntary_switches,                      //
                     "stall_s", row->stall_s);
}

static json_t *make_rows(const struct compare_report *report)
{
    json_t *array = json_array();

    for (size_t i = 0; array && i < report->count; i++)
        if (json_array_append_new(array, make_row(&report->rows[i]))) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *make_failures(const struct compare_report *report)
{
    json_t *array = json_array();

    for (size_t i = 0; array && i < report->failure_count; i++)
        if (json_array_append_new(array, json_pack("{s:I, s:s}", "job", (json_int_t)report->failures[i].index,
                                                   "error", report->failures[i].text))) {
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
