/* SPDX-License-Identifier: MIT
 *
 * muster compare: the same jobs under each model, as a table and a sentence. The comparing
 * is done in lab/compare.
 */
#include "lab/compare.h"
#include "base/log.h"
#include "cli/arguments.h"
#include "cli/draw.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/page.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/save.h"
#include "cli/verbs.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

struct compare {
    struct options options;
    struct arguments arguments;
    struct progress progress;
    int interrupt_fd, output_fd;
    char command[PAGE_COMMAND_BYTES]; /* as it was given */
};

static void on_run(void *context, enum muster_model model, unsigned round)
{
    struct compare *compare = context;
    char text[PROGRESS_TEXT_BYTES];

    if (round > compare->options.rounds)
        snprintf(text, sizeof text, "comparing: %s, the timeline", muster_model_name(model));
    else
        snprintf(text, sizeof text, "comparing: %s, round %u of %u", muster_model_name(model), round,
                 compare->options.rounds);
    progress_note(&compare->progress, text);
}

/* Names jobs that failed; returns the exit status. */
static int conclude(const struct compare_report *report)
{
    uint64_t failed = report->rows[0].failed, jobs = report->rows[0].jobs;

    for (size_t i = 0; i < report->failure_count; i++)
        log_error("job 1.%" PRIu64 ": %s", report->failures[i].index, report->failures[i].text);
    if (failed > report->failure_count)
        log_error("... and %" PRIu64 " more failed; muster map names them", failed - report->failure_count);
    if (failed > 0)
        log_error("%" PRIu64 " of %" PRIu64 " job%s failed, under each model alike", failed, jobs,
                  jobs == 1 ? "" : "s");
    return failed < STATUS_FAILED_MANY ? (int)failed : STATUS_FAILED_MANY;
}

/* The table, and the timelines where they are wanted. */
static int print_text(const struct compare *compare, const struct compare_report *report,
                      struct output *output)
{
    const struct options *options = &compare->options;
    struct draw_style style = draw_style_of(output->fd);
    int code = report_table(report, options->function, options->rounds, output);

    return code || !options->timeline ? code : draw_timelines(report, &style, output);
}

/* Prints the report; returns the exit status. */
static int print_report(const struct compare *compare, const struct compare_report *report)
{
    const struct options *options = &compare->options;
    struct muster_error error;
    struct output output;
    int code;

    output_init(&output, compare->output_fd, "standard output", options->format);
    if (options->format == OUTPUT_JSON)
        code = output_document(&output, report_document(report, options->function, options->rounds));
    else
        code = print_text(compare, report, &output);
    if (code)
        muster_error_set(&error, code, "%s", muster_error_name(code));
    else
        code = output_flush(&output, &error);
    output_fini(&output);
    if (!code && options->html)
        code = page_save(PAGE_COMPARE, report_document(report, options->function, options->rounds),
                         compare->command, options->html, &error);
    if (output.broken)
        return STATUS_SIGNAL + SIGPIPE; /* nobody reads (`muster compare ... | head`): nobody is told */
    return code ? plain_error(&error) : conclude(report);
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
        .timeline = options->timeline || options->html,
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
    int code, status;

    code = options->html ? save_check(options->html, &error) : 0;
    if (!code)
        code =
            arguments_init(&compare->arguments, options->family, options->items, options->item_count, &error);
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
    if (!code) {
        status = print_report(compare, &report);
        compare_report_fini(&report);
        return status;
    }
    return unfinished_error(code, &error, "nothing was compared");
}

int verb_compare(int argc, char **argv)
{
    struct compare compare = {.arguments.fd = -1};
    struct muster_error error;
    int status;

    page_command(argc, argv, compare.command);
    if (options_parse(&compare.options, VERB_COMPARE, argc, argv, &error))
        return usage_error(argv[0], &error);
    if (compare.options.help)
        return help_print(argv[0]);
    status = run(&compare);
    arguments_fini(&compare.arguments);
    return status;
}
