/* SPDX-License-Identifier: MIT
 *
 * From results to output: what a command wrote is written again, it is logged and counted, and named when
 * it failed. See exec_run.h.
 */
#include "cli/exec_run.h"

#include "base/log.h"
#include "cli/again.h"
#include "cli/exec_again.h"
#include "cli/exec_files.h"
#include "cli/exec_json.h"
#include "cli/exec_output.h"
#include "cli/output.h"
#include "cli/verbs.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum { COMMAND_SHOWN = 200 /* bytes of a command in messages */ };

/* The job of a result, by the number that its row had. */
static const char *name_job(const struct exec *exec, uint64_t sequence, const struct muster_result *result,
                            char name[JOB_NAME_BYTES])
{
    return job_name(exec->options.open.coordinator ? result->batch : EMBEDDED_BATCH, sequence, name);
}

static void name_failure(struct exec *exec, const char *name, struct word title, const char *why)
{
    int shown = title.size > COMMAND_SHOWN ? COMMAND_SHOWN : (int)title.size;

    if (exec->failed > EXEC_FAILURE_LINES)
        return;
    progress_hide(&exec->progress);
    log_error("job %s (%.*s%s): %s", name, shown, title.bytes ? title.bytes : "",
              (size_t)shown < title.size ? "..." : "", why);
}

static void count_job(struct exec *exec, int status)
{
    if (status == 0) {
        exec->succeeded++;
        return;
    }
    if (exec->failed++ == 0)
        exec->first_failure = status;
}

/* What is known of a job that has ended. */
struct ended {
    uint64_t sequence;
    struct word title, tag;
    struct exec_result result;
};

/* -v: the command as a line, which stands before what it wrote as if it were a part of it. */
static int make_heading(struct exec *exec, struct word title, struct word *ret_heading)
{
    msgpack_sbuffer *heading = &exec->heading;

    *ret_heading = (struct word){"", 0};
    if (!exec->options.verbose)
        return 0;
    msgpack_sbuffer_clear(heading);
    if (!exec_output_gather(heading, title.bytes, title.size) || !exec_output_gather(heading, "\n", 1))
        return muster_error_set(&exec->error, MUSTER_ENOMEM, "out of memory");
    *ret_heading = (struct word){heading->data, heading->size};
    return 0;
}

/* Writes what a command wrote; with --line-buffer and -u that has been done. */
static int write_output(struct exec *exec, const struct ended *job)
{
    struct word heading = {"", 0};
    int code = exec->options.group == EXEC_GROUP_JOBS ? make_heading(exec, job->title, &heading) : 0;

    if (exec->shares_terminal)
        progress_hide(&exec->progress);
    if (!code && heading.size > 0)
        code = exec_output_write(exec->out_fd, "standard output",
                                 &(struct exec_written){.bytes = heading.bytes, .size = heading.size},
                                 job->tag, &exec->error);
    if (!code)
        code = exec_output_write(exec->out_fd, "standard output", &job->result.out, job->tag, &exec->error);
    if (!code)
        code = exec_output_write(STDERR_FILENO, "standard error", &job->result.err, job->tag, &exec->error);
    return code;
}

/* -o json; `result` NULL: there is none. */
static int write_record(struct exec *exec, const struct ended *job, const struct exec_result *result,
                        unsigned worker, const char *reason, const char *again)
{
    const struct exec_json_job record = {.sequence = job->sequence,
                                         .command = job->title,
                                         .tag = job->tag,
                                         .worker = worker,
                                         .result = result,
                                         .reason = reason,
                                         .again = again};

    if (exec->shares_terminal)
        progress_hide(&exec->progress);
    return exec_json_write(exec->out_fd, "standard output", &record, &exec->error);
}

/* --files: the path of the output instead of it. */
static int write_path(struct exec *exec, struct word tag, const char *path)
{
    char line[PATH_MAX + 1];
    int size = snprintf(line, sizeof line, "%s\n", path);

    if (exec->shares_terminal)
        progress_hide(&exec->progress);
    return exec_output_write(exec->out_fd, "standard output",
                             &(struct exec_written){.bytes = line, .size = (size_t)size}, tag, &exec->error);
}

static int keep_output(struct exec *exec, const struct ended *job)
{
    char path[PATH_MAX];
    struct word heading;
    int code = make_heading(exec, job->title, &heading);

    if (!code)
        code = exec_files_keep(exec_folder_temporary(exec->options.temporary_folder), &job->result.out,
                               heading, path, &exec->error);
    if (!code)
        code = write_path(exec, job->tag, path);
    if (!code)
        code = exec_output_write(STDERR_FILENO, "standard error", &job->result.err, job->tag, &exec->error);
    return code;
}

/* --results: in files instead. */
static int store_output(struct exec *exec, const struct ended *job, const struct muster_result *result)
{
    static const msgpack_object_array none = {.size = 0};
    const msgpack_object *args = exec_note(result, EXEC_NOTE_RESULTS);
    struct word place = exec_note_text(result, EXEC_NOTE_RESULTS, &exec->place), heading;
    const char *path;
    int code;

    if (exec->store.kind == EXEC_STORE_TABLE)
        return exec_table_add(&exec->store.table, job->sequence, &job->result, job->title,
                              args ? &args->via.array : &none, &exec->error);
    code = make_heading(exec, job->title, &heading);
    if (!code)
        code = exec_store_files(&exec->store, place, job->sequence, &job->result, heading, &exec->error);
    if (code || !exec->options.files)
        return code;
    path = exec_store_output(&exec->store, place);
    return path ? write_path(exec, job->tag, path)
                : muster_error_set(&exec->error, MUSTER_ENOMEM, "out of memory");
}

static void add_use(struct stats_commands *used, const struct exec_result *result)
{
    used->user_us += result->user_us;
    used->system_us += result->system_us;
    if (result->memory_kib > used->memory_kib)
        used->memory_kib = result->memory_kib;
}

/* The first of a run; the others are named as it is. */
static void name_crash(struct exec *exec, const struct ended *job, const char *again)
{
    if (!exec->crashed)
        exec->crashed = again_tell_exec(&exec->options, job->title, again);
}

/* Writes, logs and counts; a command that failed is named with its reason, and with the command line that
 * runs it again, if any. What could not be written has not been done. */
static int show_result(struct exec *exec, const struct ended *job, const struct muster_result *result,
                       const char *again)
{
    bool failed = exec_result_status(&job->result) != 0;
    char reason[EXEC_REASON_BYTES], name[JOB_NAME_BYTES];
    int code = 0;

    exec_result_reason(&job->result, &exec->options.limits, reason);
    if (exec->options.records) /* first: what is stored may be moved */
        code = write_record(exec, job, &job->result, result->worker, failed ? reason : NULL, again);
    else if (exec->store.kind == EXEC_STORE_NONE)
        code = exec->options.files ? keep_output(exec, job) : write_output(exec, job);
    if (!code && exec->store.kind != EXEC_STORE_NONE)
        code = store_output(exec, job, result);
    if (!code)
        code = exec_log_add(&exec->log, job->sequence, &job->result, job->title, &exec->error);
    if (code)
        return code;
    count_job(exec, exec_result_status(&job->result));
    add_use(&exec->used, &job->result);
    exec->stats.layers = job->result.layers;
    exec_pace_note(&exec->pace, job->result.wall_ns, !failed);
    if (failed)
        name_failure(exec, name_job(exec, job->sequence, result, name), job->title, reason);
    if (again && !exec->options.records)
        name_crash(exec, job, again);
    return 0;
}

static int check_halt(struct exec *exec)
{
    const struct exec_halt *halt = &exec->options.halt;

    if (!exec_halt_due(halt, exec->succeeded, exec->failed, exec_again_total(exec)))
        return 0;
    exec->halted = true;
    if (halt->now)
        exec_pace_end(&exec->pace);
    return MUSTER_EEND;
}

int exec_on_result(void *context, const struct muster_result *result)
{
    struct exec *exec = context;
    struct ended job = {
        .sequence = exec_note_number(result, EXEC_NOTE_SEQUENCE, result->index),
        .title = exec_note_text(result, EXEC_NOTE_TITLE, &exec->title),
        .tag = exec_note_text(result, EXEC_NOTE_TAG, &exec->tag_text),
    };
    struct shell_line line = {0};
    char name[JOB_NAME_BYTES];
    uint64_t live_bytes = 0;
    int code = exec->live.fd < 0 ? 0 : exec_live_end(&exec->live, result->index, &live_bytes, &exec->error);

    if (code)
        return code;
    if (!result->value) {
        count_job(exec, STATUS_ERROR);
        name_failure(exec, name_job(exec, job.sequence, result, name), job.title, result->text);
        code = exec->options.records ? write_record(exec, &job, NULL, result->worker, result->text, NULL) : 0;
        return code ? code : check_halt(exec);
    }
    code =
        exec_result_read(result->value, exec->options.open.coordinator ? NULL : &exec->folder, &job.result);
    if (code)
        return muster_error_set(&exec->error, code, "job %s: its result is of another version",
                                name_job(exec, job.sequence, result, name));
    if (job.result.lost && !exec_result_is_spoiled(&job.result)) {
        exec_result_discard(&job.result);
        return muster_error_set(&exec->error, MUSTER_EOUTPUT, "job %s: what it wrote cannot be read: %s",
                                name_job(exec, job.sequence, result, name), strerror(job.result.lost));
    }
    job.result.sent_bytes = exec_note_number(result, EXEC_NOTE_SENT, 0);
    job.result.live_bytes = live_bytes;
    code = job.result.flags & COMMAND_CUT
               ? 0
               : show_result(exec, &job, result, again_exec(&exec->options, &job.result, job.title, &line));
    shell_line_fini(&line);
    exec_result_discard(&job.result);
    return code ? code : check_halt(exec);
}
