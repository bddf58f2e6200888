/* SPDX-License-Identifier: MIT
 *
 * The job log. See exec_log.h.
 */
#include "cli/exec_log.h"

#include "cli/exec_output.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int exec_log_open(struct exec_log *log, const char *path, bool alone, uint64_t had, uint64_t keep,
                  struct muster_error *ret_error)
{
    int code;

    if (!path)
        return 0;
    code = exec_append_open(&log->file, "the job log", path, alone, ret_error);
    if (code)
        return code;
    log->wanted = true;
    return exec_append_begin(&log->file, had, keep, EXEC_LOG_COLUMNS "\n", ret_error);
}

/* A newline in a command would look like the end of its line. */
static bool gather_command(msgpack_sbuffer *line, struct word command)
{
    size_t from = line->size;
    char *newline;

    if (!exec_output_gather(line, command.bytes, command.size))
        return false;
    while ((newline = memchr(line->data + from, '\n', line->size - from)) != NULL)
        *newline = '\0';
    return exec_output_gather(line, "\n", 1);
}

int exec_log_add(struct exec_log *log, uint64_t sequence, const struct exec_result *result,
                 struct word command, struct muster_error *ret_error)
{
    char columns[160]; /* numbers of 20 digits at most, seven of them */
    int size, code;

    if (!log->wanted)
        return 0;
    size =
        snprintf(columns, sizeof columns, "%" PRIu64 "\t:\t%.3f\t%10.3f\t%" PRIu64 "\t%" PRIu64 "\t%d\t%d\t",
                 sequence, result->start_s, (double)result->wall_ns * 1e-9, result->sent_bytes,
                 (uint64_t)result->out.size + result->live_bytes, exec_result_logged(result), result->signal);
    msgpack_sbuffer_clear(&log->line);
    if (!exec_output_gather(&log->line, columns, (size_t)size) || !gather_command(&log->line, command))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    code = exec_append_write(&log->file, log->line.data, log->line.size, ret_error);
    exec_append_end(&log->file);
    return code;
}

void exec_log_close(struct exec_log *log)
{
    if (log->wanted)
        exec_append_close(&log->file);
    msgpack_sbuffer_destroy(&log->line);
    *log = (struct exec_log){.wanted = false};
}
