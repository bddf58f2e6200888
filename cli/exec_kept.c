/* SPDX-License-Identifier: MIT
 *
 * Commands of a batch that is kept. See exec_kept.h.
 */
#include "cli/exec_kept.h"

#include "base/log.h"
#include "cli/exec_json.h"
#include "cli/exec_limits.h"
#include "cli/exec_note.h"
#include "cli/exec_output.h"

#include <inttypes.h>
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

int exec_kept_write(struct exec_kept *kept, struct output *output, const struct muster_result *result,
                    struct muster_error *ret_error)
{
    static const struct exec_limits unknown;
    struct exec_json_job job = {
        .sequence = exec_note_number(result, EXEC_NOTE_SEQUENCE, result->index),
        .command = exec_note_text(result, EXEC_NOTE_TITLE, &kept->title),
        .tag = exec_note_text(result, EXEC_NOTE_TAG, &kept->label),
        .worker = result->worker,
    };
    char reason[EXEC_REASON_BYTES];
    struct exec_result ended;

    job.reason = result->text;
    if (!result->code && exec_result_read(result->value, false, &ended))
        return muster_error_set(ret_error, MUSTER_EPROTOCOL,
                                "job %" PRIu64 ".%" PRIu64 ": its result is of another version",
                                output->batch, result->index);
    if (!result->code)
        job.result = &ended;
    if (job.result && exec_result_status(&ended) != 0) {
        kept->failed++;
        exec_result_reason(&ended, &unknown, reason);
        job.reason = reason;
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
