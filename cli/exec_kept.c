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

static int write_job(struct exec_kept *kept, struct output *output, const struct exec_json_job *job,
                     struct muster_error *ret_error)
{
    const struct exec_result *ended = job->result;
    int code;

    if (output->format == OUTPUT_JSON)
        return exec_json_write(output->fd, output->name, job, ret_error);
    if (job->reason)
        name_failure(kept, job);
    if (!ended || output->format != OUTPUT_TEXT)
        return 0;
    code = exec_output_write(output->fd, output->name, &ended->out, job->tag, ret_error);
    return code ? code : exec_output_write(STDERR_FILENO, "standard error", &ended->err, job->tag, ret_error);
}

bool exec_kept_runs(const struct proto_attached *batch)
{
    static const char command[] = "command";

    return batch->function.size == sizeof command - 1 &&
           memcmp(batch->function.bytes, command, sizeof command - 1) == 0;
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
    static const struct exec_limits unknown;
    char reason[EXEC_REASON_BYTES], name[JOB_NAME_BYTES];
    struct exec_result ended;
    int code;

    if (result->value) {
        if (exec_result_read(result->value, NULL, &ended))
            return muster_error_set(ret_error, MUSTER_EPROTOCOL, "job %s: its result is of another version",
                                    job_name(result->batch, result->index, name));
        job.result = &ended;
    }
    /* Its standard error, whose last line is in the text, is there. */
    if (result->value && (result->code || ended.lost)) {
        exec_result_reason(&ended, &unknown, reason);
        job.reason = reason;
        kept->lost += !result->code;
    }
    code = write_job(kept, output, &job, ret_error);
    if (result->value)
        exec_result_discard(&ended);
    return code;
}

void exec_kept_fini(struct exec_kept *kept)
{
    msgpack_sbuffer_destroy(&kept->title);
    msgpack_sbuffer_destroy(&kept->label);
}
