/* SPDX-License-Identifier: MIT
 *
 * muster results: what the jobs of a batch returned, in their order, as muster map writes it; as often as
 * it is asked for, and, with --follow, while the batch runs. Ctrl-C ends it at once, and not the batch.
 */
#include "base/clock.h"
#include "base/log.h"
#include "cli/again.h"
#include "cli/ask.h"
#include "cli/exec_kept.h"
#include "cli/exec_output.h"
#include "cli/failures.h"
#include "client/reading.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct results {
    struct ask *ask;
    struct failures failures;
    uint64_t failed;       /* jobs, so far */
    bool runs_commands;    /* the function of the batch is that of muster exec, */
    struct exec_kept kept; /* which shows them */
    char function[PROTO_FUNCTION_NAME_MAX + 1];
    bool crashed; /* some job killed its workers, and how to run it again was told */
};

static int on_batch(void *context, const struct proto_attached *batch, struct muster_error *ret_error)
{
    struct results *results = context;

    (void)ret_error;
    results->runs_commands = exec_kept_runs(batch);
    snprintf(results->function, sizeof results->function, "%.*s", (int)batch->function.size,
             batch->function.bytes);
    return 0;
}

static int write_command(struct results *results, const struct muster_result *result,
                         struct muster_error *ret_error)
{
    struct output *output = &results->ask->output;
    int code = exec_kept_write(&results->kept, output, result, ret_error);

    output->broken = code == MUSTER_EOUTPUT && exec_output_left(output->fd);
    return code;
}

/* Of those that crashed, the first with the command line that runs it alone. */
static void name_failure(struct results *results, const struct muster_result *result, const char *again)
{
    failures_name(&results->failures, result);
    if (again && !results->crashed)
        results->crashed = again_tell(again);
}

static int on_result(void *context, const struct muster_result *result, struct muster_error *ret_error)
{
    struct results *results = context;
    struct shell_line line = {0};
    const char *again;
    int code;

    results->failed += result->code != 0;
    if (results->runs_commands)
        return write_command(results, result, ret_error);
    again = again_at(results->ask->options.open.coordinator, results->function, result, &line);
    if (result->code && !results->ask->json)
        name_failure(results, result, again);
    code = output_result(&results->ask->output, result, again, ret_error);
    shell_line_fini(&line);
    return code;
}

static int on_wait(void *context, struct muster_error *ret_error)
{
    struct results *results = context;

    return output_flush(&results->ask->output, ret_error);
}

static int on_lost(void *context, struct muster_error *error)
{
    struct results *results = context;
    int code = output_flush(&results->ask->output, error);

    return code ? code : ask_return(results->ask, CLOCK_NEVER, error);
}

/* Says how the batch ended, or that it has not; returns the exit status. */
static int conclude(const struct results *results, const struct reading_end *end,
                    const struct muster_error *why)
{
    uint64_t done = end->succeeded + end->failed, total = done + end->cancelled, lost = results->kept.lost;
    char jobs[JOBS_TEXT_BYTES];

    if (end->code == MUSTER_EAGAIN) {
        failures_count(&results->failures, results->failed + lost, 0);
        log_error("batch %" PRIu64 " is not over; --follow waits for the rest", results->failures.batch);
        return STATUS_NOT_OVER;
    }
    failures_count(&results->failures, end->failed + lost, total);
    if (end->code == 0 && end->cancelled == 0)
        return ask_status(end->failed + lost);
    jobs_count(done, total, jobs, sizeof jobs);
    if (end->code)
        log_error("batch %" PRIu64 " was given up: %s; %s done", results->failures.batch, why->text, jobs);
    else
        log_error("batch %" PRIu64 " was cancelled: %s done", results->failures.batch, jobs);
    return STATUS_ERROR;
}

static int results(struct ask *ask, struct muster_error *ret_error)
{
    struct results r = {.ask = ask, .failures.batch = ask->batches[0]};
    const struct reading reading = {.batch = ask->batches[0],
                                    .follow = ask->options.follow,
                                    .arguments = true,
                                    .on_batch = on_batch,
                                    .on_result = on_result,
                                    .on_wait = on_wait,
                                    .on_lost = on_lost,
                                    .context = &r};
    struct muster_error why;
    struct reading_end end;
    int code;

    r.kept.failures = &r.failures;
    ask->output.batch = reading.batch;
    code = reading_run(&reading, ask->remote, &end, &why);
    exec_kept_fini(&r.kept);
    if (code == 0)
        code = output_flush(&ask->output, &why); /* ahead of what is said about the whole */
    if (code)
        *ret_error = why;
    return code ? code : conclude(&r, &end, &why);
}

int verb_results(int argc, char **argv)
{
    return ask_verb(VERB_RESULTS, argc, argv, results);
}
