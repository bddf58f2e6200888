/* SPDX-License-Identifier: MIT
 *
 * The job log. See exec_log.h.
 */
#include "cli/exec_log.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

int exec_log_open(struct exec_log *log, const char *path, struct muster_error *ret_error)
{
    *log = (struct exec_log){.path = path};
    if (!path)
        return 0;
    log->file = fopen(path, "we");
    if (!log->file)
        return muster_error_system(ret_error, errno, "cannot write the job log %s", path);
    fputs("Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n", log->file);
    if (fflush(log->file) != 0) {
        int code = muster_error_system(ret_error, errno, "cannot write the job log %s", path);

        exec_log_close(log);
        return code;
    }
    return 0;
}

/* A newline in a command would look like the end of its line. */
static void write_command(FILE *file, struct word command)
{
    for (size_t i = 0; i < command.size; i++)
        putc(command.bytes[i] == '\n' ? '\0' : command.bytes[i], file);
    putc('\n', file);
}

int exec_log_add(struct exec_log *log, uint64_t sequence, const struct exec_result *result,
                 struct word command, struct muster_error *ret_error)
{
    if (!log->file)
        return 0;
    fprintf(log->file, "%" PRIu64 "\t:\t%.3f\t%10.3f\t0\t%zu\t%d\t%d\t", sequence, result->start_s,
            (double)result->wall_ns * 1e-9, result->out.size,
            result->timed_out ? -1
            : result->signal  ? 0
                              : result->exit,
            result->signal);
    write_command(log->file, command);
    if (fflush(log->file) != 0)
        return muster_error_set(ret_error, MUSTER_EOUTPUT, "the job log %s: %s", log->path, strerror(errno));
    return 0;
}

void exec_log_close(struct exec_log *log)
{
    if (log->file)
        fclose(log->file);
    log->file = NULL;
}
