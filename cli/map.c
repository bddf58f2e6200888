/* SPDX-License-Identifier: MIT
 *
 * muster map: a function over arguments. Results go to standard output as they come, failed
 * jobs to standard error (or, as objects, to standard output), and how many failed is the
 * exit status. Everything here runs on the main thread.
 */
#include "base/log.h"
#include "cli/again.h"
#include "cli/arguments.h"
#include "cli/confined.h"
#include "cli/failures.h"
#include "cli/interrupt.h"
#include "cli/leave.h"
#include "cli/open.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/stats.h"
#include "cli/summon.h"
#include "cli/verbs.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

struct map {
    struct options options;
    struct arguments arguments;
    struct output output;
    struct progress progress;
    struct stats stats;
    int interrupt_fd;
    bool shares_terminal; /* results appear where the progress line stands */
    uint64_t total;       /* jobs of the batch, 0 while not known */
    struct failures failures;
    bool crashed;              /* some job killed its workers, and how to run it again was told */
    bool away;                 /* the coordinator is, and that was said */
    struct muster_error error; /* why a callback ended the batch */
};

/* The first of a run; the others are told of as it is. */
static void name_crash(struct map *map, const char *again)
{
    if (!map->crashed)
        map->crashed = again_tell_map(&map->options, again);
}

/* `again`: the command line that runs it alone; NULL: none. */
static void name_failure(struct map *map, const struct muster_result *result, const char *again)
{
    if (map->options.format == OUTPUT_JSON)
        return;
    if (failures_has_room(&map->failures))
        progress_hide(&map->progress);
    failures_name(&map->failures, result);
    if (again)
        name_crash(map, again);
}

static int on_result(void *context, const struct muster_result *result)
{
    struct map *map = context;
    struct shell_line line = {0};
    const char *again = again_map(&map->options, result, &line);
    int code;

    if (map->shares_terminal)
        progress_hide(&map->progress);
    if (result->batch)
        map->output.batch = map->failures.batch = result->batch;
    if (result->code)
        name_failure(map, result, again);
    code = output_result(&map->output, result, again, &map->error);
    shell_line_fini(&line);
    return code;
}

static int on_tick(void *context, const struct muster_progress *progress)
{
    struct muster_progress known = *progress;
    struct map *map = context;

    known.total = progress->total ? progress->total : map->total;
    map->total = known.total;
    interrupt_await(progress->undecided);
    leave_tell_away(&map->progress, progress->away, &map->away);
    if (output_pending(&map->output)) {
        if (map->shares_terminal)
            progress_hide(&map->progress);
        if (output_flush(&map->output, &map->error))
            return MUSTER_EOUTPUT;
    }
    progress_show(&map->progress, &known);
    return 0;
}

/* A signal came. */
static int conclude_interrupted(const struct map *map, const struct muster_summary *summary,
                                const struct muster_error *error)
{
    char jobs[JOBS_TEXT_BYTES];

    jobs_count(summary->succeeded + summary->failed, map->total, jobs, sizeof jobs);
    log_error("%s: %s done", error->text, jobs);
    if (summary->detached)
        leave_tell_return(map->options.open.coordinator, summary->batch);
    return STATUS_SIGNAL + interrupt_signal();
}

/* Whether nothing that was asked of this run ended the batch before its time: somebody else did. */
static bool ended_elsewhere(const struct map *map, const struct muster_summary *summary)
{
    uint64_t limit = map->options.halt_failures;

    return summary->cancelled > 0 && !interrupt_signal() && (limit == 0 || summary->failed < limit);
}

/* Says how the batch ended; returns the exit status. */
static int conclude(struct map *map, int code, const struct muster_summary *summary,
                    const struct muster_error *error)
{
    uint64_t done = summary->succeeded + summary->failed;
    uint64_t total = code == 0 && summary->cancelled == 0 ? summary->jobs : map->total;
    char jobs[JOBS_TEXT_BYTES];

    failures_count(&map->failures, summary->failed, total);
    if (code == MUSTER_ECANCELLED && interrupt_signal())
        return conclude_interrupted(map, summary, error);
    if (code)
        return plain_error(error);
    jobs_count(done, total, jobs, sizeof jobs);
    if (ended_elsewhere(map, summary)) {
        log_error("batch %" PRIu64 " was cancelled: %s done", summary->batch, jobs);
        return STATUS_ERROR;
    }
    if (summary->cancelled > 0 || done < total)
        log_error("halted: %s done", jobs);
    return summary->failed < STATUS_FAILED_MANY ? (int)summary->failed : STATUS_FAILED_MANY;
}

static struct muster_batch make_batch(struct map *map)
{
    const struct options *options = &map->options;
    struct muster_batch batch = {
        .function = options->function,
        .source = arguments_source(&map->arguments),
        .chunk_jobs = options->chunk_jobs,
        .timeout_s = options->timeout_s,
        .retries = options->retries,
        .halt_failures = options->halt_failures,
        .halt_now = options->halt_now,
        .unordered = options->unordered,
        .failures_only = options->format == OUTPUT_NONE,
        .want_arguments = options->format == OUTPUT_JSON,
        .want_timings = options->format == OUTPUT_JSON,
        .on_result = on_result,
        .on_tick = on_tick,
        .context = map,
        .interrupt_fd = map->interrupt_fd,
        .detach = options->detach,
        .detach_on_interrupt = true,
    };

    terms_apply(&options->terms, &batch);
    map->total = arguments_total(&map->arguments);
    return batch;
}

/* The number of a batch that was left to its coordinator. */
static int print_number(struct map *map, const struct muster_summary *summary)
{
    if (map->options.format == OUTPUT_JSON)
        return output_text(&map->output, "{\"batch\":%" PRIu64 "}\n", summary->batch);
    return output_text(&map->output, "%" PRIu64 "\n", summary->batch);
}

/* Runs the batch, and writes all that it left to write whatever came of it. */
static int run(struct map *map, muster *m)
{
    struct muster_batch batch = make_batch(map);
    struct muster_summary summary = {.workers = 0};
    struct muster_error error, late;
    int code;

    code = muster_map(m, &batch, &summary, &error);
    interrupt_await(false); /* the last tick may have come ahead of the answer */
    progress_hide(&map->progress);
    if (code && code == map->error.code)
        error = map->error; /* a callback ended the batch, and knows why */
    if (!code && map->options.detach && (code = print_number(map, &summary)))
        muster_error_set(&error, code, "out of memory");
    if (code != MUSTER_EOUTPUT && output_flush(&map->output, &late) && !code) {
        code = late.code;
        error = late;
    }
    if (map->options.detach && !code) {
        leave_tell_kept(&summary);
        return 0;
    }
    if (map->options.detach && code == MUSTER_EOUTPUT && summary.batch) /* its number is lost else */
        leave_tell_return(map->options.open.coordinator, summary.batch);
    if (map->options.detach)
        return conclude(map, code, &summary, &error);
    if (map->output.broken)
        return STATUS_SIGNAL + SIGPIPE; /* nobody reads (`muster map ... | head`): nobody is told */
    if (summary.workers > 0 && stats_write(&map->stats, map->options.open.model, &summary, &late) && !code) {
        code = late.code;
        error = late;
    }
    return conclude(map, code, &summary, &error);
}

/* Workers that did not come to have all the layers of this host would have ended. */
static void note_sandbox(struct map *map)
{
    struct sandbox_layers layers;

    if (map->options.open.sandbox == 0)
        return;
    sandbox_probe(&layers);
    layers.memory = map->options.open.memory_bytes ? SANDBOX_RLIMIT : SANDBOX_NO_MEMORY;
    map->stats.layers = sandbox_pack(&layers);
}

/* Opens all that the batch needs, in an order in which nothing is begun that a mistake on the
 * command line would throw away; returns the exit status. */
static int open_and_run(struct map *map)
{
    struct options *options = &map->options;
    struct muster_error error;
    muster *m = NULL;
    int status = STATUS_ERROR, fd;

    if (arguments_init(&map->arguments, options->family, options->items, options->item_count, &error) ||
        stats_open(&map->stats, options->stats, &error)) {
        plain_error(&error);
        goto out;
    }
    if (options->detach && strcmp(options->open.coordinator, MUSTER_COORDINATOR_DEFAULT) == 0 &&
        summon_coordinator(options->plugins, options->open.plugin_count, &error)) {
        plain_error(&error);
        goto out;
    }
    if (confined_begin(options->open.sandbox, &error)) {
        plain_error(&error);
        goto out;
    }
    note_sandbox(map);
    fd = output_claim_stdout();
    if (open_muster(&options->open, &m, &map->interrupt_fd, &error)) {
        plain_error(&error);
        goto out;
    }
    if (options->family == ARGUMENTS_STDIN && isatty(STDIN_FILENO))
        log_error("reading arguments from standard input, a line each; end with Ctrl-D");
    output_init(&map->output, fd, "standard output", options->format);
    progress_init(&map->progress, STDERR_FILENO, options->progress);
    map->shares_terminal = isatty(fd);
    map->output.batch = map->failures.batch = options->open.coordinator ? 0 : EMBEDDED_BATCH;
    status = run(map, m);
    output_fini(&map->output);
    muster_close(m);
out:
    stats_close(&map->stats);
    arguments_fini(&map->arguments);
    return status;
}

int verb_map(int argc, char **argv)
{
    struct map map = {.stats.fd = STDERR_FILENO, .arguments.fd = -1};
    struct muster_error error;

    if (options_parse(&map.options, VERB_MAP, argc, argv, &error))
        return usage_error(argv[0], &error);
    if (map.options.help)
        return help_print(argv[0]);
    return open_and_run(&map);
}
