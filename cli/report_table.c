/* SPDX-License-Identifier: MIT
 *
 * A comparison as a table of text. See report.h.
 */
#include "cli/report.h"

#include "lab/row.h"

#include <inttypes.h>
#include <string.h>

enum {
    CELL_BYTES = 32,
    TABLE_COLUMNS = 11,
    TABLE_LINES = COMPARE_MODELS_MAX + 1, /* and the headings */
};

typedef char table_line[TABLE_COLUMNS][CELL_BYTES];

/* Three or four digits and a unit that suits. */
static void format_time(double seconds, char cell[CELL_BYTES])
{
    if (seconds >= 1 || seconds <= -1)
        snprintf(cell, CELL_BYTES, "%.2f s", seconds);
    else if (seconds >= 1e-3 || seconds <= -1e-3)
        snprintf(cell, CELL_BYTES, "%.2f ms", seconds * 1e3);
    else
        snprintf(cell, CELL_BYTES, "%.2f us", seconds * 1e6);
}

/* 12345 as it is, more than that in thousands or millions. */
static void format_count(uint64_t count, char cell[CELL_BYTES])
{
    if (count < 100000)
        snprintf(cell, CELL_BYTES, "%" PRIu64, count);
    else if (count < 10000000)
        snprintf(cell, CELL_BYTES, "%.0fk", (double)count / 1e3);
    else
        snprintf(cell, CELL_BYTES, "%.0fM", (double)count / 1e6);
}

static void fill_line(const struct compare_row *row, table_line line)
{
    row_name(row, line[0]);
    snprintf(line[1], CELL_BYTES, "%u", row->workers);
    format_time(row->wall_s, line[2]);
    format_time(row->cpu_s, line[3]);
    snprintf(line[4], CELL_BYTES, "%.2fx", row->speedup);
    snprintf(line[5], CELL_BYTES, "%.1f%%", row->efficiency * 100);
    snprintf(line[6], CELL_BYTES, "%.1f%%", row->utilization * 100);
    if (row->model == MUSTER_INLINE)
        snprintf(line[7], CELL_BYTES, "-");
    else
        format_time(row->overhead_us_per_job * 1e-6, line[7]);
    format_count(row->voluntary_switches, line[8]);
    format_count(row->involuntary_switches, line[9]);
    format_time(row->stall_s, line[10]);
}

/* The models to the left, numbers to the right of their columns. */
static int print_lines(const table_line *lines, size_t count, struct output *output)
{
    int widths[TABLE_COLUMNS] = {0}, width, code = 0;

    for (size_t i = 0; i < count; i++)
        for (size_t column = 0; column < TABLE_COLUMNS; column++) {
            width = (int)strlen(lines[i][column]);
            widths[column] = width > widths[column] ? width : widths[column];
        }
    for (size_t i = 0; i < count && !code; i++) {
        code = output_text(output, "%-*s", widths[0], lines[i][0]);
        for (size_t column = 1; column < TABLE_COLUMNS && !code; column++)
            code = output_text(output, "  %*s", widths[column], lines[i][column]);
        if (!code)
            code = output_text(output, "\n");
    }
    return code;
}

int report_table(const struct compare_report *report, const char *function, unsigned rounds,
                 struct output *output)
{
    static const char *const headings[TABLE_COLUMNS] = {
        "model",       "workers",      "wall",  "CPU",       "speedup", "efficiency",
        "utilization", "overhead/job", "waits", "preempted", "stall"};
    table_line lines[TABLE_LINES];
    uint64_t jobs = report->rows[0].jobs;
    int code;

    for (size_t column = 0; column < TABLE_COLUMNS; column++)
        snprintf(lines[0][column], CELL_BYTES, "%s", headings[column]);
    for (size_t i = 0; i < report->count; i++)
        fill_line(&report->rows[i], lines[i + 1]);
    code = output_text(output, "%" PRIu64 " job%s of %s, %u core%s, ", jobs, jobs == 1 ? "" : "s", function,
                       report->cores, report->cores == 1 ? "" : "s");
    if (!code)
        code = rounds == 1 ? output_text(output, "one round\n\n")
                           : output_text(output, "the median of %u rounds\n\n", rounds);
    if (!code)
        code = print_lines(lines, report->count + 1, output);
    return code ? code : output_text(output, "\n%s\n", report->sentence);
}
