/* SPDX-License-Identifier: MIT
 *
 * muster bench: measurements of this machine. They are taken in lab/; this prints them. A further
 * one is a line in a table here.
 */
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/subject.h"
#include "cli/table.h"
#include "cli/verbs.h"
#include "lab/ladder.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* muster bench memory */

static void on_rung(void *context, enum ladder_rung rung)
{
    char text[PROGRESS_TEXT_BYTES];

    snprintf(text, sizeof text, "measuring: %s", ladder_name(rung));
    progress_note(context, text);
}

/* Where files for measurements go. */
static const char *folder_of(const struct options *options)
{
    const char *folder = getenv("TMPDIR");

    if (options->folder)
        return options->folder;
    return folder && *folder ? folder : "/var/tmp";
}

static void add_figure(struct table *table, const struct ladder_figure *figure)
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

static int print_ladder(const struct ladder_report *report, struct output *output)
{
    static const char *const headings[] = {"figure", "median", "from", "to", "a cycle = 1 s", "of"};
    struct table table;
    int code;

    table_init(&table, headings, sizeof headings / sizeof *headings);
    table.left |= 1U << 5;
    for (size_t i = 0; i < LADDER_RUNGS; i++)
        add_figure(&table, &report->figures[i]);
    code = table_print(&table, output);
    return code ? code : output_text(output, "\n%s\n", report->sentence);
}

static json_t *figure_document(const struct ladder_figure *figure)
{
    if (!figure->measured)
        return json_pack("{s:s, s:n, s:s, s:n, s:s}", "figure", ladder_name(figure->rung), "value", "unit",
                         "ns", "scaled", "note", figure->note);
    return json_pack("{s:s, s:f, s:s, s:s, s:f, s:f, s:f, s:b, s:s}", "figure", ladder_name(figure->rung),
                     "value", figure->value_ns, "unit", "ns", "scaled", figure->scaled, "scaled_s",
                     figure->scaled_s, "low", figure->low_ns, "high", figure->high_ns, "noisy",
                     (int)figure->noisy, "note", figure->note);
}

static json_t *ladder_document(const struct ladder_report *report)
{
    json_t *figures = json_array();

    for (size_t i = 0; i < LADDER_RUNGS; i++)
        if (json_array_append_new(figures, figure_document(&report->figures[i]))) {
            json_decref(figures);
            return NULL;
        }
    return json_pack("{s:s, s:f, s:o, s:s}", "name", "memory", "cycle_ns", report->cycle_ns, "figures",
                     figures, "sentence", report->sentence);
}

static int run_memory(const struct options *options, struct output *output, struct muster_error *ret_error)
{
    struct ladder_spec spec = {.folder = folder_of(options), .on_rung = on_rung};
    struct ladder_report report;
    struct progress progress;
    int code;

    if ((code = interrupt_start(&spec.interrupt_fd, ret_error)) != 0)
        return code;
    progress_init(&progress, STDERR_FILENO, PROGRESS_AUTOMATIC);
    spec.context = &progress;
    code = ladder_run(&spec, &report, ret_error);
    progress_hide(&progress);
    if (code)
        return code;
    code = output->format == OUTPUT_JSON ? output_document(output, ladder_document(&report))
                                         : print_ladder(&report, output);
    return code ? muster_error_set(ret_error, code, "%s", muster_error_name(code)) : 0;
}

int verb_bench(int argc, char **argv)
{
    static const struct subject subjects[] = {{"memory", run_memory}};

    return subject_verb(VERB_BENCH, subjects, sizeof subjects / sizeof *subjects, "nothing was measured",
                        argc, argv);
}
