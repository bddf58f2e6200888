/* SPDX-License-Identifier: MIT
 *
 * A comparison as a table of text. See report.h.
 */
#include "cli/report.h"

#include "cli/table.h"
#include "lab/row.h"

#include <inttypes.h>

/* 12345 as it is, more than that in thousands or millions. */
static void add_count(struct table *table, uint64_t count)
{
    if (count < 100000)
        table_add(table, "%" PRIu64, count);
    else if (count < 10000000)
        table_add(table, "%.0fk", (double)count / 1e3);
    else
        table_add(table, "%.0fM", (double)count / 1e6);
}

static void add_row(struct table *table, const struct compare_row *row)
{
    char name[COMPARE_NAME_BYTES];

    row_name(row, name);
    table_add(table, "%s", name);
    table_add(table, "%u", row->workers);
    table_add_time(table, row->wall_s);
    table_add_time(table, row->cpu_s);
    table_add(table, "%.2fx", row->speedup);
    table_add(table, "%.1f%%", row->efficiency * 100);
    table_add(table, "%.1f%%", row->utilization * 100);
    if (row->model == MUSTER_INLINE)
        table_add(table, "-");
    else
        table_add_time(table, row->overhead_us_per_job * 1e-6);
    add_count(table, row->voluntary_switches);
    add_count(table, row->involuntary_switches);
    if (row->stall_s > 0)
        table_add_time(table, row->stall_s);
    else
        table_add(table, "-"); /* the model does not tell */
}

int report_table(const struct compare_report *report, const char *function, unsigned rounds,
                 struct output *output)
{
    static const char *const headings[] = {"model",   "workers",    "wall",        "CPU",
                                           "speedup", "efficiency", "utilization", "overhead/job",
                                           "waits",   "preempted",  "stall"};
    struct table table;
    uint64_t jobs = report->rows[0].jobs;
    int code;

    table_init(&table, headings, sizeof headings / sizeof *headings);
    for (size_t i = 0; i < report->count; i++)
        add_row(&table, &report->rows[i]);
    code = output_text(output, "%" PRIu64 " job%s of %s, %u core%s, ", jobs, jobs == 1 ? "" : "s", function,
                       report->cores, report->cores == 1 ? "" : "s");
    if (!code)
        code = rounds == 1 ? output_text(output, "one round\n\n")
                           : output_text(output, "the median of %u rounds\n\n", rounds);
    if (!code)
        code = table_print(&table, output);
    return code ? code : output_text(output, "\n%s\n", report->sentence);
}
