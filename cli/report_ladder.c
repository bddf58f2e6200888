/* SPDX-License-Identifier: MIT
 *
 * What muster bench memory shows: the latency ladder. See report.h.
 */
#include "cli/json_write.h"
#include "cli/report.h"
#include "cli/table.h"

static void add_rung(struct table *table, const struct ladder_figure *figure)
{
    table_add(table, "%s", ladder_name(figure->rung));
    if (figure->measured) {
        table_add_time(table, figure->value_ns * 1e-9);
        table_add_time(table, figure->low_ns * 1e-9);
        table_add_time(table, figure->high_ns * 1e-9);
        table_add(table, "%s%s", figure->scaled, figure->noisy ? " ?" : "");
    } else {
        for (int i = 0; i < 4; i++)
            table_add(table, "-");
    }
    table_add(table, "%s", figure->note);
}

int report_ladder_table(const struct ladder_report *report, struct output *output)
{
    static const char *const headings[] = {"figure", "median", "from", "to", "a cycle = 1 s", "of"};
    struct table table;
    int code;

    table_init(&table, headings, sizeof headings / sizeof *headings);
    table.left |= 1U << 5;
    for (size_t i = 0; i < LADDER_RUNGS; i++)
        add_rung(&table, &report->figures[i]);
    code = table_print(&table, output);
    return code ? code : output_text(output, "\n%s\n", report->sentence);
}

static json_t *rung_document(const struct ladder_figure *figure)
{
    if (!figure->measured)
        return json_pack("{s:s, s:n, s:s, s:n, s:o}", "figure", ladder_name(figure->rung), "value", "unit",
                         "ns", "scaled", "note", json_write_text(figure->note));
    return json_pack("{s:s, s:f, s:s, s:s, s:f, s:f, s:f, s:b, s:o}", "figure", ladder_name(figure->rung),
                     "value", figure->value_ns, "unit", "ns", "scaled", figure->scaled, "scaled_s",
                     figure->scaled_s, "low", figure->low_ns, "high", figure->high_ns, "noisy",
                     (int)figure->noisy, "note", json_write_text(figure->note));
}

json_t *report_ladder_document(const struct ladder_report *report)
{
    json_t *figures = json_array();

    for (size_t i = 0; i < LADDER_RUNGS; i++)
        if (json_array_append_new(figures, rung_document(&report->figures[i]))) {
            json_decref(figures);
            return NULL;
        }
    return json_pack("{s:s, s:f, s:o, s:s}", "name", "memory", "cycle_ns", report->cycle_ns, "figures",
                     figures, "sentence", report->sentence);
}
