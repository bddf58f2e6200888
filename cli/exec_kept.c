/* SPDX-License-Identifier: MIT
 *
 * Commands of a batch that is kept. See exec_kept.h.
 */
#include "cli/exec_kept.h"

#include "base/log.h"
#include "cli/exec_json.h"
#include "cli/exec_note.h"
#include "cli/exec_output.h"
#include "cli/exec_result.h"
#include "cli/verbs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { COMMAND_SHOWN = 200 /* bytes of a command in messages */ };

static int write_output(struct output *output, const struct exec_result *ended, struct word tag,
                        struct muster_error *ret_error)
{
    int code = exec_output_write(output->fd, output->name, &ended->out, tag, ret_error);

    return code ? code : exec_output_write(STDERR_FILENO, "standard error", &ended->err, tag, ret_error);
}

static void name_failure(struct exec_kept *kept, const struct exec_json_job *job)
{
    int shown = job->command.size > COMMAND_SHOWN ? COMMAND_SHOWN : (int)job->command.size;
    bool room = failures_has_room(kept->failures);

    kept->failures->named++;
    if (room && shown > 0)
        log_error("job %" PRIu64 ".%" PRIu64 " (%.*s%s): %s", kept->failures->batch, job->sequence, shown,
                  job->command.bytes, (size_t)shown < job->command.size ? "..." : "", job->reason);
    else if (room)
        log_error("job %" PRIu64 ".%" PRIu64 ": %s", kept->failures->batch, job->sequence, job->reason);
}

bool exec_kept_runs(const struct proto_attached *batch)
{
    static const char command[] = "command";

    return batch->function.size == sizeof command - 1 &&
           memcmp(batch->function.bytes, command, sizeof command - 1) == 0;
}

/* What came of a command that ran, and why it failed, which is NULL where it did not. */
static int read_result(const struct muster_result *result, struct exec_result *ret_ended,
                       char reason[EXEC_REASON_BYTES], const char **ret_why, struct muster_error *ret_error)
{
    static const struct exec_limits unknown;
    char name[JOB_NAME_BYTES];

    if (exec_result_read(result->value, false, ret_ended))
        return muster_error_set(ret_error, MUSTER_EPROTOCOL, "job %s: its result is of another version",
                                job_name(result->batch, result->index, name));
    *ret_why = NULL;
    if (exec_result_status(ret_ended) == 0)
        return 0;
    exec_result_reason(ret_ended, &unknown, reason);
    *ret_why = reason;
    return 0;
}

int exec_kept_look(const struct muster_result *result, bool *ret_failed, char ret_reason[EXEC_REASON_BYTES],
                   struct muster_error *ret_error)
{
    const char *why = result->text;
    struct exec_result ended;
    int code;

    if (result->code)
        snprintf(ret_reason, EXEC_REASON_BYTES, "%s", why);
    else if ((code = read_result(result, &ended, ret_reason, &why, ret_error)) != 0)
        return code;
    *ret_failed = why != NULL;
    return 0;
}

int exec_kept_write(struct exec_kept *kept, struct output *output, const struct muster_result *result,
                    struct muster_error *ret_error)
{
    struct exec_json_job job = {
        .sequence = exec_note_number(result, EXEC_NOTE_SEQUENCE, result->index),
        .command = exec_note_text(result, EXEC_NOTE_TITLE, &kept->title),
        .tag = exec_note_text(result, EXEC_NOTE_TAG, &kept->label),
        .worker = result->worker,
        .reason = result->text,
    };
    char reason[EXEC_REASON_BYTES];
    struct exec_result ended;
    int code;

    if (!result->code) {
        if ((code = read_result(result, &ended, reason, &job.reason, ret_error)) != 0)
            return code;
        job.result = &ended;
        kept->failed += job.reason != NULL;
    }
    if (output->format == OUTPUT_JSON)
        return exec_json_write(output->fd, output->name, &job, ret_error);
    if (job.reason)
        name_failure(kept, &job);
    return job.result && output->format == OUTPUT_TEXT ? write_output(output, &ended, job.tag, ret_error) : 0;
}

void exec_kept_fini(struct exec_kept *kept)
{
    msgpack_sbuffer_destroy(&kept->title);
    msgpack_sbuffer_destroy(&kept->label);
}
