/* SPDX-License-Identifier: MIT
 *
 * muster bench: measurements of this machine, and of muster on it. They are taken in lab/; this
 * runs one of them, or all, and prints what they found.
 */
#include "cli/interrupt.h"
#include "cli/page.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/save.h"
#include "cli/subject.h"
#include "cli/verbs.h"
#include "lab/bench_crew.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char MEMORY[] = "memory", ALL[] = "all";

static char command[PAGE_COMMAND_BYTES]; /* as it was given */

/* One run of the verb. */
struct run {
    const struct options *options;
    struct output *output;
    struct progress progress;
    struct bench_spec spec;
    json_t *documents; /* owned; of all measurements; NULL when nobody wants them */
    bool any;          /* something was printed */
};

static void on_step(void *context, const char *what)
{
    char text[PROGRESS_TEXT_BYTES];

    snprintf(text, sizeof text, "measuring: %s", what);
    progress_note(context, text);
}

static void on_rung(void *context, enum ladder_rung rung)
{
    on_step(context, ladder_name(rung));
}

/* Where files for measurements go. */
static const char *folder_of(const struct options *options)
{
    const char *folder = getenv("TMPDIR");

    if (options->folder)
        return options->folder;
    return folder && *folder ? folder : "/var/tmp";
}

static bool is_text(const struct run *run)
{
    return run->output->format == OUTPUT_TEXT;
}

/* What one measurement found: a table that was printed, unless `printed` is an error, and a document
 * for later, which is taken. */
static int tell(struct run *run, int printed, json_t *document, struct muster_error *ret_error)
{
    int code = printed;

    if (!code && run->documents)
        code = json_array_append(run->documents, document) ? MUSTER_ENOMEM : 0;
    json_decref(document);
    if (code)
        return muster_error_set(ret_error, code, "%s", muster_error_name(code));
    run->any = true;
    return output_flush(run->output, ret_error);
}

/* An empty line between two tables. */
static int separate(struct run *run)
{
    return run->any ? output_text(run->output, "\n") : 0;
}

static int run_memory(struct run *run, struct muster_error *ret_error)
{
    struct ladder_spec spec = {.folder = folder_of(run->options),
                               .interrupt_fd = run->spec.interrupt_fd,
                               .on_rung = on_rung,
                               .context = &run->progress};
    struct ladder_report report;
    int code = ladder_run(&spec, &report, ret_error);

    progress_hide(&run->progress);
    if (code)
        return code;
    if (is_text(run) && (code = separate(run)) == 0)
        code = report_ladder_table(&report, run->output);
    return tell(run, code, run->documents ? report_ladder_document(&report) : NULL, ret_error);
}

static int run_measurement(struct run *run, const struct bench_subject *subject,
                           struct muster_error *ret_error)
{
    struct bench_report report = {.figures = NULL};
    int code;

    snprintf(report.name, sizeof report.name, "%s", subject->name);
    on_step(&run->progress, subject->name);
    code = subject->run(&run->spec, &report, ret_error);
    progress_hide(&run->progress);
    if (!code) {
        if (is_text(run) && (code = separate(run)) == 0)
            code = report_bench_table(&report, run->output);
        code = tell(run, code, run->documents ? report_bench_document(&report) : NULL, ret_error);
    }
    bench_report_fini(&report);
    return code;
}

/* Those that the command line names, each in turn. */
static int run_all(struct run *run, struct muster_error *ret_error)
{
    const char *wanted = run->options->function;
    bool all = strcmp(wanted, ALL) == 0;
    int code = 0;

    for (size_t i = 0; i < bench_subject_count && !code; i++)
        if (all || strcmp(wanted, bench_subjects[i].name) == 0)
            code = run_measurement(run, &bench_subjects[i], ret_error);
    if (!code && (all || strcmp(wanted, MEMORY) == 0))
        code = run_memory(run, ret_error);
    return code;
}

/* The documents of all, or the one there is; NULL when out of memory. */
static json_t *whole_document(const struct run *run)
{
    return strcmp(run->options->function, ALL) == 0
               ? json_pack("{s:s, s:O}", "name", ALL, "reports", run->documents)
               : json_incref(json_array_get(run->documents, 0));
}

static int conclude(struct run *run, struct muster_error *ret_error)
{
    const char *html = run->options->html;
    int code = run->output->format == OUTPUT_JSON ? output_document(run->output, whole_document(run)) : 0;

    if (code)
        return muster_error_set(ret_error, code, "%s", muster_error_name(code));
    return html ? page_save(PAGE_BENCH, whole_document(run), command, html, ret_error) : 0;
}

/* Processes of the lab's own, before there is any thread. What can go on without does. */
static int open_crew(struct run *run, struct muster_error *why)
{
    int code;

    if (strcmp(run->options->function, MEMORY) == 0)
        return 0;
    code = bench_crew_open(run->spec.workers, &run->spec.crew, why);
    run->spec.without = code ? why->text : NULL;
    return code == MUSTER_ESTATE ? 0 : code; /* somebody else's thread: LD_PRELOAD, a profiler */
}

static int bench(const struct options *options, struct output *output, struct muster_error *ret_error)
{
    struct run run = {.options = options,
                      .output = output,
                      .spec = {.workers = options->open.workers ? options->open.workers : muster_cores(),
                               .rounds = options->rounds,
                               .peers = options->peers,
                               .worker_program = program_path(),
                               .on_step = on_step}};
    struct muster_error why;
    int code;

    if (options->html && (code = save_check(options->html, ret_error)) != 0)
        return code;
    interrupt_hold();
    if ((code = open_crew(&run, &why)) != 0)
        return muster_error_set(ret_error, code, "%s", why.text);
    if ((code = interrupt_start(&run.spec.interrupt_fd, ret_error)) != 0)
        goto out;
    progress_init(&run.progress, STDERR_FILENO, PROGRESS_AUTOMATIC);
    run.spec.context = &run.progress;
    if ((output->format == OUTPUT_JSON || options->html) && !(run.documents = json_array())) {
        code = muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
        goto out;
    }
    code = run_all(&run, ret_error);
    if (!code)
        code = conclude(&run, ret_error);
out:
    json_decref(run.documents);
    muster_close(run.spec.crew);
    return code;
}

int verb_bench(int argc, char **argv)
{
    struct subject subjects[SUBJECTS_MAX];
    size_t count = 0;

    page_command(argc, argv, command);
    for (; count < bench_subject_count; count++)
        subjects[count] = (struct subject){bench_subjects[count].name, bench};
    subjects[count++] = (struct subject){MEMORY, bench};
    subjects[count++] = (struct subject){ALL, bench};
    return subject_verb(VERB_BENCH, subjects, count, "what is not shown was not measured", argc, argv);
}
