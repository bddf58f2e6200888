/* SPDX-License-Identifier: MIT
 *
 * muster exec: a command over arguments, with GNU parallel's grammar. Rows of arguments become
 * commands here; workers run them as jobs of the function `command` (worker/command.h), and what
 * they wrote is written again here, a job at a time. Everything here runs on the main thread.
 */
#include "cli/exec_run.h"

#include "base/clock.h"
#include "base/log.h"
#include "cli/exec_again.h"
#include "cli/exec_output.h"
#include "cli/interrupt.h"
#include "cli/leave.h"
#include "cli/open.h"
#include "cli/output.h"
#include "cli/summon.h"
#include "cli/verbs.h"
#include "proto/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* For the batch to end in order, after what runs was ended. */
static const uint64_t GRACE_NS = 2 * CLOCK_NS_PER_S;

/* Whether it ended since nobody reads what it writes (`muster exec ... | head`): nobody is told then. */
static bool reader_left(const struct exec *exec, int code)
{
    return code == MUSTER_EOUTPUT && exec_output_left(exec->out_fd);
}

/* Says how it ended; returns the exit status. */
static int conclude(struct exec *exec, int code, const struct muster_summary *summary,
                    const struct muster_error *error)
{
    const struct exec_halt *halt = &exec->options.halt;
    uint64_t total = exec_again_total(exec), done = exec->succeeded + exec->failed;
    char jobs[JOBS_TEXT_BYTES];

    if (exec->failed > EXEC_FAILURE_LINES)
        log_error("... and %" PRIu64 " more failed", exec->failed - EXEC_FAILURE_LINES);
    if (exec->failed > 0) {
        jobs_count(exec->failed, exec->halted || exec->stopped_by || code ? done : total, jobs, sizeof jobs);
        log_error("%s failed", jobs);
    }
    jobs_count(done, total, jobs, sizeof jobs);
    if (exec->halted) {
        log_error("halted: %s done", jobs);
    } else if (exec->stopped_by && (total == 0 || done < total)) {
        log_error("%s: %s done", exec->stopped_by == SIGHUP ? "hung up" : "interrupted", jobs);
        return STATUS_SIGNAL + exec->stopped_by;
    }
    if (code && !(exec->halted && code == MUSTER_ECANCELLED))
        return plain_error(error);
    if (summary->cancelled > 0 && !exec->halted && !exec->stopped_by) {
        log_error("batch %" PRIu64 " was cancelled: %s done", summary->batch, jobs);
        return STATUS_ERROR;
    }
    if (exec->halted && halt->cause == HALT_FAIL && halt->count == 1)
        return exec->first_failure;
    return exec_halt_status(halt, exec->succeeded, exec->failed, total);
}

/* A signal came, and the batch goes on. */
static int conclude_left(const struct exec *exec, const struct muster_summary *summary)
{
    char jobs[JOBS_TEXT_BYTES];

    jobs_count(exec->succeeded + exec->failed, exec_again_total(exec), jobs, sizeof jobs);
    log_error("interrupted: %s done", jobs);
    leave_tell_return(exec->options.open.coordinator, summary->batch);
    return STATUS_SIGNAL + interrupt_signal();
}

/* --detach: of the batch. */
static int print_number(const struct exec *exec, uint64_t batch)
{
    struct muster_error error;
    char line[64];
    int size = snprintf(line, sizeof line,
                        exec->options.records ? "{\"batch\":%" PRIu64 "}\n" : "%" PRIu64 "\n", batch);

    return exec_output_bytes(exec->out_fd, "standard output", line, (size_t)size, &error)
               ? plain_error(&error)
               : 0;
}

/* --detach: how that went; returns the exit status. */
static int conclude_detached(const struct exec *exec, int code, const struct muster_summary *summary,
                             const struct muster_error *error)
{
    int status = code ? plain_error(error) : print_number(exec, summary->batch);

    if (!code && status) /* its number is lost else */
        leave_tell_return(exec->options.open.coordinator, summary->batch);
    if (code == MUSTER_ECANCELLED && interrupt_signal())
        return STATUS_SIGNAL + interrupt_signal();
    if (!status)
        leave_tell_kept(summary);
    return status;
}

static bool is_ended(const struct exec *exec, int code)
{
    return exec->halted || exec->stopped_by || code == MUSTER_ECANCELLED;
}

/* Whether there are jobs that have not run, or there may be. */
static bool has_more(const struct exec *exec)
{
    uint64_t total = exec_again_total(exec);

    return total == 0 || exec->succeeded + exec->failed < total;
}

static int run(struct exec *exec, muster *m, const msgpack_object *common)
{
    struct muster_batch batch = {
        .function = "command",
        .source = {.kind = MUSTER_SOURCE_STREAM,
                   .next = exec_next_paced,
                   .context = exec,
                   .fd = exec->pace.fd},
        .unordered = !exec->options.keep_order,
        .want_arguments = true,
        .common = common,
        .on_result = exec_on_result,
        .on_tick = exec_on_tick,
        .context = exec,
        .wake_fd = exec->live.fd,
        .interrupt_fd = exec->options.open.coordinator ? exec->interrupt_fd : -1,
        .detach = exec->options.detach,
        .detach_on_interrupt = true,
    };
    struct muster_summary summary = {.workers = 0};
    struct muster_error error, late;
    int code, status;

    terms_apply(&exec->options.terms, &batch);
    if (exec->options.open.coordinator) { /* where others want workers and memory, too */
        batch.most_running = exec->options.most_running;
        batch.memory_bytes = exec->options.limits.memory_bytes;
    } else {
        interrupt_let_run(exec->pace.grace_ns + GRACE_NS);
    }
    code = muster_map(m, &batch, &summary, &error);
    interrupt_await(false); /* the last tick may have come ahead of the answer */

    if (exec->live.fd >= 0 && exec_live_finish(&exec->live, &late) && !code) {
        code = late.code;
        error = late;
    }
    progress_hide(&exec->progress);
    if (code && code == exec->error.code)
        error = exec->error; /* a callback ended the batch, and knows why */
    if (exec->options.detach)
        return conclude_detached(exec, code, &summary, &error);
    if (summary.detached)
        return conclude_left(exec, &summary);
    exec->stats.commands = &exec->used;
    summary.failed = exec->failed;
    summary.succeeded = exec->succeeded;
    if (summary.workers > 0 && stats_write(&exec->stats, MUSTER_PROCESSES, &summary, &late) && !code) {
        code = late.code;
        error = late;
    }
    if (reader_left(exec, code))
        return STATUS_SIGNAL + SIGPIPE;
    status = conclude(exec, code, &summary, &error);
    exec_again_advise(exec, code == MUSTER_EOUTPUT || (is_ended(exec, code) && has_more(exec)));
    return status;
}

/* Until there is something to read, or a reason to end. */
static int await_input(struct exec *exec, struct muster_error *ret_error)
{
    struct pollfd items[] = {{.fd = exec->interrupt_fd, .events = POLLIN},
                             {.fd = exec_input_fd(exec), .events = POLLIN}};

    poll(items, 2, -1);
    return items[0].revents ? muster_error_set(ret_error, MUSTER_ECANCELLED, "interrupted") : 0;
}

/* The next row, waiting for it. */
static int await_row(struct exec *exec, struct row *ret_row, uint64_t *ret_sequence,
                     struct muster_error *ret_error)
{
    int code;

    while ((code = exec_again_next(exec, ret_row, ret_sequence, ret_error)) == MUSTER_EAGAIN)
        if ((code = await_input(exec, ret_error)) != 0)
            return code;
    return code;
}

static int print_line(int fd, const char *name, struct word line, struct muster_error *ret_error)
{
    int code = exec_output_bytes(fd, name, line.bytes, line.size, ret_error);

    return code ? code : exec_output_bytes(fd, name, "\n", 1, ret_error);
}

/* --dry-run: a command, behind its tag as what it writes would be; with --shellquote as one word. */
static int print_command(struct exec *exec, struct word line, struct word tag, struct muster_error *ret_error)
{
    struct shell_line shown = {.bytes = NULL}, quoted;
    int code = MUSTER_ENOMEM;

    shell_line_add(&shown, line.bytes, line.size);
    for (unsigned i = 0; i < exec->options.quotes && !shown.failed; i++) {
        quoted = (struct shell_line){.escaped = shell_escaped()};
        shell_line_quote(&quoted, shown.bytes ? shown.bytes : "", shown.size);
        shell_line_fini(&shown);
        shown = quoted;
    }
    shell_line_add(&shown, "\n", 1);
    if (shown.failed)
        muster_error_set(ret_error, code, "out of memory");
    else
        code = exec_output_write(exec->out_fd, "standard output",
                                 &(struct exec_written){.bytes = shown.bytes, .size = shown.size}, tag,
                                 ret_error);
    shell_line_fini(&shown);
    return code;
}

/* The tag of a job that is not run. */
static int expand_tag(struct exec *exec, const struct row *row, uint64_t sequence, struct word *ret_tag,
                      struct muster_error *ret_error)
{
    struct command tag = {.line = {.bytes = NULL}};
    int code;

    exec->tag.total = exec->command.total;
    code = exec->options.tag ? template_expand(&exec->tag, row, 1, sequence, &tag, ret_error) : 0;
    if (!code)
        *ret_tag = exec_note_fill(tag.line, 1, &exec->tag_text);
    return code;
}

/* --dry-run: the commands, a line each. */
static int print_commands(struct exec *exec)
{
    struct muster_error error;
    struct command command;
    struct word line, tag;
    struct row row;
    uint64_t sequence;
    int code;

    if (interrupt_start(&exec->interrupt_fd, &error))
        return plain_error(&error);
    while ((code = await_row(exec, &row, &sequence, &error)) == 0) {
        exec->command.total = exec_fill_total(&exec->fill);
        if ((code = template_expand(&exec->command, &row, 1, sequence, &command, &error)) != 0 ||
            (code = exec_fill_check(&exec->fill, command.line, &error)) != 0)
            break;
        line = exec_note_fill(command.line, 1, &exec->title);
        if (exec->options.trace && (code = print_line(STDERR_FILENO, "standard error", line, &error)) != 0)
            break;
        if ((code = expand_tag(exec, &row, sequence, &tag, &error)) != 0 ||
            (code = print_command(exec, line, tag, &error)) != 0)
            break;
    }
    if (code == MUSTER_ECANCELLED && interrupt_signal())
        return STATUS_SIGNAL + interrupt_signal();
    if (reader_left(exec, code))
        return STATUS_SIGNAL + SIGPIPE;
    return code == MUSTER_EEND ? 0 : plain_error(&error);
}

/* What workers inherit, for output that does not wait for the end of its job. */
static int open_ways_out(struct exec *exec, struct muster_error *ret_error)
{
    const struct exec_options *options = &exec->options;

    switch (options->group) {
    case EXEC_GROUP_JOBS:
        break;
    case EXEC_GROUP_LINES:
        return exec_live_open(&exec->live, options->keep_order, options->tag, &exec->folder, &exec->progress,
                              ret_error);
    case EXEC_GROUP_NOTHING:
        exec->shared_out_fd = fcntl(exec->out_fd, F_DUPFD, STDERR_FILENO + 1);
        if (exec->shared_out_fd < 0)
            return muster_error_system(ret_error, errno, "cannot share standard output");
        break;
    }
    return 0;
}

/* What a tree of results takes as it is is best made in the same file system. */
static const char *temporary_folder(const struct exec *exec)
{
    if (exec->options.temporary_folder || exec->store.kind != EXEC_STORE_TREE)
        return exec_folder_temporary(exec->options.temporary_folder);
    return exec->options.results;
}

/* The pipes of jobs, for --line-buffer two each, are left room: libmuster counts what it needs itself. */
static int open_with_room(struct exec *exec, muster **ret_m, struct muster_error *ret_error)
{
    struct muster_options open = exec->options.open;
    unsigned pipes = exec->options.group == EXEC_GROUP_LINES ? 2 * exec->options.open.workers : 0;
    struct descriptors room;
    int code;

    if (descriptors_hold(&room, pipes))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    if (open.coordinator)
        open.workers = 0; /* they are its own */
    else
        open.scratch = exec->folder.parent;
    code = open_muster(&open, ret_m, &exec->interrupt_fd, ret_error);
    descriptors_release(&room);
    if (!code && open.scratch)
        exec_folder_take(&exec->folder, muster_scratch(*ret_m));
    if (!code && exec->live.fd >= 0 && (code = exec_folder_make(&exec->folder, ret_error)) != 0)
        muster_close(*ret_m);
    if (!code && open.coordinator)
        exec_pace_share(&exec->pace, muster_workers(*ret_m), exec->options.most_running);
    return code;
}

/* What the workers of a coordinator do not have of this process. */
static int take_origin(struct exec *exec, struct muster_error *ret_error)
{
    const struct exec_options *options = &exec->options;

    return options->open.coordinator ? exec_origin_take(&exec->origin, options->folder, options->variables,
                                                        options->variable_count, ret_error)
                                     : 0;
}

static int summon(const struct exec_options *options, struct muster_error *ret_error)
{
    return options->detach && strcmp(options->open.coordinator, MUSTER_COORDINATOR_DEFAULT) == 0
               ? summon_coordinator(NULL, 0, ret_error)
               : 0;
}

static int run_common(struct exec *exec, muster *m)
{
    struct muster_error error;
    msgpack_object common;
    msgpack_zone zone;
    int status;

    if (!msgpack_zone_init(&zone, MSGPACK_ZONE_CHUNK_SIZE)) {
        muster_error_set(&error, MUSTER_ENOMEM, "out of memory");
        return plain_error(&error);
    }
    status = exec_job_common(exec, &zone, &common, &error) ? plain_error(&error) : run(exec, m, &common);
    msgpack_zone_destroy(&zone);
    return status;
}

static int open_and_run(struct exec *exec)
{
    struct exec_options *options = &exec->options;
    uint64_t total = exec_again_total(exec);
    struct muster_error error;
    muster *m = NULL;
    char pid[16];
    int status;

    if (total > 0 && total < options->open.workers)
        options->open.workers = (unsigned)total;
    snprintf(pid, sizeof pid, "%d", getpid());
    setenv("PARALLEL_PID", pid, 1);
    if ((options->folder && exec_folder_want(options->folder, &error)) || take_origin(exec, &error) ||
        summon(options, &error) ||
        exec_pace_init(&exec->pace, &options->pace, options->open.workers, exec_termseq_ms(&options->termseq),
                       &error) ||
        exec_folder_init(&exec->folder, temporary_folder(exec), &error) ||
        (options->limits.sandbox && !options->open.coordinator && exec_folder_share(&exec->folder, &error)) ||
        open_ways_out(exec, &error) || open_with_room(exec, &m, &error))
        return plain_error(&error);
    if (options->progress == PROGRESS_AUTOMATIC && (options->trace || options->group == EXEC_GROUP_NOTHING))
        options->progress = PROGRESS_NEVER; /* what workers write would be in its line */
    if (options->detach)
        options->progress = PROGRESS_NEVER;
    progress_init(&exec->progress, STDERR_FILENO, options->progress);
    exec->progress.bar = options->bar;
    exec->shares_terminal = isatty(exec->out_fd);
    status = run_common(exec, m);
    muster_close(m);
    return status;
}

/* The first line of the input, where it has the names that the command's words use. */
static int await_names(struct exec *exec, struct muster_error *ret_error)
{
    struct template_rules *rules = &exec->options.rules;
    int code;

    while ((code = sources_names(&exec->sources, &rules->names, &rules->name_count, ret_error)) ==
           MUSTER_EAGAIN)
        if ((code = await_input(exec, ret_error)) != 0)
            return code;
    return code;
}

/* Who has forgotten the arguments is not left to wonder. */
static void say_where_input_is_awaited(const struct exec_options *options)
{
    if (options->sources.source_count == 0 && options->resume != EXEC_RETRY_FAILED && isatty(STDIN_FILENO))
        log_error("input is read from the terminal, up to Ctrl-D; arguments can also follow :::");
}

/* All that can be wrong with the command line, before anything runs. */
static int prepare(struct exec *exec, struct muster_error *ret_error)
{
    const struct exec_options *options = &exec->options;
    int code = options->pipe.wanted ? exec_pipe_open(&exec->pipe, options, ret_error)
                                    : sources_init(&exec->sources, &options->sources, ret_error);
    struct template_rules tag_rules;

    if (!code)
        say_where_input_is_awaited(options);
    if (!code && !options->pipe.wanted)
        code = await_names(exec, ret_error);
    interrupt_hold(); /* up to here a signal ends muster, which has begun nothing */
    tag_rules = options->rules;
    tag_rules.text = true;
    tag_rules.quote = false;
    if (!code)
        code = template_init(&exec->command, options->pipe.words ? options->pipe.words : options->command,
                             options->pipe.words ? options->pipe.word_count : options->command_count,
                             &options->rules, ret_error);
    if (!code)
        exec_fill_init(&exec->fill, &options->fill, options->open.workers, &exec->sources, &exec->command);
    if (!code && options->tag)
        code = template_init(&exec->tag, &options->tag, 1, &tag_rules, ret_error);
    if (!code && options->ask && !options->dry_run)
        code = exec_ask_open(&exec->ask, ret_error);
    if (!code)
        code = exec_again_open(exec, ret_error);
    if (!code)
        code = stats_open(&exec->stats, options->stats, ret_error);
    return code;
}

static int print_line_length(void)
{
    struct muster_error error;
    char text[32];
    size_t size = (size_t)snprintf(text, sizeof text, "%zu\n", exec_fill_longest());

    return exec_output_bytes(STDOUT_FILENO, "standard output", text, size, &error) ? plain_error(&error) : 0;
}

int verb_exec(int argc, char **argv)
{
    struct exec exec = {.stats.fd = STDERR_FILENO,
                        .sources.fd = -1,
                        .pipe = {.fd = -1, .parts.fd = -1},
                        .out_fd = STDOUT_FILENO,
                        .shared_out_fd = -1,
                        .interrupt_fd = -1,
                        .live.fd = -1};
    struct muster_error error;
    int status;

    if (exec_options_parse(&exec.options, argc, argv, &error))
        status = usage_error(argv[0], &error);
    else if (exec.options.help)
        status = help_print(argv[0]);
    else if (exec.options.line_length)
        status = print_line_length();
    else if (prepare(&exec, &error))
        status = plain_error(&error);
    else
        status = exec.options.dry_run ? print_commands(&exec) : open_and_run(&exec);
    exec_live_close(&exec.live);
    if (exec.shared_out_fd >= 0)
        close(exec.shared_out_fd);
    exec_pace_fini(&exec.pace);
    exec_folder_close(&exec.folder);
    exec_origin_fini(&exec.origin);
    stats_close(&exec.stats);
    exec_again_close(&exec);
    msgpack_sbuffer_destroy(&exec.title);
    msgpack_sbuffer_destroy(&exec.tag_text);
    msgpack_sbuffer_destroy(&exec.heading);
    exec_ask_close(&exec.ask);
    msgpack_sbuffer_destroy(&exec.place);
    exec_fill_fini(&exec.fill);
    template_fini(&exec.tag);
    template_fini(&exec.command);
    exec_pipe_close(&exec.pipe);
    sources_fini(&exec.sources);
    exec_options_fini(&exec.options);
    return status;
}
