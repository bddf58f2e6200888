/* SPDX-License-Identifier: MIT
 *
 * muster compare: the same jobs under each model, as a table and a sentence. The comparing
 * is done in lab/compare.
 */
#include "lab/compare.h"
#include "base/log.h"
#include "cli/arguments.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/verbs.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum {
    CELL_BYTES = 32,
    TABLE_COLUMNS = 9,
    TABLE_LINES = COMPARE_MODELS_MAX + 1, /* and the headings */
};

typedef char table_line[TABLE_COLUMNS][CELL_BYTES];

struct compare {
    struct options options;
    struct arguments arguments;
    struct progress progress;
    int interrupt_fd, output_fd;
};

static void on_run(void *context, enum muster_model model, unsigned round)
{
    struct compare *compare = context;
    char text[PROGRESS_TEXT_BYTES];

    snprintf(text, sizeof text, "comparing: %s, round %u of %u", muster_model_name(model), round,
             compare->options.rounds);
    progress_note(&compare->progress, text);
}

/* Three or four digits and a unit that suits. */
static void format_time(double seconds, char cell[CELL_BYTES])
{
    if (seconds >= 1)
        snprintf(cell, CELL_BYTES, "%.2f s", seconds);
    else if (seconds >= 1e-3)
        snprintf(cell, CELL_BYTES, "%.2f ms", seconds * 1e3);
    else
        snprintf(cell, CELL_BYTES, "%.2f us", seconds * 1e6);
}

static void fill_line(const struct compare_row *row, table_line line)
{
    snprintf(line[0], CELL_BYTES, "%s", muster_model_name(row->model));
    snprintf(line[1], CELL_BYTES, "%u", row->workers);
    snprintf(line[2], CELL_BYTES, "%" PRIu64, row->jobs);
    format_time(row->wall_s, line[3]);
    format_time(row->cpu_s, line[4]);
    snprintf(line[5], CELL_BYTES, "%.2fx", row->speedup);
    snprintf(line[6], CELL_BYTES, "%.1f%%", row->efficiency * 100);
    snprintf(line[7], CELL_BYTES, "%.1f%%", row->utilization * 100);
    if (row->model == MUSTER_INLINE)
        snprintf(line[8], CELL_BYTES, "-");
    else
        snprintf(line[8], CELL_BYTES, "%.2f us", row->overhead_us_per_job);
}

/* The models to the left, numbers to the right of their columns. */
static int print_table(const struct compare_report *report, struct output *output)
{
    static const char *const headings[TABLE_COLUMNS] = {
        "model", "workers", "jobs", "wall", "CPU", "speedup", "efficiency", "utilization", "overhead/job"};
    table_line lines[TABLE_LINES];
    int widths[TABLE_COLUMNS] = {0}, width, code = 0;

    for (size_t column = 0; column < TABLE_COLUMNS; column++)
        snprintf(lines[0][column], CELL_BYTES, "%s", headings[column]);
    for (size_t i = 0; i < report->count; i++)
        fill_line(&report->rows[i], lines[i + 1]);
    for (size_t i = 0; i <= report->count; i++)
        for (size_t column = 0; column < TABLE_COLUMNS; column++) {
            width = (int)strlen(lines[i][column]);
            widths[column] = width > widths[column] ? width : widths[column];
        }
    for (size_t i = 0; i <= report->count && !code; i++) {
        code = output_text(output, "%-*s", widths[0], lines[i][0]);
        for (size_t column = 1; column < TABLE_COLUMNS && !code; column++)
            code = output_text(output, "  %*s", widths[column], lines[i][column]);
        if (!code)
            code = output_text(output, "\n");
    }
    return code ? code : output_text(output, "\n%s\n", report->sentence);
}

static json_t *make_document(const struct compare_report *report)
{
    json_t *array = json_array();

    for (size_t i = 0; i < report->count; i++) {
        const struct compare_row *row = &report->rows[i];
        json_t *object = json_pack("{s:s, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f}", "model",
                                   muster_model_name(row->model), "workers", (json_int_t)row->workers, "jobs",
                                   (json_int_t)row->jobs, "wall_s", row->wall_s, "cpu_s", row->cpu_s,
                                   "speedup", row->speedup, "efficiency", row->efficiency, "utilization",
                                   row->utilization, "overhead_us_per_job", row->overhead_us_per_job);

        if (json_array_append_new(array, object)) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

/* Prints the report; returns the exit status. */
static int print_report(const struct compare *compare, const struct compare_report *report)
{
    uint64_t failed = report->count > 0 ? report->rows[0].failed : 0;
    struct muster_error error;
    struct output output;
    int code;

    output_init(&output, compare->output_fd, "standard output", compare->options.format);
    code = output.format == OUTPUT_JSON ? output_document(&output, make_document(report))
                                        : print_table(report, &output);
    if (code)
        muster_error_set(&error, code, "%s", muster_error_name(code));
    else
        code = output_flush(&output, &error);
    output_fini(&output);
    if (code)
        return plain_error(&error);
    if (failed > 0)
        log_error("%" PRIu64 " of %" PRIu64 " jobs failed, under each model alike", failed,
                  report->rows[0].jobs);
    return failed < STATUS_FAILED_MANY ? (int)failed : STATUS_FAILED_MANY;
}

static struct compare_spec make_spec(struct compare *compare)
{
    const struct options *options = &compare->options;
    struct compare_spec spec = {
        .options = options->open,
        .batch = {.function = options->function,
                  .source = arguments_source(&compare->arguments),
                  .chunk_jobs = options->chunk_jobs,
                  .interrupt_fd = compare->interrupt_fd},
        .rewind = arguments_rewind,
        .model_count = options->model_count,
        .rounds = options->rounds,
        .on_run = on_run,
        .context = compare,
    };

    spec.options.worker_program = program_path();
    memcpy(spec.models, options->models, sizeof spec.models);
    return spec;
}

static int run(struct compare *compare)
{
    struct options *options = &compare->options;
    struct compare_report report;
    struct compare_spec spec;
    struct muster_error error;
    int code;

    code = arguments_init(&compare->arguments, options->family, options->items, options->item_count, &error);
    if (!code)
        code = interrupt_start(&compare->interrupt_fd, &error);
    if (!code && options->family == ARGUMENTS_STDIN && isatty(STDIN_FILENO))
        log_error("reading arguments from standard input, a line each; end with Ctrl-D");
    if (!code)
        code = arguments_keep(&compare->arguments, compare->interrupt_fd, &error);
    if (!code) {
        compare->output_fd = output_claim_stdout();
        spec = make_spec(compare);
        progress_init(&compare->progress, STDERR_FILENO, options->progress);
        code = compare_run(&spec, &report, &error);
        progress_hide(&compare->progress);
    }
    if (!code)
        return print_report(compare, &report);
    if (code != MUSTER_ECANCELLED || !interrupt_signal())
        return plain_error(&error);
    log_error("interrupted: nothing was compared");
    return STATUS_SIGNAL + interrupt_signal();
}

int verb_compare(int argc, char **argv)
{
    struct compare compare = {.arguments.fd = -1};
    struct muster_error error;
    int status;

    if (options_parse(&compare.options, VERB_COMPARE, argc, argv, &error))
        return usage_error(argv[0], &error);
    if (compare.options.help)
        return help_print(argv[0]);
    status = run(&compare);
    arguments_fini(&compare.arguments);
    return status;
}
