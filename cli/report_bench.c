/* SPDX-License-Identifier: MIT
 *
 * What muster bench shows of a measurement: its figures beside what they are held against. See
 * report.h.
 */
#include "cli/json_write.h"
#include "cli/report.h"
#include "cli/table.h"

#include <string.h>

/* "12.34 M jobs/s", "101.20 us", "0.98" */
static void add_value(struct table *table, double value, const char *unit)
{
    static const struct {
        double least;
        const char *prefix;
    } prefixes[] = {{1e9, "G "}, {1e6, "M "}, {1e3, "k "}};

    if (strcmp(unit, "us") == 0 || strcmp(unit, "ns") == 0) {
        table_add_time(table, value * (*unit == 'u' ? 1e-6 : 1e-9));
        return;
    }
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes && strstr(unit, "/s"); i++)
        if (value >= prefixes[i].least) {
            table_add(table, "%.2f %s%s", value / prefixes[i].least, prefixes[i].prefix, unit);
            return;
        }
    if (value < 0.1)
        table_add(table, "%.2g%s%s", value, *unit ? " " : "", unit);
    else
        table_add(table, "%.2f%s%s", value, *unit ? " " : "", unit);
}

static void add_figure(struct table *table, const struct bench_figure *figure)
{
    table_add(table, "%s", figure->figure);
    if (figure->measured) {
        add_value(table, figure->value, figure->unit);
        add_value(table, figure->low, figure->unit);
        add_value(table, figure->high, figure->unit);
    } else {
        for (int i = 0; i < 3; i++)
            table_add(table, "-");
    }
    if (figure->ratio > 0) {
        table_add(table, figure->ratio < 0.1 ? "%.2g%s" : "%.2f%s", figure->ratio, figure->noisy ? " ?" : "");
        add_value(table, figure->baseline_value, figure->unit);
    } else {
        table_add(table, "%s", figure->noisy ? "?" : "-");
        table_add(table, "-");
    }
    table_add(table, "%s%s%s", figure->baseline, *figure->baseline && *figure->note ? "; " : "",
              figure->note);
}

int report_bench_table(const struct bench_report *report, struct output *output)
{
    static const char *const headings[] = {NULL, "median", "from", "to", "ratio", "against", "of"};
    const char *named[sizeof headings / sizeof *headings];
    struct table table;
    int code = 0;

    memcpy(named, headings, sizeof named);
    named[0] = report->name;
    for (size_t first = 0; first < report->figure_count && !code; first += TABLE_LINES_MAX - 1) {
        table_init(&table, named, sizeof named / sizeof *named);
        table.left |= 1U << 6;
        for (size_t i = first; i < report->figure_count && i - first < TABLE_LINES_MAX - 1; i++)
            add_figure(&table, &report->figures[i]);
        code = table_print(&table, output);
    }
    return code ? code : output_text(output, "\n%s\n", report->sentence);
}

/* Appends, taking the item over; what it is appended to is kept. */
static int append(json_t *array, json_t *item)
{
    return json_array_append_new(array, item) ? MUSTER_ENOMEM : 0;
}

static json_t *figure_document(const struct bench_figure *f)
{
    if (!f->measured)
        return json_pack("{s:s, s:n, s:s, s:n, s:n, s:s, s:n, s:n, s:b, s:o}", "figure", f->figure, "value",
                         "unit", f->unit, "low", "high", "baseline", f->baseline, "baseline_value", "ratio",
                         "noisy", 0, "note", json_write_text(f->note));
    return json_pack("{s:s, s:f, s:s, s:f, s:f, s:s, s:o, s:o, s:b, s:o}", "figure", f->figure, "value",
                     f->value, "unit", f->unit, "low", f->low, "high", f->high, "baseline", f->baseline,
                     "baseline_value", f->ratio > 0 ? json_real(f->baseline_value) : json_null(), "ratio",
                     f->ratio > 0 ? json_real(f->ratio) : json_null(), "noisy", (int)f->noisy, "note",
                     json_write_text(f->note));
}

static json_t *curve_document(const struct bench_curve *curve)
{
    json_t *points = json_array();

    for (size_t i = 0; i < curve->count; i++)
        if (append(points, json_pack("[f, f]", curve->points[i].x, curve->points[i].y))) {
            json_decref(points);
            return NULL;
        }
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:o}", "plot", curve->plot, "name", curve->name,
                     "x_axis", curve->x_axis, "y_axis", curve->y_axis, "x_log", (int)curve->x_log, "y_log",
                     (int)curve->y_log, "computed", (int)curve->computed, "points", points);
}

json_t *report_bench_document(const struct bench_report *report)
{
    json_t *figures = json_array(), *curves = json_array();
    int code = 0;

    for (size_t i = 0; i < report->figure_count && !code; i++)
        code = append(figures, figure_document(&report->figures[i]));
    for (size_t i = 0; i < report->curve_count && !code; i++)
        code = append(curves, curve_document(&report->curves[i]));
    if (code) {
        json_decref(figures);
        json_decref(curves);
        return NULL;
    }
    return json_pack("{s:s, s:o, s:o, s:o}", "name", report->name, "figures", figures, "curves", curves,
                     "sentence", json_write_text(report->sentence));
}
